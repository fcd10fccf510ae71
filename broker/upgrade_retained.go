package broker

import (
	"context"
	"sync"

	"servicebroker/servicetable"
)

// recordRetained, old to new: what became of a registration that is, or was, the old one's.
const recordRetained = "retained"

type retainedPassed struct {
	ID           servicetable.ID            `json:"id"`
	Registration *servicetable.Registration `json:"registration,omitempty"` // as it is now; nil: it is over
	Withdrawn    bool                       `json:"withdrawn,omitempty"`    // by the database's word
}

// retained is what a successor has to be told of registrations. Between the table that it is given and its first client there
// is a while in which nobody listens, and databases come and go.
type retained struct {
	mu     sync.Mutex
	waits  bool // the table has been given
	untold []retainedPassed
}

// begin notes all that changes from now on. It is for whoever gives the table, before that.
func (r *retained) begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waits, r.untold = true, nil
}

// forget is for an upgrade that failed.
func (r *retained) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waits, r.untold = false, nil
}

// succeeded has a successor told of what has changed until it served. Later changes are told as they come.
func (b *Broker) succeeded(h *heir) {
	b.retained.mu.Lock()
	defer b.retained.mu.Unlock()
	b.upgrade.heir.Store(h)
	for _, change := range b.retained.untold {
		b.sendRetained(h, change)
	}
	b.retained.untold = nil
}

// tellRetained tells a successor of a change, if there is one, or is about to be.
func (b *Broker) tellRetained(change retainedPassed) {
	b.retained.mu.Lock()
	defer b.retained.mu.Unlock()
	switch h := b.upgrade.heir.Load(); {
	case h != nil:
		b.sendRetained(h, change)
	case b.retained.waits:
		b.retained.untold = append(b.retained.untold, change)
	}
}

func (b *Broker) sendRetained(h *heir, change retainedPassed) {
	ctx, cancel := context.WithTimeout(context.Background(), endTime)
	defer cancel()
	if err := h.channel.Send(ctx, recordRetained, change); err != nil {
		b.log.Warn("the successor cannot be told of a registration that stayed", "cause", err.Error())
	}
}
