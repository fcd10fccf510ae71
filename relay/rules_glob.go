package relay

import (
	"strings"

	"servicebroker/servicetable"
)

// fold and glob are how all patterns are compared.
func fold(text string) string        { return servicetable.Fold(text) }
func glob(pattern, text string) bool { return servicetable.Glob(pattern, text) }

// fits is glob for a pattern that may be left out.
func fits(pattern, text string) bool { return pattern == "" || glob(pattern, text) }

// literals returns what a pattern begins and ends with before its first star and after its last.
func literals(pattern string) (begins, ends string, exact bool) {
	first := strings.IndexByte(pattern, '*')
	if first < 0 {
		return pattern, pattern, true
	}
	return pattern[:first], pattern[strings.LastIndexByte(pattern, '*')+1:], false
}
