package servicetable

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// model is the table as one would write it without a thought for speed: a list of registrations and a map of marks,
// searched from end to end.
type model struct {
	list  []Registration
	marks map[string]map[MarkKind]bool
}

func (m *model) apply(r Registration) {
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
		if m.marks[key][k] || m.marks[key+"/"+strings.ToLower(o.r.Handlers[o.handler].Name)][k] {
			return true
		}
	}
	return false
}

// match is the specification of Match for a service, in the plainest words.
func (m *model) match(q Query) ([]string, error) {
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
			case m.marked(o, Draining, Maintenance, Quarantined):
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

// rank is how willingly an offer is used: ready, full, ejected, ejected and full.
func (m *model) rank(o offer) int {
	rank := 0
	if o.r.Handlers[o.handler].Blocked() {
		rank = 1
	}
	if m.marked(o, Ejected) {
		rank += 2
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
	for _, ranks := range [][]int{{0, 1}, {2, 3}} {
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

var (
	genName     = rapid.SampledFrom([]string{"s", "S", "t", "s.a", "S.A", "s.b", "t.a", "u.a.b", "v"})
	genInstance = rapid.SampledFrom([]string{"i1", "I1", "i2", "i3"})
	genHost     = rapid.SampledFrom([]string{"h1", "h2"})
)

func genRegistration(t *rapid.T) Registration {
	r := Registration{
		ID: ID(fmt.Sprintf("c%d", rapid.IntRange(0, 5).Draw(t, "id"))), Instance: genInstance.Draw(t, "instance"), Host: genHost.Draw(t, "host"),
		Static: rapid.IntRange(0, 9).Draw(t, "static") == 0, Stale: rapid.IntRange(0, 9).Draw(t, "stale") == 0,
	}
	names := rapid.SliceOfNDistinct(genName, 0, 4, strings.ToLower).Draw(t, "names")
	for _, n := range names {
		r.Services = append(r.Services, Service{Name: n, Flags: rapid.SampledFrom([]uint32{4, 4, 4, 5, 0, 8, 12}).Draw(t, "flags")})
	}
	for i := range rapid.IntRange(0, 4).Draw(t, "handlers") {
		r.Handlers = append(r.Handlers, Handler{
			Name: fmt.Sprintf("H%d", i), Kind: Kind(rapid.IntRange(0, 2).Draw(t, "kind")), Port: rapid.SampledFrom([]int{1521, 1521, 1521, 0}).Draw(t, "port"),
			Load: rapid.Uint32Range(0, 2).Draw(t, "load"), Max: 2,
			Services: rapid.SliceOfN(rapid.IntRange(0, 4), 0, 4).Draw(t, "served"),
		})
	}
	return r
}

func genKey(t *rapid.T) string {
	key := genInstance.Draw(t, "instance") + "@" + genHost.Draw(t, "host")
	if rapid.Bool().Draw(t, "of a handler") {
		key += fmt.Sprintf("/h%d", rapid.IntRange(0, 3).Draw(t, "handler"))
	}
	return key
}

// Whatever happens to the table, it answers as the model does, and no earlier snapshot changes its answer.
func TestTableAgreesWithModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var table Table
		m := model{marks: map[string]map[MarkKind]bool{}}
		type remembered struct {
			s      *Snapshot
			q      Query
			answer string
		}
		var past []remembered
		ask := func(s *Snapshot, q Query) string {
			found, err := s.Match(q)
			return fmt.Sprint(candidateStrings(found), err)
		}
		t.Repeat(map[string]func(*rapid.T){
			"apply": func(t *rapid.T) {
				r := genRegistration(t)
				m.apply(r)
				table.Apply(r)
			},
			"load": func(t *rapid.T) {
				if len(m.list) == 0 {
					t.Skip("nobody registered")
				}
				r := &m.list[rapid.IntRange(0, len(m.list)-1).Draw(t, "which")]
				handlers := slices.Clone(r.Handlers)
				for i := range handlers {
					handlers[i].Load = rapid.Uint32Range(0, 2).Draw(t, "load")
				}
				r.Handlers = handlers
				table.Apply(*r)
			},
			"drop": func(t *rapid.T) {
				id := ID(fmt.Sprintf("c%d", rapid.IntRange(0, 5).Draw(t, "id")))
				m.drop(id)
				table.Drop(id)
			},
			"mark": func(t *rapid.T) {
				key, kind := genKey(t), MarkKind(rapid.IntRange(0, 3).Draw(t, "kind"))
				folded := strings.ToLower(key)
				if m.marks[folded] == nil {
					m.marks[folded] = map[MarkKind]bool{}
				}
				m.marks[folded][kind] = true
				table.Mark(key, Mark{Kind: kind, Cause: "c"})
			},
			"unmark": func(t *rapid.T) {
				key, kind := genKey(t), MarkKind(rapid.IntRange(0, 3).Draw(t, "kind"))
				delete(m.marks[strings.ToLower(key)], kind)
				table.Unmark(key, kind)
			},
			"": func(t *rapid.T) {
				q := Query{
					Service: genName.Draw(t, "service"), Server: rapid.SampledFrom([]string{"", "dedicated", "shared", "pooled"}).Draw(t, "server"),
					IgnoreStatus: rapid.Bool().Draw(t, "ignore status"),
				}
				if rapid.Bool().Draw(t, "by instance") {
					q.Instance = genInstance.Draw(t, "instance")
				}
				s := table.Snapshot()
				found, err := s.Match(q)
				want, wantErr := m.match(q)
				if !errors.Is(err, wantErr) || !slices.Equal(candidateStrings(found), want) {
					t.Fatalf("Match(%+v)\n got %q, %v\nwant %q, %v", q, candidateStrings(found), err, want, wantErr)
				}
				if got, want := len(s.Services()), len(m.serviceNames()); got != want {
					t.Fatalf("%d services listed, want %d", got, want)
				}
				for _, p := range past {
					if answer := ask(p.s, p.q); answer != p.answer {
						t.Fatalf("version %d answered %+v with %s, and now with %s", p.s.Version(), p.q, p.answer, answer)
					}
				}
				past = append(past, remembered{s, q, ask(s, q)})
			},
		})
	})
}
