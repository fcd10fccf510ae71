package servicetable

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// named returns r under another ID.
func (r Registration) named(id ID) Registration {
	r.ID = id
	return r
}

// stale returns r as what is left of it when its connection is gone.
func (r Registration) stale() Registration {
	r.Stale = true
	return r
}

// ids lists the registrations of s.
func ids(s *Snapshot) string {
	text := ""
	for _, r := range s.Registrations() {
		text += string(r.ID)
		if r.Stale {
			text += "!"
		}
		text += " "
	}
	return text
}

func wantIDs(t *testing.T, s *Snapshot, want string) {
	t.Helper()
	if got := ids(s); got != want {
		t.Errorf("version %d has %q, want %q", s.Version(), got, want)
	}
}

func TestTheLiveRegistrationReplacesTheStaleOne(t *testing.T) {
	table := tableOf(database("a", "h1", "s", "old").named("1").stale(), database("b", "h1", "s").named("2").stale(), database("a", "h2", "s").named("3").stale())
	before := table.Snapshot()
	s := table.Apply(database("A", "H1", "s", "new").named("4"))
	wantIDs(t, s, "4 3! 2! ")
	if s.Version() != before.Version()+1 {
		t.Errorf("version %d after %d: between them the instance was there twice, or not at all", s.Version(), before.Version())
	}
	wantIDs(t, before, "1! 3! 2! ")
	wantMatch(t, before, Query{Service: "old"}, "a/DEDICATED=old!STALE")
	if _, err := s.Match(Query{Service: "old"}); err == nil {
		t.Error("the service of the stale registration is still there")
	}
	wantMatch(t, s, Query{Service: "s"}, "b/DEDICATED=s!STALE a/DEDICATED=s!STALE A/DEDICATED=s")
	wantMatch(t, s, Query{SID: "a"}, "a/DEDICATED=s!STALE A/DEDICATED=new")

	wantIDs(t, table.Apply(database("a", "h1", "s").named("5")), "4 5 3! 2! ")
	static := database("b", "h1", "s").named("6")
	static.Static = true
	wantIDs(t, table.Apply(static), "4 5 3! 2! 6 ")
	wantIDs(t, table.Drop("1"), "4 5 3! 2! 6 ")
}

func TestNoStaleRegistrationBesideALiveOne(t *testing.T) {
	table := tableOf(database("a", "h1", "s").named("1"), database("A", "H1", "s").named("2"))
	before := table.Snapshot()
	if s := table.Apply(database("a", "h1", "s").named("3").stale()); s != before {
		t.Errorf("a stale one was entered as version %d", s.Version())
	}
	s, known := table.Amend("1", func(r *Registration) { r.Stale = true })
	if !known {
		t.Error("nothing to amend")
	}
	wantIDs(t, s, "2 ")
	wantIDs(t, table.Apply(database("A", "H1", "s").named("2").stale()), "2! ")
	wantIDs(t, table.Apply(database("A", "H1", "s").named("2")), "2 ")
}

func TestTwoStaleRegistrationsThatComeAlive(t *testing.T) {
	table := tableOf(database("a", "h1", "s").named("1").stale(), database("a", "h1", "s").named("2").stale())
	s := table.Revise(func(r *Registration) bool { r.Stale = false; return true })
	wantIDs(t, s, "1 ")
	if table.Drop("2") != s {
		t.Error("what is gone can be dropped")
	}
	wantIDs(t, table.Apply(database("b", "h1", "s").named("2")), "1 2 ")
}

func TestAmend(t *testing.T) {
	table := tableOf(database("a", "h1", "s"), database("b", "h2", "s"))
	s, known := table.Amend("conn-a-h1", func(r *Registration) {
		r.Services[0].Weight, r.Tier, r.ID = WeightOf(50), 2, "scribbled"
	})
	found, err := s.Match(Query{Service: "s"})
	if !known || err != nil || found[0].Service.Weight.Percent() != 50 || found[0].Registration.Tier != 2 || found[1].Service.Weight.Percent() != 100 {
		t.Errorf("%v: %+v, %v", known, found, err)
	}
	wantIDs(t, s, "conn-a-h1 conn-b-h2 ")
	again, known := table.Amend("nobody", func(*Registration) { t.Error("called for a registration that is not there") })
	if known || again != s {
		t.Errorf("nobody amended: %v, version %d", known, again.Version())
	}
	s, _ = table.Amend("conn-a-h1", func(r *Registration) { r.Services[0].Name, r.Instance = "t", "c" })
	wantMatch(t, s, Query{Service: "t"}, "c/DEDICATED=t")
	wantMatch(t, s, Query{SID: "c"}, "c/DEDICATED=t")
	wantMatch(t, s, Query{Service: "s"}, "b/DEDICATED=s")
}

