package loadbalance

import (
	"slices"

	"servicebroker/servicetable"
)

// Reservation is one connect's place in the counts. Its methods may be called from any goroutine.
type Reservation struct {
	balancer *Balancer
	redirect bool
	state    reservationState
	policy   Policy
	fallback fallback
	tagged   bool
	tau      float64 // nanoseconds
	place    place
	route    []servicetable.Candidate
	evidence []evidence // for the first candidates of the route
	judged   judged
}

type reservationState uint8

const (
	pending reservationState = iota // counted against the first candidate, which no report can contain yet
	settled
	released
)

// reset makes r a new reservation, with the memory of the old one.
func (r *Reservation) reset(b *Balancer, redirect bool) {
	clear(r.route)
	clear(r.evidence)
	*r = Reservation{balancer: b, redirect: redirect, route: r.route[:0], evidence: r.evidence[:0]}
}

// take fills r with what was decided about c.
func (r *Reservation) take(d *decision, c []servicetable.Candidate) {
	r.policy, r.fallback, r.tagged, r.tau = d.policy, d.fallback, d.tagged, d.tau
	r.route = slices.Grow(r.route, len(c))
	for i := range d.ranks {
		r.route = append(r.route, c[d.ranks[i].at])
	}
	r.judge(d)
}

// Route returns the candidates in the order to try them; nothing once the reservation is settled, for a session may
// last for weeks and should not keep old registrations in memory.
func (r *Reservation) Route() []servicetable.Candidate {
	r.balancer.mu.Lock()
	defer r.balancer.mu.Unlock()
	if r.state != pending {
		return nil
	}
	return r.route
}

// Kind tells, before Settle, whether the client goes to its instance by itself, where that came out otherwise than the
// Ask had it.
func (r *Reservation) Kind(redirect bool) {
	r.balancer.mu.Lock()
	defer r.balancer.mu.Unlock()
	if r.state == pending {
		r.redirect = redirect
	}
}

// Settle moves the count to c: the candidate that answered, or that a redirect names.
func (r *Reservation) Settle(c servicetable.Candidate) {
	b := r.balancer
	now := at(b.now())
	b.mu.Lock()
	defer b.mu.Unlock()
	if r.state == released {
		return
	}
	first := r.state == pending && len(r.route) > 0 && r.route[0] == c
	r.withdraw()
	if !first {
		b.begin(now)
		r.place = b.tallies.of(c.Registration).place(&c)
	}
	if r.redirect {
		r.place.redirect(now, r.fadeTau(), float64(b.settings.connectTime()))
	} else {
		r.place.begin()
	}
	r.forget(settled)
}

func (r *Reservation) fadeTau() float64 {
	if r.tau == 0 {
		return unknownTau
	}
	return r.tau
}

// Release ends the count: the session is over or never came about. Calls after the first do nothing. A redirect is
// settled and never released, unless it could not be sent: its count fades, and is void once the instance reports anew.
func (r *Reservation) Release() {
	r.balancer.mu.Lock()
	defer r.balancer.mu.Unlock()
	if r.state == released {
		return
	}
	r.withdraw()
	r.place = place{}
	r.forget(released)
}

// withdraw takes back what the reservation counts.
func (r *Reservation) withdraw() {
	switch {
	case r.place.tally == nil: // there was no candidate
		return
	case r.state == pending:
		r.place.pend(-1)
	case r.redirect:
		r.place.recall()
	default:
		r.place.end()
	}
	if t := r.place.tally; t.members == 0 {
		r.balancer.tallies.prune(t)
	}
}

// forget lets go of all that only a pending reservation needs. The route itself may still be in the caller's hands, so
// a reservation that lasts does not keep it.
func (r *Reservation) forget(state reservationState) {
	r.state = state
	if state == settled && !r.redirect {
		r.route, r.evidence = nil, nil
	}
}
