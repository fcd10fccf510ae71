package registration

import (
	"strings"
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

func TestNormalDN(t *testing.T) {
	for _, same := range [][]string{
		{"CN=db1,O=Acme", "O=ACME, cn = db1", " o=Acme ,CN=Db1,"},
		{`O=Acme\, Inc.,CN=x`, `CN=x,O="Acme, Inc."`},
		{"", " ", ","},
	} {
		for _, dn := range same {
			if normalDN(dn) != normalDN(same[0]) {
				t.Errorf("%q is not %q: %q, %q", dn, same[0], normalDN(dn), normalDN(same[0]))
			}
		}
	}
	for _, c := range [][2]string{{`CN=a\,O=b`, "CN=a,O=b"}, {`CN="a,O=b"`, "CN=a,O=b"}, {"CN=a", "CN=a,O=b"}, {"CN=a\x00o=b", "CN=a,O=b"}, {"CN=a,CN=a", "CN=a"}, {`CN=a\\,O=b`, `CN=a\,O=b`}} {
		if normalDN(c[0]) == normalDN(c[1]) {
			t.Errorf("%q and %q are one", c[0], c[1])
		}
	}
}

func FuzzNormalDN(f *testing.F) {
	for _, s := range []string{"CN=db1,O=Acme", `O="Acme, Inc.",CN=x\`, `,=,\,`, "\x00=a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, dn string) {
		if n := normalDN(dn); strings.Count(n, "\x00") > strings.Count(dn, ",") {
			t.Errorf("%q has more parts than commas: %q", dn, n)
		}
	})
}
