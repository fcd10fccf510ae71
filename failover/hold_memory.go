package failover

import (
	"container/list"
	"strings"
	"time"
	"unicode/utf8"
)

// maxDeparted bounds how many services that are gone are remembered, whatever databases register and drop; the
// longest gone are forgotten first.
const maxDeparted = 100_000

// instant is a time since Holder.started, which is 1, so that 0 can say never. It is a third of a time.Time.
type instant = time.Duration

// heldService is what is known of a service: whether it was available lately, and what is held for it.
type heldService struct {
	name string // folded, as registered

	seen                   bool
	departure              *list.Element // in serviceMemory.departures, if it is remembered there
	departed               instant
	failingSince, failedAt instant // the first and last dial of the present row of failures; 0 for none

	held   int         // places taken
	lines  fifo[*line] // those whose head may go, in turn
	queued bool        // it is in Holder.turns
	spell  HoldEvent   // the hold that is under way while held is above 0
}

// known reports whether the service is available or was until lately.
func (s *heldService) known() bool { return s.seen || s.departure != nil }

// serviceMemory finds services by any name that a client may use for them.
type serviceMemory struct {
	names      map[string]*heldService
	domains    map[string][]*heldService // those with a domain, by their name without it
	departures list.List                 // of *heldService, longest gone first
}

// find returns the service that a client means by a folded name, nil if there is none: the one of that name; else for
// a name with a domain the one registered without, for a name without one that is registered with any.
func (m *serviceMemory) find(name string) *heldService {
	exact := m.names[name]
	if exact != nil && exact.known() {
		return exact
	}
	if short := shortServiceName(name); short != name {
		if s := m.names[short]; s != nil && s.known() {
			return s
		}
		return exact
	}
	// A client's short name finds a service only if there is one such domain, so that looking at a few is enough.
	for _, s := range m.domains[name][:min(len(m.domains[name]), 8)] {
		if s.known() {
			return s
		}
	}
	return exact
}

// entry returns the service of exactly this folded name, entered if it was not there.
func (m *serviceMemory) entry(name string) *heldService {
	if s := m.names[name]; s != nil {
		return s
	}
	s := &heldService{name: name}
	if m.names == nil {
		m.names, m.domains = make(map[string]*heldService), make(map[string][]*heldService)
	}
	m.names[name] = s
	if short := shortServiceName(name); short != name {
		m.domains[short] = append(m.domains[short], s)
	}
	return s
}

// drop forgets a service that is neither known nor has connects held for it.
func (h *Holder) drop(s *heldService) {
	m := &h.memory
	if s.known() || s.held > 0 || m.names[s.name] != s {
		return
	}
	h.reached(s)
	delete(m.names, s.name)
	short := shortServiceName(s.name)
	if short == s.name {
		return
	}
	same := m.domains[short]
	for i, other := range same {
		if other == s {
			same[i] = same[len(same)-1]
			same[len(same)-1] = nil
			same = same[:len(same)-1]
			break
		}
	}
	if m.domains[short] = same; len(same) == 0 {
		delete(m.domains, short)
	}
}

func (h *Holder) seen(name string) {
	s := h.memory.entry(foldName(name))
	if s.seen {
		return
	}
	s.seen = true
	if s.departure != nil {
		h.memory.departures.Remove(s.departure)
		s.departure = nil
	}
	h.reached(s) // what came back may be another: its failures are its own
}

func (h *Holder) departed(name string, now instant) {
	s := h.memory.entry(foldName(name))
	s.seen, s.departed = false, now
	all := &h.memory.departures
	if s.departure == nil {
		s.departure = all.PushBack(s)
	} else {
		all.MoveToBack(s.departure)
	}
	for e := s.departure.Prev(); e != nil && e.Value.(*heldService).departed > now; e = s.departure.Prev() {
		all.MoveBefore(s.departure, e)
	}
}

// forget drops what departed longer ago than the memory lasts.
func (h *Holder) forget(now instant) {
	m := &h.memory
	for e := m.departures.Front(); e != nil; e = m.departures.Front() {
		s := e.Value.(*heldService)
		if now-s.departed <= h.settings.memory() && m.departures.Len() <= maxDeparted {
			return
		}
		m.departures.Remove(e)
		s.departure = nil
		h.drop(s)
	}
}

// failed notes that a dial for a service failed. A row of failures ends by a success, or by nobody asking for as long
// as the memory lasts.
func (h *Holder) failed(s *heldService, now instant) {
	switch {
	case s.failingSince == 0:
		h.failing.Add(1)
		s.failingSince = now
	case now-s.failedAt > h.settings.memory():
		s.failingSince = now
	}
	s.failedAt = now
}

// reached notes that a service could be connected to.
func (h *Holder) reached(s *heldService) {
	if s.failingSince != 0 {
		h.failing.Add(-1)
		s.failingSince = 0
	}
}

// remembered reports whether a service was available lately enough to be waited for. Where the table says that it is
// available now, its dials must not have failed for longer than the memory lasts.
func (h *Holder) remembered(s *heldService, now instant) bool {
	memory := h.settings.memory()
	if memory <= 0 || s == nil || !s.known() {
		return false
	}
	return !s.seen || s.failingSince == 0 || now-s.failingSince <= memory || now-s.failedAt > memory
}

// foldName returns a service name as it is compared: as in the table, what is not UTF-8 has only its ASCII letters
// folded.
func foldName(name string) string {
	if utf8.ValidString(name) {
		return strings.ToLower(name)
	}
	folded := []byte(name)
	for i, c := range folded {
		if 'A' <= c && c <= 'Z' {
			folded[i] = c + 'a' - 'A'
		}
	}
	return string(folded)
}

// shortServiceName returns the part of a name before its domain. A leading dot does not begin one.
func shortServiceName(name string) string {
	if len(name) == 0 {
		return name
	}
	if i := strings.IndexByte(name[1:], '.'); i >= 0 {
		return name[:i+1]
	}
	return name
}
