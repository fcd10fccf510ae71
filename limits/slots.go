package limits

import (
	"net/netip"
	"sync"
)

// Slots are a few places for what must not be done for everybody at a time. Each source
// may have only part of them.
type Slots struct {
	Most, Each int

	mu    sync.Mutex
	now   int
	taken map[netip.Prefix]int
}

// SlotTaken is a place.
type SlotTaken struct {
	of     *Slots
	source netip.Prefix
}

// Take takes a place; nil if there is none.
func (s *Slots) Take(a netip.Addr) *SlotTaken {
	key := SourceOf(a)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now >= s.Most || s.taken[key] >= s.Each {
		return nil
	}
	if s.taken == nil {
		s.taken = map[netip.Prefix]int{}
	}
	s.now++
	s.taken[key]++
	return &SlotTaken{s, key}
}

// Release gives it back; of none, or a second time, it does nothing.
func (t *SlotTaken) Release() {
	if t == nil || t.of == nil {
		return
	}
	s := t.of
	t.of = nil
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now--
	if s.taken[t.source]--; s.taken[t.source] == 0 {
		delete(s.taken, t.source)
	}
}

// Now tells how many are taken.
func (s *Slots) Now() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}
