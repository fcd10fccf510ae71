package broker

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"servicebroker/descriptor"
	"servicebroker/registration"
	"servicebroker/servicetable"
	"servicebroker/tns"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// running is a broker on loopback ports of its own.
type running struct {
	*Broker
	t     *testing.T
	stop  context.CancelFunc // the first signal
	abort context.CancelFunc // the second
	ended chan error
}

// start runs a broker; change may alter its configuration.
func start(t *testing.T, change func(*Config)) *running {
	t.Helper()
	b, err := New(testConfig(t, change), slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	return run(t, b)
}

// testConfig is what a broker of a test runs by.
func testConfig(t *testing.T, change func(*Config)) *Config {
	config := DefaultConfig()
	config.Addresses = []descriptor.Address{{Protocol: "tcp", Host: "127.0.0.1", Port: 0}}
	config.ConsoleAddress = "127.0.0.1:0"
	config.StateDirectory = filepath.Join(t.TempDir(), "state")
	config.InboundTimeout = 5 * time.Second
	config.HedgeLearnt = false // which instance serves is not to depend on how busy the machine is
	config.ShutdownGrace = 0
	if change != nil {
		change(config)
	}
	return config
}

// run runs a broker to the end of the test.
func run(t *testing.T, b *Broker) *running {
	r := &running{Broker: b, t: t, ended: make(chan error, 1)}
	var first, second context.Context
	first, r.stop = context.WithCancel(context.Background())
	second, r.abort = context.WithCancel(context.Background())
	go func() { r.ended <- b.Run(first, second) }()
	t.Cleanup(func() {
		r.stop()
		r.abort()
		if err := <-r.ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return r
}

func (r *running) dial() *tns.Conn {
	r.t.Helper()
	c, err := net.Dial("tcp", r.Addresses()[0])
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return tns.NewConn(c)
}

// ask sends a CONNECT and returns the answer.
func (r *running) ask(text string) (*tns.Conn, tns.Message) {
	r.t.Helper()
	conn := r.dial()
	if err := conn.Send(tns.NewConnect([]byte(text))); err != nil {
		r.t.Fatal(err)
	}
	reply, err := conn.ReadReply()
	if err != nil {
		r.t.Fatalf("%s: %v", text, err)
	}
	return conn, reply
}

func (r *running) wantCode(text string, code tns.Code) {
	r.t.Helper()
	_, reply := r.ask(text)
	if refuse, ok := reply.(*tns.Refuse); !ok || refuse.Code() != code {
		r.t.Errorf("%.80s answered %T %v, want %v", text, reply, reply, code)
	}
}

// database listens and accepts every CONNECT, then echoes.
func database(t *testing.T) (host string, port int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serveAccepts(t, l)
	at := l.Addr().(*net.TCPAddr)
	return at.IP.String(), at.Port
}

// serveAccepts is a database at a listener, which it closes in the end.
func serveAccepts(t *testing.T, l net.Listener) {
	ended := make(chan struct{})
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
				if err != nil || conn.Send(tns.AnswerConnect(connect, 318, nil)) != nil {
					return
				}
				_, _ = io.Copy(raw, raw)
			}()
		}
	}()
	t.Cleanup(func() { l.Close(); <-ended })
}

// register keeps one instance registered until the returned function is called.
func (r *running) register(instance, service string) (withdraw func()) {
	r.t.Helper()
	host, port := database(r.t)
	address := descriptor.Address{Protocol: "TCP", Host: host, Port: port}
	agent := &registration.Agent{Brokers: r.Addresses(), Describe: func() servicetable.Registration {
		return servicetable.Registration{
			Instance: instance, Host: "dbhost", HostRaw: "(HOST=dbhost)", NodeLoad: 10, NodeMax: 100, Load: 1, Max: 247,
			Services: []servicetable.Service{{Name: service, Flags: servicetable.FlagUnblocked, Goodness: 1, Delta: 1}},
			Handlers: []servicetable.Handler{{Name: "DEDICATED", Protocol: "TCP", Host: host, Port: port, Address: address.String(), Info: "REMOTE SERVER", Load: 5, Max: 149, Flags: 2, Services: []int{0}}},
		}
	}}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = agent.Run(ctx) }()
	withdraw = func() { cancel(); <-ended }
	r.t.Cleanup(withdraw)
	r.await(func(s *servicetable.Snapshot) bool { _, err := s.Service(service); return err == nil })
	return withdraw
}

func (r *running) await(done func(*servicetable.Snapshot) bool) {
	r.t.Helper()
	limit := time.After(10 * time.Second)
	for {
		s := r.Snapshot()
		if done(s) {
			return
		}
		select {
		case <-s.Superseded():
		case <-limit:
			r.t.Fatalf("the table did not get there: version %d", s.Version())
		}
	}
}

