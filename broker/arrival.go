package broker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"servicebroker/limits"
	"servicebroker/relay"
	"servicebroker/tns"
)

// arrival is a connection that has been accepted, and what it has to wait for before it is
// served. It belongs to its goroutine.
type arrival struct {
	raw       net.Conn
	at        int               // number of the listening address
	came      time.Time         // when it was accepted
	client    netip.AddrPort    // as far as it is known
	named     bool              // client is who it says, not one who speaks for others
	behind    bool              // a proxy has said who it is
	counted   bool              // in limiting.connections
	quiet     *limits.Quiet     // while it has not said what it wants
	turns     []limits.Wait     // that it has to wait for
	refusal   error             // why it is not to be served
	slot      *limits.SlotTaken // that it is refused in
	inReserve *limits.Quiet     // it is refused, unless it is a database; until that is known
	reading   firstReading      // of what it wants
	unread    []byte            // has been read of it, and is to be read again
	before    *relay.Before     // what another process has done for it; nil: nothing
	adopted   bool              // it came from another process: whoever serves it waits for its end
	parts     bool              // it is in partings, whose affair its end is
}

// Bounds of how those are refused who are over a limit before their CONNECT is read.
const (
	refusalSlots     = 256                    // at a time
	refusalSlotsEach = 64                     // of one client address
	refusalPatience  = time.Second            // for the CONNECT, without which there is nobody to answer
	refusalLinger    = 500 * time.Millisecond // for the client to read the answer
	silentAtLeast    = time.Second            // before a connection has to go for having said nothing
	silentCrowd      = 16                     // of one client address, from which on …
	crowdAtLeast     = 20 * time.Millisecond  // … it is this that each of them gets
	mostSilent       = 20_000                 // connections that have said nothing, at a time
	evictedAtOnce    = 64                     // where the system has no descriptors left
)

// arrived judges a connection, which takes no longer than it takes to count, and serves
// it on a goroutine of its own.
func (b *Broker) arrived(ctx context.Context, at int, raw net.Conn) {
	a := &arrival{raw: raw, at: at, came: time.Now(), client: relay.AddrPort(raw.RemoteAddr())}
	room, anybody := b.roomFor(raw)
	if a.refusal = b.judgeArrival(a, room); a.refusal != nil && (!anybody || !b.refusable(a) && !b.reserved(a)) {
		b.unanswered(a)
		return
	}
	b.open.read(a)
	b.connections.Add(1)
	b.crew.run(func() {
		if b.serve(ctx, a); !a.parts {
			b.over(a)
		}
	})
}

// over gives back all that a connection takes, which is closed or a session's.
func (b *Broker) over(a *arrival) {
	b.departs(a)
	b.open.leave(a.raw)
	b.connections.Done()
}

// part closes a connection that has had its last message, and need not be there for that to be over.
func (b *Broker) part(a *arrival, conn *tns.Conn, limit time.Duration) {
	if !a.adopted {
		if parting := conn.Part(); parting != nil {
			a.parts = true
			b.partings.add(parting, limit, func() { b.over(a) })
			return
		}
	}
	conn.CloseAfterReply(limit)
}

// judgeArrival counts a connection, and tells why it is not to be served. room is why there is
// none for clients, nil if there is.
func (b *Broker) judgeArrival(a *arrival, room error) error {
	l := &b.limiting
	if room != nil && !l.evict() {
		return room
	}
	if !l.connections.Take() {
		if !l.evict() {
			return b.tooMany()
		}
		l.connections.Force()
	}
	a.counted = true
	if now, _ := l.silent.Counts(); now >= mostSilent {
		l.silent.Evict(0)
	}
	a.quiet = l.silent.Enter(a.client.Addr(), func() { _ = a.raw.Close() })
	return b.judgeRates(a)
}

