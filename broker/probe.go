package broker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"servicebroker/console"
	"servicebroker/descriptor"
	"servicebroker/failover"
	"servicebroker/journal"
	"servicebroker/relay"
	"servicebroker/servicetable"
	"servicebroker/tns"
)

// ProbeProgram is the program name by which instances know the broker's deep probes.
const ProbeProgram = "servicebroker-probe"

// probe asks a handler whether it answers. Lightly, a listener is pinged; of
// dispatchers, which are no listeners, only the connection is tried. Deeply, the
// instance is asked to accept a client of the service.
func (b *Broker) probe(ctx context.Context, c servicetable.Candidate, deep bool) error {
	address := descriptor.Address{Protocol: strings.ToLower(c.Handler.Protocol), Host: c.Handler.Host, Port: c.Handler.Port}
	if address.Protocol != "tcp" && address.Protocol != "tcps" {
		return fmt.Errorf("it is registered under protocol %q, and only tcp and tcps can be probed", descriptor.Escape(c.Handler.Protocol))
	}
	at, err := b.probedAt(ctx, c)
	if err != nil {
		return err
	}
	conn, err := b.dialInstance(ctx, relay.Destination{Address: address, At: at, From: c.RegisteredFrom()}) // for ourselves
	if err != nil {
		return err
	}
	defer conn.Close()
	switch {
	case deep:
		return deepProbe(ctx, conn, address, c)
	case c.Handler.Kind == servicetable.Dispatcher:
		return nil
	}
	_, err = tns.Ping(ctx, conn)
	if _, refused := errors.AsType[*tns.RefusedError](err); refused || errors.Is(err, tns.ErrUnexpected) {
		return nil // whatever it says, somebody is there
	}
	return err
}

// probedAt is standIn within half of the time that a probe has: where name services are silent, the other half is for asking the
// handler at the address that its registration came from. Where no time is left for that, the look-up failed, and not the handler.
func (b *Broker) probedAt(ctx context.Context, c servicetable.Candidate) (netip.Addr, error) {
	looking, cancel := ctx, func() {}
	if until, limited := ctx.Deadline(); limited {
		looking, cancel = context.WithTimeout(ctx, time.Until(until)/2)
	}
	defer cancel()
	at := b.standIn(looking, c)
	if at.IsValid() && ctx.Err() != nil {
		return netip.Addr{}, &net.DNSError{Err: ctx.Err().Error(), Name: c.Handler.Host, IsTimeout: true}
	}
	return at, nil
}

// deepProbe asks for the service as a client would, and goes away when it is accepted.
func deepProbe(ctx context.Context, conn net.Conn, address descriptor.Address, c servicetable.Candidate) error {
	n := &descriptor.Node{Name: "DESCRIPTION"}
	data := &descriptor.Node{Name: "CONNECT_DATA"}
	data.Set("SERVICE_NAME", c.Service.Name)
	if !c.Registration.Forwards(c.Handler) {
		data.Set("INSTANCE_NAME", c.Registration.Instance)
	}
	cid := &descriptor.Node{Name: "CID"}
	cid.Set("PROGRAM", ProbeProgram)
	data.Add(cid)
	n.Add(address.Node())
	n.Add(data)
	reply, err := tns.TryService(ctx, conn, []byte(n.String()))
	if err != nil {
		return err
	}
	refuse, refused := reply.(*tns.Refuse)
	if !refused {
		return nil
	}
	switch refuse.Code() {
	case tns.CodeNoHandler, tns.CodeNoServiceHandler, tns.CodeNoHandlerOfKind: // full, and so alive
		return nil
	}
	return refuse.Err()
}

// probed notes what the prober found out.
func (b *Broker) probed(e failover.ProbeEvent) {
	event := journal.Event{Cause: e.Cause, Detail: e.Key, Time: e.At}
	switch e.Kind {
	case failover.HandlerEjected:
		event.Kind, event.Status, event.Reason = journal.Ejected, "down", "FAILURE"
	case failover.HandlerRestored:
		event.Kind, event.Status = journal.Restored, "up"
		b.balancer.Recovered(e.Registration.Key())
	case failover.InstanceStale:
		event.Kind = journal.Stale
	default: // spared ones stay in use, and what is gone is told by the table
		return
	}
	b.note(e.Registration, event)
}

// suspect has a handler looked at from which a client came back.
func (b *Broker) suspect(handlerKey, why string) {
	for _, r := range b.table.Snapshot().Registrations() {
		if !strings.HasPrefix(handlerKey, r.Key()+"/") {
			continue
		}
		for i := range r.Handlers {
			h := &r.Handlers[i]
			if r.HandlerKey(h) != handlerKey || len(h.Services) == 0 {
				continue
			}
			s := &r.Services[h.Services[0]]
			b.prober.Suspect(servicetable.Candidate{Registration: r, Service: s, Handler: h, Status: r.Status(s)}, why)
			return
		}
	}
}

// gone ends what is left of an instance that does not answer any more: its clients
// would wait for their networks to notice.
func (b *Broker) gone(r *servicetable.Registration, answered bool, cause string) {
	if answered {
		return
	}
	// By its key, and not the registration: its sessions are older than its latest one where its link broke before.
	n := b.endSessions(endPassed{Instance: r.Key(), Cause: "instance " + r.Key() + " is gone and does not answer: " + cause})
	if n == 0 {
		return
	}
	b.note(r, journal.Event{Kind: journal.SessionsLost, Status: "down", Reason: "FAILURE", Cause: cause, Detail: console.Plural(n, "session") + " ended"})
	b.log.Warn("sessions ended: their instance is gone and does not answer", "instance", r.Key(), "sessions", n, "cause", cause)
}

// aliveLately tells whether one of the candidates was seen alive so lately that it is
// worth waiting for.
func (b *Broker) aliveLately(route []servicetable.Candidate) bool {
	memory := b.settings().config.HoldMemory
	for _, c := range route {
		at, known := b.prober.LastAlive(c)
		if c.Path != nil {
			at, known = b.hops.reached(c.Registration.Hop)
		}
		if known && time.Since(at) < memory {
			return true
		}
	}
	return false
}
