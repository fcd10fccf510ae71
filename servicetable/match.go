package servicetable

// Match returns the candidates for q, or why there are none.
//
// The candidates are facts, not yet an order to try them in: they stand in order of registration, save that handlers
// at their maximum load come behind all others (the report may be minutes old, so they are not left out). Blocked and
// restricted instances are left out unless q.IgnoreStatus; whatever carries an excluding Mark is left out in any case;
// ejected handlers are there only if nothing else is. Handlers without a port never are.
//
// Names: an exact match wins. Else a name with a domain finds the service registered without one, and a name without a domain finds
// the service registered with one, if there is exactly one such domain.
//
// Server: "dedicated" takes dedicated handlers; "shared" dispatchers; "pooled" pooled handlers if there are any, else dedicated ones; none
// given takes of each instance its dispatchers if one is ready, else dedicated, else pooled handlers.
//
// Errors wrap ErrUnknownService, ErrUnknownSID, ErrUnknownInstance, ErrBlocked, ErrRestricted, ErrRestrictedOrBlocked,
// ErrNoHandlerOfKind or ErrNoHandler.
func (s *Snapshot) Match(q Query) ([]Candidate, error) { return s.AppendMatch(nil, q) }

// AppendMatch is Match that appends to dst.
func (s *Snapshot) AppendMatch(dst []Candidate, q Query) ([]Candidate, error) {
	var members []member
	var err error
	switch {
	case q.Service != "" || q.SID == "":
		members, err = s.members(q.Service)
	default:
		members, err = s.membersBySID(q.SID)
	}
	if err != nil {
		return dst, err
	}
	g := gathering{slots: s.slots, members: members, ignoreStatus: q.IgnoreStatus, instance: q.Instance, found: dst}
	if g.found == nil {
		g.found = make([]Candidate, 0, len(members))
	}
	kind, otherwise := kindsFor(q.Server)
	for _, effect := range [...]effect{unmarked, lastResort} {
		for _, kind := range [...]Kind{kind, otherwise} {
			if kind == noKind {
				break
			}
			g.pass(kind, effect, false)
			if g.sawFull {
				g.pass(kind, effect, true)
			}
			if len(g.found) > len(dst) {
				return g.found, nil
			}
		}
		if !g.sawLastResort {
			break
		}
	}
	return dst, s.refusal(q, members)
}

// members finds the members of a service by the name that a client gives.
func (s *Snapshot) members(name string) ([]member, error) {
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
		return nil, ambiguous(name, s, exact.qualified)
	}
	if short := shortName(folded); short < len(folded) {
		if n := s.index.services.lookup(folded[:short]); n != nil && len(n.members) > 0 {
			return n.members, nil
		}
	}
	return nil, unknownService(name)
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

	found                  []Candidate
	sawFull, sawLastResort bool // handlers at their maximum, handlers ejected: worth another pass
}

// pass appends the handlers of a kind that marks affect in this way, either those at their maximum load or the others.
func (g *gathering) pass(kind Kind, wanted effect, full bool) {
	for i := range g.members {
		m := &g.members[i]
		if m.service < 0 {
			continue
		}
		slot := g.slots[m.slot]
		r := &slot.registration
		service := &r.Services[m.service]
		status := r.Status(service)
		if !g.ignoreStatus && (status == Blocked || status == Restricted) {
			continue
		}
		if g.instance != "" && !sameName(g.instance, r.Instance) {
			continue
		}
		of := kind
		if kind == anyKind {
			of = slot.kindFor(m)
		}
		for _, at := range m.handlers {
			h := &r.Handlers[at]
			if h.Kind != of || h.Port == 0 {
				continue
			}
			switch e := slot.marks.on(at); {
			case e == excluded:
			case e == lastResort && wanted != lastResort:
				g.sawLastResort = true
			case e != wanted:
			case h.Blocked() != full:
				g.sawFull = true
			default:
				g.found = append(g.found, Candidate{Registration: r, Service: service, Handler: h, Status: status})
			}
		}
	}
}

// kindFor picks the kind of handler for a client that names none: of those whose state is best, the one that a
// listener prefers.
func (s *slot) kindFor(m *member) Kind {
	best, rank := Dedicated, 255
	for _, at := range m.handlers {
		h := &s.registration.Handlers[at]
		if len(m.handlers) == 1 {
			return h.Kind
		}
		e := s.marks.on(at)
		if h.Port == 0 || e == excluded {
			continue
		}
		state := 0
		if h.Blocked() {
			state = 1
		}
		if e == lastResort {
			state = 2
		}
		if r := 4*state + preference(h.Kind); r < rank {
			best, rank = h.Kind, r
		}
	}
	return best
}

// preference is the place of a kind in the order in which listeners prefer them, features.md 1.3.
func preference(k Kind) int {
	switch k {
	case Dispatcher:
		return 0
	case Dedicated:
		return 1
	}
	return 2
}
