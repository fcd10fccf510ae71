// Package ttcserver holds one client's SQL conversation as a database would:
// it accepts the connect, negotiates, checks the password and then runs what
// the client sends against a session of the SQL engine.
//
// It serves a connection somebody else accepted and whose CONNECT somebody
// else read, and knows nothing of listeners or registrations.
package ttcserver

import (
	"context"
	"log/slog"
	"time"

	"servicebroker/testenv/sqlengine"
	"servicebroker/tns"
	"servicebroker/ttc"
)

// Server is what the conversations of one database have in common. Its
// exported fields are set before the first Serve and not changed afterwards;
// the zero value of each is the default its comment names.
type Server struct {
	// Authenticate finds the verifier of a user, whose name arrives in upper
	// case unless the client quoted it. A user it does not know is answered
	// with an invented verifier and fails in phase two, as a wrong password
	// does (ttc.md 7).
	Authenticate func(user string) (ttc.Verifier, bool)

	// MayProxy says whether user may act as proxy (`user[proxy]`). Nil allows
	// every proxy that Authenticate knows.
	MayProxy func(user, proxy string) bool

	// NewSession opens the engine's session for a login whose password was
	// right. The server closes it.
	NewSession func(ctx context.Context, login Login) (*sqlengine.Session, error)

	Identity Identity
	Dialect  Dialect

	// MaxPooled bounds the idle sessions kept for SERVER=POOLED clients; 0
	// means 40.
	MaxPooled int

	Log *slog.Logger // nil is silent

	sessions sessionList
}

// Identity is what the database says of itself at login.
type Identity struct {
	Instance     string // AUTH_INSTANCENAME; "TESTDB" if empty
	Database     string // AUTH_DBNAME; Instance if empty
	UniqueName   string // Database if empty
	Domain       string
	Host         string // AUTH_SC_SERVER_HOST; the operating system's name if empty
	Release      [5]byte
	BannerSuffix string // further text of the version banner
}

// Dialect is what the server offers in negotiation. The zero value suits every
// thin driver known: TNS version 318, TTC field version 12, neither fast
// authentication nor end-of-response (ttc.md 2).
type Dialect struct {
	TNSVersion    uint16 // 0: 318
	FieldVersion  byte   // 0: 12
	FastAuth      bool   // needs TNS version 318
	EndOfResponse bool   // needs TNS version 319
	SDU           uint32 // 0: 8192; the smaller of both sides is used

	// ClassicVerifier makes 11g verifiers answer in their oldest form, without
	// the PBKDF2 combination.
	ClassicVerifier bool
}

// Login is who a client is and what it asked for. The caller of Serve fills in
// what the connect data says (Service to POOL_PURITY) and where the client is;
// the rest becomes known during the login.
type Login struct {
	Service         string // the service's own name, as it is registered
	SID             string // the client asked for a SID instead
	ClientAddress   string // IP address as text
	ServerAddress   string // IP address as text
	Pooled          bool   // SERVER=POOLED
	ConnectionClass string // POOL_CONNECTION_CLASS, or AUTH_KPPL_CONN_CLASS
	PurityNew       bool   // POOL_PURITY=NEW, or AUTH_KPPL_PURITY=1
	Boundary        string // POOL_BOUNDARY: STATEMENT, TRANSACTION or empty

	User      string // whose rights the session has
	ProxyUser string // whose password was checked, if that is another

	Program, Machine, OSUser, Terminal, Process string
	Driver                                      string // SESSION_CLIENT_DRIVER_NAME
	Schema                                      string // a first current schema other than the user's; usually empty

	SessionID, Serial int // given by the server, unique in its lifetime
}

// SessionInfo describes one session for listings.
type SessionInfo struct {
	Login
	Since         time.Time
	InTransaction bool
	Active        bool   // a call is running
	Statement     string // of the call that runs or ran last
}

// Serve answers connect with an ACCEPT and holds the conversation until the
// client leaves, ctx ends or the session is killed. It closes conn. A client
// that leaves, with or without a logoff, is no error.
func (s *Server) Serve(ctx context.Context, conn *tns.Conn, connect *tns.Connect, login Login) error {
	c := newConversation(s, conn, login)
	return c.run(ctx, connect)
}

// Sessions lists the sessions that clients hold, by session id.
func (s *Server) Sessions() []SessionInfo { return s.sessions.all() }

// Kill ends the session with that id: its running call fails with ORA-00028
// and the connection is closed. It reports whether there was such a session.
func (s *Server) Kill(sessionID int) bool { return s.sessions.kill(sessionID) }
