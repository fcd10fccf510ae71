package broker

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"servicebroker/console"
	"servicebroker/descriptor"
	"servicebroker/failover"
	"servicebroker/journal"
	"servicebroker/relay"
	"servicebroker/servicetable"
	"servicebroker/testenv/authority"
	"servicebroker/tns"
)

// succeed upgrades to the next generation, which serves when it returns, and waits for the end of this one.
func (r *running) succeed(next chan *running) (*running, console.Upgraded) {
	r.t.Helper()
	u, err := r.Upgrade(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return <-next, u
}

// over waits for the end of a generation that has nothing left.
func (r *running) over() {
	r.t.Helper()
	if err := <-r.ended; err != nil {
		r.t.Error(err)
	}
	r.ended <- nil
}

// away makes sales a service that was there lately.
func (r *running) away() {
	r.t.Helper()
	r.register("s1", "sales")()
	r.await(func(s *servicetable.Snapshot) bool { return len(s.Services()) == 0 })
}

// Clients that are held are so through upgrades: at their place, since they came, for no longer, under the same reference.
func TestHeldClientsMoveThroughUpgrades(t *testing.T) {
	first, next := succeedable(t, func(c *Config) { c.HoldTimeout = 40 * time.Second })
	first.away()
	var clients []chan answered
	for n := range 3 {
		clients = append(clients, first.from("127.0.0.1", sales))
		first.heldIs(n + 1)
	}
	before := first.Held()
	second, u := first.succeed(next)
	if !slices.Contains(u.Moved, console.Moved{What: "clients that wait", Moved: 3}) || !u.Complete || u.Left.Clients != 0 {
		t.Errorf("%+v", u)
	}
	second.heldIs(3)
	late := second.from("127.0.0.1", sales)
	second.heldIs(4)
	first.over()
	third, _ := second.succeed(next)
	third.heldIs(4)
	second.over()
	after := third.Held()
	for i, was := range before {
		is := after[i]
		if is.Client != was.Client || is.Ref != was.Ref || is.Since.Sub(was.Since).Abs() > time.Second || is.Until.Sub(was.Until).Abs() > time.Second {
			t.Errorf("number %d is held as %+v, was as %+v", i, is, was)
		}
	}
	third.join("a", "sales")
	for _, c := range append(clients, late) {
		if a := <-c; !isAccept(a.reply) {
			t.Errorf("%v", a)
		}
	}
	for _, was := range before {
		until(t, "it is explained", func() bool { return third.journal.ByRef(was.Ref) != nil })
		if e := third.journal.ByRef(was.Ref); e.Client != was.Client || e.Outcome != journal.Relay || e.Time.After(was.Since) || e.Held == 0 || e.Held > e.Took {
			t.Errorf("%s is explained as %+v", was.Ref, e)
		}
		if first.journal.ByRef(was.Ref) != nil || second.journal.ByRef(was.Ref) != nil {
			t.Errorf("%s is explained more than once", was.Ref)
		}
	}
	began := 0
	for _, e := range third.journal.Events(journal.Filter{}) {
		if e.Kind == journal.HoldBegan {
			began++
		}
	}
	if began != 1 {
		t.Errorf("that connects wait is told %d times", began)
	}
	for _, r := range []*running{first, second} {
		for _, e := range r.journal.Events(journal.Filter{}) {
			if e.Kind == journal.HoldEnded {
				t.Errorf("told by one that moved them: %+v", e)
			}
		}
		if c := r.holder.Counters(); c.HeldNow != 0 || c.Left != 0 {
			t.Errorf("%+v", c)
		}
	}
	if n := third.limiting.connections.Counts().Now; n != 4 {
		t.Errorf("%d connections are counted", n)
	}
}

// A first request that an upgrade interrupts, wherever that is, is read on.
func TestFirstRequestsAreReadOn(t *testing.T) {
	long := "(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=sales)(CID=(PROGRAM=" + strings.Repeat("x", 1000) + "))))"
	request := string(tns.NewConnect([]byte(long)).AppendTo(nil, false))
	for _, tc := range []struct {
		name, sent, client string
		proxies            bool
	}{
		{name: "nothing"},
		{name: "part of the CONNECT", sent: request[:20]},
		{name: "CONNECT without its data", sent: request[:74]},
		{name: "part of its data", sent: request[:500]},
		{name: "nothing of a PROXY header", proxies: true, client: "203.0.113.7:4000"},
		{name: "half a PROXY header", sent: header(t, 2, "203.0.113.7:4000")[:9], proxies: true, client: "203.0.113.7:4000"},
		{name: "a PROXY header", sent: header(t, 1, "203.0.113.7:4000"), proxies: true, client: "203.0.113.7:4000"},
		{name: "a PROXY header and half a CONNECT", sent: header(t, 1, "203.0.113.7:4000") + request[:300], proxies: true, client: "203.0.113.7:4000"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, next := succeedable(t, func(c *Config) {
				host, port := database(t)
				c.StaticServices = []StaticService{{Name: "sales", Instance: "s1", Address: descriptor.Address{Protocol: "tcp", Host: host, Port: port}}}
				if tc.proxies {
					c.ProxyProtocol.In = loopback
				}
			})
			all := request
			if tc.proxies {
				all = header(t, 1, tc.client) + request
				if strings.HasPrefix(tc.sent, header(t, 2, tc.client)[:9]) {
					all = header(t, 2, tc.client) + request
				}
			}
			conn := r.dial()
			_, _ = io.WriteString(conn.NetConn(), tc.sent)
			until(t, "it is being read", func() bool { return r.open.count()["reading"] == 1 })
			after, u := r.succeed(next)
			if !slices.Contains(u.Moved, console.Moved{What: "clients that wait", Moved: 1}) {
				t.Errorf("%+v", u)
			}
			r.over()
			_, _ = io.WriteString(conn.NetConn(), all[len(tc.sent):])
			if reply, err := conn.ReadReply(); err != nil || !isAccept(reply) {
				t.Fatalf("%T, %v", reply, err)
			}
			pings(t, conn.NetConn())
			want := tc.client
			if want == "" {
				want = conn.NetConn().LocalAddr().String()
			}
			if s := after.relay.Sessions(); len(s) != 1 || s[0].Client != want {
				t.Errorf("%+v", s)
			}
		})
	}
}

