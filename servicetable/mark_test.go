package servicetable

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestMarksKeepConnectsAway(t *testing.T) {
	for _, kind := range []MarkKind{Draining, Maintenance, Quarantined} {
		table := tableOf(database("a", "h1", "s"), database("b", "h2", "s"))
		s := table.Mark("A@H1", Mark{Kind: kind, Cause: "new disk"})
		wantMatch(t, s, Query{Service: "s"}, "b/DEDICATED=s")
		wantMatch(t, s, Query{Service: "s", IgnoreStatus: true}, "b/DEDICATED=s")
		s = table.Mark("b@h2", Mark{Kind: kind, Cause: "new disk"})
		_, err := s.Match(Query{Service: "s", IgnoreStatus: true})
		if !errors.Is(err, ErrBlocked) || !strings.Contains(err.Error(), "a@h1") || !strings.Contains(err.Error(), kind.String()) || !strings.Contains(err.Error(), "new disk") {
			t.Errorf("%v on all: %v", kind, err)
		}
		if _, err = s.Match(Query{SID: "a"}); !errors.Is(err, ErrBlocked) {
			t.Errorf("%v, by SID: %v", kind, err)
		}
		wantMatch(t, table.Unmark("a@h1", kind), Query{Service: "s"}, "a/DEDICATED=s")
	}
}

func TestEjectedIsForWantOfAnythingElse(t *testing.T) {
	full := database("full", "h2", "s")
	full.Handlers[0].Load = full.Handlers[0].Max
	table := tableOf(database("a", "h1", "s"), full, database("b", "h3", "s"))
	wantMatch(t, table.Mark("a@h1", Mark{Kind: Ejected}), Query{Service: "s"}, "b/DEDICATED=s full/DEDICATED=s")
	wantMatch(t, table.Mark("b@h3", Mark{Kind: Ejected}), Query{Service: "s"}, "full/DEDICATED=s")
	wantMatch(t, table.Mark("full@h2", Mark{Kind: Ejected}), Query{Service: "s"}, "a/DEDICATED=s b/DEDICATED=s full/DEDICATED=s")
	wantMatch(t, table.Mark("b@h3", Mark{Kind: Draining}), Query{Service: "s"}, "a/DEDICATED=s full/DEDICATED=s")
}

func TestMarksOnHandlers(t *testing.T) {
	r := database("a", "h1", "s").with(Handler{Name: "D000", Kind: Dispatcher}).with(Handler{Name: "D001", Kind: Dispatcher}).with(Handler{Name: "N000", Kind: Pooled})
	table := tableOf(r)
	wantMatch(t, table.Snapshot(), Query{Service: "s"}, "a/D000=s a/D001=s")
	wantMatch(t, table.Mark("a@h1/d000", Mark{Kind: Draining}), Query{Service: "s"}, "a/D001=s")
	wantMatch(t, table.Mark("a@h1/D001", Mark{Kind: Ejected}), Query{Service: "s"}, "a/DEDICATED=s")
	s := table.Snapshot()
	wantMatch(t, s, Query{Service: "s", Server: "shared"}, "a/D001=s")
	wantMatch(t, table.Mark("a@h1/DEDICATED", Mark{Kind: Draining}), Query{Service: "s"}, "a/N000=s")
	wantMatch(t, table.Mark("a@h1/N000", Mark{Kind: Ejected}), Query{Service: "s", Server: "pooled"}, "a/N000=s")
	wantMatch(t, table.Snapshot(), Query{Service: "s"}, "a/D001=s")
	table.Mark("a@h1/N000", Mark{Kind: Draining})
	if _, err := table.Mark("a@h1/D001", Mark{Kind: Maintenance}).Match(Query{Service: "s"}); !errors.Is(err, ErrBlocked) || !strings.Contains(err.Error(), "a@h1/") {
		t.Errorf("all handlers marked: %v", err)
	}
	wantMatch(t, s, Query{Service: "s"}, "a/DEDICATED=s")
}

