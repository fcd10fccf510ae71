package dn

import (
	"strings"
	"testing"

	"servicebroker/testenv/fuzzing"
)

// FuzzPatterns: a name that is written without stars is a pattern of itself; what a pattern covers it also
// matches; and nothing takes more than its share of time, however many stars there are.
func FuzzPatterns(f *testing.F) {
	f.Add("CN=app1,O=x", "CN=a*,*")
	f.Add(`CN=a\,b+OU="x;y"`, "CN=*a*b*c*,O=*")
	f.Add(strings.Repeat("a=,", maxParts)+"a=", "*")
	f.Add("CN=M\xfcller", "CN=M\xe4ller")
	f.Add("CN=admİn\x00", "CN=admin")
	f.Add("CN="+strings.Repeat("a", 100), "CN="+strings.Repeat("*a", 50)+"b")
	f.Fuzz(func(t *testing.T, name, pattern string) {
		p, n := Compile(pattern), Parse(name)
		matches := p.Matches(n)
		if matches != Match(pattern, name) || matches && n.None() {
			t.Fatalf("%q and %q", pattern, name)
		}
		own := Compile(name)
		if !strings.Contains(name, "*") && Check(name) == nil && !n.None() {
			if !own.Matches(n) {
				t.Fatalf("%q does not match itself", name)
			}
			if p.Covers(own) && !matches {
				t.Fatalf("%q covers %q and does not match it", pattern, name)
			}
		}
		if Check(pattern) == nil && !p.Covers(p) {
			t.Fatalf("%q does not cover itself", pattern)
		}
	})
}

// FuzzCost tries long names and patterns of few pieces against each other.
func FuzzCost(f *testing.F) {
	f.Add([]byte("CN="), []byte("a"), []byte("CN="), []byte("*a"))
	f.Add([]byte(""), []byte("CN=a,"), []byte(""), []byte("CN=*,"))
	f.Add([]byte(`CN="`), []byte(`\"`), []byte("*,"), []byte("="))
	f.Fuzz(func(t *testing.T, head, unit, patternHead, patternUnit []byte) {
		name, pattern := long(head, unit), long(patternHead, patternUnit)
		fuzzing.Bounded(t, len(name)+len(pattern), func() {
			p := Compile(pattern)
			_, _, _ = p.Matches(Parse(name)), p.Covers(Compile(name)), Check(pattern)
		})
	})
}

func long(head, unit []byte) string {
	unit = unit[:min(len(unit), 64)]
	return string(head[:min(len(head), 64)]) + strings.Repeat(string(unit), 4096/max(1, len(unit)))
}
