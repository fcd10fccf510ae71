package registration

import (
	"context"
	"encoding/hex"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"servicebroker/registration/nsgr"
	"servicebroker/servicetable"
	"servicebroker/tns"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// plainConnect is what a database asks.
const plainConnect = "(CONNECT_DATA=(COMMAND=service_register_NSGR))"

// addressed is a connection between addresses of our choice.
type addressed struct {
	net.Conn
	local, remote net.Addr
}

func (a *addressed) LocalAddr() net.Addr  { return a.local }
func (a *addressed) RemoteAddr() net.Addr { return a.remote }

func tcp(address string) net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(address))
}

// table stands for the service table and notes who did what to it.
type table struct {
	mu      sync.Mutex
	now     map[servicetable.ID]servicetable.Registration
	history []string // "apply orcl", "drop"
	events  []Event
}

func (s *table) apply(r servicetable.Registration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now[r.ID] = r
	s.history = append(s.history, "apply "+r.Instance)
}

func (s *table) drop(id servicetable.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.now[id]; !known {
		s.history = append(s.history, "drop of an unknown registration")
	}
	delete(s.now, id)
	s.history = append(s.history, "drop")
}

func (s *table) report(e Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, e)
}

// registered returns what is in the table, by instance.
func (s *table) registered() []servicetable.Registration {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []servicetable.Registration
	for _, r := range s.now {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b servicetable.Registration) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return all
}

func (s *table) count(kind EventKind) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.events {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

// logged is a log that can be searched while it is written.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *logged) count(text string) int { return strings.Count(l.String(), text) }

// broker is a Server with a table and a log.
type broker struct {
	*Server
	*table
	logged *logged
	wait   sync.WaitGroup
	ctx    context.Context
}

func newBroker(t *testing.T) *broker {
	b := &broker{table: &table{now: map[servicetable.ID]servicetable.Registration{}}, logged: &logged{}, ctx: t.Context()}
	b.Server = &Server{
		Apply: b.apply, Drop: b.drop, Report: b.table.report, VSNNUM: tns.VersionNumber(19),
		Log:   slog.New(slog.NewTextHandler(b.logged, nil)),
		Admit: &Admission{Interfaces: func() ([]netip.Prefix, error) { return nil, nil }},
	}
	return b
}

// registrant is the other side of a connection to a broker.
type registrant struct {
	t    *testing.T
	conn *tns.Conn
	done chan error // what Serve returned
}

// connects opens a connection from an address, with its CONNECT on its way.
func (b *broker) connects(t *testing.T, from string) *registrant {
	t.Helper()
	return b.connectsWith(t, from, &tns.Connect{Version: 313, Lowest: 300, SDU: 2048, TDU: 0x7fff, One: [2]byte{1, 0},
		Flags0: 0x0c, Flags1: 0x0c, Offset: 58, Data: []byte(plainConnect)})
}

func (b *broker) connectsWith(t *testing.T, from string, connect *tns.Connect) *registrant {
	t.Helper()
	ours, theirs := net.Pipe()
	r := &registrant{t: t, conn: tns.NewConn(theirs), done: make(chan error, 1)}
	b.wait.Go(func() {
		r.done <- b.Serve(b.ctx, tns.NewConn(&addressed{Conn: ours, local: tcp("192.0.2.1:1521"), remote: tcp(from)}), connect)
	})
	t.Cleanup(func() {
		theirs.Close()
		b.wait.Wait()
	})
	return r
}

// reply reads what the CONNECT was answered with.
func (r *registrant) reply() tns.Message {
	r.t.Helper()
	m, err := r.conn.ReadReply()
	if err != nil {
		r.t.Fatalf("no reply to CONNECT: %v", err)
	}
	if a, ok := m.(*tns.Accept); ok {
		r.conn.SetVersion(a.Version)
	}
	return m
}

func (r *registrant) accepted() *registrant {
	r.t.Helper()
	if m, ok := r.reply().(*tns.Accept); !ok {
		r.t.Fatalf("answered with %T, want ACCEPT", m)
	}
	return r
}

func (r *registrant) send(messages ...tns.Message) {
	r.t.Helper()
	if err := r.conn.Send(messages...); err != nil {
		r.t.Fatalf("send: %v", err)
	}
}

// says sends one registration message in one packet.
func (r *registrant) says(message []byte) {
	r.t.Helper()
	r.send(tns.Data{Payload: message})
}

// leaves closes the connection and waits until the broker is done with it.
func (r *registrant) leaves() error {
	r.conn.NetConn().Close()
	return <-r.done
}

// recording returns the message of a packet kept as hex with package nsgr.
func recording(tb testing.TB, name string) []byte {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join("nsgr", "testdata", name+".hex"))
	if err != nil {
		tb.Fatal(err)
	}
	packet, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
	if err != nil {
		tb.Fatal(err)
	}
	return packet[10:]
}

func encode(tb testing.TB, r servicetable.Registration) []byte {
	tb.Helper()
	m, err := ToMessage(r, nsgr.Representation{})
	if err != nil {
		tb.Fatal(err)
	}
	b, err := m.AppendTo(nil)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// sales is an instance as small as it may be.
func sales(name string, load uint32) servicetable.Registration {
	return servicetable.Registration{
		Instance: name, Host: "db1", NodeLoad: 10, NodeMax: 100, Load: load, Max: 247, GUID: [16]byte{1},
		Services: []servicetable.Service{{Name: "sales", Flags: servicetable.FlagUnblocked, Goodness: load, Delta: 1}},
		Handlers: []servicetable.Handler{{ID: [16]byte{2}, Name: "DEDICATED", Host: "db1", Port: 1521, Info: "REMOTE SERVER",
			Load: load, Max: 149, Flags: FlagDedicated, Services: []int{0}}},
	}
}

// drain reads and discards until the connection ends.
func drain(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

// pass lets time pass, that of a synctest bubble.
func pass(d time.Duration) { <-time.After(d) }
