package broker

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"servicebroker/console"
	"servicebroker/journal"
	"servicebroker/tns"
)

// follows collects what somebody sees who follows events, and comes back whenever the stream ends.
func follows(t *testing.T, r *running) (next func(journal.Kind) journal.Event, all func() []journal.Event) {
	t.Helper()
	seen := make(chan journal.Event, 1000)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c, filter := &console.Client{API: "http://" + r.ConsoleAddress()}, &console.EventFilter{Limit: 100}
		for ctx.Err() == nil {
			err := c.Follow(ctx, filter, func(e journal.Event) error {
				seen <- e
				return nil
			})
			if err != nil && !errors.Is(err, console.ErrUnreachable) && !errors.Is(err, context.Canceled) {
				t.Error(err)
				return
			}
		}
	}()
	stop := func() { cancel(); <-ended }
	t.Cleanup(stop)
	var got []journal.Event
	next = func(kind journal.Kind) journal.Event {
		t.Helper()
		limit := time.After(20 * time.Second)
		for {
			select {
			case e := <-seen:
				if got = append(got, e); e.Kind == kind {
					return e
				}
			case <-limit:
				t.Fatalf("no %s among %v", kind, got)
			}
		}
	}
	return next, func() []journal.Event {
		stop()
		for len(seen) > 0 {
			got = append(got, <-seen)
		}
		return got
	}
}

// Who follows events sees each of them once, whichever generation it is of, and what an instance is known for is no news.
func TestEventsGoOnInASuccessor(t *testing.T) {
	old, kept := succeedable(t, func(c *Config) { c.HoldTimeout = 0 })
	withdraw := old.register("s1", "sales")
	next, all := follows(t, old)
	next(journal.ServiceUp)
	for range 3 {
		old.wantCode("(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=none)))", tns.CodeUnknownService)
	}
	refused := old.journal.Recent(1)[0]
	const upgrades = 5
	r := old
	for range upgrades {
		if _, err := r.Upgrade(t.Context()); err != nil {
			t.Fatal(err)
		}
		r = <-kept
		next(journal.PredecessorEnded)
	}
	until(t, "the last one says that it has started", func() bool {
		return len(r.journal.Events(journal.Filter{Kinds: []journal.Kind{journal.Started}})) == 1+upgrades
	})
	withdraw()
	next(journal.Died)
	kinds := map[journal.Kind]int{}
	seen := all()
	for i, e := range seen {
		if kinds[e.Kind]++; e.ID != seen[0].ID+uint64(i) {
			t.Errorf("event %d is followed by %d, %s", seen[i-1].ID, e.ID, e.Kind)
		}
	}
	for kind, n := range map[journal.Kind]int{
		journal.Started: 1 + upgrades, journal.Upgraded: upgrades, journal.PredecessorEnded: upgrades, journal.Registered: 1, journal.ServiceUp: 1, journal.Died: 1,
	} {
		if kinds[kind] != n {
			t.Errorf("%d events %s, want %d, of %v", kinds[kind], kind, n, seen)
		}
	}
	if later := r.journal.Events(journal.Filter{}); len(later) < len(seen) {
		t.Errorf("%d of %d events can still be asked for", len(later), len(seen))
	}
	if e := r.journal.ByRef(refused.Ref); e == nil || e.Text != refused.Text || r.journal.ByRef("nonsense") != nil {
		t.Errorf("a refusal of before is explained by %+v", e)
	}
}

// Events of a generation that only drains are told by the one that serves, save those that it knows by itself.
func TestEventsOfAnOlderGeneration(t *testing.T) {
	g := twoGenerations(t, time.Hour)
	g.old.journal.Add(journal.Event{Kind: journal.Died, Cause: "known otherwise"})
	g.old.journal.Add(journal.Event{Kind: journal.SessionsLost, Cause: "of the older one"})
	changed := g.new.journal.Changed()
	for !slices.ContainsFunc(g.new.journal.Events(journal.Filter{}), func(e journal.Event) bool { return e.Cause == "of the older one" }) {
		select {
		case <-changed:
			changed = g.new.journal.Changed()
		case <-time.After(20 * time.Second):
			t.Fatal("it is not told")
		}
	}
	for _, e := range g.new.journal.Events(journal.Filter{}) {
		if e.Cause == "known otherwise" {
			t.Errorf("%+v", e)
		}
	}
}

// An upgrade that fails loses no event.
func TestEventsOfAnUpgradeThatFails(t *testing.T) {
	old, kept := succeedable(t, nil)
	old.leaving.Store(true) // which commit looks at
	_, err := old.beSucceeded()
	if err == nil {
		t.Fatal("it did not fail")
	}
	successor := <-kept
	<-successor.ended
	successor.ended <- nil
	old.journal.Add(journal.Event{Kind: journal.Status, Cause: "after it"})
	if all := old.journal.Events(journal.Filter{}); len(all) == 0 || all[len(all)-1].Cause != "after it" {
		t.Errorf("%+v", all)
	}
}

func TestAJournalThatIsNone(t *testing.T) {
	b := quietBroker()
	for _, text := range []string{`[]`, `{"events": 7}`, `{"last": -1}`} {
		if b.takeJournal(json.RawMessage(text), nil) == nil {
			t.Errorf("%s was taken", text)
		}
	}
	if err := b.takeJournal(json.RawMessage(`{"last": 18446744073709551615, "events": [{}], "explanations": [7, {}, {"ref": "ABCDEFGH", "later": 1}]}`), nil); err != nil || b.journal.ByRef("ABCDEFGH") == nil {
		t.Errorf("%v", err)
	}
	if b.takeEvents(json.RawMessage(`{}`)) == nil {
		t.Error("no list of events was taken")
	}
}
