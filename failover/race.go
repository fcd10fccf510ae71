package failover

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"servicebroker/servicetable"
)

// race is one Dial under way. It belongs to the goroutine that called Dial; attempts run in goroutines of their own and
// speak to it over events, which it reads until the last of them has returned.
type race struct {
	dialer  *Dialer
	attempt func(context.Context, servicetable.Candidate, func() error) (any, error)
	events  chan event

	fresh     []servicetable.Candidate // not tried yet, in order
	late      []servicetable.Candidate // not tried yet, failed lately: after the fresh ones
	abandoned []servicetable.Candidate // lost their leave: after all others

	running []*entrant // in order of their start
	leader  *entrant   // the one that has leave to open a session
	waiting []*entrant // those that asked for leave, first come first

	alone  *alone // the first attempt, as long as it is the only one; nil: there never was one
	failed *DialError
	won    *entrant
	over   error // why nobody else is started; nil while the race is on
}

// entrant is one attempt under way.
type entrant struct {
	candidate servicetable.Candidate
	late      bool // failed lately
	patient   bool // tried again: may be silent
	granted   chan struct{}
	leave     bool // granted is closed
	cancel    context.CancelCauseFunc
	cut       error // what it was cancelled with, nil if it was not

	begun    time.Time
	waited   time.Duration // for leave, in all
	askedAt  time.Time     // zero unless it waits for leave now
	silentAt time.Time     // when it will have been silent for too long; zero: never
	silent   bool
	deadline time.Time

	value any // what it returned
}

// event is what an attempt tells the race: that it asks for leave, or that it has returned.
type event struct {
	by    *entrant
	done  bool
	value any
	err   error
}

func newRace(d *Dialer, route []servicetable.Candidate, attempt func(context.Context, servicetable.Candidate, func() error) (any, error)) *race {
	r := &race{dialer: d, attempt: attempt, events: make(chan event), fresh: route, failed: &DialError{}}
	if d.faults.leaveLosers {
		r.events = make(chan event, 4*len(route))
	}
	return r
}

// run returns the attempt that succeeded, nil if none did.
func (r *race) run(ctx context.Context) *entrant {
	if ctx.Err() == nil && r.dialer.faults == (faults{}) && r.runFirst(ctx) {
		return r.won
	}
	return r.loop(ctx)
}

// loop is run for attempts on goroutines of their own.
func (r *race) loop(ctx context.Context) *entrant {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	stopped := ctx.Done()
	if ctx.Err() != nil {
		r.stop(ctx)
	}
	r.tick(time.Now()) // that a lone attempt's time is up, or it is silent, is why there is a race
	for {
		for r.mayStart() && r.startNext(ctx) {
		}
		if len(r.running) == 0 || r.won != nil && r.dialer.faults.leaveLosers {
			return r.won
		}
		timer.Reset(r.nextDue())
		select {
		case e := <-r.events:
			r.take(ctx, e)
		case <-timer.C:
			r.tick(time.Now())
		case <-stopped:
			stopped = nil
			r.stop(ctx)
		}
	}
}

// stop ends the race because time or the caller's patience is over.
func (r *race) stop(ctx context.Context) {
	r.failed.Stopped = context.Cause(ctx)
	r.end(r.failed.Stopped)
}

// end starts nobody else and cuts those that run.
func (r *race) end(cause error) {
	r.over = cause
	for _, e := range r.running {
		r.cut(e, cause)
	}
}

func (r *race) cut(e *entrant, cause error) {
	if e.cut == nil {
		e.cut = cause
		e.cancel(cause)
	}
}

// mayStart reports whether it is time to try one more: nobody is running who could still answer soon.
func (r *race) mayStart() bool {
	if r.over != nil {
		return false
	}
	for _, e := range r.running {
		if !e.silent {
			return false
		}
	}
	switch {
	case r.leader == nil:
		return true
	case len(r.waiting) > 0, r.dialer.faults.ignoreSilence:
		return false
	}
	return r.successor() != nil // worth its price, or the leader would not be silent
}

// startNext starts the next candidate, if there is one.
func (r *race) startNext(ctx context.Context) bool {
	e, own := r.next(ctx)
	if e == nil {
		return false
	}
	go r.enter(own, e)
	return true
}

// next prepares an attempt on the next candidate, and its context; nil if there is none.
func (r *race) next(ctx context.Context) (*entrant, context.Context) {
	e := &entrant{granted: make(chan struct{})}
	switch {
	case r.nextFresh(e):
	case len(r.late) > 0 && r.beats(&r.late[0], true):
		e.candidate, r.late, e.late = r.late[0], r.late[1:], true
	case len(r.abandoned) > 0 && (r.leader == nil || r.mayReturn()):
		e.candidate, r.abandoned, e.patient = r.abandoned[0], r.abandoned[1:], true
	default:
		return nil, nil
	}
	e.begun = time.Now()
	e.deadline = e.begun.Add(r.dialer.attemptTimeout())
	if hedge := r.dialer.hedge(&e.candidate); hedge > 0 && !e.patient {
		e.silentAt = e.begun.Add(hedge)
	}
	own, cancel := context.WithCancelCause(ctx)
	e.cancel = cancel
	r.running = append(r.running, e)
	return e, hinted{own, e.deadline}
}

// nextFresh takes the next candidate that has not failed lately; those that have are put off.
func (r *race) nextFresh(e *entrant) bool {
	for len(r.fresh) > 0 {
		e.candidate, r.fresh = r.fresh[0], r.fresh[1:]
		if !r.dialer.failures.defers(&e.candidate, r.dialer.attemptTimeout()) {
			return true
		}
		r.late = append(r.late, e.candidate)
	}
	return false
}

