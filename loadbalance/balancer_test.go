package loadbalance

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"servicebroker/servicetable"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConnectsSpreadWithinOneReport(t *testing.T) {
	for _, c := range []struct {
		name string
		all  []servicetable.Candidate
		want map[string]int
	}{
		{"two equal instances", candidates(instance("a", 0, 100), instance("b", 0, 100)), map[string]int{"a": 500, "b": 500}},
		{"capacities 1:3", candidates(instance("a", 0, 100), instance("b", 0, 300)), map[string]int{"a": 250, "b": 750}},
		{"head start is made up for", candidates(instance("a", 400, 10_000), instance("b", 0, 10_000)), map[string]int{"a": 300, "b": 700}},
		{"without any figures", candidates(instance("a", 0, 0), instance("b", 0, 0)), map[string]int{"a": 500, "b": 500}},
		{"goodness and delta", candidates(instance("a", 0, 0).goodness(1, 1), instance("b", 0, 0).goodness(1, 3)), map[string]int{"a": 750, "b": 250}},
		{"delta zero counts as one", candidates(instance("a", 0, 0).goodness(1, 0), instance("b", 0, 0).goodness(1, 0)), map[string]int{"a": 500, "b": 500}},
		{"handlers of one instance", siblings(instance("a", 0, 100).handler("D0", 0, 100), instance("a", 0, 100).handler("D1", 0, 300)), map[string]int{"a/D0": 250, "a/D1": 750}},
		{"handlers without instance load", candidates(instance("a", 0, 0).handler("X", 0, 10), instance("b", 0, 0).handler("X", 0, 30)), map[string]int{"a/X": 250, "b/X": 750}},
		{"node load alone", candidates(instance("a", 0, 0).node(10, 100), instance("b", 0, 0).node(10, 100)), map[string]int{"a": 500, "b": 500}},
	} {
		b := newBalancer(seeded(3))
		got := spread(b, c.all, 1000)
		for name, want := range c.want {
			if n := got[name]; n < want-1 || n > want+1 {
				t.Errorf("%s: %s, want %s", c.name, spreadText(got), spreadText(c.want))
				break
			}
		}
	}
}

// One hand-out is counted before it is settled, so that a burst of connects does not go to one place.
func TestReservationsCountAtOnce(t *testing.T) {
	b := newBalancer(seeded(1))
	all := candidates(instance("a", 0, 100), instance("b", 0, 100), instance("c", 0, 100))
	first := map[string]int{}
	for range 30 {
		first[names(b.Order(Ask{}, all).Route()[:1])]++
	}
	if first["a"] != 10 || first["b"] != 10 || first["c"] != 10 {
		t.Errorf("30 connects under way: %s", spreadText(first))
	}
}

func TestSettleMovesTheCount(t *testing.T) {
	b := newBalancer(tied)
	all := candidates(instance("a", 0, 100), instance("b", 0, 100), instance("c", 0, 100))
	r := b.Order(Ask{}, all)
	if got := names(r.Route()); got != "a b c" {
		t.Fatalf("route %s", got)
	}
	r.Settle(all[1])
	if got := names(b.Order(Ask{}, all).Route()); got != "a c b" {
		t.Errorf("after b answered for a: %s", got)
	}
	r.Settle(all[2])
	r.Settle(all[2])
	if got := names(b.Order(Ask{}, all).Route()); got != "b a c" {
		t.Errorf("after the count moved on to c: %s", got)
	}
	if len(r.Route()) != 0 {
		t.Errorf("a settled reservation keeps the route %s in memory", names(r.Route()))
	}
}

func TestReleaseIsCountedOnce(t *testing.T) {
	b := newBalancer(tied)
	all := candidates(instance("a", 5, 100), instance("b", 6, 100))
	for name, end := range map[string]func(*Reservation){
		"never came about": func(*Reservation) {},
		"session over":     func(r *Reservation) { r.Settle(all[0]) },
		"settled late":     func(r *Reservation) { r.Release(); r.Settle(all[1]) },
	} {
		r := b.Order(Ask{}, all)
		end(r)
		r.Release()
		r.Release()
		probe := b.Order(Ask{}, all)
		got := names(probe.Route())
		probe.Release()
		if got != "a b" {
			t.Errorf("%s: then the order is %s", name, got)
		}
		for _, c := range all {
			if own := b.tallies.of(c.Registration).whole.change(); own != 0 {
				t.Errorf("%s: %d left counted at %s", name, own, c.Registration.Instance)
			}
		}
	}
}

