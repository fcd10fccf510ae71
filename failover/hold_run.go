package failover

import (
	"context"
	"time"
)

// scanCost is the part of Run's time that judging all lines may take when the table changes all the time.
const scanCost = 10

// Run lets connects go and expire until ctx ends; then everyone still waiting is told Stopped, and Run returns.
// changed returns a channel that is closed at the next change of the table; nil means that it never changes. Run once
// only.
func (h *Holder) Run(ctx context.Context, changed func() <-chan struct{}) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	h.lock()
	nudged := h.nudged
	h.unlock()
	var change <-chan struct{}
	for {
		if change == nil && changed != nil {
			change = changed() // before looking: a change meanwhile is then not missed
		}
		timer.Reset(h.pass())
		select {
		case <-ctx.Done():
			h.stop()
			return
		case <-change:
			change = nil
			h.noteChange()
		case <-nudged:
		case <-timer.C:
		}
	}
}

// noteChange takes in that the table has changed.
func (h *Holder) noteChange() {
	h.lock()
	defer h.unlock()
	h.changes++
	h.behind = true
}

// pass does all that is due, and returns how long there is nothing more to do.
func (h *Holder) pass() time.Duration {
	h.lock()
	defer h.unlock()
	h.forget(h.now())
	h.expire()
	h.scan()
	h.release()
	return h.idle()
}

// expire tells those whose time is up.
func (h *Holder) expire() {
	for p := h.deadlines.first(); p != nil && p.until <= h.now(); p = h.deadlines.first() {
		h.take(p)
		h.end(p, Expired)
		h.touch(p.line)
		h.tell(p)
	}
}

// scan puts up for judgement the lines whose time has come, and all of them if the table has changed.
func (h *Holder) scan() {
	now := h.now()
	for l := h.due.first(); l != nil && l.dueAt <= now; l = h.due.first() {
		h.due.remove(l)
		h.touch(l)
	}
	if !h.behind || now < h.scanAfter {
		h.judge()
		return
	}
	h.behind = false
	for _, l := range h.lines {
		h.touch(l)
	}
	h.judge()
	done := h.now()
	h.scanAfter = done + scanCost*(done-now)
}

// judge decides for each line put up whether its head may go. It unlocks the Holder around each call of Ready.
func (h *Holder) judge() {
	for h.unjudged.len() > 0 {
		l := h.unjudged.pop()
		l.unjudged = false
		h.judgeLine(l)
	}
}

func (h *Holder) judgeLine(l *line) {
	l.fit = false
	h.due.remove(l)
	p := l.head()
	v := l.judge(h.now(), h.changes)
	if v.ask && !v.now {
		v.now = h.ask(p)
	}
	switch {
	case l.unjudged: // something happened to it while Ready was asked; judged again at once
	case v.now && l.extra > 0:
		l.extra--
		h.letGo(l)
		h.touch(l)
	case v.now:
		l.fit = true
		h.enqueue(l, p.service)
	case v.at > 0:
		l.dueAt = v.at
		h.due.push(l)
	}
}

// ask calls Ready with the Holder unlocked.
func (h *Holder) ask(p *Place) bool {
	ready := p.ready
	if ready == nil {
		return true
	}
	h.mu.Unlock()
	defer h.mu.Lock()
	return ready()
}

// enqueue gives a fit line its turn among those of the same service, and the service its own among all.
func (h *Holder) enqueue(l *line, s *heldService) {
	if l.queued {
		return
	}
	l.queued = true
	s.lines.push(l)
	if !s.queued {
		s.queued = true
		h.turns.push(s)
	}
}

// release lets heads of fit lines go, at the rate allowed, service by service in turn.
func (h *Holder) release() {
	for {
		h.judge()
		if h.turns.len() == 0 || h.bucket.fill(h.now(), h.settings.rate()) > 0 {
			return
		}
		s := h.turns.pop()
		l := nextFit(s)
		if s.queued = s.lines.len() > 0; s.queued {
			h.turns.push(s)
		}
		if l != nil {
			h.bucket.left--
			h.letGo(l)
			h.touch(l)
		}
	}
}

