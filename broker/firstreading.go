package broker

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// firstReading is the time in which a connection's first request is read. It can be interrupted, so that another process reads
// on, until something begins that only this one can bring to an end.
type firstReading struct {
	mu    sync.Mutex
	conn  net.Conn        // nil: it has not begun
	limit time.Time       // zero: none
	stays bool            // it is not to be interrupted any more
	asked *sync.WaitGroup // with whoever has interrupted it; nil: nobody has
}

// begin limits the reading from a connection; the zero time is no limit.
func (r *firstReading) begin(c net.Conn, limit time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conn, r.limit = c, limit
	_ = c.SetDeadline(limit)
	if r.asked != nil {
		_ = c.SetReadDeadline(time.Unix(1, 0))
	}
}

// ask interrupts the reading, unless it is too late for that. Done is called on offered once it has been seen to.
func (r *firstReading) ask(offered *sync.WaitGroup) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stays || r.asked != nil {
		return
	}
	r.asked = offered
	offered.Add(1)
	if r.conn != nil {
		_ = r.conn.SetReadDeadline(time.Unix(1, 0))
	}
}

// interruptedBy tells whether the error of a read comes of that.
func (r *firstReading) interruptedBy(err error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked != nil
}

// stay ends the time in which it can be interrupted.
func (r *firstReading) stay() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stays = true
	r.answer()
}

// goOn is for a reading that was interrupted in vain.
func (r *firstReading) goOn() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer()
}

// answer is for whoever has interrupted it, if anybody has. Callers hold mu.
func (r *firstReading) answer() {
	if r.asked == nil {
		return
	}
	if r.conn != nil {
		_ = r.conn.SetReadDeadline(r.limit)
	}
	r.asked.Done()
	r.asked = nil
}
