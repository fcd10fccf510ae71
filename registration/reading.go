package registration

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// reading is what may interrupt a dialogue that waits for its registrant: a time limit, or somebody who wants to move it.
type reading struct {
	mu    sync.Mutex
	conn  net.Conn
	limit time.Time   // in force when nothing is asked; zero: none
	asked *relocation // nil: nothing
	over  bool        // nobody listens any more
}

// on begins with the connection that is read from.
func (r *reading) on(c net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conn = c
	r.apply()
}

// until sets the time limit of all that is read from now on; the zero time is none.
func (r *reading) until(limit time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.limit = limit
	r.apply()
}

// apply sets the deadline of the connection. Callers hold mu.
func (r *reading) apply() {
	switch {
	case r.conn == nil:
	case r.asked != nil:
		_ = r.conn.SetReadDeadline(time.Unix(1, 0))
	default:
		_ = r.conn.SetReadDeadline(r.limit)
	}
}

// ask interrupts the dialogue for the sake of m, and reports whether there is somebody to be interrupted.
func (r *reading) ask(m *relocation) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over || r.asked != nil {
		return false
	}
	r.asked = m
	r.apply()
	return true
}

// withdraw takes back what was asked, and reports whether it was still to be answered.
func (r *reading) withdraw(m *relocation) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.asked != m {
		return false
	}
	r.asked = nil
	r.apply()
	return true
}

// interrupted reports whether something is asked.
func (r *reading) interrupted() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked != nil
}

// interruptedBy reports whether err of a read is no more than that something is asked.
func (r *reading) interruptedBy(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) && r.interrupted()
}

// take returns what is asked, nil if nothing is, to whoever is about to answer it.
func (r *reading) take() *relocation {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.asked
	if m != nil {
		r.asked = nil
		r.apply()
	}
	return m
}

// limitNow returns the time limit in force.
func (r *reading) limitNow() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.limit
}

// end tells that nobody listens any more, and returns what was asked last and will not be answered.
func (r *reading) end() *relocation {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = true
	m := r.asked
	r.asked = nil
	return m
}
