package dns

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"servicebroker/servicetable"
)

func TestEveryRecordOfAService(t *testing.T) {
	s1, s2, standby := instance("sales1", "10.1.0.5", "sales"), instance("sales2", "fd00::5", "sales"), instance("sales3", "db3", "sales")
	s2.Load, standby.Tier = 55, 1
	w := newWorld(t, &Server{}, s1, s2, standby)
	version := w.table.Snapshot().Version()
	w.wantAnswer(t, "sales.db.example", wire.TypeA, "sales.db.example. A 10.1.0.5")
	w.wantAnswer(t, "SALES.db.EXAMPLE", wire.TypeAAAA, "sales.db.example. AAAA fd00::5")
	w.wantAnswer(t, "_oracle._tcp.sales.db.example", wire.TypeSRV,
		"_oracle._tcp.sales.db.example. SRV 0 100 1521 10-1-0-5.node.db.example.",
		"_oracle._tcp.sales.db.example. SRV 0 50 1521 fd00--5.node.db.example.",
		"_oracle._tcp.sales.db.example. SRV 10 100 1521 db3.node.db.example.")
	w.wantAnswer(t, "sales.db.example", wire.TypeTXT,
		fmt.Sprintf(`sales.db.example. TXT "instance=sales1" "host=10.1.0.5" "state=ready" "version=%d"`, version),
		fmt.Sprintf(`sales.db.example. TXT "instance=sales2" "host=fd00::5" "state=ready" "version=%d"`, version),
		fmt.Sprintf(`sales.db.example. TXT "instance=sales3" "host=db3" "state=ready" "version=%d"`, version))
	w.wantAnswer(t, "db3.node.db.example", wire.TypeA, "db3.node.db.example. A 10.9.9.9")
	w.wantAnswer(t, "sales2.instance.db.example", wire.TypeAAAA, "sales2.instance.db.example. AAAA fd00::5")
	w.wantAnswer(t, "_oracle._tcp.sales2.instance.db.example", wire.TypeSRV, "_oracle._tcp.sales2.instance.db.example. SRV 0 100 1521 fd00--5.node.db.example.")
	w.wantAnswer(t, "db.example", wire.TypeNS, "db.example. NS ns.db.example.")
	w.wantAnswer(t, "db.example", wire.TypeA, "db.example. A 10.0.0.1")
	w.wantAnswer(t, "ns.db.example", wire.TypeA, "ns.db.example. A 10.0.0.1")
}

func TestOnlyLiveInstancesArePublishedButTheirStateIs(t *testing.T) {
	w := newWorld(t, &Server{}, instance("s1", "10.1.0.1", "sales"), instance("s2", "10.1.0.2", "sales"))
	for _, kind := range []servicetable.MarkKind{servicetable.Draining, servicetable.Ejected, servicetable.Maintenance, servicetable.Quarantined, servicetable.Holding} {
		w.table.Mark("s1@10.1.0.1", servicetable.Mark{Kind: kind})
		w.sync(t)
		w.wantAnswer(t, "sales.db.example", wire.TypeA, "sales.db.example. A 10.1.0.2")
		w.wantAnswer(t, "_oracle._tcp.sales.db.example", wire.TypeSRV, "_oracle._tcp.sales.db.example. SRV 0 100 1521 10-1-0-2.node.db.example.")
		got := w.ask(t, "127.0.0.1", question("sales.db.example", wire.TypeTXT))
		if all := strings.Join(texts(got.Answer), "\n"); !strings.Contains(all, "state="+kind.String()) || !strings.Contains(all, "state=ready") {
			t.Errorf("%s: %s", kind, all)
		}
		w.table.Unmark("s1@10.1.0.1", kind)
	}
}

func TestAnInstanceThatDidNotSayLatelyThatItIsUpComesLater(t *testing.T) {
	stale := instance("s1", "10.1.0.1", "sales")
	stale.Stale = true
	w := newWorld(t, &Server{}, stale)
	w.wantAnswer(t, "sales.db.example", wire.TypeA, "sales.db.example. A 10.1.0.1")
	w.table.Apply(instance("s2", "10.1.0.2", "sales"))
	w.sync(t)
	w.wantAnswer(t, "sales.db.example", wire.TypeA, "sales.db.example. A 10.1.0.2")
	w.wantAnswer(t, "_oracle._tcp.sales.db.example", wire.TypeSRV,
		"_oracle._tcp.sales.db.example. SRV 0 100 1521 10-1-0-2.node.db.example.",
		"_oracle._tcp.sales.db.example. SRV 5 100 1521 10-1-0-1.node.db.example.")
}

