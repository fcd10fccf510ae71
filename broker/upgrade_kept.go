package broker

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"strings"

	"servicebroker/handover"
	"servicebroker/intent"
	"servicebroker/relay"
)

// Records about sessions that stay with a predecessor.
const (
	recordKept = "kept"         // old to new: a list of keptSessions, all there are
	recordEnd  = "end_sessions" // new to old: an endPassed; declined where there are none such
)

// keptSessions are sessions that nothing sets apart for those who choose some.
type keptSessions struct {
	Database string     `json:"database,omitempty"`
	Service  string     `json:"service"`  // as relay.SessionInfo.Offered
	Instance string     `json:"instance"` // its key
	Network  netip.Addr `json:"network"`
	Sessions int        `json:"sessions"`
}

// kept are the sessions that are left here.
func (b *Broker) kept() []keptSessions {
	count := map[keptSessions]int{}
	b.relay.CountSessions(func(s *relay.SessionInfo) bool {
		count[keptSessions{Database: s.Database, Service: s.Offered, Instance: s.Instance, Network: s.Network}]++
		return true
	})
	all := make([]keptSessions, 0, len(count))
	for one, n := range count {
		one.Sessions = n
		all = append(all, one)
	}
	slices.SortFunc(all, func(a, b keptSessions) int {
		return cmp.Or(strings.Compare(a.Instance, b.Instance), strings.Compare(a.Service, b.Service), strings.Compare(a.Database, b.Database), a.Network.Compare(b.Network))
	})
	return all
}

// takeKept notes what the predecessor has.
func (p *Predecessor) takeKept(body json.RawMessage) error {
	var all []keptSessions
	if err := json.Unmarshal(body, &all); err != nil {
		return err
	}
	p.kept.Store(&all)
	return nil
}

// keptOn counts sessions of a predecessor, by what it told last.
func (b *Broker) keptOn(match func(*relay.SessionInfo) bool) (n int) {
	p := b.process.Before
	if p == nil || p.hasEnded() {
		return 0
	}
	if all := p.kept.Load(); all != nil {
		for _, one := range *all {
			if match(&relay.SessionInfo{Database: one.Database, Offered: one.Service, Instance: one.Instance, Network: one.Network}) {
				n += max(one.Sessions, 0)
			}
		}
	}
	return n
}

// endPassed are sessions that are to end: one by its number, or those on a target, or those of an instance.
type endPassed struct {
	ID       uint64         `json:"id,omitempty"`
	Target   *intent.Target `json:"target,omitempty"`
	Instance string         `json:"instance,omitempty"` // its key
	Cause    string         `json:"cause"`
}

func (e *endPassed) match() func(*relay.SessionInfo) bool {
	switch {
	case e.ID != 0:
		return func(s *relay.SessionInfo) bool { return s.ID == e.ID }
	case e.Target != nil:
		return on(*e.Target)
	}
	return func(s *relay.SessionInfo) bool { return e.Instance != "" && strings.EqualFold(s.Instance, e.Instance) }
}

// endSessions ends sessions here, and those that a predecessor has, and returns how many.
func (b *Broker) endSessions(e endPassed) int {
	n := b.relay.EndSessions(e.match(), e.Cause)
	there := b.keptOn(e.match())
	if e.ID != 0 && n == 0 && b.keptOn(func(*relay.SessionInfo) bool { return true }) > 0 {
		there = 1 // which it is to answer
	}
	if there == 0 {
		return n
	}
	ctx, cancel := context.WithTimeout(context.Background(), endTime)
	defer cancel()
	p := b.process.Before
	if e.ID != 0 {
		// A generation that is gone has ended with its last session, which was this one.
		if err := p.channel.Offer(ctx, recordEnd, e); err != nil && !errors.Is(err, handover.ErrOver) {
			return n
		}
	} else if err := p.channel.Send(ctx, recordEnd, e); err != nil && !p.hasEnded() {
		b.log.Warn("the generation before cannot be told to end sessions", "pid", p.hello.PID, "cause", err.Error())
		return n
	}
	return n + there
}

// endKept ends sessions that a successor wants ended.
func (b *Broker) endKept(r *handover.Record) {
	var e endPassed
	if err := json.Unmarshal(r.Body, &e); err != nil {
		_ = r.Decline(err.Error())
		return
	}
	n := b.relay.EndSessions(e.match(), e.Cause)
	if n == 0 {
		_ = r.Decline("there is no such session")
		return
	}
	b.log.Info("sessions ended, as the successor wants it", "sessions", n, "cause", e.Cause)
	_ = r.Take()
}
