package broker

import (
	"context"
	"encoding/json"
	"os"
	"sync"
	"time"

	"servicebroker/relay"
)

// totals is what the broker has carried since its first generation was started, but for what
// open sessions have moved: that they bring along themselves. It is sums, and differences of sums.
type totals struct {
	Begun      uint64                 `json:"begun"` // sessions
	Over       uint64                 `json:"over"`
	Peak       int64                  `json:"peak"` // not a sum
	Redirected uint64                 `json:"redirected"`
	Refused    uint64                 `json:"refused"`
	ToServer   uint64                 `json:"to_server"` // bytes of sessions that are over
	ToClient   uint64                 `json:"to_client"`
	Handlers   map[string]relay.Tally `json:"handlers,omitempty"` // by key, "instance@host/handler"
}

// totals are those of now.
func (b *Broker) totals() totals {
	c := &b.carried
	return totals{
		Over: c.over.Load(), Begun: c.begun.Load(), Peak: c.peak.Load(), Redirected: c.redirected.Load(), Refused: c.refused.Load(),
		ToServer: c.endedToServer.Load(), ToClient: c.endedToClient.Load(), Handlers: b.relay.Tallies(),
	}
}

// since is what has come on top of what was told before, and whether that is anything.
func (t totals) since(before *totals) (more totals, any bool) {
	more = totals{
		Begun: t.Begun - before.Begun, Over: t.Over - before.Over, Redirected: t.Redirected - before.Redirected, Refused: t.Refused - before.Refused,
		ToServer: t.ToServer - before.ToServer, ToClient: t.ToClient - before.ToClient, Handlers: map[string]relay.Tally{},
	}
	for key, now := range t.Handlers {
		was := before.Handlers[key]
		if now.Established < was.Established || now.Refused < was.Refused { // forgotten, and counted anew
			was = relay.Tally{}
		}
		if now != was {
			more.Handlers[key] = relay.Tally{Established: now.Established - was.Established, Refused: now.Refused - was.Refused}
		}
	}
	any = more.Begun > 0 || more.Over > 0 || more.Redirected > 0 || more.Refused > 0 || more.ToServer > 0 || more.ToClient > 0 || len(more.Handlers) > 0
	return more, any
}

// count adds what another generation has carried.
func (b *Broker) count(more *totals) {
	c := &b.carried
	c.begun.Add(more.Begun)
	c.over.Add(more.Over)
	c.redirected.Add(more.Redirected)
	c.refused.Add(more.Refused)
	c.endedToServer.Add(more.ToServer)
	c.endedToClient.Add(more.ToClient)
	for peak := c.peak.Load(); more.Peak > peak && !c.peak.CompareAndSwap(peak, more.Peak); peak = c.peak.Load() {
	}
	b.relay.AddTallies(more.Handlers)
}

// telling is what a successor has been told of the totals.
type telling struct {
	mu   sync.Mutex
	told totals
}

func (b *Broker) giveTotals() (any, []*os.File, error) {
	now := b.totals()
	b.telling.mu.Lock()
	defer b.telling.mu.Unlock()
	b.telling.told = now
	return now, nil, nil
}

func (b *Broker) takeTotals(state json.RawMessage, _ []*os.File) error {
	var given totals
	if err := json.Unmarshal(state, &given); err != nil {
		return err
	}
	b.count(&given)
	return nil
}

// moveTotals moves nothing: what has been carried is told as it comes.
func (b *Broker) moveTotals(context.Context, offerFunc) (moved, stayed int) { return 0, 0 }

func (b *Broker) resumeTotals(_ context.Context, text json.RawMessage, files []*os.File) (begin func(error), err error) {
	return nil, b.takeTotals(text, files)
}

// tellTotals offers what has come on top, if it is anything.
func (b *Broker) tellTotals(ctx context.Context, offer offerFunc) error {
	now := b.totals()
	b.telling.mu.Lock()
	defer b.telling.mu.Unlock()
	more, any := now.since(&b.telling.told)
	if !any {
		return nil
	}
	b.telling.told = now // whatever comes of it: it is not to be counted twice
	return offer(ctx, more)
}

// Bounds of telling: how often, and how long for the last time.
const (
	totalsEvery = time.Second
	lastTotals  = 2 * time.Second
)

// followTotals tells a successor what comes on top until ctx ends, and what has come by then.
func (b *Broker) followTotals(ctx context.Context, offer offerFunc) {
	ticks := time.NewTicker(totalsEvery)
	defer ticks.Stop()
	for {
		select {
		case <-ticks.C:
			if b.tellTotals(context.WithoutCancel(ctx), offer) != nil && ctx.Err() == nil { // it is gone, or does not want them
				return
			}
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastTotals)
			defer cancel()
			_ = b.tellTotals(last, offer) // nobody is left to whom it would matter
			return
		}
	}
}
