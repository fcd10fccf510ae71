package servicetable

import "fmt"

// Rejected is a handler that a query could have been served by, and why it was passed over. It points into a snapshot
// and must not be changed through.
type Rejected struct {
	Registration *Registration
	Service      *Service
	Handler      *Handler // without a name where the instance has none for the service
	Status       Status
	Unasked      bool   // the query itself rules it out, by INSTANCE_NAME or SERVER
	Ejected      bool   // nothing else speaks against it: it can be used where nothing better is allowed
	Why          string // for people
}

// PassedOver returns all handlers of the service or instance that q asks for which Match does not return, in order of
// registration, each with the first thing that speaks against it; nil if there is no such service. found is what Match returned. It
// is for explanations, and made to be fast only where nobody is passed over.
func (s *Snapshot) PassedOver(q Query, found []Candidate) []Rejected {
	members, err := s.asked(&q)
	if err != nil || s.nobodyElse(members, found) {
		return nil
	}
	taken := make(map[*Handler]bool, len(found))
	for _, c := range found {
		taken[c.Handler] = true
	}
	var rejected []Rejected
	for i := range members {
		m := &members[i]
		if m.service < 0 {
			continue
		}
		slot := s.slots[m.slot]
		r := &slot.registration
		of := Rejected{Registration: r, Service: &r.Services[m.service], Status: slot.services[m.service].status()}
		if len(m.handlers) == 0 {
			of.Handler, of.Why = &Handler{}, "no handler of the instance serves it"
			rejected = append(rejected, of)
		}
		for _, at := range m.handlers {
			if of.Handler = &r.Handlers[at]; !taken[of.Handler] {
				of.Why, of.Ejected = s.whyNot(&q, m, at)
				of.Unasked = q.excludes(r, of.Handler)
				rejected = append(rejected, of)
			}
		}
	}
	return rejected
}

// nobodyElse reports whether found are all handlers of members.
func (s *Snapshot) nobodyElse(members []member, found []Candidate) bool {
	all := 0
	for i := range members {
		m := &members[i]
		if m.service < 0 {
			continue
		}
		if len(m.handlers) == 0 {
			return false
		}
		all += len(m.handlers)
	}
	return all == len(found)
}

// excludes tells whether q asks for another instance or kind of handler than this.
func (q *Query) excludes(r *Registration, h *Handler) bool {
	kind, otherwise := kindsFor(q.Server)
	return q.Instance != "" && !sameName(q.Instance, r.Instance) || kind != anyKind && h.Kind != kind && h.Kind != otherwise
}

// whyNot words what speaks against a handler that does not match q, and tells whether that is an ejection alone.
func (s *Snapshot) whyNot(q *Query, m *member, at int32) (why string, ejected bool) {
	slot := s.slots[m.slot]
	r, h := &slot.registration, &slot.registration.Handlers[at]
	if q.Instance != "" && !sameName(q.Instance, r.Instance) {
		return fmt.Sprintf("INSTANCE_NAME=%s was asked for", quoted(q.Instance)), false
	}
	service := slot.services[m.service]
	if !q.IgnoreStatus && service.closed() {
		return "the instance is " + service.status().String(), false
	}
	state := slot.states[at] | service.marks()
	switch {
	case state&stateMarked != 0:
		return s.markPhrase(m, at, func(on carried) bool { return on.excludes() && on.Kind != Holding }), false
	case state&stateHeld != 0:
		return s.markPhrase(m, at, func(on carried) bool { return on.Kind == Holding }), false
	case h.Port == 0:
		return fmt.Sprintf("its address %s names no port to go to", quoted(h.Address)), false
	case state&stateNoAddress != 0:
		return "it is of an unknown kind", false
	}
	kind, otherwise := kindsFor(q.Server)
	if kind != anyKind && h.Kind != kind && h.Kind != otherwise {
		return fmt.Sprintf("it is %s, SERVER=%s was asked for", h.Kind, quoted(q.Server)), false
	}
	if state&stateEjected != 0 {
		return s.markPhrase(m, at, func(on carried) bool { return on.Kind == Ejected }) + ", and others are not", true
	}
	return fmt.Sprintf("it is %s, and there is one of a kind that goes first", h.Kind), false
}

// markPhrase words the first mark on a handler that fits.
func (s *Snapshot) markPhrase(m *member, at int32, fits func(carried) bool) (phrase string) {
	s.eachMark(s.slots[m.slot], m.service, at, func(on carried) bool {
		if fits(on) {
			phrase = on.phrase(on.subject)
		}
		return phrase == ""
	})
	return phrase
}
