package servicetable

import (
	"maps"
	"slices"
	"strings"
	"time"
)

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
	Holding                     // connects wait until an operator releases them
)

// String returns the word for k: draining, ejected, maintenance, quarantined or holding.
func (k MarkKind) String() string {
	switch k {
	case Ejected:
		return "ejected"
	case Maintenance:
		return "maintenance"
	case Quarantined:
		return "quarantined"
	case Holding:
		return "holding"
	}
	return "draining"
}

// marks holds all marks by folded key, each list sorted by kind. It is immutable.
type marks map[string][]Mark

// with returns a copy of m with mark on key, and whether that is any change.
func (m marks) with(key string, mark Mark) (marks, bool) {
	key = fold(key)
	list := m[key]
	i, had := slices.BinarySearchFunc(list, mark.Kind, byKind)
	if had && list[i] == mark {
		return m, false
	}
	list = slices.Clone(list)
	if had {
		list[i] = mark
	} else {
		list = slices.Insert(list, i, mark)
	}
	next := maps.Clone(m)
	if next == nil {
		next = marks{}
	}
	next[key] = list
	return next, true
}

// without returns a copy of m without a mark of kind k on key, and whether that is any change.
func (m marks) without(key string, k MarkKind) (marks, bool) {
	key = fold(key)
	list := m[key]
	i, had := slices.BinarySearchFunc(list, k, byKind)
	if !had {
		return m, false
	}
	next := maps.Clone(m)
	if len(list) == 1 {
		delete(next, key)
	} else {
		next[key] = slices.Delete(slices.Clone(list), i, i+1)
	}
	return next, true
}

func byKind(m Mark, k MarkKind) int { return int(m.Kind) - int(k) }

// slotMarks are the marks on one registration, as Match reads them.
type slotMarks struct {
	instance effect
	handlers []effect // by handler; nil if none has a mark
	why      string   // the first mark that excludes, for people
}

// effect is what a handler's marks together do to new connects; the greater one wins.
type effect uint8

const (
	unmarked effect = iota
	lastResort
	excluded
)

func effectOf(list []Mark) effect {
	e := unmarked
	for _, m := range list {
		if m.Kind == Ejected {
			e = max(e, lastResort)
		} else {
			e = excluded
		}
	}
	return e
}

// of gathers the marks on the registration of s; nil if it has none.
func (m marks) of(s *slot) *slotMarks {
	if len(m) == 0 {
		return nil
	}
	on := slotMarks{instance: effectOf(m[s.key]), why: why(s.registration.Key(), m[s.key])}
	found := on.instance != unmarked
	for i := range s.registration.Handlers {
		h := &s.registration.Handlers[i]
		list := m[s.key+"/"+fold(h.Name)]
		if len(list) == 0 {
			continue
		}
		found = true
		if on.handlers == nil {
			on.handlers = make([]effect, len(s.registration.Handlers))
		}
		on.handlers[i] = effectOf(list)
		if on.why == "" {
			on.why = why(s.registration.HandlerKey(h), list)
		}
	}
	if !found {
		return nil
	}
	return &on
}

// why words the mark in list that excludes, "" if none does.
func why(key string, list []Mark) string {
	for _, m := range list {
		if m.Kind == Ejected {
			continue
		}
		text := []string{key, "is", m.Kind.String()}
		if m.Kind == Maintenance {
			text[1] = "is in"
		}
		if m.Cause != "" {
			return strings.Join(text, " ") + " (" + m.Cause + ")"
		}
		return strings.Join(text, " ")
	}
	return ""
}

func (m *slotMarks) equal(o *slotMarks) bool {
	if m == nil || o == nil {
		return m == o
	}
	return m.instance == o.instance && m.why == o.why && slices.Equal(m.handlers, o.handlers)
}

// on returns what the marks do to connects to handler h.
func (m *slotMarks) on(h int) effect {
	switch {
	case m == nil:
		return unmarked
	case m.handlers == nil:
		return m.instance
	}
	return max(m.instance, m.handlers[h])
}
