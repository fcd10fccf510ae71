package registration

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"servicebroker/dn"
	"servicebroker/servicetable"
	"servicebroker/tns"
)

// AnswerMode says what is sent back on a registration message. What a real
// listener answers has not been published; databases register without an answer
// (nsgr.md 10, rule 5).
type AnswerMode uint8

const (
	AnswerNone   AnswerMode = iota // nothing
	AnswerIDs                      // the node list without data; a guess
	AnswerMirror                   // the node list with data; a guess
)

// Server serves the databases that register. The zero value admits this host's
// own databases and keeps nothing; set Apply and Drop at least. It must not be
// copied or changed once Serve has been called.
type Server struct {
	// Apply is called with the whole registration after each message that
	// changed it; if it was called, Drop when the database has withdrawn, or
	// Lost when its connection ended without a word. Without Lost it is always Drop.
	Apply      func(servicetable.Registration)
	Drop, Lost func(servicetable.ID)
	// Adopt is called in place of Apply with what a registration that moved here had registered before, and may find that it
	// is known. nil: Apply is.
	Adopt func(servicetable.Registration)
	// Series begins the numbers in the IDs of registrations, so that those of processes that follow each other are never the same.
	Series string

	Admit  *Admission // nil: this host's own addresses, over TCP and TCPS; SetAdmission changes it later
	Answer AnswerMode
	// Own tells whether an address is one this broker listens on. A handler
	// there would send clients round in circles: it is left out of the
	// registration. nil: no address is.
	Own func(host string, port int) bool

	// Unfit tells why a handler at a host cannot be that of a database that registers from peer, "" if it can. It is left
	// out, too. nil: each can.
	Unfit func(peer netip.Addr, host string) string

	// Upstream is host:port of a real listener through which the dialogue is
	// passed byte by byte, so that it answers and not we; "" for none. If it
	// refuses a database, so do we. While it cannot be reached, or ends the
	// connection without a reply, databases are served without it: they must be
	// found although the listener is down, and go through it again when they
	// next connect.
	Upstream        string
	UpstreamTimeout time.Duration // to reach it and to get its reply; 0: 5 s
	DialUpstream    func(ctx context.Context, address string) (net.Conn, error)

	VSNNUM              uint32        // version that refusals claim, tns.md 3
	MaxRegistrations    int           // connections at a time; 0: 512
	MaxPerPeer          int           // connections at a time from one address; 0: 256
	FirstMessageTimeout time.Duration // from ACCEPT to the first whole message; 0: 10 s

	// Full tells why there is no room for one more database, "" if there is, and what to do about it. nil: there always is.
	Full func(peer netip.Addr) (why, remedy string)
	// Paced waits until a message may be read, and returns what is called when that is done. nil: there is nothing to wait for.
	Paced func(ctx context.Context) (done func())

	// Repeats tells of a refusal whether one like it has been told of a moment ago: then it is not
	// logged. nil: each is.
	Repeats func(Event) bool

	Report func(Event)  // told everything that happens, from the connection's goroutine; nil: nobody is
	Log    *slog.Logger // nil: silent

	mu      sync.Mutex
	gate    *gate // nil: Admit has not been read yet
	serial  uint64
	perPeer map[netip.Addr]int
	total   int

	dialogues map[*dialogue]bool
	wordless  map[*dialogue]time.Time // those of them that have not said a whole message, and since when
	later     Offer                   // where those go that begin from now on; nil: nowhere
}

// Defaults, and limits that nobody needs to change.
const (
	defaultRegistrations = 512
	defaultPerPeer       = 256
	defaultFirstMessage  = 10 * time.Second
	defaultUpstream      = 5 * time.Second
	sendTime             = 10 * time.Second // for a peer to take what we send
	refusalTime          = time.Second      // for a refused peer to read why
	maxResends           = 4                // of an upstream listener, tns.md 5
)

// Caller is whom Serve tells what becomes of a connection, for those who count connections until they are a database's.
// Functions that are nil are not called.
type Caller struct {
	Admitted func()            // it has its place among the registrants, which limits it from now on
	Refuse   func(*tns.Refuse) // sends the refusal, closes the connection and lets it go; nil: Serve does
}

// Serve holds the dialogue with the registrant that sent connect, until its
// connection ends or ctx does, and closes conn. It has logged whatever people
// should know when it returns. The error tells how the dialogue broke before
// anything was registered; nil is returned after a registration, after a refusal,
// and if the registrant left.
func (s *Server) Serve(ctx context.Context, conn *tns.Conn, connect *tns.Connect) error {
	return s.ServeFor(ctx, conn, connect, Caller{})
}

