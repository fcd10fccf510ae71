package broker

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"servicebroker/descriptor"
	"servicebroker/intent"
	"servicebroker/journal"
	"servicebroker/relay"
	"servicebroker/servicetable"
	"servicebroker/tns"
)

// answered is what a client got, and when.
type answered struct {
	reply tns.Message
	err   error
	took  time.Duration
}

func (a answered) String() string {
	text := fmt.Sprintf("%T %v after %v", a.reply, a.err, a.took.Round(time.Millisecond))
	if f, ok := a.reply.(*tns.Refuse); ok {
		text += fmt.Sprintf(", code %v", f.Code())
	}
	return text
}

// soon is longer than any connect takes that does not wait for anything.
const soon = 10 * time.Second

// from connects from a loopback address.
func (r *running) from(local, text string) chan answered {
	r.t.Helper()
	out := make(chan answered, 1)
	began := time.Now()
	c, err := r.dialFrom(local)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	conn := tns.NewConn(c)
	if err := conn.Send(tns.NewConnect([]byte(text))); err != nil {
		r.t.Fatal(err)
	}
	go func() {
		_ = c.SetDeadline(time.Now().Add(40 * time.Second))
		reply, err := conn.ReadReply()
		out <- answered{reply, err, time.Since(began)}
	}()
	return out
}

// until waits for something to become true.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	if !inTime(done) {
		t.Fatalf("not within %v: %s", mostWait, what)
	}
}

// mostWait is how long a busy machine may take for what takes no time on one that is not.
const mostWait = 30 * time.Second

// inTime looks again and again whether something is done, without taking the processor from those that do it.
func inTime(done func() bool) bool {
	ticks := time.NewTicker(200 * time.Microsecond)
	defer ticks.Stop()
	for overdue := time.After(mostWait); !done(); {
		select {
		case <-ticks.C:
		case <-overdue:
			return false
		}
	}
	return true
}

func (r *running) heldIs(n int) {
	r.t.Helper()
	until(r.t, fmt.Sprintf("%d are held", n), func() bool { return r.holder.Counters().HeldNow == n })
}

func (r *running) wantRefused(a answered, code tns.Code) {
	r.t.Helper()
	if refuse, ok := a.reply.(*tns.Refuse); !ok || refuse.Code() != code || a.took > soon {
		r.t.Errorf("%v, want %v at once", a, code)
	}
}

// What an operator wants of one network's clients delays nobody else, and a drain for
// them is a refusal.
func TestNetworksDoNotDelayEachOther(t *testing.T) {
	r := start(t, nil)
	r.join("a", "sales")
	for _, kind := range []intent.Kind{intent.Drain, intent.Hold} {
		v := r.set(intent.Intent{Kind: kind, Target: intent.Target{Service: "sales", Network: "127.0.0.2/32"}})
		concerned := r.from("127.0.0.2", sales)
		if kind == intent.Drain {
			r.wantRefused(<-concerned, tns.CodeBlocked)
		} else {
			r.heldIs(1)
		}
		if other := <-r.from("127.0.0.3", sales); other.took > soon {
			t.Errorf("%s: a client of another network: %v", kind, other)
		}
		if _, err := r.EndIntent(t.Context(), v.ID); err != nil {
			t.Fatal(err)
		}
		if kind == intent.Hold {
			if a := <-concerned; !isAccept(a.reply) {
				t.Errorf("after the release: %v", a)
			}
		}
	}
}

func isAccept(m tns.Message) bool { _, ok := m.(*tns.Accept); return ok }

// Administrators with UR=A do not stand in line.
func TestAdministratorsDoNotWait(t *testing.T) {
	r := start(t, nil)
	r.join("a", "sales")
	r.set(intent.Intent{Kind: intent.Drain, Target: intent.Target{Service: "sales"}})
	r.from("127.0.0.1", sales)
	r.heldIs(1)
	r.wantRefused(<-r.from("127.0.0.1", "(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=sales)(UR=A)))"), tns.CodeBlocked)
}

// Rules are asked before anyone waits: whom they refuse is told so, and a rule's
// HOLD_TIMEOUT is that of those it lets in.
func TestRulesBeforeWaiting(t *testing.T) {
	any := relay.HostPattern{Any: true}
	r := start(t, func(c *Config) {
		c.Rules = relay.Rules{
			{Source: relay.HostPattern{Network: netip.MustParsePrefix("127.0.0.2/32")}, Destination: any, Services: []string{"*"}, Action: relay.Reject},
			{Source: relay.HostPattern{Network: netip.MustParsePrefix("127.0.0.4/32")}, Destination: any, Services: []string{"*"}, Treatment: relay.Treatment{HoldSet: true}},
			{Source: any, Destination: any, Services: []string{"sales"}},
		}
	})
	withdraw := r.register("sales1", "sales")
	r.wantRefused(<-r.from("127.0.0.2", sales), tns.CodeRuleRejects)
	withdraw()
	r.await(func(s *servicetable.Snapshot) bool { return len(s.Services()) == 0 })
	r.from("127.0.0.3", sales)
	r.heldIs(1)
	r.wantRefused(<-r.from("127.0.0.2", sales), tns.CodeRuleRejects)
	r.wantRefused(<-r.from("127.0.0.4", sales), tns.CodeUnknownService)
	r.wantRefused(<-r.from("127.0.0.3", "(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=other)))"), tns.CodeRuleRejects)
}

