package broker

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"servicebroker/tns"
)

// prepared is start for a broker in which something is changed before it runs.
func prepared(t *testing.T, change func(*Broker)) *running {
	t.Helper()
	b, err := New(testConfig(t, nil), slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	b.tallyEvery = 5 * time.Millisecond
	change(b)
	b.applyLimits()
	return run(t, b)
}

// serves tells whether somebody who asks gets a session, and leaves it open.
func (r *running) serves() bool {
	raw, err := net.Dial("tcp", r.Addresses()[0])
	if err != nil { // it has been reset already
		return false
	}
	r.t.Cleanup(func() { raw.Close() })
	conn := tns.NewConn(raw)
	if conn.Send(tns.NewConnect([]byte(sales))) != nil {
		return false
	}
	reply, err := conn.ReadReply()
	_, accepted := reply.(*tns.Accept)
	return err == nil && accepted
}

func TestDescriptorsAreDivided(t *testing.T) {
	for _, c := range []struct{ total, taken, reserve, clients, slots int }{
		{64, 40, 21, 1, 5},
		{200, 30, 48, 61, 12},
		{1024, 40, 102, 441, 25},
		{20_000, 50, 1024, 9463, 256},
		{524_288, 50, 1024, 261_607, 256},
		{math.MaxInt32, 50, 1024, 1073741286, 256},
	} {
		var r descriptorRoom
		r.divide(c.total, c.taken)
		if slots, each := r.slots(); r.reserve != c.reserve || r.clients != c.clients || slots != c.slots || each < 1 || each > slots {
			t.Errorf("of %d with %d taken: %d kept, %d clients, %d slots, %d each", c.total, c.taken, r.reserve, r.clients, slots, each)
		}
		if r.forClients() >= r.forDatabases() || r.forDatabases() >= c.total {
			t.Errorf("of %d: clients below %d, databases below %d", c.total, r.forClients(), r.forDatabases())
		}
		for number, want := range map[int][2]bool{r.forClients() - 1: {true, true}, r.forClients(): {false, true}, r.forDatabases() - 1: {false, true}, r.forDatabases(): {false, false}} {
			if client, anybody := r.allows(number); client != want[0] || anybody != want[1] {
				t.Errorf("of %d, number %d: client %v, anybody %v", c.total, number, client, anybody)
			}
		}
	}
	var none descriptorRoom
	if client, anybody := none.allows(1 << 30); !client || !anybody {
		t.Error("where nothing is known nobody is kept out")
	}
}

// Whatever clients take, databases register, operators look, and somebody who speaks is served.
func TestDatabasesGoBeforeClientsWhereDescriptorsAreFew(t *testing.T) {
	r := prepared(t, func(b *Broker) { b.overload.descriptors.clients = 2 * silentCrowd })
	crowd := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP("127.0.0.2")}}
	for range 200 {
		if c, err := crowd.Dial("tcp", r.Addresses()[0]); err == nil { // else it has been reset already
			defer c.Close()
		}
	}
	r.register("a", "sales")
	until(t, "somebody who speaks is served", r.serves) // once some of the crowd have had their time
	if status := r.get("/api/v1/status"); !strings.Contains(status, "short of descriptors") || !strings.Contains(status, "raise LimitNOFILE") {
		t.Errorf("status: %s", status)
	}
	if limits := r.get("/api/v1/limits"); !strings.Contains(limits, "RLIMIT_NOFILE") {
		t.Errorf("limits: %s", limits)
	}
	r.awaitSeries(series{`shortage{operation="serve",resource="descriptors"}`: 1, `descriptors_for_clients`: 2 * silentCrowd})
}

// A client that has many silent connections loses some to one that has few.
func TestACrowdMakesRoomSoon(t *testing.T) {
	r := prepared(t, func(b *Broker) { b.overload.descriptors.clients = 2 * silentCrowd })
	r.register("a", "sales")
	for range 2 * silentCrowd {
		r.connection("127.0.0.2")
	}
	until(t, "the crowd has had its time", func() bool { return r.limiting.silent.EvictFrom(silentCrowd, crowdAtLeast) })
	for range 5 {
		r.session("sales")
	}
}

func TestClientsAreKeptOutWhereMemoryIsShort(t *testing.T) {
	r := prepared(t, func(b *Broker) { lacksMemory(b, 90) })
	until(t, "it is noticed", r.overload.full.Load)
	r.register("a", "sales")
	r.wantCode(sales, tns.CodeRateLimit)
	if status := r.get("/api/v1/status"); !strings.Contains(status, "short of memory") || !strings.Contains(status, "MEMORY_LIMIT") {
		t.Errorf("status: %s", status)
	}
	r.awaitSeries(series{`shortage{operation="serve",resource="memory"}`: 1, `memory_limit_bytes`: 10_000})
}

// failing is a listener of a system that has none left, for a while.
type failing struct {
	net.Listener
	times atomic.Int32
	err   error
}

