package limits

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

func TestTheOldestOfTheLargestCrowdGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s Silent
		var gone []string
		enter := func(a netip.Addr, name string) *Quiet {
			defer func() { <-time.After(time.Millisecond) }()
			return s.Enter(a, func() { gone = append(gone, name) })
		}
		enter(two, "lone and oldest")
		first := enter(one, "first")
		enter(one, "second")
		enter(one, "third")
		enter(one, "fourth")
		s.Leave(first)
		s.Leave(first) // changes nothing
		if one, another := s.Evict(0), s.Evict(0); !one || !another {
			t.Error("there was none to evict")
		}
		if len(gone) != 2 || gone[0] != "second" || gone[1] != "third" {
			t.Errorf("gone: %v", gone)
		}
		if s.Evict(time.Hour) {
			t.Error("one was evicted that has only just come")
		}
		s.Evict(0)
		s.Evict(0)
		if now, evicted := s.Counts(); s.Evict(0) || now != 0 || evicted != 4 || len(s.sources) != 0 {
			t.Errorf("%d left, %d evicted, %d sources", now, evicted, len(s.sources))
		}
	})
}

func BenchmarkSilent(b *testing.B) {
	var s Silent
	for range 10_000 {
		s.Enter(two, nil)
	}
	for b.Loop() {
		s.Leave(s.Enter(one, nil))
	}
}
