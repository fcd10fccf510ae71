package broker

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"servicebroker/console"
	"servicebroker/journal"
	"servicebroker/limits"
	"servicebroker/registration"
	"servicebroker/tns"
)

// dialFrom connects from a loopback address.
func (r *running) dialFrom(local string) (net.Conn, error) {
	return (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(local)}}).Dial("tcp", r.Addresses()[0])
}

// wantReset connects from a loopback address and is reset, which the dialing itself may notice.
func (r *running) wantReset(local string) {
	r.t.Helper()
	c, err := r.dialFrom(local)
	if err == nil {
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(soon))
		_, err = c.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		r.t.Errorf("one too many: %v, want a reset", err)
	}
}

// connection connects from a loopback address and says nothing.
func (r *running) connection(local string) *tns.Conn {
	r.t.Helper()
	c, err := r.dialFrom(local)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return tns.NewConn(c)
}

func (r *running) wantFrom(local, text string, code tns.Code) {
	r.t.Helper()
	a := <-r.from(local, text)
	if code == 0 {
		if _, ok := a.reply.(*tns.Accept); !ok {
			r.t.Errorf("%s: %v, want an ACCEPT", local, a)
		}
		return
	}
	if refuse, ok := a.reply.(*tns.Refuse); !ok || refuse.Code() != code {
		r.t.Errorf("%s: %v, want %v", local, a, code)
	}
}

// lockedBuffer keeps what is logged.
type lockedBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestAClientsRate(t *testing.T) {
	r, file := fromFile(t, "(HOLD_TIMEOUT=0)(CLIENT_RATE=2/min)(ACCEPT_QUEUE_WAIT=0)(REGISTRATION_INVITED_NODES=127.0.0.9)(REGISTRATION_EXCLUDED_NODES=127.0.0.2)")
	host, port := database(t)
	r.put("1", "a", host, port)
	r.wantFrom("127.0.0.2", sales, 0)
	r.wantFrom("127.0.0.2", sales, tns.CodeRateLimit)
	r.wantFrom("127.0.0.3", sales, 0)
	e := r.journal.Find(journal.FindQuery{Outcome: journal.Refuse})
	if len(e) != 1 || !strings.Contains(e[0].Text, "rate limit reached for client 127.0.0.2: CLIENT_RATE is 2 connects a minute") {
		t.Errorf("explained as %+v", e)
	}
	r.reload(file, "(HOLD_TIMEOUT=0)(CLIENT_RATE=2)(ACCEPT_QUEUE_WAIT=5)(REGISTRATION_INVITED_NODES=127.0.0.9)(REGISTRATION_EXCLUDED_NODES=127.0.0.2)")
	began := time.Now()
	for range 4 {
		r.wantFrom("127.0.0.2", sales, 0)
	}
	if took := time.Since(began); took < time.Second {
		t.Errorf("4 connects at 2 a second took %v", took)
	}
	for what, command := range map[string]string{"commands": "ping", "refused registrations": "service_register_NSGR"} {
		began = time.Now()
		for range 4 {
			<-r.from("127.0.0.2", "(CONNECT_DATA=(COMMAND="+command+"))")
		}
		if took := time.Since(began); took < time.Second {
			t.Errorf("4 %s at 2 a second took %v", what, took)
		}
	}
}

