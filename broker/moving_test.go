package broker

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"servicebroker/intent"
	"servicebroker/relay"
	"servicebroker/servicetable"
	"servicebroker/tns"
)

// offerTo is an offer as it comes to another broker: as text, and with descriptors of its own.
func offerTo(t *testing.T, resume func(context.Context, json.RawMessage, []*os.File) (func(error), error)) func(context.Context, any, ...*os.File) error {
	return func(_ context.Context, thing any, files ...*os.File) error {
		text, err := json.Marshal(thing)
		if err != nil {
			return err
		}
		var copies []*os.File
		for _, f := range files {
			copies = append(copies, duplicate(t, f))
		}
		begin, err := resume(context.Background(), text, copies)
		if begin != nil {
			begin(nil)
		}
		return err
	}
}

// duplicate is what the kernel does with a descriptor that is sent to another process.
func duplicate(t *testing.T, f *os.File) *os.File {
	raw, err := f.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var copied int
	if cerr := raw.Control(func(fd uintptr) { copied, err = syscall.Dup(int(fd)) }); cerr != nil || err != nil {
		t.Fatal(cerr, err)
	}
	syscall.CloseOnExec(copied)
	return os.NewFile(uintptr(copied), f.Name())
}

// pass hands a state over as text.
func pass(t *testing.T, give func() (any, []*os.File, error), take func(json.RawMessage, []*os.File) error) {
	t.Helper()
	state, files, err := give()
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(state)
	if err != nil {
		t.Fatal(err)
	}
	if err := take(text, files); err != nil {
		t.Fatal(err)
	}
	if take(json.RawMessage("[1]"), nil) == nil {
		t.Error("what is no such state was taken")
	}
}

func pings(t *testing.T, c net.Conn) {
	t.Helper()
	_, _ = io.WriteString(c, "ping")
	got := make([]byte, 4)
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "ping" {
		t.Errorf("answered %q, %v", got, err)
	}
}

func TestSessionsMoveToASuccessor(t *testing.T) {
	plain := func(c *Config) { c.HoldTimeout = 0 }
	old, successor := start(t, plain), start(t, plain)
	old.join("a", "sales")
	successor.join("a", "sales")
	successor.join("b", "sales")
	var open []net.Conn
	for range 4 {
		c, _ := old.session("sales")
		pings(t, c) // it can be moved once its bytes are
		open = append(open, c)
	}
	old.wantCode("(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=nobody)))", tns.CodeUnknownService)
	pass(t, old.giveSessions, successor.takeSessions)
	pass(t, old.giveTotals, successor.takeTotals)
	if s := successor.Stats(); s.Total != 4 || s.Refused != 1 || s.Peak != 4 {
		t.Errorf("totals %+v", s)
	}
	moved, stayed := old.moveSessions(t.Context(), offerTo(t, successor.resumeSession))
	if moved != 4 || stayed != 0 {
		t.Fatalf("%d moved, %d stayed", moved, stayed)
	}
	for _, c := range open {
		pings(t, c)
	}
	if n := successor.relaySessionCount(); n != 4 || old.relaySessionCount() != 0 {
		t.Errorf("%d there, %d here", n, old.relaySessionCount())
	}
	if n := successor.open.count()["client"]; n != 4 {
		t.Errorf("%d clients are waited for", n)
	}
	if n := successor.limiting.connections.Counts().Now; n != 4 {
		t.Errorf("%d connections are counted", n)
	}
	_, _ = successor.session("sales")
	weighed := successor.journal.Recent(1)[0].Candidates
	for _, c := range weighed {
		if want := map[string]float64{"a@a-host/DEDICATED": 4, "b@b-host/DEDICATED": 0}[c.Key]; c.Inputs.Own != want {
			t.Errorf("%s was weighed with %v sessions of its own, want %v", c.Key, c.Inputs.Own, want)
		}
	}
	for _, s := range successor.relay.Sessions()[4:] {
		if s.ID <= movedIDs {
			t.Errorf("a new session is number %d", s.ID)
		}
	}
	if e := successor.journal.ByRef(successor.relay.Sessions()[0].Ref); e == nil || e.Chosen != "a@a-host/DEDICATED" {
		t.Errorf("explained as %+v", e)
	}

	// What is over in the old one counts in the new one, once.
	old.wantCode("(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=nobody)))", tns.CodeUnknownService)
	ctx, stop := context.WithCancel(t.Context())
	stop()
	tell := offerTo(t, successor.resumeTotals)
	for range 2 {
		old.followTotals(ctx, tell)
	}
	if s := successor.Stats(); s.Total != 5 || s.Refused != 2 || s.FromClient == 0 {
		t.Errorf("totals %+v", s)
	}
	if a, b := successor.relay.Tally("a@a-host/DEDICATED").Established, successor.relay.Tally("b@b-host/DEDICATED").Established; a+b != 5 || a < 4 {
		t.Errorf("%d connects are counted at a, %d at b", a, b)
	}

	// They are drained and ended as if they had begun here.
	v := successor.set(intent.Intent{Kind: intent.Drain, Target: intent.Target{Service: "sales", Instance: "a"}, Deadline: time.Now(), EndSessions: true})
	for _, c := range open {
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("a session goes on")
		}
	}
	if v.Progress.SessionsAtStart < 4 {
		t.Errorf("progress %+v", v.Progress)
	}
}

