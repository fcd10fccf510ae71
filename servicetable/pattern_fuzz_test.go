package servicetable

import (
	"regexp"
	"strings"
	"testing"

	"servicebroker/testenv/fuzzing"
)

// FuzzPatterns compares patterns with regular expressions of the same meaning, and patterns of patterns with
// the names they mean: what a pattern covers, it also fits.
func FuzzPatterns(f *testing.F) {
	f.Add("sal*", "sales", "s*s")
	f.Add("*a*b*", "xaxbx.example.com", "*")
	f.Add("a.*", "a.b", "a")
	f.Add("*.b", ".b.c", ".b")
	f.Fuzz(func(t *testing.T, pattern, name, narrow string) {
		if len(pattern) > 100 || len(name) > 1000 || len(narrow) > 100 {
			return
		}
		parts := strings.Split(Fold(pattern), "*")
		for i := range parts {
			parts[i] = regexp.QuoteMeta(strings.ToValidUTF8(parts[i], "?"))
		}
		valid := pattern == strings.ToValidUTF8(pattern, "?") && name == strings.ToValidUTF8(name, "?")
		if valid {
			want := regexp.MustCompile("(?s)^" + strings.Join(parts, ".*") + "$").MatchString(Fold(name))
			if got := Glob(Fold(pattern), Fold(name)); got != want {
				t.Fatalf("Glob(%q, %q) = %v", pattern, name, got)
			}
		}
		if Glob(Fold(pattern), Fold(name)) && !ServiceFits(pattern, name) {
			t.Fatalf("%q fits %q and does not mean it", pattern, name)
		}
		if PatternCovers(pattern, narrow) && Glob(Fold(narrow), Fold(name)) && !Glob(Fold(pattern), Fold(name)) {
			t.Fatalf("%q covers %q, which fits %q, and does not", pattern, narrow, name)
		}
		if ServicesCovered(pattern, narrow) && ServiceFits(narrow, name) && !ServiceFits(pattern, name) {
			t.Fatalf("%q covers %q, which means %q, and does not", pattern, narrow, name)
		}
	})
}

// FuzzPatternCost tries patterns of many stars on names that nearly fit.
func FuzzPatternCost(f *testing.F) {
	f.Add([]byte("*a"), []byte("a"), []byte("b"))
	f.Add([]byte("*"), []byte("*a"), []byte(""))
	f.Fuzz(func(t *testing.T, unit, text, end []byte) {
		long := func(unit []byte, most int) string {
			unit = unit[:min(len(unit), 32)]
			return strings.Repeat(string(unit), most/max(1, len(unit)))
		}
		pattern, name := long(unit, 512)+string(end), long(text, 4096)
		fuzzing.Bounded(t, len(pattern)+len(name), func() {
			_, _, _ = ServiceFits(pattern, name), ServicesCovered(pattern, name), PatternCovers(pattern, name)
		})
	})
}
