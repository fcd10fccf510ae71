package servicetable

import (
	"strings"
	"unicode/utf8"
)

// foldedSize is the longest name that is folded without an allocation.
const foldedSize = 256

// appendFolded appends name to buf in the form in which names are compared: lower case. Text that is not UTF-8 (a name in
// another character set) has only its ASCII letters folded, so that two such names never become one.
func appendFolded(buf []byte, name string) []byte {
	for i := 0; i < len(name); i++ {
		c := name[i]
		if c >= utf8.RuneSelf && utf8.ValidString(name) {
			return append(buf[:len(buf)-i], strings.ToLower(name)...)
		}
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		buf = append(buf, c)
	}
	return buf
}

// fold returns name in the form in which names are compared; name itself where it has that form.
func fold(name string) string {
	var buf [foldedSize]byte
	if folded := appendFolded(buf[:0], name); string(folded) != name {
		return string(folded)
	}
	return name
}

// sameName reports whether two names are equal without regard to case.
func sameName(a, b string) bool {
	if a == b {
		return true
	}
	var bufA, bufB [foldedSize]byte
	return string(appendFolded(bufA[:0], a)) == string(appendFolded(bufB[:0], b))
}

// shortName returns the length of the part of name before its domain, len(name) if it has none. A leading dot does
// not begin a domain.
func shortName[T string | []byte](name T) int {
	for i := 1; i < len(name); i++ {
		if name[i] == '.' {
			return i
		}
	}
	return len(name)
}
