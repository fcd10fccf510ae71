// Package loadbalance decides in which order to try the candidates of a query.
//
// It is in two halves: order.go ranks candidates by figures and is a pure function; balancer.go and tally.go keep the
// one figure that no database reports, which is what this broker itself did since the last report.
package loadbalance

import (
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"servicebroker/journal"
	"servicebroker/servicetable"
)

// Balancer orders candidates by load, with its own hand-outs since the last report counted in. The zero value is
// ready to use; set fields before the first call. All methods may be called from any goroutine.
type Balancer struct {
	Now    func() time.Time // nil: time.Now
	Random func(n int) int  // a number in [0, n), for breaking ties; nil: math/rand/v2. Must be safe for concurrent use

	mu       sync.Mutex
	settings Settings
	tallies  tallies
}

// Order returns the candidates c in the order to try them. The connect is counted against the first one at once, so
// that connects that arrive together spread. The caller must end every Reservation by Release, save one that was
// settled on a redirect's target. c is not changed.
//
// The order: READY instances before UNKNOWN before STALE ones; handlers below their maximum before full ones; then the best handler
// of each instance before the second best of any, so that what failed is not tried at another door of the same house first;
// then by score, the load that the instance would have per capacity; then by the load of the handler; equal ones at
// random. A colocation tag replaces the score: connects of one tag prefer one instance for as long as it is there.
func (b *Balancer) Order(a Ask, c []servicetable.Candidate) *Reservation {
	shuffled := slices.Clone(c)
	b.shuffle(shuffled)
	all := make([]figures, len(c))
	r := &Reservation{balancer: b}
	now := b.now()

	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range shuffled {
		all[i] = b.tallies.of(shuffled[i].Registration, now).figures(&shuffled[i])
	}
	r.route = order(all, a.Query.ColocationTag)
	if len(r.route) > 0 {
		r.place = b.tallies.place(&r.route[0], now)
		r.place.addPending(1)
	}
	return r
}

// Configure sets what applies from the next decision on. It may be called at any time.
func (b *Balancer) Configure(s Settings) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.settings = s
}

// Explain returns how Order would judge c for a, best first, without counting anything; at most 16 candidates.
func (b *Balancer) Explain(a Ask, c []servicetable.Candidate) []journal.Candidate {
	r := b.Order(a, c)
	defer r.Release()
	return r.Verdicts()
}

// shuffle makes the order of equal candidates random, since sorting keeps it.
func (b *Balancer) shuffle(route []servicetable.Candidate) {
	random := b.Random
	if random == nil {
		random = rand.IntN
	}
	for i := len(route) - 1; i > 0; i-- {
		j := random(i + 1)
		route[i], route[j] = route[j], route[i]
	}
}

func (b *Balancer) now() time.Time {
	if b.Now != nil {
		return b.Now()
	}
	return time.Now()
}

// Reservation is one connect's place in the counts. Its methods may be called from any goroutine.
type Reservation struct {
	balancer *Balancer
	route    []servicetable.Candidate
	place    place
	state    reservationState
}

type reservationState uint8

const (
	pending reservationState = iota // counted against the first candidate, which no report can contain yet
	settled
	released
)

// Route returns the candidates in the order to try them; nothing once the reservation is settled, for a session may
// last for weeks and should not keep old registrations in memory.
func (r *Reservation) Route() []servicetable.Candidate {
	r.balancer.mu.Lock()
	defer r.balancer.mu.Unlock()
	return r.route
}

// Policy tells by what was decided, for people: the word of the policy and, where it could not be applied, why and
// what was done instead.
func (r *Reservation) Policy() string { return Adaptive.String() }

// Verdicts returns the figures by which the candidates were judged, in the order to try them, at most 16; nothing
// once the reservation is settled or released, as with Route.
func (r *Reservation) Verdicts() []journal.Candidate {
	var all []journal.Candidate
	for _, c := range r.Route() {
		all = append(all, journal.Candidate{Key: c.Registration.HandlerKey(c.Handler)})
	}
	return all[:min(len(all), 16)]
}

// Settle moves the count to c: the candidate that answered, or that a redirect names.
func (r *Reservation) Settle(c servicetable.Candidate) {
	now := r.balancer.now()
	r.balancer.mu.Lock()
	defer r.balancer.mu.Unlock()
	if r.state == released {
		return
	}
	r.withdraw()
	r.place = r.balancer.tallies.place(&c, now)
	r.place.addChange(1)
	r.state, r.route = settled, nil
}

// Release ends the count: the session is over or never came about. Calls after the first do nothing. A redirect is
// settled and never released: its count is void once the instance reports anew.
func (r *Reservation) Release() {
	r.balancer.mu.Lock()
	defer r.balancer.mu.Unlock()
	if r.state == released {
		return
	}
	r.withdraw()
	r.state, r.route, r.place = released, nil, place{}
}

// withdraw takes back what the reservation counts.
func (r *Reservation) withdraw() {
	switch {
	case r.place.tally == nil: // there was no candidate
	case r.state == pending:
		r.place.addPending(-1)
	default:
		r.place.addChange(-1)
	}
}
