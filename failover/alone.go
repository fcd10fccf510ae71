package failover

import (
	"context"
	"sync"
	"time"
)

// alone is a first attempt that runs on the goroutine that called Dial, as nearly all do from begin to end. Only if
// there is something to decide meanwhile, since its time is up or it is silent, the race begins, on another goroutine, with
// this attempt in it.
type alone struct {
	mu       sync.Mutex
	entrant  *entrant
	joined   bool // the race has begun
	returned bool // the attempt has before that
}

// runFirst makes the first attempt, and reports whether that was all.
func (r *race) runFirst(ctx context.Context) (over bool) {
	e, own := r.next(ctx)
	if e == nil {
		return true
	}
	a := &alone{entrant: e}
	r.alone = a
	raced := make(chan struct{})
	timer := time.AfterFunc(r.nextDue(), func() {
		if a.join() {
			defer close(raced)
			r.loop(ctx)
		}
	})
	value, err := r.attempt(own, e.candidate, func() error { return r.commit(own, e) })
	timer.Stop()
	if a.leave() {
		if ctx.Err() != nil {
			r.stop(ctx)
		}
		r.returned(ctx, event{by: e, done: true, value: value, err: err})
		return r.over != nil
	}
	r.events <- event{by: e, done: true, value: value, err: err}
	<-raced
	return true
}

// join begins the race, unless the attempt has returned.
func (a *alone) join() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.joined = !a.returned
	return a.joined
}

// leave ends the attempt, unless the race has begun.
func (a *alone) leave() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.returned = !a.joined
	return a.returned
}

// grant gives leave to the attempt if nobody else could have it.
func (a *alone) grant(r *race, e *entrant) bool {
	if a == nil || a.entrant != e {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.joined {
		return false
	}
	r.grant(e, time.Now())
	return true
}
