package limits

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of what Guesses remember.
const (
	mostGuessers = 1 << 14 // client addresses that asked for what nobody has
	mostServed   = 1 << 14 // what which address was served; what is asked for more lately displaces other
)

// Guesses finds out which client addresses try names until one is right, and bounds how many they can try: who has asked for
// more different names that nobody has than Configure allows is answered as if nobody had any, but for what it was served
// before and what has come since. That is over when it has asked for no such name for as long as names are remembered.
// IPv6 addresses of one /64 are one. The zero value bounds nobody. Names are what the caller makes of them.
type Guesses struct {
	// Began is told of an address that is answered so from now on; may be nil. It must not wait.
	Began func(source netip.Prefix, names int)

	mu       sync.Mutex
	most     int
	within   time.Duration
	seed     uint64
	known    map[netip.Prefix]*guesser
	order    list[*guesser] // who asked last is last
	episodes uint64
	withheld uint64

	active atomic.Int64 // addresses that are answered so; no more are, as the last one found out
	served [mostServed]atomic.Uint64
}

// guesser is an address that asked for what nobody has.
type guesser struct {
	key    netip.Prefix
	place  link[*guesser]
	names  map[uint64]bool // at most as many as are allowed
	last   time.Time       // when one was asked for that is not among them
	since  time.Time       // it is answered so; zero: it is not
	counts int             // of such names, since then
}

// Configure sets how many names that nobody has an address may ask for, each within so long after the one before. 0: any
// number.
func (g *Guesses) Configure(most int, within time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.seed == 0 {
		g.seed = rand.Uint64() | 1
	}
	if g.most == most && g.within == within {
		return
	}
	g.most, g.within = most, within
	g.known, g.order = nil, list[*guesser]{}
	g.active.Store(0)
}

// hash is of a name of several parts, whatever their case.
func (g *Guesses) hash(parts ...string) uint64 {
	h := g.seed
	for _, part := range parts {
		for i := range len(part) {
			c := part[i]
			if 'A' <= c && c <= 'Z' {
				c |= 0x20
			}
			h = (h ^ uint64(c)) * 1099511628211
		}
		h = (h ^ 0x100) * 1099511628211
	}
	return h
}

// ofSource makes a hash one of an address.
func ofSource(hash uint64, key netip.Prefix) uint64 {
	for _, b := range key.Addr().As16() {
		hash = (hash ^ uint64(b)) * 1099511628211
	}
	return hash | 1 // so that it is never that of nothing
}

// Found notes that a client was served what it asked for.
func (g *Guesses) Found(a netip.Addr, name ...string) {
	h := ofSource(g.hash(name...), SourceOf(a))
	if at := &g.served[h>>32%mostServed]; at.Load() != h {
		at.Store(h)
	}
}

// wasServed tells whether a client was served that, as far as it is remembered.
func (g *Guesses) wasServed(key netip.Prefix, hash uint64) bool {
	h := ofSource(hash, key)
	return g.served[h>>32%mostServed].Load() == h
}

// Missed notes that a client asked for what nobody has.
func (g *Guesses) Missed(a netip.Addr, name ...string) {
	key, now := SourceOf(a), time.Now()
	g.mu.Lock()
	if g.most <= 0 || !key.IsValid() {
		g.mu.Unlock()
		return
	}
	one := g.find(key)
	began := g.count(one, g.hash(name...), now)
	names := one.counts
	g.mu.Unlock()
	if began && g.Began != nil {
		g.Began(key, names)
	}
}

// count enters a name, and tells whether it was one too many.
func (g *Guesses) count(one *guesser, hash uint64, now time.Time) (began bool) {
	g.over(one, now)
	if one.names[hash] {
		return false
	}
	one.last = now
	one.counts++
	if len(one.names) < g.most {
		one.names[hash] = true
		return false
	}
	if !one.since.IsZero() {
		return false
	}
	one.since = now
	g.episodes++
	g.active.Add(1)
	return true
}

// over forgets what an address asked for, if it has not for long.
func (g *Guesses) over(one *guesser, now time.Time) {
	if now.Sub(one.last) < g.within {
		return
	}
	if !one.since.IsZero() {
		g.active.Add(-1)
	}
	one.names, one.counts, one.since = map[uint64]bool{}, 0, time.Time{}
}

// Withholds tells whether a client is to be answered as if nobody had what it asks for. since tells when that came, and
// whether it is there; it is asked only of those who guess.
func (g *Guesses) Withholds(a netip.Addr, since func() (time.Time, bool), name ...string) bool {
	if g.active.Load() == 0 {
		return false
	}
	key, now := SourceOf(a), time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	one := g.known[key]
	if one == nil {
		return false
	}
	g.over(one, now)
	hash := g.hash(name...)
	if one.since.IsZero() || one.names[hash] || g.wasServed(key, hash) {
		return false
	}
	switch came, there := since(); {
	case !there:
		one.last = now
		one.counts++
	case came.After(one.since):
		return false
	}
	g.withheld++
	return true
}

func (g *Guesses) find(key netip.Prefix) *guesser {
	if one := g.known[key]; one != nil {
		g.order.renew(&one.place)
		return one
	}
	if g.known == nil {
		g.known = map[netip.Prefix]*guesser{}
	}
	if len(g.known) >= mostGuessers {
		oldest := g.order.first.of
		if !oldest.since.IsZero() {
			g.active.Add(-1)
		}
		g.order.remove(&oldest.place)
		delete(g.known, oldest.key)
	}
	one := &guesser{key: key, names: map[uint64]bool{}}
	one.place.of = one
	g.known[key] = one
	g.order.push(&one.place)
	return one
}

// GuessCounts is what Guesses know.
type GuessCounts struct {
	Now      int    // addresses that are answered as if nobody had anything
	Episodes uint64 // times that one began to be
	Withheld uint64 // connects that were
}

// Counts tells what was found out. It takes a moment where many are known.
func (g *Guesses) Counts() GuessCounts {
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, one := range g.known {
		if !one.since.IsZero() {
			g.over(one, now)
		}
	}
	return GuessCounts{Now: int(g.active.Load()), Episodes: g.episodes, Withheld: g.withheld}
}
