package servicetable

import "strings"

// Patterns of service names, the same wherever a setting, a rule or an operator gives one: case does not matter, * stands
// for any text, and no other character is special.

// Fold returns name in the form in which names are compared: lower case. Text that is not UTF-8 has only its ASCII letters
// folded, so that two such names never become one.
func Fold(name string) string { return fold(name) }

// Glob compares two folded texts; * in the pattern stands for any text. It takes time in proportion to the product of their
// lengths at worst.
//
// It also compares patterns: where Glob(a, b) for a pattern b, everything that fits b fits a, and only then. For the stars of
// b can only have been taken by stars of a.
func Glob(pattern, text string) bool {
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

// PatternCovers reports whether every text that fits the pattern narrow, or narrow itself, fits wide, domains disregarded.
func PatternCovers(wide, narrow string) bool { return Glob(fold(wide), fold(narrow)) }

// ServiceFits reports whether a service is one that pattern means: a pattern without a domain means it in any.
func ServiceFits(pattern, service string) bool {
	return CompileServicePattern(pattern).Fits(fold(service))
}

// ServicePattern is a pattern of services, ready to be compared with many.
type ServicePattern struct {
	folded string
	domain bool // it has one
}

// CompileServicePattern makes a pattern ready.
func CompileServicePattern(text string) ServicePattern {
	text = fold(text)
	return ServicePattern{folded: text, domain: shortName(text) < len(text)}
}

// CompileServicePatterns is CompileServicePattern for several.
func CompileServicePatterns(texts []string) []ServicePattern {
	all := make([]ServicePattern, len(texts))
	for i, text := range texts {
		all[i] = CompileServicePattern(text)
	}
	return all
}

// Fits is ServiceFits for a service in the form of Fold.
func (p ServicePattern) Fits(folded string) bool {
	if Glob(p.folded, folded) {
		return true
	}
	if p.domain {
		return false
	}
	short := shortName(folded)
	return short < len(folded) && Glob(p.folded, folded[:short])
}

// ServicesCovered reports whether every service that the pattern narrow means, by ServiceFits, is one that wide means. In
// doubt it is not.
func ServicesCovered(wide, narrow string) bool {
	wide, narrow = fold(wide), fold(narrow)
	if Glob(wide, narrow) {
		// Without a domain, narrow means the names that fit it in any domain as well. So does wide, unless it has one: *.b
		// fits .b, whose dot begins no domain, and does not mean .b.c.
		return shortName(narrow) < len(narrow) || shortName(wide) == len(wide) || Glob(wide, narrow+".*")
	}
	short := shortName(narrow)
	return short < len(narrow) && shortName(wide) == len(wide) && !strings.Contains(narrow[:short], "*") && Glob(wide, narrow[:short])
}
