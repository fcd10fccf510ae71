package broker

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"servicebroker/console"
	"servicebroker/intent"
	"servicebroker/journal"
	"servicebroker/relay"
	"servicebroker/servicetable"
	"servicebroker/tns"
)

// A redirect that was being verified when its instance was drained is over, one way or the
// other, when the drain returns.
func TestNoRedirectAfterADrain(t *testing.T) {
	r := start(t, func(c *Config) { c.HoldTimeout, c.Mode = 0, relay.ModeRedirect })
	entered, gate := make(chan struct{}, 1), make(chan struct{})
	r.relay.Verify = func(context.Context, servicetable.Candidate) error { // a probe that takes its time
		entered <- struct{}{}
		<-gate
		return nil
	}
	host, port := database(t)
	r.put("1", "a", host, port)
	client := r.from("127.0.0.1", sales)
	<-entered
	set := make(chan struct{})
	go func() {
		defer close(set)
		r.set(intent.Intent{Kind: intent.Drain, Target: intent.Target{Service: "sales"}})
	}()
	r.await(func(s *servicetable.Snapshot) bool {
		_, err := s.Match(servicetable.Query{Service: "sales"})
		return err != nil
	})
	select {
	case <-set:
		t.Error("the drain has returned while a redirect is under way")
	default:
	}
	close(gate)
	<-set
	r.wantRefused(<-client, tns.CodeBlocked)
}

// Sessions that were opened by SID belong to the service that served them.
func TestDrainOfSessionsBySID(t *testing.T) {
	r := start(t, func(c *Config) { c.HoldTimeout = 0 })
	r.join("a", "sales")
	const bySID = "(DESCRIPTION=(CONNECT_DATA=(SID=a)))"
	if _, reply := r.ask(bySID); !isAccept(reply) {
		t.Fatalf("answer %T", reply)
	}
	until(t, "the session is there", func() bool { return len(r.relay.Sessions()) == 1 })
	v := r.set(intent.Intent{Kind: intent.Drain, Target: intent.Target{Service: "sales"}, Deadline: time.Now().Add(time.Millisecond), EndSessions: true})
	if v.Progress.SessionsAtStart != 1 {
		t.Errorf("progress %+v", v.Progress)
	}
	r.wantCode(bySID, tns.CodeBlocked)
	until(t, "the session is ended", func() bool { return len(r.relay.Sessions()) == 0 })
}

// A link that flaps while another instance joins is no move.
func TestFlappingLinkIsNoMove(t *testing.T) {
	r := start(t, nil)
	m := r.join("a", "sales")
	r.session("sales")
	m.cut(true)
	r.await(func(s *servicetable.Snapshot) bool { return m.status(s, "sales") == "STALE" })
	r.join("b", "sales")
	m.mu.Lock()
	m.away = false
	m.mu.Unlock()
	r.await(func(s *servicetable.Snapshot) bool { return m.status(s, "sales") == "READY" })
	for _, e := range r.journal.Events(journal.Filter{}) {
		if e.Kind == journal.Moved || e.Kind == journal.ServiceDown {
			t.Errorf("event %s", e)
		}
	}
}

func TestMoveAndItsEvents(t *testing.T) {
	r := start(t, nil)
	m := r.join("a", "sales", "hr")
	r.session("sales")
	m.stop()
	r.event(journal.Died)
	r.join("b", "sales")
	e := r.event(journal.Moved)
	if e.Service != "sales" || e.Instance != "b" || e.Host != "b-host" || e.Cause != "it left a@a-host" || e.EventType != "SERVICEMEMBER" {
		t.Errorf("event %+v", e)
	}
	for _, e := range r.journal.Events(journal.Filter{}) {
		if e.Kind == journal.ServiceDown && e.Reason != "USER" {
			t.Errorf("the database withdrew by its own word: %+v", e)
		}
	}
}

