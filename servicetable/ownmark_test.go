package servicetable

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// marked returns r with a mark of its own.
func (r Registration) marked(m Mark) Registration {
	r.Marks = append(r.Marks[:len(r.Marks):len(r.Marks)], m)
	return r
}

// markedService returns r with a mark on the service at position i.
func (r Registration) markedService(i int, m Mark) Registration {
	r.Services = append([]Service(nil), r.Services...)
	r.Services[i].Marks = append(r.Services[i].Marks[:len(r.Services[i].Marks):len(r.Services[i].Marks)], m)
	return r
}

func TestMarksOnRegistrations(t *testing.T) {
	for _, kind := range []MarkKind{Draining, Maintenance, Quarantined, Holding} {
		a := database("a", "h1", "s", "t")
		table := tableOf(a.marked(Mark{Kind: kind, Cause: "new disk"}), database("b", "h2", "s"))
		wantMatch(t, table.Snapshot(), Query{Service: "s"}, "b/DEDICATED=s")
		_, err := table.Snapshot().Match(Query{Service: "t", IgnoreStatus: true})
		if !errors.Is(err, ErrBlocked) || errors.Is(err, ErrHeld) != (kind == Holding) || !strings.Contains(err.Error(), "a@h1") || !strings.Contains(err.Error(), "new disk") {
			t.Errorf("%v on all: %v", kind, err)
		}
		wantMatch(t, table.Mark("a@h1", Mark{Kind: Ejected}), Query{Service: "s"}, "b/DEDICATED=s")
		wantMatch(t, table.Apply(a), Query{Service: "t"}, "a/DEDICATED=t")
		wantMatch(t, table.Unmark("a@h1", Ejected), Query{Service: "s"}, "a/DEDICATED=s b/DEDICATED=s")
	}
	table := tableOf(database("a", "h1", "s").marked(Mark{Kind: Ejected}), database("b", "h2", "s"))
	wantMatch(t, table.Snapshot(), Query{Service: "s"}, "b/DEDICATED=s")
	wantMatch(t, table.Drop("conn-b-h2"), Query{Service: "s"}, "a/DEDICATED=s")
}

func TestMarksOnServices(t *testing.T) {
	for _, kind := range []MarkKind{Draining, Maintenance, Quarantined, Holding} {
		table := tableOf(database("a", "h1", "s", "t").markedService(0, Mark{Kind: kind, Cause: "c"}))
		wantMatch(t, table.Snapshot(), Query{Service: "t"}, "a/DEDICATED=t")
		_, err := table.Snapshot().Match(Query{Service: "s"})
		if !errors.Is(err, ErrBlocked) || errors.Is(err, ErrHeld) != (kind == Holding) || !strings.Contains(err.Error(), "s on a@h1") {
			t.Errorf("%v: %v", kind, err)
		}
		wantMatch(t, table.Apply(database("b", "h2", "s", "t")), Query{Service: "s"}, "b/DEDICATED=s")
		wantMatch(t, table.Snapshot(), Query{Service: "t"}, "a/DEDICATED=t b/DEDICATED=t")
	}
	shared := database("a", "h1", "s", "t").with(Handler{Name: "D000", Kind: Dispatcher}).markedService(0, Mark{Kind: Ejected})
	table := tableOf(shared, database("b", "h2", "s", "t"))
	wantMatch(t, table.Snapshot(), Query{Service: "s"}, "b/DEDICATED=s")
	wantMatch(t, table.Snapshot(), Query{Service: "t"}, "a/D000=t b/DEDICATED=t")
	wantMatch(t, table.Drop("conn-b-h2"), Query{Service: "s"}, "a/D000=s")
}

func TestMarkedServicesBySID(t *testing.T) {
	drain := Mark{Kind: Draining}
	pdbs := database("cdb1", "h", "pdb1", "pdb2", "pdb3")
	wantMatch(t, tableOf(pdbs.markedService(2, drain)).Snapshot(), Query{SID: "cdb1"}, "cdb1/DEDICATED=pdb2")
	if _, err := tableOf(database("orcl", "h", "orcl", "app").markedService(0, drain)).Snapshot().Match(Query{SID: "orcl"}); !errors.Is(err, ErrBlocked) {
		t.Errorf("the instance's own service drained: %v", err)
	}
}