func TestNothingToOrder(t *testing.T) {
	var b Balancer
	r := b.Order(Ask{}, nil)
	if len(r.Route()) != 0 {
		t.Errorf("route %s of nobody", names(r.Route()))
	}
	c := instance("a", 0, 100).candidate()
	r.Settle(c)
	if own := b.tallies.of(c.Registration).whole.change(); own != 1 {
		t.Errorf("%d counted for an answer from outside the route", own)
	}
	r.Release()
	b.Order(Ask{}, nil).Release()
}

// Redirects are never released: the next report contains them, or shows that they never came.
func TestReportVoidsRedirects(t *testing.T) {
	b := newBalancer(tied)
	a, c := instance("a", 0, 100), instance("c", 10, 100)
	if got := spread(b, candidates(a, c), 10); got["a"] != 10 {
		t.Fatalf("ten connects: %s", spreadText(got))
	}
	if got := names(b.Order(Ask{}, candidates(a, c)).Route()); got != "a c" {
		t.Fatalf("then %s", got)
	}
	if got := names(b.Order(Ask{}, candidates(a, c)).Route()); got != "c a" {
		t.Fatalf("with one more under way, %s", got)
	}
	if got := names(b.Order(Ask{}, candidates(a.reports(0), c)).Route()); got != "a c" {
		t.Errorf("after a reported none of them: %s", got)
	}
	whole := b.tallies[instanceKey{"a", "h"}].whole
	if whole.relayed != 0 || whole.pending != 2 {
		t.Errorf("after the report %+v; want no change, and two connects that it cannot contain", whole)
	}
}

// A session that the report contains is counted by the report alone; when it ends, that counts at once.
func TestSessionsAndReports(t *testing.T) {
	b := newBalancer(tied)
	a, c := instance("a", 0, 100), instance("c", 6, 100)
	var open []*Reservation
	for range 5 {
		name, r := connect(b, candidates(a, c))
		if name != "a" {
			t.Fatalf("connect went to %s", name)
		}
		open = append(open, r)
	}
	a = a.reports(8)
	order := func() string {
		r := b.Order(Ask{}, candidates(a, c))
		defer r.Release()
		return names(r.Route())
	}
	if got := order(); got != "c a" {
		t.Errorf("8 reported against 6: %s", got)
	}
	open[0].Release()
	if got := order(); got != "c a" {
		t.Errorf("one of 8 ended: %s", got)
	}
	open[1].Release()
	open[2].Release()
	if got := order(); got != "a c" {
		t.Errorf("three of 8 ended: %s", got)
	}
}

// Sessions that die with their instance are released after it has come back without them.
func TestSessionsOfADeadInstanceLeaveNoCredit(t *testing.T) {
	b := newBalancer(tied)
	a, c := instance("a", 0, 100), instance("c", 0, 100)
	var open []*Reservation
	for range 100 {
		_, r := connect(b, candidates(a))
		open = append(open, r)
	}
	a = a.reports(1)
	a.r.ID = "another connection"
	b.Order(Ask{}, candidates(a)).Release()
	for _, r := range open {
		r.Release()
	}
	if got := spread(b, candidates(a, c), 100); got["a"] < 49 || got["a"] > 51 {
		t.Errorf("after the restart: %s", spreadText(got))
	}
}

// An older snapshot may still be in use when a newer one was seen: its report changes nothing.
func TestOlderReportIsIgnored(t *testing.T) {
	b := newBalancer(tied)
	old := instance("a", 0, 100)
	newer := old.reports(3)
	b.Now = func() time.Time { return newer.r.LoadAt }
	_, r := connect(b, candidates(newer))
	b.Order(Ask{}, candidates(old)).Release()
	if own := b.tallies.of(newer.candidate().Registration).whole.change(); own != 1 {
		t.Errorf("own count %d after an older report", own)
	}
	r.Release()
}

