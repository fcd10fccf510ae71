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

// settled reports whether what a predecessor keeps is what it told last. Before, that is what it had when it handed over, of which
// some have come here meanwhile; an older version does not tell even that.
func (p *Predecessor) settled() bool { return p == nil || p.hasEnded() || p.left.Load() != nil }

// countsAll reports whether sessionsOn counts all sessions that there are, which it does not while they move between generations.
func (b *Broker) countsAll() bool {
	return b.upgrade.heir.Load() == nil && b.process.Before.settled()
}

// withKept adds up sessions here and those of a predecessor, if settled; before, those that have come from it are among either.
func withKept(here, kept int, settled bool) int {
	if settled {
		return here + kept
	}
	return max(here, kept)
}

// forget takes sessions out of what a predecessor had when it handed over.
func (p *Predecessor) forget(match func(*relay.SessionInfo) bool) {
	if all := p.kept.Load(); all != nil && !p.settled() {
		rest := slices.DeleteFunc(slices.Clone(*all), func(one keptSessions) bool { return match(one.info()) })
		p.kept.CompareAndSwap(all, &rest) // unless it has told more since
	}
}

// info is what is known of each of them.
func (k *keptSessions) info() *relay.SessionInfo {
	return &relay.SessionInfo{Database: k.Database, Offered: k.Service, Instance: k.Instance, Network: k.Network}
}

// keptOn counts sessions of a predecessor, by what it told last.
func (b *Broker) keptOn(match func(*relay.SessionInfo) bool) (n int) {
	p := b.process.Before
	if p == nil || p.hasEnded() {
		return 0
	}
	if all := p.kept.Load(); all != nil {
		for _, one := range *all {
			if match(one.info()) {
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
	p := b.process.Before
	settled := p.settled()
	there := b.keptOn(e.match())
	n := b.relay.EndSessions(e.match(), e.Cause)
	if e.ID != 0 && n == 0 && b.keptOn(func(*relay.SessionInfo) bool { return true }) > 0 {
		there = 1 // which it is to answer
	}
	if there == 0 {
		return n
	}
	ctx, cancel := context.WithTimeout(context.Background(), endTime)
	defer cancel()
	if e.ID != 0 {
		// A generation that is gone has ended with its last session, which was this one.
		if err := p.channel.Offer(ctx, recordEnd, e); err != nil && !errors.Is(err, handover.ErrOver) {
			return n
		}
	} else if err := p.channel.Send(ctx, recordEnd, e); err != nil && !p.hasEnded() {
		b.log.Warn("the generation before cannot be told to end sessions", "pid", p.hello.PID, "cause", err.Error())
		return n
	}
	p.forget(e.match()) // which it tells only later
	return withKept(n, there, settled)
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
