package journal

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// noon is when tests take place.
func noon() time.Time { return time.Date(2030, 5, 6, 12, 0, 0, 0, time.UTC) }

func ids(events []Event) []uint64 {
	var all []uint64
	for _, e := range events {
		all = append(all, e.ID)
	}
	return all
}

func wantIDs(t testing.TB, events []Event, want ...uint64) {
	t.Helper()
	if diff := cmp.Diff(want, ids(events)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestAddNumbersAndDates(t *testing.T) {
	j := Journal{Now: noon}
	if got := j.Last(); got != 0 {
		t.Errorf("last of none: %d", got)
	}
	if first := j.Add(Event{ID: 77, Kind: Registered}); first.ID != 1 || !first.Time.Equal(noon()) {
		t.Errorf("got %v", first)
	}
	earlier := noon().Add(-time.Hour)
	if second := j.Add(Event{Kind: Died, Time: earlier}); second.ID != 2 || !second.Time.Equal(earlier) {
		t.Errorf("got %v", second)
	}
	if got := j.Last(); got != 2 {
		t.Errorf("last: %d", got)
	}
	var other Journal
	if e := other.Add(Event{}); e.ID != 1 || time.Since(e.Time) > time.Minute {
		t.Errorf("the zero Journal: %v", e)
	}
	above := Journal{FirstID: 1000}
	if above.Last() != 999 || above.Add(Event{}).ID != 1000 {
		t.Error("FirstID is not the first")
	}
}

func TestEventsByFilter(t *testing.T) {
	j := Journal{Now: noon}
	for i, e := range []Event{
		{Kind: Started},
		{Kind: ServiceUp, Service: "sales.example.com", Instance: "sales1", Host: "db1"},
		{Kind: ServiceUp, Service: "hr", Instance: "sales1", Host: "db1"},
		{Kind: Moved, Service: "Sales.example.com", Instance: "sales2", Host: "db2"},
		{Kind: Died, Instance: "sales1", Host: "db1"},
	} {
		e.Time = noon().Add(time.Duration(i) * time.Minute)
		j.Add(e)
	}
	for _, c := range []struct {
		name   string
		filter Filter
		want   []uint64
	}{
		{"all", Filter{}, []uint64{1, 2, 3, 4, 5}},
		{"since", Filter{Since: 3}, []uint64{4, 5}},
		{"since the last", Filter{Since: 5}, nil},
		{"since another life", Filter{Since: 6}, []uint64{1, 2, 3, 4, 5}},
		{"since a time", Filter{SinceTime: noon().Add(3 * time.Minute)}, []uint64{4, 5}},
		{"a kind", Filter{Kinds: []Kind{ServiceUp}}, []uint64{2, 3}},
		{"two kinds", Filter{Kinds: []Kind{Died, Started}}, []uint64{1, 5}},
		{"a service in any domain", Filter{Service: "SALES"}, []uint64{2, 4}},
		{"a service in its domain", Filter{Service: "sales.example.com"}, []uint64{2, 4}},
		{"a service in another", Filter{Service: "sales.example.org"}, nil},
		{"a pattern", Filter{Service: "*a*.com"}, []uint64{2, 4}},
		{"any service", Filter{Service: "*"}, []uint64{1, 2, 3, 4, 5}},
		{"an instance", Filter{Instance: "Sales1"}, []uint64{2, 3, 5}},
		{"an instance at a host", Filter{Instance: "sales1@DB1"}, []uint64{2, 3, 5}},
		{"an instance elsewhere", Filter{Instance: "sales1@db2"}, nil},
		{"instances at a host", Filter{Instance: "*@db2"}, []uint64{4}},
		{"together", Filter{Since: 2, Kinds: []Kind{ServiceUp}, Instance: "sales1"}, []uint64{3}},
		{"the newest", Filter{Limit: 2}, []uint64{4, 5}},
		{"the newest that fit", Filter{Limit: 1, Kinds: []Kind{ServiceUp}}, []uint64{3}},
		{"the next ones", Filter{Since: 1, Limit: 2}, []uint64{2, 3}},
	} {
		if diff := cmp.Diff(c.want, ids(j.Events(c.filter))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestFits(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"a", "A", true}, {"a", "ab", false}, {"", "", true}, {"*", "", true}, {"a*", "a", true}, {"*a", "ba", true}, {"a*a", "a", false},
		{"a*b*c", "aXbXc", true}, {"a*b*c", "acb", false}, {"*b*", "abc", true}, {"ab*bc", "abc", false}, {"a**c", "abc", true},
	} {
		if got := fits(c.pattern, c.name); got != c.want {
			t.Errorf("fits(%q, %q) = %v", c.pattern, c.name, got)
		}
	}
}

func TestOldEventsGo(t *testing.T) {
	j := Journal{MaxEvents: 3}
	for range 5 {
		j.Add(Event{})
	}
	wantIDs(t, j.Events(Filter{}), 3, 4, 5)
	wantIDs(t, j.Events(Filter{Since: 1}), 3, 4, 5)
	wantIDs(t, j.Events(Filter{Since: 4}), 5)
}

func TestTextsOfEventsAreBounded(t *testing.T) {
	long := strings.Repeat("\u00e9", 5000)
	e := Event{Service: long, Instance: long, Database: long, Host: long, Cause: long, Detail: long, EventType: long, Status: long, Reason: long, DBDomain: long}
	var j Journal
	got := j.Add(e)
	for _, text := range got.texts() {
		if len(*text.text) > text.most || len(*text.text) < text.most-4 || !strings.HasSuffix(*text.text, "\u00e9"+ellipsis) {
			t.Errorf("cut to %d of %d bytes: …%q", len(*text.text), text.most, (*text.text)[len(*text.text)-8:])
		}
	}
	if len(e.Service) != len(long) {
		t.Error("the caller's event was changed")
	}
	// A flood of the longest ones keeps to the bound on all together, and leaves the newest.
	j = Journal{MaxEventBytes: 3 * got.size()}
	for range 10 {
		j.Add(e)
	}
	wantIDs(t, j.Events(Filter{}), 8, 9, 10)
	if gone := *j.events.at(7); gone != (Event{}) {
		t.Error("an event that went is still in memory")
	}
	small := Journal{MaxEventBytes: 1}
	small.Add(e)
	small.Add(Event{Service: "sales"})
	wantIDs(t, small.Events(Filter{}), 2)
}

// TestEventsAreTheModel compares with a list from which the oldest are cut off.
func TestEventsAreTheModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		j := Journal{
			Now: noon, MaxEvents: rapid.IntRange(1, 700).Draw(t, "events"), MaxEventBytes: rapid.IntRange(1, 2000).Draw(t, "bytes"),
			FirstID: rapid.Uint64Range(0, 700).Draw(t, "first"),
		}
		var kept []Event
		next := max(j.FirstID, 1)
		add := func(t *rapid.T) {
			for range rapid.IntRange(1, 300).Draw(t, "n") {
				e := Event{Kind: Died, Service: strings.Repeat("x", rapid.IntRange(0, 4).Draw(t, "size")), Time: noon()}
				got := j.Add(e)
				e.ID = next
				next++
				if got != e {
					t.Fatalf("added %v, want %v", got, e)
				}
				kept = append(kept, e)
				for len(kept) > j.MaxEvents || len(kept) > 1 && length(kept) > j.MaxEventBytes {
					kept = kept[1:]
				}
			}
		}
		look := func(t *rapid.T) {
			f := Filter{Since: rapid.Uint64Range(0, next+2).Draw(t, "since"), Limit: rapid.IntRange(0, 600).Draw(t, "limit")}
			f.Service = rapid.SampledFrom([]string{"", "", "xx", "x*"}).Draw(t, "service")
			if diff := cmp.Diff(wanted(kept, f, next), ids(j.Events(f))); diff != "" {
				t.Fatalf("%+v (-want +got):\n%s", f, diff)
			}
		}
		t.Repeat(map[string]func(*rapid.T){"add": add, "look": look})
	})
}