const sales = "(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=sales)))"

func TestRegisteredServiceIsServedUntilWithdrawn(t *testing.T) {
	r := start(t, func(c *Config) { c.HoldTimeout = 0 })
	r.wantCode(sales, tns.CodeUnknownService)
	withdraw := r.register("sales1", "sales")
	conn, reply := r.ask(sales)
	if _, ok := reply.(*tns.Accept); !ok {
		t.Fatalf("answer %T %v", reply, reply)
	}
	if _, err := io.WriteString(conn.NetConn(), "ping"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn.NetConn(), make([]byte, 4)); err != nil {
		t.Fatal(err)
	}
	if got := r.get("/api/v1/sessions"); !strings.Contains(got, `"sales1@dbhost"`) {
		t.Errorf("sessions: %s", got)
	}
	withdraw()
	r.await(func(s *servicetable.Snapshot) bool { return len(s.Services()) == 0 })
	r.wantCode(sales, tns.CodeUnknownService)
	if _, err := io.WriteString(conn.NetConn(), "ping"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn.NetConn(), make([]byte, 4)); err != nil {
		t.Errorf("the session ended with the registration: %v", err)
	}
	conn.NetConn().Close()
}

func (r *running) get(path string) string {
	r.t.Helper()
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + r.ConsoleAddress() + path)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(body)
}

func TestConsoleOnTCPAndSocket(t *testing.T) {
	r := start(t, nil)
	r.register("sales1", "sales")
	var table struct{ Services []struct{ Name string } }
	if err := json.Unmarshal([]byte(r.get("/api/v1/services")), &table); err != nil || len(table.Services) != 1 {
		t.Errorf("services %+v, %v", table, err)
	}
	for _, path := range []string{"/livez", "/readyz", "/", "/api/v1/version"} {
		if body := r.get(path); body == "" {
			t.Errorf("%s is empty", path)
		}
	}
	info, err := os.Stat(r.SocketPath())
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("admin socket: %v, %v", info, err)
	}
	c, err := net.Dial("unix", r.SocketPath())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, "GET /livez HTTP/1.0\r\n\r\n")
	if answer, _ := io.ReadAll(c); !strings.HasPrefix(string(answer), "HTTP/1.0 200") {
		t.Errorf("over the socket: %q", answer)
	}
}

func TestCommands(t *testing.T) {
	r := start(t, func(c *Config) { c.Name = "cman1" })
	r.register("sales1", "sales")
	command := func(word string) string { return "(CONNECT_DATA=(COMMAND=" + word + "))" }

	_, reply := r.ask(command("ping"))
	if p, ok := reply.(*tns.Refuse); !ok || p.Text != "(DESCRIPTION=(TMP=)(VSNNUM=0)(ERR=0)(ALIAS=cman1))" {
		t.Errorf("ping: %#v", reply)
	}
	for _, word := range []string{"stop", "reload", "set", "service_register", "nosuch"} {
		r.wantCode(command(word), tns.CodeUnknownCommand)
	}
	for word, want := range map[string]string{
		"version":  "TNSLSNR for Linux: Version 19.0.0.0.0 - Production\n",
		"STATUS":   "(SERVICE=(SERVICE_NAME=sales)(INSTANCE=(INSTANCE_NAME=sales1)(NUM=1)(INSTANCE_STATUS=READY)(NUMREL=1))),,",
		"services": "(HANDLER=(HANDLER_DISPLAY=DEDICATED)(STA=ready)(HANDLER_MAXLOAD=149)(HANDLER_LOAD=5)",
	} {
		conn, reply := r.ask(command(word))
		accept, ok := reply.(*tns.Accept)
		if !ok {
			t.Errorf("%s answered %T %v", word, reply, reply)
			continue
		}
		conn.SetVersion(accept.Version)
		text := string(accept.Data) + rest(t, conn)
		if !strings.Contains(text, want) || !strings.Contains(text, "(VSNNUM=318767104)(ERR=0)") {
			t.Errorf("%s: %q", word, text)
		}
	}
}

// rest reads DATA packets up to the end of file.
func rest(t *testing.T, conn *tns.Conn) string {
	t.Helper()
	var text strings.Builder
	for {
		p, err := conn.ReadPacket()
		if err != nil {
			t.Fatalf("after %q: %v", text.String(), err)
		}
		var d tns.Data
		if err := d.Decode(p); err != nil {
			t.Fatal(err)
		}
		text.Write(d.Payload)
		if d.Flags&tns.DataEOF != 0 {
			return text.String()
		}
	}
}

