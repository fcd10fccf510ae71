// Package relay holds the dialogue with a client that asks for a service: it
// finds out what is asked, who offers it and whether the client may have it,
// and then redirects the client there, carries its session, or refuses it with
// the one error that fits. What could come about in a moment is waited for.
package relay

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"servicebroker/descriptor"
	"servicebroker/dn"
	"servicebroker/journal"
	"servicebroker/limits"
	"servicebroker/relay/engine"
	"servicebroker/servicetable"
	"servicebroker/tns"
)

// Placing is one connect for which candidates are to be ordered.
type Placing struct {
	Query    servicetable.Query
	Policy   string // by which to order, in the words of POLICY; "": as configured for all
	Redirect bool   // the client goes there by itself: its session and end are not seen
}

// Reservation is one connect's place in the balancer's counts.
type Reservation interface {
	Route() []servicetable.Candidate // the order to try
	Kind(redirect bool)              // whether the client goes there by itself, said before Settle
	Settle(c servicetable.Candidate) // the count moves to the one that answered
	Release()                        // the count ends
	Verdicts() []journal.Candidate   // why in that order
	Policy() string                  // by which
}

// Attempt finds out whether one candidate accepts the client. It calls commit
// once its connection is open and before it sends anything that opens a
// session, and gives up if that fails. Its errors tell by MoveOn() whether
// another candidate could do better.
type Attempt func(ctx context.Context, c servicetable.Candidate, commit func() error) (*ServerConnection, error)

