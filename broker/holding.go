package broker

import (
	"context"
	"runtime/debug"
	"time"

	"servicebroker/console"
	"servicebroker/failover"
	"servicebroker/limits"
	"servicebroker/relay"
)

// holding lets the relay park connects with the holder.
type holding struct{ *Broker }

// place translates between the two.
type place struct{ *failover.Place }

func (h holding) Anyone() bool { return h.holder.Anyone() }

func (h holding) Waiting(queue string) bool { return h.holder.Waiting(queue) }

func (h holding) Seen(service string) { h.holder.Reached(service) }

// Enter holds a connect. Instances that were seen alive lately are worth waiting for
// though no client reached them; where all of them answer with refusals, only if one
// was accepted lately.
func (h holding) Enter(r relay.HoldRequest) (relay.Place, error) {
	h.seeRoute(r)
	p, err := h.holder.Enter(h.request(r))
	if err != nil {
		return nil, err
	}
	return place{p}, nil
}

func (h holding) Would(r relay.HoldRequest) error {
	h.seeRoute(r)
	return h.holder.Would(h.request(r))
}

// seeRoute tells the holder of instances that were seen alive lately.
func (h holding) seeRoute(r relay.HoldRequest) {
	if len(r.Route) > 0 && !r.Answered && h.aliveLately(r.Route) {
		h.holder.Lately(r.Service)
	}
}

func (h holding) request(r relay.HoldRequest) failover.HoldRequest {
	c := h.settings().config
	var shares [2]failover.HoldShare
	switch tenant, most := h.heldFor(r.Service); {
	case tenant != "":
		shares[0] = failover.HoldShare{Name: "tenant " + tenant, Max: most, See: "its MAX_HELD"}
	case len(r.Route) > 0 && r.Route[0].Path != nil && r.Route[0].Path.Named: // clients can make up any number of those
		shares[0] = failover.HoldShare{Name: "routes of clients", Max: partOf(c.MaxHeld, c.HoldShare), See: "HOLD_SHARE"}
	}
	if c.HoldClientShare < 1 {
		shares[1] = failover.HoldShare{Name: "client " + limits.SourceOf(r.Client.Addr()).String(), Max: partOf(c.MaxHeld, c.HoldClientShare), See: "HOLD_CLIENT_SHARE"}
	}
	return failover.HoldRequest{
		Service: r.Service, Queue: r.Queue, Shares: shares, Client: r.Client.String(), Ref: r.Ref, Cause: r.Cause,
		Limit: r.Limit, Since: r.Since, Wanted: r.Wanted, Ready: r.Ready, Retry: r.Retry, Wake: r.Wake,
	}
}

// partOf is a part of a whole, and one at least.
func partOf(whole int, part float64) int { return max(1, int(float64(whole)*part)) }

var placeStates = map[failover.HoldState]relay.PlaceState{
	failover.Waiting: relay.PlaceWaiting, failover.Go: relay.PlaceGo,
	failover.Expired: relay.PlaceExpired, failover.Stopped: relay.PlaceStopped,
}

func (p place) State() relay.PlaceState { return placeStates[p.Place.State()] }

func (p place) Again(cause string, retry time.Duration) { p.Place.Again(cause, retry) }

// Held lists the connects that wait.
func (b *Broker) Held() []console.Held {
	entries := b.holder.Held()
	all := make([]console.Held, len(entries))
	for i, e := range entries {
		all[i] = console.Held{Service: e.Service, Client: e.Client, Ref: e.Ref, Cause: e.Cause, Since: e.Since, Until: e.Until}
	}
	return all
}

// A crowd that has to wait leaves far more behind by asking than it takes to wait, and
// nothing soon makes the runtime clear that up.
const (
	crowd     = 250 // more that wait than at the last look
	lookAfter = time.Second
)

// clearUp returns what a crowd left behind, until ctx ends.
func (b *Broker) clearUp(ctx context.Context) {
	look := time.NewTicker(lookAfter)
	defer look.Stop()
	for last := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
		held := b.holder.Counters().HeldNow
		if held >= last+crowd {
			debug.FreeOSMemory()
			last = held
		}
		last = min(last, held)
	}
}