// nextFit takes the next line of s whose head may go, passing over those that turned out otherwise since.
func nextFit(s *heldService) *line {
	for s.lines.len() > 0 {
		l := s.lines.pop()
		l.queued = false
		if l.fit {
			return l
		}
	}
	return nil
}

// letGo lets the head of a line try.
func (h *Holder) letGo(l *line) {
	p := l.head()
	h.take(p)
	l.fit = false
	l.lastGo = h.now()
	l.trying.push(p)
	h.counters.Released++
	p.state = Go
	h.tell(p)
}

// take removes p from those that wait.
func (h *Holder) take(p *Place) {
	p.line.waiting.remove(p)
	p.line.passed.remove(p)
	h.deadlines.remove(p)
}

// end gives a place that has been taken out its final state.
func (h *Holder) end(p *Place, state HoldState) {
	p.state = state
	if state == Expired {
		h.counters.Expired++
		p.service.spell.Expired++
	} else {
		h.counters.Stopped++
		p.service.spell.Stopped++
	}
	if p.line.empty() {
		h.retire(p.line)
	}
}

// tell wakes the client of p, whose state has changed, with the Holder unlocked meanwhile.
func (h *Holder) tell(p *Place) {
	if p.signal != nil {
		close(p.signal)
		p.signal = nil
	}
	wake := p.wake
	if wake == nil {
		return
	}
	p.waking = true
	h.mu.Unlock()
	wake()
	h.mu.Lock()
	p.waking = false
	h.awoken.Broadcast()
}

// retire removes a line in which nobody is left.
func (h *Holder) retire(l *line) {
	l.fit = false
	h.due.remove(l)
	if h.lines[l.queue] == l {
		delete(h.lines, l.queue)
	}
}

// idle returns how long there is nothing to do unless something happens.
func (h *Holder) idle() time.Duration {
	now := h.now()
	next := now + time.Hour
	if p := h.deadlines.first(); p != nil {
		next = min(next, p.until)
	}
	if l := h.due.first(); l != nil {
		next = min(next, l.dueAt)
	}
	if h.turns.len() > 0 {
		next = min(next, now+h.bucket.fill(now, h.settings.rate()))
	}
	if h.behind {
		next = min(next, h.scanAfter)
	}
	if e := h.memory.departures.Front(); e != nil {
		next = min(next, e.Value.(*heldService).departed+h.settings.memory()+1)
	}
	return max(0, next-now)
}

// stop tells everyone that waits.
func (h *Holder) stop() {
	h.lock()
	defer h.unlock()
	h.stopped = true
	for p := h.deadlines.first(); p != nil; p = h.deadlines.first() {
		h.take(p)
		h.end(p, Stopped)
		h.tell(p)
	}
	h.unjudged, h.turns = fifo[*line]{}, fifo[*heldService]{}
}

// touch puts a line up for judgement.
func (h *Holder) touch(l *line) {
	if l.unjudged || h.stopped {
		return
	}
	l.unjudged = true
	h.unjudged.push(l)
	h.nudge()
}

// nudge makes Run look again.
func (h *Holder) nudge() {
	select {
	case h.nudged <- struct{}{}:
	default:
	}
}

// lock locks the Holder, and makes it ready at its first use.
func (h *Holder) lock() {
	h.mu.Lock()
	if h.nudged == nil {
		h.nudged = make(chan struct{}, 1)
		h.awoken.L = &h.mu
		h.started = h.clock()
	}
}

// unlock unlocks the Holder and then reports what has happened.
func (h *Holder) unlock() {
	news := len(h.events) > 0
	h.mu.Unlock()
	if news {
		h.report()
	}
}

func (h *Holder) clock() time.Time {
	if h.Now != nil {
		return h.Now()
	}
	return time.Now()
}

// now is always after 0.
func (h *Holder) now() instant { return max(1, h.clock().Sub(h.started)+1) }
