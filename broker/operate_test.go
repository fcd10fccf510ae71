package broker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"servicebroker/console"
	"servicebroker/descriptor"
	"servicebroker/intent"
	"servicebroker/journal"
	"servicebroker/registration"
	"servicebroker/servicetable"
	"servicebroker/tns"
)

// member is one instance that is registered, whose link and listener the test can cut.
type member struct {
	name    string
	mu      sync.Mutex
	link    net.Conn
	away    bool // no new link
	load    uint32
	refresh chan struct{}
	ended   sync.WaitGroup
	stop    context.CancelFunc
}

// join registers an instance of services that accepts every client and echoes.
func (r *running) join(name string, services ...string) *member {
	r.t.Helper()
	host, port := database(r.t)
	m := &member{name: name, refresh: make(chan struct{})}
	address := descriptor.Address{Protocol: "TCP", Host: host, Port: port}
	agent := &registration.Agent{Brokers: r.Addresses(), AsDatabase: true, Retry: 10 * time.Millisecond, Refresh: m.refresh,
		Dial: m.dial,
		Describe: func() servicetable.Registration {
			one := servicetable.Registration{Instance: name, Host: name + "-host", HostRaw: "(HOST=" + name + "-host)", Max: 100, Load: m.reported()}
			h := servicetable.Handler{Name: "DEDICATED", Protocol: "TCP", Host: host, Port: port, Address: address.String(), Info: "REMOTE SERVER", Max: 100, Flags: 2}
			for i, s := range services {
				one.Services = append(one.Services, servicetable.Service{Name: s, Flags: servicetable.FlagUnblocked, Delta: 1})
				h.Services = append(h.Services, i)
			}
			one.Handlers = []servicetable.Handler{h}
			return one
		}}
	ctx, cancel := context.WithCancel(context.Background())
	m.stop = cancel
	m.ended.Go(func() { _ = agent.Run(ctx) })
	r.t.Cleanup(func() { cancel(); m.ended.Wait() })
	r.await(func(s *servicetable.Snapshot) bool { return m.status(s, services[0]) != "" })
	return m
}

func (m *member) dial(ctx context.Context, address string) (net.Conn, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.away {
		return nil, errors.New("kept away")
	}
	c, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	m.link = c
	return c, err
}

// cut breaks the link without a word, and keeps it away or lets it come back.
func (m *member) cut(away bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.away = away
	_ = m.link.(*net.TCPConn).SetLinger(0)
	m.link.Close()
}

func (m *member) reported() uint32 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.load
}

// status is what a snapshot says of the instance for a service, "" if it is not there.
func (m *member) status(s *servicetable.Snapshot, service string) string {
	entry, err := s.Service(service)
	if err != nil {
		return ""
	}
	for _, in := range entry.Instances {
		if in.Registration.Instance == m.name {
			text := in.Status.String()
			for _, mark := range in.Marks {
				text += " " + mark.Kind.String()
			}
			return text
		}
	}
	return ""
}

// session connects and returns the instance that the broker chose.
func (r *running) session(service string) (net.Conn, string) {
	r.t.Helper()
	conn, reply := r.ask("(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=" + service + ")))")
	if _, ok := reply.(*tns.Accept); !ok {
		r.t.Fatalf("%s: answer %T %v", service, reply, reply)
	}
	local := conn.NetConn().LocalAddr().String()
	for _, s := range r.relay.Sessions() {
		if s.Client == local {
			return conn.NetConn(), strings.SplitN(s.Instance, "@", 2)[0]
		}
	}
	if _, err := io.WriteString(conn.NetConn(), "x"); err != nil { // the session may not be listed yet
		r.t.Fatal(err)
	}
	_, _ = io.ReadFull(conn.NetConn(), make([]byte, 1))
	for _, s := range r.relay.Sessions() {
		if s.Client == local {
			return conn.NetConn(), strings.SplitN(s.Instance, "@", 2)[0]
		}
	}
	r.t.Fatal("the session is not listed")
	return nil, ""
}

func (r *running) set(i intent.Intent) console.IntentView {
	r.t.Helper()
	v, err := r.SetIntent(r.t.Context(), i)
	if err != nil {
		r.t.Fatal(err)
	}
	return v
}

// event waits until something of a kind has happened.
func (r *running) event(kind journal.Kind) journal.Event {
	r.t.Helper()
	limit := time.After(10 * time.Second)
	for {
		changed := r.journal.Changed()
		for _, e := range r.journal.Events(journal.Filter{}) {
			if e.Kind == kind {
				return e
			}
		}
		select {
		case <-changed:
		case <-limit:
			r.t.Fatalf("no event %s", kind)
		}
	}
}