// ServeFor is Serve for a caller.
func (s *Server) ServeFor(ctx context.Context, conn *tns.Conn, connect *tns.Connect, caller Caller) error {
	peer := peerOf(conn.NetConn())
	stop := closeOnDone(ctx, conn.NetConn())
	code, v := s.enlist(ctx, conn.NetConn(), peer.Addr())
	if !v.allowed && caller.Refuse != nil {
		stop() // from now on it is the caller's
		s.refused(peer, code, v)
		caller.Refuse(tns.NewRefuse(code, s.VSNNUM))
		return nil
	}
	defer conn.NetConn().Close()
	defer stop()
	if !v.allowed {
		return s.refuse(conn, peer, code, v)
	}
	defer s.vacate(peer.Addr())
	if caller.Admitted != nil {
		caller.Admitted()
	}
	keepAlive(conn.NetConn())

	d := s.newDialogue(ctx, conn, connect, peer)
	defer d.end()
	if s.Upstream != "" {
		if served, err := s.tap(ctx, d, connect); served {
			return err
		}
	}
	return s.answer(ctx, d, connect)
}

// enlist takes a place for a registrant, if it may register and there is one.
func (s *Server) enlist(ctx context.Context, raw net.Conn, peer netip.Addr) (tns.Code, verdict) {
	if code, v := s.admit(ctx, raw, peer); !v.allowed {
		return code, v
	}
	if why, remedy := s.full(peer); why != "" {
		return tns.CodeLimit, verdict{why: why, remedy: remedy}
	}
	if !s.occupy(peer) {
		return tns.CodeLimit, verdict{why: "too many registration connections",
			remedy: "raise MAX_REG_CONNECTIONS if they are all wanted"}
	}
	return tns.CodeNone, verdict{allowed: true}
}

// answer accepts the registrant ourselves and listens to it.
func (s *Server) answer(ctx context.Context, d *dialogue, connect *tns.Connect) error {
	accept := tns.AnswerConnect(connect, tns.VersionHighest, nil)
	if accept == nil {
		return s.refuse(d.conn, d.peer, tns.CodeRefused, verdict{why: fmt.Sprintf("it speaks no version of the protocol below %d", connect.Lowest),
			remedy: "none is known"})
	}
	d.answersBy(int(accept.SDU))
	defer s.enter(d)()
	if err := sendWithin(d.conn, sendTime, accept); err != nil {
		return fmt.Errorf("accept the registrant at %s: %w", d.peer, err)
	}
	d.conn.SetVersion(accept.Version)
	return d.ended(ctx, d.listen(ctx))
}

func (s *Server) admit(ctx context.Context, raw net.Conn, peer netip.Addr) (tns.Code, verdict) {
	g, err := s.currentGate()
	if err != nil {
		return tns.CodeRegistrationRejected, verdict{why: err.Error(), remedy: "correct that list"}
	}
	v := g.admit(ctx, peer, transportOf(raw))
	if proxy, is := proxyOf(raw); is && v.allowed { // whom it speaks for cannot be more welcome than itself
		if v = g.admit(ctx, proxy, transportOf(raw)); !v.allowed {
			v.why = fmt.Sprintf("it comes by the proxy %s: %s", proxy, v.why)
		}
	}
	return tns.CodeRegistrationRejected, v
}

func (s *Server) currentGate() (*gate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gate == nil {
		g, err := newGate(s.Admit)
		if err != nil {
			return nil, err
		}
		s.gate = g
	}
	return s.gate, nil
}

// SetAdmission makes a, in place of Admit or what was set before, decide about those
// who come from now on; nil admits this host's own addresses. Who has registered stays. If a
// list of it cannot be read nothing changes. It may be called while Serve runs.
func (s *Server) SetAdmission(a *Admission) error {
	g, err := newGate(a)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gate = g
	return nil
}

// refuse answers with the one form of REFUSE that holds an ERROR_STACK, by which
// databases and scanners see that they are not welcome (nsgr.md 2, tns.md 10.5).
func (s *Server) refuse(conn *tns.Conn, peer netip.AddrPort, code tns.Code, v verdict) error {
	s.refused(peer, code, v)
	if err := sendWithin(conn, sendTime, tns.NewRefuse(code, s.VSNNUM)); err != nil {
		return fmt.Errorf("refuse the registrant at %s: %w", peer, err)
	}
	conn.CloseAfterReply(refusalTime)
	return nil
}

// refused tells everyone but the registrant.
func (s *Server) refused(peer netip.AddrPort, code tns.Code, v verdict) {
	e := Event{Kind: Refused, Peer: peer, Code: code, Cause: v.why}
	if e.Repeated = s.Repeats != nil && s.Repeats(e); !e.Repeated {
		s.log().Warn("registration refused", "peer", peer.String(), "code", code.String(), "cause", v.why, "remedy", v.remedy)
	}
	s.report(e)
}

// newID names a registration: it must never come again while the broker runs.
func (s *Server) newID(peer netip.AddrPort) servicetable.ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serial++
	return servicetable.ID(fmt.Sprintf("registration-%s%d-%s", s.Series, s.serial, peer))
}