// What is explained of a connect that would stand in line is that it would.
func TestExplainOfALine(t *testing.T) {
	r := start(t, nil)
	r.put("1", "a", "127.0.0.1", 1) // nobody listens
	r.holder.Lately("sales")
	r.from("127.0.0.1", sales)
	r.heldIs(1)
	if e, err := r.Explain(t.Context(), console.ExplainRequest{Descriptor: "sales"}); err != nil || e.Outcome != journal.Hold {
		t.Errorf("%+v, %v", e, err)
	}
}

// Clients that come and go while a service is away are one story.
func TestLeaversFillNoJournal(t *testing.T) {
	r := start(t, nil)
	r.register("sales1", "sales")()
	r.await(func(s *servicetable.Snapshot) bool { return len(s.Services()) == 0 })
	for range 20 {
		conn := r.dial()
		if err := conn.Send(tns.NewConnect([]byte(sales))); err != nil {
			t.Fatal(err)
		}
		r.heldIs(1)
		conn.NetConn().Close()
		r.heldIs(0)
	}
	n := 0
	for _, e := range r.journal.Events(journal.Filter{}) {
		if e.Kind == journal.HoldBegan || e.Kind == journal.HoldEnded {
			n++
		}
	}
	if n > 2 {
		t.Errorf("%d events", n)
	}
}

// A client whose own instance is away for a moment, while others are there that it may not
// have, is not told that the rules forbid it.
func TestGrantedInstanceIsAway(t *testing.T) {
	host := func(s string) relay.HostPattern { return relay.HostPattern{Network: netip.MustParsePrefix(s + "/32")} }
	r := start(t, func(c *Config) {
		c.ProbeInterval = 0
		c.Rules = relay.Rules{
			{Source: host("127.0.0.2"), Destination: host("127.0.0.1"), Services: []string{"*"}},
			{Source: host("127.0.0.3"), Destination: host("127.0.0.9"), Services: []string{"*"}},
			{Source: host("127.0.0.4"), Destination: host("127.0.0.4"), Services: []string{"*"}},
		}
	})
	h, port := database(t)
	r.put("1", "a", h, port)
	r.put("2", "b", "127.0.0.9", port)
	const key = "a@a-host/DEDICATED"
	r.table.Mark(key, servicetable.Mark{Kind: servicetable.Ejected, Cause: "test"})
	if a := <-r.from("127.0.0.2", sales); !isAccept(a.reply) {
		t.Errorf("its only instance is ejected: %v", a)
	}
	r.table.Unmark(key, servicetable.Ejected)
	r.withdrawn("1")
	waiting := r.from("127.0.0.2", sales)
	r.heldIs(1)
	r.wantRefused(<-r.from("127.0.0.4", sales), tns.CodeRuleRejects) // its own was never there
	r.put("3", "a", h, port)
	if a := <-waiting; !isAccept(a.reply) {
		t.Errorf("its instance is back: %v", a)
	}
}

// Nobody keeps much of a connect that waits, however much its client says.
func TestLongDescriptorsDoNotWait(t *testing.T) {
	r := start(t, nil)
	r.register("sales1", "sales")()
	r.await(func(s *servicetable.Snapshot) bool { return len(s.Services()) == 0 })
	long := "(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=sales)(CID=(PROGRAM=" + strings.Repeat("x", 5000) + "))))"
	r.wantRefused(<-r.from("127.0.0.1", long), tns.CodeUnknownService)
	if e := r.journal.Recent(1); len(e) != 1 || e[0].Text == "" {
		t.Errorf("explained as %+v", e)
	}
}

func TestVerifyBeforeProbesRun(t *testing.T) {
	b, err := New(&Config{Name: "T", StateDirectory: t.TempDir(), RedirectVerify: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer b.closeListeners()
	r := servicetable.Registration{Instance: "a", Services: []servicetable.Service{{Name: "s"}}, Handlers: []servicetable.Handler{{Name: "D", Port: 1}}}
	if err := b.verify(t.Context(), servicetable.Candidate{Registration: &r, Service: &r.Services[0], Handler: &r.Handlers[0]}); err != nil {
		t.Errorf("%v", errors.Unwrap(err))
	}
}
