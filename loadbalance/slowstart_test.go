package loadbalance

import (
	"testing"
	"time"

	"servicebroker/servicetable"
)

// young returns a balancer in use for an hour with an old instance, and the clock.
func young(t *testing.T) (b *Balancer, old built, now *time.Time) {
	clock := reported()
	now = &clock
	b = &Balancer{Random: seeded(2), Now: func() time.Time { return *now }}
	old = instance("old", 0, 1000)
	old.r.RegisteredAt = clock.Add(-time.Hour)
	_, r := connect(b, candidates(old))
	r.Release()
	*now = now.Add(time.Hour)
	old.r.LoadAt = *now
	return b, old, now
}

// share returns which part of 200 connects the second candidate gets; they end at once.
func share(b *Balancer, policy Policy, all []servicetable.Candidate) float64 {
	var open []*Reservation
	n := 0
	for range 200 {
		r := b.Order(Ask{Policy: policy}, all)
		if r.Route()[0] == all[1] {
			n++
		}
		open = append(open, r)
	}
	for _, r := range open {
		r.Release()
	}
	return float64(n) / 200
}

func TestSlowStart(t *testing.T) {
	for _, policy := range []Policy{Adaptive, Sessions, RoundRobin} {
		b, old, now := young(t)
		fresh := instance("new", 0, 1000)
		fresh.r.RegisteredAt, fresh.r.LoadAt = *now, *now
		all := candidates(old, fresh)
		begin := *now
		for _, c := range []struct {
			age  time.Duration
			want float64
		}{{0, 0.05 / 1.05}, {15 * time.Second, 0.25 / 1.25}, {30 * time.Second, 0.5 / 1.5}, {59 * time.Second, 0.495}, {time.Minute, 0.5}, {time.Hour, 0.5}} {
			*now = begin.Add(c.age)
			if got := share(b, policy, all); got < c.want-0.02 || got > c.want+0.02 {
				t.Errorf("%v: %v after it came it gets %.3f of all, want %.3f", policy, c.age, got, c.want)
			}
		}
	}
}

func TestWhoIsNotStartedSlowly(t *testing.T) {
	b, old, now := young(t)
	tied := instance("second", 0, 1000)
	tied.r.LoadAt = *now
	tied.r.RegisteredAt = now.Add(-30 * time.Minute) // it was there, nobody asked for it
	if got := share(b, Sessions, candidates(old, tied)); got < 0.49 || got > 0.51 {
		t.Errorf("an instance seen for the first time long after it registered gets %.3f", got)
	}
	// Its link was cut, and it registers anew at once.
	*now = now.Add(time.Second)
	tied.r.ID, tied.r.RegisteredAt = "another", *now
	if got := share(b, Sessions, candidates(old, tied)); got < 0.49 || got > 0.51 {
		t.Errorf("after its link was cut it gets %.3f", got)
	}
	// It is away for a while.
	*now = now.Add(10 * time.Minute)
	tied.r.ID, tied.r.RegisteredAt = "a third", *now
	if got := share(b, Sessions, candidates(old, tied)); got > 0.08 {
		t.Errorf("after it was away it gets %.3f at once", got)
	}
	b.Configure(Settings{SlowStart: -1})
	if got := share(b, Sessions, candidates(old, tied)); got < 0.49 || got > 0.51 {
		t.Errorf("with slow start off it gets %.3f", got)
	}
}

// A broker that was restarted sees its databases come back one after the other: none is measured against the others.
func TestBrokerRestartIsNoSlowStart(t *testing.T) {
	now := reported()
	b := Balancer{Random: seeded(1), Now: func() time.Time { return now }}
	b.Configure(Settings{})
	first, second := instance("first", 0, 1000), instance("second", 0, 1000)
	first.r.RegisteredAt = now.Add(time.Second)
	now = now.Add(40 * time.Second)
	second.r.RegisteredAt = now
	if got := share(&b, Sessions, candidates(first, second)); got < 0.49 || got > 0.51 {
		t.Errorf("the second to come back gets %.3f", got)
	}
}

// A service that was blocked at an instance starts slowly there once it is not, and so does one that can be reached again.
func TestRecoveryStartsSlowly(t *testing.T) {
	b, old, now := young(t)
	was := instance("was", 0, 1000)
	was.r.LoadAt = *now
	was.r.RegisteredAt = now.Add(-time.Hour)
	all := candidates(old, was)
	if got := share(b, Sessions, all); got < 0.49 {
		t.Fatalf("before: %.3f", got)
	}
	version := func(flags uint32) *servicetable.Registration {
		r := was.r
		r.Services = []servicetable.Service{{Name: "s", Flags: flags}, {Name: "other", Flags: servicetable.FlagUnblocked}}
		return &r
	}
	ready, blocked := version(servicetable.FlagUnblocked), version(0)
	b.Note(nil, ready)
	b.Note(ready, blocked)
	b.Note(ready, ready)
	if got := share(b, Sessions, all); got < 0.49 {
		t.Errorf("what became no readier gets %.3f", got)
	}
	b.Note(blocked, ready)
	if got := share(b, Sessions, all); got > 0.08 {
		t.Errorf("after it was blocked it gets %.3f at once", got)
	}
	*now = now.Add(2 * time.Minute)
	if got := share(b, Sessions, all); got < 0.49 {
		t.Errorf("two minutes later it gets %.3f", got)
	}
	b.Recovered("was@h")
	b.Recovered("nobody@h")
	if got := share(b, Sessions, all); got > 0.08 {
		t.Errorf("when it can be reached again it gets %.3f at once", got)
	}
	b.Note(ready, nil)
	b.Note(version(0), nil)
}

// Notes about instances that nobody asks for leave nothing behind once they are gone.
func TestNotesAreForgotten(t *testing.T) {
	b := newBalancer(tied)
	r := instance("a", 0, 1).r
	r.Services = []servicetable.Service{{Name: "s"}}
	up := r
	up.Services = []servicetable.Service{{Name: "s", Flags: servicetable.FlagUnblocked}}
	b.Note(&r, &up)
	if len(b.tallies) != 1 {
		t.Fatalf("%d instances known", len(b.tallies))
	}
	b.Note(&up, nil)
	if len(b.tallies) != 0 {
		t.Errorf("%d instances remembered", len(b.tallies))
	}
}