// An instance that never was is not waited for, though its service was there.
func TestMistakesAreNotHeld(t *testing.T) {
	r := start(t, nil)
	m := r.join("a", "sales")
	of := func(instance string) string {
		return "(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=sales)(INSTANCE_NAME=" + instance + ")))"
	}
	r.wantRefused(<-r.from("127.0.0.1", of("nosuch")), tns.CodeUnknownInstance)
	r.join("b", "sales")
	m.stop() // the instance that was there
	r.await(func(s *servicetable.Snapshot) bool { return m.status(s, "sales") == "" })
	r.from("127.0.0.1", of("a"))
	r.heldIs(1)
}

// Who is in maintenance is not probed.
func TestMaintenanceIsNotProbed(t *testing.T) {
	r := start(t, func(c *Config) { c.ProbeInterval, c.ProbeTimeout = 50*time.Millisecond, 50*time.Millisecond })
	r.join("a", "sales")
	b := r.join("b", "sales")
	r.set(intent.Intent{Kind: intent.Maintenance, Target: intent.Target{Instance: "a"}})
	alive := func(name string) time.Time {
		for _, reg := range r.Snapshot().Registrations() {
			if reg.Instance == name {
				at, _ := r.prober.LastAlive(servicetable.Candidate{Registration: reg, Service: &reg.Services[0], Handler: &reg.Handlers[0]})
				return at
			}
		}
		return time.Time{}
	}
	for range 3 { // probes that were under way when maintenance began are over by then
		last := alive(b.name)
		until(t, "the other one is probed", func() bool { return alive(b.name).After(last) })
	}
	settled := alive("a")
	for range 5 {
		last := alive(b.name)
		until(t, "the other one is probed", func() bool { return alive(b.name).After(last) })
	}
	if alive("a").After(settled) {
		t.Error("an instance in maintenance is probed")
	}
}

// slow accepts CONNECTs once gate is closed.
func slow(t *testing.T, gate <-chan struct{}, asked *atomic.Int32) (string, int) {
	return listenerThat(t, func(connect *tns.Connect, stop <-chan struct{}) tns.Message {
		if asked != nil {
			asked.Add(1)
		}
		select {
		case <-gate:
			return tns.AnswerConnect(connect, 318, nil)
		case <-stop:
			return nil
		}
	})
}

// choosy refuses CONNECTs in whose data there is a word, and accepts all others.
func choosy(t *testing.T, word string) (string, int) {
	return listenerThat(t, func(connect *tns.Connect, _ <-chan struct{}) tns.Message {
		if strings.Contains(string(connect.Data), word) {
			return tns.NewRefuse(tns.CodeUnknownHandler, 0)
		}
		return tns.AnswerConnect(connect, 318, nil)
	})
}

// listenerThat answers each CONNECT as it is told; nil closes the connection, as does the end of the test, of which answer is told.
func listenerThat(t *testing.T, answer func(connect *tns.Connect, stop <-chan struct{}) tns.Message) (string, int) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	stop := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			raw, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer raw.Close()
				conn := tns.NewConn(raw)
				connect, err := conn.ReadConnect()
				if err != nil {
					return
				}
				reply := answer(connect, stop)
				if reply == nil || conn.Send(reply) != nil {
					return
				}
				raw.Read(make([]byte, 100))
			}()
		}
	}()
	t.Cleanup(func() { l.Close(); close(stop); <-ended })
	at := l.Addr().(*net.TCPAddr)
	return at.IP.String(), at.Port
}

// put registers an instance that has no connection of its own.
func (r *running) put(id, name, host string, port int) {
	address := descriptor.Address{Protocol: "TCP", Host: host, Port: port}
	r.registered(servicetable.Registration{
		ID: servicetable.ID(id), Instance: name, Host: name + "-host", Max: 100, RegisteredAt: time.Now(), LoadAt: time.Now(),
		Services: []servicetable.Service{{Name: "sales", Flags: servicetable.FlagUnblocked, Delta: 1}},
		Handlers: []servicetable.Handler{{Name: "DEDICATED", Protocol: "TCP", Host: host, Port: port, Address: address.String(), Max: 100, Flags: 2, Services: []int{0}}},
	})
}

