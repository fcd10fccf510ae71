package relay

import (
	"cmp"
	"context"
	"errors"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"servicebroker/relay/engine"
)

// movesAtOnce bounds how many sessions stand still at a time because they are being moved.
const movesAtOnce = 8

// Offer offers a session to another process, with the sockets of client and instance, which
// stay the caller's. nil: it was taken. After any error the other process does not go on with it.
type Offer func(context.Context, *MovedSession, []*os.File) error

// newcomers are sessions that began after those were listed that are to be moved.
type newcomers struct {
	some chan struct{} // has room for one: there are some
	all  []*session    // guarded by Server.mu
}

// Move offers the open sessions to another process. One that is not taken, and one that cannot
// be frozen, goes on here. moved are those that were taken, stayed those that were not. What
// begins from now on is left to Follow. When ctx ends, no other session is offered.
func (s *Server) Move(ctx context.Context, offer Offer) (moved, stayed int) {
	var open []*session
	s.mu.Lock()
	s.newcomers = &newcomers{some: make(chan struct{}, 1)}
	for _, one := range s.sessions {
		if one.running {
			open = append(open, one)
		}
	}
	s.mu.Unlock()
	slices.SortFunc(open, func(a, b *session) int { return cmp.Compare(a.id, b.id) })
	return s.moveAll(ctx, open, offer)
}

// Follow offers those sessions that have begun since Move did, as soon as they do, until ctx ends.
func (s *Server) Follow(ctx context.Context, offer Offer) {
	s.mu.Lock()
	n := s.newcomers
	s.mu.Unlock()
	if n == nil {
		return
	}
	for {
		select {
		case <-n.some:
			s.mu.Lock()
			open := n.all
			n.all = nil
			s.mu.Unlock()
			s.moveAll(ctx, open, offer)
		case <-ctx.Done():
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.newcomers == n {
				s.newcomers = nil
			}
			return
		}
	}
}

// Keep undoes what Move and Depart say about sessions, and clients, that come later: they stay.
func (s *Server) Keep() {
	s.departing.round.Store(0)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.newcomers = nil
}

// moveAll offers sessions, several at a time.
func (s *Server) moveAll(ctx context.Context, open []*session, offer Offer) (moved, stayed int) {
	var gone, kept atomic.Int64
	var moving sync.WaitGroup
	next := make(chan *session)
	for range min(movesAtOnce, len(open)) {
		moving.Go(func() {
			for one := range next {
				switch taken, err := s.move(ctx, one, offer); {
				case taken:
					gone.Add(1)
				case err != nil:
					kept.Add(1)
				}
			}
		})
	}
	for _, one := range open {
		next <- one
	}
	close(next)
	moving.Wait()
	return int(gone.Load()), int(kept.Load())
}

// canMove notes that a session's bytes move, so that it can be frozen.
func (s *Server) canMove(one *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one.running = true
	if n := s.newcomers; n != nil {
		n.all = append(n.all, one)
		select {
		case n.some <- struct{}{}:
		default:
		}
	}
}

var (
	errEnding = errors.New("the session is ending")
	errMoved  = errors.New("the session is another process's") // in session.ending: nobody ends it here any more
)

// move offers one session. Neither taken nor an error: it is over.
func (s *Server) move(ctx context.Context, one *session, offer Offer) (taken bool, err error) {
	link := one.link.Load()
	frozen, err := link.Freeze(ctx)
	switch {
	case errors.Is(err, engine.ErrNotRunning):
		return false, nil
	case err != nil:
		return false, err
	}
	err = errEnding
	if one.ending.Load() == nil {
		err = offer(ctx, s.pack(one, frozen.State), []*os.File{frozen.Client, frozen.Server})
	}
	if err == nil {
		if !one.ending.CompareAndSwap(nil, &errMoved) { // whoever told it to end meanwhile found no link that could
			frozen.End()
		}
		// Closing says nothing to either side as long as another process has the sockets.
		_, _ = frozen.Client.Close(), frozen.Server.Close()
		s.leave(one, engine.ErrFrozen)
		return true, nil
	}
	next, thawErr := engine.Thaw(frozen)
	if thawErr != nil { // no room for descriptors: neither here nor there can it go on
		s.logLost(one, thawErr)
		s.leave(one, thawErr)
		return false, thawErr
	}
	s.heard(next)
	one.prepare(next)
	s.inspecting.Lock() // what it is asked meanwhile counts for the one that goes on
	next.InspectAs(link)
	s.inspecting.Unlock()
	s.run(one, next)
	return false, err
}

// logLost tells of a session that could not go on.
func (s *Server) logLost(one *session, err error) {
	if s.Log != nil {
		var info SessionInfo
		one.tell(&info)
		s.Log.Error("session lost between two processes", "session", info.ID, "ref", info.Ref, "client", info.Client, "cause", err.Error())
	}
}

// heard tells whoever sets up connections of those of a link that has been thawed.
func (s *Server) heard(link *engine.Link) {
	if s.Thawed != nil {
		s.Thawed(link.Client)
		s.Thawed(link.Server)
	}
}