func TestDrain(t *testing.T) {
	r := start(t, func(c *Config) { c.HoldTimeout, c.AttemptTimeout = 0, 20*time.Second }) // each instance gets the sessions that are its
	r.join("a", "sales", "hr")
	r.join("b", "sales")
	open := map[string][]net.Conn{}
	for range 6 {
		c, at := r.session("sales")
		open[at] = append(open[at], c)
	}
	if len(open["a"]) != 3 || len(open["b"]) != 3 {
		t.Fatalf("sessions: %d and %d", len(open["a"]), len(open["b"]))
	}
	drain := intent.Intent{Kind: intent.Drain, Target: intent.Target{Service: "sales", Instance: "a"}, Deadline: time.Now().Add(time.Hour), EndSessions: true, Reason: "patch"}
	v := r.set(drain)
	if v.Progress.SessionsLeft != 3 || v.Progress.Done {
		t.Errorf("progress %+v", v.Progress)
	}
	for range 6 {
		if _, at := r.session("sales"); at != "b" {
			t.Errorf("a session of the drained service at %s", at)
		}
	}
	if _, at := r.session("hr"); at != "a" {
		t.Errorf("another service of the instance went to %s", at)
	}
	_, _ = io.WriteString(open["a"][0], "x")
	if _, err := io.ReadFull(open["a"][0], make([]byte, 1)); err != nil {
		t.Errorf("a session was cut before the deadline: %v", err)
	}
	drain.Deadline = time.Now().Add(100 * time.Millisecond)
	if again := r.set(drain); again.ID != v.ID {
		t.Errorf("the drain is %s with another deadline, and was %s", again.ID, v.ID)
	}
	for _, c := range open["a"] {
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
		if _, err := io.ReadFull(c, make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("after the deadline a session goes on: %v", err)
		}
	}
	r.event(journal.Drained)
	if all := r.Intents(); len(all) != 1 || all[0].Progress.SessionsAtStart != 3 || all[0].Progress.Ended != 3 || !all[0].Progress.Done || !all[0].Progress.DeadlinePassed {
		t.Errorf("in the end: %+v", all)
	}
	_, _ = io.WriteString(open["b"][0], "x")
	if _, err := io.ReadFull(open["b"][0], make([]byte, 1)); err != nil {
		t.Errorf("a session that was not drained was cut: %v", err)
	}
	if _, err := r.EndIntent(t.Context(), v.ID); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for range 12 {
		_, at := r.session("sales")
		seen[at] = true
	}
	if !seen["a"] {
		t.Error("nobody comes back after the drain")
	}
	if _, err := r.EndIntent(t.Context(), v.ID); !errors.Is(err, console.ErrNotFound) {
		t.Errorf("ending it again: %v", err)
	}
}

// What operators want outlives the broker.
func TestIntentsOutliveTheBroker(t *testing.T) {
	dir := t.TempDir() + "/state"
	keep := func(c *Config) { c.StateDirectory, c.HoldTimeout = dir, 0 }
	func() {
		r := start(t, keep)
		r.set(intent.Intent{Kind: intent.Drain, Target: intent.Target{Instance: "a"}, Reason: "r"})
		r.set(intent.Intent{Kind: intent.Weight, Target: intent.Target{Instance: "b"}, Value: 40})
		r.stop()
		r.ended <- <-r.ended
	}()
	r := start(t, keep)
	m := r.join("a", "sales")
	if got := m.status(r.Snapshot(), "sales"); got != "READY draining" {
		t.Errorf("after the restart: %s", got)
	}
	r.wantCode(sales, tns.CodeBlocked)
	r.join("b", "sales")
	entry, _ := r.Snapshot().Service("sales")
	if got := entry.Instances[1].Service.Weight.Percent(); got != 40 {
		t.Errorf("weight %d", got)
	}
}

func TestHoldAndRelease(t *testing.T) {
	r := start(t, nil)
	r.join("a", "sales")
	v := r.set(intent.Intent{Kind: intent.Hold, Target: intent.Target{Service: "sales"}})
	answered := make(chan error, 1)
	go func() {
		_, reply := r.ask(sales)
		if _, ok := reply.(*tns.Accept); !ok {
			answered <- fmt.Errorf("answer %T %v", reply, reply)
			return
		}
		answered <- nil
	}()
	r.event(journal.HoldBegan)
	if held := r.Held(); len(held) != 1 || held[0].Service != "sales" || held[0].Ref == "" || held[0].Client == "" {
		t.Errorf("held: %+v", held)
	}
	e, err := r.Explain(t.Context(), console.ExplainRequest{Descriptor: "sales"})
	if err != nil || e.Outcome != journal.Hold {
		t.Errorf("explained as %+v, %v", e, err)
	}
	if _, err := r.EndIntent(t.Context(), v.ID); err != nil {
		t.Fatal(err)
	}
	if err := <-answered; err != nil {
		t.Error(err)
	}
}