func TestReviseChangesAllInOneVersion(t *testing.T) {
	table := tableOf(database("a", "h1", "s"), database("b", "h2", "s"), database("c", "h3", "s"))
	before := table.Snapshot()
	var offered []string
	s := table.Revise(func(r *Registration) bool {
		offered = append(offered, r.Instance)
		r.Zone = "z-" + r.Instance
		return r.Instance != "b"
	})
	if diff := cmp.Diff([]string{"a", "b", "c"}, offered); diff != "" {
		t.Errorf("offered (-want +got):\n%s", diff)
	}
	var zones []string
	for _, r := range s.Registrations() {
		zones = append(zones, r.Zone)
	}
	if diff := cmp.Diff([]string{"z-a", "", "z-c"}, zones); diff != "" || s.Version() != before.Version()+1 {
		t.Errorf("version %d of %d (-want +got):\n%s", s.Version(), before.Version(), diff)
	}
	if s.index != before.index {
		t.Error("zones are not in the index, yet it was rebuilt")
	}
	if again := table.Revise(func(r *Registration) bool { r.Zone = "lost"; return false }); again != s || again.Registrations()[0].Zone != "z-a" {
		t.Errorf("no change made version %d of %d", again.Version(), s.Version())
	}
	var empty Table
	if empty.Revise(func(*Registration) bool { return true }) != empty.Snapshot() {
		t.Error("the empty table was revised")
	}
}

// What f does to its copy does not reach what is published, and what it keeps hold of does not either.
func TestRevisersHaveTheirOwnCopies(t *testing.T) {
	r := database("a", "h1", "s", "t")
	r.Marks, r.Services[0].Marks = []Mark{{Kind: Ejected}}, []Mark{{Kind: Ejected}}
	r.Endpoints = []string{"e"}
	table := tableOf(r)
	r.Marks[0].Kind, r.Services[0].Marks[0].Kind = Draining, Draining
	first := table.Snapshot()
	want := fmt.Sprintf("%+v", *first.Registrations()[0])
	scribble := func(r *Registration) {
		r.Marks[0].Cause, r.Services[0].Marks[0].Cause, r.Services[1].Name = "scribbled", "scribbled", "scribbled"
		r.Handlers[0].Name, r.Handlers[0].Services[0], r.Endpoints[0] = "scribbled", 1, "scribbled"
	}
	table.Revise(func(r *Registration) bool { scribble(r); return false })
	if got := fmt.Sprintf("%+v", *table.Snapshot().Registrations()[0]); got != want {
		t.Errorf("a copy that was not wanted shows:\n got %s\nwant %s", got, want)
	}
	var kept *Registration
	for _, change := range []func(func(*Registration)) *Snapshot{
		func(f func(*Registration)) *Snapshot {
			return table.Revise(func(r *Registration) bool { f(r); return true })
		},
		func(f func(*Registration)) *Snapshot { s, _ := table.Amend(r.ID, f); return s },
	} {
		s := change(func(r *Registration) { kept = r })
		scribble(kept)
		for _, s := range []*Snapshot{first, s} {
			if got := fmt.Sprintf("%+v", *s.Registrations()[0]); got != want {
				t.Errorf("version %d changed:\n got %s\nwant %s", s.Version(), got, want)
			}
		}
	}
}

func BenchmarkRevise(b *testing.B) {
	forFleets(b, func(b *testing.B, t *Table, _ []Registration) {
		for b.Loop() {
			t.Revise(func(r *Registration) bool { return false })
		}
	})
}
