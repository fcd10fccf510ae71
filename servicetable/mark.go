package servicetable

import (
	"maps"
	"slices"
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

// slotMarks are the marks on the instance of one registration and on its handlers, as Match reads them.
type slotMarks struct {
	instance handlerState
	handlers []handlerState // by handler; nil if none has a mark
}

// of gathers the marks on the registration of s, by key and its own; nil if it has none.
func (m marks) of(s *slot) *slotMarks {
	own := marksState(s.registration.Marks)
	if len(m) == 0 && own == 0 {
		return nil
	}
	on := slotMarks{instance: own | marksState(m[s.key])}
	for i := range s.registration.Handlers {
		state := marksState(m[s.key+"/"+fold(s.registration.Handlers[i].Name)])
		if state == 0 {
			continue
		}
		if on.handlers == nil {
			on.handlers = make([]handlerState, len(s.registration.Handlers))
		}
		on.handlers[i] = state
	}
	if on.instance == 0 && on.handlers == nil {
		return nil
	}
	return &on
}

func (m *slotMarks) equal(o *slotMarks) bool {
	if m == nil || o == nil {
		return m == o
	}
	return m.instance == o.instance && slices.Equal(m.handlers, o.handlers)
}

// on returns what the marks do to connects to handler h.
func (m *slotMarks) on(h int) handlerState {
	switch {
	case m == nil:
		return 0
	case m.handlers == nil:
		return m.instance
	}
	return m.instance | m.handlers[h]
}

// excludes reports whether the mark keeps all connects away.
func (m *Mark) excludes() bool { return m.Kind != Ejected }

// phrase says of subject that it carries m.
func (m *Mark) phrase(subject string) string {
	text := subject + " is " + m.Kind.String()
	switch m.Kind {
	case Maintenance:
		text = subject + " is in maintenance"
	case Holding:
		text = "connects to " + subject + " are held"
	}
	if m.Cause != "" {
		text += " (" + m.Cause + ")"
	}
	return text
}

// carried is a mark with what it is on, for people.
type carried struct {
	Mark
	subject string
}

// eachMark calls f with the marks that bear on a service at an instance, and on its handler h unless that is negative, until f
// returns false.
func (s *Snapshot) eachMark(slot *slot, service, h int32, f func(carried) bool) {
	r := &slot.registration
	svc := &r.Services[service]
	lists := []struct {
		marks   []Mark
		subject func() string
	}{
		{s.marks[slot.key], r.Key},
		{r.Marks, r.Key},
		{svc.Marks, func() string { return svc.Name + " on " + r.Key() }},
		{nil, nil},
	}
	if h >= 0 && len(s.marks) > 0 {
		handler := &r.Handlers[h]
		lists[3].marks = s.marks[slot.key+"/"+fold(handler.Name)]
		lists[3].subject = func() string { return r.HandlerKey(handler) }
	}
	for _, l := range lists {
		for _, m := range l.marks {
			if !f(carried{m, l.subject()}) {
				return
			}
		}
	}
}
