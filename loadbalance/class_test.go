package loadbalance

import (
	"testing"

	"servicebroker/servicetable"
)

// classes are candidates each of which is better than all that follow, and why.
func classes() (all []built, why []string) {
	best := instance("a", 0, 100)
	best.r.Zone = "ours"
	add := func(name, reason string, change func(*built)) {
		b := best
		b.r.Instance, b.r.ID = name, servicetable.ID(name)
		change(&b)
		all, why = append(all, b), append(why, reason)
	}
	full := func(b *built) { b.h.Load, b.h.Max = 10, 10 }
	add("a", "", func(*built) {})
	add("zone", "others are in this broker's zone", func(b *built) { b.r.Zone = "other" })
	add("forwards", "its handler leads to another instance", func(b *built) { b.c.Forwards = true })
	add("full", "its handler is at its maximum", full)
	add("tier", "others are of a preferred tier", func(b *built) { b.r.Tier = 1 })
	add("low tier", "others are of a preferred tier", func(b *built) { b.r.Tier = 9000 })
	add("unknown", "others are in a better state", func(b *built) { b.c.Status = servicetable.Unknown })
	add("stale", "others are in a better state", func(b *built) { b.c.Status = servicetable.Stale })
	add("restricted", "others are in a better state", func(b *built) { b.c.Status = servicetable.Restricted })
	add("blocked", "others are in a better state", func(b *built) { b.c.Status = servicetable.Blocked; full(b); b.r.Tier = 1 << 30 })
	add("weight", "its weight is 0", func(b *built) { b.s.Weight = servicetable.WeightOf(0) })
	return all, why
}

// What is of a better class comes first however loaded it is, in all policies, and verdicts say so.
func TestClassesBeforeScores(t *testing.T) {
	all, why := classes()
	for i := range all {
		all[i].r.Load = uint32(90 - i)
	}
	backwards := make([]built, len(all))
	want := ""
	for i, b := range all {
		backwards[len(all)-1-i] = b
		want += " " + b.r.Instance
	}
	for _, policy := range []Policy{Adaptive, Goodness, Sessions, RoundRobin, Random} {
		b := newBalancer(seeded(5))
		b.Configure(Settings{Zone: "ours"})
		r := b.Order(Ask{Policy: policy}, candidates(backwards...))
		if got := " " + names(r.Route()); got != want {
			t.Errorf("%v: %s, want %s", policy, got, want)
		}
		for i, v := range r.Verdicts() {
			if v.PassedOver != why[i] {
				t.Errorf("%v: %s is passed over because %q, want %q", policy, v.Key, v.PassedOver, why[i])
			}
		}
	}
}

// Alone, even the worst is used.
func TestWorstClassAlone(t *testing.T) {
	all, _ := classes()
	for _, c := range all {
		b := newBalancer(tied)
		if got := names(b.Order(Ask{}, candidates(c)).Route()); got != c.r.Instance {
			t.Errorf("route %q for %s alone", got, c.r.Instance)
		}
	}
}
