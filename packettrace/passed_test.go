package packettrace

import (
	"context"
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// passTo passes traces on as text.
func passTo(t *testing.T, from, to *Traces) {
	t.Helper()
	text, err := json.Marshal(from.Pass())
	if err != nil {
		t.Fatal(err)
	}
	var passed Passed
	if err := json.Unmarshal(text, &passed); err != nil {
		t.Fatal(err)
	}
	to.GoOn(passed)
}

// A trace goes on in another process, into the same file, while the first one writes what it still has.
func TestTracesGoOnElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		older, stopOlder := running(t, nil)
		over := start(t, older, Order{Clients: Everybody})
		if _, err := older.Stop(over.ID); err != nil {
			t.Fatal(err)
		}
		one := start(t, older, Order{Clients: netip.MustParsePrefix("192.0.2.7/32"), For: time.Hour})
		packet := []byte{0, 12, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4}
		there := older.Dialogue(client, "older", "client")
		there(false, packet)
		synctest.Wait()
		<-time.After(10 * time.Minute)

		newer := &Traces{Files: older.Files}
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan struct{})
		passTo(t, older, newer)
		go func() {
			defer close(ended)
			newer.Run(ctx)
		}()
		older.Leave("process 7 goes on")
		here := newer.Dialogue(client, "newer", "client")
		here(false, packet)
		there(false, packet)
		stopOlder()
		here(false, packet)
		if again := start(t, newer, Order{Session: 5}); again.ID != 3 {
			t.Errorf("the next one is number %d", again.ID)
		}
		list := newer.List()
		if len(list) != 3 || list[0].Ended != reasonOperator || list[1].ID != one.ID || list[1].Ended != "" || list[1].Packets != 3 || !list[1].Until.Equal(one.Until) || list[1].File != one.File {
			t.Errorf("%+v", list)
		}
		<-time.After(time.Hour) // its end has not changed
		cancel()
		<-ended
		if list := newer.List(); list[1].Ended != reasonTimeIsUp {
			t.Errorf("%+v", list)
		}
		text := written(t, one)
		for want, times := range map[string]int{"# packets of clients 192.0.2.7/32": 1, "client > older": 2, "client > newer": 2, "# goes on in process ": 1, "process 7 goes on; 2 packets": 1, "# over at": 2} {
			if n := strings.Count(text, want); n != times {
				t.Errorf("%d of %q, want %d, in\n%s", n, want, times, text)
			}
		}
	})
}

// What another version may send is gone on with only if it makes sense.
func TestTracesThatMakeNoSenseAreLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		traces, stop := running(t, nil)
		defer stop()
		file, later, order := t.TempDir()+"/a.trc", time.Now().Add(time.Hour), Order{Session: 1}
		all := []Status{
			{ID: 1, Order: order, Until: later},
			{ID: 2, Order: order, File: file, Until: time.Now()},
			{ID: 3, File: file, Until: later},
			{ID: 4, Order: Order{Session: 1, Clients: Everybody}, File: file, Until: later},
			{ID: 5, Order: order, File: file, Until: later.AddDate(100, 0, 0)},
			{ID: 5, Order: order, File: file, Until: later},
		}
		for range 100 {
			all = append(all, Status{ID: 6, Ended: "long ago"})
		}
		traces.GoOn(Passed{Last: 2, Traces: all})
		list := traces.List()
		active := 0
		for _, s := range list {
			if s.Ended == "" {
				active++
				if s.ID != 5 || s.Until.After(time.Now().Add(MaxFor)) {
					t.Errorf("%+v", s)
				}
			}
		}
		if active != 1 || len(list) != 1+maxPast {
			t.Errorf("%d active ones of %d", active, len(list))
		}
		many := Passed{}
		for id := range uint64(3 * MaxActive) {
			many.Traces = append(many.Traces, Status{ID: 10 + id, Order: order, File: file, Until: later})
		}
		traces.GoOn(many)
		if n := len(traces.all()); n != MaxActive {
			t.Errorf("%d are active", n)
		}
	})
}
