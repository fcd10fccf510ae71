package intent

import (
	"strings"
	"unicode/utf8"
)

// fold returns name in the form in which names are compared: lower case. Text that is not UTF-8 (a name in another
// character set) has only its ASCII letters folded, so that two such names never become one.
func fold(name string) string {
	for i := 0; i < len(name); i++ {
		if c := name[i]; c >= utf8.RuneSelf && utf8.ValidString(name) {
			return strings.ToLower(name)
		}
	}
	folded := []byte(name)
	for i, c := range folded {
		if 'A' <= c && c <= 'Z' {
			folded[i] += 'a' - 'A'
		}
	}
	return string(folded)
}

func sameName(a, b string) bool { return a == b || fold(a) == fold(b) }

// serviceFits reports whether name is a service that pattern means: a pattern without domain means it in any.
func serviceFits(pattern, name string) bool {
	if fits(pattern, name) {
		return true
	}
	short := shortName(name)
	return shortName(pattern) == pattern && len(short) < len(name) && fits(pattern, short)
}

// shortName returns the part of name before its domain. A leading dot does not begin one.
func shortName(name string) string {
	for i := 1; i < len(name); i++ {
		if name[i] == '.' {
			return name[:i]
		}
	}
	return name
}

func fitsOrUnset(pattern, name string) bool { return pattern == "" || fits(pattern, name) }

// fits reports whether name, which must not be empty, is what pattern means: equal but for case, where * stands for any
// text. Taking the first place for each part is enough: whatever follows has the most room then.
func fits(pattern, name string) bool {
	if name == "" {
		return false
	}
	if !strings.Contains(pattern, "*") {
		return sameName(pattern, name)
	}
	parts := strings.Split(fold(pattern), "*")
	rest, ok := strings.CutPrefix(fold(name), parts[0])
	if !ok {
		return false
	}
	last := len(parts) - 1
	for _, part := range parts[1:last] {
		if _, rest, ok = strings.Cut(rest, part); !ok {
			return false
		}
	}
	return strings.HasSuffix(rest, parts[last])
}