// A session that was under way when its instance was drained is not forgotten at the
// deadline, and nothing is said to be drained before it is.
func TestDrainFindsWhatIsUnderWay(t *testing.T) {
	r := start(t, func(c *Config) { c.HoldTimeout, c.ProbeInterval = 0, 0 })
	gate := make(chan struct{})
	var asked atomic.Int32
	host, port := slow(t, gate, &asked)
	r.put("1", "a", host, port)
	client := r.from("127.0.0.1", sales)
	until(t, "the instance is asked", func() bool { return asked.Load() > 0 })
	set := make(chan struct{})
	deadline := time.Now().Add(100 * time.Millisecond)
	go func() {
		defer close(set)
		r.set(intent.Intent{Kind: intent.Drain, Target: intent.Target{Service: "sales"}, Deadline: deadline, EndSessions: true})
	}()
	until(t, "the deadline is over", func() bool { return time.Now().After(deadline.Add(50 * time.Millisecond)) })
	close(gate)
	if a := <-client; !isAccept(a.reply) {
		t.Fatalf("%v", a)
	}
	<-set
	r.event(journal.Drained)
	var order []journal.Kind
	for _, e := range r.journal.Events(journal.Filter{}) {
		if e.Kind == journal.IntentSet || e.Kind == journal.Drained {
			order = append(order, e.Kind)
		}
	}
	if len(order) != 2 || order[0] != journal.IntentSet {
		t.Errorf("events in the order %v", order)
	}
	if p := r.Intents()[0].Progress; p.Ended != 1 || p.SessionsLeft != 0 || !p.Done {
		t.Errorf("progress %+v", p)
	}
}

// Silence within a service's own ATTEMPT_TIMEOUT is no sign of life.
func TestSilenceIsNoAnswer(t *testing.T) {
	r := start(t, func(c *Config) {
		c.HoldTimeout, c.ProbeInterval = 0, 0
		c.Services = []ServiceSetting{{Pattern: "sales", Treatment: relay.Treatment{AttemptTimeout: 100 * time.Millisecond}}}
	})
	host, port := slow(t, nil, nil)
	r.put("1", "a", host, port)
	r.wantRefused(<-r.from("127.0.0.1", sales), tns.CodeTimeout)
	reg := r.Snapshot().Registrations()[0]
	if _, known := r.prober.LastAlive(servicetable.Candidate{Registration: reg, Service: &reg.Services[0], Handler: &reg.Handlers[0]}); known {
		t.Error("an instance that never said a word counts as alive")
	}
}

// The sessions of an instance that is gone and silent are ended, those included that are
// older than its latest registration.
func TestSessionsOfTheDeadAreEnded(t *testing.T) {
	r := start(t, func(c *Config) { c.HoldTimeout = 0 })
	host, port := database(t)
	r.put("1", "a", host, port)
	r.session("sales")
	r.lost("1")
	r.put("2", "a", host, port) // it is back
	r.session("sales")
	r.gone(r.known.get("2"), true, "it still answers")
	if n := len(r.relay.Sessions()); n != 2 {
		t.Fatalf("%d sessions, want 2", n)
	}
	r.gone(r.known.get("2"), false, "test")
	until(t, "its sessions are ended", func() bool { return len(r.relay.Sessions()) == 0 })
	if e := r.event(journal.SessionsLost); e.Detail != "2 sessions ended" || e.Instance != "a" {
		t.Errorf("event %+v", e)
	}
}

// A client that every instance refuses holds up no others of a healthy service, whether it differs from them in its connect data or
// only in what no line is named by.
func TestOneThatIsRefusedDelaysNoOthers(t *testing.T) {
	for name, odd := range map[string]string{
		"a line of its own": "(HANDLER_NAME=odd)", "the line of all": "(CID=(PROGRAM=odd)(HOST=h)(USER=u))",
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, nil)
			host, port := choosy(t, "odd")
			r.put("a", "a", host, port)
			r.from("127.0.0.2", "(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=sales)"+odd+"))")
			r.heldIs(1)
			var good []chan answered
			for range 100 {
				good = append(good, r.from("127.0.0.3", sales))
			}
			for i, g := range good {
				if a := <-g; !isAccept(a.reply) || a.took > soon {
					t.Fatalf("client %d: %v, want an ACCEPT at once", i, a)
				}
			}
			r.heldIs(1)
			if a := <-r.from("127.0.0.3", sales); !isAccept(a.reply) || a.took > soon {
				t.Errorf("later: %v, want an ACCEPT at once", a)
			}
		})
	}
}
