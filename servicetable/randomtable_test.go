package servicetable

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

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
			Name: fmt.Sprintf("H%d", i), Host: genHost.Draw(t, "address"), Kind: Kind(rapid.IntRange(0, 2).Draw(t, "kind")), Port: rapid.SampledFrom([]int{1521, 1521, 1521, 0}).Draw(t, "port"),
			Load: rapid.Uint32Range(0, 2).Draw(t, "load"), Max: 2,
			Services: rapid.SliceOfN(rapid.IntRange(0, 4), 0, 4).Draw(t, "served"),
		})
	}
	return r
}

// genChange draws something to do to a registration.
func genChange(t *rapid.T) func(*Registration) {
	marks := genMarks(t)
	at := rapid.IntRange(0, 3).Draw(t, "at")
	return map[string]func(*Registration){
		"marks": func(r *Registration) { r.Marks = marks },
		"stale": func(r *Registration) { r.Stale = !r.Stale },
		"service": func(r *Registration) {
			if at < len(r.Services) {
				r.Services[at].Marks = append(r.Services[at].Marks[:0], marks...)
			}
		},
		"flags": func(r *Registration) {
			if at < len(r.Services) {
				r.Services[at].Flags ^= FlagUnblocked
			}
		},
		"links": func(r *Registration) {
			if at < len(r.Handlers) && len(r.Handlers[at].Services) > 0 {
				r.Handlers[at].Services[0] ^= 1
			}
		},
		"load": func(r *Registration) {
			if at < len(r.Handlers) {
				r.Handlers[at].Load ^= 2
			}
		},
	}[rapid.SampledFrom([]string{"marks", "stale", "service", "flags", "links", "load"}).Draw(t, "change")]
}

func genMarks(t *rapid.T) []Mark {
	var marks []Mark
	for _, k := range rapid.SliceOfNDistinct(rapid.IntRange(0, 4), 0, 2, func(k int) int { return k }).Draw(t, "kinds") {
		marks = append(marks, Mark{Kind: MarkKind(k), Cause: "own"})
	}
	return marks
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
				changed := *r
				m.apply(changed)
				table.Apply(changed)
			},
			"amend": func(t *rapid.T) {
				id, change := ID(fmt.Sprintf("c%d", rapid.IntRange(0, 5).Draw(t, "id"))), genChange(t)
				before := table.Snapshot()
				s, known := table.Amend(id, func(r *Registration) { change(r); r.ID = "another" })
				if known != m.amend(id, change) || known == (s == before) {
					t.Fatalf("amended %s: %v, version %d of %d", id, known, s.Version(), before.Version())
				}
			},
			"revise": func(t *rapid.T) {
				change := genChange(t)
				ids := rapid.SliceOfDistinct(rapid.IntRange(0, 5), func(i int) int { return i }).Draw(t, "ids")
				chosen := func(r *Registration) bool {
					return slices.ContainsFunc(ids, func(i int) bool { return string(r.ID) == fmt.Sprintf("c%d", i) })
				}
				var offered, there []ID
				changes := 0
				before := table.Snapshot()
				s := table.Revise(func(r *Registration) bool {
					offered = append(offered, r.ID)
					if chosen(r) {
						changes++
					}
					defer change(r) // of those not chosen nothing may be kept
					return chosen(r)
				})
				list := slices.Clone(m.list)
				for i := range list {
					if there = append(there, list[i].ID); chosen(&list[i]) {
						m.amend(list[i].ID, change)
					}
				}
				if !slices.Equal(offered, there) || s.Version() > before.Version()+1 || (changes == 0) != (s == before) {
					t.Fatalf("offered %q of %q, version %d of %d", offered, there, s.Version(), before.Version())
				}
			},
			"drop": func(t *rapid.T) {
				id := ID(fmt.Sprintf("c%d", rapid.IntRange(0, 5).Draw(t, "id")))
				m.drop(id)
				table.Drop(id)
			},
			"mark": func(t *rapid.T) {
				key, kind := genKey(t), MarkKind(rapid.IntRange(0, 4).Draw(t, "kind"))
				folded := strings.ToLower(key)
				if m.marks[folded] == nil {
					m.marks[folded] = map[MarkKind]bool{}
				}
				m.marks[folded][kind] = true
				table.Mark(key, Mark{Kind: kind, Cause: "c"})
			},
			"unmark": func(t *rapid.T) {
				key, kind := genKey(t), MarkKind(rapid.IntRange(0, 4).Draw(t, "kind"))
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
				if !errors.Is(err, wantErr) || errors.Is(err, ErrHeld) != (wantErr == ErrHeld) || !slices.Equal(candidateStrings(found), want) {
					t.Fatalf("Match(%+v)\n got %q, %v\nwant %q, %v", q, candidateStrings(found), err, want, wantErr)
				}
				if got, want := len(s.Services()), len(m.serviceNames()); got != want {
					t.Fatalf("%d services listed, want %d", got, want)
				}
				checkPassedOver(t, s, q, found)
				m.checkMarks(t, s)
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
