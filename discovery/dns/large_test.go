package dns

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"servicebroker/servicetable"
)

// largeServices make a zone of about a quarter of a megabyte.
const largeServices = 600

// largeWorld serves such a zone, which one secondary on loopback may copy if it signs.
func largeWorld(t *testing.T) *world {
	t.Helper()
	all := []servicetable.Registration{instance("s1", "10.1.0.1", "sales")}
	for i := range largeServices {
		all = append(all, instance(fmt.Sprintf("large%d", i), fmt.Sprintf("10.3.%d.%d", i/200, i%200+1), fmt.Sprintf("large%d", i), "everywhere"))
	}
	w := newWorld(t, &Server{Keys: []Key{testKey}, Secondaries: []Secondary{{Addr: netip.MustParseAddrPort("127.0.0.1:9"), Key: testKey.Name}}}, all...)
	w.listen(t, "127.0.0.1:0")
	return w
}

// copyRequest asks for the whole zone, signed.
func copyRequest() *wire.Msg {
	m := new(wire.Msg)
	m.SetAxfr("db.example.")
	m.SetTsig(wire.CanonicalName(testKey.Name), wire.HmacSHA256, fudge, time.Now().Unix())
	return m
}

// framed is a request as it is on the wire, signed if it says so.
func framed(t *testing.T, m *wire.Msg) []byte {
	t.Helper()
	packed, err := m.Pack()
	if m.IsTsig() != nil {
		packed, _, err = wire.TsigGenerate(m.Copy(), testKey.Secret, "", false)
	}
	if err != nil {
		t.Fatal(err)
	}
	return append([]byte{byte(len(packed) >> 8), byte(len(packed))}, packed...)
}

// copied asks for a transfer, and returns the records of each message, and how long the longest was. The signatures are not
// looked at.
func (w *world) copied(t *testing.T, m *wire.Msg) (messages [][]wire.RR, longest int, err error) {
	t.Helper()
	c := dialFrom(t, "127.0.0.1", w.addr)
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := c.Conn.Write(framed(t, m)); err != nil {
		return nil, 0, err
	}
	for last := false; !last; {
		text, err := c.ReadMsgHeader(nil)
		got := new(wire.Msg)
		if err == nil {
			err = got.Unpack(text)
		}
		if err == nil && (got.Rcode != wire.RcodeSuccess || len(got.Answer) == 0) {
			err = fmt.Errorf("answered with %s", wire.RcodeToString[got.Rcode])
		}
		if err != nil {
			return messages, longest, err
		}
		messages, longest = append(messages, got.Answer), max(longest, len(text))
		last = got.Answer[len(got.Answer)-1].Header().Rrtype == wire.TypeSOA && (len(messages) > 1 || len(got.Answer) > 1)
	}
	return messages, longest, nil
}

// zoneTexts are all records of the zone itself, with the SOA at both ends of a transfer.
func (w *world) zoneTexts() []string {
	z := w.server.content.Load().zones[0]
	all := slices.Concat(z.soa.rrs, z.soa.rrs)
	for i := range z.records {
		all = append(all, z.records[i].rr(z.ttl))
	}
	return texts(all)
}

// A zone that is larger than any message is transferred in several, and nothing of it is lost.
func TestAZoneOfMoreThan64KBIsTransferred(t *testing.T) {
	w := largeWorld(t)
	unknown := copyRequest()
	unknown.Question[0].Qtype = wire.TypeIXFR
	unknown.Ns = []wire.RR{&wire.SOA{Hdr: wire.RR_Header{Name: "db.example.", Rrtype: wire.TypeSOA, Class: wire.ClassINET}, Ns: ".", Mbox: ".", Serial: w.serial(t) - 9}}
	for name, m := range map[string]*wire.Msg{"whole": copyRequest(), "since a serial that is not known": unknown} {
		t.Run(name, func(t *testing.T) {
			messages, longest, err := w.copied(t, m)
			if err != nil {
				t.Fatal(err)
			}
			var all []wire.RR
			size := 0
			for _, rrs := range messages {
				all = append(all, rrs...)
				for _, rr := range rrs {
					size += wire.Len(rr)
				}
			}
			if size < 2*wire.MaxMsgSize || len(messages) < size/wire.MaxMsgSize || longest > message+2048 {
				t.Errorf("%d bytes of records in %d messages of %d at most", size, len(messages), longest)
			}
			if got, want := texts(all), w.zoneTexts(); !slices.Equal(got, want) {
				t.Errorf("%d records were copied, the zone has %d", len(got), len(want))
			}
			if all[0].Header().Rrtype != wire.TypeSOA || all[len(all)-1].Header().Rrtype != wire.TypeSOA {
				t.Error("a copy begins and ends with the SOA")
			}
		})
	}
}

// A client that checks the signature of each message finds all of them right.
func TestEachMessageOfALargeTransferIsSigned(t *testing.T) {
	w := largeWorld(t)
	tr := &wire.Transfer{TsigSecret: map[string]string{wire.CanonicalName(testKey.Name): testKey.Secret}}
	ch, err := tr.In(copyRequest(), w.addr)
	if err != nil {
		t.Fatal(err)
	}
	messages := 0
	for e := range ch {
		if messages++; e.Error != nil {
			t.Error(e.Error)
		}
	}
	if messages < 3 {
		t.Errorf("%d messages", messages)
	}
}