// judgeRates finds out whether a connection has to wait for its turn, and tells why that is not worth while.
func (b *Broker) judgeRates(a *arrival) error {
	l := &b.limiting
	if !a.behind && !isAmong(b.security.current.Load().listening[a.at].proxies, a.raw.RemoteAddr()) { // else unwrap will know who it is
		if err := b.judgeClient(a, a.client); err != nil {
			return err
		}
	}
	for _, rate := range l.ratesOf(a.at) {
		if rate.Free() {
			continue
		}
		turn, err := rate.Enter(limits.SourceOf(a.client.Addr()).String(), nil)
		if err != nil {
			return l.overListener(a.at)
		}
		if turn != nil {
			a.turns = append(a.turns, limits.Wait{Turn: turn, Over: l.overListener(a.at)})
		}
	}
	return nil
}

// judgeClient counts a connection against the limits of its client's address.
func (b *Broker) judgeClient(a *arrival, client netip.AddrPort) error {
	a.client, a.named = client, true
	wait, err := b.limiting.sources.Arrive(client.Addr())
	if wait.Turn != nil {
		a.turns = append(a.turns, wait)
	}
	return err
}

// refusable tells whether the client can be told that it is refused, and takes a slot for
// that. A TLS handshake costs more than serving it would, and an answer memory that may be needed elsewhere.
func (b *Broker) refusable(a *arrival) bool {
	if b.overload.memory.exhausted.Load() || b.security.current.Load().listening[a.at].source != nil {
		return false
	}
	a.slot = b.limiting.slots.Take(a.client.Addr())
	return a.slot != nil
}

// unanswered ends a connection of a crowd without a word.
func (b *Broker) unanswered(a *arrival) {
	b.departs(a)
	b.dismiss(a, false)
}

// dismiss is unanswered for one that departs later.
func (b *Broker) dismiss(a *arrival, secure bool) {
	b.limiting.closed.Add(1)
	b.explainLimit(a.raw, a.refusal, secure)
	reset(a.raw)
}

// reset closes a connection at once, and leaves nothing behind.
func reset(c net.Conn) {
	if t, ok := c.(interface{ SetLinger(int) error }); ok {
		_ = t.SetLinger(0)
	}
	_ = c.Close()
}

// becomesSession leaves what a connection takes to its session, which goes on when nobody serves it any more.
func (b *Broker) becomesSession(a *arrival) {
	b.connections.Add(1)
	b.open.carried(a.raw)
	a.counted = false
}

// sessionClosed gives back what a session has taken.
func (b *Broker) sessionClosed() {
	b.limiting.connections.Release()
	b.open.closed()
	b.connections.Done()
}

// departs gives back what a connection still takes.
func (b *Broker) departs(a *arrival) {
	l := &b.limiting
	a.reading.stay()
	b.spoke(a)
	if a.counted {
		l.connections.Release()
		a.counted = false
	}
	for _, wait := range a.turns {
		wait.Turn.Leave()
	}
	a.slot.Release()
	if a.inReserve != nil {
		l.reserve.Leave(a.inReserve)
	}
}

// spoke notes that a connection has said what it wants, or is over.
func (b *Broker) spoke(a *arrival) {
	if a.quiet != nil {
		b.limiting.silent.Leave(a.quiet)
		a.quiet = nil
	}
}

// registers turns the connection of a client that is over a limit, or may be, into one of
// a database that has been let in: those are limited by themselves.
func (b *Broker) registers(a *arrival) {
	b.departs(a)
	a.turns, a.refusal = nil, nil
}

// turnAway answers a client that is over a limit.
func (b *Broker) turnAway(a *arrival, conn *tns.Conn) {
	ref := b.explainLimit(conn.NetConn(), a.refusal, conn.OverTLS())
	b.refuseAndPart(a, conn, tns.NewRefuse(tns.CodeRateLimit, b.config.VSNNUM).WithRef(ref))
}

// refuseRegistrant answers one that may not register. Until it is gone it counts as the client that it may be, under whatever
// limit it came.
func (b *Broker) refuseRegistrant(ctx context.Context, a *arrival, conn *tns.Conn, refusal *tns.Refuse) {
	_ = b.awaitTurns(ctx, a)
	b.refuseAndPart(a, conn, refusal)
}

