package dns

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	wire "github.com/miekg/dns"
)

func TestQuestionsThatAreNone(t *testing.T) {
	w := newWorld(t, &Server{}, instance("s1", "10.1.0.1", "sales"))
	for name, c := range map[string]struct {
		change func(*wire.Msg)
		want   int
	}{
		"no question":     {func(m *wire.Msg) { m.Question = nil }, wire.RcodeFormatError},
		"two questions":   {func(m *wire.Msg) { m.Question = append(m.Question, m.Question[0]) }, wire.RcodeFormatError},
		"two OPTs":        {func(m *wire.Msg) { m.Extra = append(m.Extra, m.Extra[0]) }, wire.RcodeFormatError},
		"type OPT":        {func(m *wire.Msg) { m.Question[0].Qtype = wire.TypeOPT }, wire.RcodeFormatError},
		"type NXNAME":     {func(m *wire.Msg) { m.Question[0].Qtype = wire.TypeNXNAME }, wire.RcodeFormatError},
		"type MAILA":      {func(m *wire.Msg) { m.Question[0].Qtype = wire.TypeMAILA }, wire.RcodeNotImplemented},
		"EDNS 1":          {func(m *wire.Msg) { m.IsEdns0().SetVersion(1) }, wire.RcodeBadVers},
		"UPDATE":          {func(m *wire.Msg) { m.Opcode = wire.OpcodeUpdate }, wire.RcodeNotImplemented},
		"STATUS":          {func(m *wire.Msg) { m.Opcode = wire.OpcodeStatus }, wire.RcodeNotImplemented},
		"opcode 15":       {func(m *wire.Msg) { m.Opcode = 15 }, wire.RcodeNotImplemented},
		"class ANY":       {func(m *wire.Msg) { m.Question[0].Qclass = wire.ClassANY }, wire.RcodeRefused},
		"another's label": {func(m *wire.Msg) { m.Question[0].Name = `sales\.db.example.` }, wire.RcodeRefused},
	} {
		m := question("sales.db.example", wire.TypeA)
		m.Id = 77
		c.change(m)
		got := w.ask(t, "127.0.0.1", m)
		if got.Rcode != c.want || got.Id != 77 || got.Opcode != m.Opcode || !got.Response || got.Authoritative || got.IsEdns0() == nil || len(got.Answer) > 0 {
			t.Errorf("%s: %v", name, got)
		}
	}
	w.wantRcode(t, `sales\\.db.example`, wire.TypeMX, wire.RcodeNameError) // a label that ends in a backslash
}

