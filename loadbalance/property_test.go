package loadbalance

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
	"servicebroker/servicetable"
)

// machine plays random connects, reports, restarts and ends against a balancer, and keeps its own count.
type machine struct {
	now       time.Time
	balancer  *Balancer
	instances []built
	pending   []played
	relayed   []played
	redirects []played
	ended     []*Reservation
}

type played struct {
	*Reservation
	at int // instance
}

func newMachine(t *rapid.T) *machine {
	m := &machine{now: reported()}
	m.balancer = &Balancer{Random: seeded(rapid.Uint64().Draw(t, "seed")), Now: func() time.Time { return m.now }}
	for i := range rapid.IntRange(1, 4).Draw(t, "instances") {
		m.instances = append(m.instances, instance(fmt.Sprintf("i%d", i), 0, 100).goodness(1, 1))
	}
	return m
}

func (m *machine) index(c servicetable.Candidate) int {
	return slices.IndexFunc(m.instances, func(b built) bool { return b.r.Instance == c.Registration.Instance })
}

func (m *machine) connect(t *rapid.T) {
	ask := Ask{
		Redirect: rapid.Bool().Draw(t, "redirect"),
		Policy:   Policy(rapid.IntRange(0, 5).Draw(t, "policy")),
		Query:    servicetable.Query{ColocationTag: rapid.SampledFrom([]string{"", "", "tag"}).Draw(t, "tag")},
	}
	r := m.balancer.Order(ask, candidates(m.instances...))
	if len(r.Route()) != len(m.instances) {
		t.Fatalf("route of %d for %d candidates", len(r.Route()), len(m.instances))
	}
	m.pending = append(m.pending, played{r, m.index(r.Route()[0])})
}

// take removes a random one of all.
func take(t *rapid.T, all *[]played) (played, bool) {
	if len(*all) == 0 {
		return played{}, false
	}
	i := rapid.IntRange(0, len(*all)-1).Draw(t, "which")
	p := (*all)[i]
	*all = slices.Delete(*all, i, i+1)
	return p, true
}

func (m *machine) settle(t *rapid.T) {
	p, some := take(t, &m.pending)
	if !some {
		return
	}
	p.at = rapid.IntRange(0, len(m.instances)-1).Draw(t, "answers")
	p.Settle(candidates(m.instances...)[p.at])
	if p.redirect {
		m.redirects = append(m.redirects, p)
	} else {
		m.relayed = append(m.relayed, p)
	}
}

func (m *machine) end(t *rapid.T) {
	from := rapid.SampledFrom([]*[]played{&m.pending, &m.relayed, &m.redirects}).Draw(t, "of")
	if p, some := take(t, from); some {
		p.Release()
		m.ended = append(m.ended, p.Reservation)
	}
}

// again ends what has ended already, which must not count.
func (m *machine) again(t *rapid.T) {
	for _, r := range m.ended {
		r.Release()
		r.Settle(m.instances[0].candidate())
		r.Release()
	}
}

func (m *machine) report(t *rapid.T) {
	b := &m.instances[rapid.IntRange(0, len(m.instances)-1).Draw(t, "reporter")]
	b.r.Load, b.r.LoadAt = rapid.Uint32Range(0, 50).Draw(t, "load"), m.now
	if rapid.IntRange(0, 5).Draw(t, "restart") == 0 {
		b.r.ID += "'"
	}
}

func (m *machine) pass(t *rapid.T) {
	m.now = m.now.Add(time.Duration(rapid.IntRange(1, 120_000).Draw(t, "milliseconds")) * time.Millisecond)
}

// check compares the balancer's counts with those of the machine.
func (m *machine) check(t *rapid.T) {
	at := func(all []played, i int) (n int) {
		for _, p := range all {
			if p.at == i {
				n++
			}
		}
		return n
	}
	for i := range m.instances {
		tally := m.balancer.tallies[instanceKey{m.instances[i].r.Instance, "h"}]
		if tally == nil {
			continue
		}
		for name, c := range map[string]*count{"instance": &tally.whole, "service": tally.services["s"], "handler": tally.handlers["DEDICATED"]} {
			if c == nil {
				continue
			}
			if c.pending != at(m.pending, i) || c.open != at(m.relayed, i) {
				t.Fatalf("%s %d: %d under way, %d open; want %d and %d", name, i, c.pending, c.open, at(m.pending, i), at(m.relayed, i))
			}
			if c.relayed < -tally.reported || c.redirected < 0 || c.faded.fresh < 0 || c.faded.fresh > c.faded.all+1e-9 {
				t.Fatalf("%s %d: %+v", name, i, c)
			}
		}
	}
}

// Counts never leak nor go astray, whatever happens in whatever order; once all has ended they are nought.
func TestCountsHoldWhateverHappens(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newMachine(t)
		t.Repeat(map[string]func(*rapid.T){
			"connect": m.connect, "connect again": m.connect, "settle": m.settle, "end": m.end, "end twice": m.again,
			"report": m.report, "pass": m.pass, "": m.check,
		})
		for _, all := range [][]played{m.pending, m.relayed, m.redirects} {
			for _, p := range all {
				p.Release()
			}
		}
		m.pending, m.relayed, m.redirects = nil, nil, nil
		m.check(t)
	})
}

// The order of the candidates handed in does not matter, and a decision that is explained is the one that is made.
func TestExplainedAsDecided(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := newBalancer(tied)
		var all []servicetable.Candidate
		for i := range rapid.IntRange(1, 20).Draw(t, "candidates") {
			load := rapid.Uint32Range(0, 1000).Draw(t, "load")*20 + uint32(i)
			all = append(all, instance(fmt.Sprintf("i%d", i), load, 30_000).candidate())
		}
		ask := Ask{Redirect: rapid.Bool().Draw(t, "redirect"), Policy: rapid.SampledFrom([]Policy{Adaptive, Sessions, RoundRobin}).Draw(t, "policy")}
		for range 3 {
			explained := b.Explain(ask, all)
			r := b.Order(ask, all)
			for i, v := range r.Verdicts() {
				if v != explained[i] {
					t.Fatalf("place %d: explained %+v, decided %+v", i, explained[i], v)
				}
				if c := r.Route()[i]; v.Key != c.Registration.HandlerKey(c.Handler) {
					t.Fatalf("place %d: verdict about %s, route has %s", i, v.Key, c.Registration.Instance)
				}
			}
			r.Settle(r.Route()[0])
		}
	})
}

// Reused reservations behave as new ones.
func TestReservationsCanBeReused(t *testing.T) {
	b, again := newBalancer(seeded(1)), newBalancer(seeded(1))
	all := candidates(instance("a", 3, 100), instance("b", 1, 100), instance("c", 2, 100))
	var r Reservation
	for i := range 200 {
		ask := Ask{Redirect: i%2 == 0, Policy: Policy(i % 6)}
		fresh := again.Order(ask, all)
		b.Reserve(&r, ask, all)
		if got, want := names(r.Route()), names(fresh.Route()); got != want {
			t.Fatalf("connect %d: %s, want %s", i, got, want)
		}
		if i%3 == 0 {
			fresh.Settle(all[0])
			r.Settle(all[0])
		}
		if i%3 == 1 || !ask.Redirect {
			fresh.Release()
			r.Release()
		}
	}
}