func TestAdministrationIsForThisHost(t *testing.T) {
	var h hosts
	for text, want := range map[string]bool{"127.0.0.1": true, "127.9.9.9": true, "::1": true, "::ffff:127.0.0.1": true, "192.0.2.1": false, "2001:db8::1": false} {
		if got := h.isLocal(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s local: %v", text, got)
		}
	}
	for _, own := range interfaceAddresses() {
		if !h.isLocal(own) {
			t.Errorf("%v is an address of this host", own)
		}
	}
}

func TestStrangersAreRefusedOrClosed(t *testing.T) {
	patient := start(t, func(c *Config) { c.InboundTimeout = time.Hour })
	hasty := start(t, func(c *Config) { c.InboundTimeout = 2 * time.Second })
	patient.wantCode(strings.Repeat("(", 10_000), tns.CodeBadDescriptor)
	for name, c := range map[string]struct {
		send string
		code tns.Code // 0: closed without a word
	}{
		"http":                  {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 0},
		"silence":               {"", tns.CodeInboundTimeout},
		"half a packet":         {"\x00\x80\x00\x00\x01\x00\x00\x00\x01\x36", tns.CodeInboundTimeout},
		"length of zero":        {"\x00\x00\x00\x00\x01\x00\x00\x00", tns.CodeBadPacket},
		"CONNECT too short":     {"\x00\x10\x00\x00\x01\x00\x00\x00\x01\x36\x01\x2c\x00\x00\x00\x00", tns.CodeBadPacket},
		"DATA before a CONNECT": {"\x00\x0c\x00\x00\x06\x00\x00\x00\x00\x00ab", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := patient
			if c.code == tns.CodeInboundTimeout {
				r = hasty
			}
			conn := r.dial()
			_, _ = io.WriteString(conn.NetConn(), c.send)
			reply, err := conn.ReadReply()
			if c.code == 0 {
				if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("answered %T %v, %v", reply, reply, err)
				}
				return
			}
			if refuse, ok := reply.(*tns.Refuse); !ok || refuse.Code() != c.code {
				t.Errorf("answered %T %v, %v", reply, reply, err)
			}
		})
	}
}

func TestStopWaitsForSessionsAndASecondSignalDoesNot(t *testing.T) {
	r := start(t, nil)
	r.register("sales1", "sales")
	conn, _ := r.ask(sales)
	r.stop()
	for { // until it accepts no more
		c, err := net.Dial("tcp", r.Addresses()[0])
		if err != nil {
			break
		}
		c.Close()
	}
	if _, err := io.WriteString(conn.NetConn(), "x"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn.NetConn(), make([]byte, 1)); err != nil {
		t.Fatalf("the session did not survive the first signal: %v", err)
	}
	r.abort()
	if _, err := conn.NetConn().Read(make([]byte, 1)); err == nil {
		t.Error("the session survived the second signal")
	}
}

func TestSaysWhyItCannotStart(t *testing.T) {
	r := start(t, nil)
	taken, _ := netip.ParseAddrPort(r.Addresses()[0])
	for name, c := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"address in use":   {func(c *Config) { c.Addresses[0].Port = int(taken.Port()) }, "stop whoever listens there"},
		"console in use":   {func(c *Config) { c.ConsoleAddress = r.ConsoleAddress() }, "CONSOLE_ADDRESS"},
		"state in use":     {func(c *Config) { c.StateDirectory = r.config.StateDirectory }, "another broker runs on the state folder"},
		"socket is a file": {func(c *Config) { c.AdminSocket = "/etc/passwd" }, "is no socket"},
	} {
		t.Run(name, func(t *testing.T) {
			config := DefaultConfig()
			config.Addresses = []descriptor.Address{{Protocol: "tcp", Host: "127.0.0.1"}}
			config.ConsoleAddress, config.StateDirectory = "", t.TempDir()
			c.change(config)
			b, err := New(config, nil)
			if err == nil {
				b.closeListeners()
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("New: %v, want %q in it", err, c.want)
			}
		})
	}
}

func TestOwnAddresses(t *testing.T) {
	r := start(t, func(c *Config) { c.Addresses[0].Host = "0.0.0.0" })
	_, portText, _ := net.SplitHostPort(r.Addresses()[0])
	port := int(netip.MustParseAddrPort("127.0.0.1:" + portText).Port())
	for host, want := range map[string]bool{"127.0.0.1": true, "localhost": true, "192.0.2.1": false, "[::1]": true, "[[[127.0.0.1]]]": true} {
		if got := r.own(host, port); got != want {
			t.Errorf("own(%s) = %v", host, got)
		}
		if got := r.claimedOwn(host, port); got != want {
			t.Errorf("claimedOwn(%s) = %v", host, got)
		}
	}
	if r.own("127.0.0.1", port+1) {
		t.Error("another port of this host is not the broker's")
	}
}
