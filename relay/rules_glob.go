package relay

import (
	"strings"
	"unicode/utf8"
)

// fold returns text in the form in which names are compared: in lower case, and where
// it is no valid UTF-8 that of ASCII letters only, so that no two texts become one.
func fold(text string) string {
	for i := 0; i < len(text); i++ {
		if c := text[i]; c >= utf8.RuneSelf {
			if utf8.ValidString(text) {
				return strings.ToLower(text)
			}
			break
		}
	}
	for i := 0; i < len(text); i++ {
		if c := text[i]; 'A' <= c && c <= 'Z' {
			return string(lower([]byte(text)))
		}
	}
	return text
}

func lower(text []byte) []byte {
	for i, c := range text {
		if 'A' <= c && c <= 'Z' {
			text[i] = c + 'a' - 'A'
		}
	}
	return text
}

// fits is glob for a pattern that may be left out.
func fits(pattern, text string) bool { return pattern == "" || glob(pattern, text) }

// glob compares two folded texts; * in the pattern stands for any text, and nothing else
// is special. It takes time in proportion to the product of their lengths at worst.
//
// It also compares patterns: where glob(a, b) for a pattern b, everything that fits b
// fits a, and only then. For the stars of b can only have been taken by stars of a.
func glob(pattern, text string) bool {
	p, t, star, from := 0, 0, -1, 0
	for t < len(text) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, from = p, t
			p++
		case p < len(pattern) && pattern[p] == text[t]:
			p++
			t++
		case star >= 0: // let the last star take one more
			from++
			p, t = star+1, from
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// literals returns what a pattern begins and ends with before its first star and after its last.
func literals(pattern string) (begins, ends string, exact bool) {
	first := strings.IndexByte(pattern, '*')
	if first < 0 {
		return pattern, pattern, true
	}
	return pattern[:first], pattern[strings.LastIndexByte(pattern, '*')+1:], false
}

// PatternCovers reports whether every name that fits the pattern narrow, or narrow
// itself, fits wide. Neither is sensitive to case.
func PatternCovers(wide, narrow string) bool { return glob(fold(wide), fold(narrow)) }
