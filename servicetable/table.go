// Package servicetable holds who offers what, right now, and this broker's own marks on it.
//
// Databases change the Table by whole Registrations; everyone else reads immutable Snapshots of it and waits on
// Snapshot.Superseded for the next one. The package has no goroutine, clock, logger or I/O.
package servicetable

import (
	"slices"
	"sync"
	"sync/atomic"
)

// Table publishes Snapshots. The zero value is an empty table, ready to use. All methods may be called at any time
// from any goroutine.
type Table struct {
	current atomic.Pointer[Snapshot]

	mu        sync.Mutex   // one writer at a time
	positions map[ID]int32 // of each registration among the slots
	free      []int32      // positions of slots that are nil
	order     uint64       // registrations seen
	ascending []int32      // 0, 1, 2 …
}

// Snapshot returns the table as it is now. It never blocks and is never nil.
func (t *Table) Snapshot() *Snapshot {
	if s := t.current.Load(); s != nil {
		return s
	}
	t.current.CompareAndSwap(nil, &Snapshot{index: &index{}, superseded: make(chan struct{})})
	return t.current.Load()
}

// Apply enters r, in place of an earlier registration of the same ID, and returns the snapshot that has it. The table
// keeps copies: the caller may reuse the slices of r.
func (t *Table) Apply(r Registration) *Snapshot {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.Snapshot()
	next := *now
	next.slots = make([]*slot, len(now.slots), len(now.slots)+1)
	copy(next.slots, now.slots)

	at, known := t.positions[r.ID]
	if !known {
		at = t.newPosition(&next)
	}
	before := next.slots[at]
	after := newSlot(&r, at, before, t.count(len(r.Handlers)))
	if known {
		after.order = before.order
	} else {
		t.order++
		after.order = t.order
		t.positions[r.ID] = at
	}
	after.mark(now.marks.of(after))
	next.slots[at] = after
	if before == nil || before.links != after.links {
		next.index = now.index.withSlot(next.slots, at, before)
	}
	return t.publish(now, &next)
}

// newPosition finds a free position among the slots of next, or makes one.
func (t *Table) newPosition(next *Snapshot) int32 {
	if t.positions == nil {
		t.positions = map[ID]int32{}
	}
	if n := len(t.free); n > 0 {
		at := t.free[n-1]
		t.free = t.free[:n-1]
		return at
	}
	next.slots = append(next.slots, nil)
	return int32(len(next.slots) - 1)
}

// count returns a list of at least the numbers from 0 to n-1. It is never written again.
func (t *Table) count(n int) []int32 {
	if len(t.ascending) < n {
		t.ascending = make([]int32, 2*n)
		for i := range t.ascending {
			t.ascending[i] = int32(i)
		}
	}
	return t.ascending
}

// Drop removes the registration id, if it is there, and returns the snapshot without it.
func (t *Table) Drop(id ID) *Snapshot {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.Snapshot()
	at, known := t.positions[id]
	if !known {
		return now
	}
	next := *now
	next.slots = slices.Clone(now.slots)
	next.slots[at] = nil
	next.index = now.index.withSlot(next.slots, at, now.slots[at])
	delete(t.positions, id)
	t.free = append(t.free, at)
	return t.publish(now, &next)
}

// Mark puts m on an instance ("instance@host") or on one handler of it ("instance@host/handler"), in place of an
// earlier mark of the same kind. A mark is not tied to a registration: it also holds for those that come later.
func (t *Table) Mark(key string, m Mark) *Snapshot {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.Snapshot()
	marks, changed := now.marks.with(key, m)
	if !changed {
		return now
	}
	return t.publishMarks(now, marks)
}

// Unmark takes the mark of kind k off an instance or handler, if it is there.
func (t *Table) Unmark(key string, k MarkKind) *Snapshot {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.Snapshot()
	marks, changed := now.marks.without(key, k)
	if !changed {
		return now
	}
	return t.publishMarks(now, marks)
}

func (t *Table) publishMarks(now *Snapshot, marks marks) *Snapshot {
	next := *now
	next.marks = marks
	next.slots = slices.Clone(now.slots)
	for i, s := range next.slots {
		if s == nil {
			continue
		}
		if m := marks.of(s); !m.equal(s.marks) {
			marked := *s
			marked.mark(m)
			next.slots[i] = &marked
		}
	}
	return t.publish(now, &next)
}

// publish makes next the current snapshot in place of now. Whoever waits for that finds it in place.
func (t *Table) publish(now, next *Snapshot) *Snapshot {
	next.version = now.version + 1
	next.superseded = make(chan struct{})
	t.current.Store(next)
	close(now.superseded)
	return next
}
