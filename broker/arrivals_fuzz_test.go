package broker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"servicebroker/registration"
	"servicebroker/registration/nsgr"
	"servicebroker/relay"
	"servicebroker/servicetable"
	"servicebroker/testenv/fuzzing"
	"servicebroker/tns"
)

// FuzzArrivals lets strangers, clients, databases, operators and proxies come to a whole broker by connections
// in memory, with what they say cut and damaged as a script has it. Whoever comes is let go in the end, and
// nothing of them is left in any count, nor in the table.
func FuzzArrivals(f *testing.F) {
	for _, script := range [][]byte{
		{}, {0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 5, 0, 6, 0}, {1, 0, 0, 2, 0, 0, 0, 0, 0, 2, 0, 1, 0, 0, 5, 3},
		{2, 0, 0, 3, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 5, 7}, {3, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 5, 9}, {0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 1, 1, 1, 6, 1, 5, 2, 7, 1, 8, 0},
	} {
		f.Add(script)
	}
	state := f.TempDir()
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) > 1024 {
			return
		}
		synctest.Test(t, func(t *testing.T) {
			w := newGathering(t, fuzzing.Read(script), state)
			for step := 0; w.More() && step < 100; step++ {
				w.step()
			}
			w.end()
		})
	})
}

// gathering is a broker and those that come to it.
type gathering struct {
	*fuzzing.Script
	*Broker
	t       *testing.T
	ctx     context.Context
	stop    context.CancelFunc
	holding sync.WaitGroup
	peers   []*arriver
	mu      sync.Mutex
	serving []*fuzzing.Conn // instances' sides
}

// arriver is one that came.
type arriver struct {
	near, far *fuzzing.Conn
	rest      []byte // to be said yet
	gone      bool
}

func newGathering(t *testing.T, s *fuzzing.Script, state string) *gathering {
	parameters := fuzzing.Pick(s, "", "(MAX_ALL_CONNECTIONS=2)", "(CONNECTION_RATE=1)(MAX_CONNECTIONS=3)", "(PROXY_PROTOCOL=(IN=192.0.2.0/24))", "(ROUTE=redirect)(HOLD_TIMEOUT=5)")
	text := "CMAN=(CONFIGURATION=(ADDRESS=(PROTOCOL=tcp)(HOST=127.0.0.1)(PORT=0))(PARAMETER_LIST=(CONSOLE_ADDRESS=off)(INBOUND_CONNECT_TIMEOUT=20)" + parameters + "))"
	config, messages := readConfig("cman.ora", "", func(path string) (string, error) {
		if path == "cman.ora" {
			return text, nil
		}
		return "", os.ErrNotExist
	})
	if config == nil {
		t.Fatal(messages)
	}
	config.StateDirectory = filepath.Join(state, "state")
	b, err := New(config, nil)
	if err != nil {
		t.Fatal(err)
	}
	w := &gathering{Script: s, Broker: b, t: t}
	w.ctx, w.stop = context.WithCancel(context.Background())
	b.hosts.lookup = func(context.Context, string) ([]netip.Addr, error) { return nil, errors.New("nobody knows names here") }
	b.relay.Connect = w.reach
	w.holding.Go(func() { b.holder.Run(w.ctx, func() <-chan struct{} { return b.table.Snapshot().Superseded() }) })
	return w
}

// reach connects to an instance, which accepts and says what it hears.
func (w *gathering) reach(context.Context, relay.Destination) (net.Conn, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	near, far := fuzzing.Pipe(fmt.Sprintf("192.0.2.1:%d", 20000+len(w.serving)), "198.51.100.1:1521", 1<<16, 0)
	w.serving = append(w.serving, far)
	w.holding.Go(func() {
		defer far.Close()
		conn := tns.NewConn(far)
		connect, err := conn.ReadConnect()
		if err != nil || conn.Send(tns.AnswerConnect(connect, 318, nil)) != nil {
			return
		}
		for b := make([]byte, 512); ; {
			n, err := far.Read(b)
			if err != nil {
				return
			}
			if _, err := far.Write(b[:n]); err != nil {
				return
			}
		}
	})
	return near, nil
}

func (w *gathering) step() {
	switch w.Below(10) {
	case 0, 1, 2:
		w.comes()
	case 3:
		w.with(func(p *arriver) { p.rest = append(p.rest, w.said()...) })
	case 4:
		w.with(func(p *arriver) { p.rest = append(p.rest, w.Bytes(40)...) })
	case 5:
		w.pass(fuzzing.Pick(w.Script, time.Millisecond, 100*time.Millisecond, time.Second, 5*time.Second, 21*time.Second, time.Minute))
	case 6:
		w.with(func(p *arriver) { p.near.Take(1 << 16) })
	case 7:
		w.with(func(p *arriver) { p.near.Reset(); p.gone = true })
	case 8:
		w.with(func(p *arriver) { _ = p.near.CloseWrite() })
	case 9:
		w.relay.EndSessions(func(*relay.SessionInfo) bool { return true }, "asked to")
	}
	w.settle()
}

func (w *gathering) with(do func(*arriver)) {
	if len(w.peers) > 0 {
		do(w.peers[w.Below(len(w.peers))])
	}
}