// enter is the goroutine of one attempt.
func (r *race) enter(ctx context.Context, e *entrant) {
	value, err := r.attempt(ctx, e.candidate, func() error { return r.commit(ctx, e) })
	r.events <- event{by: e, done: true, value: value, err: err}
}

// nextDue returns how long it is until somebody's time is up.
func (r *race) nextDue() time.Duration {
	var due time.Time
	earlier := func(t time.Time) {
		if !t.IsZero() && (due.IsZero() || t.Before(due)) {
			due = t
		}
	}
	for _, e := range r.running {
		if e.cut != nil || !e.askedAt.IsZero() {
			continue
		}
		earlier(e.deadline)
		if !e.silent || e == r.leader && len(r.late)+len(r.abandoned) > 0 {
			earlier(e.silentAt)
		}
	}
	if due.IsZero() {
		return time.Hour
	}
	return time.Until(due)
}

// tick finds out whose time is up.
func (r *race) tick(now time.Time) {
	for _, e := range r.running {
		if e.cut != nil || !e.askedAt.IsZero() {
			continue
		}
		switch {
		case !now.Before(e.deadline):
			r.cut(e, noAnswer(r.dialer.attemptTimeout()))
		case e.silentAt.IsZero() || now.Before(e.silentAt):
		case !e.silent:
			r.fallSilent(e, now)
		case e == r.leader: // somebody may have turned out to be better
			e.silentAt = now.Add(r.dialer.hedge(&e.candidate))
			r.replaceLeader()
		}
	}
}

// take takes in what an attempt has to say.
func (r *race) take(ctx context.Context, ev event) {
	e := ev.by
	if ev.done {
		r.returned(ctx, ev)
		return
	}
	if e.cut != nil {
		return
	}
	e.askedAt = time.Now()
	r.waiting = append(r.waiting, e)
	if r.leader == nil {
		r.grantNext()
	} else {
		r.replaceLeader()
	}
}

// returned takes in the outcome of an attempt.
func (r *race) returned(ctx context.Context, ev event) {
	e := ev.by
	e.value = ev.value
	e.cancel(nil)
	r.running = slices.DeleteFunc(r.running, func(o *entrant) bool { return o == e })
	r.waiting = slices.DeleteFunc(r.waiting, func(o *entrant) bool { return o == e })
	if r.leader == e {
		r.leader = nil
	}
	took := time.Since(e.begun) - e.waited
	if !e.askedAt.IsZero() {
		took -= time.Since(e.askedAt)
	}
	a := Attempt{Candidate: e.candidate, Err: ev.err, Took: took, Committed: e.leave, Answered: ev.err == nil}
	switch {
	case ev.err == nil && r.won != nil:
		discard(ev.value)
	case ev.err == nil:
		r.won = e
		r.end(ErrOvertaken)
		r.dialer.succeeded(e, took)
		r.observe(a)
	default:
		r.lost(ctx, e, a)
	}
	if r.over == nil {
		r.grantNext()
	}
}

// lost takes in an attempt that did not succeed.
func (r *race) lost(ctx context.Context, e *entrant, a Attempt) {
	moveOn, answered := answerOf(a.Err)
	answered = answered && !connectFailed(a.Err) && !isCut(e, a.Err)
	switch {
	case answered:
		a.Answered = true
		r.dialer.answered(e)
	case errors.Is(e.cut, ErrNoAnswer):
		a.Err = because(e.cut, a.Err)
		r.dialer.failed(e)
	case errors.Is(e.cut, ErrHedged):
		a.Err, a.Hedged = because(e.cut, a.Err), true
		r.dialer.hedged(e, a.Took)
		if !r.dialer.faults.forgetAbandoned {
			r.abandoned = append(r.abandoned, e.candidate)
		}
	case e.cut == nil && ctx.Err() == nil:
		if !lackedHere(a.Err) || errors.Is(a.Err, syscall.EADDRNOTAVAIL) { // ports are lacking for this one alone: others first, for a while
			r.dialer.failed(e)
		}
	case r.won != nil && e.silent:
		a.Err, a.Hedged = because(ErrHedged, a.Err), true
		r.dialer.hedged(e, a.Took)
	case r.won != nil:
		a.Err, a.Stopped = because(ErrOvertaken, a.Err), true
	default:
		a.Stopped = true
	}
	r.failed.Attempts = append(r.failed.Attempts, a)
	r.observe(a)
	if answered && !moveOn && r.over == nil {
		r.end(a.Err)
	}
}

// because says why an attempt was cut, unless its own error does.
func because(cause, err error) error {
	if errors.Is(err, cause) {
		return err
	}
	return fmt.Errorf("%w: %w", cause, err)
}

// isCut reports whether err is only the echo of e's context having ended.
func isCut(e *entrant, err error) bool {
	return e.cut != nil && (errors.Is(err, e.cut) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded))
}

func (r *race) observe(a Attempt) {
	if r.dialer.Observe != nil {
		r.dialer.Observe(a)
	}
}

// hinted is a context that tells how long an attempt may last, so that one that has several addresses to try can share
// the time out. It is the race that keeps the time, since waiting for leave does not count.
type hinted struct {
	context.Context
	deadline time.Time
}

// Deadline is when the attempt will be cut if it never waits for leave.
func (h hinted) Deadline() (time.Time, bool) { return h.deadline, true }
