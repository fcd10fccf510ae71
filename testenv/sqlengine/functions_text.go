package sqlengine

import (
	"database/sql/driver"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ofText makes a function of text arguments.
func ofText(f func(args []string) string) func([]driver.Value) (driver.Value, error) {
	return func(args []driver.Value) (driver.Value, error) {
		texts := make([]string, len(args))
		for i, a := range args {
			texts[i] = text(a)
		}
		return f(texts), nil
	}
}

func textFunctions() []scalar {
	return []scalar{
		{name: "o_pair", args: 2, call: ofText(func(a []string) string { return a[1] + pairSeparator + a[0] })},
		{name: "o_cat", args: 2, nulls: true, call: ofText(func(a []string) string { return a[0] + a[1] })},
		{name: "o_upper", args: 1, call: ofText(func(a []string) string { return strings.ToUpper(a[0]) })},
		{name: "o_lower", args: 1, call: ofText(func(a []string) string { return strings.ToLower(a[0]) })},
		{name: "o_initcap", args: 1, call: ofText(func(a []string) string { return initCap(a[0]) })},
		{name: "o_trim", args: 2, call: ofText(func(a []string) string { return strings.Trim(a[0], a[1]) })},
		{name: "o_ltrim", args: -1, call: ofText(func(a []string) string { return strings.TrimLeft(a[0], second(a, " ")) })},
		{name: "o_rtrim", args: -1, call: ofText(func(a []string) string { return strings.TrimRight(a[0], second(a, " ")) })},
		{name: "o_lpad", args: -1, call: func(a []driver.Value) (driver.Value, error) { return pad(a, true) }},
		{name: "o_rpad", args: -1, call: func(a []driver.Value) (driver.Value, error) { return pad(a, false) }},
		{name: "o_substr", args: -1, call: substr},
		{name: "o_instr", args: -1, call: instr},
		{name: "o_length", args: 1, call: func(a []driver.Value) (driver.Value, error) { return int64(length(a[0])), nil }},
		{name: "o_lob_length", args: 1, call: func(a []driver.Value) (driver.Value, error) { return int64(length(a[0])), nil }},
		{name: "o_lengthb", args: 1, call: func(a []driver.Value) (driver.Value, error) { return int64(len(storedText(a[0]))), nil }},
		{name: "o_replace", args: -1, nulls: true, call: replace},
		{name: "o_translate", args: 3, nulls: true, call: translateText},
		{name: "o_reverse", args: 1, call: ofText(reverse)},
		{name: "o_chr", args: 1, call: func(a []driver.Value) (driver.Value, error) {
			n, err := integer(a[0])
			if err == nil && (n < 0 || n > unicode.MaxRune) {
				err = failure(1426, "numeric overflow")
			}
			return string(rune(n)), err
		}},
		{name: "o_ascii", args: 1, call: func(a []driver.Value) (driver.Value, error) {
			r, _ := utf8.DecodeRuneInString(text(a[0]))
			return int64(r), nil
		}},
		{name: "o_like", args: 3, nulls: true, call: likeFunction},
		{name: "o_lob_substr", args: -1, call: lobSubstr},
	}
}

func second(a []string, otherwise string) string {
	if len(a) > 1 {
		return a[1]
	}
	return otherwise
}

func initCap(s string) string {
	inside := false
	return strings.Map(func(r rune) rune {
		letter := unicode.IsLetter(r) || unicode.IsDigit(r)
		defer func() { inside = letter }()
		if inside {
			return unicode.ToLower(r)
		}
		return unicode.ToUpper(r)
	}, s)
}

func reverse(a []string) string {
	runes := []rune(a[0])
	for i, j := 0, len(runes)-1; i < j; i, j = i+1, j-1 {
		runes[i], runes[j] = runes[j], runes[i]
	}
	return string(runes)
}

// storedText is a value's bytes as LENGTHB counts them.
func storedText(v driver.Value) []byte {
	if b, ok := v.([]byte); ok && len(b) > 0 && b[0] == tagRaw {
		return b[1:]
	}
	return []byte(text(v))
}

// length counts characters, or bytes of a RAW or BLOB.
func length(v driver.Value) int {
	if b, ok := v.([]byte); ok && len(b) > 0 && b[0] == tagRaw {
		return len(b) - 1
	}
	return utf8.RuneCountInString(text(v))
}

// pad is LPAD or RPAD.
func pad(a []driver.Value, left bool) (driver.Value, error) {
	n, err := integer(a[1])
	if err != nil {
		return nil, err
	}
	runes, filler := []rune(text(a[0])), []rune{' '}
	if len(a) > 2 {
		filler = []rune(text(a[2]))
	}
	width := int(max(0, min(n, maxVarchar)))
	if len(runes) >= width {
		return string(runes[:width]), nil
	}
	fill := make([]rune, width-len(runes))
	for i := range fill {
		fill[i] = filler[i%len(filler)]
	}
	if left {
		return string(fill) + string(runes), nil
	}
	return string(runes) + string(fill), nil
}

// substr is SUBSTR(text, from, count) with from counted from 1, or from the end if negative.
func substr(a []driver.Value) (driver.Value, error) {
	from, err := integer(a[1])
	if err != nil {
		return nil, err
	}
	runes := []rune(text(a[0]))
	total := int64(len(runes))
	count := total
	if len(a) > 2 {
		if count, err = integer(a[2]); err != nil {
			return nil, err
		}
	}
	switch {
	case from < 0:
		from += total
	case from > 0:
		from--
	}
	if from < 0 || from >= total || count < 1 {
		return nil, nil
	}
	return string(runes[from : from+min(count, total-from)]), nil
}

// lobSubstr is DBMS_LOB.SUBSTR(lob, amount, offset).
func lobSubstr(a []driver.Value) (driver.Value, error) {
	amount, offset := int64(maxVarchar), int64(1)
	var err error
	if len(a) > 1 {
		amount, err = integer(a[1])
	}
	if len(a) > 2 && err == nil {
		offset, err = integer(a[2])
	}
	if err != nil {
		return nil, err
	}
	if b, ok := a[0].([]byte); ok {
		bytes := bytesOf(b)
		total := int64(len(bytes))
		if offset < 1 || offset > total || amount < 1 {
			return nil, nil
		}
		return raw(bytes[offset-1 : offset-1+min(amount, total-offset+1)]), nil
	}
	return substr([]driver.Value{a[0], offset, amount})
}

// instr is INSTR(text, part, from, occurrence).
func instr(a []driver.Value) (driver.Value, error) {
	options := [2]int64{1, 1}
	for i := range a[2:] {
		n, err := integer(a[2+i])
		if err != nil {
			return nil, err
		}
		options[i] = n
	}
	runes, part := []rune(text(a[0])), []rune(text(a[1]))
	at, step := options[0]-1, int64(1)
	if options[0] < 0 {
		at, step = int64(len(runes))+options[0], -1
	}
	found := int64(0)
	for ; at >= 0 && at+int64(len(part)) <= int64(len(runes)); at += step {
		if string(runes[at:at+int64(len(part))]) == string(part) {
			if found++; found == options[1] {
				return at + 1, nil
			}
		}
	}
	return int64(0), nil
}

func replace(a []driver.Value) (driver.Value, error) {
	if a[0] == nil || a[1] == nil {
		return a[0], nil
	}
	with := ""
	if len(a) > 2 {
		with = text(a[2])
	}
	return strings.ReplaceAll(text(a[0]), text(a[1]), with), nil
}

func translateText(a []driver.Value) (driver.Value, error) {
	from, to := []rune(text(a[1])), []rune(text(a[2]))
	if a[0] == nil || len(from) == 0 || len(to) == 0 {
		return nil, nil
	}
	return strings.Map(func(r rune) rune {
		for i, f := range from {
			if f == r {
				if i < len(to) {
					return to[i]
				}
				return -1
			}
		}
		return r
	}, text(a[0])), nil
}

// likeFunction is LIKE with % and _, and an escape character if the third argument is not NULL.
func likeFunction(a []driver.Value) (driver.Value, error) {
	if a[0] == nil || a[1] == nil {
		return nil, nil
	}
	escape := rune(-1)
	if a[2] != nil {
		runes := []rune(text(a[2]))
		if len(runes) != 1 {
			return nil, failure(1425, "escape character must be character string of length 1")
		}
		escape = runes[0]
	}
	pattern, err := likePattern([]rune(text(a[1])), escape)
	if err != nil {
		return nil, err
	}
	if likeMatches([]rune(text(a[0])), pattern) {
		return int64(1), nil
	}
	return int64(0), nil
}

// A likeRune is one element of a LIKE pattern.
type likeRune struct {
	r        rune
	any, one bool // % and _
}

func likePattern(pattern []rune, escape rune) ([]likeRune, error) {
	var out []likeRune
	for i := 0; i < len(pattern); i++ {
		switch r := pattern[i]; {
		case r == escape:
			i++
			if i == len(pattern) || pattern[i] != '%' && pattern[i] != '_' && pattern[i] != escape {
				return nil, failure(1424, "missing or illegal character following the escape character")
			}
			out = append(out, likeRune{r: pattern[i]})
		case r == '%':
			out = append(out, likeRune{any: true})
		default:
			out = append(out, likeRune{r: r, one: r == '_'})
		}
	}
	return out, nil
}

// likeMatches matches by remembering the last % only, so it is never worse than quadratic.
func likeMatches(s []rune, pattern []likeRune) bool {
	i, j, star, mark := 0, 0, -1, 0
	for i < len(s) {
		switch {
		case j < len(pattern) && pattern[j].any:
			star, mark = j, i
			j++
		case j < len(pattern) && (pattern[j].one || pattern[j].r == s[i]):
			i++
			j++
		case star >= 0:
			mark++
			i, j = mark, star+1
		default:
			return false
		}
	}
	for j < len(pattern) && pattern[j].any {
		j++
	}
	return j == len(pattern)
}
