// Package limits bounds how much is let in at a time: connects a second, sessions
// at once, bytes a second. Who is over a rate waits for a turn that goes round
// among those who ask, so that nobody who asks for much keeps out who asks for
// little. All state is bounded, however many ask, and nothing polls.
package limits

import "errors"

// What was exceeded; errors of this package wrap one of these.
var (
	ErrRate     = errors.New("rate limit reached")
	ErrSessions = errors.New("limit of sessions reached")
	ErrBlocked  = errors.New("address refused for a while")
	ErrFull     = errors.New("limit of connections reached")
)

// ExceededError is a limit that keeps somebody out.
type ExceededError struct {
	Limit string // whose: "service sales", "client 192.0.2.1"
	Why   string // with the figures, and which parameter to turn
	Err   error  // one of those above
}

// Error says all of it.
func (e *ExceededError) Error() string { return e.Kind() + ": " + e.Why }

// Kind tells refusals apart that are not alike: whose limit it is, and which of its kinds.
func (e *ExceededError) Kind() string { return e.Err.Error() + " for " + e.Limit }

// Unwrap returns the kind of limit.
func (e *ExceededError) Unwrap() error { return e.Err }
