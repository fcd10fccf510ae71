package loadbalance

import (
	"fmt"
	"math"
	"testing"
	"time"

	"servicebroker/servicetable"
)

// What an Oracle listener does, features.md 1.3.
func TestListenerOrder(t *testing.T) {
	for _, c := range []struct {
		name    string
		nodeOff bool
		all     []servicetable.Candidate
		want    string
	}{
		{"lowest goodness, whatever the load", false, candidates(instance("a", 1, 100).goodness(9, 1), instance("b", 90, 100).goodness(3, 1)), "b a"},
		{"goodness with its delta", false, candidates(instance("a", 0, 100).goodness(5, 10), instance("b", 0, 100).goodness(6, 1)), "b a"},
		{"least loaded machine", false, candidates(instance("a", 1, 100).node(30, 100), instance("b", 90, 100).node(20, 100)), "b a"},
		{"in parts of the maximum", false, candidates(instance("a", 1, 100).node(30, 100), instance("b", 90, 100).node(300, 10_000)), "b a"},
		{"then the least loaded instance", false, candidates(instance("a", 50, 100).node(30, 100), instance("b", 40, 100).node(30, 100)), "b a"},
		{"machines do not matter", true, candidates(instance("a", 1, 100).node(30, 100), instance("b", 90, 100).node(20, 100)), "a b"},
		{"then the least loaded dispatcher", false, candidates(instance("a", 5, 100).handler("D000", 7, 100), instance("b", 5, 100).handler("D000", 3, 100)), "b/D000 a/D000"},
		{"nothing known", false, candidates(instance("a", 0, 0), instance("b", 0, 0)), "a b"},
		{"half the weight", false, candidates(instance("a", 0, 100).goodness(6, 1).weight(50), instance("b", 0, 100).goodness(9, 1)), "b a"},
	} {
		b := newBalancer(tied)
		b.Configure(Settings{PreferNodeLoadOff: c.nodeOff})
		if got := names(b.Order(Ask{Policy: Goodness}, c.all).Route()); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// A listener counts what it hands out, and does not see it end: only the next report takes it back.
func TestListenerNeverCountsDown(t *testing.T) {
	b := newBalancer(tied)
	a, c := instance("a", 0, 100).goodness(0, 1), instance("c", 0, 100).goodness(5, 1)
	ask := Ask{Policy: Goodness}
	for range 5 {
		r := b.Order(ask, candidates(a, c))
		r.Settle(r.Route()[0])
		r.Release()
	}
	if got := names(b.Order(ask, candidates(a, c)).Route()); got != "a c" {
		t.Fatalf("5 and 5: %s", got)
	}
	if got := names(b.Order(ask, candidates(a, c)).Route()); got != "c a" {
		t.Errorf("five sessions that ended count no more: %s", got)
	}
	a = a.reports(0).goodness(1, 1)
	if got := names(b.Order(ask, candidates(a, c)).Route()); got != "a c" {
		t.Errorf("after the report: %s", got)
	}
}

func (b built) weight(percent uint32) built {
	b.s.Weight = servicetable.WeightOf(percent)
	return b
}

// A weight is a part of capacity, in every policy.
func TestWeights(t *testing.T) {
	for _, policy := range []Policy{Adaptive, Sessions, RoundRobin, Random} {
		b := newBalancer(seeded(1))
		b.Configure(Settings{Policy: policy})
		got := spread(b, candidates(instance("a", 0, 1000), instance("c", 0, 1000).weight(25)), 2000)
		if want := 1600; math.Abs(float64(got["a"]-want)) > 70 {
			t.Errorf("%v: %s, want 1600 to 400", policy, spreadText(got))
		}
	}
}

// Handlers of one instance share what their instance is given, in every policy.
func TestHandlersShareTheirInstance(t *testing.T) {
	two := siblings(instance("a", 0, 1000).handler("D0", 0, 500), instance("a", 0, 1000).handler("D1", 0, 500))
	all := append(two, instance("c", 0, 1000).candidate())
	for _, policy := range []Policy{Adaptive, Sessions, RoundRobin, Random} {
		b := newBalancer(seeded(4))
		b.Configure(Settings{Policy: policy})
		got := spread(b, all, 4000)
		if math.Abs(float64(got["c"]-2000)) > 120 || math.Abs(float64(got["a/D0"]-1000)) > 120 {
			t.Errorf("%v: %s, want half for each instance, a quarter for each handler", policy, spreadText(got))
		}
	}
}

// An instance that was away has its next turn, and no more than its share from then on.
func TestRoundRobinMakesUpForNothing(t *testing.T) {
	b := newBalancer(seeded(1))
	b.Configure(Settings{Policy: RoundRobin})
	a, c := instance("a", 0, 100), instance("c", 0, 100)
	spread(b, candidates(a, c), 10)
	spread(b, candidates(a), 1000)
	if got := spread(b, candidates(a, c), 20); got["c"] < 9 || got["c"] > 11 {
		t.Errorf("back from a pause: %s", spreadText(got))
	}
}

// Turns are even: of any run of connects, each instance has its part.
func TestRoundRobinIsEven(t *testing.T) {
	b := newBalancer(seeded(9))
	b.Configure(Settings{Policy: RoundRobin})
	all := candidates(instance("a", 0, 100), instance("b", 0, 200), instance("c", 0, 500))
	for round := range 200 {
		got := spread(b, all, 8)
		if got["a"] > 2 || got["b"] < 1 || got["b"] > 3 || got["c"] < 4 || got["c"] > 6 {
			t.Fatalf("round %d: %s", round, spreadText(got))
		}
	}
}

// The reports of an instance teach how long one is good for.
func TestReportIntervalIsLearnt(t *testing.T) {
	for _, c := range []struct {
		every time.Duration
		good  time.Duration // so long after the last
		bad   time.Duration
	}{
		{10 * time.Second, 29 * time.Second, 50 * time.Second},
		{time.Minute, 3 * time.Minute, 3*time.Minute + time.Second},
		{10 * time.Minute, 29 * time.Minute, 31 * time.Minute},
		{time.Second, 15 * time.Second, 30 * time.Second},
	} {
		now := reported()
		b := Balancer{Random: tied, Now: func() time.Time { return now }}
		a := instance("a", 5, 100)
		policyAfter := func(age time.Duration) string {
			now = a.r.LoadAt.Add(age)
			r := b.Order(Ask{Redirect: true}, candidates(a))
			defer r.Release()
			return r.Policy()
		}
		for range 25 {
			a.r.LoadAt = a.r.LoadAt.Add(c.every)
			policyAfter(0)
		}
		if got := policyAfter(c.good); got != "adaptive" {
			t.Errorf("reports every %v, the last %v ago: %s", c.every, c.good, got)
		}
		if got := policyAfter(c.bad); got == "adaptive" {
			t.Errorf("reports every %v, the last %v ago is still used", c.every, c.bad)
		}
	}
}

// A database that reports once and never again is believed for three intervals.
func TestOnlyOneReport(t *testing.T) {
	now := reported()
	b := Balancer{Random: tied, Now: func() time.Time { return now }}
	b.Configure(Settings{ReportInterval: 10 * time.Second})
	all := candidates(instance("a", 90, 100), instance("c", 10, 100))
	for age, want := range map[time.Duration]bool{0: true, 30 * time.Second: true, 31 * time.Second: false, time.Hour: false} {
		now = reported().Add(age)
		r := b.Order(Ask{Redirect: true}, all)
		if got := r.Policy() == "adaptive"; got != want {
			t.Errorf("%v after the only report: %s", age, r.Policy())
		}
		r.Release()
	}
}

// A tag's connects go elsewhere once their instance has too much more than its share, and come back.
func TestColocationIsBounded(t *testing.T) {
	b := newBalancer(seeded(1))
	var all []servicetable.Candidate
	for i := range 4 {
		all = append(all, instance(fmt.Sprintf("i%d", i), 0, 100).candidate())
	}
	ask := Ask{Query: servicetable.Query{ColocationTag: "t"}}
	var open []*Reservation
	got := map[string]int{}
	for range 400 {
		r := b.Order(ask, all)
		got[names(r.Route()[:1])]++
		open = append(open, r)
	}
	home := names(b.Order(ask, all).Route()[:1])
	for name, n := range got {
		if n > 136 {
			t.Errorf("%s has %d of 400, want at most a quarter of that and its slack", name, n)
		}
	}
	for _, r := range open {
		r.Release()
	}
	first := names(b.Order(ask, all).Route()[:1])
	if got[first] < 100 {
		t.Errorf("with nothing to do, %s has the tag; it had %d before (%s at the end)", first, got[first], home)
	}
}

// Capacity decides how many tags prefer an instance, slow start does not.
func TestTagsByCapacity(t *testing.T) {
	b := newBalancer(seeded(1))
	now := reported()
	b.Now = func() time.Time { return now }
	small, big := instance("small", 0, 1000), instance("big", 0, 3000)
	homes := func() (n int, all string) {
		for i := range 1000 {
			r := b.Order(Ask{Query: servicetable.Query{ColocationTag: fmt.Sprint(i)}}, candidates(small, big))
			first := names(r.Route()[:1])
			r.Release()
			if all += first; first == "big" {
				n++
			}
		}
		return n, all
	}
	n, before := homes()
	if n < 700 || n > 800 {
		t.Errorf("%d of 1000 tags prefer an instance of three quarters", n)
	}
	b.Recovered("big@h")
	if _, after := homes(); after != before {
		t.Error("slow start moved tags")
	}
}

// Connects that ask for one instance, or for a kind of handler, do not disturb the turns of the others.
func TestNarrowQueriesAreApart(t *testing.T) {
	b := newBalancer(tied)
	b.Configure(Settings{Policy: RoundRobin})
	all := candidates(instance("a", 0, 100), instance("c", 0, 100))
	wide := map[string]int{}
	for range 100 {
		wide[names(b.Order(Ask{Query: servicetable.Query{Service: "s"}}, all).Route()[:1])]++
		b.Order(Ask{Query: servicetable.Query{Service: "s", Instance: "a"}}, all[:1])
	}
	if wide["a"] != 50 || wide["c"] != 50 {
		t.Errorf("%v", wide)
	}
}

// An instance that is full of sessions of another service is full for this one as well.
func TestServicesShareTheirInstances(t *testing.T) {
	b := newBalancer(tied)
	a, c := instance("a", 0, 100), instance("c", 0, 100)
	other := a
	other.s.Name = "other"
	for range 10 {
		connect(b, candidates(other))
	}
	got := map[string]int{}
	for range 10 {
		name, _ := connect(b, candidates(a, c))
		got[name]++
	}
	if got["c"] != 10 {
		t.Errorf("ten connects: %v, want all where no session of another service is", got)
	}
}

// What was decided for one ask leaves nothing behind for the next, whatever its policy, tag and tiers.
func TestAsksDoNotDisturbEachOther(t *testing.T) {
	tiers, _ := ParseTiers("c;a")
	for _, first := range []Ask{
		{Query: servicetable.Query{ColocationTag: "t"}}, {Policy: Goodness}, {Policy: RoundRobin}, {Policy: Random}, {Tiers: tiers}, {Redirect: true},
	} {
		alone, after := newBalancer(tied), newBalancer(tied)
		all := candidates(instance("a", 3, 100), instance("b", 0, 0), instance("c", 60, 100).goodness(4, 1))
		for range 50 {
			after.Order(first, all).Release()
		}
		for _, ask := range []Ask{{}, {Redirect: true}, {Policy: Sessions}, {Policy: Goodness}} {
			want, got := alone.Explain(ask, all), after.Explain(ask, all)
			for i := range want {
				if want[i] != got[i] {
					t.Errorf("after %+v, place %d: %+v, want %+v", first, i, got[i], want[i])
				}
			}
		}
	}
	b := newBalancer(tied)
	all := candidates(instance("a", 50, 100), instance("c", 49, 100))
	tagged := Ask{Query: servicetable.Query{ColocationTag: "t"}}
	for range 80 {
		b.Order(tagged, all) // some instance has more than its share at last
	}
	for _, v := range b.Explain(Ask{}, all) {
		if v.PassedOver != "" {
			t.Errorf("without a tag, %s is passed over because %q", v.Key, v.PassedOver)
		}
	}
}
