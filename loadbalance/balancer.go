// Package loadbalance decides in which order to try the candidates of a query.
//
// A decision (decision.go, score.go, ranking.go) is reckoned from figures, time and chance that are handed in. What
// lasts from one to the next is what no database reports: what this broker itself did since the last report (count.go,
// tally.go), and what is known of each service (group.go).
package loadbalance

import (
	"math/rand/v2"
	"sync"
	"time"

	"servicebroker/journal"
	"servicebroker/servicetable"
)

// Balancer orders candidates by load, with its own connects counted in. The zero value is ready to use; set fields
// before the first call. All methods may be called from any goroutine.
type Balancer struct {
	Now    func() time.Time // nil: time.Now
	Random func() uint64    // where ties are drawn from, called under a lock; nil: math/rand/v2. Always 0: earlier candidates win ties

	mu       sync.Mutex
	settings Settings
	epoch    uint64  // counts what changes positions besides candidates
	began    instant // when the balancer was first used
	tallies  tallies
	groups   map[groupKey]*group
	ring     []*group // the same, to look at one after the other whether they are still used
	hand     int      // the next one to look at
	decision decision // the one in the making
}

// Configure sets what applies from the next decision on. It may be called at any time.
func (b *Balancer) Configure(s Settings) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.begin(at(b.now()))
	b.settings = s
	b.epoch++
}

// Note tells that a registration changed from before to after: nil if it is new, or gone. It is how the balancer
// learns that an instance takes connects for a service again after it was blocked or restricted, and starts it slowly. Without it, only
// instances that register anew are.
func (b *Balancer) Note(before, after *servicetable.Registration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := at(b.now())
	b.begin(now)
	switch {
	case before == nil:
	case after == nil:
		if t := b.tallies[instanceKey{before.Instance, before.Host}]; t != nil {
			b.tallies.prune(t)
		}
	default:
		b.noteRecovered(before, after, now)
	}
}

func (b *Balancer) noteRecovered(before, after *servicetable.Registration, now instant) {
	for i := range before.Services {
		was := &before.Services[i]
		if s := before.Status(was); s != servicetable.Blocked && s != servicetable.Restricted {
			continue
		}
		for j := range after.Services {
			if s := &after.Services[j]; s.Name == was.Name && after.Status(s) == servicetable.Ready {
				b.tallies.of(after).service(s).recoveredAt = now
				b.epoch++
			}
		}
	}
}

// Recovered tells that the instance "instance@host" can be reached again after it could not, so that it starts
// slowly.
func (b *Balancer) Recovered(key string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for k, t := range b.tallies {
		if k.instance+"@"+k.host == key {
			t.newSince = at(b.now())
			b.epoch++
		}
	}
}

// Order returns the candidates c in the order to try them. The connect is counted against the first one at once, so
// that connects that arrive together spread. The caller must end every Reservation by Release, save one that was
// settled on a redirect's target. c is not changed, nor kept.
//
// The order: candidates of a better class first (those with any weight; READY before UNKNOWN before STALE; by tier;
// handlers below their maximum; this broker's zone); then the best handler of each instance before the second best of
// any, so that what failed is not tried at another door of the same house first; then by the score that the policy
// gives; equal ones at random. A colocation tag replaces the policy: connects of one tag prefer one instance for as
// long as that is there and has not too much more than its share.
func (b *Balancer) Order(a Ask, c []servicetable.Candidate) *Reservation {
	r := new(Reservation)
	b.Reserve(r, a, c)
	return r
}

// Reserve is Order into a reservation that the caller owns: a new one, or one that has ended and that nobody else
// uses any more, nor its route. Reused, it costs no allocation.
func (b *Balancer) Reserve(r *Reservation, a Ask, c []servicetable.Candidate) {
	by := b.chance()
	b.mu.Lock()
	defer b.mu.Unlock()
	r.reset(b, a.Redirect)
	if len(c) == 0 {
		return
	}
	d := b.decide(a, by, c)
	r.take(d, c)
	first := &d.positions[d.ranks[0].at]
	r.place = first.seat.place
	r.place.pend(1)
	if d.fallback == inTurn || d.policy == RoundRobin {
		d.takeTurn(first)
	}
}

// Explain returns how Order would judge c for a, best first, without counting anything; at most 16 candidates.
func (b *Balancer) Explain(a Ask, c []servicetable.Candidate) []journal.Candidate {
	if len(c) == 0 {
		return nil
	}
	by := b.chance()
	var r Reservation
	b.mu.Lock()
	defer b.mu.Unlock()
	r.take(b.decide(a, by, c), c)
	return r.verdicts()
}

// decide makes a decision about c, which is not empty. It is valid until the next one.
func (b *Balancer) decide(a Ask, by chance, c []servicetable.Candidate) *decision {
	b.begin(by.now)
	d := &b.decision
	*d = decision{
		ask: a, settings: &b.settings, chance: by, group: b.group(groupKeyOf(&a, c), by.now),
		policy: b.settings.policy(&a), brokers: b.settings.brokers(), ranks: d.ranks, scratch: d.scratch,
	}
	b.locate(d, c)
	d.decide()
	return d
}

func (b *Balancer) begin(now instant) {
	if b.groups == nil {
		b.began, b.groups, b.tallies = now, map[groupKey]*group{}, tallies{}
	}
}

// idleLimit is how long a service, or a candidate of one, that nobody asks for is remembered: longer than any report is
// used.
const idleLimit = float64(time.Hour)

// group returns the group of that key, and has a look whether another one is still used.
func (b *Balancer) group(key groupKey, now instant) *group {
	g := b.groups[key]
	if g == nil {
		g = &group{key: key, members: map[*tally]*member{}, seats: map[seatKey]*seat{}}
		b.groups[key] = g
		b.ring = append(b.ring, g)
	}
	g.usedAt = now
	for range 2 { // one more than groups are added
		b.tidy(now)
	}
	return g
}

// tidy forgets what is idle in the group at the hand, and moves the hand on.
func (b *Balancer) tidy(now instant) {
	b.hand %= len(b.ring)
	g := b.ring[b.hand]
	if g.tidiedAt.since(now) >= idleLimit/64 {
		g.tidiedAt = now
		g.dismissIdle(now, b.tallies)
	}
	if len(g.seats) == 0 && g.usedAt.since(now) >= idleLimit {
		delete(b.groups, g.key)
		last := len(b.ring) - 1
		b.ring[b.hand], b.ring[last] = b.ring[last], nil
		b.ring = b.ring[:last]
		return
	}
	b.hand++
}

// chance returns what the next decision cannot know by itself.
func (b *Balancer) chance() chance {
	clock := b.now()
	return chance{clock, at(clock), b.random()}
}

func (b *Balancer) now() time.Time {
	if b.Now != nil {
		return b.Now()
	}
	return time.Now()
}

func (b *Balancer) random() uint64 {
	if b.Random != nil {
		return b.Random()
	}
	return rand.Uint64()
}