// Over UDP an answer that does not fit says to come by TCP, where it is whole.
func TestAnAnswerOfManyRecordsComesWholeByTCP(t *testing.T) {
	w := largeWorld(t)
	c, err := net.Dial("udp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, kind := range []uint16{wire.TypeSRV, wire.TypeA, wire.TypeTXT} {
		m := question("everywhere.db.example", kind)
		if kind == wire.TypeSRV {
			m = question("_oracle._tcp.everywhere.db.example", kind)
		}
		m.IsEdns0().SetUDPSize(65_535)
		datagrams, stream := &wire.Conn{Conn: c, UDPSize: 65_535}, dialFrom(t, "127.0.0.1", w.addr)
		var got [2]*wire.Msg
		for i, by := range []*wire.Conn{datagrams, stream} {
			_ = by.SetDeadline(time.Now().Add(20 * time.Second))
			if err := by.WriteMsg(m); err != nil {
				t.Fatal(err)
			}
			if got[i], err = by.ReadMsg(); err != nil {
				t.Fatal(err)
			}
		}
		got[0].Compress = true
		if short := got[0]; !short.Truncated || short.Len() > maxUDP {
			t.Errorf("%s over UDP: %d bytes, truncated %v", wire.TypeToString[kind], short.Len(), short.Truncated)
		}
		if whole := got[1]; whole.Truncated || len(whole.Answer) != maxRecords {
			t.Errorf("%s over TCP: %d records, truncated %v", wire.TypeToString[kind], len(whole.Answer), whole.Truncated)
		}
	}
}

// Requests for a copy that contradict themselves get a whole copy or none, and strangers get no more bytes than they sent.
func TestHostileTransfers(t *testing.T) {
	w := largeWorld(t)
	soa := func(name string, serial uint32) wire.RR {
		return &wire.SOA{Hdr: wire.RR_Header{Name: name, Rrtype: wire.TypeSOA, Class: wire.ClassINET}, Ns: ".", Mbox: ".", Serial: serial}
	}
	ixfr := func(ns ...wire.RR) *wire.Msg {
		m := copyRequest()
		m.Question[0].Qtype, m.Ns = wire.TypeIXFR, ns
		return m
	}
	now := w.serial(t)
	for name, m := range map[string]*wire.Msg{
		"IXFR without a serial": ixfr(), "IXFR of two serials": ixfr(soa("db.example.", now), soa("db.example.", now-1)), "IXFR since tomorrow": ixfr(soa("db.example.", now+100_000)),
		"IXFR since what is no SOA": ixfr(&wire.NS{Hdr: wire.RR_Header{Name: "db.example.", Rrtype: wire.TypeNS, Class: wire.ClassINET}, Ns: "ns.db.example."}),
	} {
		messages, _, err := w.copied(t, m)
		if err != nil || len(messages) < 2 {
			t.Errorf("%s: %d messages, %v", name, len(messages), err)
		}
	}
	for _, kind := range []uint16{wire.TypeAXFR, wire.TypeIXFR} {
		m := new(wire.Msg)
		m.SetQuestion("db.example.", kind)
		c := dialFrom(t, "127.0.0.2", w.addr)
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		if err := c.WriteMsg(m); err != nil {
			t.Fatal(err)
		}
		got, err := c.ReadMsg()
		if err != nil || got.Rcode != wire.RcodeRefused || got.Len() > m.Len() {
			t.Errorf("a stranger's %s: %v, %v", wire.TypeToString[kind], got, err)
		}
	}
}

// Those who ask for copies and do not read them keep others from copies, in bounds, and nobody from answers.
func TestCopiesThatNobodyReads(t *testing.T) {
	w := largeWorld(t)
	var deaf []*wire.Conn
	for range maxTransfers {
		c := dialFrom(t, "127.0.0.1", w.addr)
		deaf = append(deaf, c)
		_ = c.Conn.(*net.TCPConn).SetReadBuffer(4096)
		if _, err := c.Conn.Write(bytes.Repeat(framed(t, copyRequest()), 100)); err != nil { // for more bytes than the system keeps for anybody
			t.Fatal(err)
		}
	}
	held := func() int { return len(w.server.transfers) }
	await(t, "all copies are under way", func() bool { return held() == maxTransfers })
	if err := exchange(dialFrom(t, "127.0.0.1", w.addr)); err != nil {
		t.Errorf("a question: %v", err)
	}
	await(t, "one copy more is refused", func() bool { // whoever is deaf may still be between two copies that the system keeps for it
		_, _, err := w.copied(t, copyRequest())
		return err != nil
	})
	for _, c := range deaf {
		_ = c.Conn.(*net.TCPConn).SetLinger(0)
		c.Close()
	}
	await(t, "no copy is under way", func() bool { return held() == 0 })
	if messages, _, err := w.copied(t, copyRequest()); err != nil || len(messages) < 2 {
		t.Errorf("a copy afterwards: %d messages, %v", len(messages), err)
	}
}

// await waits until something is so.
func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	ticks := time.NewTicker(5 * time.Millisecond)
	defer ticks.Stop()
	for overdue := time.After(20 * time.Second); !is(); {
		select {
		case <-ticks.C:
		case <-overdue:
			t.Fatalf("it never came that %s", what)
		}
	}
}