func TestNoDataIsNotNoName(t *testing.T) {
	blocked := instance("s1", "10.1.0.1", "sales.eu")
	blocked.Services[0].Flags = 0
	w := newWorld(t, &Server{}, blocked)
	w.wantAnswer(t, "sales.eu.db.example", wire.TypeA)
	w.wantAnswer(t, "eu.db.example", wire.TypeA)
	w.wantAnswer(t, "node.db.example", wire.TypeTXT)
	w.wantAnswer(t, "_tcp.s1.instance.db.example", wire.TypeSRV)
	w.wantAnswer(t, "db.example", wire.TypeMX)
	for _, name := range []string{"crm.db.example", "x.sales.eu.db.example", "_oracle._tcp.sales.eu.db.example", "*.db.example"} {
		if got := w.wantRcode(t, name, wire.TypeA, wire.RcodeNameError); len(got.Ns) != 1 || !got.Authoritative {
			t.Errorf("%s: authority is %v", name, got.Ns)
		}
	}
}

func TestWhatIsNotOursIsRefused(t *testing.T) {
	w := newWorld(t, &Server{}, instance("s1", "10.1.0.1", "sales"))
	for _, name := range []string{"example", "www.example.org", ".", "xdb.example", "version.bind"} {
		got := w.wantRcode(t, name, wire.TypeA, wire.RcodeRefused)
		if got.RecursionAvailable || got.Authoritative || len(got.Ns) > 0 {
			t.Errorf("%s: %v", name, got)
		}
	}
	m := question("sales.db.example", wire.TypeTXT)
	m.Question[0].Qclass = wire.ClassCHAOS
	if got := w.ask(t, "127.0.0.1", m); got.Rcode != wire.RcodeRefused {
		t.Errorf("class CH: %s", wire.RcodeToString[got.Rcode])
	}
	w.wantAnswer(t, "db.example", wire.TypeANY, `db.example. HINFO "RFC8482" ""`)
	m = question("db.example", wire.TypeSOA)
	m.Opcode = wire.OpcodeNotify
	if got := w.ask(t, "127.0.0.1", m); got.Rcode != wire.RcodeNotImplemented {
		t.Errorf("NOTIFY: %s", wire.RcodeToString[got.Rcode])
	}
	m = question("db.example", wire.TypeSOA)
	m.IsEdns0().SetVersion(1)
	if got := w.ask(t, "127.0.0.1", m); got.Rcode != wire.RcodeBadVers {
		t.Errorf("EDNS version 1: %s", wire.RcodeToString[got.Rcode])
	}
}

func TestAnswersBeforeAnythingIsKnown(t *testing.T) {
	w := &world{server: &Server{}}
	w.wantRcode(t, "sales.db.example", wire.TypeA, wire.RcodeServerFailure)
}

func TestAServiceThatIsGoneKeepsItsNameForAWhile(t *testing.T) {
	w := newWorld(t, &Server{Memory: time.Hour}, instance("s1", "10.1.0.1", "sales", "hr"))
	w.table.Drop("s1@10.1.0.1")
	w.sync(t)
	w.wantAnswer(t, "sales.db.example", wire.TypeA)
	version := w.table.Snapshot().Version()
	w.wantAnswer(t, "sales.db.example", wire.TypeTXT, fmt.Sprintf(`sales.db.example. TXT "state=gone" "version=%d"`, version))
	w.table.Apply(instance("s1", "10.1.0.1", "sales"))
	w.sync(t)
	w.wantAnswer(t, "sales.db.example", wire.TypeA, "sales.db.example. A 10.1.0.1")
	w.wantAnswer(t, "hr.db.example", wire.TypeA)

	w.server.gone["hr.db.example."] = time.Now()
	w.sync(t)
	w.wantRcode(t, "hr.db.example", wire.TypeA, wire.RcodeNameError)
}

// Names that come and go with each message of an instance would fill every zone.
func TestOfManyServicesThatAreGoneTheLastKeepTheirNames(t *testing.T) {
	const atOnce = maxGone/2 + 100
	w := newWorld(t, &Server{Memory: time.Hour}, instance("s1", "10.1.0.1", "sales"))
	for round := range 4 {
		r := instance("many", "10.1.0.2")
		for i := range atOnce {
			r.Services = append(r.Services, servicetable.Service{Name: fmt.Sprintf("round%d-%d", round, i), Flags: servicetable.FlagUnblocked})
		}
		w.table.Apply(r)
		w.sync(t)
		if n := len(w.server.gone); n != min(round*atOnce, maxGone) {
			t.Errorf("%d names are kept after round %d", n, round)
		}
	}
	w.wantRcode(t, "round0-1.db.example", wire.TypeTXT, wire.RcodeNameError)
	for name, want := range map[string]string{"round2-1": "state=gone", "round3-1": "instance=many", "sales": "instance=s1"} {
		got := w.ask(t, "127.0.0.1", question(name+".db.example", wire.TypeTXT))
		if len(got.Answer) != 1 || got.Answer[0].(*wire.TXT).Txt[0] != want {
			t.Errorf("%s: %v, want %s", name, got.Answer, want)
		}
	}
}

