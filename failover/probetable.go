package failover

import (
	"container/heap"
	"slices"
	"strings"
	"time"

	"servicebroker/servicetable"
)

// probeState is what a Prober knows, guarded by its mutex.
type probeState struct {
	running   bool
	wake      chan struct{}
	targets   map[string]*target
	hands     map[string]*hand
	totals    map[string]int // handlers of each service, by folded name
	queue     dueQueue
	busy      int // probes under way
	strangers int // targets that are not in the table
	sweep     uint64

	touched   []*hand // those whose targets changed
	failing   map[*hand]bool
	unsettled bool
	pending   []action
}

func (s *probeState) prepare() {
	if s.targets == nil {
		s.targets, s.hands, s.failing = map[string]*target{}, map[string]*hand{}, map[*hand]bool{}
		s.wake = make(chan struct{}, 1)
	}
}

func (t *target) sawAlive(now time.Time) {
	t.seq++
	t.aliveAt, t.down, t.failures = now, false, 0
}

// strangersLimit bounds how many addresses are remembered that are not in the table.
const strangersLimit = 4096

// targetOf returns the target for the address of c, a new one if need be; nil if it has no address or there are too many.
func (p *Prober) targetOf(c *servicetable.Candidate) *target {
	s := &p.state
	s.prepare()
	var room [keyRoom]byte
	key := appendAddress(room[:0], c.Handler)
	t := s.targets[string(key)]
	switch {
	case t != nil:
		if len(t.hands) == 0 {
			t.since = time.Now()
		}
		return t
	case len(key) == 0 || s.strangers >= strangersLimit:
		return nil
	}
	s.strangers++
	t = &target{key: string(key), candidate: *c, since: time.Now()}
	s.targets[t.key] = t
	return t
}

// staleKey cannot be an address.
func staleKey(id servicetable.ID) string { return stalePrefix + string(id) }

const stalePrefix = "stale "

// staleOf returns the target for the stale instance of c; nil if it is not known to be stale.
func (p *Prober) staleOf(c *servicetable.Candidate) *target {
	if c.Registration == nil {
		return nil
	}
	var room [keyRoom]byte
	return p.state.targets[string(append(append(room[:0], stalePrefix...), c.Registration.ID...))]
}

// sync brings targets and hands up to date with a snapshot.
func (p *Prober) sync(snapshot *servicetable.Snapshot, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := &p.state
	s.sweep++
	s.totals = map[string]int{}
	var fresh []*target
	for _, r := range snapshot.Registrations() {
		switch {
		case r.Stale:
			p.syncStale(r, now)
			continue
		case p.maintained(snapshot.Marks(r.Key()), r.Marks):
			continue
		}
		for i := range r.Handlers {
			h := &r.Handlers[i]
			if h.Port == 0 || p.maintained(snapshot.Marks(r.HandlerKey(h))) {
				continue
			}
			if t := p.syncHandler(r, h, now); t != nil {
				fresh = append(fresh, t)
			}
		}
	}
	step := min(spreadStep, p.period()/time.Duration(max(len(fresh), 1)))
	for i, t := range fresh {
		if p.Interval > 0 || t.down {
			p.enqueue(t, now.Add(time.Duration(i)*step))
		}
	}
	p.sweepOut(now)
	s.unsettled = true
}

func (p *Prober) maintained(lists ...[]servicetable.Mark) bool {
	for _, list := range lists {
		for _, m := range list {
			if m.Kind == servicetable.Maintenance && !p.mistake.probeMaintained {
				return true
			}
		}
	}
	return false
}

// syncStale enters a stale instance; one that is new is probed at once.
func (p *Prober) syncStale(r *servicetable.Registration, now time.Time) {
	s := &p.state
	t := s.targets[staleKey(r.ID)]
	if t == nil {
		t = &target{key: staleKey(r.ID), since: now}
		s.targets[t.key] = t
		s.pending = append(s.pending, action{kind: actReport, event: ProbeEvent{Kind: InstanceStale, Registration: r, Key: r.Key(), Cause: p.whyStale(r), At: now}})
		p.enqueue(t, now)
	}
	t.stale, t.candidate, t.sweep = r, deepCandidate(r), s.sweep
}

// whyStale tells why an instance is in the table that is not registered.
func (p *Prober) whyStale(r *servicetable.Registration) string {
	if p.WhyStale != nil {
		if why := p.WhyStale(r); why != "" {
			return why
		}
	}
	return "it is not registered any more"
}