func (f *failing) Accept() (net.Conn, error) {
	if f.times.Add(-1) >= 0 {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", f.err)}
	}
	return f.Listener.Accept()
}

// said is what was logged.
type said struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// Accepting goes on whatever the system has run out of, and one line tells of it.
func TestAcceptGoesOn(t *testing.T) {
	for _, err := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM} {
		t.Run(err.Error(), func(t *testing.T) {
			var log said
			b, newErr := New(testConfig(t, nil), slog.New(slog.NewTextHandler(&log, nil)))
			if newErr != nil {
				t.Fatal(newErr)
			}
			without := &failing{Listener: b.listeners[0], err: err}
			without.times.Store(4)
			b.listeners[0] = without
			r := run(t, b)
			r.register("a", "sales")
			r.session("sales")
			if n := strings.Count(log.String(), "operation=accept"); n != 1 {
				t.Errorf("%d lines tell of it:\n%s", n, log.String())
			}
			if notes := strings.Join(r.notes(), "\n"); !strings.Contains(notes, "accept, 4 times") {
				t.Errorf("notes: %s", notes)
			}
		})
	}
}

// A shortage is told when it begins and when it is over.
func TestShortagesAreToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log said
		s := shortages{log: slog.New(slog.NewTextHandler(&log, nil))}
		of := shortageOf{"dial", "ports"}
		for range 1000 {
			s.note(of, func() string { return "why" })
			<-time.After(time.Millisecond)
			s.end(time.Now())
		}
		s.note(shortageOf{"accept", "descriptors"}, func() string { return "why not" })
		if all := s.all(); len(all) != 2 || all[0].shortageOf != of || all[0].times != 1000 || all[0].cause != "why" {
			t.Errorf("%+v", all)
		}
		<-time.After(shortageOver)
		s.end(time.Now())
		if len(s.all()) != 0 || s.counts()[of] != 1000 {
			t.Errorf("%+v, %v", s.all(), s.counts())
		}
		s.note(of, func() string { return "again" })
		if text := log.String(); strings.Count(text, `"short of ports"`) != 2 || strings.Count(text, "no longer short") != 2 || !strings.Contains(text, "times=1000 lasted=999ms") {
			t.Errorf("log:\n%s", text)
		}
	})
}

func TestPausesOfAccept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := backOff{most: 30 * time.Millisecond}
		began := time.Now()
		for range 5 {
			if !p.wait(t.Context()) {
				t.Fatal("it ended")
			}
		}
		if took := time.Since(began); took != (5+10+20+30+30)*time.Millisecond {
			t.Errorf("took %v", took)
		}
		over, cancel := context.WithCancel(t.Context())
		cancel()
		if p.wait(over) {
			t.Error("it did not end")
		}
	})
}

func TestAddressesForClientsAlone(t *testing.T) {
	for transports, want := range map[string]bool{"": false, "TCP": false, "TCPS": true, "TCP,TCPS": false} {
		b, err := New(testConfig(t, func(c *Config) {
			if transports != "" {
				c.Admission.Transports = strings.Split(transports, ",")
			}
		}), nil)
		if err != nil {
			t.Fatal(err)
		}
		b.closeListeners()
		if got := b.forClientsAlone(0); got != want {
			t.Errorf("registrations over %q: %v", transports, got)
		}
	}
}

// While there is no room, those come slowly who can only be clients; then as ever.
func TestClientsAloneWaitOutside(t *testing.T) {
	b, err := New(testConfig(t, func(c *Config) { c.Admission.Transports = []string{"TCPS"} }), nil)
	if err != nil {
		t.Fatal(err)
	}
	lacksMemory(b, 90)
	r := run(t, b)
	until(t, "it is noticed", r.overload.full.Load)
	r.wantCode(sales, tns.CodeRateLimit)
}

func TestLimitsThatCannotBeReached(t *testing.T) {
	var r descriptorRoom
	r.divide(1024, 40)
	c := DefaultConfig()
	if all := r.lacks(c); len(all) != 0 {
		t.Errorf("of the defaults: %v", all)
	}
	c.Limits.MaxConnections, c.Limits.MaxSessions = 2000, 400
	all := r.lacks(c)
	if len(all) != 1 || all[0].parameter != "MAX_ALL_CONNECTIONS" {
		t.Fatalf("%v", all)
	}
	var enough descriptorRoom
	need := neededFor(2000, perClient)
	if enough.divide(need, 2*ownFiles); len(enough.lacks(c)) != 0 || !strings.Contains(all[0].text, fmt.Sprint(need)) {
		t.Errorf("with %d: %v, and %s", need, enough.lacks(c), all[0].text)
	}
	c.Given = map[string]Given{"MAX_REG_CONNECTIONS": {}}
	c.MaxRegistrations = 600
	if all := r.lacks(c); len(all) != 2 || all[1].parameter != "MAX_REG_CONNECTIONS" {
		t.Errorf("%v", all)
	}
	if all := new(descriptorRoom).lacks(c); all != nil {
		t.Errorf("where nothing is known: %v", all)
	}
}
