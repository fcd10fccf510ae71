package sqlengine

import "errors"

// Engine is one database, shared by its sessions.
type Engine struct{}

var errNotYet = errors.New("sqlengine: under construction")

// Open opens the database stored at path, or a fresh temporary one if path is empty.
func Open(path string) (*Engine, error) { return nil, errNotYet }

// Close closes the database and removes it if it is temporary. Sessions must have been closed before.
func (e *Engine) Close() error { return errNotYet }

// Identity is what a session says of itself and of where it is, as SYS_CONTEXT('USERENV', …) and V$SESSION show it.
type Identity struct {
	User, ProxyUser, Schema                                          string
	Service, Instance, SID, ServerHost, ServerAddress, ClientAddress string
	ClientIdentifier, ClientInfo, Module, Action, Program, Machine   string
	OSUser, Terminal                                                 string
	SessionID, Serial                                                int
}

// NewSession starts a session. A private one works on its own copy of the data as of now, which nobody else sees.
func (e *Engine) NewSession(id Identity, private bool) (*Session, error) { return nil, errNotYet }