func (s *Server) log() *slog.Logger {
	if s.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return s.Log
}

func (s *Server) report(e Event) {
	if s.Report != nil {
		s.Report(e)
	}
}

// or returns value, or standard where value is zero.
func or[T int | time.Duration](value, standard T) T {
	if value == 0 {
		return standard
	}
	return value
}

// closeOnDone closes c when ctx ends. The returned function ends that, and waits
// until it has.
func closeOnDone(ctx context.Context, c net.Conn) (stop func()) {
	closed := make(chan struct{})
	cancel := context.AfterFunc(ctx, func() {
		defer close(closed)
		c.Close()
	})
	return func() {
		if !cancel() {
			<-closed
		}
	}
}

// keepAlive makes the system notice within two minutes that a host is gone: no
// keepalive of the registration protocol is known (nsgr.md 10, rule 6).
func keepAlive(c net.Conn) {
	for range maxWrappers {
		if t, ok := c.(interface {
			SetKeepAliveConfig(net.KeepAliveConfig) error
		}); ok {
			_ = t.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: time.Minute, Interval: 15 * time.Second, Count: 4})
			return
		}
		wrapper, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			return
		}
		c = wrapper.NetConn()
	}
}

const maxWrappers = 8

// transportOf tells what the registrant came over, in the words of
// REGISTRATION_TRANSPORTS.
func transportOf(c net.Conn) string {
	if a := c.RemoteAddr(); a != nil && a.Network() == "unix" {
		return "IPC"
	}
	if _, ok := tlsOf(c); ok {
		return "TCPS"
	}
	return "TCP"
}

// subjectOf returns the subject of the certificate that the other side has shown, if it
// was verified; "" otherwise.
func subjectOf(c net.Conn) string {
	state, ok := tlsOf(c)
	if !ok || len(state.VerifiedChains) == 0 {
		return ""
	}
	return dn.Subject(state.PeerCertificates[0])
}

// tlsOf finds the TLS connection under the wrappers of c.
func tlsOf(c net.Conn) (tls.ConnectionState, bool) {
	for range maxWrappers {
		if t, ok := c.(interface{ ConnectionState() tls.ConnectionState }); ok {
			return t.ConnectionState(), true
		}
		wrapper, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		c = wrapper.NetConn()
	}
	return tls.ConnectionState{}, false
}

// proxyOf returns the address of the proxy by which a connection came, if it did. A
// connection tells it by Through.
func proxyOf(c net.Conn) (netip.Addr, bool) {
	for range maxWrappers {
		if p, ok := c.(interface{ Through() net.Addr }); ok {
			at, err := netip.ParseAddrPort(p.Through().String())
			return at.Addr().Unmap().WithZone(""), err == nil
		}
		wrapper, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		c = wrapper.NetConn()
	}
	return netip.Addr{}, false
}

// peerOf returns the address of the other side; the zero AddrPort if it has none.
func peerOf(c net.Conn) netip.AddrPort {
	if c.RemoteAddr() == nil {
		return netip.AddrPort{}
	}
	p, err := netip.ParseAddrPort(c.RemoteAddr().String())
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(p.Addr().Unmap().WithZone(""), p.Port())
}

// sendWithin sends m, and gives up on a peer that does not take it. A deadline
// cannot be set on a connection that is over; sending or reading tells so.
func sendWithin(c *tns.Conn, limit time.Duration, m tns.Message) error {
	_ = c.NetConn().SetWriteDeadline(time.Now().Add(limit))
	defer func() { _ = c.NetConn().SetWriteDeadline(time.Time{}) }()
	return c.Send(m)
}

// inPackets is a payload in DATA packets of at most sdu bytes.
type inPackets struct {
	payload []byte
	sdu     int
}

// AppendTo writes the packets.
func (p inPackets) AppendTo(dst []byte, large bool) []byte {
	return tns.AppendData(dst, 0, p.payload, p.sdu, large)
}

// Admits returns what tells whether a registration that was made earlier could be made now: its peer may register, over some
// transport. Nobody is refused as long as it is not known what an invited name means, since the peer may be who is invited. Names
// are looked up once, when they matter to somebody first.
func (s *Server) Admits(ctx context.Context) func(*servicetable.Registration) bool {
	g, err := s.currentGate()
	if err != nil {
		return func(*servicetable.Registration) bool { return false }
	}
	find := sync.OnceValue(func() facts { return g.find(ctx) })
	return func(r *servicetable.Registration) bool {
		peer := r.Peer.Unmap().WithZone("")
		if !peer.IsValid() {
			return g.decide(peer, "IPC", facts{}).allowed
		}
		return slices.ContainsFunc(g.transports, func(transport string) bool {
			if transport == "IPC" {
				return false
			}
			var known facts
			if g.needsFacts(peer, transport) {
				known = find()
			}
			return known.unanswered || g.decide(peer, transport, known).allowed
		})
	}
}
