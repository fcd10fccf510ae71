package dns

import (
	"testing"
	"time"

	"github.com/libdns/libdns"
	wire "github.com/miekg/dns"
)

func proof(name, text string) []libdns.Record {
	return []libdns.Record{libdns.TXT{Name: name, Text: text, TTL: time.Second}}
}

func TestProofsStandInTheZoneUntilTheyAreTakenAway(t *testing.T) {
	w := newWorld(t, &Server{}, instance("s1", "10.1.0.1", "sales"))
	before := w.serial(t)
	for _, text := range []string{"one", "two", "two"} {
		if _, err := w.server.AppendRecords(t.Context(), "db.example.", proof("_acme-challenge.sales", text)); err != nil {
			t.Fatal(err)
		}
	}
	w.wantAnswer(t, "_acme-challenge.sales.db.example", wire.TypeTXT, `_acme-challenge.sales.db.example. TXT "one"`, `_acme-challenge.sales.db.example. TXT "two"`)
	if now := w.serial(t); !newer(now, before) {
		t.Errorf("serial %d after %d", now, before)
	}
	w.table.Apply(instance("s2", "10.1.0.2", "hr"))
	w.sync(t)
	w.wantAnswer(t, "sales.db.example", wire.TypeA, "sales.db.example. A 10.1.0.1")
	if _, err := w.server.DeleteRecords(t.Context(), "db.example.", proof("_acme-challenge.sales", "one")); err != nil {
		t.Fatal(err)
	}
	w.wantAnswer(t, "_acme-challenge.sales.db.example", wire.TypeTXT, `_acme-challenge.sales.db.example. TXT "two"`)
	if _, err := w.server.DeleteRecords(t.Context(), "db.example.", proof("_acme-challenge.sales", "two")); err != nil {
		t.Fatal(err)
	}
	w.wantRcode(t, "_acme-challenge.sales.db.example", wire.TypeTXT, wire.RcodeNameError)
}

func TestProofsOfOtherThingsAreRefused(t *testing.T) {
	w := newWorld(t, &Server{})
	if _, err := w.server.AppendRecords(t.Context(), "example.", proof("_acme-challenge.www", "x")); err == nil {
		t.Error("a name outside of the zone was taken")
	}
	if _, err := w.server.AppendRecords(t.Context(), "db.example.", []libdns.Record{libdns.CNAME{Name: "x", Target: "y."}}); err == nil {
		t.Error("an alias was taken for a proof")
	}
}

func TestProofsThatComeBeforeTheTable(t *testing.T) {
	w := &world{layout: layout(), table: tableOf(), server: &Server{}}
	if _, err := w.server.AppendRecords(t.Context(), "db.example.", proof("_acme-challenge", "early")); err != nil {
		t.Fatal(err)
	}
	w.sync(t)
	w.wantAnswer(t, "_acme-challenge.db.example", wire.TypeTXT, `_acme-challenge.db.example. TXT "early"`)
}

func TestANewTTLIsThatOfAllRecords(t *testing.T) {
	w := newWorld(t, &Server{}, instance("s1", "10.1.0.1", "sales"))
	before := w.serial(t)
	w.layout.TTL = time.Minute
	w.sync(t)
	got := w.ask(t, "127.0.0.1", question("sales.db.example", wire.TypeA))
	if len(got.Answer) != 1 || got.Answer[0].Header().Ttl != 60 || !newer(w.serial(t), before) {
		t.Errorf("%v, serial %d after %d", got.Answer, w.serial(t), before)
	}
	if z := w.server.content.Load().zones[0]; len(z.past) > 0 {
		t.Error("secondaries would keep the old TTL")
	}
}

func TestAViewShowsItsServicesAlone(t *testing.T) {
	l := layout()
	l.Views = []View{
		{Clients: prefixes("192.0.2.0/24"), Services: func(s string) bool { return s == "sales" }},
		{Clients: prefixes("192.0.2.7/32"), Map: func(string, int) (string, int) { return "198.51.100.1", 9 }},
	}
	w := layOut(t, l, &Server{}, instance("s1", "10.1.0.1", "sales"), instance("h1", "10.1.0.2", "hr"))
	for from, want := range map[string]map[string]string{
		"127.0.0.1": {"sales": "10.1.0.1", "hr": "10.1.0.2", "h1.instance": "10.1.0.2"},
		"192.0.2.1": {"sales": "10.1.0.1", "hr": "", "h1.instance": "", "10-1-0-2.node": ""},
		"192.0.2.7": {"sales": "198.51.100.1", "hr": "198.51.100.1"}, // the smallest network counts
	} {
		for name, addr := range want {
			got := w.ask(t, from, question(name+".db.example", wire.TypeA))
			switch {
			case addr == "" && got.Rcode != wire.RcodeNameError:
				t.Errorf("%s sees %s: %v", from, name, got)
			case addr != "" && (len(got.Answer) != 1 || got.Answer[0].(*wire.A).A.String() != addr):
				t.Errorf("%s: %s is %v, want %s", from, name, got.Answer, addr)
			}
		}
	}
}
