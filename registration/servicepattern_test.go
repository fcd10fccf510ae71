package registration

import (
	"testing"
)

func TestServicePatterns(t *testing.T) {
	for _, c := range []struct {
		pattern string
		yes, no []string
	}{
		{"sales", []string{"sales", "SALES", "sales.example.com", "Sales.evil.org"}, []string{"sales2", "mysales", "", "sale"}},
		{"Sales.Example.com", []string{"sales.example.com", "SALES"}, []string{"sales.evil.org", "sales2", "sales.example.com.au"}},
		{"sales*", []string{"sales", "sales2.x", "salesXDB"}, []string{"mysales", "sale"}},
		{"*.example.com", []string{"hr.example.com", "a.b.example.com"}, []string{"hr", "hr.example.org", "example.com"}},
		{"s*s.a", []string{"sales.a", "SS.A", "sales"}, []string{"sales.b", "sale"}},
		{"*", []string{"anything", "a.b"}, nil},
		{"a*b*c", []string{"abc", "axbxc", "aXbYbZc.dom"}, []string{"ac", "acb", "ab"}},
		{"aa*aa", []string{"aaaa", "aaxaa"}, []string{"aaa", "aa"}},
		{`"quoted" `, []string{"quoted"}, []string{`"quoted"`}},
	} {
		p, ok := newServicePattern(c.pattern)
		if !ok {
			t.Fatalf("%q is empty", c.pattern)
		}
		for _, name := range c.yes {
			if !p.matches(newServiceName(name)) {
				t.Errorf("%q does not match %q", c.pattern, name)
			}
		}
		for _, name := range c.no {
			if p.matches(newServiceName(name)) {
				t.Errorf("%q matches %q", c.pattern, name)
			}
		}
	}
	for _, empty := range []string{"", "  ", `""`} {
		if _, ok := newServicePattern(empty); ok {
			t.Errorf("%q is a pattern", empty)
		}
	}
}
