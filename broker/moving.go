package broker

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strings"

	"servicebroker/limits"
	"servicebroker/loadbalance"
	"servicebroker/relay"
	"servicebroker/servicetable"
)

// movedIDs is how many sessions may begin in a predecessor after it said how far its numbers
// are: its successor's begin above them.
const movedIDs = 100_000

// wireMoves prepares for sessions that come from another process.
func (b *Broker) wireMoves() {
	b.relay.Resumed, b.relay.Thawed, b.relay.Closed = b.resumed, b.thawed, b.sessionClosed
	b.relay.Share = func(rule string) *limits.Share { return b.limiting.shares.Of(limits.OfRule, rule) }
}

// resumed counts a session where the balancer counts all that are open at that handler.
func (b *Broker) resumed(m *relay.MovedSession) relay.Reservation {
	balancer := &b.balancer
	if m.At.Named { // see balancerFor
		balancer = new(loadbalance.Balancer)
	}
	c := b.atItsHandler(m.Candidate())
	r := balancer.Order(loadbalance.Ask{Query: servicetable.Query{Service: c.Service.Name}}, []servicetable.Candidate{c}) // after what c has reported
	r.Settle(c)
	return r
}

// atItsHandler is a candidate as it is registered, if it is.
func (b *Broker) atItsHandler(c servicetable.Candidate) servicetable.Candidate {
	entry, err := b.table.Snapshot().Service(c.Service.Name)
	if err != nil {
		return c
	}
	for i := range entry.Instances {
		in := &entry.Instances[i]
		if in.Registration.Instance != c.Registration.Instance || in.Registration.Host != c.Registration.Host {
			continue
		}
		for _, h := range in.Handlers {
			if h.Handler.Name == c.Handler.Name {
				return servicetable.Candidate{Registration: in.Registration, Service: in.Service, Handler: h.Handler}
			}
		}
	}
	return c
}

// thawed sets on a connection of a session from another process what is set on all. The other end may be gone, and with it the address.
func (b *Broker) thawed(c net.Conn) {
	t, ok := c.(interface {
		SetKeepAliveConfig(net.KeepAliveConfig) error
	})
	if !ok {
		return
	}
	if err := t.SetKeepAliveConfig(b.keepAlive()); err != nil { // it is over then, as its session will see
		b.log.Debug("EXPIRE_TIME is not in force for a session that was taken over", "peer", fmt.Sprint(c.RemoteAddr()), "cause", err.Error())
	}
}

// moveSessions offers all relayed sessions.
func (b *Broker) moveSessions(ctx context.Context, offer offerFunc) (moved, stayed int) {
	return b.relay.Move(ctx, sessionOffer(offer))
}

// followSessions offers those that begin after moveSessions, until ctx ends.
func (b *Broker) followSessions(ctx context.Context, offer offerFunc) {
	b.relay.Follow(ctx, sessionOffer(offer))
}

func sessionOffer(offer offerFunc) relay.Offer {
	return func(ctx context.Context, m *relay.MovedSession, files []*os.File) error {
		return offer(ctx, m, files...)
	}
}

// resumeSession takes over a session that another process offers; ctx ends waiting for that one to let go. After an error the files are closed.
func (b *Broker) resumeSession(ctx context.Context, text json.RawMessage, files []*os.File) (begin func(error), err error) {
	m := new(relay.MovedSession)
	if err := json.Unmarshal(text, m); err != nil {
		closeFiles(files)
		return nil, fmt.Errorf("a session: %w", err)
	}
	return b.takeIn(ctx, files, func() (*adopted, error) {
		one, err := b.relay.Adopt(m, files)
		if err != nil {
			return nil, err
		}
		a := &arrival{raw: one.Client(), counted: true}
		b.limiting.connections.Force()
		return &adopted{
			conn: a.raw, peer: m.Client, phase: phaseClient,
			goOn: func() {
				b.becomesSession(a)
				one.Carry()
			},
			giveBack: one.Discard, leave: func() { b.departs(a) },
		}, nil
	})
}

// sessionsPassed is what a successor has to know of sessions before it begins any.
type sessionsPassed struct {
	LastID uint64         `json:"last_id"`
	Kept   []keptSessions `json:"kept,omitempty"` // all there are, until recordKept tells which have not moved
}

func (b *Broker) giveSessions() (any, []*os.File, error) {
	return sessionsPassed{LastID: b.relay.LastID(), Kept: b.kept()}, nil, nil
}

func (b *Broker) takeSessions(state json.RawMessage, _ []*os.File) error {
	var given sessionsPassed
	if err := json.Unmarshal(state, &given); err != nil {
		return err
	}
	b.relay.SkipIDs(given.LastID + movedIDs)
	if p := b.process.Before; p != nil {
		p.kept.Store(&given.Kept)
	}
	return nil
}

// beneath finds a connection's own descriptor under what stands in front of it.
func beneath(c net.Conn) (*os.File, error) {
	if f, ok := c.(interface{ File() (*os.File, error) }); ok {
		return f.File()
	}
	return nil, fmt.Errorf("%s has no descriptor of its own", strings.TrimPrefix(fmt.Sprintf("%T", c), "*"))
}
