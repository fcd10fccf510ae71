package loadbalance

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
	"servicebroker/servicetable"
)

func TestOrder(t *testing.T) {
	for _, c := range []struct {
		name string
		all  []servicetable.Candidate
		want string
	}{
		{"nobody", nil, ""},
		{"least loaded first", candidates(instance("a", 30, 100), instance("b", 10, 100), instance("c", 20, 100)), "b c a"},
		{"load per capacity", candidates(instance("small", 10, 20), instance("big", 50, 1000)), "big small"},
		{"equal ones as drawn", candidates(instance("a", 5, 10), instance("b", 5, 10)), "a b"},
		{"sessions before goodness", candidates(instance("a", 1, 100).goodness(9, 1), instance("b", 90, 100).goodness(3, 1)), "a b"},
		{"goodness for want of sessions", candidates(instance("a", 0, 0).goodness(9, 1), instance("b", 0, 0).goodness(3, 1)), "b a"},
		{"goodness zero is good", candidates(instance("a", 0, 0).goodness(9, 1), instance("b", 0, 0).goodness(0, 1)), "b a"},
		{"delta counts", candidates(instance("a", 0, 0).goodness(5, 10), instance("b", 0, 0).goodness(6, 1)), "b a"},
		{"no goodness: unknown means average", candidates(instance("bad", 0, 0).goodness(90, 1), instance("none", 0, 0), instance("good", 0, 0).goodness(2, 1)), "good none bad"},
		{"no capacity means average", candidates(instance("a", 50, 100), instance("b", 20, 0), instance("c", 5, 100)), "c b a"},
		{"no capacity anywhere", candidates(instance("a", 2, 0), instance("b", 1, 0)), "b a"},
		{"no report means average", candidates(instance("a", 90, 100), instance("b", 0, 0), instance("c", 10, 100)), "c b a"},
		{"capacity of the handler", candidates(instance("a", 10, 0).handler("DEDICATED", 0, 20), instance("b", 10, 0).handler("DEDICATED", 0, 40)), "b a"},
		{"handler load without instance load", candidates(instance("a", 0, 0).handler("DEDICATED", 8, 10), instance("b", 0, 0).handler("DEDICATED", 3, 10)), "b a"},
		{"node load for want of anything else", candidates(instance("a", 0, 0).node(80, 100), instance("b", 0, 0).node(2000, 40960)), "b a"},
		{"node load is not mixed in", candidates(instance("a", 1, 100).node(99, 100), instance("b", 2, 100).node(1, 100)), "a b"},
		{"nothing known", candidates(instance("a", 0, 0), instance("b", 0, 0)), "a b"},
		{"tiers before scores", candidates(
			instance("block", 0, 100).status(servicetable.Blocked), instance("restr", 0, 100).status(servicetable.Restricted),
			instance("stale", 0, 100).status(servicetable.Stale), instance("unkn", 0, 100).status(servicetable.Unknown), instance("ready", 99, 100)), "ready unkn stale restr block"},
		{"full handlers later", candidates(instance("a", 0, 100).handler("DEDICATED", 10, 10), instance("b", 90, 100)), "b a"},
		{"full but ready before unknown", candidates(instance("u", 0, 100).status(servicetable.Unknown), instance("a", 0, 100).handler("DEDICATED", 10, 10)), "a u"},
		{"instances take turns", slices.Concat(
			siblings(instance("a", 1, 100).handler("D000", 7, 100), instance("a", 1, 100).handler("D001", 3, 100), instance("a", 1, 100).handler("D002", 5, 100)),
			siblings(instance("b", 50, 100).handler("D000", 1, 100), instance("b", 50, 100).handler("D001", 0, 100))), "a/D001 b/D001 a/D002 b/D000 a/D000"},
		{"turns within a class", slices.Concat(
			siblings(instance("a", 1, 100).handler("D000", 9, 9), instance("a", 1, 100).handler("D001", 3, 100)),
			candidates(instance("b", 50, 100).handler("D000", 9, 9))), "a/D001 a/D000 b/D000"},
	} {
		b := newBalancer(tied)
		given := slices.Clone(c.all)
		if got := names(b.Order(Ask{}, c.all).Route()); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
		if !slices.Equal(given, c.all) {
			t.Errorf("%s: the candidates handed in were reordered", c.name)
		}
	}
}

