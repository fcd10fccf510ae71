package dns

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	wire "github.com/miekg/dns"
)

func TestAnswersToANetworkAreBounded(t *testing.T) {
	w := newWorld(t, &Server{RateLimit: 50}, instance("s1", "10.1.0.1", "sales"))
	full, slipped := 0, 0
	for i := range 2000 {
		got := w.ask(t, "198.51.100."+string(rune('0'+i%10)), question("sales.db.example", wire.TypeA))
		switch {
		case got == nil:
		case got.Truncated && len(got.Answer) == 0:
			slipped++
		case len(got.Answer) == 1:
			full++
		}
	}
	if full < 50 || full > 150 || slipped < 800 || slipped > 1000 {
		t.Errorf("%d answers and %d invitations to TCP for 2000 questions from a network", full, slipped)
	}
	for _, from := range []string{"198.51.101.1", "127.0.0.1", "fd00::1"} {
		if got := w.ask(t, from, question("sales.db.example", wire.TypeA)); got == nil || len(got.Answer) != 1 {
			t.Errorf("%s got %v", from, got)
		}
	}
	a := &asker{from: tcpAddr}
	w.server.ServeDNS(a, question("sales.db.example", wire.TypeA))
	if a.answer == nil || len(a.answer.Answer) != 1 {
		t.Error("TCP is bounded, which nobody can forge")
	}
}

func TestTheBoundComesBackWithTime(t *testing.T) {
	r := newRates(10, nil)
	from, now := netip.MustParseAddr("198.51.100.1"), time.Unix(1_000_000, 0)
	count := func() (n int) {
		for range 100 {
			if r.judge(from, now) == send {
				n++
			}
		}
		return n
	}
	if n := count(); n != 10 {
		t.Errorf("%d at first", n)
	}
	now = now.Add(500 * time.Millisecond)
	if n := count(); n != 5 {
		t.Errorf("%d after half a second", n)
	}
	now = now.Add(time.Hour)
	if n := count(); n != 10 {
		t.Errorf("%d after an hour", n)
	}
	if r := newRates(10, []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}); r.judge(netip.MustParseAddr("::ffff:198.51.100.1"), now) != send {
		t.Error("an exempt network is bounded")
	}
}

func FuzzServeDNS(f *testing.F) {
	seed := func(m *wire.Msg) {
		if packed, err := m.Pack(); err == nil {
			f.Add(packed)
		}
	}
	for _, name := range []string{"sales.db.example", "_oracle._tcp.sales.db.example", "db.example", "nobody.db.example", "."} {
		for _, kind := range []uint16{wire.TypeA, wire.TypeSRV, wire.TypeTXT, wire.TypeANY, wire.TypeSOA, wire.TypeDNSKEY, wire.TypeAXFR, wire.TypeIXFR} {
			m := question(name, kind)
			m.IsEdns0().SetDo()
			seed(m)
		}
	}
	for _, kind := range []uint16{wire.TypeNSEC, wire.TypeRRSIG} { // of a name of 254 octets, one more than has a next one
		m := question(strings.Repeat(strings.Repeat("a", 60)+".", 3)+strings.Repeat("a", 58)+".db.example", kind)
		m.IsEdns0().SetDo()
		seed(m)
	}
	w := newWorld(f, &Server{Sign: true, State: f.TempDir()}, instance("s1", "10.1.0.1", "sales"))
	f.Fuzz(func(t *testing.T, packet []byte) {
		m := new(wire.Msg)
		if m.Unpack(packet) != nil {
			return
		}
		for _, from := range []*asker{{from: udp("127.0.0.1")}, {from: tcpAddr}} {
			w.server.ServeDNS(from, m)
			if from.answer == nil || from.wrong != nil {
				t.Fatalf("no answer that can be read: %v, %v", from.answer, from.wrong)
			}
			if len(m.Question) == 1 && from.answer.Rcode == wire.RcodeSuccess && within(w.server.content.Load().zones, wire.CanonicalName(m.Question[0].Name)) == nil {
				t.Fatalf("an answer to %v", m.Question)
			}
			from.answer.Compress = true
			if n := from.answer.Len(); from.from != tcpAddr && n > maxUDP {
				t.Fatalf("%d bytes over UDP", n)
			}
		}
	})
}

// BenchmarkAnswers counts what dnsperf gets answered in three seconds over UDP, on the processors it shares with the server.
func BenchmarkAnswers(b *testing.B) {
	for _, signed := range []bool{false, true} {
		b.Run(fmt.Sprintf("signed=%v", signed), func(b *testing.B) {
			w := newWorld(b, &Server{Sign: signed, State: b.TempDir()}, instance("s1", "10.1.0.1", "sales"), instance("s2", "10.1.0.2", "sales"))
			w.listen(b, "127.0.0.1:0")
			server, port, _ := strings.Cut(w.addr, ":")
			questions := filepath.Join(b.TempDir(), "questions")
			if err := os.WriteFile(questions, []byte("_oracle._tcp.sales.db.example SRV\n"), 0o600); err != nil {
				b.Fatal(err)
			}
			arguments := []string{"-s", server, "-p", port, "-d", questions, "-l", "3", "-c", "8", "-q", "400"}
			if signed {
				arguments = append(arguments, "-D")
			}
			for range min(b.N, 1) {
				report := output(b, "dnsperf", arguments...)
				rate := regexp.MustCompile(`Queries per second:\s+(\d+)`).FindStringSubmatch(report)
				if rate == nil {
					b.Fatal(report)
				}
				perSecond, _ := strconv.ParseFloat(rate[1], 64)
				b.ReportMetric(perSecond, "answers/s")
			}
		})
	}
}

func BenchmarkServeDNS(b *testing.B) {
	w := newWorld(b, &Server{}, instance("s1", "10.1.0.1", "sales"), instance("s2", "10.1.0.2", "sales"))
	a := &silent{from: udp("127.0.0.1")}
	m := question("_oracle._tcp.sales.db.example", wire.TypeSRV)
	b.ReportAllocs()
	for b.Loop() {
		w.server.ServeDNS(a, m)
	}
}

// silent is a client that packs its answer and forgets it.
type silent struct {
	wire.ResponseWriter
	from net.Addr
	buf  [4096]byte
}

func (s *silent) RemoteAddr() net.Addr { return s.from }
func (s *silent) TsigStatus() error    { return nil }
func (s *silent) WriteMsg(m *wire.Msg) error {
	_, err := m.PackBuffer(s.buf[:])
	return err
}

// BenchmarkTenThousand is a change in a table of ten thousand instances, from the snapshot to the answers.
func BenchmarkTenThousand(b *testing.B) {
	w := newWorld(b, &Server{})
	for i := range 10_000 {
		w.table.Apply(instance(fmt.Sprintf("i%d", i), fmt.Sprintf("10.%d.%d.%d", 1+i/40_000, i/200, i%200+1), fmt.Sprintf("s%d", i%2000)))
	}
	w.sync(b)
	for b.Loop() {
		w.table.Apply(instance("i1", "10.1.0.2", "s1"))
		w.table.Drop("i1@10.1.0.2")
		w.sync(b)
	}
}