// A drain for the clients of a network is none for others.
func TestDrainOfANetwork(t *testing.T) {
	r := start(t, func(c *Config) { c.HoldTimeout = 0 })
	r.join("a", "sales")
	v := r.set(intent.Intent{Kind: intent.Drain, Target: intent.Target{Service: "sales", Network: "127.0.0.0/8"}})
	r.wantCode(sales, tns.CodeBlocked)
	e, err := r.Explain(t.Context(), console.ExplainRequest{Descriptor: "sales"})
	if err != nil || e.Outcome != journal.Refuse || len(e.Candidates) != 1 || e.Candidates[0].PassedOver == "" {
		t.Errorf("explained as %+v, %v", e, err)
	}
	if e, err = r.Explain(t.Context(), console.ExplainRequest{Descriptor: "sales", From: netip.MustParseAddr("10.0.0.1")}); err != nil || e.Outcome != journal.Relay {
		t.Errorf("from elsewhere: %+v, %v", e, err)
	}
	if _, err := r.EndIntent(t.Context(), v.ID); err != nil {
		t.Fatal(err)
	}
	r.session("sales")
}

// An instance whose link is cut stays while it answers, below all others, and is back when
// it registers again.
func TestStale(t *testing.T) {
	r := start(t, func(c *Config) { c.ProbeInterval, c.ProbeTimeout = 20*time.Second, 20*time.Second })
	m := r.join("a", "sales")
	r.session("sales") // it was reached
	m.cut(true)
	r.await(func(s *servicetable.Snapshot) bool { return m.status(s, "sales") == "STALE" })
	if _, at := r.session("sales"); at != "a" {
		t.Errorf("the stale instance is not used, but %s", at)
	}
	r.join("b", "sales")
	for range 4 {
		if _, at := r.session("sales"); at != "b" {
			t.Error("a stale instance is used while another one lives")
		}
	}
	m.mu.Lock()
	m.away = false
	m.mu.Unlock()
	r.await(func(s *servicetable.Snapshot) bool { return m.status(s, "sales") == "READY" })
	if entry, _ := r.Snapshot().Service("sales"); len(entry.Instances) != 2 {
		t.Errorf("%d instances after it came back, want 2", len(entry.Instances))
	}
}

// An instance that was never reached is dropped at once.
func TestNeverReachedIsDropped(t *testing.T) {
	r := start(t, func(c *Config) { c.ProbeInterval = 0 })
	m := r.join("a", "sales")
	m.cut(true)
	r.await(func(s *servicetable.Snapshot) bool { return m.status(s, "sales") == "" })
}

func TestQuarantine(t *testing.T) {
	r := start(t, func(c *Config) {
		c.HoldTimeout = 0
		c.Registrants = []registration.RegistrantRule{{Name: "prod", Sources: []string{"192.0.2.7"}, Services: []string{"sales*"}}}
	})
	m := r.join("rogue", "sales", "other")
	if got := m.status(r.Snapshot(), "sales"); got != "READY quarantined" {
		t.Fatalf("status %s", got)
	}
	r.wantCode(sales, tns.CodeBlocked)
	r.session("other")
	list := r.Quarantine()
	if len(list) != 1 || list[0].Service != "sales" || list[0].Instance != "rogue@rogue-host" || list[0].Peer != "127.0.0.1" {
		t.Fatalf("quarantine: %+v", list)
	}
	r.event(journal.Quarantined)
	r.set(intent.Intent{Kind: intent.Reject, Target: intent.Target{Quarantine: list[0].ID}})
	if list := r.Quarantine(); len(list) != 1 || !list[0].Rejected {
		t.Errorf("after the rejection: %+v", list)
	}
	r.wantCode(sales, tns.CodeBlocked)
	r.set(intent.Intent{Kind: intent.Approve, Target: intent.Target{Service: "sales", Instance: "rogue@rogue-host", Network: "127.0.0.1/32"}})
	if list := r.Quarantine(); len(list) != 0 {
		t.Errorf("after the approval: %+v", list)
	}
	r.session("sales")
	for _, one := range r.Intents() {
		if _, err := r.EndIntent(t.Context(), one.ID); err != nil {
			t.Error(err)
		}
	}
	r.wantCode(sales, tns.CodeBlocked)
}

func TestLoadFeed(t *testing.T) {
	r := start(t, nil)
	r.join("a", "sales")
	load, goodness := uint32(77), uint32(5)
	if err := r.SetLoad(console.LoadReport{Instance: "A@a-HOST", Load: &load, Services: map[string]console.ServiceLoad{"sales": {Goodness: &goodness}}}); err != nil {
		t.Fatal(err)
	}
	entry, _ := r.Snapshot().Service("sales")
	in := entry.Instances[0]
	if in.Registration.Load != 77 || in.Registration.Max != 100 || in.Registration.LoadSource != "feed" || in.Service.Goodness != 5 || in.Service.Delta != 1 {
		t.Errorf("fed: %+v %+v", in.Registration, in.Service)
	}
	if err := r.SetLoad(console.LoadReport{Instance: "nobody@nowhere", Load: &load}); !errors.Is(err, console.ErrNotFound) {
		t.Errorf("an unknown instance: %v", err)
	}
}