func TestWithin(t *testing.T) {
	for name, want := range map[string]bool{
		"db.example.": true, "a.db.example.": true, "a.b.db.example.": true, `a\\.db.example.`: true,
		"example.": false, "xdb.example.": false, `a\.db.example.`: false, `a\\\.db.example.`: false, ".": false, "": false,
	} {
		if got := isWithin(name, "db.example."); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestAnInvitationToTCPKeepsEDNS(t *testing.T) {
	w := newWorld(t, &Server{RateLimit: 1}, instance("s1", "10.1.0.1", "sales"))
	for range 20 {
		if got := w.ask(t, "198.51.100.1", question("sales.db.example", wire.TypeA)); got != nil && got.IsEdns0() == nil {
			t.Fatalf("%v", got)
		}
	}
}

func TestOnlyWholeZonesAreTransferred(t *testing.T) {
	w := newWorld(t, &Server{Secondaries: []Secondary{{Addr: netip.MustParseAddrPort("127.0.0.1:53")}}}, instance("s1", "10.1.0.1", "sales"))
	for _, kind := range []uint16{wire.TypeAXFR, wire.TypeIXFR} {
		a := &asker{from: tcpAddr}
		w.server.ServeDNS(a, question("sales.db.example", kind))
		if a.answer.Rcode != wire.RcodeNotAuth || len(a.answer.Answer) > 0 {
			t.Errorf("%s: %v", wire.TypeToString[kind], a.answer)
		}
	}
}

// signedBy asks over the network with a signature of some time.
func (w *world) signedBy(t *testing.T, k Key, when time.Time) *wire.Msg {
	t.Helper()
	m := question("db.example", wire.TypeSOA)
	m.SetTsig(k.name(), k.algorithm(), fudge, when.Unix())
	packed, mac, err := wire.TsigGenerate(m, k.Secret, "", false)
	if err != nil {
		t.Fatal(err)
	}
	c := dialFrom(t, "127.0.0.1", w.addr)
	if _, err := c.Write(packed); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, wire.MaxMsgSize)
	n, err := c.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	got := new(wire.Msg)
	if err := got.Unpack(buf[:n]); err != nil {
		t.Fatal(err)
	}
	if got.IsTsig() == nil {
		t.Fatalf("no TSIG in %v", got)
	}
	if err := wire.TsigVerify(buf[:n], testKey.Secret, mac, false); got.IsTsig().MAC != "" && err != nil && !errors.Is(err, wire.ErrAuth) { // which is NOTAUTH itself
		t.Errorf("the signature of the answer: %v", err)
	}
	return got
}

func TestSignaturesThatAreWrongAreToldWhy(t *testing.T) {
	w := newWorld(t, &Server{Keys: []Key{testKey}, Secondaries: []Secondary{{Addr: netip.MustParseAddrPort("127.0.0.9:9"), Key: testKey.Name}}}, instance("s1", "10.1.0.1", "sales"))
	w.listen(t, "127.0.0.1:0")
	now := time.Now()
	other, wrong, algorithm, upper := testKey, testKey, testKey, testKey
	other.Name, wrong.Secret, algorithm.Algorithm, upper.Name = "other.example", "d3JvbmctZm9yLWFsbC13ZS1rbm93LTAwMDE=", "hmac-sha512", "TRANSFER.Example"
	for name, c := range map[string]struct {
		key    Key
		when   time.Time
		rcode  int
		why    uint16
		signed bool
		told   string
	}{
		"right": {testKey, now, wire.RcodeSuccess, 0, true, ""}, "right in capitals": {upper, now, wire.RcodeSuccess, 0, true, ""},
		"unknown": {other, now, wire.RcodeNotAuth, wire.RcodeBadKey, false, `no key "other.example" of hmac-sha256`}, "another secret": {wrong, now, wire.RcodeNotAuth, wire.RcodeBadSig, false, `another secret for key "transfer.example"`},
		"another algorithm": {algorithm, now, wire.RcodeNotAuth, wire.RcodeBadKey, false, "of hmac-sha512"},
		"late":              {testKey, now.Add(-time.Hour), wire.RcodeNotAuth, wire.RcodeBadTime, true, "by 1h0m"}, "early": {testKey, now.Add(time.Hour), wire.RcodeNotAuth, wire.RcodeBadTime, true, "by -"},
	} {
		got := w.signedBy(t, c.key, c.when)
		tsig := got.IsTsig()
		if why := whyNotAuth(got, c.key, "db.example."); c.rcode == wire.RcodeNotAuth && !strings.Contains(why, c.told) {
			t.Errorf("%s is told as %q", name, why)
		}
		if got.Rcode != c.rcode || tsig.Error != c.why || (tsig.MAC != "") != c.signed || (len(got.Answer) > 0) != (c.why == 0) {
			t.Errorf("%s: %v", name, got)
		}
		if since := now.Unix() - int64(tsig.TimeSigned); c.why != wire.RcodeBadTime && (since > 60 || since < -60) {
			t.Errorf("%s: signed at %d", name, tsig.TimeSigned)
		}
		if here := fmt.Sprintf("%012x", now.Unix()); c.why == wire.RcodeBadTime && (tsig.OtherData[:8] != here[:8] || tsig.TimeSigned != uint64(c.when.Unix())) {
			t.Errorf("%s: the time here is %s, given is %v", name, here, tsig)
		}
	}
}

func TestADiskThatIsFullKeepsNoZoneBack(t *testing.T) {
	s := serials{path: "/proc/nobody/dns.serial"} // where nothing can be made
	first, err := s.next(1)
	if err != nil || s.trouble() == nil || s.trouble() != nil {
		t.Fatalf("serial %d: %v", first, err)
	}
	second, err := s.next(2)
	if err != nil || second != first+1 || s.trouble() != nil {
		t.Errorf("serial %d after %d: %v", second, first, err)
	}
	s.path = filepath.Join(t.TempDir(), "dns.serial")
	third, err := s.next(3)
	if err != nil || third != second+1 || s.unkept != nil {
		t.Errorf("serial %d after %d: %v, %v", third, second, err, s.unkept)
	}
	again := serials{path: s.path}
	if after, err := again.next(1); err != nil || after <= third {
		t.Errorf("serial %d after %d and a restart: %v", after, third, err)
	}
}

func TestASerialThatIsBehindTheClockIsNotGoneBackTo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dns.serial")
	if err := os.WriteFile(path, []byte("1000\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := serials{path: path}
	if got, err := s.next(1); err != nil || int64(got) < time.Now().Unix() || got > math.MaxUint32/2 {
		t.Errorf("serial %d: %v", got, err)
	}
}

// Who does not see a service does not learn that there was one.
func TestAServiceThatIsGoneIsGoneOnlyForThoseWhoSawIt(t *testing.T) {
	l := layout()
	l.Views = []View{
		{Clients: prefixes("192.0.2.0/24"), Services: func(s string) bool { return s == "hr" }},
		{Clients: prefixes("198.51.100.0/24"), Services: func(s string) bool { return s == "sales" }},
	}
	w := layOut(t, l, &Server{}, instance("s1", "10.1.0.1", "sales"), instance("s2", "10.1.0.2", "hr"))
	state := func(from string) string {
		t.Helper()
		got := w.ask(t, from, question("sales.db.example", wire.TypeTXT))
		if len(got.Answer) == 0 {
			return wire.RcodeToString[got.Rcode]
		}
		return got.Answer[0].(*wire.TXT).Txt[0]
	}
	want := func(all, hr, sales string) {
		t.Helper()
		for from, want := range map[string]string{"203.0.113.1": all, "192.0.2.1": hr, "198.51.100.1": sales} {
			if got := state(from); got != want {
				t.Errorf("%s sees %q, want %q", from, got, want)
			}
		}
	}
	want("instance=s1", "NXDOMAIN", "instance=s1")
	w.table.Drop("s1@10.1.0.1")
	w.sync(t)
	want("state=gone", "NXDOMAIN", "state=gone")
	w.table.Apply(instance("s3", "10.1.0.3", "hr"))
	w.sync(t)
	want("state=gone", "NXDOMAIN", "state=gone")
	slices.Reverse(l.Views) // as a reload would
	w.table.Apply(instance("s4", "10.1.0.4", "hr"))
	w.sync(t)
	want("state=gone", "NXDOMAIN", "NXDOMAIN")
	w.table.Apply(instance("s1", "10.1.0.1", "sales"))
	w.sync(t)
	want("instance=s1", "NXDOMAIN", "instance=s1")
}

func TestEveryDenialIsSignedAndTrue(t *testing.T) {
	w := newWorld(t, &Server{Sign: true, State: t.TempDir()}, instance("s1", "10.1.0.1", "sales.eu"))
	key := w.server.content.Load().zones[0].signer.key
	long := strings.Repeat(strings.Repeat("a", 60)+".", 3) + strings.Repeat("a", 50) + ".db.example"
	odd := strings.Repeat(`\001`, 63) + "." + strings.Repeat(`\255`, 63) + ".db.example"
	for _, c := range []struct {
		name string
		kind uint16
		has  []uint16
	}{
		{"nobody.db.example", wire.TypeA, []uint16{wire.TypeNXNAME}}, {"*.db.example", wire.TypeA, []uint16{wire.TypeNXNAME}}, {"x.*.db.example", wire.TypeA, []uint16{wire.TypeNXNAME}},
		{long, wire.TypeA, []uint16{wire.TypeNXNAME}}, {odd, wire.TypeTXT, []uint16{wire.TypeNXNAME}},
		{"eu.db.example", wire.TypeA, nil}, {"sales.eu.db.example", wire.TypeMX, []uint16{wire.TypeA, wire.TypeTXT}},
		{"db.example", wire.TypeDS, []uint16{wire.TypeA, wire.TypeNS, wire.TypeSOA, wire.TypeDNSKEY}},
		{"nobody.db.example", wire.TypeNSEC, []uint16{wire.TypeNXNAME}}, {"sales.eu.db.example", wire.TypeNSEC, []uint16{wire.TypeA, wire.TypeTXT}},
	} {
		m := question(c.name, c.kind)
		m.IsEdns0().SetDo()
		got := w.ask(t, "127.0.0.1", m)
		section := got.Ns
		if c.kind == wire.TypeNSEC {
			section = got.Answer
		}
		at := slices.IndexFunc(section, func(rr wire.RR) bool { return rr.Header().Rrtype == wire.TypeNSEC })
		if got.Rcode != wire.RcodeSuccess || at < 0 || at+1 >= len(section) {
			t.Errorf("%s: %v", c.name, got)
			continue
		}
		nsec, sig := section[at].(*wire.NSEC), section[at+1].(*wire.RRSIG)
		if err := sig.Verify(key, []wire.RR{nsec}); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		have := slices.DeleteFunc(slices.Clone(nsec.TypeBitMap), func(k uint16) bool { return k == wire.TypeRRSIG || k == wire.TypeNSEC })
		slices.Sort(c.has)
		if slices.Sort(have); !slices.Equal(have, c.has) || len(have)+2 != len(nsec.TypeBitMap) {
			t.Errorf("%s %s: an NSEC says %v", c.name, wire.TypeToString[c.kind], nsec)
		}
	}
	for name, want := range map[string]int{"sales.eu.db.example": 3, "eu.db.example": 1, "nobody.db.example": 1} {
		m := question(name, wire.TypeRRSIG)
		m.IsEdns0().SetDo()
		if got := w.ask(t, "127.0.0.1", m); len(got.Answer) != want || got.Answer[want-1].(*wire.RRSIG).TypeCovered != wire.TypeNSEC {
			t.Errorf("signatures of %s: %v", name, got)
		}
	}
}

// The name after one of 254 or 255 octets would be too long for any message: nothing is said of it.
func TestNothingIsDeniedAfterTheLongestNames(t *testing.T) {
	w := newWorld(t, &Server{Sign: true, State: t.TempDir()}, instance("s1", "10.1.0.1", "sales"))
	for length := 252; length <= maxWire; length++ {
		name := strings.Repeat(strings.Repeat("a", 60)+".", 3)
		name += strings.Repeat("b", length-wireLength(name+"b.db.example.")+1) + ".db.example."
		for _, kind := range []uint16{wire.TypeA, wire.TypeNSEC, wire.TypeRRSIG} {
			m := question(name, kind)
			m.IsEdns0().SetDo()
			a := &asker{from: udp("127.0.0.1")}
			w.server.ServeDNS(a, m)
			said := slices.ContainsFunc(slices.Concat(a.answer.Answer, a.answer.Ns), func(rr wire.RR) bool {
				sig, signs := rr.(*wire.RRSIG)
				return rr.Header().Rrtype == wire.TypeNSEC || signs && sig.TypeCovered == wire.TypeNSEC
			})
			soa := slices.ContainsFunc(a.answer.Ns, func(rr wire.RR) bool { return rr.Header().Rrtype == wire.TypeSOA })
			if fits := length <= 253; wireLength(name) != length || a.answer.Rcode != wire.RcodeSuccess || said != fits || !said && !soa {
				t.Errorf("%s of a name of %d octets (%d): %v", wire.TypeToString[kind], length, wireLength(name), a.answer)
			}
		}
	}
}

// Whoever validates takes no signature whose time has not begun: clocks that were ahead are set back.
func TestASignatureIsGivenOutAgainWhileItsTimeFits(t *testing.T) {
	made, err := newSigner(t.TempDir(), "db.example.")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for after, again := range map[time.Duration]bool{
		0: true, signatureLife - signatureRefresh - time.Minute: true, signatureLife - signatureRefresh: false,
		-time.Minute: false, -2 * signatureAge: false, -1000 * time.Hour: false,
	} {
		set := &rrset{rrs: []wire.RR{made.public(5)}}
		first, second := made.sign(set, now), made.sign(set, now.Add(after))
		if (first == second) != again {
			t.Errorf("%v later the same signature is given out: %v", after, first == second)
		}
		if !second.ValidityPeriod(now.Add(after)) {
			t.Errorf("a signature given out %v later is of another time", after)
		}
	}
}
