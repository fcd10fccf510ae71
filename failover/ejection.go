package failover

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"servicebroker/servicetable"
)

// action is something to be done outside the lock.
type action struct {
	kind     actionKind
	hand     *hand
	mark     servicetable.Mark
	event    ProbeEvent
	answered bool // of an instance that is gone
}

type actionKind uint8

const (
	actReport actionKind = iota
	actMark
	actUnmark // without a word, since the handler is gone
	actRestore
	actDrop
)

// sawAlive takes in that t answered.
func (p *Prober) sawAlive(t *target, now time.Time) {
	wasDown := t.down
	t.sawAlive(now)
	if !wasDown {
		return
	}
	p.touchAll(t)
	if !t.running && len(t.hands) > 0 {
		p.schedule(t, now)
	}
}

// sawDead takes in that t did not answer.
func (p *Prober) sawDead(t *target, now time.Time, cause string) {
	t.seq++
	t.cause = cause
	if !t.down {
		t.down, t.downAt = true, now
		p.touchAll(t)
	}
}

// touch has settle look at h again.
func (p *Prober) touch(h *hand) {
	p.state.touched = append(p.state.touched, h)
	p.state.unsettled = true
}

func (p *Prober) touchAll(t *target) {
	for _, h := range t.hands {
		p.touch(h)
	}
	p.poke()
}

// drop has a stale instance dropped.
func (p *Prober) drop(t *target, answered bool, cause string) {
	p.state.pending = append(p.state.pending, action{kind: actDrop, answered: answered, event: ProbeEvent{
		Kind: InstanceGone, Registration: t.stale, Key: t.stale.Key(), Cause: cause, At: time.Now(),
	}})
	p.state.unsettled = true
	p.forget(t)
}

// verdict words what is known of t after a probe was asked for.
func (p *Prober) verdict(t *target, asked time.Time) error {
	switch {
	case !t.down && !t.aliveAt.Before(asked), t.freshly(asked, p.period()):
		return nil
	case t.stale == nil && t.aliveAt.IsZero() && p.redirecting():
		return nil
	case t.stale == nil && !t.down && lackedHere(t.err) && t.failedAt.After(asked.Add(-p.period()/5)): // nothing speaks against it
		return nil
	case t.down && t.err != nil && !t.failedAt.Before(t.downAt):
		return fmt.Errorf("probe of %s: %w", t.key, t.err)
	case t.down:
		return fmt.Errorf("%s does not answer: %s", t.key, t.cause)
	}
	return fmt.Errorf("probe of %s: %w", t.key, noAnswer(p.timeout()))
}

func (p *Prober) redirecting() bool { return p.Redirecting != nil && p.Redirecting() }

// settle makes the marks agree with what is known. It belongs to Run.
func (p *Prober) settle() {
	p.mu.Lock()
	s := &p.state
	if !s.unsettled && len(s.pending) == 0 {
		p.mu.Unlock()
		return
	}
	s.unsettled = false
	now := time.Now()
	redirecting := p.redirecting()
	do := s.pending
	s.pending = nil
	for _, h := range s.touched {
		h.judge(now)
		switch {
		case h.failing && h.sweep == s.sweep:
			s.failing[h] = true
		case s.failing[h]:
			delete(s.failing, h)
			do = h.restore(do, now)
		}
	}
	s.touched = s.touched[:0]
	do = p.eject(do, redirecting, now)
	p.mu.Unlock()
	p.perform(do)
}

// judge finds out whether h fails, from what is known of its targets. It does until one of them answers, even if they
// are not the ones that failed.
func (h *hand) judge(now time.Time) {
	switch {
	case !h.failing && h.allDown():
		h.failing, h.failingAt, h.cause = true, h.targets[0].downAt, h.targets[0].cause
	case h.failing && h.answeredAgain():
		h.failing, h.spared = false, false
	}
}

