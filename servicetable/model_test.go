package servicetable

import (
	"fmt"
	"slices"
	"strings"

	"pgregory.net/rapid"
)

// model is the table as one would write it without a thought for speed: a list of registrations and a map of marks,
// searched from end to end.
type model struct {
	list  []Registration
	marks map[string]map[MarkKind]bool
}

// apply is the specification of Apply: no stale registration beside a live one of its instance.
func (m *model) apply(r Registration) {
	live := func(o Registration) bool { return !o.Stale && !o.Static }
	twin := func(o Registration) bool { return o.ID != r.ID && strings.EqualFold(o.Key(), r.Key()) }
	if r.Stale && slices.ContainsFunc(m.list, func(o Registration) bool { return twin(o) && live(o) }) {
		m.drop(r.ID)
		return
	}
	if live(r) {
		m.list = slices.DeleteFunc(m.list, func(o Registration) bool { return twin(o) && o.Stale && !o.Static })
	}
	i := slices.IndexFunc(m.list, func(o Registration) bool { return o.ID == r.ID })
	if i < 0 {
		m.list = append(m.list, r)
	} else {
		m.list[i] = r
	}
}

func (m *model) drop(id ID) {
	m.list = slices.DeleteFunc(m.list, func(r Registration) bool { return r.ID == id })
}

func domain(name string) (short, rest string) {
	if i := strings.IndexByte(name, '.'); i > 0 {
		return name[:i], name[i:]
	}
	return name, ""
}

// serviceNames are the lower-case names that exist.
func (m *model) serviceNames() map[string]bool {
	all := map[string]bool{}
	for _, r := range m.list {
		for _, s := range r.Services {
			all[strings.ToLower(s.Name)] = true
		}
	}
	return all
}

// resolve returns the registered lower-case name that a client means.
func (m *model) resolve(name string) (string, bool) {
	name = strings.ToLower(name)
	names := m.serviceNames()
	if names[name] {
		return name, true
	}
	short, rest := domain(name)
	if rest != "" {
		return short, names[short]
	}
	var longer []string
	for n := range names {
		if s, rest := domain(n); s == name && rest != "" {
			longer = append(longer, n)
		}
	}
	if len(longer) != 1 {
		return "", false
	}
	return longer[0], true
}

// offer is one handler of one service of one registration.
type offer struct {
	r       *Registration
	service int
	handler int
}

func (m *model) marked(o offer, kinds ...MarkKind) bool {
	for _, k := range kinds {
		key := strings.ToLower(o.r.Key())
		of := func(mark Mark) bool { return mark.Kind == k }
		if m.marks[key][k] || m.marks[key+"/"+strings.ToLower(o.r.Handlers[o.handler].Name)][k] ||
			slices.ContainsFunc(o.r.Marks, of) || slices.ContainsFunc(o.r.Services[o.service].Marks, of) {
			return true
		}
	}
	return false
}

// match is the specification of Match for a service: nothing for a query that something held keeps from being served.
func (m *model) match(q Query) ([]string, error) {
	found, err := m.matchWithout(q, Draining, Maintenance, Quarantined, Holding)
	if err == nil {
		return found, nil
	}
	if released, _ := m.matchWithout(q, Draining, Maintenance, Quarantined); len(released) > 0 {
		return nil, ErrHeld
	}
	return nil, err
}

// matchWithout is Match without whatever carries a mark of some kinds, in the plainest words.
func (m *model) matchWithout(q Query, kinds ...MarkKind) ([]string, error) {
	name, known := m.resolve(q.Service)
	if !known {
		return nil, ErrUnknownService
	}
	var offers []offer
	instances, open, blocked, restricted := 0, 0, 0, 0
	for i := range m.list {
		r := &m.list[i]
		at := slices.IndexFunc(r.Services, func(s Service) bool { return strings.ToLower(s.Name) == name })
		if at < 0 || q.Instance != "" && !strings.EqualFold(q.Instance, r.Instance) {
			continue
		}
		instances++
		usable, marked := []offer(nil), false
		for h := range r.Handlers {
			o := offer{r, at, h}
			switch {
			case !slices.Contains(r.Handlers[h].Services, at) || r.Handlers[h].Port == 0:
			case m.marked(o, kinds...):
				marked = true
			default:
				usable = append(usable, o)
			}
		}
		status := r.Status(&r.Services[at])
		switch {
		case !q.IgnoreStatus && status == Restricted:
			restricted++
		case !q.IgnoreStatus && status == Blocked, len(usable) == 0 && marked:
			blocked++
		default:
			open++
			offers = append(offers, usable...)
		}
	}
	return m.choose(q, offers, func() error {
		switch {
		case instances == 0:
			return ErrUnknownInstance
		case open == 0 && restricted > 0 && blocked > 0:
			return ErrRestrictedOrBlocked
		case open == 0 && restricted > 0:
			return ErrRestricted
		case open == 0:
			return ErrBlocked
		case len(offers) > 0:
			return ErrNoHandlerOfKind
		}
		return ErrNoHandler
	})
}