func TestBrokersInPlaceOfInstances(t *testing.T) {
	l := layout()
	l.ToBrokers = true
	l.Brokers = append(l.Brokers, netip.MustParseAddrPort("[fd00::1]:1522"))
	w := layOut(t, l, &Server{}, instance("s1", "10.1.0.1", "sales"), instance("s2", "10.1.0.2", "hr"))
	w.table.Mark("s2@10.1.0.2", servicetable.Mark{Kind: servicetable.Maintenance})
	w.sync(t)
	w.wantAnswer(t, "sales.db.example", wire.TypeA, "sales.db.example. A 10.0.0.1")
	w.wantAnswer(t, "sales.db.example", wire.TypeAAAA, "sales.db.example. AAAA fd00::1")
	w.wantAnswer(t, "_oracle._tcp.sales.db.example", wire.TypeSRV,
		"_oracle._tcp.sales.db.example. SRV 0 100 1521 10-0-0-1.broker.node.db.example.",
		"_oracle._tcp.sales.db.example. SRV 0 100 1522 fd00--1.broker.node.db.example.")
	w.wantAnswer(t, "hr.db.example", wire.TypeA)
	w.table.Unmark("s2@10.1.0.2", servicetable.Maintenance)
	w.table.Mark("s2@10.1.0.2", servicetable.Mark{Kind: servicetable.Holding}) // where the broker has clients wait
	w.sync(t)
	w.wantAnswer(t, "hr.db.example", wire.TypeA, "hr.db.example. A 10.0.0.1")
}

func TestViewsByTheClientsNetwork(t *testing.T) {
	l := layout()
	l.Views = []View{{
		Clients: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
		Map: func(host string, port int) (string, int) {
			if host == "10.1.0.1" {
				return "203.0.113.7", 1601
			}
			return host, port
		},
	}}
	w := layOut(t, l, &Server{}, instance("s1", "10.1.0.1", "sales"), instance("s2", "10.1.0.2", "sales"))
	for from, want := range map[string]string{"192.0.2.9": "10.1.0.2 203.0.113.7", "192.0.3.9": "10.1.0.1 10.1.0.2", "::ffff:192.0.2.9": "10.1.0.2 203.0.113.7"} {
		got := w.ask(t, from, question("sales.db.example", wire.TypeA))
		var addrs []string
		for _, rr := range got.Answer {
			addrs = append(addrs, rr.(*wire.A).A.String())
		}
		slices.Sort(addrs)
		if strings.Join(addrs, " ") != want {
			t.Errorf("from %s: %s, want %s", from, addrs, want)
		}
	}
	got := w.ask(t, "192.0.2.9", question("_oracle._tcp.sales.db.example", wire.TypeSRV))
	if all := strings.Join(texts(got.Answer), "\n"); !strings.Contains(all, "0 100 1601 203-0-113-7.node.db.example.") {
		t.Errorf("SRV in a view: %s", all)
	}
}

func TestNamesOfAddresses(t *testing.T) {
	l := layout()
	l.Reverse = []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd00::/16"), netip.MustParsePrefix("10.2.0.0/15")}
	w := layOut(t, l, &Server{}, instance("s1", "10.1.0.1", "sales"), instance("s2", "fd00::2", "sales"))
	w.wantAnswer(t, "1.0.1.10.in-addr.arpa", wire.TypePTR, "1.0.1.10.in-addr.arpa. PTR 10-1-0-1.node.db.example.")
	six, _ := wire.ReverseAddr("fd00::2")
	w.wantAnswer(t, six, wire.TypePTR, six+" PTR fd00--2.node.db.example.")
	w.wantRcode(t, "2.0.1.10.in-addr.arpa", wire.TypePTR, wire.RcodeNameError)
	w.wantRcode(t, "1.0.2.10.in-addr.arpa", wire.TypePTR, wire.RcodeRefused)
	w.wantAnswer(t, "1.10.in-addr.arpa", wire.TypeNS, "1.10.in-addr.arpa. NS ns.db.example.")
	if p := l.Publish(w.table.Snapshot()).Problems; len(p) != 1 || !strings.Contains(p[0], "10.2.0.0/15") {
		t.Errorf("problems: %q", p)
	}
}