func TestMarkedAndRestricted(t *testing.T) {
	table := tableOf(database("a", "h1", "s"), database("b", "h2", "s").flagged(FlagUnblocked|FlagRestricted))
	s := table.Mark("a@h1", Mark{Kind: Draining})
	if _, err := s.Match(Query{Service: "s"}); !errors.Is(err, ErrRestrictedOrBlocked) {
		t.Errorf("one restricted, one draining: %v", err)
	}
}

func TestMarksOutliveRegistrations(t *testing.T) {
	var table Table
	table.Mark("a@h1", Mark{Kind: Draining})
	s := table.Apply(database("a", "h1", "s"))
	if _, err := s.Match(Query{Service: "s"}); !errors.Is(err, ErrBlocked) {
		t.Errorf("registered under a mark: %v", err)
	}
	table.Drop("conn-a-h1")
	again := database("a", "h1", "s")
	again.ID = "another connection"
	if _, err := table.Apply(again).Match(Query{Service: "s"}); !errors.Is(err, ErrBlocked) {
		t.Errorf("registered anew under a mark: %v", err)
	}
	wantMatch(t, table.Unmark("a@h1", Draining), Query{Service: "s"}, "a/DEDICATED=s")
}

func TestMarksAreListed(t *testing.T) {
	table := tableOf(database("a", "h1", "s"))
	since := time.Unix(5, 0)
	table.Mark("a@h1", Mark{Kind: Quarantined, Cause: "stranger", Since: since})
	table.Mark("a@h1", Mark{Kind: Draining, Cause: "one", Since: since})
	table.Mark("a@h1", Mark{Kind: Draining, Cause: "two", Since: since})
	s := table.Mark("a@h1/DEDICATED", Mark{Kind: Ejected, Cause: "refused"})
	want := []Mark{{Kind: Draining, Cause: "two", Since: since}, {Kind: Quarantined, Cause: "stranger", Since: since}}
	got := s.Marks("A@h1")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("marks (-want +got):\n%s", diff)
	}
	got[0].Cause = "scribbled over"
	if diff := cmp.Diff(want, s.Services()[0].Instances[0].Marks); diff != "" {
		t.Errorf("marks in the listing (-want +got):\n%s", diff)
	}
	if got := s.Services()[0].Instances[0].Handlers[0].Marks; len(got) != 1 || got[0].Kind != Ejected {
		t.Errorf("marks of the handler: %v", got)
	}
	if got := table.Unmark("a@h1", Draining).Marks("a@h1"); len(got) != 1 || got[0].Kind != Quarantined {
		t.Errorf("after one was taken off: %v", got)
	}
	if got := table.Unmark("a@h1", Quarantined).Marks("a@h1"); len(got) != 0 {
		t.Errorf("after all were taken off: %v", got)
	}
}

func TestMarkThatChangesNothingPublishesNothing(t *testing.T) {
	table := tableOf(database("a", "h1", "s"))
	m := Mark{Kind: Draining, Cause: "c"}
	s := table.Mark("a@h1", m)
	if again := table.Mark("A@H1", m); again != s {
		t.Errorf("the same mark made version %d of %d", again.Version(), s.Version())
	}
	if again := table.Unmark("a@h1", Ejected); again != s {
		t.Errorf("taking off what is not there made version %d of %d", again.Version(), s.Version())
	}
	if again := table.Unmark("nobody@nowhere", Draining); again != s {
		t.Errorf("unmarking nobody made version %d of %d", again.Version(), s.Version())
	}
}

func TestMarkKindWords(t *testing.T) {
	for kind, want := range map[MarkKind]string{Draining: "draining", Ejected: "ejected", Maintenance: "maintenance", Quarantined: "quarantined"} {
		if got := kind.String(); got != want {
			t.Errorf("%d: %s, want %s", kind, got, want)
		}
	}
}
