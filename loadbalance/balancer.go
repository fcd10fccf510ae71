// Package loadbalance decides in which order to try the candidates of a query.
package loadbalance

import (
	"time"

	"servicebroker/servicetable"
)

// Balancer orders candidates by load, with its own hand-outs since the last report counted in. The zero value is
// ready to use; set fields before the first call. All methods may be called from any goroutine.
type Balancer struct {
	Now    func() time.Time // nil: time.Now
	Random func(n int) int  // a number in [0, n), for breaking ties; nil: math/rand/v2. Must be safe for concurrent use
}

// Order returns the candidates c in the order to try them. The connect is counted against the first one at once, so
// that connects that arrive together spread. The caller must end every Reservation by Release, save one that was
// settled on a redirect's target. c is not changed.
func (b *Balancer) Order(q servicetable.Query, c []servicetable.Candidate) *Reservation {
	return &Reservation{route: c}
}

// Reservation is one connect's place in the counts.
type Reservation struct{ route []servicetable.Candidate }

// Route returns the candidates in the order to try them.
func (r *Reservation) Route() []servicetable.Candidate { return r.route }

// Settle moves the count to c: the candidate that answered, or that a redirect names.
func (r *Reservation) Settle(c servicetable.Candidate) {}

// Release ends the count: the session is over or never came about. Calls after the first do nothing. A redirect is
// settled and never released: its count is void once the instance reports anew.
func (r *Reservation) Release() {}