// stalled is a connection that keeps what comes first to itself until it is let go.
type stalled struct {
	net.Conn
	came, gone chan struct{}
	once       sync.Once
}

func (s *stalled) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	s.once.Do(func() {
		close(s.came)
		<-s.gone
	})
	return n, err
}

// Where TLS is spoken, who has not begun to moves; whoever is in the middle of it stays and is served.
func TestTLSClientsInAnUpgrade(t *testing.T) {
	a := authority.New(t)
	r, next := succeedable(t, func(c *Config) {
		c.Addresses[0].Protocol = "tcps"
		c.TLS.Certificate = a.File("host.pem", a.Host())
		host, port := database(t)
		c.StaticServices = []StaticService{{Name: "sales", Instance: "s1", Address: descriptor.Address{Protocol: "tcp", Host: host, Port: port}}}
	})
	config := &tls.Config{RootCAs: a.Pool, ServerName: "localhost"}
	silent := r.dial().NetConn()
	middle := &stalled{Conn: r.dial().NetConn(), came: make(chan struct{}), gone: make(chan struct{})}
	type outcome struct {
		reply tns.Message
		err   error
	}
	served := make(chan outcome, 1)
	secure := tls.Client(middle, config)
	go func() {
		reply, err := tns.TryService(t.Context(), secure, []byte(askSales))
		served <- outcome{reply, err}
	}()
	<-middle.came
	until(t, "both are being read", func() bool { return r.open.count()["reading"] == 2 })
	_, u := r.succeed(next)
	if !slices.Contains(u.Moved, console.Moved{What: "clients that wait", Moved: 1}) {
		t.Errorf("%+v", u)
	}
	if reply, err := tns.TryService(t.Context(), tls.Client(silent, config), []byte(askSales)); err != nil || !isAccept(reply) {
		t.Errorf("the silent one: %T, %v", reply, err)
	}
	close(middle.gone)
	if o := <-served; o.err != nil || !isAccept(o.reply) {
		t.Errorf("the one in the middle: %T, %v", o.reply, o.err)
	}
	_ = middle.Close()
	r.over()
}