// rank is how willingly an offer is used: being ejected weighs more than being full, that more than forwarding.
func (m *model) rank(o offer) int {
	rank := 0
	if o.r.Forwards(&o.r.Handlers[o.handler]) {
		rank++
	}
	if o.r.Handlers[o.handler].Blocked() {
		rank += 2
	}
	if m.marked(o, Ejected) {
		rank += 4
	}
	return rank
}

func (m *model) choose(q Query, offers []offer, otherwise func() error) ([]string, error) {
	kind := func(k Kind) []offer {
		return slices.DeleteFunc(slices.Clone(offers), func(o offer) bool { return o.r.Handlers[o.handler].Kind != k })
	}
	choices := [][]offer{m.best(offers)}
	switch q.Server {
	case "dedicated":
		choices = [][]offer{kind(Dedicated)}
	case "shared":
		choices = [][]offer{kind(Dispatcher)}
	case "pooled":
		choices = [][]offer{kind(Pooled), kind(Dedicated)}
	}
	for _, ranks := range [][]int{{0, 1, 2, 3}, {4, 5, 6, 7}} {
		for _, choice := range choices {
			var found []string
			for _, rank := range ranks {
				for _, o := range choice {
					if m.rank(o) == rank {
						found = append(found, o.String())
					}
				}
			}
			if len(found) > 0 {
				return found, nil
			}
		}
	}
	return nil, otherwise()
}

// best keeps of each instance the offers of the kind that a listener would use.
func (m *model) best(offers []offer) []offer {
	var kept []offer
	for _, o := range offers {
		better := func(p offer) bool {
			if p.r != o.r || p.r.Handlers[p.handler].Kind == o.r.Handlers[o.handler].Kind {
				return false
			}
			best := 99 // rank of the best handler of o's kind
			for _, same := range offers {
				if same.r == o.r && same.r.Handlers[same.handler].Kind == o.r.Handlers[o.handler].Kind {
					best = min(best, m.rank(same))
				}
			}
			order := map[Kind]int{Dispatcher: 0, Dedicated: 1, Pooled: 2}
			return m.rank(p) < best || m.rank(p) == best && order[p.r.Handlers[p.handler].Kind] < order[o.r.Handlers[o.handler].Kind]
		}
		if !slices.ContainsFunc(offers, better) {
			kept = append(kept, o)
		}
	}
	return kept
}

func (o offer) String() string {
	return fmt.Sprintf("%s %s %s", o.r.ID, o.r.Services[o.service].Name, o.r.Handlers[o.handler].Name)
}

func candidateStrings(found []Candidate) []string {
	var all []string
	for _, c := range found {
		all = append(all, fmt.Sprintf("%s %s %s", c.Registration.ID, c.Service.Name, c.Handler.Name))
	}
	return all
}

// amend is the specification of Amend.
func (m *model) amend(id ID, change func(*Registration)) bool {
	i := slices.IndexFunc(m.list, func(o Registration) bool { return o.ID == id })
	if i < 0 {
		return false
	}
	r := m.list[i].clone()
	change(&r)
	m.apply(r)
	return true
}

// checkMarks compares the marks listed of each instance with those that it has.
func (m *model) checkMarks(t *rapid.T, s *Snapshot) {
	for _, e := range s.Services() {
		for _, in := range e.Instances {
			var want, got []MarkKind
			for k := range m.marks[strings.ToLower(in.Registration.Key())] {
				want = append(want, k)
			}
			for _, mark := range slices.Concat(in.Registration.Marks, in.Service.Marks) {
				want = append(want, mark.Kind)
			}
			slices.Sort(want)
			for _, mark := range in.Marks {
				got = append(got, mark.Kind)
			}
			if !slices.Equal(got, want) {
				t.Fatalf("marks of %s for %s: %v, want %v", in.Registration.Key(), e.Name, got, want)
			}
		}
	}
}

// checkPassedOver checks that every handler of a service either matches or is passed over, and that a reason is given.
func checkPassedOver(t *rapid.T, s *Snapshot, q Query, found []Candidate) {
	var all, got []string
	add := func(list *[]string, r *Registration, h string) { *list = append(*list, string(r.ID)+" "+h) }
	if e, err := s.Service(q.Service); err == nil {
		for _, in := range e.Instances {
			for _, h := range in.Handlers {
				add(&all, in.Registration, h.Name)
			}
			if len(in.Handlers) == 0 {
				add(&all, in.Registration, "")
			}
		}
	}
	for _, c := range found {
		add(&got, c.Registration, c.Handler.Name)
	}
	for _, p := range s.PassedOver(q, found) {
		add(&got, p.Registration, p.Handler.Name)
		if p.Why == "" || p.Status != p.Registration.Status(p.Service) {
			t.Fatalf("%+v passed over as %+v", q, p)
		}
	}
	slices.Sort(all)
	slices.Sort(got)
	if !slices.Equal(all, got) {
		t.Fatalf("%+v: matched or passed over are %q, of %q", q, got, all)
	}
}
