package relay

import (
	"context"
	"errors"
	"fmt"

	"servicebroker/servicetable"
)

// Withheld is why an operator keeps a candidate from a client.
type Withheld struct {
	Why  string
	Hold bool // the client should wait until that is over
}

// errWithheld is what a client gets for whom operators left nothing. That is their
// word and no outage: nobody waits for its end.
var errWithheld = errors.New("operators keep all instances of the service from clients of this network")

// weigh finds the candidates that the client may have, by the table as it is now.
func (s *Server) weigh(ctx context.Context, d *dialogue) ([]servicetable.Candidate, error) {
	snapshot := s.Snapshot()
	d.granted = granted{}
	candidates, passed, err := s.offered(ctx, d, snapshot)
	d.recordMatch(snapshot, passed)
	if s.HoldWanted != nil {
		if why := s.HoldWanted(d.client.Addr(), d.query); why != "" && s.standing(ctx, d).refusal == nil {
			return nil, fmt.Errorf("%w: %s", servicetable.ErrHeld, why)
		}
	}
	if err != nil {
		if refusal := s.standing(ctx, d).refusal; refusal != nil {
			return nil, refusal // whoever may have nothing is not told what there is
		}
		return nil, err
	}
	granted, err := s.grant(ctx, d, candidates)
	if isAny(err, errOtherNetwork, errUnsealed) {
		if refusal := s.standing(ctx, d).refusal; refusal != nil {
			return nil, refusal // likewise, and rules say how
		}
	}
	if err == nil || errors.Is(err, errDropped) || d.way != nil {
		return granted, err
	}
	return s.secondBest(ctx, d, passed, err)
}

// offered finds who offers what a connect asks for, and who is passed over.
func (s *Server) offered(ctx context.Context, d *dialogue, snapshot *servicetable.Snapshot) ([]servicetable.Candidate, []servicetable.Rejected, error) {
	if d.way != nil {
		return s.hops(ctx, d), nil, nil
	}
	candidates, err := snapshot.Match(d.query)
	return candidates, snapshot.PassedOver(d.query, candidates), err
}

// grant keeps the candidates that rules and operators let the client have.
func (s *Server) grant(ctx context.Context, d *dialogue, candidates []servicetable.Candidate) ([]servicetable.Candidate, error) {
	candidates, err := d.passable(candidates)
	if err != nil {
		return nil, err
	}
	admitted, err := s.admit(ctx, d, candidates)
	if err != nil {
		return nil, err
	}
	kept, err := s.withhold(d, admitted)
	if err != nil {
		return nil, err
	}
	return d.reachable(kept)
}

// errAway is what a client gets whose own instances are away while others, which it may
// not have, are there.
var errAway = errors.New("no instance that this client may have is there now")

// secondBest looks among those that were passed over, where the client may have none of the
// others: an ejected one will do, and one that is blocked or was there lately is worth
// waiting for. Else refusal stands.
func (s *Server) secondBest(ctx context.Context, d *dialogue, passed []servicetable.Rejected, refusal error) ([]servicetable.Candidate, error) {
	var ejected, out []servicetable.Candidate
	for _, p := range passed {
		if p.Unasked {
			continue // it is there, and not what is asked for
		}
		c := servicetable.Candidate{Registration: p.Registration, Service: p.Service, Handler: p.Handler, Status: p.Status}
		if p.Ejected {
			ejected = append(ejected, c)
		} else {
			out = append(out, c)
		}
	}
	if s.Lately != nil {
		out = append(out, s.Lately(d.query)...)
	}
	recorded, by := d.record.Candidates, d.granted // of those that were judged first
	if granted, err := s.grant(ctx, d, ejected); err == nil && len(granted) > 0 {
		return granted, nil
	}
	granted, err := s.grant(ctx, d, out)
	d.record.Candidates, d.granted = recorded, by
	if err == nil && len(granted) > 0 {
		return nil, errAway
	}
	return nil, refusal
}