func TestMarksOfAllSortsAreListedTogether(t *testing.T) {
	r := database("a", "h1", "s", "t").marked(Mark{Kind: Holding, Cause: "own"}).marked(Mark{Kind: Draining, Cause: "own"}).markedService(0, Mark{Kind: Draining, Cause: "service"})
	table := tableOf(r)
	table.Mark("a@h1", Mark{Kind: Maintenance, Cause: "key"})
	s := table.Mark("a@h1", Mark{Kind: Draining, Cause: "key"})
	for _, c := range []struct{ service, want string }{
		{"s", "draining key, draining own, draining service, maintenance key, holding own, "},
		{"t", "draining key, draining own, maintenance key, holding own, "},
	} {
		e, err := s.Service(c.service)
		if err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		for _, m := range e.Instances[0].Marks {
			fmt.Fprintf(&got, "%s %s, ", m.Kind, m.Cause)
		}
		if diff := cmp.Diff(c.want, got.String()); diff != "" {
			t.Errorf("marks for %s (-want +got):\n%s", c.service, diff)
		}
	}
	if got := s.Marks("a@h1"); len(got) != 2 {
		t.Errorf("marks by key: %v", got)
	}
}

func TestHeldIsToldFromBlocked(t *testing.T) {
	hold, drain := Mark{Kind: Holding, Cause: "switchover"}, Mark{Kind: Draining}
	a, b := database("a", "h1", "s"), database("b", "h2", "s")
	mixed := database("m", "h3", "s").with(Handler{Name: "D000", Kind: Dispatcher})
	for _, c := range []struct {
		name string
		all  []Registration
		keys map[string]Mark
		q    Query
		held bool
	}{
		{"all held", []Registration{a.marked(hold), b.marked(hold)}, nil, Query{}, true},
		{"held by key", []Registration{a}, map[string]Mark{"a@h1": hold}, Query{}, true},
		{"held by handler", []Registration{a}, map[string]Mark{"a@h1/DEDICATED": hold}, Query{}, true},
		{"one held, one draining", []Registration{a.marked(hold), b.marked(drain)}, nil, Query{}, true},
		{"one held, one blocked", []Registration{a.marked(hold), b.flagged(0)}, nil, Query{}, true},
		{"one held, one restricted", []Registration{a.marked(hold), b.flagged(12)}, nil, Query{}, true},
		{"held and draining", []Registration{a.marked(hold).marked(drain)}, nil, Query{}, false},
		{"held, its service draining", []Registration{a.marked(hold).markedService(0, drain)}, nil, Query{}, false},
		{"held and blocked", []Registration{a.marked(hold).flagged(0)}, nil, Query{}, false},
		{"held and blocked, for an administrator", []Registration{a.marked(hold).flagged(0)}, nil, Query{IgnoreStatus: true}, true},
		{"held and ejected", []Registration{a.marked(hold).marked(Mark{Kind: Ejected})}, nil, Query{}, true},
		{"held, another is asked for", []Registration{a.marked(hold), b.marked(drain)}, nil, Query{Instance: "b"}, false},
		{"dispatcher held, shared asked for", []Registration{mixed}, map[string]Mark{"m@h3/D000": hold}, Query{Server: "shared"}, true},
		{"dispatcher held, pool asked for, dedicated draining", []Registration{mixed}, map[string]Mark{"m@h3/D000": hold, "m@h3/DEDICATED": drain}, Query{Server: "pooled"}, false},
		{"dispatcher held, dedicated draining", []Registration{mixed}, map[string]Mark{"m@h3/D000": hold, "m@h3/DEDICATED": drain}, Query{}, true},
		{"draining", []Registration{a.marked(drain)}, nil, Query{}, false},
	} {
		table := tableOf(c.all...)
		for key, m := range c.keys {
			table.Mark(key, m)
		}
		c.q.Service = "s"
		found, err := table.Snapshot().Match(c.q)
		if err == nil || errors.Is(err, ErrHeld) != c.held {
			t.Errorf("%s: %s, %v", c.name, summary(found), err)
		}
		if c.held && (!errors.Is(err, ErrBlocked) || !strings.Contains(err.Error(), "held (switchover)") || !strings.Contains(err.Error(), "release")) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	wantMatch(t, tableOf(a.marked(hold), b).Snapshot(), Query{Service: "s"}, "b/DEDICATED=s")
}
