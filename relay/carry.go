package relay

import (
	"errors"
	"sync/atomic"
	"time"

	"servicebroker/relay/engine"
	"servicebroker/servicetable"
)

// session is one that is open.
type session struct {
	info SessionInfo
	link atomic.Pointer[engine.Link] // another one once it could not be moved, and goes on here
	part part

	place  Reservation
	at     counted
	took   time.Duration // its connect
	limits timeouts

	ending  atomic.Pointer[error] // why it has been told to end
	running bool                  // it can be moved; guarded by Server.mu
}

// counted is by what the balancer knows where a session is.
type counted struct {
	Instance string `json:"instance"` // as registered, as are Host and Service
	Host     string `json:"host"`
	Service  string `json:"service"`
	Handler  string `json:"handler"`
	Named    bool   `json:"named,omitempty"` // by a client's own route
}

// timeouts are those of a session, 0 for never.
type timeouts struct {
	Idle    time.Duration `json:"idle_ns,omitempty"`
	Session time.Duration `json:"session_ns,omitempty"`
}

// carry makes a session of a connect: it moves bytes, and is logged once, without anybody who waits for it.
func (s *Server) carry(d *dialogue, a *accepted) {
	server := a.server
	treatment := s.treatment(d, a.candidate)
	link := &engine.Link{
		Client: d.conn.NetConn(), Server: server.conn.NetConn(),
		Pending:  [2][]byte{engine.ToServer: d.conn.Buffered(), engine.ToClient: server.conn.Buffered()},
		Accepted: server.accepted(),
	}
	one := &session{
		info: s.describe(d, server, a.candidate), place: a.place, took: d.record.Took, at: countedAt(a.candidate),
		limits: timeouts{treatment.IdleTimeout.or(s.IdleTimeout), treatment.SessionTimeout.or(s.SessionTimeout)},
	}
	one.part.service = d.offeredAs(a.candidate)
	shares := a.shares
	one.part.shares.Store(&shares) // and not all of a
	if d.arrival.Carried != nil {
		d.arrival.Carried()
	}
	s.enlist(one, link)
	server.landed()
	s.run(one, link)
}

func countedAt(c servicetable.Candidate) counted {
	r := c.Registration
	return counted{Instance: r.Instance, Host: r.Host, Service: c.Service.Name, Handler: c.Handler.Name, Named: c.Path != nil && c.Path.Named}
}

// enlist makes a session one of those that are open, over a link that is about to run.
func (s *Server) enlist(one *session, link *engine.Link) {
	one.prepare(link)
	link.Running = func() { s.canMove(one) }
	s.mu.Lock()
	if s.sessions == nil {
		s.sessions = map[uint64]*session{}
	}
	s.sessions[one.info.ID] = one
	s.reshare(one) // there may have been a reload meanwhile
	stopped := s.stopped
	s.mu.Unlock()
	if stopped != nil {
		one.end(stopped)
	}
	s.inspect(one)
}

// prepare gives a link what the session knows of itself, and makes it the session's.
func (one *session) prepare(link *engine.Link) {
	link.IdleTimeout, link.SessionTimeout = one.limits.Idle, one.limits.Session
	if len(*one.part.shares.Load()) > 0 {
		link.Limit = [2]engine.Limiter{engine.ToServer: path{&one.part, engine.ToServer}, engine.ToClient: path{&one.part, engine.ToClient}}
	}
	one.link.Store(link)
}

// run has the session's bytes moved until it is over; whoever freezes it sees to what then becomes of it.
func (s *Server) run(one *session, link *engine.Link) {
	s.engine.Carry(link, func(err error) {
		if !errors.Is(err, engine.ErrFrozen) {
			s.leave(one, err)
		}
	})
	if cause := one.ending.Load(); cause != nil { // it may have missed this link
		link.Close(*cause)
	}
}

// end ends a session for a cause, wherever it is on its way.
func (one *session) end(cause error) {
	one.ending.CompareAndSwap(nil, &cause)
	one.link.Load().Close(cause)
}

// leave takes a session from those that are open. With engine.ErrFrozen it is another process's, which tells of its end.
func (s *Server) leave(one *session, err error) {
	s.mu.Lock()
	delete(s.sessions, one.info.ID)
	releaseAll(*one.part.shares.Load())
	s.mu.Unlock()
	if !errors.Is(err, engine.ErrFrozen) {
		s.logSession(one, err)
		if s.Ended != nil {
			info := one.describe(time.Now())
			s.Ended(&info, err)
		}
	}
	one.vacate()
	if s.Closed != nil {
		s.Closed()
	}
}

// vacate gives its place among the sessions back, if they are limited.
func (one *session) vacate() {
	if one.place != nil {
		one.place.Release()
	}
}

// Stop ends all sessions, and those that begin later, for a cause.
func (s *Server) Stop(cause error) {
	s.mu.Lock()
	s.stopped = cause
	s.mu.Unlock()
	for _, one := range s.openSessions() {
		one.end(cause)
	}
}

// Close lets go of what sessions are carried by, once all are over. No connection may be served any more.
func (s *Server) Close() { s.engine.Close() }
