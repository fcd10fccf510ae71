package servicetable

import "time"

// Mark is what this broker, not the database, holds about an instance or one of its handlers.
type Mark struct {
	Kind  MarkKind
	Cause string // why, for people
	Since time.Time
	Until time.Time // zero: until it is taken off. Whoever set the mark takes it off; the table has no clock
}

// MarkKind is what a Mark means for new connects.
type MarkKind uint8

// The kinds of mark. None of them touches sessions that exist.
const (
	Draining    MarkKind = iota // no new connects, sessions may end by themselves
	Ejected                     // failed lately: used only if nothing else is left
	Maintenance                 // no new connects until an operator ends it
	Quarantined                 // not trusted until an operator approves it
)

// String returns the word for k: draining, ejected, maintenance or quarantined.
func (k MarkKind) String() string {
	switch k {
	case Ejected:
		return "ejected"
	case Maintenance:
		return "maintenance"
	case Quarantined:
		return "quarantined"
	}
	return "draining"
}

// excludes reports whether a mark of this kind keeps all new connects away.
func (k MarkKind) excludes() bool { return k != Ejected }
