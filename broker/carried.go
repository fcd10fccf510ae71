package broker

import (
	"sync"
	"sync/atomic"

	"servicebroker/console"
	"servicebroker/journal"
	"servicebroker/relay"
)

// carried counts what the broker has carried since it was started.
type carried struct {
	begun, over                  atomic.Uint64 // sessions
	peak                         atomic.Int64
	redirected, refused          atomic.Uint64 // connects
	endedToServer, endedToClient atomic.Uint64 // bytes of sessions that are over

	mu                 sync.Mutex
	toServer, toClient uint64 // the most that was told: a session between its end and its count is in neither sum
}

// connected counts a connect that has its answer.
func (c *carried) connected(r *relay.ConnectReport) {
	switch r.Explanation.Outcome {
	case journal.Relay:
		open := int64(c.begun.Add(1) - c.over.Load())
		for peak := c.peak.Load(); open > peak && !c.peak.CompareAndSwap(peak, open); peak = c.peak.Load() {
		}
	case journal.Redirect:
		c.redirected.Add(1)
	case journal.Refuse, journal.Drop:
		c.refused.Add(1)
	}
}

// ended counts a session that is over.
func (c *carried) ended(s *relay.SessionInfo, _ error) {
	c.over.Add(1)
	c.endedToServer.Add(s.ToServer)
	c.endedToClient.Add(s.ToClient)
}

// bytes are those of all sessions, ended ones and those that load sums up.
func (c *carried) bytes(load func() (toServer, toClient uint64)) (toServer, toClient uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	toServer, toClient = c.endedToServer.Load(), c.endedToClient.Load() // before the open ones: none is counted twice
	openToServer, openToClient := load()
	c.toServer = max(c.toServer, toServer+openToServer)
	c.toClient = max(c.toClient, toClient+openToClient)
	return c.toServer, c.toClient
}

// Stats tells what the broker has carried.
func (b *Broker) Stats() console.Stats {
	open := 0
	toServer, toClient := b.carried.bytes(func() (uint64, uint64) {
		return b.relay.Load(func(*relay.SessionInfo) { open++ })
	})
	return console.Stats{
		Sessions: open, Peak: max(open, int(b.carried.peak.Load())), Total: b.carried.begun.Load(), Redirected: b.carried.redirected.Load(),
		Refused: b.carried.refused.Load(), Held: b.holder.Counters().HeldNow, FromClient: toServer, ToClient: toClient,
		Max: b.settings().config.Limits.MaxSessions,
	}
}

// eventCounts counts events by kind.
type eventCounts struct {
	kinds map[journal.Kind]*atomic.Uint64 // all of them; it does not change
}

func newEventCounts() eventCounts {
	c := eventCounts{kinds: map[journal.Kind]*atomic.Uint64{}}
	for _, kind := range journal.Kinds() {
		c.kinds[kind] = new(atomic.Uint64)
	}
	return c
}

func (c *eventCounts) add(e journal.Event) {
	if n := c.kinds[e.Kind]; n != nil {
		n.Add(1)
	}
}