// Server serves clients, one Serve a connection. Fill in the fields before the
// first call; those without "may be nil" are required.
type Server struct {
	// Snapshot returns the table as it is now.
	Snapshot func() *servicetable.Snapshot
	// Order decides in which order to try candidates, and counts the connect;
	// Foresee tells what Order would decide, and counts nothing.
	Order   func(Placing, []servicetable.Candidate) Reservation
	Foresee func(Placing, []servicetable.Candidate) []journal.Candidate
	// Dial makes attempts along the route until one succeeds.
	Dial func(context.Context, []servicetable.Candidate, Attempt) (*ServerConnection, servicetable.Candidate, error)

	// Connect opens a connection to an instance: for an address with PROTOCOL=tcps one
	// whose TLS handshake is over, and which can run another (see tns.Conn.RestartTLS).
	// It may be nil: instances are reached over TCP alone.
	Connect func(context.Context, Destination) (net.Conn, error)
	// Rules returns the rules in force; may be nil, and return nil: everyone may
	// have everything.
	Rules func() *RuleSet
	// Treatment returns how connects for a service are treated where no rule says
	// otherwise; may be nil: the zero Treatment.
	Treatment func(service string) Treatment
	// Withhold returns what operators keep from a client because of where it
	// comes from; may be nil, and return nil: nothing.
	Withhold func(client netip.Addr) func(servicetable.Candidate) *Withheld
	// Routes returns where connects go that are not left to the table; may be nil.
	Routes func() *Routes
	// Local tells whether an address is one of this host's own, to which no client's route
	// leads unless a rule says so; may be nil: only loopback is.
	Local func(netip.Addr) bool
	// View returns the address by which a client reaches a handler's, for redirects; may be
	// nil: the same.
	View func(client netip.Addr, host string, port int) (string, int)
	// StandIn returns where to find a candidate whose host no name service knows: the
	// address it registered from, if that is its own. The zero Addr: nowhere else. May be nil.
	StandIn func(context.Context, servicetable.Candidate) netip.Addr
	// Lately returns candidates for a query that were there a while ago and are not
	// now; may be nil: none.
	Lately func(servicetable.Query) []servicetable.Candidate
	// Elsewhere asks other brokers, within a moment, for candidates of what nobody here offers; none is of an instance
	// that is registered here. asked tells that there are some who may know later, too. May be nil: nobody is asked.
	Elsewhere func(context.Context, servicetable.Query) (candidates []servicetable.Candidate, asked bool)
	// HoldWanted tells why an operator wants all connects of a client for a
	// service to wait, "" if none does; may be nil.
	HoldWanted func(client netip.Addr, q servicetable.Query) string
	// Group names what operators want of clients from an address and of no others;
	// may be nil: nothing. Clients of different groups do not wait in one line.
	Group func(client netip.Addr) string
	// Hold parks connects; may be nil: nobody waits.
	Hold Holding
	// Shares returns what a connect for a registered service takes part in, the narrowest
	// first, by the rule that lets it in, nil for none: these say how much there may be of
	// it. It may be nil: without limits.
	Shares func(service string, rule *Rule) []*limits.Share
	// Rated tells whether any of all shares may have a rate; may be nil: some may.
	Rated func() bool
	// Repeats finds refusals that are like others, so that a flood is told once; may be nil: each is told.
	Repeats *limits.Repeats
	// Verify finds out whether a client can be redirected to a candidate, which it
	// probes if it has not been seen alive lately; may be nil: all are taken as
	// they are registered.
	Verify func(context.Context, servicetable.Candidate) error
	// Suspect is told of a handler, "instance@host/handler", to which a client was
	// redirected and from which it came back; may be nil.
	Suspect func(handlerKey, why string)
	// Guesses tells whether a client is to be answered as if nobody had what it asks for, since it tries names until one is
	// right; may be nil: none is.
	Guesses func(client netip.Addr, q servicetable.Query) bool
	// Resolve returns the addresses of a candidate's host, for rules about networks,
	// within two seconds, and at once where it was asked lately; may be nil: hosts
	// registered by name then match names as text only.
	Resolve func(ctx context.Context, host string) []netip.Addr
	// Claimed is Resolve for the hosts of routes, which clients may make up; nil: Resolve.
	Claimed func(ctx context.Context, host string) []netip.Addr
	// Own tells whether an address is one this broker listens on, so that no
	// client is sent in a circle; may be nil.
	Own func(host string, port int) bool
	// Journal keeps the explanation of every connect; may be nil.
	Journal *journal.Journal
	// Report is told once of each connect when its answer is settled, before the client
	// has it, except that a relayed one has had its ACCEPT; may be nil. It must not wait.
	Report func(*ConnectReport)
	// Ended is told of each session when it is over, and why if it did not end by itself;
	// may be nil. It must not wait.
	Ended func(*SessionInfo, error)
	// Closed is told when a session's connections are not this process's any more, the last thing
	// that is done about it; may be nil.
	Closed func()

	// Seen returns what is to be told of the packets of the dialogue with an instance, tns.Conn.Seen,
	// nil if nobody looks at the client; may be nil.
	Seen func(to Destination) func(sent bool, packet []byte)
	// Inspect returns what is to see the bytes of a session, engine.Link.Inspect, nil if
	// nobody looks; may be nil. It is asked again after Reinspect.
	Inspect func(s SessionInfo, version uint16) func(toClient bool, b []byte)

	// VSNNUM is the version that refusals claim, tns.md 3; 0 hides it.
	VSNNUM uint32
	// IdleTimeout and SessionTimeout end relayed sessions; 0: never.
	IdleTimeout, SessionTimeout time.Duration
	// SDU is the largest session data unit that an instance is asked for, bytes: what it
	// accepts is within that, and holds for the client too; may be nil, and return 0: what
	// the client asks for.
	SDU func() int
	// Log may be nil.
	Log *slog.Logger

	// Resumed counts a session that came from another process where the balancer's counts
	// are; may be nil: it is counted nowhere.
	Resumed func(*MovedSession) Reservation
	// Share returns a rule's share of limits by its name; required where Shares is there.
	Share func(rule string) *limits.Share
	// Thawed is told of each connection that came from another process; may be nil.
	Thawed func(net.Conn)

	engine     engine.Loops
	lastID     atomic.Uint64
	inspecting sync.Mutex
	departing  departing
	loops      loopGuard
	attempts   attempts
	mu         sync.Mutex // guards what follows
	sessions   map[uint64]*session
	tallies    map[string]*Tally
	newcomers  *newcomers // nil while nobody wants the sessions
	stopped    error      // why sessions end that begin now; nil: they do not
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
	arrival Arrival
	offered uint64    // the last round of offers to another process that it was in
	conn    *tns.Conn // nil where a connect is only thought through
	connect *tns.Connect
	client  netip.AddrPort
	arrived string           // the listening address it came in on
	network string           // that address belongs to; "" : none
	secure  bool             // over TLS
	mostSDU uint32           // see Server.SDU; 0: no limit
	asked   *descriptor.Node // the descriptor; nil until it has been read
	query   servicetable.Query
	hello   []byte                   // of a sealed client; nil for others
	way     *way                     // where it goes that is not left to the table; else nil
	passing bool                     // it came through another broker, or is to go through one: it is not redirected
	dn      dn.Name                  // the name in the client's certificate; none without one
	granted granted                  // by the rules
	counted []*ruleHits              // the rules that have been counted for it
	route   []servicetable.Candidate // that was dialled last
	place   Place                    // among those that wait; nil while it need not
	bell    bell                     // ends a wait
	turn    limits.Wait              // for which it has to wait
	peers   bool                     // other brokers may come to have what it asks for
	through [kinds]bool              // the rates it is through
	guess   bool                     // it is answered as if nobody had what it asks for
	repeat  bool                     // its refusal is like others, and has been explained
	waited  time.Duration
	waits   time.Time     // since when it does; zero: it does not
	held    time.Time     // since when it stands in a line; zero: it never did
	decided time.Duration // how long the last decision took
	dialled time.Duration // how long all attempts took
	served  string        // what the client got, see servedAs
	record  *journal.Explanation
	ref     string            // of the record, while that is let go
	tried   []journal.Attempt // likewise
}

