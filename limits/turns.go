package limits

import (
	"context"
	"net/netip"
	"sync"
)

// Turns let so many work at a time. Who has to wait does so in the line of its source, and
// turns go round among the lines: a source with a thousand waiting is served as often as one
// with one.
type Turns struct {
	Most int // at a time; 0: no limit

	mu      sync.Mutex
	working int
	lines   map[netip.Prefix]*turnLine
	order   list[*turnLine] // whose turn is next is first
	waiting int
	peak    int
}

type turnLine struct {
	source netip.Prefix
	place  link[*turnLine]
	all    list[chan struct{}]
}

// Enter waits until a client's address may work, or until ctx ends. Who has entered must Leave.
func (t *Turns) Enter(ctx context.Context, a netip.Addr) error {
	t.mu.Lock()
	if t.Most == 0 || t.working < t.Most {
		t.working++
		t.mu.Unlock()
		return nil
	}
	turn := &link[chan struct{}]{of: make(chan struct{})}
	line := t.lineOf(SourceOf(a))
	line.all.push(turn)
	t.waiting++
	t.peak = max(t.peak, t.waiting)
	t.mu.Unlock()
	select {
	case <-turn.of:
		return nil
	case <-ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !turn.in { // its turn came at the same moment
		return nil
	}
	t.remove(line, turn)
	return context.Cause(ctx)
}

// Leave lets the next one work.
func (t *Turns) Leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.order.n == 0 {
		t.working--
		return
	}
	line := t.order.first.of
	next := line.all.first
	t.order.renew(&line.place)
	t.remove(line, next)
	close(next.of)
}

// Waiting tells how many wait now, and how many did at most.
func (t *Turns) Waiting() (now, peak int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.waiting, t.peak
}

func (t *Turns) lineOf(source netip.Prefix) *turnLine {
	line := t.lines[source]
	if line == nil {
		if t.lines == nil {
			t.lines = map[netip.Prefix]*turnLine{}
		}
		line = &turnLine{source: source}
		line.place.of = line
		t.lines[source] = line
		t.order.push(&line.place)
	}
	return line
}

// remove takes one out of its line, and closes a line that is empty.
func (t *Turns) remove(line *turnLine, one *link[chan struct{}]) {
	line.all.remove(one)
	t.waiting--
	if line.all.n == 0 {
		t.order.remove(&line.place)
		delete(t.lines, line.source)
	}
}
