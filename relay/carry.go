package relay

import (
	"context"
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
	end  context.CancelCauseFunc

	place  Reservation
	at     counted
	took   time.Duration // its connect
	limits timeouts

	ending  atomic.Bool       // it has been told to end
	running bool              // it can be moved; guarded by Server.mu
	thawed  chan *engine.Link // what goes on once it has been frozen; nil: it is another process's
	over    chan struct{}     // closed when nobody finds it any more
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

// carry registers the session, moves its bytes to the end, and logs it once.
func (s *Server) carry(ctx context.Context, d *dialogue, a *accepted) {
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
	one.part.shares.Store(&a.shares)
	ctx = s.enlist(ctx, one, link)
	server.landed()

	a.candidate, a.server = servicetable.Candidate{}, nil
	d.asked, d.connect, d.record, d.route, d.granted, d.arrival = nil, nil, nil, nil, granted{}, Arrival{} // a session may last for months; what it asked for need not
	s.attend(ctx, one)
}

func countedAt(c servicetable.Candidate) counted {
	r := c.Registration
	return counted{Instance: r.Instance, Host: r.Host, Service: c.Service.Name, Handler: c.Handler.Name, Named: c.Path != nil && c.Path.Named}
}

// enlist makes a session one of those that are open, over a link that is about to run.
func (s *Server) enlist(ctx context.Context, one *session, link *engine.Link) context.Context {
	ctx, one.end = context.WithCancelCause(ctx)
	one.over = make(chan struct{})
	one.prepare(link)
	link.Running = func() { s.canMove(one) }
	s.mu.Lock()
	if s.sessions == nil {
		s.sessions = map[uint64]*session{}
	}
	s.sessions[one.info.ID] = one
	s.reshare(one) // there may have been a reload meanwhile
	s.mu.Unlock()
	s.inspect(one)
	return ctx
}

// prepare gives a link what the session knows of itself, and makes it the session's.
func (one *session) prepare(link *engine.Link) {
	link.IdleTimeout, link.SessionTimeout = one.limits.Idle, one.limits.Session
	if len(*one.part.shares.Load()) > 0 {
		link.Limit = [2]engine.Limiter{engine.ToServer: path{&one.part, engine.ToServer}, engine.ToClient: path{&one.part, engine.ToClient}}
	}
	one.link.Store(link)
}

// attend carries a session to its end, here or in another process.
func (s *Server) attend(ctx context.Context, one *session) {
	defer close(one.over)
	defer one.end(nil)
	defer one.release()
	err := one.run(ctx)
	if cause := context.Cause(ctx); errors.Is(cause, ErrEnded) {
		err = cause
	}
	s.mu.Lock()
	delete(s.sessions, one.info.ID)
	releaseAll(*one.part.shares.Load())
	s.mu.Unlock()
	if errors.Is(err, engine.ErrFrozen) { // whoever has it now tells of its end
		return
	}
	s.logSession(one, err)
	if s.Ended != nil {
		info := one.describe(time.Now())
		s.Ended(&info, err)
	}
}

// release ends what the balancer counts of it.
func (one *session) release() {
	if one.place != nil {
		one.place.Release()
	}
}

// run moves bytes until the session is over; engine.ErrFrozen: for this process.
func (one *session) run(ctx context.Context) error {
	for {
		err := one.link.Load().Run(ctx)
		if !errors.Is(err, engine.ErrFrozen) {
			return err
		}
		if <-one.thawed == nil {
			return err
		}
	}
}
