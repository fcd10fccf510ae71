package servicetable

import (
	"math/big"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestServicePatterns(t *testing.T) {
	for _, c := range []struct {
		pattern    string
		fits, does string // services that fit, and that do not
	}{
		{"sales", "sales SALES Sales.example.com sales.x", "sale sales1 hr .sales x.sales"},
		{"sales*", "sales sales1 sales.example.com SALES_RO.x", "sale mysales hr"},
		{"*sales", "sales mysales mysales.example.com", "sales1 hr"},
		{"*", "a a.b .c", ""},
		{"s*l*s", "sales ss1ls sls s.l.s", "sale sl"},
		{"sales.example.com", "sales.example.com SALES.EXAMPLE.COM", "sales sales.example.org sales.example.com.x"},
		{"*.example.com", "sales.example.com a.b.example.com", "sales example.com"},
		{"sales.*", "sales.a sales.a.b", "sales sales1.a"},
		{"s?les", "s?les", "sales"},
		{"[s]ales", "[s]ales", "sales"},
		{`s\ales`, `s\ales`, "sales"},
		{".sales", ".sales", "sales x.sales"},
		{"ÄRGER", "ärger", "arger"},
		{"\xc4", "\xc4", "\xe4"},
		{"", "", "a"},
	} {
		for _, service := range strings.Fields(c.fits) {
			if !ServiceFits(c.pattern, service) {
				t.Errorf("%q does not fit %q", service, c.pattern)
			}
		}
		for _, service := range strings.Fields(c.does) {
			if ServiceFits(c.pattern, service) {
				t.Errorf("%q fits %q", service, c.pattern)
			}
		}
	}
}

func TestServicesCovered(t *testing.T) {
	for _, c := range []struct {
		wide, narrow string
		want         bool
	}{
		{"a_*", "a_1", true}, {"a_*", "A_1", true}, {"a_*", "a_*", true}, {"a_*", "a_x*", true}, {"a_*", "a*", false}, {"a_*", "*", false}, {"*", "*", true}, {"*", "x.y", true},
		{"a_*", "a_1.example.com", true}, {"a_1", "a_1.example.com", true}, {"a_1", "a_1.*", true}, {"a_1", "a_1*", false}, {"a_1", "a*1.x", false}, {"a*1", "a*1.x", false},
		{"a_*.example.com", "a_1", false}, {"a_*.example.com", "a_1.example.com", true}, {"*.example.com", "*", false}, {"a", "", false}, {"", "a", false},
		{"*.b", ".b", false}, {"*.*", ".b", true}, {"*.b*", ".b", true}, {"**.b", ".b*", false}, {".b", ".b.c", true}, {".*", ".b", true},
	} {
		if got := ServicesCovered(c.wide, c.narrow); got != c.want {
			t.Errorf("%q covers %q: %v", c.wide, c.narrow, got)
		}
	}
}

// textsOf returns all texts of these letters that are no longer than most.
func textsOf(letters string, most int) []string {
	all := []string{""}
	for from, length := 0, 0; length < most; length++ {
		to := len(all)
		for ; from < to; from++ {
			for _, letter := range letters {
				all = append(all, all[from]+string(letter))
			}
		}
	}
	return all
}

// Of all short patterns, what is covered means no other service, and one name that is covered is found to be.
func TestServicesCoveredByTheirDefinition(t *testing.T) {
	names, patterns := textsOf("ab.", 6), textsOf("a.*", 4)
	means := make([]big.Int, len(patterns)) // a bit for each of names
	for i, pattern := range patterns {
		for j, name := range names {
			if ServiceFits(pattern, name) {
				means[i].SetBit(&means[i], j, 1)
			}
		}
	}
	var beyond big.Int
	for w, wide := range patterns {
		for n, narrow := range patterns {
			within := beyond.AndNot(&means[n], &means[w]).Sign() == 0
			if got := ServicesCovered(wide, narrow); got && !within || !got && within && !strings.Contains(narrow, "*") {
				t.Errorf("%q covers %q: %v", wide, narrow, got)
			}
		}
	}
}

func anyPattern() *rapid.Generator[string] { return rapid.StringMatching(`[abAB.*]{0,6}`) }

// Glob is what a regular expression makes of the pattern.
func TestGlobIsTheObviousExpression(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pattern, text := fold(anyPattern().Draw(t, "pattern")), fold(rapid.StringMatching(`[ab.]{0,8}`).Draw(t, "text"))
		want := regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, ".*") + "$").MatchString(text)
		if got := Glob(pattern, text); got != want {
			t.Fatalf("Glob(%q, %q) = %v", pattern, text, got)
		}
	})
}

// What is covered is never wrong: a service within narrow is within wide.
func TestCoveredServicesFit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		wide, narrow := anyPattern().Draw(t, "wide"), anyPattern().Draw(t, "narrow")
		service := strings.ReplaceAll(narrow, "*", rapid.StringMatching(`[ab.]{0,3}`).Draw(t, "star")) + rapid.StringMatching(`(\.[ab]{1,2})?`).Draw(t, "domain")
		if ServicesCovered(wide, narrow) && ServiceFits(narrow, service) && !ServiceFits(wide, service) {
			t.Fatalf("%q covers %q, but %q fits the second alone", wide, narrow, service)
		}
	})
}
