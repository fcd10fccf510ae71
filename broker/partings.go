package broker

import (
	"sync"
	"time"

	"servicebroker/tns"
)

// partings are connections that have had their last answer, each to be closed once its client has read it (tns.md 3.2). One
// timer looks at all of them, since nearly all clients are gone at once and others are in no hurry: none of them costs a
// goroutine, a timer, or a place in the poller. The zero value is ready.
type partings struct {
	mu    sync.Mutex
	seen  [longestLook + 1][]parting // by how often, up to longestLook; the one that is due first is first
	timer *time.Timer                // nil: none was needed yet
	armed bool
}

// firstLook is after what time a connection is looked at first, and the least between two looks at any. Each next look at one
// comes after twice the time, longestLook times, and then always after the same.
const (
	firstLook   = 5 * time.Millisecond
	longestLook = 5
)

// parting is one of them.
type parting struct {
	conn       *tns.Parting
	due, until time.Time
	over       func()
}

// add has a connection closed when its client is gone, or at the first look after limit, and over called after that.
func (p *partings) add(conn *tns.Parting, limit time.Duration, over func()) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen[0] = append(p.seen[0], parting{conn: conn, due: now.Add(firstLook), until: now.Add(limit), over: over})
	p.arm(now)
}

// look looks at those at which it is time to.
func (p *partings) look() {
	now, scratch := time.Now(), make([]byte, 4096)
	for i := len(p.seen) - 1; i >= 0; i-- { // those that are seen now come behind those that have been
		due, next := p.due(i, now), min(i+1, longestLook)
		left := due[:0]
		for _, one := range due {
			if one.conn.Over(scratch) || !now.Before(one.until) {
				one.conn.Close()
				one.over()
				continue
			}
			one.due = now.Add(firstLook << next)
			left = append(left, one)
		}
		p.put(next, left)
		clear(due) // which shares its memory with those behind
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.armed = false
	p.arm(time.Now())
}

// due takes those out that have been looked at so often, and are due again.
func (p *partings) due(i int, now time.Time) []parting {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for n < len(p.seen[i]) && !p.seen[i][n].due.After(now) {
		n++
	}
	taken, rest := p.seen[i][:n:n], p.seen[i][n:]
	if len(rest) == 0 {
		rest = nil // what thousands needed is not kept for the next few
	}
	p.seen[i] = rest
	return taken
}

func (p *partings) put(i int, all []parting) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen[i] = append(p.seen[i], all...)
}

// arm sets the timer to when the next one is due. Callers hold mu.
func (p *partings) arm(now time.Time) {
	if p.armed {
		return
	}
	var next time.Time
	for _, all := range p.seen {
		if len(all) > 0 && (next.IsZero() || all[0].due.Before(next)) {
			next = all[0].due
		}
	}
	if next.IsZero() {
		return
	}
	p.armed = true
	after := max(next.Sub(now), firstLook)
	if p.timer == nil {
		p.timer = time.AfterFunc(after, p.look)
		return
	}
	p.timer.Reset(after)
}