func TestAnAddressThatComesTooOftenIsRefusedForAWhile(t *testing.T) {
	var log lockedBuffer
	b, err := New(testConfig(t, func(c *Config) {
		c.Limits.IPRateCount, c.Limits.IPRateInterval, c.Limits.IPRateBlock = 3, time.Minute, time.Minute
	}), slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	r := run(t, b)
	r.register("a", "sales") // one of three from 127.0.0.1
	for range 3 {
		r.wantFrom("127.0.0.2", sales, 0)
	}
	for range 5 {
		r.wantFrom("127.0.0.2", sales, tns.CodeRateLimit)
	}
	r.wantFrom("127.0.0.1", sales, 0)
	for from, want := range map[string]journal.Outcome{"127.0.0.2": journal.Refuse, "127.0.0.1": journal.Relay} {
		e, err := r.Explain(t.Context(), console.ExplainRequest{Descriptor: "sales", From: netip.MustParseAddr(from)})
		if err != nil || e.Outcome != want || (want == journal.Refuse) != strings.Contains(e.Text, "IP_RATE_COUNT=3") {
			t.Errorf("foreseen for %s: %+v, %v", from, e, err)
		}
	}
	if n := strings.Count(log.String(), "IP rate limit enforced for ip address 127.0.0.2"); n != 1 {
		t.Errorf("told %d times:\n%s", n, log.String())
	}
	if n := strings.Count(log.String(), "msg=refused"); n != 1 {
		t.Errorf("%d refusals logged:\n%s", n, log.String())
	}
}

func TestTheRateOfAnAddress(t *testing.T) {
	r := start(t, func(c *Config) {
		c.Addresses = append(c.Addresses, c.Addresses[0])
		c.Listening = []ListenSettings{{Rate: 0.001}, {RateLimited: true}}
		c.Limits.ConnectionRate, c.Limits.AcceptQueueWait = 0.001, 0
	})
	host, port := database(t)
	r.put("1", "a", host, port)
	wants := func(at int, code tns.Code) {
		t.Helper()
		c, err := net.Dial("tcp", r.Addresses()[at])
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		conn := tns.NewConn(c)
		if err := conn.Send(tns.NewConnect([]byte(sales))); err != nil {
			t.Fatal(err)
		}
		reply, err := conn.ReadReply()
		if refuse, ok := reply.(*tns.Refuse); err != nil || ok != (code != 0) || ok && refuse.Code() != code {
			t.Errorf("address %d: %v, %v, want %v", at, reply, err, code)
		}
	}
	wants(0, 0)
	wants(0, tns.CodeRateLimit)
	wants(1, 0)
	wants(1, tns.CodeRateLimit)
	until(t, "the address is named", func() bool { // the connect before may be explained after this one
		for _, e := range r.journal.Recent(5) {
			if strings.Contains(e.Text, "address "+r.Addresses()[1]) {
				return true
			}
		}
		return false
	})
}

// A crowd of connections keeps no database out, and one that says nothing makes room for
// who does.
func TestConnectionsAreLimited(t *testing.T) {
	var r *running
	var first *tns.Conn
	for tries := 1; ; tries++ {
		r = start(t, func(c *Config) { c.Limits.MaxConnections, c.InboundTimeout = 3, time.Minute })
		r.register("a", "sales")
		r.session("sales")
		r.session("sales")
		came := time.Now()
		first = r.connection("127.0.0.2")
		until(t, "the silent one is there", func() bool { n, _ := r.limiting.silent.Counts(); return n == 1 })
		_, reply := r.ask(sales)
		r.register("b", "pay")
		if _, evicted := r.limiting.silent.Counts(); evicted == 0 {
			if refuse, ok := reply.(*tns.Refuse); !ok || refuse.Code() != tns.CodeRateLimit {
				t.Errorf("one too many is answered %v", reply)
			}
			break
		}
		if time.Since(came) < silentAtLeast || tries == 10 { // else it was time that it went
			t.Fatal("the silent one had to go at once")
		}
	}
	<-time.After(silentAtLeast)
	r.session("sales")
	if _, err := first.ReadReply(); !errors.Is(err, io.EOF) && err == nil {
		t.Errorf("the silent one: %v", err)
	}
	if _, evicted := r.limiting.silent.Counts(); evicted != 1 {
		t.Errorf("%d had to go", evicted)
	}
}

// fewSlots runs a broker where each client has one connect and two slots.
func fewSlots(t *testing.T) *running {
	t.Helper()
	b, err := New(testConfig(t, func(c *Config) {
		c.Limits.ClientRate, c.Limits.AcceptQueueWait, c.InboundTimeout = 0.001, 0, time.Minute
	}), slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	b.limiting.slots.Each = 2
	return run(t, b)
}

// Beyond the slots a crowd is not answered, and beyond those of one client its neighbours still are.
func TestRefusalsTakeFewSlots(t *testing.T) {
	r := fewSlots(t)
	r.register("a", "sales")
	r.connection("127.0.0.2")
	for range 2 { // say nothing, and are waited for
		r.connection("127.0.0.2")
	}
	r.wantReset("127.0.0.2")
	if n := r.limiting.closed.Load(); n != 1 {
		t.Errorf("%d were ended without an answer", n)
	}
	r.wantFrom("127.0.0.3", sales, 0)
	r.wantFrom("127.0.0.3", sales, tns.CodeRateLimit)
}

// Who says that it is a database stays under the limits of clients until it has been let in.
func TestRefusedRegistrantsTakeFewSlots(t *testing.T) {
	r := fewSlots(t)
	judged, proceed := make(chan struct{}, 1), make(chan struct{})
	release := sync.OnceFunc(func() { close(proceed) })
	t.Cleanup(release) // a test that fails before would wait for the broker, and that for it
	err := r.registrar.SetAdmission(&registration.Admission{Excluded: []string{"127.0.0.2"}, Interfaces: func() ([]netip.Prefix, error) {
		judged <- struct{}{}
		<-proceed
		return nil, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	r.connection("127.0.0.2")
	crowd := []*tns.Conn{r.connection("127.0.0.2"), r.connection("127.0.0.2")}
	for _, one := range crowd {
		if err := one.Send(tns.NewConnect([]byte("(CONNECT_DATA=(COMMAND=service_register_NSGR))"))); err != nil {
			t.Fatal(err)
		}
	}
	<-judged
	r.wantReset("127.0.0.2")
	if n, open := r.limiting.slots.Now(), r.limiting.connections.Counts().Now; n != 2 || open != 3 {
		t.Errorf("%d slots are taken, %d connections counted", n, open)
	}
	release()
	for _, one := range crowd {
		if reply, err := one.ReadReply(); err != nil || reply.(*tns.Refuse).Code() != tns.CodeRegistrationRejected {
			t.Errorf("%v, %v", reply, err)
		}
		_ = one.NetConn().Close()
	}
	until(t, "the slots are free", func() bool { return r.limiting.slots.Now() == 0 })
}

// The instance is asked for no larger session data unit than allowed, and its answer is
// the client's.
func TestSDU(t *testing.T) {
	r := start(t, func(c *Config) { c.SDU = 4096 })
	r.register("a", "sales")
	_, reply := r.ask(sales)
	accept, ok := reply.(*tns.Accept)
	if !ok || accept.SDU != 4096 {
		t.Errorf("answer %+v", reply)
	}
}

func TestHowOftenSilentPeersAreAsked(t *testing.T) {
	r := start(t, nil)
	for expire, want := range map[time.Duration]net.KeepAliveConfig{
		0:                {Enable: true, Idle: time.Minute, Interval: 10 * time.Second, Count: 6},
		10 * time.Minute: {Enable: true, Idle: 10 * time.Minute, Interval: 10 * time.Second, Count: 6},
		5 * time.Second:  {Enable: true, Idle: 5 * time.Second, Interval: 5 * time.Second, Count: 6},
	} {
		c := *r.settings().config
		c.ExpireTime = expire
		r.apply(&c)
		if got := r.keepAlive(); got != want {
			t.Errorf("EXPIRE_TIME %v: %+v", expire, got)
		}
		if idle, interval := r.askedAfter(); idle != int(want.Idle.Seconds()) || interval != int(want.Interval.Seconds()) {
			t.Errorf("EXPIRE_TIME %v: a connection is asked after %d s, then every %d s", expire, idle, interval)
		}
	}
}

// askedAfter opens a connection and returns after how many seconds of silence the broker's
// system asks, and how often.
func (r *running) askedAfter() (idle, interval int) {
	r.t.Helper()
	client := r.connection("127.0.0.1")
	defer client.NetConn().Close()
	var ours syscall.Conn
	until(r.t, "the connection is there", func() bool {
		r.open.mu.Lock()
		defer r.open.mu.Unlock()
		for c := range r.open.all {
			if c.RemoteAddr().String() == client.NetConn().LocalAddr().String() {
				ours = c.(syscall.Conn)
			}
		}
		return ours != nil
	})
	raw, err := ours.SyscallConn()
	if err != nil {
		r.t.Fatal(err)
	}
	err = raw.Control(func(fd uintptr) {
		if on, _ := syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_KEEPALIVE); on == 0 {
			r.t.Error("it is never asked")
		}
		idle, _ = syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE)
		interval, _ = syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL)
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return idle, interval
}

// Behind a proxy each client is limited by itself, and the proxy is not.
func TestClientsBehindAProxyAreLimitedEach(t *testing.T) {
	r := start(t, func(c *Config) {
		c.ProxyProtocol.In = []netip.Prefix{netip.MustParsePrefix("127.0.0.7/32")}
		c.Limits.ClientRate, c.Limits.AcceptQueueWait = 0.001, 0
	})
	r.register("a", "sales")
	for i, step := range []struct {
		client string
		code   tns.Code
	}{{"192.0.2.1", 0}, {"192.0.2.2", 0}, {"192.0.2.1", tns.CodeRateLimit}} {
		conn := r.connection("127.0.0.7")
		if _, err := fmt.Fprintf(conn.NetConn(), "PROXY TCP4 %s 127.0.0.1 40000 1521\r\n", step.client); err != nil {
			t.Fatal(err)
		}
		if err := conn.Send(tns.NewConnect([]byte(sales))); err != nil {
			t.Fatal(err)
		}
		reply, err := conn.ReadReply()
		if refuse, ok := reply.(*tns.Refuse); err != nil || ok != (step.code != 0) || ok && refuse.Code() != step.code {
			t.Errorf("%d: %v, %v, want %v", i, reply, err, step.code)
		}
	}
	if limitOfError(io.EOF) != "EOF" || limitOfError(&limits.ExceededError{Limit: "x", Err: limits.ErrRate}) != "rate limit reached for x" {
		t.Error("limits are not named")
	}
}

// What would become of a connect is told of the address's own rate too.
func TestExplainForeseesTheRateOfAnAddress(t *testing.T) {
	r := start(t, func(c *Config) {
		c.Listening = []ListenSettings{{Rate: 0.001}}
		c.Limits.AcceptQueueWait, c.HoldTimeout = 0, 0
	})
	for _, want := range []tns.Code{tns.CodeUnknownService, tns.CodeRateLimit} {
		e, err := r.Explain(t.Context(), console.ExplainRequest{Descriptor: sales})
		if err != nil || e.Code != int(want) || strings.Contains(e.Text, "RATE_LIMIT") != (want == tns.CodeRateLimit) {
			t.Errorf("foreseen as %+v, %v, want %v", e, err, want)
		}
		r.wantCode(sales, want)
	}
}