// comes lets somebody arrive, who has something to say.
func (w *gathering) comes() {
	if len(w.peers) == 12 {
		return
	}
	p := &arriver{}
	from := fuzzing.Pick(w.Script, "127.0.0.1", "10.0.0.1", "192.0.2.9", "[2001:db8::1]")
	p.near, p.far = fuzzing.Pipe(fmt.Sprintf("%s:%d", from, 40000+len(w.peers)), "127.0.0.1:1521", fuzzing.Pick(w.Script, 1<<16, 100), fuzzing.Pick(w.Script, 0, 1, 9))
	p.rest = w.said()
	w.peers = append(w.peers, p)
	w.arrived(w.ctx, 0, p.far)
}

// said is what comes from clients, databases, operators, proxies and strangers.
func (w *gathering) said() []byte {
	connect := func(text string) []byte { return tns.NewConnect([]byte(text)).AppendTo(nil, false) }
	switch w.Below(10) {
	case 0, 1:
		return connect("(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=" + fuzzing.Pick(w.Script, "sales", "hr") + ")(CID=(PROGRAM=p)(HOST=h)(USER=u))))")
	case 2, 3:
		r := servicetable.Registration{
			Instance: "s1", Host: "db1", GUID: [16]byte{1}, Services: []servicetable.Service{{Name: "sales", Flags: servicetable.FlagUnblocked, Delta: 1}},
			Handlers: []servicetable.Handler{{ID: [16]byte{2}, Name: "DEDICATED", Host: "198.51.100.1", Port: 1521, Load: 1, Max: 149, Flags: registration.FlagDedicated, Services: []int{0}}},
		}
		m, err := registration.ToMessage(r, nsgr.Representation{})
		if err != nil {
			w.t.Fatal(err)
		}
		b, err := m.AppendTo(nil)
		if err != nil {
			w.t.Fatal(err)
		}
		return tns.AppendData(connect("(CONNECT_DATA=(COMMAND=service_register_NSGR))"), 0, b, 8192, true)
	case 4:
		return connect("(CONNECT_DATA=(COMMAND=" + fuzzing.Pick(w.Script, "status", "ping", "services", "version", "stop", "reload", "\"\"", "x)(COMMAND=ping") + "))")
	case 5:
		return connect(fuzzing.Text(w.Script))
	case 6:
		return append([]byte(fuzzing.Pick(w.Script, "PROXY TCP4 10.9.9.9 10.2.2.2 4000 1521\r\n", "PROXY UNKNOWN\r\n", "PROXY TCP6 ::1", "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00")), connect("(CONNECT_DATA=(SERVICE_NAME=sales))")...)
	case 7:
		return []byte(fuzzing.Pick(w.Script, "GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", "SSH-2.0-x\r\n", strings.Repeat("\x00", 70), ""))
	case 8:
		return fuzzing.Packet(w.Script, false)
	}
	return w.Bytes(50)
}

// settle has all say what there is room for, until nothing moves.
func (w *gathering) settle() {
	for range 100 {
		synctest.Wait()
		moved := false
		for _, p := range w.peers {
			n := p.near.Offer(p.rest)
			p.rest, moved = p.rest[n:], moved || n > 0
		}
		if !moved {
			return
		}
	}
}

func (w *gathering) pass(d time.Duration) {
	for range 4 {
		<-time.After(d / 4)
		w.settle()
	}
}

// end has all go, or the broker, and looks for what is left of them.
func (w *gathering) end() {
	w.settle()
	how := w.Below(3)
	for _, p := range w.peers {
		switch {
		case p.gone || how == 0: // the broker ends first
		case how == 1:
			p.near.Reset()
		default:
			_ = p.near.Close()
		}
	}
	if how == 0 {
		w.stop()
		w.relay.Stop(errStopping)
		w.open.close(phaseReading, phaseRegistration)
	}
	for range 40 {
		w.pass(5 * time.Second)
		for _, p := range w.peers {
			p.near.Take(1 << 20)
		}
	}
	if n := w.open.size(); n != 0 {
		stacks := make([]byte, 1<<20)
		w.t.Fatalf("%d connections are left\n%s", n, stacks[:runtime.Stack(stacks, true)])
	}
	w.check()
	w.stop()
	w.relay.Stop(errStopping)
	w.connections.Wait()
	w.holding.Wait()
	w.relay.Close()
	w.crew.end()
	w.hosts.close()
	w.limiting.repeats.Flush()
	w.closeListeners()
	for _, p := range w.peers {
		_ = p.near.Close()
	}
}

func (w *gathering) check() {
	l := &w.limiting
	if n := l.connections.Counts().Now; n != 0 {
		w.t.Errorf("%d connections are counted", n)
	}
	if n, _ := l.silent.Counts(); n != 0 {
		w.t.Errorf("%d are silent", n)
	}
	if n := l.slots.Now(); n != 0 {
		w.t.Errorf("%d refusals are under way", n)
	}
	if n := l.room.Counts().Now; n != 0 {
		w.t.Errorf("%d wait for a turn", n)
	}
	for _, share := range l.shares.All() {
		if n := share.Sessions.Counts().Now; n != 0 {
			w.t.Errorf("%s counts %d sessions", share, n)
		}
	}
	if n := len(w.relay.Sessions()) + w.registrar.Registrants() + w.holder.Counters().HeldNow; n != 0 {
		w.t.Errorf("%d sessions, registrants and held connects are left", n)
	}
	for _, r := range w.table.Snapshot().Registrations() {
		if !r.Stale {
			w.t.Errorf("%s is left in the table", r.Key())
		}
	}
	for i, p := range w.peers {
		if !p.far.Closed() {
			w.t.Errorf("connection %d is left open", i)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, at := range w.serving {
		if at.Over() == nil {
			w.t.Error("an instance's connection is left open")
		}
	}
}
