package broker

import (
	"cmp"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// shortageOver is how long a shortage must not have been noticed to be over.
const shortageOver = 5 * time.Second

// shortages are what this host has too little of at the moment. A shortage is told when it is
// noticed first and when it is over, however often it is noticed in between.
type shortages struct {
	log *slog.Logger

	mu     sync.Mutex
	now    map[shortageOf]*shortage
	totals map[shortageOf]uint64 // how often each was noticed since the start
}

// shortageOf tells shortages apart.
type shortageOf struct {
	operation string // what could not be done: accept, dial, open or serve
	resource  string // what there is too little of: descriptors, memory, ports …
}

type shortage struct {
	shortageOf
	since, last time.Time
	times       uint64
	cause       string // the first one, with what to do
}

// note notes that something could not be done. cause says why, and what to do.
func (s *shortages) note(of shortageOf, cause func() string) {
	now := time.Now()
	s.mu.Lock()
	if s.totals == nil {
		s.totals, s.now = map[shortageOf]uint64{}, map[shortageOf]*shortage{}
	}
	s.totals[of]++
	one := s.now[of]
	if one != nil {
		one.times, one.last = one.times+1, now
		s.mu.Unlock()
		return
	}
	one = &shortage{of, now, now, 1, cause()}
	s.now[of] = one
	s.mu.Unlock()
	s.log.Error("short of "+of.resource, "operation", of.operation, "cause", one.cause)
}

// end ends those that were not noticed lately.
func (s *shortages) end(now time.Time) {
	s.mu.Lock()
	var over []*shortage
	for of, one := range s.now {
		if now.Sub(one.last) >= shortageOver {
			over = append(over, one)
			delete(s.now, of)
		}
	}
	s.mu.Unlock()
	for _, one := range over {
		s.log.Info("no longer short of "+one.resource, "operation", one.operation, "times", one.times, "lasted", one.last.Sub(one.since).Round(time.Millisecond).String())
	}
}

// all lists those there are, oldest first.
func (s *shortages) all() []shortage {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]shortage, 0, len(s.now))
	for _, one := range s.now {
		list = append(list, *one)
	}
	slices.SortFunc(list, func(a, b shortage) int {
		return cmp.Or(a.since.Compare(b.since), cmp.Compare(a.operation, b.operation), cmp.Compare(a.resource, b.resource))
	})
	return list
}

// counts tells how often each was noticed since the start.
func (s *shortages) counts() map[shortageOf]uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	counts := make(map[shortageOf]uint64, len(s.totals))
	for of, n := range s.totals {
		counts[of] = n
	}
	return counts
}