// admit keeps the candidates that the rules grant to the client.
func (s *Server) admit(ctx context.Context, d *dialogue, candidates []servicetable.Candidate) ([]servicetable.Candidate, error) {
	if len(candidates) == 0 {
		return candidates, nil
	}
	candidates, err := d.ofNetwork(candidates)
	if err != nil {
		return nil, err
	}
	rules := s.rules()
	if rules == nil {
		return s.guarded(ctx, d, candidates)
	}
	j := rules.judge(ctx, d.subject(), candidates, s.addressesOf)
	d.granted = j.granted
	d.recordRules(candidates, j.logged)
	d.countRules(j.counted)
	if len(j.admitted) == 0 {
		if _, err := d.reachable(candidates); err != nil && j.refusal == errRejected && s.standing(ctx, d).refusal == nil {
			return nil, err // which rule would be about it, nobody can tell
		}
		return nil, j.refusal
	}
	return s.guarded(ctx, d, j.admitted)
}

func (s *Server) guarded(ctx context.Context, d *dialogue, candidates []servicetable.Candidate) ([]servicetable.Candidate, error) {
	if d.way == nil || !d.way.named {
		return candidates, nil
	}
	return s.guard(ctx, d, candidates, d.granted)
}

func (s *Server) rules() *RuleSet {
	if s.Rules == nil {
		return nil
	}
	return s.Rules()
}

// withhold leaves out what operators keep from clients of this client's network.
func (s *Server) withhold(d *dialogue, candidates []servicetable.Candidate) ([]servicetable.Candidate, error) {
	judge := s.withheldFrom(d)
	if judge == nil || len(candidates) == 0 {
		return candidates, nil
	}
	var kept []servicetable.Candidate
	err := errWithheld
	for _, c := range candidates {
		switch w := judge(c); {
		case w == nil:
			kept = append(kept, c)
		default:
			if w.Hold {
				err = fmt.Errorf("%w: %s", servicetable.ErrHeld, w.Why)
			}
			d.passOver(c, w.Why)
		}
	}
	if len(kept) == 0 {
		return nil, err
	}
	return kept, nil
}

func (s *Server) withheldFrom(d *dialogue) func(servicetable.Candidate) *Withheld {
	if s.Withhold == nil {
		return nil
	}
	return s.Withhold(d.client.Addr())
}

// errOverruled ends an attempt on a candidate that was taken out of use since it
// was chosen.
var errOverruled = errors.New("it was taken out of use a moment ago")

// stillWanted looks again whether c may be used, where the table has changed since.
func (s *Server) stillWanted(d *dialogue, c servicetable.Candidate) error {
	if judge := s.withheldFrom(d); judge != nil {
		if w := judge(c); w != nil {
			return fmt.Errorf("%w: %s", errOverruled, w.Why)
		}
	}
	snapshot := s.Snapshot()
	if c.Path != nil || c.Registration.Broker != "" || snapshot.Version() == d.record.Version {
		return nil
	}
	now, err := snapshot.Match(d.query)
	if err != nil {
		return fmt.Errorf("%w: %w", errOverruled, err)
	}
	for i := range now {
		if now[i].Registration.ID == c.Registration.ID && now[i].Handler.Name == c.Handler.Name {
			return nil
		}
	}
	// It may only have been ejected, which keeps nobody from it who has nothing else.
	if ejectedOnly(snapshot, c) {
		return nil
	}
	return errOverruled
}

// ejectedOnly reports whether no mark but an ejection is on c, which is still registered.
func ejectedOnly(snapshot *servicetable.Snapshot, c servicetable.Candidate) bool {
	entry, err := snapshot.Service(c.Service.Name)
	if err != nil {
		return false
	}
	for i := range entry.Instances {
		in := &entry.Instances[i]
		if in.Registration.ID != c.Registration.ID || in.Status == servicetable.Blocked || in.Status == servicetable.Restricted {
			continue
		}
		marks := in.Marks
		for _, h := range in.Handlers {
			if h.Name == c.Handler.Name {
				marks = append(marks, h.Marks...)
			}
		}
		for _, m := range marks {
			if m.Kind != servicetable.Ejected {
				return false
			}
		}
		return true
	}
	return false
}
