package dns

import (
	"strings"
	"testing"

	wire "github.com/miekg/dns"
	"pgregory.net/rapid"

	"servicebroker/discovery"
)

func TestNamesAreMadeSafe(t *testing.T) {
	long := strings.Repeat("a", 70)
	for text, want := range map[string]string{
		"Sales":                   "sales",
		"sales_rw":                "sales-rw",
		"sales.eu.Example":        "sales.eu.example",
		"_tcp":                    "tcp",
		"..a..b..":                "a.b",
		"größe":                   "gr--e",
		"a b\n(c)":                "a-b--c",
		"$$$":                     discovery.Hashed("x", "$$$"),
		"":                        discovery.Hashed("x", ""),
		long:                      discovery.Hashed(long, long),
		long + ".b":               discovery.Hashed(long, long) + ".b",
		"sales.db.example":        "sales.db.example",
		"a-" + long[:60]:          "a-" + long[:60],
		"-" + long[:60]:           long[:60],
		strings.Repeat("a.", 150): discovery.Hashed("a", strings.Repeat("a.", 150)),
	} {
		if got := safe(text); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}

func TestAnyNameIsSafe(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		texts := rapid.SliceOfN(rapid.OneOf(rapid.String(), rapid.StringMatching(`[ab_.-]{0,8}`)), 1, 20).Draw(t, "texts")
		n, _ := rule("service", "db.example.", func(name string) bool { return name == "ns" }).Allot(texts)
		taken := map[string]string{}
		for _, text := range texts {
			name := n.Of(text)
			if _, ok := wire.IsDomainName(name + ".db.example."); !ok || name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-.") != "" {
				t.Fatalf("%q is %q", text, name)
			}
			for _, label := range strings.Split(name, ".") {
				if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
					t.Fatalf("%q is %q", text, name)
				}
			}
			if other, there := taken[name]; there && other != strings.ToLower(text) {
				t.Fatalf("%q and %q are both %q", text, other, name)
			}
			taken[name] = strings.ToLower(text)
		}
	})
}

func TestCollisionsAreReportedAndWhoseNameItIsKeepsIt(t *testing.T) {
	n, problems := rule("service", "db.example.", func(name string) bool { return name == "ns" }).Allot([]string{"a_b", "A-B", "a b", "ns", "sales.db.example", "crm"})
	for text, want := range map[string]string{
		"a-b": "a-b", "a_b": discovery.Hashed("a-b", "a_b"), "a b": discovery.Hashed("a-b", "a b"), "NS": discovery.Hashed("ns", "ns"), "sales.db.example": "sales", "crm": "crm",
	} {
		if got := n.Of(text); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
	if len(problems) != 3 || !strings.Contains(problems[0], `"a b" is published as`) || !strings.Contains(problems[2], "reserved") {
		t.Errorf("problems: %q", problems)
	}
}
