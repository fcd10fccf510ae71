package broker

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"servicebroker/handover"
	"servicebroker/servicetable"
)

// Databases come and go while a successor has the table and does not serve yet: it is told of that as soon as it does.
func TestASuccessorIsToldWhatChangedSinceItGotTheTable(t *testing.T) {
	old, next := start(t, nil), start(t, nil)
	withdraw := old.register("s1", "sales")
	table, _, err := old.giveTable()
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(table)
	if err != nil {
		t.Fatal(err)
	}
	withdraw()
	old.await(func(s *servicetable.Snapshot) bool { return len(s.Services()) == 0 })
	old.register("s2", "hr")
	if err := next.takeTable(text, nil); err != nil {
		t.Fatal(err)
	}
	next.await(func(s *servicetable.Snapshot) bool { _, err := s.Service("sales"); return err == nil })

	channel, file, err := handover.Pair()
	if err != nil {
		t.Fatal(err)
	}
	defer channel.Close()
	theirs, err := handover.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	old.succeeded(&heir{channel: channel})
	defer old.upgrade.heir.Store(nil)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for known := ""; known != "hr"; known = servicesOf(next.Snapshot()) {
		record, err := theirs.Receive(ctx)
		if err != nil {
			t.Fatalf("the successor knows of %q: %v", known, err)
		}
		if record.Kind != recordRetained {
			t.Fatalf("it is told a %s", record.Kind)
		}
		if err := next.takeRetained(record.Body); err != nil {
			t.Fatal(err)
		}
	}
}

func servicesOf(s *servicetable.Snapshot) (names string) {
	for _, one := range s.Services() {
		names += one.Name
	}
	return names
}

// A successor that failed leaves nothing behind that grows.
func TestNothingIsKeptForASuccessorThatFailed(t *testing.T) {
	r := start(t, nil)
	if _, _, err := r.giveTable(); err != nil {
		t.Fatal(err)
	}
	r.tellRetained(retainedPassed{ID: "1"})
	r.retained.forget()
	r.tellRetained(retainedPassed{ID: "2"})
	if len(r.retained.untold) > 0 {
		t.Errorf("%d changes are kept", len(r.retained.untold))
	}
}
