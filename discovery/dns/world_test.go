package dns

import (
	"context"
	"net"
	"net/netip"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	wire "github.com/miekg/dns"
	"go.uber.org/goleak"

	"servicebroker/servicetable"
	"servicebroker/testenv/stage"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// instance is one that offers services, all of them ready, at port 1521 of its host.
func instance(name, host string, services ...string) servicetable.Registration {
	r := servicetable.Registration{ID: servicetable.ID(name + "@" + host), Instance: name, Host: host, Max: 100, Peer: netip.MustParseAddr("10.9.9.9")}
	h := servicetable.Handler{Name: "DEDICATED", Host: host, Port: 1521, Max: 50}
	for i, s := range services {
		r.Services = append(r.Services, servicetable.Service{Name: s, Flags: servicetable.FlagUnblocked, Goodness: 1, Delta: 1})
		h.Services = append(h.Services, i)
	}
	r.Handlers = []servicetable.Handler{h}
	return r
}

func tableOf(all ...servicetable.Registration) *servicetable.Table {
	table := &servicetable.Table{}
	for _, r := range all {
		table.Apply(r)
	}
	return table
}

// layout is that of most tests.
func layout() *Layout {
	return &Layout{Zone: "db.example", Brokers: []netip.AddrPort{netip.MustParseAddrPort("10.0.0.1:1521")}}
}

// world is a table, served.
type world struct {
	layout *Layout
	table  *servicetable.Table
	server *Server
	addr   string // of the server, once it listens
}

func newWorld(t testing.TB, server *Server, all ...servicetable.Registration) *world {
	t.Helper()
	return layOut(t, layout(), server, all...)
}

// layOut is newWorld with a layout of its own.
func layOut(t testing.TB, l *Layout, server *Server, all ...servicetable.Registration) *world {
	t.Helper()
	w := &world{layout: l, table: tableOf(all...), server: server}
	w.sync(t)
	return w
}

// sync does what a mirror would.
func (w *world) sync(t testing.TB) {
	t.Helper()
	if err := w.server.Sync(t.Context(), w.layout.Publish(w.table.Snapshot())); err != nil {
		t.Fatal(err)
	}
}

// listen serves until the test ends.
func (w *world) listen(t testing.TB, address string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	sockets, err := Listen(ctx, address)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	w.addr = sockets.TCP.Addr().String()
	done := make(chan error)
	go func() { done <- w.server.Run(ctx, sockets) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// asker is a client's side of one question that needs no network.
type asker struct {
	wire.ResponseWriter
	from   net.Addr
	tsig   error
	answer *wire.Msg
	wrong  error // with that
}

func (a *asker) RemoteAddr() net.Addr { return a.from }
func (a *asker) TsigStatus() error    { return a.tsig }
func (a *asker) WriteMsg(m *wire.Msg) error {
	a.answer = new(wire.Msg)
	packed, err := m.Pack()
	if err == nil {
		err = a.answer.Unpack(packed)
	}
	a.wrong = err
	return err
}

func udp(addr string) net.Addr {
	return net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(addr), 4000))
}

var tcpAddr net.Addr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4000}

// ask asks from an address over UDP; nil if there is no answer.
func (w *world) ask(t testing.TB, from string, m *wire.Msg) *wire.Msg {
	t.Helper()
	a := &asker{from: udp(from)}
	w.server.ServeDNS(a, m)
	return a.answer
}

func question(name string, kind uint16) *wire.Msg {
	m := new(wire.Msg)
	m.SetQuestion(wire.Fqdn(name), kind)
	m.SetEdns0(1232, false)
	return m
}

// texts are the records of a section without TTLs and OPT, sorted.
func texts(section []wire.RR) []string {
	var all []string
	for _, rr := range section {
		if rr.Header().Rrtype != wire.TypeOPT {
			fields := strings.Fields(rr.String())
			all = append(all, strings.Join(append(fields[:1:1], fields[3:]...), " "))
		}
	}
	slices.Sort(all)
	return all
}

// wantAnswer asks and compares.
func (w *world) wantAnswer(t *testing.T, name string, kind uint16, want ...string) {
	t.Helper()
	got := w.ask(t, "127.0.0.1", question(name, kind))
	slices.Sort(want)
	if all := texts(got.Answer); got.Rcode != wire.RcodeSuccess || !got.Authoritative || !slices.Equal(all, want) {
		t.Errorf("%s %s: %s\n%s\nwant\n%s", name, wire.TypeToString[kind], wire.RcodeToString[got.Rcode], strings.Join(all, "\n"), strings.Join(want, "\n"))
	}
	if len(want) == 0 && (len(got.Ns) != 1 || got.Ns[0].Header().Rrtype != wire.TypeSOA || got.Ns[0].Header().Ttl != 5) {
		t.Errorf("%s %s: no data needs an SOA that lets it be forgotten soon, has %v", name, wire.TypeToString[kind], got.Ns)
	}
}

// wantRcode asks for something that has no answer.
func (w *world) wantRcode(t *testing.T, name string, kind uint16, want int) *wire.Msg {
	t.Helper()
	got := w.ask(t, "127.0.0.1", question(name, kind))
	if got.Rcode != want || len(got.Answer) > 0 {
		t.Errorf("%s %s: %s %v, want %s", name, wire.TypeToString[kind], wire.RcodeToString[got.Rcode], got.Answer, wire.RcodeToString[want])
	}
	return got
}

// tool is the path of a program that scripts/testdeps installs.
func tool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if path, err = exec.LookPath(filepath.Join("/usr/sbin", name)); err != nil {
			t.Skipf("%s is not installed: run scripts/testdeps", name)
		}
	}
	return path
}

// output runs a program to its end.
func output(t testing.TB, name string, arguments ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, tool(t, name), arguments...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(arguments, " "), err, out)
	}
	return string(out)
}

// freePort is one on loopback that nobody uses over either protocol, below those that systems hand out by themselves.
func freePort(t testing.TB) int {
	t.Helper()
	at, err := stage.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	return int(netip.MustParseAddrPort(at).Port())
}

func at(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }

func prefixes(texts ...string) []netip.Prefix {
	all := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		all[i] = netip.MustParsePrefix(text)
	}
	return all
}
