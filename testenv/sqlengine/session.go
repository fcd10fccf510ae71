package sqlengine

import (
	"context"
	"database/sql/driver"
	"errors"
	"time"
)

// Session is one client's session. One goroutine at a time may use it and its statements and rows; cancelling the
// context of a call is how another goroutine stops it.
type Session struct {
	engine   *Engine
	key      int64
	identity Identity
	private  bool
	settings settings
	output   outputBuffer // of DBMS_OUTPUT

	// own is the connection of a private session's data.
	own *connection
	// writer is the connection that holds the open transaction, nil outside of one.
	writer *connection
	// open are the cursors on own or writer, which must be read up before these change what the cursors see.
	open       map[*Rows]struct{}
	savepoints []string
	marks      int         // savepoints of the engine's own that are set
	ended      int         // transactions that have ended
	block      *blockState // of the PL/SQL block that runs
	currval    map[[2]string]decimal
	seen       *dictionary // what the last translation used
	closed     bool
	// temporary says that the transaction touched a table whose rows go at commit.
	temporary map[*object]struct{}
}

// Identity is what a session says of itself and of where it is, as SYS_CONTEXT('USERENV', …) and V$SESSION show it.
type Identity struct {
	User, ProxyUser, Schema                                          string
	Service, Instance, SID, ServerHost, ServerAddress, ClientAddress string
	ClientIdentifier, ClientInfo, Module, Action, Program, Machine   string
	OSUser, Terminal                                                 string
	SessionID, Serial                                                int
}

// Identity is the session's identity, for the conversation to change (client identifier, schema and so on).
func (s *Session) Identity() *Identity { return &s.identity }

// schema is where unqualified names are looked up.
func (s *Session) schema() string { return s.identity.Schema }

// InTransaction reports whether a transaction is open.
func (s *Session) InTransaction() bool { return s.writer != nil }

// Commit ends the transaction, if there is one, and keeps its changes.
func (s *Session) Commit(ctx context.Context) error { return asError(s.finish(ctx, "COMMIT")) }

// Rollback ends the transaction, if there is one, and undoes its changes.
func (s *Session) Rollback(ctx context.Context) error { return asError(s.finish(ctx, "ROLLBACK")) }

// asError turns a nil *Error into a nil error.
func asError(err *Error) error {
	if err == nil {
		return nil
	}
	return err
}

// begin opens a transaction unless there is one, waiting for other sessions' no longer than wait.
func (s *Session) begin(ctx context.Context, wait time.Duration) *Error {
	if s.closed {
		return failure(1012, "not logged on")
	}
	if s.writer != nil {
		return nil
	}
	if s.private {
		if err := s.own.run("BEGIN"); err != nil {
			return oracleError(ctx, err, nil)
		}
		s.writer = s.own
		return nil
	}
	if err := s.engine.lock(ctx, wait); err != nil {
		return err
	}
	c, err := s.engine.acquire()
	if err == nil {
		if err = c.run("BEGIN IMMEDIATE"); err != nil {
			s.engine.release(c)
		}
	}
	if err != nil {
		s.engine.unlock()
		return oracleError(ctx, err, nil)
	}
	s.writer = c
	return nil
}

// lock waits for the right to write.
func (e *Engine) lock(ctx context.Context, wait time.Duration) *Error {
	select {
	case <-e.writer:
		return nil
	default:
	}
	if wait <= 0 {
		return errBusy()
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-e.writer:
		return nil
	case <-ctx.Done():
		return errCancelled()
	case <-timer.C:
		return errBusy()
	}
}

func (e *Engine) unlock() { e.writer <- struct{}{} }

// finish ends the transaction by COMMIT or ROLLBACK. It is done even if the context has ended.
func (s *Session) finish(ctx context.Context, how string) *Error {
	s.savepoints, s.marks = nil, 0
	s.ended++
	if s.writer == nil {
		return nil
	}
	s.readUp(ctx)
	if how == "COMMIT" {
		for o := range s.temporary {
			if err := s.writer.run("DELETE FROM " + o.stored()); err != nil {
				return oracleError(ctx, err, nil)
			}
		}
	}
	s.temporary = nil
	err := s.writer.run(how)
	if err != nil && how == "COMMIT" {
		err = errors.Join(err, s.writer.run("ROLLBACK"))
	}
	c := s.writer
	s.writer = nil
	if !s.private {
		c.broken = c.broken || err != nil
		s.engine.release(c)
		s.engine.unlock()
	}
	if err != nil {
		return oracleError(context.Background(), err, nil)
	}
	return nil
}

// readUp reads the open cursors on the session's own connection to their end, before it changes what they see.
func (s *Session) readUp(ctx context.Context) {
	for r := range s.open {
		r.readUp(ctx)
	}
}

// reader gives a connection to read with: the transaction's if there is one. Done gives it back.
func (s *Session) reader() (c *connection, shared bool, err *Error) {
	switch {
	case s.closed:
		return nil, false, failure(1012, "not logged on")
	case s.writer != nil:
		return s.writer, false, nil
	case s.private:
		return s.own, false, nil
	}
	c, problem := s.engine.acquire()
	if problem != nil {
		return nil, false, oracleError(context.Background(), problem, nil)
	}
	return c, true, nil
}

// withReader runs f with a connection to read with.
func (s *Session) withReader(f func(c *connection) error) *Error {
	c, shared, failed := s.reader()
	if failed != nil {
		return failed
	}
	if shared {
		defer s.engine.release(c)
	}
	if err := f(c); err != nil {
		return oracleError(context.Background(), err, nil)
	}
	return nil
}

// objects reads the dictionary as the session sees it.
func (s *Session) objects(c *connection) (*dictionary, *Error) {
	d, err := loadDictionary(c, c.dictionary)
	if err != nil {
		return nil, oracleError(context.Background(), err, nil)
	}
	c.dictionary, s.seen = d, d
	return d, nil
}

// Close rolls back and ends the session. It must not run beside another call on the session.
func (s *Session) Close() error {
	if s.closed {
		return nil
	}
	for r := range s.open {
		r.Close() // rows of an ending session; their last error has nowhere to go
	}
	err := asError(s.finish(context.Background(), "ROLLBACK"))
	s.closed = true
	s.engine.forget(s.key)
	if s.own != nil {
		err = errors.Join(err, s.own.close())
	}
	return err
}

// arguments gives the values of a step's parameters. Binds are in stored form.
func (s *Session) arguments(parameters []parameter, binds []driver.Value, now time.Time) ([]driver.Value, *Error) {
	out := make([]driver.Value, len(parameters))
	for i, p := range parameters {
		switch p.kind {
		case parameterBind:
			if p.bind >= len(binds) {
				return nil, failure(1008, "not all variables bound")
			}
			out[i] = binds[p.bind]
		case parameterValue:
			out[i] = p.value
		case parameterVariable:
			out[i] = p.variable.value
		case parameterSpecial:
			out[i] = s.special(p.name, now)
		}
	}
	return out, nil
}
