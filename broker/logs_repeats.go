package broker

import (
	"fmt"
	"sync"
	"time"
)

// repeats leaves out lines of listener.log that say once more what one has just said: updates
// of the same instance, pings (features.md 6).
type repeats struct {
	mu   sync.Mutex
	seen map[string]*repeat
}

// repeat is one line that may come again.
type repeat struct {
	written time.Time
	left    int // how many were left out since
}

// maxRepeats bounds how many different lines are remembered.
const maxRepeats = 10_000

// pass tells whether a line that says what is to be written, as none has for so long, and what
// to write about those that were left out since, "" if none was.
func (r *repeats) pass(what string, now time.Time, within time.Duration) (note string, write bool) {
	if within <= 0 {
		return "", true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	one := r.seen[what]
	if one == nil {
		if r.seen == nil || len(r.seen) >= maxRepeats {
			r.seen = map[string]*repeat{}
		}
		one = &repeat{}
		r.seen[what] = one
	}
	if now.Sub(one.written) < within {
		one.left++
		return "", false
	}
	if one.left > 0 {
		note = fmt.Sprintf("%d lines left out: %s", one.left, what)
	}
	*one = repeat{written: now}
	return note, true
}