// INBOUND_CONNECT_TIMEOUT counts from when the client came, whoever reads its request in the end.
func TestTheTimeForTheFirstRequestGoesOn(t *testing.T) {
	old, successor := start(t, nil), start(t, func(c *Config) { c.HoldTimeout = 0 })
	successor.wantCode(sales, tns.CodeUnknownService) // it serves
	before := time.Now()
	conn := old.dial()
	until(t, "it is being read", func() bool { return old.open.count()["reading"] == 1 })
	after := time.Now()
	later := func(ctx context.Context, text json.RawMessage, files []*os.File) (func(error), error) {
		m := new(movedClient)
		if err := json.Unmarshal(text, m); err != nil {
			return nil, err
		}
		if m.Came.Before(before.Round(0)) || m.Came.After(after.Round(0)) { // Round: by the clock on the wall, as what has moved
			t.Errorf("it came at %v, and was read between %v and %v", m.Came, before, after)
		}
		m.Address, m.Came = successor.Addresses()[0], m.Came.Add(-successor.config.InboundTimeout)
		text, _ = json.Marshal(m)
		return successor.resumeClient(ctx, text, files)
	}
	if moved, stayed := old.moveClients(t.Context(), offerTo(t, later)); moved != 1 || stayed != 0 {
		t.Fatalf("%d moved, %d stayed", moved, stayed)
	}
	reply, err := conn.ReadReply()
	if refuse, ok := reply.(*tns.Refuse); !ok || refuse.Code() != tns.CodeInboundTimeout {
		t.Errorf("%T %v, %v", reply, reply, err)
	}
}

// What a successor declines goes on where it is, and so does all that waits later.
func TestClientsThatAreDeclinedStay(t *testing.T) {
	r := start(t, func(c *Config) { c.HoldTimeout = 40 * time.Second })
	r.away()
	silent, half, waiting := r.dial(), r.dial(), r.from("127.0.0.1", sales)
	request := tns.NewConnect([]byte(sales)).AppendTo(nil, false)
	_, _ = half.NetConn().Write(request[:20])
	r.heldIs(1)
	until(t, "both are being read", func() bool { return r.open.count()["reading"] == 2 })
	var offers atomic.Int64
	declined := func(_ context.Context, _ json.RawMessage, files []*os.File) (func(error), error) {
		offers.Add(1)
		closeFiles(files)
		return nil, errors.New("not now")
	}
	if moved, _ := r.moveClients(t.Context(), offerTo(t, declined)); moved != 0 {
		t.Errorf("%d moved", moved)
	}
	until(t, "all have stayed", func() bool { return r.departing.stayed.Load() == 3 }) // who is held may not yet have listened then
	r.heldIs(1)
	late := r.from("127.0.0.1", sales)
	r.heldIs(2)
	r.join("a", "sales")
	_, _ = half.NetConn().Write(request[20:])
	_ = silent.Send(tns.NewConnect([]byte(sales)))
	for _, conn := range []*tns.Conn{silent, half} {
		if reply, err := conn.ReadReply(); err != nil || !isAccept(reply) {
			t.Errorf("%T, %v", reply, err)
		}
	}
	for _, one := range []chan answered{waiting, late} {
		if a := <-one; !isAccept(a.reply) {
			t.Errorf("%v", a)
		}
	}
	if n := offers.Load(); n != 6 { // the first two once more, as clients
		t.Errorf("%d offers", n)
	}
}