func length(events []Event) (n int) {
	for i := range events {
		n += len(events[i].Service)
	}
	return n
}

// wanted says in the plainest way which of kept a filter wants.
func wanted(kept []Event, f Filter, next uint64) []uint64 {
	var all []uint64
	for _, e := range kept {
		service := f.Service == "" || f.Service == e.Service || f.Service == "x*" && e.Service != ""
		if service && (e.ID > f.Since || f.Since >= next) {
			all = append(all, e.ID)
		}
	}
	switch {
	case f.Limit == 0 || len(all) <= f.Limit:
		return all
	case f.Since > 0:
		return all[:f.Limit]
	}
	return all[len(all)-f.Limit:]
}

func TestFollowersMissNothing(t *testing.T) {
	const writers, each, followers = 4, 500, 3
	var j Journal
	var writing, following sync.WaitGroup
	for range followers {
		following.Go(func() {
			for last := uint64(0); last < writers*each; {
				changed := j.Changed()
				some := j.Events(Filter{Since: last})
				for _, e := range some {
					if e.ID != last+1 {
						t.Errorf("%d came after %d", e.ID, last)
						return
					}
					last = e.ID
				}
				if len(some) == 0 {
					<-changed
				}
			}
		})
	}
	for range writers {
		writing.Go(func() {
			for range each {
				j.Add(Event{Kind: Status})
			}
		})
	}
	writing.Wait()
	following.Wait()
}

func TestChangedClosesAtTheNextEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j Journal
		j.Add(Event{})
		woken := make(chan int, 2)
		for i := range 2 {
			go func() {
				<-j.Changed()
				woken <- i
			}()
		}
		synctest.Wait()
		if len(woken) != 0 {
			t.Error("woken by an event before")
		}
		j.Keep(&Explanation{})
		synctest.Wait()
		if len(woken) != 0 {
			t.Error("woken by an explanation")
		}
		j.Add(Event{})
		synctest.Wait()
		if len(woken) != 2 {
			t.Errorf("%d of 2 woken", len(woken))
		}
	})
}

func BenchmarkAdd(b *testing.B) {
	var j Journal
	e := Event{Kind: Status, Service: "sales.example.com", Instance: "sales1", Host: "db1", Cause: "BLOCKED", Status: "down", Reason: "FAILURE"}
	b.ReportAllocs()
	for b.Loop() {
		j.Add(e)
	}
}

func BenchmarkEventsNewest100(b *testing.B) {
	var j Journal
	for i := range 100_000 {
		j.Add(Event{Kind: Status, Service: fmt.Sprint("s", i%100)})
	}
	for b.Loop() {
		j.Events(Filter{Limit: 100})
	}
}