func TestCountsBelongToTheServiceForGoodness(t *testing.T) {
	b := newBalancer(tied)
	a, c := instance("a", 0, 0).goodness(5, 5), instance("c", 0, 0).goodness(12, 5)
	other := a
	other.s.Name = "other"
	r := &a.r
	sales, other2 := a.candidate(), other.candidate()
	sales.Registration, other2.Registration = r, r
	for range 20 {
		connect(b, []servicetable.Candidate{other2})
	}
	if got := names(b.Order(Ask{}, []servicetable.Candidate{sales, c.candidate()}).Route()); got != "a c" {
		t.Errorf("connects of another service changed the order to %s", got)
	}
}

func TestTwoConnectionsOfOneInstanceShareItsCount(t *testing.T) {
	b := newBalancer(tied)
	one, two := instance("a", 0, 100), instance("a", 0, 100)
	two.r.ID = "second"
	got := spread(b, candidates(one, two, instance("b", 0, 100)), 1000)
	if got["a"] < 499 || got["a"] > 501 {
		t.Errorf("an instance registered twice: %s", spreadText(got))
	}
}

// A service, an instance, a handler that nobody asks for any more is forgotten, but not the sessions that last.
func TestWhatIsIdleIsForgotten(t *testing.T) {
	now := reported()
	b := Balancer{Random: tied, Now: func() time.Time { return now }}
	stays := candidates(instance("stays", 0, 100))
	_, session := connect(&b, stays)
	const fleeting = 2000
	var open []*Reservation
	for i := range fleeting {
		now = now.Add(time.Second)
		c := instance(fmt.Sprintf("i%d", i), 0, 100)
		c.s.Name = fmt.Sprintf("s%d", i%700)
		if _, r := connect(&b, candidates(c)); i%200 == 0 {
			open = append(open, r)
		} else {
			r.Release()
		}
		b.Order(Ask{}, stays).Release()
	}
	now = now.Add(time.Duration(idleLimit))
	for range 3 * fleeting {
		now = now.Add(time.Second)
		b.Order(Ask{}, stays).Release()
	}
	if len(b.groups) != 1 || len(b.ring) != 1 || len(b.tallies) != 1+len(open) {
		t.Errorf("%d services and %d instances remembered, want 1 and the %d with sessions", len(b.groups), len(b.tallies), 1+len(open))
	}
	for _, r := range open {
		r.Release()
	}
	if len(b.tallies) != 1 {
		t.Errorf("%d instances remembered after their sessions ended", len(b.tallies))
	}
	if own := b.tallies.of(stays[0].Registration).whole.open; own != 1 {
		t.Errorf("%d counted at the instance that stayed, want its session", own)
	}
	session.Release()
}

func TestReportsAndReconnectsLeaveNothingBehind(t *testing.T) {
	now := reported()
	b := Balancer{Random: tied, Now: func() time.Time { return now }}
	a := instance("a", 0, 100)
	for i := range 600 {
		now = now.Add(time.Minute)
		a = a.reports(uint32(i))
		if i%10 == 0 {
			a.r.ID = servicetable.ID(fmt.Sprintf("c%d", i))
		}
		a.s.Name, a.h.Name = fmt.Sprintf("s%d", i), fmt.Sprintf("D%d", i)
		_, r := connect(&b, candidates(a))
		r.Release()
	}
	tally := b.tallies[instanceKey{"a", "h"}]
	if limit := int(idleLimit/float64(time.Minute)) * 2; len(b.groups) > limit || len(tally.services) > limit || len(tally.handlers) > limit {
		t.Errorf("left: %d groups, %d services, %d handlers", len(b.groups), len(tally.services), len(tally.handlers))
	}
}

func TestConcurrentConnects(t *testing.T) {
	b := newBalancer(nil)
	all := candidates(instance("a", 0, 100), instance("b", 0, 100))
	const workers, each = 8, 125
	var mu sync.Mutex
	var open []*Reservation
	count := map[string]int{}
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range each {
				name, r := connect(b, all)
				mu.Lock()
				count[name]++
				open = append(open, r)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if n := count["a"]; n < 499 || n > 501 {
		t.Errorf("%d connects at once: %s", workers*each, spreadText(count))
	}
	for chunk := range slices.Chunk(open, each) {
		wg.Go(func() {
			for _, r := range chunk {
				r.Release()
				r.Release()
			}
		})
	}
	wg.Wait()
	for _, c := range all {
		if own := b.tallies.of(c.Registration).whole.change(); own != 0 {
			t.Errorf("%d left at %s", own, c.Registration.Instance)
		}
	}
}
