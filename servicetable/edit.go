package servicetable

import (
	"cmp"
	"slices"
)

// edit is the next snapshot in the making. Its table is locked.
type edit struct {
	table *Table
	now   *Snapshot
	next  *Snapshot
	done  bool // next differs from now
}

func (t *Table) edit() *edit {
	now := t.Snapshot()
	next := *now
	next.slots = make([]*slot, len(now.slots), len(now.slots)+1)
	copy(next.slots, now.slots)
	return &edit{table: t, now: now, next: &next}
}

// publish makes the edited snapshot the current one, if it differs from that.
func (e *edit) publish() *Snapshot {
	if !e.done {
		return e.now
	}
	return e.table.publish(e.now, e.next)
}

// set enters a copy of r, in place of the registration of the same ID, and removes whichever stale one that makes needless.
func (e *edit) set(r *Registration) {
	t := e.table
	at, known := t.positions[r.ID]
	if r.Stale && e.hasTwin(r, func(o *Registration) bool { return !o.Stale && !o.Static }) {
		if known {
			e.remove(at)
		}
		return
	}
	if !r.Stale && !r.Static {
		e.removeStaleTwins(r)
	}
	e.done = true
	if !known {
		at = e.newPosition()
	}
	before := e.next.slots[at]
	after := newSlot(r, at, before, t.count(len(r.Handlers)))
	if known {
		after.order = before.order
	} else {
		t.order++
		after.order = t.order
		t.positions[r.ID] = at
	}
	after.mark(e.next.marks.of(after))
	e.next.slots[at] = after
	if before == nil || before.links != after.links {
		e.next.index = e.next.index.withSlot(e.next.slots, at, before)
	}
}

// remove takes the registration at position at away.
func (e *edit) remove(at int32) {
	e.done = true
	s := e.next.slots[at]
	e.next.slots[at] = nil
	e.next.index = e.next.index.withSlot(e.next.slots, at, s)
	delete(e.table.positions, s.registration.ID)
	e.table.free = append(e.table.free, at)
}

// twins returns the positions of registrations of r's key with another ID.
func (e *edit) twins(r *Registration) []int32 {
	var found []int32
	var key string
	for _, at := range e.next.index.sids.get(fold(r.Instance)) {
		if key == "" {
			key = fold(r.Key())
		}
		if s := e.next.slots[at]; s.key == key && s.registration.ID != r.ID {
			found = append(found, at)
		}
	}
	return found
}

func (e *edit) hasTwin(r *Registration, fits func(*Registration) bool) bool {
	return slices.ContainsFunc(e.twins(r), func(at int32) bool { return fits(&e.next.slots[at].registration) })
}

func (e *edit) removeStaleTwins(r *Registration) {
	for _, at := range e.twins(r) {
		if o := &e.next.slots[at].registration; o.Stale && !o.Static {
			e.remove(at)
		}
	}
}

// newPosition finds a free position among the slots, or makes one.
func (e *edit) newPosition() int32 {
	t := e.table
	if t.positions == nil {
		t.positions = map[ID]int32{}
	}
	if n := len(t.free); n > 0 {
		at := t.free[n-1]
		t.free = t.free[:n-1]
		return at
	}
	e.next.slots = append(e.next.slots, nil)
	return int32(len(e.next.slots) - 1)
}

// inOrder returns the slots in order of registration.
func (s *Snapshot) inOrder() []*slot {
	var all []*slot
	for _, slot := range s.slots {
		if slot != nil {
			all = append(all, slot)
		}
	}
	slices.SortFunc(all, func(a, b *slot) int { return cmp.Compare(a.order, b.order) })
	return all
}

// clone returns a copy of r that shares no slice with it.
func (r *Registration) clone() Registration {
	c := *r
	c.Marks, c.Endpoints = slices.Clone(r.Marks), slices.Clone(r.Endpoints)
	c.Services, c.Handlers = slices.Clone(r.Services), slices.Clone(r.Handlers)
	for i := range c.Services {
		c.Services[i].Marks = slices.Clone(c.Services[i].Marks)
	}
	for i := range c.Handlers {
		c.Handlers[i].Services = slices.Clone(c.Handlers[i].Services)
	}
	return c
}
