package relay

import (
	"context"
	"errors"
	"net/netip"
	"sync/atomic"
	"time"
	"unique"

	"servicebroker/limits"
	"servicebroker/relay/engine"
	"servicebroker/servicetable"
)

// session is one that is open. Thousands may be, most of them idle: so what many have in common is there once, the texts of
// each are in one piece, and the rest in another, with its link: small pieces would each keep a page of the memory that
// was taken for connects.
type session struct {
	id, serverID uint64
	alike        unique.Handle[alike]
	texts        string           // client, program, machine, user, server, our address there and Ref, one after the other
	ends         [ownTexts]uint16 // where each ends
	running      bool             // it can be moved; guarded by Server.mu
	network      netip.Addr
	started      time.Time
	took         time.Duration // its connect
	place        Reservation
	server       *Server
	shares       [kinds]atomic.Pointer[limits.Share] // what it takes part in, limited or not, the narrowest first, then nil; changed with Server.mu locked
	link         atomic.Pointer[engine.Link]         // another one once it could not be moved, and goes on here
	ending       atomic.Pointer[error]               // why it has been told to end, or errMoved
}

// alike is what sessions of one service, by one way and rule, with one handler, have in common.
type alike struct {
	service, instance, handler, rule, way, database, offered string
	registration                                             servicetable.ID
	at                                                       counted
	limited                                                  string // its service, as limits name it
	limits                                                   timeouts
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

// ownTexts is how many texts a session has for itself, and mostOwnText how many bytes are kept of each: other processes may send more.
const (
	ownTexts    = 7
	mostOwnText = 4 << 10
)

func ownTextsOf(i *SessionInfo) [ownTexts]*string {
	return [...]*string{&i.Client, &i.Program, &i.Machine, &i.User, &i.Server, &i.ServerLocal, &i.Ref}
}

// know makes a new session one of which info tells; it has neither link nor shares yet.
func (one *session) know(info *SessionInfo, at counted, limited string, limits timeouts) {
	one.id, one.serverID, one.network, one.started = info.ID, info.ServerID, info.Network, info.Started
	one.alike = unique.Make(alike{
		service: info.Service, instance: info.Instance, handler: info.Handler, rule: info.Rule, way: info.Way, database: info.Database,
		offered: info.Offered, registration: info.Registration, at: at, limited: limited, limits: limits,
	})
	var all []byte
	for i, text := range ownTextsOf(info) {
		all = append(all, (*text)[:min(len(*text), mostOwnText)]...)
		one.ends[i] = uint16(len(all))
	}
	one.texts = string(all)
}

// share makes shares what the session takes part in; callers hold Server.mu, or have the session for themselves.
func (one *session) share(shares []*limits.Share) {
	for i := range one.shares {
		var share *limits.Share
		if i < len(shares) {
			share = shares[i]
		}
		one.shares[i].Store(share)
	}
}

// shared is what the session takes part in, in memory of its caller.
func (one *session) shared(into *[kinds]*limits.Share) []*limits.Share {
	n := 0
	for n < kinds && one.shares[n].Load() != nil {
		into[n] = one.shares[n].Load()
		n++
	}
	return into[:n]
}

// tell fills in what is known of the session, but for its figures.
func (one *session) tell(info *SessionInfo) {
	a := one.alike.Value()
	*info = SessionInfo{
		ID: one.id, ServerID: one.serverID, Network: one.network, Started: one.started,
		Service: a.service, Instance: a.instance, Handler: a.handler, Rule: a.rule, Way: a.way, Database: a.database,
		Offered: a.offered, Registration: a.registration,
	}
	start := uint16(0)
	for i, text := range ownTextsOf(info) {
		*text = one.texts[start:one.ends[i]]
		start = one.ends[i]
	}
}

// describe tells of the session, with its figures.
func (one *session) describe(now time.Time) (info SessionInfo) {
	one.tell(&info)
	stats := one.link.Load().Stats()
	info.ToServer, info.ToClient = stats.ToServer, stats.ToClient
	last := info.Started
	for _, t := range []time.Time{stats.LastToServer, stats.LastToClient} {
		if t.After(last) {
			last = t
		}
	}
	info.Idle = now.Sub(last)
	return info
}

// prepare gives a link what the session knows of itself, and makes it the session's.
func (one *session) prepare(link *engine.Link) {
	limits := one.alike.Value().limits
	link.IdleTimeout, link.SessionTimeout = limits.Idle, limits.Session
	if one.shares[0].Load() != nil {
		link.Limit = [2]engine.Limiter{engine.ToServer: (*toServer)(one), engine.ToClient: (*toClient)(one)}
	}
	one.link.Store(link)
}

// end ends a session for a cause, wherever it is on its way, unless it is another process's by now.
func (one *session) end(cause error) bool {
	if !one.ending.CompareAndSwap(nil, &cause) && one.ending.Load() == &errMoved {
		return false
	}
	one.link.Load().Close(cause)
	return true
}

// Over is the end of what its link does here; whoever freezes it sees to what then becomes of the session.
func (one *session) Over(err error) {
	if !errors.Is(err, engine.ErrFrozen) {
		one.server.leave(one, err)
	}
}

// free reports that no bandwidth in a direction is limited that it shares.
func (one *session) free(d engine.Direction) bool {
	for i := range one.shares {
		if share := one.shares[i].Load(); share != nil && !bandwidth(share, d).Free() {
			return false
		}
	}
	return true
}

// waitN blocks until n bytes in a direction may pass all of them.
func (one *session) waitN(ctx context.Context, d engine.Direction, n int) error {
	for i := range one.shares {
		if share := one.shares[i].Load(); share != nil {
			if err := bandwidth(share, d).WaitN(ctx, n); err != nil {
				return err
			}
		}
	}
	return nil
}

func bandwidth(share *limits.Share, d engine.Direction) *limits.Bandwidth {
	if d == engine.ToServer {
		return &share.ToServer
	}
	return &share.ToClient
}

// toServer and toClient are a session as a limiter of one direction, without memory of their own.
type (
	toServer session
	toClient session
)

func (p *toServer) Free() bool { return (*session)(p).free(engine.ToServer) }
func (p *toClient) Free() bool { return (*session)(p).free(engine.ToClient) }

func (p *toServer) WaitN(ctx context.Context, n int) error {
	return (*session)(p).waitN(ctx, engine.ToServer, n)
}
func (p *toClient) WaitN(ctx context.Context, n int) error {
	return (*session)(p).waitN(ctx, engine.ToClient, n)
}
