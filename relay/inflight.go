package relay

import (
	"context"
	"net/netip"
	"sync"

	"servicebroker/servicetable"
)

// attempts are the server connections that are being made. Whoever takes an instance
// out of use can wait for those that began before, so that none comes after.
type attempts struct {
	mu   sync.Mutex
	all  map[*inFlight]struct{}
	ends chan struct{} // closed when one ends; nil while nobody waits
}

// inFlight is one attempt.
type inFlight struct {
	candidate servicetable.Candidate
	client    netip.Addr
}

func (a *attempts) begin(c servicetable.Candidate, client netip.Addr) *inFlight {
	one := &inFlight{c, client}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.all == nil {
		a.all = map[*inFlight]struct{}{}
	}
	a.all[one] = struct{}{}
	return one
}

func (a *attempts) end(one *inFlight) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.all, one)
	if a.ends != nil {
		close(a.ends)
		a.ends = nil
	}
}

// Settled waits until no server connection is being made, of those that were when
// it was called, to a candidate that match tells of. With that candidate out of use
// in the table, all connections to it that will ever be are sessions by then, or over.
func (s *Server) Settled(ctx context.Context, match func(c servicetable.Candidate, client netip.Addr) bool) error {
	a := &s.attempts
	var left []*inFlight
	a.mu.Lock()
	for one := range a.all {
		if match(one.candidate, one.client) {
			left = append(left, one)
		}
	}
	a.mu.Unlock()
	for {
		a.mu.Lock()
		still := left[:0]
		for _, one := range left {
			if _, under := a.all[one]; under {
				still = append(still, one)
			}
		}
		if left = still; len(left) == 0 {
			a.mu.Unlock()
			return nil
		}
		if a.ends == nil {
			a.ends = make(chan struct{})
		}
		ends := a.ends
		a.mu.Unlock()
		select {
		case <-ends:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