// Serve conducts the dialogue that connect opened on conn, and logs what came of it. When it
// returns it has closed conn, or made a session of it, which lives on by itself; see
// Arrival.Carried. When ctx ends, so does the dialogue.
func (s *Server) Serve(ctx context.Context, conn *tns.Conn, connect *tns.Connect, arrival Arrival) {
	raw := conn.NetConn()
	d := &dialogue{
		began: time.Now(), arrival: arrival, conn: conn, connect: connect, client: AddrPort(raw.RemoteAddr()),
		arrived: nameOf(raw.LocalAddr()), secure: conn.OverTLS(),
	}
	s.conduct(ctx, d)
}

// conduct is Serve for a client of which all is known that it says of itself.
func (s *Server) conduct(ctx context.Context, d *dialogue) {
	if s.SDU != nil {
		d.mostSDU = uint32(s.SDU())
	}
	_ = d.conn.NetConn().SetDeadline(time.Time{})
	d.network = servicetable.NetworkOf(ctx)
	if d.arrival.Before != nil {
		d.goOn(d.arrival.Before)
	}
	s.openRecord(d)
	carried, err := s.serve(ctx, d)
	switch {
	case errors.Is(err, errDeparted):
		_ = d.conn.NetConn().Close() // which says nothing to the client as long as another process has its socket
	case err != nil:
		s.refuse(d, err)
	case carried != nil:
		s.carry(d, carried)
	default: // redirected
		d.part()
	}
}

// part closes the connection of a client that has its last message.
func (d *dialogue) part() {
	if d.arrival.Part == nil {
		d.conn.CloseAfterReply(lingerTimeout)
		return
	}
	d.arrival.Part(d.conn, lingerTimeout)
}

// accepted is a server connection whose ACCEPT the client has.
type accepted struct {
	server    *ServerConnection
	candidate servicetable.Candidate
	place     Reservation
	shares    []*limits.Share // in which it counts as a session
}

// serve returns an error only while the client still waits for its answer. It
// tries again for as long as waiting can help. What is to be carried is returned.
func (s *Server) serve(ctx context.Context, d *dialogue) (a *accepted, err error) {
	defer func() { d.leave(false) }() // where it has not left already
	run := apart
	if s.isOffered(d) {
		run = atOnce
	}
	run(func() {
		if err = s.understand(d); err == nil {
			err = s.guessed(d)
		}
		if err == nil {
			err = s.flooded(ctx, d)
		}
	})
	for _, turn := range d.arrival.Turns {
		if err == nil {
			err = s.awaitTurn(ctx, d, turn)
		}
	}
	if err == nil && s.departing.round.Load() == 0 {
		err = s.lineUp(ctx, d)
	}
	if err != nil {
		return nil, err
	}
	for ; ; run = apart {
		if s.departs(d) {
			return nil, errDeparted
		}
		run(func() { a, err = s.try(ctx, d) })
		if d.turn.Turn != nil {
			if err = s.awaitTurn(ctx, d, d.turn); err != nil {
				return nil, err
			}
			continue
		}
		if err == nil || !s.mayWait(d, err) {
			return a, err
		}
		if err = s.wait(ctx, d, err); err != nil {
			return nil, err
		}
	}
}

// isOffered guesses, before anything is understood, whether a connect will have its answer at once: whether it asks for a
// service that there is.
func (s *Server) isOffered(d *dialogue) bool {
	_, from, _ := bytes.Cut(d.connect.Data, []byte("(SERVICE_NAME="))
	name, _, found := bytes.Cut(from, []byte(")"))
	return found && len(name) <= maxWordGuessed && s.Snapshot().Named(string(name)) != ""
}

// maxWordGuessed is how long a name may be that is looked up before it is read properly.
const maxWordGuessed = 128

func atOnce(f func()) { f() }

// apart runs f on a stack of its own. Decisions need a deep one; what waits for minutes, by
// the thousand, must not keep it.
func apart(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	<-done
}

