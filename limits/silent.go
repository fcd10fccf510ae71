package limits

import (
	"math/bits"
	"net/netip"
	"sync"
	"time"
)

// Silent are connections that have not said yet what they want. Where there are too many,
// the oldest of a source that has most of them has to go. The zero value is ready.
type Silent struct {
	mu      sync.Mutex
	sources map[netip.Prefix]*crowd
	bySize  [32]list[*crowd] // those with 2^(i-1) to 2^i-1 at i
	now     int
	evicted uint64
}

// crowd is what one source has.
type crowd struct {
	key   netip.Prefix
	place link[*crowd]
	at    int // in bySize
	all   list[*Quiet]
}

// Quiet is one connection that says nothing yet.
type Quiet struct {
	crowd *crowd
	since time.Time
	end   func()
	place link[*Quiet]
}

// Enter adds one. end closes it; it must not block, nor call Silent.
func (s *Silent) Enter(a netip.Addr, end func()) *Quiet {
	key := SourceOf(a)
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.sources[key]
	if c == nil {
		if s.sources == nil {
			s.sources = map[netip.Prefix]*crowd{}
		}
		c = &crowd{key: key}
		c.place.of = c
		s.sources[key] = c
	}
	l := &Quiet{crowd: c, since: time.Now(), end: end}
	l.place.of = l
	c.all.push(&l.place)
	s.now++
	s.sort(c)
	return l
}

// Leave takes one out that has spoken or is gone. Further calls do nothing.
func (s *Silent) Leave(l *Quiet) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(l)
}

func (s *Silent) remove(l *Quiet) {
	c := l.crowd
	if c == nil {
		return
	}
	l.crowd = nil
	c.all.remove(&l.place)
	s.now--
	s.sort(c)
}

// sort puts a crowd where one of its size belongs.
func (s *Silent) sort(c *crowd) {
	at := bits.Len(uint(c.all.n))
	if at == c.at {
		return
	}
	if c.at > 0 {
		s.bySize[c.at].remove(&c.place)
	}
	if c.at = at; at == 0 {
		delete(s.sources, c.key)
		return
	}
	s.bySize[at].push(&c.place)
}

// Evict ends the oldest of a source that has most, within a factor of two, if it has been
// silent for at least so long. It reports whether there was one.
func (s *Silent) Evict(atLeast time.Duration) bool { return s.EvictFrom(1, atLeast) }

// EvictFrom is Evict, if that source has at least so many.
func (s *Silent) EvictFrom(many int, atLeast time.Duration) bool {
	s.mu.Lock()
	var oldest *Quiet
	for i := len(s.bySize) - 1; i > 0 && oldest == nil; i-- {
		if s.bySize[i].n > 0 {
			oldest = s.bySize[i].first.of.all.first.of
		}
	}
	if oldest == nil || oldest.crowd.all.n < many || time.Since(oldest.since) < atLeast {
		s.mu.Unlock()
		return false
	}
	s.remove(oldest)
	s.evicted++
	s.mu.Unlock()
	oldest.end()
	return true
}

// Counts tells how many are silent now and how many had to go.
func (s *Silent) Counts() (now int, evicted uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now, s.evicted
}