// deepCandidate picks what to ask a stale instance for: a service that took connects, at a handler that serves it,
// dedicated ones first.
func deepCandidate(r *servicetable.Registration) servicetable.Candidate {
	best, least := servicetable.Candidate{Registration: r, Status: servicetable.Stale}, 1<<30
	for i := range r.Handlers {
		h := &r.Handlers[i]
		for _, at := range h.Services {
			if at < 0 || at >= len(r.Services) || h.Port == 0 {
				continue
			}
			svc := &r.Services[at]
			score := int(h.Kind)
			if svc.Flags&servicetable.FlagUnblocked == 0 {
				score += 10
			}
			if svc.Flags&(servicetable.FlagRestricted|servicetable.FlagDispatchersOnly) != 0 {
				score += 5
			}
			if score < least {
				best.Service, best.Handler, least = svc, h, score
			}
		}
	}
	return best
}

// syncHandler enters one handler, and returns its target if that is to be probed soon.
func (p *Prober) syncHandler(r *servicetable.Registration, h *servicetable.Handler, now time.Time) (fresh *target) {
	s := &p.state
	folded := strings.ToLower(r.HandlerKey(h))
	known := s.hands[folded]
	isNew := known == nil
	if isNew {
		known = &hand{key: r.HandlerKey(h), name: h.Name}
		s.hands[folded] = known
	}
	replaced := known.enter(r, h, s.sweep)
	t := p.syncTarget(r, h, now)
	if !slices.Contains(known.targets, t) {
		t.hands = append(t.hands, known)
		known.targets = append(known.targets, t)
	}
	if replaced {
		t.failures = 0 // a new registration starts afresh
		if p.mistake.restoreOnReplace {
			p.sawAlive(t, now)
		}
	}
	if !t.running && (isNew && (t.down || t.aliveAt.IsZero()) || replaced || !t.queued()) {
		return t
	}
	return nil
}

// enter takes in that r has h in the given reading of the table, and reports whether r took the place of another
// registration.
func (h *hand) enter(r *servicetable.Registration, handler *servicetable.Handler, sweep uint64) (replaced bool) {
	before := h.registration
	if h.sweep == sweep { // a second one of that name
		h.several = true
	} else {
		replaced = before != nil && (before.ID != r.ID || !before.RegisteredAt.Equal(r.RegisteredAt))
		h.sweep, h.targets = sweep, h.targets[:0]
		if before == r && !h.several {
			return replaced
		}
		h.registration, h.services, h.several = r, nil, false
	}
	for _, at := range handler.Services {
		if at >= 0 && at < len(r.Services) {
			h.services = append(h.services, strings.ToLower(r.Services[at].Name))
		}
	}
	slices.Sort(h.services)
	h.services = slices.Compact(h.services)
	return replaced
}

// syncTarget finds or makes the target for an address that the table has.
func (p *Prober) syncTarget(r *servicetable.Registration, h *servicetable.Handler, now time.Time) *target {
	s := &p.state
	key := addressOf(h)
	t := s.targets[key]
	switch {
	case t == nil:
		t = &target{key: key}
		s.targets[key] = t
	case t.sweep == 0:
		s.strangers--
		if now.Sub(t.since) > p.period() {
			t.down = false // that was long ago, and nobody has asked since
		}
	}
	if t.sweep != s.sweep {
		t.sweep, t.candidate, t.hands = s.sweep, candidateFor(r, h), t.hands[:0]
	}
	return t
}

func candidateFor(r *servicetable.Registration, h *servicetable.Handler) servicetable.Candidate {
	c := servicetable.Candidate{Registration: r, Handler: h}
	for _, at := range h.Services {
		if at >= 0 && at < len(r.Services) {
			c.Service = &r.Services[at]
			c.Status = r.Status(c.Service)
			break
		}
	}
	return c
}

// sweepOut forgets what the latest reading of the table did not have. Addresses stay a while: somebody may ask whether
// they were ever reached.
func (p *Prober) sweepOut(now time.Time) {
	s := &p.state
	for folded, h := range s.hands {
		if h.sweep == s.sweep {
			p.touch(h)
			for _, name := range h.services {
				s.totals[name]++
			}
			continue
		}
		if h.ejected && !p.mistake.leaveMarks {
			s.pending = append(s.pending, action{kind: actUnmark, hand: h})
		}
		delete(s.hands, folded)
		delete(s.failing, h)
	}
	for _, t := range s.targets {
		switch {
		case t.sweep == s.sweep:
		case t.stale != nil:
			p.forget(t)
		case t.sweep != 0 && s.strangers < strangersLimit:
			t.sweep, t.since = 0, now
			t.hands = nil
			s.strangers++
			p.unqueue(t)
		case t.sweep != 0:
			p.forget(t)
		case !t.running && !t.awaited() && now.Sub(t.since) > p.staleTimeout():
			s.strangers--
			p.forget(t)
		}
	}
}

// forget removes a target.
func (p *Prober) forget(t *target) {
	delete(p.state.targets, t.key)
	p.unqueue(t)
	if !t.running {
		t.finished()
	}
}

func (p *Prober) unqueue(t *target) {
	if t.queued() {
		heap.Remove(&p.state.queue, t.place-1)
	}
}
