package sqlengine

import "context"

// Session is one client's session. One goroutine at a time may use it and its statements and rows; cancelling the
// context of a call is how another goroutine stops it.
type Session struct{ identity Identity }

// Identity is the session's identity, for the conversation to change (client identifier, schema and so on).
func (s *Session) Identity() *Identity { return &s.identity }

// Prepare parses a statement. A failure is an *Error.
func (s *Session) Prepare(sql string) (*Statement, error) { return nil, errNotYet }

// Commit ends the transaction, if there is one, and keeps its changes.
func (s *Session) Commit(ctx context.Context) error { return errNotYet }

// Rollback ends the transaction, if there is one, and undoes its changes.
func (s *Session) Rollback(ctx context.Context) error { return errNotYet }

// InTransaction reports whether a transaction is open.
func (s *Session) InTransaction() bool { return false }

// Close rolls back and ends the session. It must not run beside another call on the session.
func (s *Session) Close() error { return errNotYet }