// restore lifts the ejection of h, if there is one.
func (h *hand) restore(do []action, now time.Time) []action {
	if !h.ejected {
		return do
	}
	h.ejected = false
	return append(do, action{kind: actRestore, hand: h, event: h.event(HandlerRestored, "it answers again", now)})
}

func (h *hand) event(kind ProbeEventKind, cause string, now time.Time) ProbeEvent {
	return ProbeEvent{Kind: kind, Registration: h.registration, Handler: h.name, Key: h.key, Cause: cause, At: now}
}

// eject decides which of the failing handlers are ejected: those that are already, then those that failed first, as
// long as no service has too many.
func (p *Prober) eject(do []action, redirecting bool, now time.Time) []action {
	s := &p.state
	failing := make([]*hand, 0, len(s.failing))
	for h := range s.failing {
		failing = append(failing, h)
	}
	slices.SortFunc(failing, func(a, b *hand) int {
		if a.ejected != b.ejected {
			return cmp.Compare(b2i(b.ejected), b2i(a.ejected))
		}
		return cmp.Or(a.ejectedAt.Compare(b.ejectedAt)*b2i(a.ejected), a.failingAt.Compare(b.failingAt), cmp.Compare(a.key, b.key))
	})
	counts := map[string]int{}
	for _, h := range failing {
		wanted := !redirecting || h.everAlive() || h.ejected
		fits := wanted && p.fits(h, counts)
		if fits {
			for _, name := range h.services {
				counts[name]++
			}
		}
		switch {
		case fits && !h.ejected:
			h.ejected, h.ejectedAt, h.spared = true, now, false
			do = append(do, action{kind: actMark, hand: h, event: h.event(HandlerEjected, h.cause, now),
				mark: servicetable.Mark{Kind: servicetable.Ejected, Cause: h.cause, Since: h.failingAt}})
		case !fits && h.ejected:
			h.ejected = false
			do = append(do, action{kind: actRestore, hand: h, event: h.event(HandlerSpared, crowded, now)})
			h.spared = true
		case !fits && wanted && !h.spared:
			h.spared = true
			do = append(do, action{kind: actReport, event: h.event(HandlerSpared, crowded, now)})
		}
	}
	return do
}

const crowded = "it does not answer, but neither do too many others of a service; check this broker's own network"

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// fits reports whether h may be ejected besides those counted by service.
func (p *Prober) fits(h *hand, counts map[string]int) bool {
	for _, name := range h.services {
		if total := p.state.totals[name]; total > 1 && counts[name]+1 > int(p.panicShare()*float64(total)) {
			return false
		}
	}
	return true
}

// perform does what was decided. It belongs to Run.
func (p *Prober) perform(do []action) {
	var present map[servicetable.ID]*servicetable.Registration
	for _, a := range do {
		switch a.kind {
		case actMark:
			if p.Mark != nil {
				p.Mark(a.hand.key, a.mark)
			}
		case actUnmark, actRestore:
			if p.Unmark != nil {
				p.Unmark(a.hand.key, servicetable.Ejected)
			}
		case actDrop:
			if present == nil {
				present = map[servicetable.ID]*servicetable.Registration{}
				for _, r := range p.Snapshot().Registrations() {
					present[r.ID] = r
				}
			}
			if r := present[a.event.Registration.ID]; r == nil || !r.Stale {
				continue // it came back, or somebody else dropped it
			}
			if p.Drop != nil {
				p.Drop(a.event.Registration.ID, a.event.Cause)
			}
			if p.Gone != nil {
				p.Gone(a.event.Registration, a.answered, a.event.Cause)
			}
		}
		if a.kind != actUnmark {
			p.tell(a.event)
		}
	}
}

func (p *Prober) tell(e ProbeEvent) {
	if p.Report != nil {
		p.Report(e)
	}
	if p.Log == nil {
		return
	}
	switch e.Kind {
	case HandlerRestored, InstanceStale:
		p.Log.Info(e.Kind.String(), "key", e.Key, "cause", e.Cause)
	default:
		p.Log.Warn(e.Kind.String(), "key", e.Key, "cause", e.Cause)
	}
}
