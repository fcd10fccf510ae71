package sqlengine

import (
	"strings"
	"unicode"
)

// A modelElement is one element of a datetime format model: a code such as "HH24", or literal text.
type modelElement struct {
	code    string // upper case; "" for literal text
	literal string
	written string // the code as written, whose case decides that of names
}

// timeCodes lists the codes, longer before shorter ones they begin with.
var timeCodes = [...]string{
	"SYYYY", "YYYY", "YYY", "YY", "Y,YYY", "Y", "RRRR", "RR", "IYYY", "IY", "MONTH", "MON", "MM", "MI",
	"DDD", "DD", "DAY", "DY", "DL", "DS", "D", "HH24", "HH12", "HH", "SSSSS", "SS",
	"FF1", "FF2", "FF3", "FF4", "FF5", "FF6", "FF7", "FF8", "FF9", "FF",
	"TZH", "TZM", "TZR", "TZD", "A.M.", "P.M.", "AM", "PM", "B.C.", "A.D.", "BC", "AD",
	"WW", "W", "IW", "Q", "J", "CC", "X", "FM", "FX", "TS",
}

// parseTimeModel splits a format model into its elements. An unknown code is ORA-01821.
func parseTimeModel(model string) ([]modelElement, error) {
	var out []modelElement
	for i := 0; i < len(model); {
		if model[i] == '"' {
			end := strings.IndexByte(model[i+1:], '"')
			if end < 0 {
				return nil, failure(1861, "literal does not match format string")
			}
			out = append(out, modelElement{literal: model[i+1 : i+1+end]})
			i += end + 2
			continue
		}
		if code := leadingCode(model[i:]); code != "" {
			out = append(out, modelElement{code: code, written: model[i : i+len(code)]})
			i += len(code)
			continue
		}
		if c := rune(model[i]); c < 0x80 && (unicode.IsLetter(c) || unicode.IsDigit(c)) {
			return nil, failure(1821, "date format not recognized")
		}
		out = append(out, modelElement{literal: model[i : i+1]})
		i++
	}
	return out, nil
}

func leadingCode(model string) string {
	for _, code := range timeCodes {
		if len(model) >= len(code) && strings.EqualFold(model[:len(code)], code) {
			return code
		}
	}
	return ""
}

// matchCase gives name the case its code was written in: MON, Mon or mon.
func matchCase(name, written string) string {
	switch {
	case strings.ToUpper(written) == written:
		return strings.ToUpper(name)
	case strings.ToLower(written) == written:
		return strings.ToLower(name)
	}
	return strings.ToUpper(name[:1]) + strings.ToLower(name[1:])
}
