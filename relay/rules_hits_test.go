package relay

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"servicebroker/tns"
)

func TestHitsSurviveAReload(t *testing.T) {
	first := CompileRules(rulesOf(t, "* * sales accept", "* * hr accept", "* * hr accept", "* * crm accept"), nil)
	for i, n := range []int{1, 2, 3, 4} {
		for range n {
			first.hits[i].count(time.Unix(int64(100*n), 0))
		}
	}
	grouped := ruleOf(t, "* * crm accept")
	grouped.Group = "crm"
	second := CompileRules(append(rulesOf(t, "* * new accept", "* * hr accept", "* * sales accept", "* * sales reject", "* * hr accept"), grouped), first)
	for i, want := range []uint64{0, 2, 1, 0, 3, 0} {
		s := second.Status()[i]
		if s.Matched != want || s.Last.IsZero() != (want == 0) {
			t.Errorf("%s: matched %d, last %v, want %d", s.Rule.Text, s.Matched, s.Last, want)
		}
	}
	first.hits[1].count(time.Unix(1000, 0)) // by a connect that began before
	if s := second.Status()[1]; s.Matched != 3 || !s.Last.Equal(time.Unix(1000, 0)) || s.Name != "2" {
		t.Errorf("%+v", s)
	}
}

func TestNoRulesHaveNoStatus(t *testing.T) {
	var none *RuleSet
	if none.Status() != nil || none.Len() != 0 || none.Names() != nil {
		t.Error("there are rules where there are none")
	}
	none.Refresh(t.Context(), hostsOfTest)
	if allowed, rule := none.Allows(t.Context(), nil, nil); !allowed || rule != nil {
		t.Error("no rules forbid")
	}
}

// A connect that is tried again and again counts once for each rule that had a part in it.
func TestConnectsAreCountedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := compiled(t, rulesOf(t, "* * * log", "* db1 * reject", "* * * accept"))
		d := &dialogue{conn: &tns.Conn{}}
		for range 5 {
			j := set.judge(t.Context(), connectOf{from: "10.1.2.3", service: "sales"}.subject(),
				append(candidatesAt("db1", "db2"), candidatesAt("db2", "db1")...), byHost(hostsOfTest))
			d.countRules(j.counted)
			<-time.After(time.Second)
		}
		for i, s := range set.Status() {
			if s.Matched != 1 || !s.Last.Equal(time.Now().Add(-5*time.Second)) {
				t.Errorf("rule %d: %d, last %v", i, s.Matched, s.Last)
			}
		}
	})
}

func TestManyDecideAtOnce(t *testing.T) {
	rules := rulesOf(t, "10.1.0.0/16 * * log", "apphost db1 * accept", "* 10.9.0.0/16 s* reject", "* * * drop")
	set := compiled(t, rules)
	var all sync.WaitGroup
	for _, c := range []connectOf{{from: "10.1.2.3", service: "sales"}, {from: "10.2.0.1", service: "sales"}, {from: "2001:db8::3", service: "hr"}} {
		for range 4 {
			all.Go(func() {
				for range 200 {
					for _, host := range []string{"db1", "db2", "db6"} {
						want, _ := plainly(rules, c, host)
						m := set.begin(c.subject())
						if got := m.decide(t.Context(), candidateAt(host, c.table), byHost(hostsOfTest)); got != want {
							t.Errorf("%+v to %s: %d, want %d", c, host, got, want)
						}
						m.end()
					}
				}
			})
		}
	}
	all.Go(func() {
		for range 50 {
			set.Refresh(t.Context(), hostsOfTest)
			set.Status()
		}
	})
	all.Wait()
}
