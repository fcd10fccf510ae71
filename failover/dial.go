// Package failover gets past what is dead: it tries the candidates of a route in turn until one answers, and remembers
// for a short while which ones did not.
package failover

import (
	"context"
	"errors"
	"fmt"
	"time"

	"servicebroker/servicetable"
)

// Dialer bounds attempts and remembers failures. The zero value is ready to use; set fields before the first Dial.
type Dialer struct {
	// AttemptTimeout bounds one attempt; 0 is 3 s. Longer waits for slow hosts, shorter passes over silent ones sooner.
	AttemptTimeout time.Duration
	// TotalTimeout bounds all attempts of one connect together; 0 is 60 s. Drivers give up by themselves after
	// about as long.
	TotalTimeout time.Duration
	// Backoff is how long a handler that failed to connect is tried after all others, doubled with each further
	// failure up to MaxBackoff; 0 is 1 s and 30 s. Longer spares connects the wait for a host that is still down, and
	// finds out later that it is back.
	Backoff, MaxBackoff time.Duration
	// Observe is called after each attempt; its Err is nil where the candidate answered. nil is silent.
	Observe func(Attempt)

	failures failures
}

// ErrNoAnswer says that an attempt took longer than Dialer.AttemptTimeout.
var ErrNoAnswer = errors.New("no answer")

// Dial calls attempt for the candidates of route in order, each bounded by d.AttemptTimeout and all of them by
// d.TotalTimeout, until one succeeds, and returns its result and the candidate. Handlers that failed to connect just
// now come last.
//
// attempt must return soon after its context ends, and what it returns must not depend on that context, which ends when attempt has
// returned. An error of it that has a method MoveOn() bool is an answer from a living instance: if that returns false, no
// other candidate could do better and Dial ends. Every failure of Dial is a *DialError. A nil d has the defaults and
// remembers nothing.
func Dial[T any](ctx context.Context, d *Dialer, route []servicetable.Candidate, attempt func(context.Context, servicetable.Candidate) (T, error)) (T, servicetable.Candidate, error) {
	if d == nil {
		d = &Dialer{}
	}
	ctx, cancel := context.WithTimeout(ctx, d.totalTimeout())
	defer cancel()
	run := run{dialer: d, failed: &DialError{}}
	var late []servicetable.Candidate
	for i := 0; i < len(route)+len(late); i++ {
		var c servicetable.Candidate
		if i < len(route) {
			if c = route[i]; d.failures.defers(&c, d.attemptTimeout()) {
				late = append(late, c)
				continue
			}
		} else {
			c = late[i-len(route)]
		}
		if run.stopped(ctx) {
			break
		}
		begun := time.Now()
		value, err := bounded(ctx, d.attemptTimeout(), c, attempt)
		if run.note(ctx, Attempt{Candidate: c, Err: err, Took: time.Since(begun)}) {
			return value, c, nil
		}
		if run.final {
			break
		}
	}
	var none T
	return none, servicetable.Candidate{}, run.failed
}

// bounded runs one attempt under its own limit, and says so where that was what ended it.
func bounded[T any](ctx context.Context, limit time.Duration, c servicetable.Candidate, attempt func(context.Context, servicetable.Candidate) (T, error)) (T, error) {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	value, err := attempt(limited, c)
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		err = fmt.Errorf("%w within %v: %w", ErrNoAnswer, limit, err)
	}
	return value, err
}

// run is one Dial under way.
type run struct {
	dialer *Dialer
	failed *DialError
	final  bool // no other candidate could do better
}

// stopped reports whether time or the caller's patience is over before the next attempt.
func (r *run) stopped(ctx context.Context) bool {
	if ctx.Err() == nil {
		return false
	}
	r.failed.Stopped = context.Cause(ctx)
	return true
}

// note takes an attempt's outcome in and reports whether it succeeded.
func (r *run) note(ctx context.Context, a Attempt) bool {
	d := r.dialer
	if d.Observe != nil {
		d.Observe(a)
	}
	moveOn, answered := answerOf(a.Err)
	switch {
	case a.Err == nil, answered && !connectFailed(a.Err):
		d.failures.clear(&a.Candidate)
	case ctx.Err() == nil: // else it was not given its time
		d.failures.add(&a.Candidate, d.backoff(), d.maxBackoff())
	}
	if a.Err == nil {
		return true
	}
	r.failed.Attempts = append(r.failed.Attempts, a)
	r.final = !moveOn
	return false
}

func (d *Dialer) attemptTimeout() time.Duration { return orDefault(d.AttemptTimeout, 3*time.Second) }
func (d *Dialer) totalTimeout() time.Duration   { return orDefault(d.TotalTimeout, time.Minute) }
func (d *Dialer) backoff() time.Duration        { return orDefault(d.Backoff, time.Second) }
func (d *Dialer) maxBackoff() time.Duration     { return orDefault(d.MaxBackoff, 30*time.Second) }

func orDefault(v, otherwise time.Duration) time.Duration {
	if v == 0 {
		return otherwise
	}
	return v
}
