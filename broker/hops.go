package broker

import (
	"sync"
	"time"

	"servicebroker/failover"
	"servicebroker/relay"
)

// routes is what a configuration says of where connects go that are not left to the table.
func (c *Config) routes() *relay.Routes {
	r := relay.Routes{SIDIsService: c.SIDIsService, DefaultService: c.DefaultService}
	if c.NextHop != nil {
		r.NextHop = c.NextHop.Description
	}
	if c.ServiceIsAlias {
		r.Aliases = c.Aliases
	}
	return relay.CompileRoutes(r)
}

// reachedHops remembers when addresses that routes name were last reached: nothing else tells
// whether they are worth waiting for.
type reachedHops struct {
	mu  sync.Mutex
	all map[string]time.Time // by host:port
}

// maxHops bounds what is remembered; each takes some 100 bytes.
const maxHops = 10_000

func (r *reachedHops) note(hop string, now time.Time, memory time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.all == nil {
		r.all = map[string]time.Time{}
	}
	if _, known := r.all[hop]; !known && len(r.all) >= maxHops {
		r.forget(now.Add(-memory))
	}
	r.all[hop] = now
}

// forget makes room: by what is too old, and else by any.
func (r *reachedHops) forget(before time.Time) {
	for hop, at := range r.all {
		if at.Before(before) {
			delete(r.all, hop)
		}
	}
	for hop := range r.all {
		if len(r.all) < maxHops {
			return
		}
		delete(r.all, hop)
	}
}

func (r *reachedHops) reached(hop string) (time.Time, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at, known := r.all[hop]
	return at, known
}

// observed takes in what came of an attempt.
func (b *Broker) observed(a failover.Attempt) {
	b.rejected.attempted(a)
	if a.Candidate.Path == nil {
		b.prober.Observe(a)
	} else if a.Err == nil || a.Answered && a.Committed {
		b.hops.note(a.Candidate.Registration.Hop, time.Now(), b.settings().config.HoldMemory)
	}
}