// Whatever the figures, every candidate is tried once, and no later one is of a better class.
func TestRouteIsAPermutation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := newBalancer(seeded(rapid.Uint64().Draw(t, "seed")))
		small := rapid.Uint32Range(0, 3)
		var all []servicetable.Candidate
		for range rapid.IntRange(0, 12).Draw(t, "candidates") {
			c := instance(fmt.Sprintf("i%d", small.Draw(t, "instance")), small.Draw(t, "load"), small.Draw(t, "max")).
				goodness(small.Draw(t, "goodness"), small.Draw(t, "delta")).node(small.Draw(t, "node"), small.Draw(t, "node max")).
				handler(fmt.Sprintf("H%d", small.Draw(t, "handler")), small.Draw(t, "handler load"), small.Draw(t, "handler max")).
				status(servicetable.Status(rapid.IntRange(0, 4).Draw(t, "status")))
			all = append(all, c.candidate())
		}
		for range 3 {
			route := b.Order(Ask{Query: servicetable.Query{ColocationTag: rapid.SampledFrom([]string{"", "", "tag"}).Draw(t, "tag")}}, all).Route()
			left := slices.Clone(all)
			for i, c := range route {
				at := slices.Index(left, c)
				if at < 0 {
					t.Fatalf("%s is in the route twice, or was never given", names(route[i:i+1]))
				}
				left = slices.Delete(left, at, at+1)
				if i > 0 && classOf(&c, 0, "") < classOf(&route[i-1], 0, "") {
					t.Fatalf("place %d is of a better class than place %d", i, i-1)
				}
			}
			if len(left) > 0 {
				t.Fatalf("left out: %s", names(left))
			}
		}
	})
}

func TestTiesAreBrokenAtRandom(t *testing.T) {
	all := candidates(instance("a", 3, 10), instance("b", 3, 10), instance("c", 3, 10), instance("d", 3, 10))
	const runs = 4000
	first := map[string]int{}
	random := seeded(7)
	for range runs {
		b := newBalancer(random)
		first[names(b.Order(Ask{}, all).Route()[:1])]++
	}
	for _, name := range strings.Fields("a b c d") {
		if n := first[name]; n < runs/4-150 || n > runs/4+150 {
			t.Errorf("%s came first %d of %d times", name, n, runs)
		}
	}
}

func TestColocationTagKeepsConnectsTogether(t *testing.T) {
	var all []built
	for i := range 8 {
		all = append(all, instance(fmt.Sprintf("i%d", i), uint32(i), 400))
	}
	b := newBalancer(seeded(1))
	firstFor := func(tag string, c []servicetable.Candidate) string {
		return names(b.Order(Ask{Query: servicetable.Query{ColocationTag: tag}}, c).Route()[:1])
	}
	home := map[string]string{}
	used := map[string]bool{}
	for i := range 100 {
		tag := fmt.Sprintf("tag%d", i)
		home[tag] = firstFor(tag, candidates(all...))
		used[home[tag]] = true
		if again := firstFor(tag, candidates(all...)); again != home[tag] {
			t.Errorf("%s went to %s, then to %s", tag, home[tag], again)
		}
	}
	if len(used) != 8 {
		t.Errorf("100 tags use %d of 8 instances", len(used))
	}
	without := candidates(all[1:]...)
	for tag, was := range home {
		if now := firstFor(tag, without); was != "i0" && now != was {
			t.Errorf("%s moved from %s to %s because i0 left", tag, was, now)
		}
	}
	down := all[0].status(servicetable.Unknown)
	if got := firstFor("x", candidates(down, all[1])); got != "i1" {
		t.Errorf("a tag preferred %s to a ready instance", got)
	}
}