// understand reads what the client asks for.
func (s *Server) understand(d *dialogue) (err error) {
	if d.asked, err = readAsked(string(d.connect.Data)); err != nil {
		return err
	}
	if d.conn != nil {
		d.dn = clientDN(d.conn.NetConn())
	}
	err = s.interpret(d)
	d.recordQuestion()
	return err
}

// try goes the whole way from the table to an answer, once, by the table as it is
// now, and where that leads to nobody by what other brokers have. Where there is no
// error the client has its answer.
func (s *Server) try(ctx context.Context, d *dialogue) (*accepted, error) {
	began := time.Now()
	if d.way == nil {
		d.record.Route = ""
	}
	candidates, err := s.weigh(ctx, d)
	if err == nil {
		var a *accepted
		if a, err = s.tryAll(ctx, d, candidates, began); err == nil {
			return a, nil
		}
	}
	candidates = s.elsewhere(ctx, d, err)
	if len(candidates) == 0 {
		return nil, err
	}
	return s.tryAll(ctx, d, candidates, began)
}

// tryAll goes from candidates to an answer.
func (s *Server) tryAll(ctx context.Context, d *dialogue, candidates []servicetable.Candidate, began time.Time) (a *accepted, err error) {
	if err = s.enter(d, candidates[0]); err != nil {
		return nil, err
	}
	returned := s.cameBack(d)
	treatment := s.treatment(d, candidates[0])
	reservation := s.Order(Placing{
		Query: d.query, Policy: treatment.Policy, Redirect: treatment.Mode == ModeRedirect && !returned && d.hello == nil,
	}, candidates)
	d.recordOrder(reservation)
	d.decided = time.Since(began)
	route := reservation.Route()
	if !returned && d.hello == nil {
		if route, err = s.redirect(ctx, d, reservation); route == nil {
			return nil, err
		}
	}
	a, err = s.relay(ctx, d, reservation, route)
	if err != nil {
		reservation.Release()
	}
	return a, err
}

// relay finds an instance along the route that accepts the client, and tells the client.
func (s *Server) relay(ctx context.Context, d *dialogue, reservation Reservation, route []servicetable.Candidate) (a *accepted, err error) {
	if hopsOf(d.connect) >= maxHops && (d.way == nil || !d.way.named) {
		return nil, errCircle
	}
	shares, err := s.takeSessions(d, route[0])
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			releaseAll(shares)
		}
	}()
	server, candidate, err := s.dial(ctx, d, route)
	if err != nil {
		return nil, err
	}
	reservation.Kind(false)
	reservation.Settle(candidate)
	_ = d.conn.NetConn().SetWriteDeadline(time.Now().Add(replyTimeout))
	if err := d.sendAccept(server); err != nil {
		_ = server.Close()
		return nil, &clientGone{err}
	}
	_ = d.conn.NetConn().SetDeadline(time.Time{})
	shares = s.moveSession(d, shares, candidate)
	s.seen(d)
	d.leave(true)
	s.finishAt(ctx, d, journal.Relay, candidate)
	s.logSlow(d)
	return &accepted{server, candidate, reservation, shares}, nil
}

// dial finds the first candidate of the route that accepts the client, for as long as the
// client is there.
func (s *Server) dial(ctx context.Context, d *dialogue, route []servicetable.Candidate) (*ServerConnection, servicetable.Candidate, error) {
	d.route = route
	defer func(began time.Time) { d.dialled += time.Since(began) }(time.Now())
	if limit := s.dialLimit(d, route); limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	ctx, stop := d.whileThere(ctx)
	var log dialLog
	server, candidate, err := s.Dial(ctx, route, func(ctx context.Context, c servicetable.Candidate, commit func() error) (*ServerConnection, error) {
		ended := log.begin(c)
		server, err := s.attempt(ctx, d, c, commit)
		ended(err)
		return server, err
	})
	d.recordDial(&log)
	if gone := stop(); gone != nil {
		if err == nil {
			_ = server.Close()
		}
		return nil, candidate, &clientGone{gone}
	}
	return server, candidate, err
}

// asksFor names what a query is after, as rules and logs see it.
func asksFor(q servicetable.Query) string {
	if q.Service != "" {
		return q.Service
	}
	return q.SID
}

// AddrPort returns the address of a TCP peer, IPv4 never in its IPv6 form and without a zone; the
// zero AddrPort of any other. It is what rules, limits and explanations know a client by.
func AddrPort(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	p := t.AddrPort()
	return netip.AddrPortFrom(p.Addr().Unmap().WithZone(""), p.Port())
}
