package failover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"servicebroker/servicetable"
)

// Attempt is one candidate that was tried, and what came of it.
type Attempt struct {
	Candidate servicetable.Candidate
	Err       error
	Took      time.Duration // without the time it was made to wait for another attempt
	Committed bool          // it had leave to open a session, so the transport connection was open
	Answered  bool          // it accepted or refused, as opposed to broke or was cut
	Hedged    bool          // cut because it was silent while others were not; it may be tried again
	Stopped   bool          // cut for a reason that says nothing of the candidate
}

// String says who was tried where, for how long, and why it failed.
func (a Attempt) String() string {
	c := a.Candidate
	who, where := "candidate", "an unknown address"
	if c.Registration != nil {
		who = c.Registration.Key()
	}
	if c.Handler != nil {
		where = c.Handler.Name + " at " + net.JoinHostPort(c.Handler.Host, fmt.Sprint(c.Handler.Port))
	}
	return fmt.Sprintf("%s (%s): %v, after %v", who, where, a.Err, a.Took.Round(time.Millisecond))
}

// DialError says that no candidate of a route answered: what was tried, in order. It unwraps to the error of each
// attempt and to Stopped.
type DialError struct {
	Attempts []Attempt
	// Stopped is why the remaining candidates were not tried: context.DeadlineExceeded when TotalTimeout or the
	// caller's own limit was over, or the caller's cause. nil where all were tried or an answer was final.
	Stopped error
}

// maxWorded is how many attempts Error tells of.
const maxWorded = 16

// Error lists the attempts, the first ones if there are many.
func (e *DialError) Error() string {
	var b strings.Builder
	switch n := len(e.Attempts); {
	case n == 0 && e.Stopped == nil:
		return "no candidate to try; check that the service is registered with a handler that has an address"
	case n == 0:
		b.WriteString("no candidate was tried")
	case n == 1:
		fmt.Fprintf(&b, "the only candidate tried failed: %v", e.Attempts[0])
	default:
		fmt.Fprintf(&b, "all %d attempts failed: %v", n, e.Attempts[0])
		for _, a := range e.Attempts[1:min(n, maxWorded)] {
			fmt.Fprintf(&b, "; %v", a)
		}
		if n > maxWorded {
			fmt.Fprintf(&b, "; and %d more", n-maxWorded)
		}
	}
	if e.Stopped != nil {
		fmt.Fprintf(&b, "; then stopped: %v", e.Stopped)
		return b.String()
	}
	if e.unreached() {
		b.WriteString("; check that these addresses can be reached from this host")
	}
	return b.String()
}

// unreached reports whether some candidate gave no answer at all, though it was asked.
func (e *DialError) unreached() bool {
	for _, a := range e.Attempts {
		if _, answered := answerOf(a.Err); (!answered || connectFailed(a.Err)) && !lackedHere(a.Err) {
			return true
		}
	}
	return false
}

// Unwrap returns the error of each attempt, then Stopped.
func (e *DialError) Unwrap() []error {
	all := make([]error, 0, len(e.Attempts)+1)
	for _, a := range e.Attempts {
		all = append(all, a.Err)
	}
	if e.Stopped != nil {
		all = append(all, e.Stopped)
	}
	return all
}

// answerOf finds out whether err is an answer from a living instance, and whether another one could do better.
func answerOf(err error) (moveOn, answered bool) {
	var answer interface{ MoveOn() bool }
	if !errors.As(err, &answer) {
		return true, false
	}
	return answer.MoveOn(), true
}

// connectFailed reports whether err shows that the handler could not be reached or fell silent, whatever else it says.
func connectFailed(err error) bool {
	var network *net.OpError
	return errors.As(err, &network) || errors.Is(err, ErrNoAnswer) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// noAnswer is the ErrNoAnswer of an attempt that may last so long.
type noAnswer time.Duration

func (n noAnswer) Error() string { return fmt.Sprintf("%v within %v", ErrNoAnswer, time.Duration(n)) }

// Unwrap makes it a deadline that was exceeded, too.
func (n noAnswer) Unwrap() []error { return []error{ErrNoAnswer, context.DeadlineExceeded} }
