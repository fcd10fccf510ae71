package intent

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestServiceFits(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"sales", "sales", true},
		{"SALES", "sales", true},
		{"sales", "sales.example.com", true},
		{"sales", "sales2.example.com", false},
		{"sales.example.com", "SALES.example.com", true},
		{"sales.example.com", "sales", false}, // another service may have that name
		{"sales.example.com", "sales.example.org", false},
		{"sales*", "sales2.example.com", true},
		{"*sales", "eusales.example.com", true},
		{"*.example.com", "sales.example.com", true},
		{"*.example.com", "sales", false},
		{"*", "sales", true},
		{"*", "", false},
		{"**a*", "bab", true},
		{"a*a", "a", false},
		{"ab*ba", "aba", false},
		{"a*b*c", "aXbXbXc", true},
		{"a*b*c", "aXcXb", false},
		{".hidden", ".hidden", true},
		{".hidden", ".hidden.example.com", true}, // a leading dot does not begin a domain
		{"stra\u00dfe", "STRA\u00dfE", true},
		{"\u00e4b", "\u00c4B", true},
		{"\xe4b", "\xe4B", true}, // not UTF-8: only the ASCII letters fold
		{"\xe4b", "\xc4b", false},
	} {
		if got := serviceFits(c.pattern, c.name); got != c.want {
			t.Errorf("service %q, pattern %q: %v", c.name, c.pattern, got)
		}
	}
}

// slowFits is fits by trying everything.
func slowFits(pattern, name string) bool {
	switch {
	case pattern == "":
		return name == ""
	case pattern[0] == '*':
		for i := 0; i <= len(name); i++ {
			if slowFits(pattern[1:], name[i:]) {
				return true
			}
		}
		return false
	}
	return name != "" && strings.EqualFold(pattern[:1], name[:1]) && slowFits(pattern[1:], name[1:])
}

func TestFitsAgreesWithTryingEverything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pattern := rapid.StringMatching(`[abA*]{1,8}`).Draw(t, "pattern")
		name := rapid.StringMatching(`[abB]{1,10}`).Draw(t, "name")
		if got, want := fits(pattern, name), slowFits(pattern, name); got != want {
			t.Fatalf("fits(%q, %q) = %v, want %v", pattern, name, got, want)
		}
	})
}
