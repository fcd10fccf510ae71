// Package failover gets past what is dead: it tries the candidates of a route until one answers, remembers for a short
// while which ones did not, and probes them so that nobody has to find out.
package failover

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"time"

	"servicebroker/servicetable"
)

// Dialer bounds attempts and remembers who failed and who is quick. The zero value is ready to use; set fields before
// the first Dial.
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
	// Hedge is how long a candidate may be silent before the next one is tried beside it. 0 learns it for each handler
	// from how long that takes to accept, at most 500 ms; below 0 never tries two at a time. Shorter wastes the work of
	// instances that are merely slow, longer makes clients wait for those that are dead.
	Hedge time.Duration
	// Observe is called after each attempt and before Dial returns, by one Dial never twice at a time, but not always on the
	// goroutine that called that; its Err is nil where the candidate answered. nil is silent.
	Observe func(Attempt)

	failures   failures
	configured atomic.Int64 // attempt timeout in force, if not 0
	paces      paces
	budget     budget
	faults     faults
}

// What may end an attempt early. context.Cause of its context is one of them, or why Dial itself was stopped.
var (
	// ErrNoAnswer says that an attempt took longer than Dialer.AttemptTimeout.
	ErrNoAnswer = errors.New("no answer")
	// ErrHedged says that a candidate was silent for so long that another one was tried in its place. If all others
	// fail, it is tried again.
	ErrHedged = errors.New("silent for longer than usual")
	// ErrOvertaken says that another candidate answered first.
	ErrOvertaken = errors.New("another candidate answered first")
)

// Dial calls attempt for the candidates of route until one succeeds, and returns its result and the candidate. They are
// tried in order, save that handlers that failed lately come last. One attempt may last d.AttemptTimeout, all of them
// d.TotalTimeout. Where a candidate is silent for d.Hedge, the next one is tried beside it, as long as there is one.
//
// attempt calls commit once its transport connection is open, and before it sends anything that could open a session.
// commit blocks while another attempt of this Dial has leave to go on, so that there is never more than one that could
// open a session; the time does not count against the attempt. An error of commit tells the attempt to close its
// connection and to return. Later calls of commit by the same attempt return at once. An attempt that lost its leave
// finds its context ended: it must break its connection, such that no session can come of it, before it returns.
//
// attempt must return soon after its context ends, and what it returns must not depend on that context, which ends when
// attempt has returned. A value returned without error although another attempt had succeeded, which takes an attempt
// that did not call commit, is closed if it is an io.Closer. An error that has a method MoveOn() bool is an answer from
// a living instance: if that returns false, no other candidate could do better and Dial ends. Every failure of Dial is
// a *DialError. All attempts have returned when Dial does. A nil d has the defaults and remembers nothing.
func Dial[T any](ctx context.Context, d *Dialer, route []servicetable.Candidate, attempt func(ctx context.Context, c servicetable.Candidate, commit func() error) (T, error)) (T, servicetable.Candidate, error) {
	if d == nil {
		d = &Dialer{}
	}
	limited, cancel := within(ctx, d.totalTimeout())
	defer cancel()
	r := newRace(d, route, func(ctx context.Context, c servicetable.Candidate, commit func() error) (any, error) {
		return attempt(ctx, c, commit)
	})
	if won := r.run(limited); won != nil {
		value, _ := won.value.(T) // fails only for the nil of an interface type, which is the zero value
		return value, won.candidate, nil
	}
	var none T
	return none, servicetable.Candidate{}, r.failed
}

// within is context.WithTimeout where ctx does not end earlier by itself.
func within(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	if until, limited := ctx.Deadline(); limited && time.Until(until) <= limit {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, limit)
}

// faults switch parts of a Dialer off, so that tests can show that they would notice.
type faults struct {
	grantAtOnce      bool // the next attempt gets its leave before the last one with leave has returned
	forgetAbandoned  bool // who lost its leave is never tried again
	leaveLosers      bool // Dial returns before its attempts have
	ignoreSilence    bool // nobody is tried beside a silent candidate that has leave
	neverGrantWaiter bool // who waits for leave is forgotten when it becomes free
}

// discard closes a result that nobody will get.
func discard(value any) {
	if c, ok := value.(io.Closer); ok {
		_ = c.Close()
	}
}

// Configure replaces AttemptTimeout, at any time.
func (d *Dialer) Configure(attempt time.Duration) { d.configured.Store(int64(attempt)) }

func (d *Dialer) attemptTimeout() time.Duration {
	return orDefault(orDefault(time.Duration(d.configured.Load()), d.AttemptTimeout), 3*time.Second)
}
func (d *Dialer) totalTimeout() time.Duration { return orDefault(d.TotalTimeout, time.Minute) }
func (d *Dialer) backoff() time.Duration      { return orDefault(d.Backoff, time.Second) }
func (d *Dialer) maxBackoff() time.Duration   { return orDefault(d.MaxBackoff, 30*time.Second) }

func orDefault[T time.Duration | int](v, otherwise T) T {
	if v == 0 {
		return otherwise
	}
	return v
}
