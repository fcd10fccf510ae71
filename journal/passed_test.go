package journal

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// overTo passes a journal on as text.
func overTo(t testing.TB, from, to *Journal, most int) {
	t.Helper()
	text, err := json.Marshal(from.Pass(most, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	var p Passed
	if err := json.Unmarshal(text, &p); err != nil {
		t.Fatal(err)
	}
	to.GoOn(p)
}

// Who follows one journal goes on in the next, and sees each event once, whoever it was told.
func TestAJournalGoesOnElsewhere(t *testing.T) {
	older := Journal{FirstID: 100, Now: noon}
	added := 0
	newer := Journal{FirstID: 5000, Added: func(Event) { added++ }}
	for range 5 {
		older.Add(Event{Kind: Status})
	}
	newer.Wait()
	if e := newer.Add(Event{Kind: Started}); e.ID != 0 || len(newer.Events(Filter{})) != 0 {
		t.Errorf("it is there already: %+v", e)
	}
	overTo(t, &older, &newer, 3)
	wantIDs(t, newer.Events(Filter{}), 102, 103, 104, 105)
	if all := newer.Events(Filter{Since: 104}); len(all) != 1 || all[0].Kind != Started || added != 1 {
		t.Errorf("%d were told, %+v", added, all)
	}
	if diff := cmp.Diff(older.Events(Filter{Since: 101}), newer.Events(Filter{Since: 101, Limit: 3})); diff != "" {
		t.Error(diff)
	}
	changed := older.Changed()
	older.Add(Event{Kind: Upgraded})
	<-changed
	for _, e := range older.Waited() {
		newer.Add(e)
	}
	if all := newer.Events(Filter{Since: 105}); len(all) != 1 || all[0].Kind != Upgraded || all[0].ID != 106 || !all[0].Time.Equal(noon()) {
		t.Errorf("%+v", all)
	}
	if len(older.Waited()) != 0 || older.Last() != 104 {
		t.Error("it is told twice, or is in both")
	}
}

// Where nobody goes on with it, a journal goes on itself.
func TestAJournalThatIsPassedInVain(t *testing.T) {
	added := 0
	j := Journal{Added: func(e Event) {
		if added++; e.ID != uint64(added) {
			t.Errorf("told of %d as number %d", e.ID, added)
		}
	}}
	j.Add(Event{})
	j.Pass(10, 1000)
	j.Add(Event{})
	j.Add(Event{})
	wantIDs(t, j.Events(Filter{}), 1)
	j.Resume()
	j.Add(Event{})
	j.Resume()
	wantIDs(t, j.Events(Filter{}), 1, 2, 3, 4)
	if added != 4 {
		t.Errorf("told of %d", added)
	}
}

func TestWhatIsPassedIsBounded(t *testing.T) {
	var j Journal
	for i := range 100 {
		j.Add(Event{Cause: strings.Repeat("x", i)})
	}
	if p := j.Pass(7, 1<<20); len(p.Events) != 7 || p.Events[6].ID != 100 || p.Last != 100 {
		t.Errorf("%+v", p)
	}
	if p := j.Pass(100, 99+98); len(p.Events) != 2 {
		t.Errorf("%d events", len(p.Events))
	}
	small := Journal{MaxEvents: 10}
	small.Wait()
	for i := range 1000 {
		small.Add(Event{Detail: fmt.Sprint(i)})
	}
	if all := small.Waited(); len(all) > 10 || all[len(all)-1].Detail != "999" {
		t.Errorf("%d wait, the last is %+v", len(all), all[len(all)-1])
	}
}

// A time that can be read and not written would keep all events from being shown.
func TestEventsThatArePassedCanBeShown(t *testing.T) {
	var p Passed
	if err := json.Unmarshal([]byte(`{"last":3,"events":[{"id":1,"time":"2026-01-01T00:00:00+24:00"},{"id":2,"time":"9999-12-31T23:59:59-01:00"},{"id":3,"time":"2026-01-01T00:00:00Z"}]}`), &p); err != nil {
		t.Fatal(err)
	}
	var j Journal
	j.GoOn(p)
	all := j.Events(Filter{})
	wantIDs(t, all, 1, 2, 3)
	if text, err := json.Marshal(all); err != nil || !all[0].Time.Equal(p.Events[0].Time) {
		t.Errorf("%s, %v", text, err)
	}
}

// What another version may send leaves a journal that numbers events without gaps.
func TestAnythingThatIsPassedMakesAJournal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ids := rapid.SliceOfN(rapid.OneOf(rapid.Uint64Range(0, 20), rapid.Uint64()), 0, 30).Draw(t, "ids")
		p := Passed{Last: rapid.OneOf(rapid.Uint64Range(0, 40), rapid.Uint64Range(math.MaxInt64-5, math.MaxUint64)).Draw(t, "last")}
		if rapid.Bool().Draw(t, "in order") && p.Last < math.MaxInt64 {
			for i := range min(uint64(len(ids)), p.Last) {
				p.Events = append(p.Events, Event{ID: p.Last - min(uint64(len(ids)), p.Last) + 1 + i})
			}
		} else {
			for _, id := range ids {
				p.Events = append(p.Events, Event{ID: id})
			}
		}
		j := Journal{FirstID: 7, MaxEvents: 10}
		j.Wait()
		j.Add(Event{Kind: Started})
		j.GoOn(p)
		all := j.Events(Filter{})
		for i, e := range all {
			if e.ID != j.Last()-uint64(len(all)-1-i) || e.ID == 0 {
				t.Fatalf("numbers %v, last %d", all, j.Last())
			}
		}
		if len(all) == 0 || len(all) > 10 || all[len(all)-1].Kind != Started {
			t.Fatalf("%v", all)
		}
	})
}
