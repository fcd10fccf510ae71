package servicetable

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestZeroTable(t *testing.T) {
	var table Table
	s := table.Snapshot()
	if s == nil || s.Version() != 0 || s != table.Snapshot() {
		t.Fatalf("snapshot %v of the zero table, then %v", s, table.Snapshot())
	}
	if len(s.Services()) > 0 || len(s.Registrations()) > 0 || len(s.Marks("a@b")) > 0 {
		t.Error("the zero table is not empty")
	}
	if table.Drop("nobody") != s || table.Unmark("a@b", Draining) != s {
		t.Error("removing what is not there made a new version")
	}
}

func TestVersionsCountChanges(t *testing.T) {
	var table Table
	for i, change := range []func() *Snapshot{
		func() *Snapshot { return table.Apply(database("a", "h", "s")) },
		func() *Snapshot { return table.Apply(database("a", "h", "s")) },
		func() *Snapshot { return table.Mark("a@h", Mark{Kind: Draining}) },
		func() *Snapshot { return table.Unmark("a@h", Draining) },
		func() *Snapshot { return table.Drop("conn-a-h") },
	} {
		if s := change(); s.Version() != uint64(i+1) || s != table.Snapshot() {
			t.Errorf("change %d made version %d", i+1, s.Version())
		}
	}
}

func TestSupersededWakesWithTheSuccessorInPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var table Table
		const versions = 5
		var seen []uint64
		done := make(chan struct{})
		go func() {
			defer close(done)
			for s := table.Snapshot(); s.Version() < versions; s = table.Snapshot() {
				<-s.Superseded()
				if table.Snapshot() == s {
					t.Error("woken, but the successor is not there")
				}
				seen = append(seen, s.Version())
			}
		}()
		for i := range versions {
			synctest.Wait()
			if now := table.Snapshot(); isClosed(now.Superseded()) {
				t.Errorf("version %d says it is superseded, but is current", now.Version())
			}
			before := table.Snapshot()
			table.Apply(database("a", "h", fmt.Sprintf("s%d", i)))
			if !isClosed(before.Superseded()) {
				t.Errorf("version %d does not know that it is superseded", before.Version())
			}
		}
		<-done
		if diff := cmp.Diff([]uint64{0, 1, 2, 3, 4}, seen); diff != "" {
			t.Errorf("versions followed (-want +got):\n%s", diff)
		}
	})
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestOrderOfRegistrationSurvivesChanges(t *testing.T) {
	table := tableOf(database("a", "h1", "s"), database("b", "h2", "s"), database("c", "h3", "s"))
	q := Query{Service: "s"}
	wantMatch(t, table.Apply(database("a", "h1", "new", "s")), q, "a/DEDICATED=s b/DEDICATED=s c/DEDICATED=s")
	wantMatch(t, table.Apply(database("a", "h1", "new")), q, "b/DEDICATED=s c/DEDICATED=s")
	wantMatch(t, table.Apply(database("a", "h1", "s")), q, "a/DEDICATED=s b/DEDICATED=s c/DEDICATED=s")
	table.Drop("conn-a-h1")
	wantMatch(t, table.Apply(database("d", "h4", "s")), q, "b/DEDICATED=s c/DEDICATED=s d/DEDICATED=s")
	wantMatch(t, table.Apply(database("a", "h1", "s")), q, "b/DEDICATED=s c/DEDICATED=s d/DEDICATED=s a/DEDICATED=s")
}

func TestTwoConnectionsOfOneInstanceAreTwoRegistrations(t *testing.T) {
	first, second := database("a", "h", "s"), database("a", "h", "s")
	second.ID, second.Load = "second", 99
	table := tableOf(first, second)
	found, err := table.Snapshot().Match(Query{Service: "s"})
	if err != nil || len(found) != 2 || found[0].Registration.Load == found[1].Registration.Load {
		t.Fatalf("%s, %v", summary(found), err)
	}
	wantMatch(t, table.Drop(first.ID), Query{Service: "s"}, "a/DEDICATED=s")
	if table.Drop("second"); len(table.Snapshot().Services()) != 0 {
		t.Error("services without registrations")
	}
}

func TestInstanceRenamedOnTheSameConnection(t *testing.T) {
	r := database("a", "h", "s")
	table := tableOf(r)
	r.Instance = "b"
	s := table.Apply(r)
	wantMatch(t, s, Query{SID: "b"}, "b/DEDICATED=s")
	if _, err := s.Match(Query{SID: "a"}); err == nil {
		t.Error("the old name is still there")
	}
}

// A caller may reuse its slices; and what was published stays as it was through any later change.
func TestSnapshotsNeverChange(t *testing.T) {
	r := database("a", "h", "s", "t").with(Handler{Name: "D000", Kind: Dispatcher})
	r.Endpoints = []string{"e"}
	var table Table
	s := table.Apply(r)
	want := fmt.Sprintf("%+v", *s.Registrations()[0])
	services := cmp.Diff(nil, s.Services())

	r.Services[0].Name, r.Services[1].Flags = "scribbled", 0
	r.Handlers[0].Port, r.Handlers[1].Name = 0, "scribbled"
	r.Handlers[0].Services[0], r.Handlers[1].Services[1] = 1, 77
	r.Endpoints[0] = "scribbled"
	wantMatch(t, s, Query{Service: "s"}, "a/D000=s")
	table.Apply(database("a", "h", "other"))
	table.Apply(database("b", "h", "s"))
	table.Mark("a@h", Mark{Kind: Draining})
	table.Drop("conn-a-h")
	if got := fmt.Sprintf("%+v", *s.Registrations()[0]); got != want {
		t.Errorf("registration changed\n got %s\nwant %s", got, want)
	}
	if got := cmp.Diff(nil, s.Services()); got != services {
		t.Errorf("services changed\n got %s\nwant %s", got, services)
	}
	wantMatch(t, s, Query{Service: "s"}, "a/D000=s")
}

