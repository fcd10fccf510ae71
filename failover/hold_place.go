package failover

import (
	"context"
	"fmt"
	"time"
)

// longestHold bounds what callers ask for, so that no sum of times overflows.
const longestHold = 1000 * time.Hour

// Place is one held connect. It costs no goroutine and no timer of its own.
type Place struct {
	holder  *Holder
	line    *line
	service *heldService

	asked, client, ref, cause string
	shares                    [2]string // names of HoldRequest.Shares

	ready  func() bool
	wake   func()
	signal chan struct{} // closed when state changes; nil unless Await waits

	arrival      uint64
	since, until instant
	retry        time.Duration // as in HoldRequest or the last Again
	tried        instant       // when it last tried in vain; 0 if it has not in this line

	inLine, inDeadlines int32 // positions in line.waiting, line.passed or line.trying, and in Holder.deadlines
	state               HoldState
	limited             bool // by its own request
	wanted              bool // as in HoldRequest
	stray               bool // it tried in vain while others of its line were served
	waking              bool // Wake is being called
	left                bool
}

// Enter takes a place at the end of the request's line. Whoever gets one must call Leave, whatever comes of it. Errors
// wrap ErrNotHeld, ErrHoldFull, ErrHoldDryRun or ErrHoldStopped.
func (h *Holder) Enter(r HoldRequest) (*Place, error) {
	h.lock()
	defer h.unlock()
	now := h.now()
	h.forget(now)
	s, err := h.admit(&r, now)
	if err != nil {
		return nil, err
	}
	if s == nil { // what operators hold, or another Holder did; whatever domain clients add, it is one service
		s = h.memory.entry(shortServiceName(foldName(r.Service)))
	}
	p := h.newPlace(&r, s, now)
	l := h.lines[r.Queue]
	if l == nil {
		l = &line{queue: r.Queue, window: 1}
		if h.lines == nil {
			h.lines = make(map[string]*line)
		}
		h.lines[r.Queue] = l
	}
	switch {
	case l.flowing && (p.retry == 0 || !l.abandoned()):
		l.extra++
	case p.retry > 0:
		if p.tried = now; l.failed.at == 0 {
			l.fail(vainTry{now, p.retry, h.changes})
			h.touch(l)
		}
	}
	p.line = l
	h.count(p, +1)
	h.counters.Held++
	h.wait(p)
	return p, nil
}

// admit decides whether a connect is held, and for which service; nil for one that is not known.
func (h *Holder) admit(r *HoldRequest, now instant) (*heldService, error) {
	set := &h.settings
	switch {
	case h.stopped:
		return nil, fmt.Errorf("service %q: %w", r.Service, ErrHoldStopped)
	case r.Limit < 0 || r.Limit == 0 && set.timeout() <= 0:
		return nil, fmt.Errorf("service %q: %w: holding is off", r.Service, ErrNotHeld)
	}
	name := foldName(r.Service)
	s := h.memory.find(name)
	if s != nil && r.Retry > 0 && !r.Wanted {
		h.failed(s, now)
	}
	l, moved := h.lines[r.Queue], !r.Since.IsZero()
	if !r.Wanted && !moved && (l == nil || !l.flowing || l.abandoned()) && !h.remembered(s, now) {
		return nil, fmt.Errorf("service %q: %w: it was not available within the last %v", r.Service, ErrNotHeld, set.memory())
	}
	if set.DryRun && !r.Wanted && !moved && l == nil { // else behind those that operators hold
		h.counters.WouldHold++
		return nil, fmt.Errorf("service %q: %w", r.Service, ErrHoldDryRun)
	}
	if s == nil {
		s = h.memory.names[shortServiceName(name)]
	}
	if moved {
		return s, nil
	}
	held, share := 0, set.share()
	if s != nil {
		held = s.held
	}
	if all := int(h.occupied.Load()); all >= set.max() || held >= share {
		h.counters.Full++
		return nil, fmt.Errorf("service %q: %w: %d of at most %d, %d of them of at most %d for this service; see MAX_HELD", r.Service, ErrHoldFull, all, set.max(), held, share)
	}
	for _, share := range r.Shares {
		if held := h.shares[share.Name]; share.Name != "" && held >= share.Max {
			h.counters.Full++
			return nil, fmt.Errorf("service %q: %w: %d of at most %d of %s; see %s", r.Service, ErrHoldFull, held, share.Max, share.Name, share.See)
		}
	}
	return s, nil
}

func (h *Holder) newPlace(r *HoldRequest, s *heldService, now instant) *Place {
	h.arrivals++
	p := &Place{
		holder: h, service: s, shares: [2]string{r.Shares[0].Name, r.Shares[1].Name}, asked: r.Service, client: r.Client, ref: r.Ref, cause: r.Cause, ready: r.Ready, wake: r.Wake,
		arrival: h.arrivals, since: now, limited: r.Limit > 0, wanted: r.Wanted, retry: max(0, min(r.Retry, longestHold)),
	}
	limit := r.Limit
	if !p.limited {
		limit = h.settings.timeout()
	}
	if !r.Since.IsZero() {
		p.since = min(h.instantOf(r.Since), now)
	}
	p.until = p.since + min(limit, longestHold)
	return p
}

