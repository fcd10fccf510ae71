package failover

import (
	"context"
	"slices"
	"time"

	"servicebroker/servicetable"
)

// commit asks for leave and waits for it.
func (r *race) commit(ctx context.Context, e *entrant) error {
	select {
	case <-e.granted:
		return context.Cause(ctx)
	default:
	}
	if r.alone.grant(r, e) {
		return context.Cause(ctx)
	}
	select {
	case r.events <- event{by: e}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case <-e.granted:
	case <-ctx.Done():
	}
	return context.Cause(ctx)
}

// fallSilent decides what follows from e's silence. One without leave costs nothing; one that has leave loses it only if there
// is somebody to give it to, and the budget has something left.
func (r *race) fallSilent(e *entrant, now time.Time) {
	if e != r.leader {
		e.silent = true
		return
	}
	next := r.successor()
	switch {
	case next == nil:
		e.silent = true // until somebody asks, or turns out to be better
		e.silentAt = now.Add(r.dialer.hedge(&e.candidate))
	case r.dialer.faults.ignoreSilence:
		e.silentAt = time.Time{}
	case !r.dialer.worthHedging(e, next):
		e.silentAt = now.Add(r.dialer.hedge(&e.candidate))
	default:
		e.silent = true
		e.silentAt = now.Add(r.dialer.hedge(&e.candidate))
		r.replaceLeader()
	}
}

// successor returns the candidate that would get the leader's leave; nil if there is none, or none that is more
// promising than the leader.
func (r *race) successor() *servicetable.Candidate {
	if i := r.heir(); i >= 0 {
		return &r.waiting[i].candidate
	}
	switch {
	case len(r.fresh) > 0:
		return &r.fresh[0]
	case len(r.late) > 0 && r.beats(&r.late[0], true):
		return &r.late[0]
	case len(r.abandoned) > 0 && r.mayReturn():
		return &r.abandoned[0]
	}
	return nil
}

// mayReturn reports whether one that lost its leave is more promising than the leader after all. That has its price even
// where it is evident: where all are slow, it may look so now and then.
func (r *race) mayReturn() bool {
	return r.dialer.evident(r.leader, &r.abandoned[0]) && r.dialer.budget.left()
}

// heir returns which of those that wait for leave would get it first; -1 for none.
func (r *race) heir() int {
	return slices.IndexFunc(r.waiting, func(e *entrant) bool { return r.beats(&e.candidate, e.late) })
}

// beats reports whether c is more promising than a silent leader: one that failed lately is so only if it has answered
// somebody meanwhile, as the leader has not.
func (r *race) beats(c *servicetable.Candidate, late bool) bool {
	return !late || r.leader == nil || r.leader.late || r.dialer.evident(r.leader, c)
}

// replaceLeader takes the leave from a silent leader for the sake of one that waits for it.
func (r *race) replaceLeader() {
	l := r.leader
	if l == nil || !l.silent || l.patient || l.cut != nil {
		return
	}
	i := r.heir()
	if i < 0 || r.dialer.faults.ignoreSilence {
		return
	}
	free := r.dialer.evident(l, &r.waiting[i].candidate) && !r.waiting[i].patient
	if !free && !r.dialer.budget.pay() {
		l.silent, l.silentAt = false, time.Now().Add(r.dialer.hedge(&l.candidate))
		return
	}
	next := r.waiting[i]
	r.waiting = append([]*entrant{next}, slices.Delete(r.waiting, i, i+1)...)
	r.cut(l, ErrHedged)
	if r.dialer.faults.grantAtOnce {
		r.leader = nil
		r.grantNext()
	}
}

// grantNext gives the leave, which is free, to who waits for it longest.
func (r *race) grantNext() {
	for len(r.waiting) > 0 && r.leader == nil && !r.dialer.faults.neverGrantWaiter {
		e := r.waiting[0]
		r.waiting = r.waiting[1:]
		now := time.Now()
		wait := now.Sub(e.askedAt)
		e.askedAt = time.Time{}
		e.waited += wait
		e.deadline = e.deadline.Add(wait)
		if !e.silentAt.IsZero() {
			e.silentAt = e.silentAt.Add(wait)
		}
		if e.cut == nil {
			r.grant(e, now)
		}
	}
}

// grant gives the leave to e. Had it been silent before, it now gets a new chance.
func (r *race) grant(e *entrant, now time.Time) {
	r.leader = e
	e.leave = true
	if e.silent {
		e.silent = false
		e.silentAt = now.Add(r.dialer.hedge(&e.candidate))
	}
	close(e.granted)
}