func TestLoadReportSharesStructure(t *testing.T) {
	r := database("a", "h", "s", "t")
	table := tableOf(r)
	before := table.Snapshot()
	r.Load, r.Services[0].Goodness, r.Handlers[0].Load = 7, 8, 9
	after := table.Apply(r)
	if before.index != after.index {
		t.Error("a load report rebuilt the index")
	}
	found, err := after.Match(Query{Service: "s"})
	if err != nil || found[0].Registration.Load != 7 || found[0].Service.Goodness != 8 || found[0].Handler.Load != 9 {
		t.Errorf("%+v, %v", found, err)
	}
	if found, _ := before.Match(Query{Service: "s"}); found[0].Registration.Load != 1 || found[0].Service.Goodness != 1 {
		t.Error("the report shows in the snapshot before it")
	}
	for name, change := range map[string]func(*Registration){
		"name":        func(r *Registration) { r.Services[0].Name = "S" },
		"XDB":         func(r *Registration) { r.Services[0].Flags |= FlagDispatchersOnly },
		"link":        func(r *Registration) { r.Handlers[0].Services = []int{1} },
		"new service": func(r *Registration) { r.Services = append(r.Services, Service{Name: "u"}) },
		"new handler": func(r *Registration) { *r = r.with(Handler{Name: "D000"}) },
		"instance":    func(r *Registration) { r.Instance = "b" },
	} {
		before := table.Apply(database("a", "h", "s", "t"))
		r := database("a", "h", "s", "t")
		change(&r)
		if table.Apply(r).index == before.index {
			t.Errorf("%s: the index is the old one", name)
		}
	}
}

func TestRegistrationsThatMakeNoSense(t *testing.T) {
	r := database("a", "h", "s", "", "S", "t")
	r.Handlers[0].Services = []int{2, -1, 99, 0, 0}
	r = r.with(Handler{Name: "D000", Kind: Dispatcher, Services: []int{3, 1}}).with(Handler{Name: "D001", Kind: Dispatcher, Services: []int{0, 3, 3}})
	s := tableOf(r).Snapshot()
	wantMatch(t, s, Query{Service: "s", Server: "dedicated"}, "a/DEDICATED=s")
	wantMatch(t, s, Query{Service: "s"}, "a/D001=s")
	wantMatch(t, s, Query{Service: "t"}, "a/D000=t a/D001=t")
	if n := len(s.Services()); n != 2 {
		t.Errorf("%d services, want 2", n)
	}
}

func TestGapsInHandlerLists(t *testing.T) {
	r := database("a", "h", "s", "t").withoutHandlers()
	for i := range 6 {
		h := Handler{Name: fmt.Sprintf("D%03d", i), Kind: Dispatcher, Services: []int{0, 1}}
		if i == 2 || i == 5 {
			h.Services = []int{1}
		}
		r = r.with(h)
	}
	s := tableOf(r).Snapshot()
	wantMatch(t, s, Query{Service: "s"}, "a/D000=s a/D001=s a/D003=s a/D004=s")
	wantMatch(t, s, Query{Service: "t"}, "a/D000=t a/D001=t a/D002=t a/D003=t a/D004=t a/D005=t")
}

// Writers and readers at once; the race detector and the invariants in the readers are the judges.
func TestConcurrentUse(t *testing.T) {
	var table Table
	const writers, readers, rounds = 4, 4, 200
	var writing, reading sync.WaitGroup
	stop := make(chan struct{})
	for w := range writers {
		writing.Go(func() {
			name := fmt.Sprintf("i%d", w)
			for i := range rounds {
				r := database(name, "h", "s", fmt.Sprintf("own%d.x", i%7))
				table.Apply(r)
				r.Load = uint32(i)
				table.Apply(r)
				table.Mark(r.Key(), Mark{Kind: Ejected})
				table.Unmark(r.Key(), Ejected)
				if i%10 == 9 && i+1 < rounds {
					table.Drop(r.ID)
				}
			}
		})
	}
	for range readers {
		reading.Go(func() {
			var last uint64
			for {
				s := table.Snapshot()
				if s.Version() < last {
					t.Errorf("version went back from %d to %d", last, s.Version())
				}
				last = s.Version()
				found, err := s.Match(Query{Service: "s"})
				if err == nil && len(found) > writers {
					t.Errorf("%d candidates", len(found))
				}
				if entry, err := s.Service("s"); err == nil && len(entry.Instances) < len(found) {
					t.Errorf("one snapshot lists %d instances and matches %d", len(entry.Instances), len(found))
				}
				select {
				case <-stop:
					return
				case <-s.Superseded():
				}
			}
		})
	}
	writing.Wait()
	close(stop)
	reading.Wait()
	if found, err := table.Snapshot().Match(Query{Service: "s"}); err != nil || len(found) != writers {
		t.Errorf("in the end %s, %v", summary(found), err)
	}
}
