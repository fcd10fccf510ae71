package relay

import (
	"context"
	"errors"
	"slices"

	"servicebroker/limits"
	"servicebroker/servicetable"
	"servicebroker/tns"
)

// errTurn is why a connect waits that is over a rate: its turn comes.
var errTurn = errors.New("it waits for its turn under a rate")

// shares returns what a connect takes part in on its way to c, the narrowest first.
func (s *Server) shares(d *dialogue, c servicetable.Candidate) []*limits.Share {
	if s.Shares == nil {
		return nil
	}
	return s.Shares(d.offeredAs(c), d.granted.by(c))
}

// rated tells whether there may be a rate at all, so that nobody looks for one where there is none.
func (s *Server) rated() bool { return s.Shares != nil && (s.Rated == nil || s.Rated()) }

// flowOf names those who wait in one line under a Share's rate: clients by their address,
// and under a tenant's its services, so that none of them takes the turns of others.
func flowOf(share *limits.Share, d *dialogue, service string) string {
	if share.Kind == limits.OfTenant {
		return service
	}
	return limits.SourceOf(d.client.Addr()).String()
}

// flooded tells a connect whose turn would not come in time, before anything else is done
// for it: a flood is to cost little. Whoever may not have the service is told that instead.
func (s *Server) flooded(ctx context.Context, d *dialogue) error {
	if !s.rated() || d.query.IgnoreStatus || d.arrival.Before != nil {
		return nil
	}
	service := s.Snapshot().Named(d.query.Service)
	if service == "" {
		return nil
	}
	for _, share := range s.Shares(service, nil) {
		if share.Rate.Free() || !share.Rate.Full(flowOf(share, d, service)) {
			continue
		}
		if refusal := s.standing(ctx, d).refusal; refusal != nil {
			return nil
		}
		return share.Refuse()
	}
	return nil
}

// enter lets the connect through the rates of all that it takes part in, each of them once
// however often it is tried. errTurn says that it has to wait for d.turn.
func (s *Server) enter(d *dialogue, c servicetable.Candidate) error {
	if !s.rated() {
		return nil
	}
	for _, share := range s.shares(d, c) {
		if d.through[kindIndex(share.Kind)] {
			continue
		}
		if share.Rate.Free() {
			d.through[kindIndex(share.Kind)] = true
			continue
		}
		turn, err := share.Enter(flowOf(share, d, d.offeredAs(c)), nil)
		if err != nil {
			return err
		}
		d.through[kindIndex(share.Kind)] = true
		if turn != nil {
			d.turn = limits.Wait{Turn: turn, Over: share.OverRate()}
			return errTurn
		}
	}
	return nil
}

// kinds is how many kinds of Share there are.
const kinds = 4

func kindIndex(k limits.Kind) int {
	switch k {
	case limits.OfRule:
		return 0
	case limits.OfService:
		return 1
	case limits.OfTenant:
		return 2
	}
	return 3
}

// awaitTurn waits until the connect's turn comes. nil: it is to be tried again.
func (s *Server) awaitTurn(ctx context.Context, d *dialogue, wait limits.Wait) error {
	d.turn = limits.Wait{}
	d.slim()
	state, err := awaitTurn(ctx, d, wait.Turn)
	s.restore(d)
	if err == nil && state == limits.Expired {
		return wait.Over
	}
	return err
}

func awaitTurn(ctx context.Context, d *dialogue, turn *limits.Turn) (limits.TurnState, error) {
	defer turn.Leave()
	defer d.sinceNow()()
	d.bell.raw = d.conn.NetConn()
	d.bell.arm()
	turn.Notify(d.bell.ring)
	stop := context.AfterFunc(ctx, d.bell.ring)
	defer stop()
	for {
		if state := turn.State(); state != limits.Waiting {
			return state, nil
		}
		if ctx.Err() != nil {
			return limits.Expired, errStopping
		}
		if err := watchUntilRung(d.conn); err != nil {
			return limits.Expired, &clientGone{err}
		}
		d.bell.rearm()
	}
}

// takeSessions takes a session's place in all that it takes part in, or in none.
func (s *Server) takeSessions(d *dialogue, c servicetable.Candidate) ([]*limits.Share, error) {
	shares := s.shares(d, c)
	for i, share := range shares {
		if !share.Sessions.Take() {
			releaseAll(shares[:i])
			return nil, share.TooMany()
		}
	}
	return shares, nil
}

// moveSession counts a session that was taken for another candidate as one of c, which a rule
// of its own may let the client have: there it counts, room or not, since it is open by now.
func (s *Server) moveSession(d *dialogue, from []*limits.Share, c servicetable.Candidate) []*limits.Share {
	to := s.shares(d, c)
	if slices.Equal(from, to) {
		return from
	}
	for _, share := range to {
		share.Sessions.Force()
	}
	releaseAll(from)
	return to
}

func releaseAll(shares []*limits.Share) {
	for _, share := range shares {
		share.Sessions.Release()
	}
}

// Reshare finds out anew what the open sessions take part in, which a reload may have
// changed: they count there from now on, room or not.
func (s *Server) Reshare() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.sessions {
		s.reshare(one)
	}
}

// reshare is Reshare for one session; callers hold mu. By which rule it was let in stays.
func (s *Server) reshare(one *session) {
	var mine [kinds]*limits.Share
	before := one.shared(&mine)
	if len(before) == 0 {
		return
	}
	var now []*limits.Share
	if before[0].Kind == limits.OfRule {
		now = append(now, before[0])
	}
	now = append(now, s.Shares(one.alike.Value().limited, nil)...)
	if slices.Equal(before, now) {
		return
	}
	for _, share := range now {
		share.Sessions.Force()
	}
	releaseAll(before)
	one.share(now)
}

// limited tells which limit would refuse a connect now that is on its way to c.
func (s *Server) limited(d *dialogue, c servicetable.Candidate, relayed bool) error {
	shares := s.shares(d, c)
	for _, share := range shares {
		if !share.Rate.Free() && share.Rate.Full(flowOf(share, d, d.offeredAs(c))) {
			return share.OverRate()
		}
	}
	for _, share := range shares {
		if relayed && share.Sessions.Full() {
			return share.TooMany()
		}
	}
	return nil
}

// refusedSingly is how many refusals of one client address are explained and logged each, of
// those with one code in a while: more are a flood.
const refusedSingly = 100

// repeated notes a refusal. A flood of them is explained, and logged, once for each client and
// limit in a while, by other causes refusedSingly times for each client and code: it reports
// whether that has been done, and then gives the connect the reference of the last explanation.
func (s *Server) repeated(d *dialogue, err error) bool {
	if s.Repeats == nil {
		return false
	}
	var over *limits.ExceededError
	kind, singly := tns.Code(d.record.Code).String(), uint64(refusedSingly)
	if errors.As(err, &over) {
		kind, singly = over.Kind(), 1
	}
	key := kind + " and client " + limits.SourceOf(d.client.Addr()).String()
	first, again := s.Repeats.NoteFrom(singly, key, func() any { return d.record.Ref })
	if ref, ok := first.(string); ok && again {
		d.record.Ref = ref
	}
	return again
}
