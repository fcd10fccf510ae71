// Package relay holds the dialogue with a client that asks for a service: it
// finds out what is asked, who offers it and whether the client may have it,
// and then redirects the client there, carries its session, or refuses it with
// the one error that fits.
package relay

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"servicebroker/descriptor"
	"servicebroker/servicetable"
	"servicebroker/tns"
)

// Mode says how a client gets to its instance.
type Mode uint8

// The modes, in the words of the ROUTE parameter. ModeUnset in a rule leaves
// the choice to the server.
const (
	ModeUnset Mode = iota
	ModeRelay
	ModeRedirect
)

// String returns the word ROUTE takes.
func (m Mode) String() string {
	if m == ModeRedirect {
		return "redirect"
	}
	return "relay"
}

// Reservation is one connect's place in the balancer's counts.
type Reservation interface {
	Route() []servicetable.Candidate // the order to try
	Settle(c servicetable.Candidate) // the count moves to the one that answered
	Release()                        // the count ends
}

// Attempt finds out whether one candidate accepts the client. Its errors tell
// by MoveOn() whether another candidate could do better.
type Attempt func(context.Context, servicetable.Candidate) (*ServerConnection, error)

// Server serves clients, one Serve a connection. Fill in the fields before the
// first call; those without "may be nil" are required.
type Server struct {
	// Snapshot returns the table as it is now.
	Snapshot func() *servicetable.Snapshot
	// Order decides in which order to try candidates, and counts the connect.
	Order func(servicetable.Query, []servicetable.Candidate) Reservation
	// Dial makes attempts along the route until one succeeds.
	Dial func(context.Context, []servicetable.Candidate, Attempt) (*ServerConnection, servicetable.Candidate, error)

	// Connect opens a transport connection to an instance; may be nil.
	Connect func(ctx context.Context, network, address string) (net.Conn, error)
	// Rules returns the rules in force; may be nil: everyone may have everything.
	Rules func() Rules
	// Resolve returns the addresses of a host name for rules that name hosts;
	// may be nil: names then match as text only.
	Resolve func(ctx context.Context, host string) []netip.Addr
	// Own tells whether an address is one this broker listens on, so that no
	// client is sent in a circle; may be nil.
	Own func(host string, port int) bool

	// Mode applies where no rule says otherwise; ModeUnset relays.
	Mode Mode
	// VSNNUM is the version that refusals claim, tns.md 3; 0 hides it.
	VSNNUM uint32
	// IdleTimeout and SessionTimeout end relayed sessions; 0: never.
	IdleTimeout, SessionTimeout time.Duration
	// Log may be nil.
	Log *slog.Logger

	lastID   atomic.Uint64
	loops    loopGuard
	mu       sync.Mutex // guards the two maps
	sessions map[uint64]*session
	tallies  map[string]*Tally
}

// replyTimeout bounds the writing of one reply to a client, and lingerTimeout
// how long its unread bytes are then waited for (tns.md 3.2).
const (
	replyTimeout  = 10 * time.Second
	lingerTimeout = 2 * time.Second
)

// dialogue is what Serve knows of one client's connect.
type dialogue struct {
	began   time.Time
	conn    *tns.Conn
	connect *tns.Connect
	client  netip.AddrPort
	asked   *descriptor.Node // the descriptor; nil until it has been read
	query   servicetable.Query
	granted granted // nil where there are no rules
}

// Serve conducts the dialogue that connect opened on conn, and the session that
// may come of it. It owns conn and has closed it when it returns; it logs what
// came of it. When ctx ends, so does the session.
func (s *Server) Serve(ctx context.Context, conn *tns.Conn, connect *tns.Connect) {
	d := &dialogue{began: time.Now(), conn: conn, connect: connect, client: addrPort(conn.NetConn().RemoteAddr())}
	_ = conn.NetConn().SetDeadline(time.Time{})
	if err := s.serve(ctx, d); err != nil {
		s.refuse(d, err)
	}
}

// serve returns an error only while the client still waits for its answer.
func (s *Server) serve(ctx context.Context, d *dialogue) error {
	asked, err := descriptor.Parse(string(d.connect.Data))
	if err != nil {
		return err
	}
	d.asked = asked
	if d.query, err = question(asked); err != nil {
		return err
	}
	d.query.ArrivedOn = d.conn.NetConn().LocalAddr().String()

	candidates, err := s.Snapshot().Match(d.query)
	if err != nil {
		return err
	}
	if candidates, err = s.admit(ctx, d, candidates); err != nil {
		return err
	}
	reservation := s.Order(d.query, candidates)
	if !s.cameBack(d) {
		if done, err := s.redirect(d, reservation); done || err != nil {
			return err
		}
	}
	return s.relay(ctx, d, reservation)
}

// admit keeps the candidates that the rules grant to the client.
func (s *Server) admit(ctx context.Context, d *dialogue, candidates []servicetable.Candidate) ([]servicetable.Candidate, error) {
	if s.Rules == nil {
		return candidates, nil
	}
	admitted, by, err := s.Rules().admit(&verdict{
		ctx: ctx, client: d.client.Addr(), service: asksFor(d.query), bySID: d.query.Service == "", resolve: s.Resolve,
	}, candidates)
	d.granted = by
	return admitted, err
}

// relay carries the client's session through this broker.
func (s *Server) relay(ctx context.Context, d *dialogue, reservation Reservation) error {
	defer reservation.Release()
	if hopsOf(d.connect) >= maxHops {
		return errCircle
	}
	server, candidate, err := s.Dial(ctx, reservation.Route(), func(ctx context.Context, c servicetable.Candidate) (*ServerConnection, error) {
		server, err := s.attempt(ctx, d, c)
		s.countAttempt(c, err)
		return server, err
	})
	if err != nil {
		return err
	}
	reservation.Settle(candidate)
	_ = d.conn.NetConn().SetWriteDeadline(time.Now().Add(replyTimeout))
	if err := d.conn.Send(server.accept); err != nil {
		_ = server.conn.NetConn().Close()
		return &clientGone{err}
	}
	_ = d.conn.NetConn().SetDeadline(time.Time{})
	s.carry(ctx, d, server, candidate)
	return nil
}

// asksFor names what a query is after, as rules and logs see it.
func asksFor(q servicetable.Query) string {
	if q.Service != "" {
		return q.Service
	}
	return q.SID
}

// addrPort returns the address of a TCP peer, IPv4 never in its IPv6 form.
func addrPort(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	p := t.AddrPort()
	return netip.AddrPortFrom(p.Addr().Unmap().WithZone(""), p.Port())
}
