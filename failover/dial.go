// Package failover gets past what is dead: it tries the candidates of a route in turn until one answers, and remembers
// for a short while which ones did not.
package failover

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"servicebroker/servicetable"
)

// Dialer bounds attempts and remembers failures. The zero value is ready to use.
type Dialer struct {
	AttemptTimeout time.Duration // bound of one attempt; 0: 3 s. Longer waits for slow hosts, shorter passes over silent ones sooner
	TotalTimeout   time.Duration // bound of all attempts of one connect together; 0: 60 s
}

// Attempt is one candidate that was tried without success.
type Attempt struct {
	Candidate servicetable.Candidate
	Err       error
	Took      time.Duration
}

// DialError says that no candidate of a route answered: what was tried, in order. It unwraps to the error of each.
type DialError struct {
	Attempts []Attempt
}

// Error lists every attempt.
func (e *DialError) Error() string {
	var b strings.Builder
	for _, a := range e.Attempts {
		fmt.Fprintf(&b, "%v; ", a.Err)
	}
	return b.String()
}

// Unwrap returns the error of each attempt.
func (e *DialError) Unwrap() []error {
	var all []error
	for _, a := range e.Attempts {
		all = append(all, a.Err)
	}
	return all
}

// Dial calls attempt for the candidates of route in order, each bounded by d.AttemptTimeout and all of them by
// d.TotalTimeout, until one succeeds, and returns its result and the candidate. An attempt's error that has a method
// MoveOn() bool returning false ends the matter: no other candidate could do better. Every failure is a *DialError.
// A nil d has the defaults and remembers nothing.
func Dial[T any](ctx context.Context, d *Dialer, route []servicetable.Candidate, attempt func(context.Context, servicetable.Candidate) (T, error)) (T, servicetable.Candidate, error) {
	var zero T
	e := &DialError{}
	for _, c := range route {
		v, err := attempt(ctx, c)
		if err == nil {
			return v, c, nil
		}
		e.Attempts = append(e.Attempts, Attempt{Candidate: c, Err: err})
		var m interface{ MoveOn() bool }
		if errors.As(err, &m) && !m.MoveOn() {
			break
		}
	}
	return zero, servicetable.Candidate{}, e
}