func TestAddressesAreOnlyWhatIsKnown(t *testing.T) {
	elsewhere := instance("s1", "db1", "sales")
	elsewhere.Handlers[0].Host = "scan.example.com"
	l := layout()
	w := layOut(t, l, &Server{}, elsewhere)
	w.wantAnswer(t, "_oracle._tcp.sales.db.example", wire.TypeSRV, "_oracle._tcp.sales.db.example. SRV 0 100 1521 scan.example.com.")
	w.wantAnswer(t, "sales.db.example", wire.TypeA)
	if p := l.Publish(w.table.Snapshot()).Problems; len(p) != 1 || !strings.Contains(p[0], "scan.example.com") {
		t.Errorf("problems: %q", p)
	}
	l.Resolve = func(host string) []netip.Addr { return []netip.Addr{netip.MustParseAddr("10.7.7.7")} }
	w.sync(t)
	w.wantAnswer(t, "sales.db.example", wire.TypeA, "sales.db.example. A 10.7.7.7")
}

func TestAnswersAreCutToWhatFits(t *testing.T) {
	var all []servicetable.Registration
	for i := range maxRecords {
		all = append(all, instance(fmt.Sprintf("s%03d", i), fmt.Sprintf("10.1.%d.%d", i/100, i%100+1), "sales"))
	}
	w := newWorld(t, &Server{}, all...)
	for _, size := range []uint16{0, 100, 512, 700, 1232, 4096, 65_535} {
		m := question("_oracle._tcp.sales.db.example", wire.TypeSRV)
		limit := 512
		if size == 0 {
			m.Extra = nil
		} else {
			m.IsEdns0().SetUDPSize(size)
			limit = min(max(int(size), 512), 1232)
		}
		got := w.ask(t, "127.0.0.1", m)
		got.Compress = true
		if n := got.Len(); !got.Truncated || n > limit || n < limit-200 || (got.IsEdns0() != nil) != (size > 0) {
			t.Errorf("size %d: %d bytes of %d, truncated %v", size, n, limit, got.Truncated)
		}
	}
	a := &asker{from: tcpAddr}
	w.server.ServeDNS(a, question("_oracle._tcp.sales.db.example", wire.TypeSRV))
	if a.answer.Truncated || len(a.answer.Answer) != maxRecords {
		t.Errorf("over TCP: %d records, truncated %v", len(a.answer.Answer), a.answer.Truncated)
	}
}

func TestAddressesBesideAnSRVAreLeftOutWithoutTruncation(t *testing.T) {
	var all []servicetable.Registration
	for i := range 14 {
		all = append(all, instance(fmt.Sprintf("s%d", i), fmt.Sprintf("10.1.0.%d", i+1), "sales"))
	}
	w := newWorld(t, &Server{}, all...)
	m := question("_oracle._tcp.sales.db.example", wire.TypeSRV)
	full := w.ask(t, "127.0.0.1", m)
	m.IsEdns0().SetUDPSize(800)
	cut := w.ask(t, "127.0.0.1", m)
	if len(full.Extra) != 15 || len(cut.Answer) != 14 || cut.Truncated || len(cut.Extra) != 1 {
		t.Errorf("%d answers, %d more at first, %d and %d, truncated %v", len(full.Answer), len(full.Extra), len(cut.Answer), len(cut.Extra), cut.Truncated)
	}
}

func TestClientsThatTakeTheFirstAreSpread(t *testing.T) {
	w := newWorld(t, &Server{}, instance("s1", "10.1.0.1", "sales"), instance("s2", "10.1.0.2", "sales"))
	first := map[string]int{}
	for range 10 {
		first[w.ask(t, "127.0.0.1", question("sales.db.example", wire.TypeA)).Answer[0].String()]++
	}
	if len(first) != 2 {
		t.Errorf("first were %v", first)
	}
}

func TestOfManyInstancesTheBestArePublished(t *testing.T) {
	var all []servicetable.Registration
	for i := range 250 {
		one := instance(fmt.Sprintf("s%03d", i), fmt.Sprintf("10.1.%d.%d", i/100, i%100+1), "sales")
		one.Load = uint32(i % 2 * 90)
		all = append(all, one)
	}
	l := layout()
	l.Reverse = prefixes("10.1.0.0/16")
	p := l.Publish(tableOf(all...).Snapshot())
	count := map[string]int{}
	for _, z := range p.Zones {
		for i := range z.Records {
			r := &z.Records[i]
			if count[r.Name+wire.TypeToString[r.Type]]++; count[r.Name+wire.TypeToString[r.Type]] > maxRecords {
				t.Fatalf("%s has too many", r.Name)
			}
			if r.Name == "_oracle._tcp.sales.db.example." && r.Weight != 100 {
				t.Errorf("one that is loaded is published, one that is not is left out: %+v", r)
			}
		}
	}
	if count["sales.db.example.A"] != maxRecords || count["sales.db.example.TXT"] != maxRecords || len(p.Problems) != 2 ||
		!strings.Contains(p.Problems[0], "sales.db.example. has 250 TXT records") || !strings.Contains(p.Problems[1], "250 live instances") {
		t.Errorf("%d addresses, %d texts, problems %q", count["sales.db.example.A"], count["sales.db.example.TXT"], p.Problems)
	}
}