// A successor takes only what it understands, at an address that it has.
func TestClientsThatAreNotTaken(t *testing.T) {
	r := start(t, nil)
	good := movedClient{Form: movedClientForm, Address: r.Addresses()[0], Came: time.Now(), Client: netip.MustParseAddrPort("127.0.0.1:4000")}
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for name, change := range map[string]func(*movedClient){
		"another form":    func(m *movedClient) { m.Form++ },
		"a need":          func(m *movedClient) { m.Needs = []string{"x"} },
		"too much":        func(m *movedClient) { m.Read = make([]byte, mostRead+1) },
		"nobody":          func(m *movedClient) { m.Client = netip.AddrPort{} },
		"no time":         func(m *movedClient) { m.Came = time.Time{} },
		"a long ref":      func(m *movedClient) { m.Before = &relay.Before{Began: time.Now(), Ref: strings.Repeat("x", 65)} },
		"no beginning":    func(m *movedClient) { m.Before = &relay.Before{} },
		"another address": func(m *movedClient) { m.Address = "192.0.2.1:1521" },
		"TLS":             func(m *movedClient) { m.TLS = true },
		"no socket":       func(*movedClient) {},
	} {
		m := good
		change(&m)
		if err := offerTo(t, r.resumeClient)(t.Context(), m, file); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if _, err := r.resumeClient(t.Context(), json.RawMessage("{"), nil); err == nil || offerTo(t, r.resumeClient)(t.Context(), good) == nil {
		t.Error("what is no client was taken")
	}
	if n := r.limiting.connections.Counts().Now; n != 0 {
		t.Errorf("%d connections are counted", n)
	}
	r.adopting.end()
	conn := r.dial().NetConn().(*net.TCPConn)
	socket, err := conn.File()
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	if err := offerTo(t, r.resumeClient)(t.Context(), good, socket); !errors.Is(err, errNotMoving) {
		t.Errorf("by one that ends: %v", err)
	}
}

// What left before an upgrade is waited for after it, until HOLD_MEMORY after it left.
func TestWhatLeftLatelyIsPassedOn(t *testing.T) {
	hold := func(c *Config) { c.HoldTimeout, c.HoldMemory = 40*time.Second, time.Hour }
	old, successor, late := start(t, hold), start(t, hold), start(t, hold)
	old.away()
	until(t, "it is remembered", func() bool { d, _, _ := old.giveDeparted(); return len(d.(departedPassed).Departed) == 1 })
	pass(t, old.giveDeparted, successor.takeDeparted)
	waiting := successor.from("127.0.0.1", sales)
	successor.heldIs(1)
	successor.join("a", "sales")
	if a := <-waiting; !isAccept(a.reply) {
		t.Errorf("%v", a)
	}
	old.departed.mu.Lock()
	old.departed.all[0].at = old.departed.all[0].at.Add(-2 * time.Hour)
	old.departed.mu.Unlock()
	pass(t, old.giveDeparted, late.takeDeparted)
	late.wantCode(sales, tns.CodeUnknownService)
}

// That connects wait is told once, and so is the end, with what happened before an upgrade; where nobody comes nothing is told.
func TestHoldsGoOn(t *testing.T) {
	old, successor := start(t, nil), start(t, nil)
	note := old.holds.note
	note(failover.HoldEvent{Time: time.Now(), Began: true, Service: "sales"})
	note(failover.HoldEvent{Time: time.Now(), Service: "sales", Connected: 2})
	note(failover.HoldEvent{Time: time.Now(), Began: true, Service: "sales"})
	note(failover.HoldEvent{Time: time.Now(), Began: true, Service: "erp"})
	pass(t, old.giveHolds, successor.takeHolds)
	successor.holds.note(failover.HoldEvent{Time: time.Now(), Began: true, Service: "sales"})
	successor.holds.note(failover.HoldEvent{Time: time.Now(), Service: "sales", Connected: 1})
	successor.holds.flush()
	var told []string
	for _, e := range successor.journal.Events(journal.Filter{}) {
		if e.Kind == journal.HoldBegan || e.Kind == journal.HoldEnded {
			told = append(told, string(e.Kind)+" "+e.Service+" "+strings.Split(e.Detail, ",")[0])
		}
	}
	if want := []string{string(journal.HoldEnded) + " sales 3 connected"}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}
