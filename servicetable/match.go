package servicetable

// Match returns the candidates for q, or why there are none.
//
// The candidates are facts, not yet an order to try them in: they stand in order of registration, save that handlers
// which forward come behind those that do not, and handlers at their maximum load behind both (the report may be minutes old, so
// they are not left out). Blocked and restricted instances are left out unless q.IgnoreStatus; whatever carries an excluding Mark
// is left out in any case; ejected handlers are there only if nothing else is. Handlers without a port never are. PassedOver
// tells of each that is not there why it is not.
//
// Names: an exact match wins. Else a name with a domain finds the service registered without one, and a name without a domain finds
// the service registered with one, if there is exactly one such domain.
//
// Server: "dedicated" takes dedicated handlers; "shared" dispatchers; "pooled" pooled handlers if there are any, else dedicated ones; none
// given takes of each instance its dispatchers if one is ready, else dedicated, else pooled handlers.
//
// Errors wrap ErrUnknownService, ErrUnknownSID, ErrUnknownInstance, ErrBlocked, ErrHeld (which is an ErrBlocked), ErrRestricted,
// ErrRestrictedOrBlocked, ErrNoHandlerOfKind or ErrNoHandler.
func (s *Snapshot) Match(q Query) ([]Candidate, error) { return s.AppendMatch(nil, q) }

// AppendMatch is Match that appends to dst.
func (s *Snapshot) AppendMatch(dst []Candidate, q Query) ([]Candidate, error) {
	members, err := s.asked(&q)
	if err != nil {
		return dst, err
	}
	g := gathering{slots: s.slots, members: members, instance: q.Instance, ignoreStatus: q.IgnoreStatus, unusable: stateUnusable, found: dst}
	if dst == nil {
		g.found = make([]Candidate, 0, len(members))
	}
	if g.gather(kindsFor(q.Server)); len(g.found) > len(dst) {
		return g.found, nil
	}
	return dst, s.refusal(q, members)
}

// Named returns the name under which the service is registered that a client means by
// name, with or without domain, as Match finds it; "" if there is none.
func (s *Snapshot) Named(name string) string {
	members, _ := s.find(name)
	if len(members) == 0 {
		return ""
	}
	return s.slots[members[0].slot].registration.Services[members[0].service].Name
}

// asked finds the members of the service or instance that q asks for.
func (s *Snapshot) asked(q *Query) ([]member, error) {
	if q.Service != "" || q.SID == "" {
		return s.members(q.Service)
	}
	return s.membersBySID(q.SID)
}

// members finds the members of a service by the name that a client gives.
func (s *Snapshot) members(name string) ([]member, error) {
	members, several := s.find(name)
	switch {
	case len(members) > 0:
		return members, nil
	case len(several) > 0:
		return nil, ambiguous(name, s, several)
	}
	return nil, unknownService(name)
}

// find is members; where there are none, several are the services that the name could mean.
func (s *Snapshot) find(name string) (members []member, several []string) {
	var buf [foldedSize]byte
	folded := appendFolded(buf[:0], name)
	exact := s.index.services.lookup(folded)
	if exact != nil && len(exact.members) > 0 {
		return exact.members, nil
	}
	if exact != nil && len(exact.qualified) == 1 {
		return s.index.services.get(exact.qualified[0]).members, nil
	}
	if exact != nil {
		return nil, exact.qualified
	}
	if short := shortName(folded); short < len(folded) {
		if n := s.index.services.lookup(folded[:short]); n != nil && len(n.members) > 0 {
			return n.members, nil
		}
	}
	return nil, nil
}

// membersBySID returns one member for each registration of the instance named sid.
func (s *Snapshot) membersBySID(sid string) ([]member, error) {
	var buf [foldedSize]byte
	slots := s.index.sids.lookup(appendFolded(buf[:0], sid))
	if len(slots) == 0 {
		return nil, unknownSID(sid)
	}
	members := make([]member, 0, len(slots))
	for _, at := range slots {
		members = append(members, s.slots[at].sid)
	}
	return members, nil
}

// Kinds to look for beside those that handlers have.
const (
	anyKind Kind = 254 // the kind that suits each instance best
	noKind  Kind = 255
)

// kindsFor returns the kind of handler for a SERVER word, and the one to take where there is none.
func kindsFor(server string) (kind, otherwise Kind) {
	switch {
	case server == "":
		return anyKind, noKind
	case sameName(server, "dedicated"):
		return Dedicated, noKind
	case sameName(server, "shared"):
		return Dispatcher, noKind
	case sameName(server, "pooled"):
		return Pooled, Dedicated
	}
	return anyKind, noKind
}

// gathering appends to found those handlers of a service that fit.
type gathering struct {
	slots        []*slot
	members      []member
	instance     string // "" for any
	ignoreStatus bool
	unusable     handlerState // what keeps a handler from being used

	found []Candidate
	ranks uint8 // one bit for each rank of handler met: which passes are worth while
}

// gather finds the handlers of a kind, ready ones before full ones; where there are none those of the other kind, and
// where there are none of either, ejected ones.
func (g *gathering) gather(kind, otherwise Kind) {
	before := len(g.found)
	for from := uint8(0); from <= rankEjected; from += rankEjected {
		for _, k := range [...]Kind{kind, otherwise} {
			if k == noKind {
				break
			}
			g.pass(k, from)
			for rank := from + 1; rank < from+rankEjected; rank++ {
				if g.ranks&(1<<rank) != 0 {
					g.pass(k, rank)
				}
			}
			if len(g.found) > before {
				return
			}
		}
		if g.ranks>>rankEjected == 0 {
			return
		}
	}
}

// pass appends the handlers of one kind and rank.
func (g *gathering) pass(kind Kind, rank uint8) {
	found, ranks, unusable := g.found, g.ranks, g.unusable
	for i := range g.members {
		m := &g.members[i]
		if m.service < 0 {
			continue
		}
		slot := g.slots[m.slot]
		service := slot.services[m.service]
		if service.closed() && !g.ignoreStatus {
			continue
		}
		if g.instance != "" && !sameName(g.instance, slot.registration.Instance) {
			continue
		}
		of := kind
		if kind == anyKind {
			of = slot.kindFor(m, unusable)
		}
		marks := service.marks()
		for _, at := range m.handlers {
			state := slot.states[at] | marks
			if state.kind() != of || state&unusable != 0 {
				continue
			}
			ranks |= 1 << state.rank()
			if state.rank() == rank {
				r := &slot.registration
				found = append(found, Candidate{})
				c := &found[len(found)-1] // filled in place: a literal of five fields would be built elsewhere and copied
				c.Registration, c.Service, c.Handler = r, &r.Services[m.service], &r.Handlers[at]
				c.Status, c.Forwards = service.status(), state&stateForwards != 0
			}
		}
	}
	g.found, g.ranks = found, ranks
}

// kindFor picks the kind of handler for a client that names none: of those whose rank is best, the one that a
// listener prefers.
func (s *slot) kindFor(m *member, unusable handlerState) Kind {
	if len(m.handlers) == 1 {
		return s.states[m.handlers[0]].kind()
	}
	best, least := Dedicated, uint8(255)
	for _, at := range m.handlers {
		state := s.states[at]
		if score := 4*state.rank() + preference(state.kind()); state&unusable == 0 && score < least {
			best, least = state.kind(), score
		}
	}
	return best
}