// refuseAndPart sends a refusal, and does not wait until it has been read.
func (b *Broker) refuseAndPart(a *arrival, conn *tns.Conn, refusal *tns.Refuse) {
	_ = conn.NetConn().SetDeadline(time.Now().Add(refusalPatience))
	if err := conn.Send(refusal); err != nil {
		_ = conn.NetConn().Close()
		return
	}
	b.part(a, conn, refusalLinger)
}

// awaitTurns waits until it is the connection's turn under the rates it came by, and tells why that does not come.
func (b *Broker) awaitTurns(ctx context.Context, a *arrival) error {
	for _, wait := range a.turns {
		rung := make(chan struct{}, 1)
		wait.Turn.Notify(func() { nudge(rung) })
		for wait.Turn.State() == limits.Waiting {
			select {
			case <-rung:
			case <-ctx.Done():
				return wait.Over
			}
		}
		if wait.Turn.State() == limits.Expired {
			return wait.Over
		}
	}
	return nil
}

// explainLimit tells everyone but the client at c of a refusal by a limit, and returns the
// REF of what was kept. A flood is told once.
func (b *Broker) explainLimit(c net.Conn, err error, secure bool) (ref string) {
	return b.explainOnce(c, tns.CodeRateLimit, err.Error(), secure, limitOfError(err))
}

// limitOfError tells refusals by different limits apart.
func limitOfError(err error) string {
	var over *limits.ExceededError
	if errors.As(err, &over) {
		return over.Kind()
	}
	return err.Error()
}

// evict ends a connection that says nothing, so that there is room for another. Where one
// client has many of them they get less time to speak than others.
func (l *limiting) evict() bool {
	return l.silent.EvictFrom(silentCrowd, crowdAtLeast) || l.silent.Evict(silentAtLeast)
}

// tooMany is the refusal of one for which there is no room.
func (b *Broker) tooMany() error {
	c := b.limiting.connections.Counts()
	if c.Most == b.overload.descriptors.clients {
		return b.shortOfDescriptors()
	}
	return &limits.ExceededError{
		Limit: "connections", Err: limits.ErrFull,
		Why: fmt.Sprintf("MAX_ALL_CONNECTIONS is %d, and so many are open: end sessions (broker sessions, broker close), or raise it", c.Most),
	}
}

// overListener is the refusal of one that comes too fast at an address.
func (l *limiting) overListener(at int) error {
	return &limits.ExceededError{
		Limit: "address " + l.addresses[at], Err: limits.ErrRate,
		Why: "RATE_LIMIT of the ADDRESS, or CONNECTION_RATE, and its turn does not come within ACCEPT_QUEUE_WAIT: connect less often, or raise one of them",
	}
}

// foreseeArrival tells why a connection of a client at an address would be refused now, nil if it
// would not. It counts nothing.
func (b *Broker) foreseeArrival(at int, client netip.Addr) error {
	l := &b.limiting
	if silent, _ := l.silent.Counts(); silent == 0 && l.connections.Full() { // else one of them makes room
		return b.tooMany()
	}
	if err := l.sources.Foresee(client); err != nil || at >= len(l.listeners.own) {
		return err
	}
	for _, rate := range l.ratesOf(at) {
		if rate.Full(limits.SourceOf(client).String()) {
			return l.overListener(at)
		}
	}
	return nil
}

// listenerRates are the rates at the listening addresses.
type listenerRates struct {
	own      []*limits.Rate // of each address
	under    []bool         // each address that CONNECTION_RATE is for
	together *limits.Rate   // CONNECTION_RATE
}

// ratesOf returns the rates that connections at an address are under.
func (l *limiting) ratesOf(at int) []*limits.Rate {
	r := &l.listeners
	if r.under[at] {
		return []*limits.Rate{r.together}
	}
	return r.own[at : at+1]
}

// makeRoom ends connections that say nothing where the system has no descriptors left.
func (l *limiting) makeRoom(err error) {
	if !errors.Is(err, syscall.EMFILE) && !errors.Is(err, syscall.ENFILE) {
		return
	}
	endSome(l.evict)
}

// endSome ends connections, of which evict ends one, as many as may go at once.
func endSome(evict func() bool) {
	for range evictedAtOnce {
		if !evict() {
			return
		}
	}
}
