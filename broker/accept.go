package broker

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"servicebroker/registration"
	"servicebroker/servicetable"
	"servicebroker/tns"
)

// Pauses of those who accept. An accept that fails, mostly for want of descriptors, is tried
// again after one; and where only clients come while there is no room for them, they wait
// outside, one let in after each.
const (
	shortestAcceptPause = 5 * time.Millisecond
	longestAcceptPause  = time.Second
)

// backOff is a pause that doubles each time.
type backOff struct{ next, most time.Duration }

// wait pauses; false: ctx has ended.
func (p *backOff) wait(ctx context.Context) bool {
	p.next = min(max(p.next, shortestAcceptPause), p.most)
	over := time.NewTimer(p.next)
	defer over.Stop()
	p.next *= 2
	select {
	case <-over.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// accept serves the listener of the address with that number until it is closed.
func (b *Broker) accept(ctx context.Context, at int) {
	l := b.listeners[at]
	failing, full := backOff{most: longestAcceptPause}, backOff{most: lookEvery}
	for {
		b.overload.memory.settled(ctx, lookEvery)
		switch {
		case !b.overload.full.Load() || !b.forClientsAlone(at):
			full.next = 0
		case !full.wait(ctx):
			return
		}
		conn, err := l.Accept()
		if err == nil {
			failing.next = 0
			b.arrived(ctx, at, conn)
			continue
		}
		if b.stopping.Load() || b.upgrade.heir.Load() != nil || errors.Is(err, net.ErrClosed) {
			return
		}
		b.limiting.makeRoom(err)
		if !b.lacking("accept", err) {
			b.log.Error("cannot accept connections for the moment", "address", l.Addr().String(), "cause", err.Error())
		}
		if !failing.wait(ctx) {
			return
		}
	}
}

// forClientsAlone tells whether no database may register at the address with that number.
func (b *Broker) forClientsAlone(at int) bool {
	over := b.settings().config.Admission.Transports
	return len(over) > 0 && at < len(b.config.Addresses) && !slices.ContainsFunc(over, func(t string) bool { return strings.EqualFold(t, b.config.Addresses[at].Protocol) })
}

// serve reads the first packet of a connection and hands it to whoever holds
// that dialogue, who closes it.
func (b *Broker) serve(ctx context.Context, a *arrival) {
	ctx = servicetable.OnNetwork(ctx, b.networkOf(a.at))
	switch limit := b.config.InboundTimeout; {
	case a.refusal != nil:
		a.reading.stay()
		a.reading.begin(a.raw, time.Now().Add(refusalPatience))
	case limit > 0 && a.before != nil: // it said all that it is to say, in time
		a.reading.begin(a.raw, time.Now().Add(limit))
	case limit > 0:
		a.reading.begin(a.raw, a.came.Add(limit))
	default:
		a.reading.begin(a.raw, time.Time{})
	}
	for b.receive(ctx, a) {
		if b.departUnheard(a) {
			return
		}
	}
}

// receive is serve, up to where the reading is interrupted, if it is.
func (b *Broker) receive(ctx context.Context, a *arrival) (interrupted bool) {
	raw := a.raw
	unwrapped, interrupted := b.unwrap(ctx, a)
	if unwrapped == nil {
		return interrupted
	}
	conn := tns.NewConn(unwrapped)
	b.trace(conn)
	connect, err := readConnect(conn)
	if a.reading.interruptedBy(err) {
		a.unread = conn.Unread()
		return true
	}
	a.reading.stay()
	b.spoke(a)
	switch {
	case err != nil && a.refusal != nil:
		_ = raw.Close()
		return false
	case err != nil:
		b.refuseUnread(conn, err)
		return false
	}
	switch command := commandOf(connect.Data); {
	case command == "" && a.refusal == nil:
		b.open.enter(raw, phaseClient)
		b.relay.Serve(ctx, conn, connect, b.arrivalOf(a, conn.OverTLS()))
	case strings.EqualFold(command, "service_register_NSGR"):
		b.open.enter(raw, phaseRegistration)
		_ = raw.SetDeadline(time.Time{})
		err := b.registrar.ServeFor(ctx, conn, connect, registration.Caller{
			Admitted: func() { b.registers(a) },
			Refuse:   func(refusal *tns.Refuse) { b.refuseRegistrant(ctx, a, conn, refusal) },
		})
		if err != nil {
			b.log.Debug("registration connection ended", "peer", raw.RemoteAddr().String(), "cause", err.Error())
		}
	case a.inReserve != nil: // which is not for clients
		b.dismiss(a, conn.OverTLS())
	case a.refusal != nil:
		b.turnAway(a, conn)
	default:
		if a.refusal = b.awaitTurns(ctx, a); a.refusal != nil {
			b.turnAway(a, conn)
			return false
		}
		b.administer(ctx, conn, connect, command)
	}
	return false
}

// readConnect reads a CONNECT, and takes no memory for it before its first byte is there:
// there may be thousands that never send one.
func readConnect(conn *tns.Conn) (*tns.Connect, error) {
	if err := conn.Watch(); err != nil {
		return nil, err
	}
	return conn.ReadConnect()
}

// networkOf is the NETWORK of the address with that number; "" if it has none.
func (b *Broker) networkOf(at int) string {
	if at < len(b.config.Listening) {
		return b.config.Listening[at].Network
	}
	return ""
}

// refuseUnread ends a connection that brought no readable CONNECT: with the
// reason where the peer speaks Oracle Net, without a word where it does not.
func (b *Broker) refuseUnread(conn *tns.Conn, err error) {
	code := tns.CodeBadPacket
	clear := errors.Is(err, tns.ErrNotConnect) && !conn.OverTLS() && bytes.HasPrefix(conn.Buffered(), tlsRecord)
	if clear {
		b.rejected.add(rejectedTLS)
	} else {
		b.rejected.unread(err, len(conn.Buffered()) > 0)
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		b.refuse(conn, tns.CodeInboundTimeout, "no complete CONNECT within INBOUND_CONNECT_TIMEOUT")
		return
	case clear:
		// What is sent in clear is what TLS clients know this mistake by.
		b.refuse(conn, tns.CodeProtocolAdapter, "a TLS handshake on "+conn.NetConn().LocalAddr().String()+", which is without TLS: write PROTOCOL=tcp in the client's descriptor, or an address with TLS")
		return
	case errors.Is(err, tns.ErrNotConnect), !errors.Is(err, tns.ErrMalformed) && !errors.Is(err, tns.ErrTooLong) && !errors.Is(err, tns.ErrOutOfStep) && !errors.Is(err, tns.ErrUnexpected):
		_ = conn.NetConn().Close()
		b.log.Debug("no CONNECT", "peer", conn.NetConn().RemoteAddr().String(), "cause", err.Error())
		return
	}
	b.refuseAs(conn, code, "no complete CONNECT: "+err.Error(), "no complete CONNECT")
}

// refuse answers what never came as far as the relay, with an explanation like all others.
func (b *Broker) refuse(conn *tns.Conn, code tns.Code, cause string) {
	b.refuseAs(conn, code, cause, cause)
}

// refuseAs is refuse where peers can make up any number of causes, all of which are one kind.
func (b *Broker) refuseAs(conn *tns.Conn, code tns.Code, cause, kind string) {
	ref := b.explainOnce(conn.NetConn(), code, cause, conn.OverTLS(), code.String()+": "+kind)
	b.reply(conn, tns.NewRefuse(code, b.config.VSNNUM).WithRef(ref))
}

// Bounds of a reply that ends a connection, as in the relay.
const (
	replyTimeout  = 10 * time.Second
	lingerTimeout = 2 * time.Second
)

// reply sends a last message and closes.
func (b *Broker) reply(conn *tns.Conn, messages ...tns.Message) {
	_ = conn.NetConn().SetDeadline(time.Now().Add(replyTimeout))
	if err := conn.Send(messages...); err != nil {
		_ = conn.NetConn().Close()
		return
	}
	conn.CloseAfterReply(lingerTimeout)
}
