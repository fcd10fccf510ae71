package sqlengine

import (
	"database/sql/driver"
	"regexp"
	"strings"
)

func regexpFunctions() []scalar {
	return []scalar{
		{name: "o_regexp_like", args: -1, call: func(a []driver.Value) (driver.Value, error) {
			re, err := compileRegexp(a, 2)
			if err != nil {
				return nil, err
			}
			return re.MatchString(text(a[0])), nil
		}},
		{name: "o_regexp_replace", args: -1, call: func(a []driver.Value) (driver.Value, error) {
			re, err := compileRegexp(a, 3)
			if err != nil {
				return nil, err
			}
			with := ""
			if len(a) > 2 {
				with = backReferences.ReplaceAllString(strings.ReplaceAll(text(a[2]), "$", "$$"), "$${$1}")
			}
			return re.ReplaceAllString(text(a[0]), with), nil
		}},
		{name: "o_regexp_substr", args: -1, call: regexpSubstr},
		{name: "o_regexp_instr", args: 2, call: func(a []driver.Value) (driver.Value, error) {
			re, err := compileRegexp(a, 2)
			if err != nil {
				return nil, err
			}
			s := text(a[0])
			at := re.FindStringIndex(s)
			if at == nil {
				return int64(0), nil
			}
			return int64(len([]rune(s[:at[0]])) + 1), nil
		}},
		{name: "o_regexp_count", args: 2, call: func(a []driver.Value) (driver.Value, error) {
			re, err := compileRegexp(a, 2)
			if err != nil {
				return nil, err
			}
			return int64(len(re.FindAllStringIndex(text(a[0]), -1))), nil
		}},
	}
}

var backReferences = regexp.MustCompile(`\\([0-9])`)

// compileRegexp compiles the second argument; flags, if any, are the argument at that index.
func compileRegexp(a []driver.Value, flags int) (*regexp.Regexp, error) {
	prefix := ""
	if len(a) > flags {
		for _, f := range text(a[flags]) {
			switch f {
			case 'i', 'm':
				prefix += string(f)
			case 'n':
				prefix += "s"
			}
		}
		if prefix != "" {
			prefix = "(?" + prefix + ")"
		}
	}
	re, err := regexp.Compile(prefix + text(a[1]))
	if err != nil {
		return nil, failure(12726, "unmatched bracket in regular expression")
	}
	return re, nil
}

// regexpSubstr is REGEXP_SUBSTR(text, pattern, from, occurrence).
func regexpSubstr(a []driver.Value) (driver.Value, error) {
	re, err := compileRegexp(a, len(a))
	if err != nil {
		return nil, err
	}
	from, occurrence := int64(1), int64(1)
	if len(a) > 2 {
		from, err = integer(a[2])
	}
	if len(a) > 3 && err == nil {
		occurrence, err = integer(a[3])
	}
	if err != nil {
		return nil, err
	}
	runes := []rune(text(a[0]))
	if from < 1 || occurrence < 1 || from > int64(len(runes)) {
		return nil, nil
	}
	found := re.FindAllString(string(runes[from-1:]), int(min(occurrence, maxVarchar)))
	if int64(len(found)) < occurrence {
		return nil, nil
	}
	return found[occurrence-1], nil
}
