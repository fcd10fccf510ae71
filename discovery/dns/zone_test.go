package dns

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"servicebroker/servicetable"
)

// newer reports whether serial a is later than b, RFC 1982.
func newer(a, b uint32) bool { return a != b && a-b < 1<<31 }

func (w *world) serial(t *testing.T) uint32 {
	t.Helper()
	got := w.ask(t, "127.0.0.1", question("db.example", wire.TypeSOA))
	return got.Answer[0].(*wire.SOA).Serial
}

func TestTheSerialGrowsWithTheTableAndOnlyWhereTheZoneChanges(t *testing.T) {
	w := newWorld(t, &Server{}, instance("s1", "10.1.0.1", "sales"))
	first, version := w.serial(t), w.table.Snapshot().Version()
	w.table.Mark("nobody@nowhere", servicetable.Mark{Kind: servicetable.Draining})
	w.sync(t)
	if w.serial(t) != first {
		t.Error("a change that is none of the zone changed its serial")
	}
	w.table.Drop("s1@10.1.0.1")
	w.sync(t)
	if grown, want := w.serial(t)-first, uint32(w.table.Snapshot().Version()-version); grown != want {
		t.Errorf("the serial grew by %d, the table's version by %d", grown, want)
	}
}

func TestTheSerialGrowsAcrossRestarts(t *testing.T) {
	folder := t.TempDir()
	last := uint32(0)
	for restart := range 5 {
		w := newWorld(t, &Server{State: folder}, instance("s1", "10.1.0.1", "sales")) // whose version begins anew
		for range restart * 3 {
			if serial := w.serial(t); last != 0 && !newer(serial, last) {
				t.Fatalf("serial %d after %d", serial, last)
			}
			last = w.serial(t)
			w.table.Apply(instance("s2", "10.1.0.2", "sales", "x"+string(rune('a'+restart))))
			w.sync(t)
			w.table.Drop("s2@10.1.0.2")
			w.sync(t)
		}
	}
}

func TestTheSerialWrapsAround(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "dns.serial")
	if err := os.WriteFile(path, []byte("4294967290\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := serials{path: path}
	last := uint32(math.MaxUint32 - 5)
	for version := range uint64(30_000) {
		next, err := s.next(version * 2)
		if err != nil || !newer(next, last) {
			t.Fatalf("serial %d after %d: %v", next, last, err)
		}
		last = next
	}
	after := serials{path: path}
	if next, err := after.next(1); err != nil || !newer(next, last) {
		t.Errorf("serial %d after %d and a restart: %v", next, last, err)
	}
}

// Secondaries follow who goes on after another process had the zone for a while.
func TestTheSerialGoesOnBeyondThatOfASuccessorThatIsGone(t *testing.T) {
	folder := t.TempDir()
	w := newWorld(t, &Server{State: folder}, instance("s1", "10.1.0.1", "sales"))
	superseded := w.server.content.Load().superseded
	successor := newWorld(t, &Server{State: folder}, instance("s1", "10.1.0.1", "sales"))
	theirs := successor.serial(t)
	if err := w.server.Resume(); err != nil {
		t.Fatal(err)
	}
	resumed := w.serial(t)
	if !newer(resumed, theirs) {
		t.Errorf("serial %d after %d", resumed, theirs)
	}
	select {
	case <-superseded:
	default:
		t.Error("nobody is told")
	}
	w.wantAnswer(t, "sales.db.example", wire.TypeA, "sales.db.example. A 10.1.0.1")
	w.table.Apply(instance("s2", "10.1.0.2", "sales"))
	w.sync(t)
	if next := w.serial(t); !newer(next, resumed) {
		t.Errorf("serial %d after %d", next, resumed)
	}
}

// What is not on disk, since that is full, counts as well.
func TestNoSerialIsGoneBackTo(t *testing.T) {
	s := serials{path: "/proc/nobody/dns.serial"} // where nothing can be made
	var last uint32
	for version := range uint64(20_000) {
		last, _ = s.next(version * 1000)
	}
	if err := s.resume(); err != nil {
		t.Fatal(err)
	}
	if next, err := s.next(1); err != nil || !newer(next, last) {
		t.Errorf("serial %d after %d: %v", next, last, err)
	}
	if err := new(Server).Resume(); err != nil {
		t.Errorf("where there is no zone yet: %v", err)
	}
}

func TestASerialThatCannotBeKeptIsNotGivenOut(t *testing.T) {
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "dns.serial"), []byte("soon\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &Server{State: folder}
	err := s.Sync(t.Context(), layout().Publish(tableOf().Snapshot()))
	if err == nil || !strings.Contains(err.Error(), "holds no serial") {
		t.Errorf("error: %v", err)
	}
}

func TestATextsVersionIsThatOfItsLastChange(t *testing.T) {
	w := newWorld(t, &Server{}, instance("s1", "10.1.0.1", "sales"))
	before := w.ask(t, "127.0.0.1", question("sales.db.example", wire.TypeTXT)).Answer[0].String()
	w.table.Apply(instance("s2", "10.1.0.2", "sales"))
	w.sync(t)
	got := texts(w.ask(t, "127.0.0.1", question("sales.db.example", wire.TypeTXT)).Answer)
	if len(got) != 2 || !strings.Contains(got[0], `"version=1"`) || !strings.Contains(before, `"version=1"`) || !strings.Contains(got[1], `"version=2"`) {
		t.Errorf("texts are %q", got)
	}
}

func TestTextsMayHoldAnything(t *testing.T) {
	odd := instance("s\"1\\\x00é", "10.1.0.1", "sales")
	odd.Instance += strings.Repeat("x", 300)
	w := newWorld(t, &Server{}, odd)
	got := w.ask(t, "127.0.0.1", question("sales.db.example", wire.TypeTXT)).Answer
	if len(got) != 1 || !strings.HasPrefix(got[0].(*wire.TXT).Txt[0], `instance=s\"1\\\000\195\169xxx`) {
		t.Errorf("answer is %v", got)
	}
}

func TestChangesLeadFromAnyKnownSerialToNow(t *testing.T) {
	w := newWorld(t, &Server{Memory: time.Nanosecond})
	now := func() *zone { return w.server.content.Load().zones[0] }
	editions := []*zone{now()}
	for i := range 150 {
		switch i % 3 {
		case 0:
			w.table.Apply(instance("s1", "10.1.0.1", "sales", "hr"))
		case 1:
			w.table.Mark("s1@10.1.0.1", servicetable.Mark{Kind: servicetable.Draining})
		default:
			w.table.Unmark("s1@10.1.0.1", servicetable.Draining)
			w.table.Drop("s1@10.1.0.1")
		}
		w.sync(t)
		editions = append(editions, now())
	}
	if z := now(); len(z.past) != maxPast {
		t.Errorf("%d changes are kept", len(z.past))
	}
	known := 0
	for _, old := range editions {
		past, there := now().since(old.serial)
		if !there {
			continue
		}
		known++
		records := slices.Clone(old.records)
		for _, c := range past {
			for _, r := range c.gone {
				at := slices.Index(records, r)
				if at < 0 {
					t.Fatalf("%v goes, but was not there", r)
				}
				records = slices.Delete(records, at, at+1)
			}
			records = append(records, c.gained...)
		}
		slices.SortFunc(records, compareRecords)
		if !slices.Equal(records, now().records) {
			t.Errorf("from serial %d: %v, want %v", old.serial, records, now().records)
		}
	}
	if known != maxPast {
		t.Errorf("%d serials are known", known)
	}
}