// wait puts p into its line: at the place of its arrival, or, if it has tried in vain, behind those that have not.
func (h *Holder) wait(p *Place) {
	p.state = Waiting
	if p.tried == 0 {
		p.line.waiting.push(p)
	} else {
		p.line.passed.push(p)
	}
	h.deadlines.push(p)
	if p.line.head() == p || p.line.extra > 0 {
		h.touch(p.line)
	}
	if h.deadlines.first() == p {
		h.nudge()
	}
}

// count takes a place into account, or out of it.
func (h *Holder) count(p *Place, n int) {
	s := p.service
	h.occupied.Add(int32(n))
	s.held += n
	for _, share := range p.shares {
		h.countShare(share, n)
	}
	switch {
	case n > 0 && s.held == 1:
		h.beginSpell(p)
	case n < 0 && s.held == 0:
		h.endSpell(s)
		h.drop(s)
	}
}

func (h *Holder) countShare(share string, n int) {
	if share == "" {
		return
	}
	if h.shares == nil {
		h.shares = make(map[string]int)
	}
	if h.shares[share] += n; h.shares[share] == 0 {
		delete(h.shares, share)
	}
}

// State returns where the connect stands. While a call of Wake is under way it waits for its end.
func (p *Place) State() HoldState {
	p.holder.lock()
	defer p.holder.unlock()
	p.settle()
	return p.state
}

// settle waits, with the Holder locked, until no call of Wake is under way: whoever then puts back what Wake did is
// not struck by it later.
func (p *Place) settle() {
	for p.waking {
		p.holder.awoken.Wait()
	}
}

// Await blocks until the place is let go (nil), its time is up (ErrHoldExpired), the broker stops (ErrHoldStopped), or
// ctx ends (its cause). In each case Leave or, after nil, Again has still to be called.
func (p *Place) Await(ctx context.Context) error {
	for {
		state, signal := p.watch()
		switch state {
		case Go:
			return nil
		case Expired:
			return fmt.Errorf("service %q: %w", p.asked, ErrHoldExpired)
		case Stopped:
			return fmt.Errorf("service %q: %w", p.asked, ErrHoldStopped)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-signal:
		}
	}
}

// watch returns the state, and what will be closed when it changes if it is Waiting.
func (p *Place) watch() (HoldState, <-chan struct{}) {
	p.holder.lock()
	defer p.holder.unlock()
	p.settle()
	if p.state == Waiting && p.signal == nil {
		p.signal = make(chan struct{})
	}
	return p.state, p.signal
}

// Again says that a connect which was let go tried in vain, and why: it waits on until its old deadline. The others of its line
// try before it does again; once one of them is served it is back at its old position. retry is as in HoldRequest. The state returned is Waiting, or Expired or Stopped if it may not wait on; then
// Wake is not called. Without having been let go it changes nothing.
func (p *Place) Again(cause string, retry time.Duration) HoldState {
	h := p.holder
	h.lock()
	defer h.unlock()
	p.settle()
	if p.state != Go || p.left {
		return p.state
	}
	now := h.now()
	if cause != "" {
		p.cause = cause
	}
	p.retry = max(0, min(retry, longestHold))
	if retry > 0 && !p.wanted {
		h.failed(p.service, now)
	}
	p.line.trying.remove(p)
	p.line.failedBy(p, vainTry{now, p.retry, h.changes})
	switch {
	case h.stopped:
		h.end(p, Stopped)
	case p.until <= now:
		h.end(p, Expired)
	default:
		h.wait(p)
	}
	h.touch(p.line)
	return p.state
}

// departure is how a place is given up.
type departure uint8

const (
	leftInVain departure = iota
	leftServed
	leftMoved
)

// Leave gives the place up, in whatever state; to be called once, further calls do nothing. connected says that the
// connect was served, which lets those behind follow faster.
func (p *Place) Leave(connected bool) {
	if connected {
		p.leave(leftServed)
	} else {
		p.leave(leftInVain)
	}
}

// Move is Leave for a connect that waits on in another Holder.
func (p *Place) Move() { p.leave(leftMoved) }

func (p *Place) leave(how departure) {
	h := p.holder
	h.lock()
	defer h.unlock()
	p.settle()
	if p.left {
		return
	}
	p.left = true
	l := p.line
	next := l.head()
	spell, counters := &p.service.spell, &h.counters
	switch {
	case how == leftMoved:
		counters.Moved++
		spell.Moved++
	case how == leftServed:
		counters.Connected++
		spell.Connected++
		l.succeed()
		h.reached(p.service)
	case p.state == Waiting:
		counters.Left++
		spell.Left++
	case p.state == Go:
		counters.Failed++
		spell.Failed++
	}
	l.waiting.remove(p)
	l.passed.remove(p)
	l.trying.remove(p)
	h.deadlines.remove(p)
	if p.state == Go || next == p { // else nothing changes for those behind
		h.touch(l)
	}
	h.count(p, -1)
	if l.empty() {
		h.retire(l)
	}
	p.ready, p.wake = nil, nil
}