func TestAClientOfAProxyMoves(t *testing.T) {
	old, successor := start(t, func(c *Config) { c.ProxyProtocol.In = loopback }), start(t, nil)
	host, port := database(t)
	one := servicetable.Registration{ID: "1", Instance: "a", Host: "a-host", Services: []servicetable.Service{{Name: "sales", Flags: servicetable.FlagUnblocked, Delta: 1}}}
	one.Handlers = []servicetable.Handler{{Name: "DEDICATED", Protocol: "TCP", Host: host, Port: port, Max: 100, Services: []int{0}}}
	old.table.Apply(one)
	conn := old.dial()
	if _, err := io.WriteString(conn.NetConn(), header(t, 2, "203.0.113.7:4000")); err != nil {
		t.Fatal(err)
	}
	if err := conn.Send(tns.NewConnect([]byte("(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=sales)))"))); err != nil {
		t.Fatal(err)
	}
	if m, err := conn.ReadReply(); err != nil {
		t.Fatal(m, err)
	}
	pings(t, conn.NetConn())
	if moved, stayed := old.moveSessions(t.Context(), offerTo(t, successor.resumeSession)); moved != 1 || stayed != 0 {
		t.Fatalf("%d moved, %d stayed", moved, stayed)
	}
	pings(t, conn.NetConn())
	if s := successor.relay.Sessions(); len(s) != 1 || s[0].Client != "203.0.113.7:4000" || s[0].Network != netip.MustParseAddr("203.0.113.7") {
		t.Errorf("%+v", s)
	}
}

func TestABrokerThatEndsTakesNoSessions(t *testing.T) {
	old, successor := start(t, nil), start(t, nil)
	old.join("a", "sales")
	c, _ := old.session("sales")
	pings(t, c)
	successor.adopting.end()
	if moved, stayed := old.moveSessions(t.Context(), offerTo(t, successor.resumeSession)); moved != 0 || stayed != 1 {
		t.Errorf("%d moved, %d stayed", moved, stayed)
	}
	pings(t, c)
	if _, err := successor.resumeSession(t.Context(), json.RawMessage("{"), nil); err == nil {
		t.Error("half a session was taken")
	}
}

// What a predecessor does not let go of is its own: nothing of it stays counted here.
func TestWhatIsNotLetGoOfIsGivenBack(t *testing.T) {
	old, successor := start(t, nil), start(t, nil)
	old.join("a", "sales")
	successor.join("a", "sales")
	c, _ := old.session("sales")
	pings(t, c)
	kept := errors.New("it goes on there")
	giveBack := func(resume func(context.Context, json.RawMessage, []*os.File) (func(error), error)) offerFunc {
		return offerTo(t, func(ctx context.Context, text json.RawMessage, files []*os.File) (func(error), error) {
			begin, err := resume(ctx, text, files)
			if err != nil {
				t.Error(err)
				return nil, err
			}
			begin(kept)
			return nil, kept
		})
	}
	if moved, stayed := old.moveSessions(t.Context(), giveBack(successor.resumeSession)); moved != 0 || stayed != 1 {
		t.Errorf("%d moved, %d stayed", moved, stayed)
	}
	if moved, stayed := old.registrationMover().move(t.Context(), giveBack(successor.resumeRegistration)); moved != 0 || stayed != 1 { // that of a
		t.Errorf("%d registrations moved, %d stayed", moved, stayed)
	}
	pings(t, c)
	<-successor.open.atMost(1) // the database that has joined
	if n := successor.relaySessionCount(); n != 0 || old.relaySessionCount() != 1 {
		t.Errorf("%d there, %d here", n, old.relaySessionCount())
	}
	_, _ = successor.session("sales")
	if own := successor.journal.Recent(1)[0].Candidates[0].Inputs.Own; own != 0 {
		t.Errorf("weighed with %v sessions of its own", own)
	}
	if n := successor.limiting.connections.Counts().Now; n != 1 {
		t.Errorf("%d connections are counted", n)
	}
}

// A client may be gone, and its address with it, before its session is taken.
func TestASessionOfWhichAClientIsGoneMoves(t *testing.T) {
	old, successor := start(t, nil), start(t, nil)
	old.join("a", "sales")
	c, _ := old.session("sales")
	pings(t, c)
	moved, _ := old.moveSessions(t.Context(), offerTo(t, func(ctx context.Context, text json.RawMessage, files []*os.File) (func(error), error) {
		_ = c.(interface{ SetLinger(int) error }).SetLinger(0)
		c.Close()
		return successor.resumeSession(ctx, text, files)
	}))
	if moved != 1 {
		t.Errorf("%d moved", moved)
	}
	<-successor.open.atMost(0)
}

func TestMovedSessionsAreKeptAlive(t *testing.T) {
	r := start(t, func(c *Config) { c.ExpireTime = 7 * time.Minute })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r.thawed(c)
	raw, _ := c.(*net.TCPConn).SyscallConn()
	var idle int
	_ = raw.Control(func(fd uintptr) {
		idle, err = syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE)
	})
	if err != nil || idle != 420 {
		t.Errorf("asked after %d s, %v", idle, err)
	}
}

func TestWhatComesOnTopOfTotals(t *testing.T) {
	before := totals{Begun: 5, Handlers: map[string]relay.Tally{"a": {Established: 9}, "b": {Refused: 1}}}
	if more, any := before.since(&before); any {
		t.Errorf("%+v on top of the same", more)
	}
	now := totals{Begun: 7, Handlers: map[string]relay.Tally{"a": {Established: 2}, "b": {Refused: 1}, "c": {Established: 1}}}
	more, any := now.since(&before)
	if !any || more.Begun != 2 || len(more.Handlers) != 2 || more.Handlers["a"].Established != 2 || more.Handlers["c"].Established != 1 {
		t.Errorf("%+v", more)
	}
}

// relaySessionCount counts the sessions that are open.
func (r *running) relaySessionCount() int {
	return r.relay.CountSessions(func(s *relay.SessionInfo) bool { return strings.HasPrefix(s.Service, "sales") })
}
