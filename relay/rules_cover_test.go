package relay

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"servicebroker/testenv/fuzzing"
)

func TestUnreachableRules(t *testing.T) {
	for _, c := range []struct {
		name  string
		rules []string
		want  string // rule<-those that cover it
	}{
		{"none", []string{"* * sales accept", "* * * reject"}, ""},
		{"the same again", []string{"* * sales accept", "* * SALES reject"}, "1<-[0]"},
		{"after everything", []string{"* * * reject", "* * sales accept", "10.0.0.1 db1 * log"}, "1<-[0] 2<-[0]"},
		{"a network in a network", []string{"10.0.0.0/8 * * reject", "10.1.0.0/16 * * accept"}, "1<-[0]"},
		{"a network around a network", []string{"10.1.0.0/16 * * reject", "10.0.0.0/8 * * accept"}, ""},
		{"a network beside a network", []string{"10.1.0.0/16 * * reject", "10.2.0.0/16 * * accept"}, ""},
		{"an address in a network", []string{"10.0.0.0/8 * * reject", "10.1.2.3 * * accept"}, "1<-[0]"},
		{"IPv4 in IPv6 form", []string{"10.0.0.0/8 * * reject", "::ffff:10.1.2.3 * * accept"}, "1<-[0]"},
		{"all of IPv4 is not all", []string{"0.0.0.0/0 * * reject", "* * * accept"}, ""},
		{"all of both is", []string{"0.0.0.0/0 * * reject", "::/0 * * reject", "* * * accept"}, "2<-[0 1]"},
		{"two halves", []string{"10.0.0.0/9 * * reject", "10.128.0.0/9 * * accept", "10.0.0.0/8 * * accept"}, "2<-[0 1]"},
		{"three of four quarters", []string{"10.0.0.0/10 * * reject", "10.64.0.0/10 * * accept", "10.192.0.0/10 * * accept", "10.0.0.0/8 * * accept"}, ""},
		{"uneven parts of IPv6", []string{"2001:db8::/33 * * accept", "2001:db8:8000::/34 * * accept", "2001:db8:c000::/34 * * drop", "2001:db8::/32 * * reject"}, "3<-[0 1 2]"},
		{"parts for another service", []string{"10.0.0.0/9 * * reject", "10.128.0.0/9 * hr accept", "10.0.0.0/8 * * accept"}, ""},
		{"parts after it", []string{"10.0.0.0/9 * * reject", "10.0.0.0/8 * * accept", "10.128.0.0/9 * * accept"}, "2<-[1]"},
		{"a host by name", []string{"apphost * * reject", "AppHost. * * accept"}, "1<-[0]"},
		{"a host by what it means is not known", []string{"apphost * * reject", "10.1.2.3 * * accept"}, ""},
		{"a name in a network is not known", []string{"10.0.0.0/8 * * reject", "apphost * * accept"}, ""},
		{"destination in a network", []string{"* 10.0.0.0/8 * reject", "* 10.9.0.1 * accept"}, "1<-[0]"},
		{"halves of destinations are left", []string{"* 10.0.0.0/9 * reject", "* 10.128.0.0/9 * reject", "* 10.0.0.0/8 * accept"}, ""},
		{"all addresses are not all hosts", []string{"* 0.0.0.0/0 * reject", "* ::/0 * reject", "* * * accept"}, ""},
		{"a pattern in a pattern", []string{"* * s*s reject", "* * sa*es accept"}, "1<-[0]"},
		{"a pattern around a pattern", []string{"* * sa*es reject", "* * s*s accept"}, ""},
		{"a name in a pattern", []string{"* * *ales reject", "* * sales accept"}, "1<-[0]"},
		{"a pattern is no name", []string{"* * sales reject", "* * sales* accept"}, ""},
		{"a leading dot begins no domain", []string{"* * *.b reject", "* * .b accept"}, ""},
		{"a SID has no domain", []string{"* * sales reject", "* * sales.world accept"}, ""},
		{"several names in patterns", []string{"* * s*|h* reject", "* * sales|hr accept"}, "1<-[0]"},
		{"one name in no pattern", []string{"* * s*|h* reject", "* * sales|hr|crm accept"}, ""},
		{"a narrower user", []string{"* * * reject USER=s*", "* * * accept USER=scott"}, "1<-[0]"},
		{"whoever it is", []string{"* * * reject USER=s*", "* * * accept"}, ""},
		{"any user is any", []string{"* * * reject USER=* PROGRAM=**", "* * * accept"}, "1<-[0]"},
		{"a narrower program", []string{"* * * reject PROGRAM=*plus*", "* * * accept PROGRAM=sqlplus*"}, "1<-[0]"},
		{"a certificate more", []string{"* * * reject", "* * * accept DN=CN=a"}, "1<-[0]"},
		{"a certificate less", []string{"* * * reject DN=CN=a", "* * * accept"}, ""},
		{"the same certificate", []string{"* * * reject DN=CN=a,O=x DN=CN=b", "* * * accept DN=cn=a,_o=X"}, "1<-[0]"},
		{"a narrower certificate", []string{"* * * reject DN=CN=*,*", "* * * accept DN=CN=a,O=x"}, "1<-[0]"},
		{"any certificate", []string{"* * * reject DN=*", "* * * accept DN=*,O=x"}, "1<-[0]"},
		{"log covers nothing", []string{"* * * log", "* * * accept"}, ""},
		{"log halves cover nothing", []string{"10.0.0.0/9 * * log", "10.128.0.0/9 * * accept", "10.0.0.0/8 * * accept"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := ""
			for _, u := range rulesOf(t, c.rules...).Unreachable() {
				if got != "" {
					got += " "
				}
				got += fmt.Sprintf("%d<-%v", u.Rule, u.By)
			}
			if got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

// No rule that is called unreachable ever matches.
func TestUnreachableRulesNeverMatch(t *testing.T) {
	found := 0
	rapid.Check(t, func(t *rapid.T) {
		d := drawing{t}
		rules := d.rules(40)
		never := rules.Unreachable()
		found += len(never)
		set := compiledAnyhow(rules)
		for range 20 {
			c := d.connect()
			m := set.begin(c.subject())
			decides := m.decide(context.Background(), candidateAt(d.destination(), c.table), byHost(hostsOfTest))
			for _, u := range never {
				if u.Rule == decides || slices.Contains(m.logged, u.Rule) {
					t.Fatalf("rule %d matched %+v, though %v come before, of\n%s", u.Rule, c, u.By, listed(rules))
				}
			}
			m.end()
		}
	})
	if found == 0 {
		t.Error("nothing was ever called unreachable")
	}
}

// Whatever one rule before it covers by itself is found.
func TestEveryCoveredRuleIsFound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rules := drawing{t}.rules(25)
		set := CompileRules(rules, nil)
		found := map[int]bool{}
		for _, u := range rules.Unreachable() {
			found[u.Rule] = true
		}
		for j := range set.rules {
			for i := range j {
				a, b := &set.rules[i], &set.rules[j]
				if a.coversAllBut(b) && coversHost(a.source, b.source) && !found[j] {
					t.Fatalf("rule %d is covered by %d and was not found, of\n%s", j, i, listed(rules))
				}
			}
		}
	})
}

func TestUnreachableAmongTenThousand(t *testing.T) {
	for _, kind := range []string{"patterns", "nested sources", "destination names", "mixed"} {
		rules, _, _ := manyRules(t, kind)
		rules = append(slices.Clone(rules), rules[:10]...)
		var got []Unreachable
		_, took := fuzzing.Cost(func() { got = rules.Unreachable() })
		if len(got) < 10 {
			t.Errorf("%s: %d found, want those that are there twice", kind, len(got))
		}
		if took > 20*time.Second {
			t.Errorf("%s: took %v", kind, took)
		} else {
			t.Logf("%s: %v, %d found", kind, took, len(got))
		}
	}
}
