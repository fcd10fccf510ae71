package relay

import (
	"errors"
	"time"

	"servicebroker/limits"
	"servicebroker/relay/engine"
	"servicebroker/servicetable"
)

// carry makes a session of a connect: it moves bytes, and is logged once, without anybody who waits for it.
func (s *Server) carry(d *dialogue, a *accepted) {
	server := a.server
	treatment := s.treatment(d, a.candidate)
	piece := new(struct {
		session
		link engine.Link
	})
	one, link := &piece.session, &piece.link
	link.Client, link.Server, link.Accepted = d.conn.NetConn(), server.conn.NetConn(), server.accepted()
	d.conn.Release()
	server.conn.Release()
	link.Pending = [2][]byte{engine.ToServer: d.conn.Buffered(), engine.ToClient: server.conn.Buffered()}
	info := s.describe(d, server, a.candidate)
	within := timeouts{treatment.IdleTimeout.or(s.IdleTimeout), treatment.SessionTimeout.or(s.SessionTimeout)}
	one.know(&info, countedAt(a.candidate), d.offeredAs(a.candidate), within)
	one.place, one.took = a.place, d.record.Took
	one.share(a.shares)
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
	one.server = s
	one.prepare(link)
	link.Running = func() { s.canMove(one) }
	s.mu.Lock()
	if s.sessions == nil {
		s.sessions = map[uint64]*session{}
	}
	s.sessions[one.id] = one
	s.reshare(one) // there may have been a reload meanwhile
	stopped := s.stopped
	s.mu.Unlock()
	if stopped != nil {
		one.end(stopped)
	}
	s.inspect(one)
}

// run has the session's bytes moved until it is over.
func (s *Server) run(one *session, link *engine.Link) {
	s.engine.Carry(link, one)
	if cause := one.ending.Load(); cause != nil { // it may have missed this link
		link.Close(*cause)
	}
}

// leave takes a session from those that are open. With engine.ErrFrozen it is another process's, which tells of its end.
func (s *Server) leave(one *session, err error) {
	s.mu.Lock()
	delete(s.sessions, one.id)
	var shares [kinds]*limits.Share
	releaseAll(one.shared(&shares))
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
