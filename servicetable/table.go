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

// Apply enters registrations, each in place of an earlier one of the same ID, and returns the snapshot that has all of them.
// The table keeps copies: the caller may reuse their slices.
//
// A stale registration stands in for a live one of the same key, never beside it: when either comes while the other is
// there, the stale one is gone from the same snapshot.
func (t *Table) Apply(all ...Registration) *Snapshot {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.edit()
	for i := range all {
		e.set(&all[i])
	}
	return e.publish()
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
	at, known := t.positions[id]
	if !known {
		return t.Snapshot()
	}
	e := t.edit()
	e.remove(at)
	return e.publish()
}

// Amend lets f change the registration id, and returns the snapshot that has the change; false if there is no such
// registration, or none any more. f gets a copy with slices of its own; it must not call the table. The ID stays as it is.
func (t *Table) Amend(id ID, f func(*Registration)) (*Snapshot, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at, known := t.positions[id]
	if !known {
		return t.Snapshot(), false
	}
	e := t.edit()
	r := e.next.slots[at].registration.clone()
	f(&r)
	r.ID = id
	e.set(&r)
	return e.publish(), true
}

// Revise offers every registration to f, in order of registration, and publishes one snapshot that has the changes of all for
// which f returned true. It returns that, or the current one if there are none. f gets copies with slices of their own; it must
// not call the table. The IDs stay as they are.
func (t *Table) Revise(f func(*Registration) bool) *Snapshot {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.Snapshot()
	var changed []Registration
	for _, s := range now.inOrder() {
		r := s.registration.clone()
		if f(&r) {
			r.ID = s.registration.ID
			changed = append(changed, r)
		}
	}
	if len(changed) == 0 {
		return now
	}
	e := t.edit()
	for i := range changed {
		if _, there := t.positions[changed[i].ID]; there { // and not gone as the stale twin of one before it
			e.set(&changed[i])
		}
	}
	return e.publish()
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
