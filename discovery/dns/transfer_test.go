package dns

import (
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"servicebroker/servicetable"
)

// transferred asks for the changes since a serial, and returns what came, as text without TTLs.
func (w *world) transferred(t *testing.T, serial uint32) []string {
	t.Helper()
	m := new(wire.Msg)
	m.SetIxfr("db.example.", serial, "ns.db.example.", "hostmaster.db.example.")
	m.SetTsig(wire.CanonicalName(testKey.Name), wire.HmacSHA256, fudge, time.Now().Unix())
	tr := &wire.Transfer{TsigSecret: map[string]string{wire.CanonicalName(testKey.Name): testKey.Secret}}
	ch, err := tr.In(m, w.addr)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for e := range ch {
		if e.Error != nil {
			t.Fatal(e.Error)
		}
		for _, rr := range e.RR {
			all = append(all, texts([]wire.RR{rr})...)
		}
	}
	return all
}

func TestASecondaryGetsOnlyWhatChanged(t *testing.T) {
	w := newWorld(t, &Server{Keys: []Key{testKey}, Secondaries: []Secondary{{Addr: netip.MustParseAddrPort("127.0.0.1:9"), Key: testKey.Name}}},
		instance("s1", "10.1.0.1", "sales"), instance("s2", "10.1.0.2", "sales"))
	w.listen(t, "127.0.0.1:0")
	first := w.serial(t)
	soa := func() string {
		return texts(w.ask(t, "127.0.0.1", question("db.example", wire.TypeSOA)).Answer)[0]
	}
	old := soa()
	w.table.Mark("s2@10.1.0.2", servicetable.Mark{Kind: servicetable.Draining})
	w.sync(t)
	now := soa()
	want := []string{now, old,
		"_oracle._tcp.sales.db.example. SRV 0 100 1521 10-1-0-2.node.db.example.",
		"sales.db.example. A 10.1.0.2",
		`sales.db.example. TXT "instance=s2" "host=10.1.0.2" "state=ready" "version=2"`,
		now,
		`sales.db.example. TXT "instance=s2" "host=10.1.0.2" "state=draining" "version=3"`,
		now}
	if got := w.transferred(t, first); !slices.Equal(got, want) {
		t.Errorf("since %d: %q\nwant %q", first, got, want)
	}
	if got := w.transferred(t, w.serial(t)); !slices.Equal(got, []string{now}) {
		t.Errorf("since now: %q", got)
	}
	whole := w.transferred(t, first-77)
	if len(whole) < 12 || whole[0] != now || whole[len(whole)-1] != now || slices.Contains(whole, old) {
		t.Errorf("since a serial that is not known: %q", whole)
	}
}

func TestIXFROverUDPSaysToComeByTCP(t *testing.T) {
	w := newWorld(t, &Server{Secondaries: []Secondary{{Addr: netip.MustParseAddrPort("127.0.0.1:9")}}}, instance("s1", "10.1.0.1", "sales"))
	m := new(wire.Msg)
	m.SetIxfr("db.example.", 1, "ns.db.example.", "hostmaster.db.example.")
	if got := w.ask(t, "127.0.0.1", m); len(got.Answer) != 1 || got.Answer[0].Header().Rrtype != wire.TypeSOA {
		t.Errorf("answer is %v", got)
	}
	for from, kind := range map[string]uint16{"127.0.0.1": wire.TypeAXFR, "127.0.0.2": wire.TypeIXFR} {
		if got := w.ask(t, from, question("db.example", kind)); got.Rcode != wire.RcodeRefused {
			t.Errorf("%s from %s: %s", wire.TypeToString[kind], from, wire.RcodeToString[got.Rcode])
		}
	}
}

// BIND answers a NOTIFY that comes while its own question still fails, and may forget it then: it would have an old zone, or none,
// until it asks again by itself.
func TestASecondaryThatForgetsANotifyIsToldAgain(t *testing.T) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	w := newWorld(t, &Server{Secondaries: []Secondary{{Addr: conn.LocalAddr().(*net.UDPAddr).AddrPort()}}}, instance("s1", "10.1.0.1", "sales"))
	w.listen(t, "127.0.0.1:0")
	_ = conn.SetDeadline(time.Now().Add(4 * firstReminder))
	ids := map[uint16]bool{}
	for packet := make([]byte, maxUDP); len(ids) < 2; {
		n, from, err := conn.ReadFrom(packet)
		if err != nil {
			t.Fatalf("told %d times: %v", len(ids), err)
		}
		told := new(wire.Msg)
		if err := told.Unpack(packet[:n]); err != nil || told.Opcode != wire.OpcodeNotify || told.Answer[0].(*wire.SOA).Serial != w.serial(t) {
			t.Errorf("told %v: %v", told, err)
		}
		ids[told.Id] = true
		reply, err := new(wire.Msg).SetReply(told).Pack()
		if err == nil {
			_, err = conn.WriteTo(reply, from)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
