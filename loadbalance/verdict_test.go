package loadbalance

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"servicebroker/journal"
	"servicebroker/servicetable"
)

// Every figure that decided is told.
func TestVerdicts(t *testing.T) {
	now := reported()
	b := Balancer{Random: tied, Now: func() time.Time { return now }}
	b.Configure(Settings{Brokers: 2})
	a, c := instance("a", 30, 100), instance("c", 40, 200)
	a.r.Zone, a.r.Tier = "west", 1
	c.r.Tier = 1
	a.s.Weight = servicetable.WeightOf(50)
	all := candidates(a, c)
	b.Order(Ask{Redirect: true}, all).Settle(all[0])
	now = now.Add(time.Minute)
	r := b.Order(Ask{Redirect: true}, all)
	got := r.Verdicts()
	const e = 0.36787944 // what is left after one mean length
	want := []journal.Candidate{
		{Key: "c@h/DEDICATED", Score: (40*e + 1.5) / 200, Inputs: journal.Inputs{
			Status: "READY", Tier: 1, Reported: 40, Measure: "sessions", ReportAgeMS: 60_000, Aged: 40 * e, Capacity: 200, TauMS: 60_000, Brokers: 2, Weight: 100, SlowStart: 1}},
		{Key: "a@h/DEDICATED", Score: (30*e + 2*e + 1.5) / 50, Inputs: journal.Inputs{
			Status: "READY", Tier: 1, Zone: "west", Reported: 30, Measure: "sessions", ReportAgeMS: 60_000, Aged: 30 * e, Own: 2 * e, Capacity: 50, TauMS: 60_000, Brokers: 2, Weight: 50, SlowStart: 1}},
	}
	close := cmp.Comparer(func(x, y float64) bool { return x-y < 1e-5 && y-x < 1e-5 })
	if diff := cmp.Diff(want, got, close); diff != "" {
		t.Error(diff)
	}
	if r.Policy() != "adaptive" {
		t.Errorf("policy %q", r.Policy())
	}
	r.Settle(all[0])
	if r.Verdicts() != nil || r.Route() != nil {
		t.Error("a settled reservation still tells of its candidates")
	}
}

func TestVerdictsAreBounded(t *testing.T) {
	var all []servicetable.Candidate
	for i := range 100 {
		all = append(all, instance(fmt.Sprintf("i%d", i), uint32(i), 1000).candidate())
	}
	b := newBalancer(nil)
	if got := b.Explain(Ask{}, all); len(got) != maxVerdicts || got[0].Key != "i0@h/DEDICATED" {
		t.Errorf("%d verdicts, the first about %s", len(got), got[0].Key)
	}
	if got := b.Explain(Ask{}, nil); got != nil {
		t.Errorf("verdicts %v about nobody", got)
	}
	if tally := b.tallies[instanceKey{"i0", "h"}]; tally.whole.pending != 0 {
		t.Error("what was only explained was counted")
	}
}

func TestTagsAreTold(t *testing.T) {
	b := newBalancer(tied)
	all := candidates(instance("a", 0, 100), instance("c", 0, 100))
	ask := Ask{Query: servicetable.Query{ColocationTag: "t"}}
	home := names(b.Order(ask, all).Route()[:1]) + "@h/DEDICATED"
	for range 100 {
		r := b.Order(ask, all)
		if r.Policy() != "colocation tag" {
			t.Fatalf("policy %q", r.Policy())
		}
		if v := r.Verdicts()[1]; v.Key == home {
			if v.PassedOver != "it has more than its share for a colocation tag" {
				t.Errorf("%+v", v)
			}
			return
		}
	}
	t.Error("100 connects of one tag went to one of two instances")
}
