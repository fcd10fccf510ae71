package broker

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"crypto/tls"

	"github.com/pires/go-proxyproto"

	"servicebroker/certs"
	"servicebroker/descriptor"
	"servicebroker/journal"
	"servicebroker/registration"
	"servicebroker/relay"
	"servicebroker/servicetable"
	"servicebroker/testenv/authority"
	"servicebroker/tns"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// header is that of a proxy on behalf of a client.
func header(t *testing.T, version byte, client string) string {
	t.Helper()
	h := proxyproto.HeaderProxyFromAddrs(version, net.TCPAddrFromAddrPort(netip.MustParseAddrPort(client)), &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1521})
	text, err := h.Format()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// askBehind asks after having sent something first.
func (r *running) askBehind(first, text string) (tns.Message, error) {
	r.t.Helper()
	c, err := net.Dial("tcp", r.Addresses()[0])
	if err != nil {
		r.t.Fatal(err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, first)
	ctx, cancel := context.WithTimeout(r.t.Context(), 20*time.Second)
	defer cancel()
	return tns.TryService(ctx, c, []byte(text))
}

func code(reply tns.Message) tns.Code {
	if refuse, ok := reply.(*tns.Refuse); ok {
		return refuse.Code()
	}
	return 0
}

// The client that a proxy names is the client everywhere: to rules, in explanations.
func TestProxyHeaderNamesTheClient(t *testing.T) {
	r := start(t, func(c *Config) {
		c.ProxyProtocol.In, c.HoldTimeout = loopback, 0
		c.Rules = relay.Rules{{Source: relay.HostPattern{Network: netip.MustParsePrefix("198.51.100.0/24")}, Destination: relay.HostPattern{Any: true}, Services: []string{"*"}, Action: relay.Accept}}
		host, port := database(t)
		c.StaticServices = []StaticService{{Name: "sales", Instance: "sales1", Address: descriptor.Address{Protocol: "tcp", Host: host, Port: port}}}
	})
	for _, version := range []byte{1, 2} {
		reply, err := r.askBehind(header(t, version, "198.51.100.7:4711"), askSales)
		if _, ok := reply.(*tns.Accept); !ok {
			t.Errorf("v%d: %T %v, %v", version, reply, reply, err)
		}
		reply, err = r.askBehind(header(t, version, "203.0.113.9:4711"), askSales)
		if code(reply) != tns.CodeRuleRejects {
			t.Errorf("v%d, another client: %T %v, %v", version, reply, reply, err)
		}
	}
	if e := r.explained("no rule lets this client"); e.Client != "203.0.113.9:4711" {
		t.Errorf("explained for %s", e.Client)
	}
	// A proxy that speaks for itself is a client like others.
	if reply, err := r.askBehind("PROXY UNKNOWN\r\n", askSales); code(reply) != tns.CodeRuleRejects {
		t.Errorf("%T %v, %v", reply, reply, err)
	}
	reply, err := r.askBehind("", askSales)
	if code(reply) != tns.CodeProtocolAdapter {
		t.Errorf("without a header: %T %v, %v", reply, reply, err)
	}
	r.explained("sends no header of that protocol")
	if reply, err := r.askBehind("PROXY TCP4 nonsense\r\n", askSales); err == nil {
		t.Errorf("with a broken header: %T %v", reply, reply)
	}
}

// Limits are about the client behind the proxy, and so is what is said of them.
func TestProxyHeaderNamesWhoIsLimited(t *testing.T) {
	r := start(t, func(c *Config) {
		c.ProxyProtocol.In, c.Limits.ClientRate, c.Limits.AcceptQueueWait = loopback, 1.0/3600, 0
	})
	for port := range 3 {
		client := fmt.Sprint("198.51.100.7:", 4711+port)
		reply, err := r.askBehind(header(t, 2, client), askSales)
		if limited := code(reply) == tns.CodeRateLimit; limited != (port > 0) {
			t.Errorf("connect %d of one client: %T %v, %v", port, reply, reply, err)
		}
	}
	if e := r.explained("CLIENT_RATE"); e.Client != "198.51.100.7:4712" {
		t.Errorf("explained for %s", e.Client)
	}
	if reply, err := r.askBehind(header(t, 2, "203.0.113.9:4711"), askSales); code(reply) == tns.CodeRateLimit {
		t.Errorf("another client: %v, %v", reply, err)
	}
}

// Who is not listed cannot be somebody else.
func TestProxyHeaderOfOthers(t *testing.T) {
	r := start(t, func(c *Config) { c.ProxyProtocol.In = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} })
	for _, version := range []byte{1, 2} {
		if reply, err := r.askBehind(header(t, version, "198.51.100.7:4711"), askSales); err == nil {
			t.Errorf("v%d: %T %v", version, reply, reply)
		}
	}
}

// A header makes nobody more welcome: neither to register nor to give commands.
func TestProxyHeaderGrantsNothing(t *testing.T) {
	r := start(t, func(c *Config) {
		c.ProxyProtocol.In = loopback
		c.Admission.Invited = []string{"198.51.100.0/24"}
	})
	const status = "(CONNECT_DATA=(COMMAND=status))"
	if reply, err := r.askBehind(header(t, 2, "203.0.113.9:4711"), status); code(reply) != tns.CodeAdminRefused {
		t.Errorf("status for a stranger: %T %v, %v", reply, reply, err)
	}
	if reply, err := r.askBehind(header(t, 2, "127.0.0.1:4711"), status); err != nil || code(reply) != 0 {
		t.Errorf("status for this host by a proxy on it: %T %v, %v", reply, reply, err)
	}
	const register = "(CONNECT_DATA=(COMMAND=service_register_NSGR))"
	for client, want := range map[string]tns.Code{
		"203.0.113.9:4711": tns.CodeRegistrationRejected, "127.0.0.1:4711": 0, "198.51.100.7:4711": 0,
	} {
		if reply, err := r.askBehind(header(t, 2, client), register); err != nil || code(reply) != want {
			t.Errorf("%s registers: %T %v, %v", client, reply, reply, err)
		}
	}
}

// A proxy elsewhere that says it speaks for this host is not this host.
func TestProxyElsewhereIsNotThisHost(t *testing.T) {
	r := start(t, nil)
	r.wantCode("(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=nobody)))", tns.CodeUnknownService)
	r.explained("nobody") // so it runs
	ours, theirs := net.Pipe()
	defer ours.Close()
	local := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4711}
	c := &proxied{Conn: elsewhere{theirs}, client: local, through: elsewhere{}.RemoteAddr()}
	answered := make(chan tns.Message, 1)
	go func() {
		conn := tns.NewConn(ours)
		reply, _ := conn.ReadReply()
		answered <- reply
	}()
	r.administer(t.Context(), tns.NewConn(c), tns.NewConnect([]byte("(CONNECT_DATA=(COMMAND=status))")), "status")
	if reply := <-answered; code(reply) != tns.CodeAdminRefused {
		t.Errorf("%T %v", reply, reply)
	}

	ours, theirs = net.Pipe()
	defer ours.Close()
	c = &proxied{Conn: elsewhere{theirs}, client: local, through: elsewhere{}.RemoteAddr()}
	go func() {
		reply, _ := tns.NewConn(ours).ReadReply()
		answered <- reply
	}()
	server := registration.Server{Apply: func(servicetable.Registration) {}, Drop: func(servicetable.ID) {}}
	if err := server.Serve(t.Context(), tns.NewConn(c), tns.NewConnect([]byte("(CONNECT_DATA=(COMMAND=service_register_NSGR))"))); err != nil {
		t.Error(err)
	}
	if reply := <-answered; code(reply) != tns.CodeRegistrationRejected {
		t.Errorf("registration: %T %v", reply, reply)
	}
}

// The header comes before TLS.
func TestProxyHeaderBeforeTLS(t *testing.T) {
	a := authority.New(t)
	r := startSecure(t, a, func(c *Config) { c.ProxyProtocol.In = loopback })
	raw, err := net.Dial("tcp", r.Addresses()[1])
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	_ = raw.SetDeadline(time.Now().Add(20 * time.Second))
	_, _ = io.WriteString(raw, header(t, 2, "198.51.100.7:4711"))
	c := tls.Client(raw, &tls.Config{RootCAs: a.Pool, ServerName: "localhost"})
	reply, err := tns.TryService(t.Context(), c, []byte("(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=nobody)))"))
	if code(reply) != tns.CodeUnknownService {
		t.Errorf("%T %v, %v", reply, reply, err)
	}
	for _, e := range r.journal.Find(journal.FindQuery{}) {
		if e.Client != "198.51.100.7:4711" {
			t.Errorf("explained for %s", e.Client)
		}
	}
}

// behindProxy is a database that wants a header, and tells whom it is for; TLS comes after
// it if there is a configuration for that.
func behindProxy(t *testing.T, secure *tls.Config) (port int, clients <-chan string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	seen, ended := make(chan string, 64), make(chan struct{})
	serve := func(raw net.Conn) {
		defer raw.Close()
		_ = raw.SetDeadline(time.Now().Add(20 * time.Second))
		r := bufio.NewReader(raw)
		h, err := proxyproto.Read(r)
		if err != nil {
			seen <- err.Error()
			return
		}
		if h.Command.IsLocal() || h.SourceAddr == nil {
			seen <- "itself"
		} else {
			seen <- h.SourceAddr.String() + " to " + h.DestinationAddr.String()
		}
		var c net.Conn = &readFirst{raw, r}
		if secure != nil {
			c = tls.Server(c, secure)
		}
		conn := tns.NewConn(c)
		if connect, err := conn.ReadConnect(); err == nil {
			_ = conn.Send(tns.AnswerConnect(connect, 318, nil))
		}
		_, _ = io.Copy(io.Discard, c)
	}
	go func() {
		defer close(ended)
		for {
			raw, err := l.Accept()
			if err != nil {
				return
			}
			serve(raw)
		}
	}()
	t.Cleanup(func() { l.Close(); <-ended })
	return l.Addr().(*net.TCPAddr).Port, seen
}

type readFirst struct {
	net.Conn
	r *bufio.Reader
}

func (c *readFirst) Read(b []byte) (int, error) { return c.r.Read(b) }

// Instances are told of the client, before TLS; probes are for ourselves.
func TestProxyHeaderToInstances(t *testing.T) {
	a := authority.New(t)
	for _, tc := range []struct {
		protocol string
		config   *tls.Config
		version  int
	}{{"tcp", nil, 1}, {"tcp", nil, 2}, {"tcps", &tls.Config{Certificates: []tls.Certificate{a.Host()}}, 2}} {
		port, clients := behindProxy(t, tc.config)
		r := start(t, func(c *Config) {
			c.HoldTimeout, c.ProbeInterval, c.UpstreamTLS.CA = 0, 0, a.CA()
			c.ProxyProtocol.Out = []ProxyProtocolRule{{Destination: "10.0.0.0/8", Version: 1}, {Destination: "localhost", Version: tc.version}}
			c.StaticServices = []StaticService{{Name: "sales", Instance: "sales1", Address: descriptor.Address{Protocol: tc.protocol, Host: "localhost", Port: port}}}
		})
		conn, reply := r.ask(askSales)
		if _, ok := reply.(*tns.Accept); !ok {
			t.Fatalf("%T %v", reply, reply)
		}
		if want, got := conn.NetConn().LocalAddr().String()+" to "+r.Addresses()[0], <-clients; got != want {
			t.Errorf("%s v%d: the instance is told of %q, want %q", tc.protocol, tc.version, got, want)
		}
		conn.NetConn().Close()
		candidates, err := r.Snapshot().Match(servicetable.Query{Service: "sales"})
		if err != nil {
			t.Fatal(err)
		}
		if err := r.probe(t.Context(), candidates[0], true); err != nil {
			t.Error(err)
		}
		if got := <-clients; got != "itself" {
			t.Errorf("a probe is for %q", got)
		}
	}
}

func TestWhoIsSentAHeader(t *testing.T) {
	p := ProxyProtocol{Out: []ProxyProtocolRule{
		{Destination: "db1", Version: 1}, {Destination: "10.1.0.0/16", Version: 2}, {Destination: "10.2.0.1", Version: 1}, {Destination: "10.0.0.0/8"}, {Version: 2},
	}}
	for _, tc := range []struct {
		host, at string
		want     int
	}{
		{"DB1", "192.0.2.1", 1}, {"db2", "10.1.2.3", 2}, {"db2", "10.2.0.1", 1}, {"db2", "10.2.0.2", 0}, {"db2", "192.0.2.1", 2},
	} {
		at := &net.TCPAddr{IP: net.ParseIP(tc.at), Port: 1521}
		if got := p.headerFor(descriptor.Address{Host: tc.host}, at); got != tc.want {
			t.Errorf("%s at %s: %d, want %d", tc.host, tc.at, got, tc.want)
		}
	}
	if got := (&ProxyProtocol{}).headerFor(descriptor.Address{Host: "db1"}, &net.TCPAddr{}); got != 0 {
		t.Errorf("without rules: %d", got)
	}
}

// What comes in the same packet as the header is not lost, nor is what comes without one.
func TestHeaderLeavesTheRest(t *testing.T) {
	for _, tc := range []struct {
		sent, want string
		wrong      bool
	}{
		{header(t, 1, "198.51.100.7:1") + "after", "after", false},
		{header(t, 2, "198.51.100.7:1") + strings.Repeat("x", 3000), strings.Repeat("x", 3000), false},
		{"CONNECT", "CONNECT", true},
	} {
		ours, theirs := net.Pipe()
		go func() { _, _ = io.WriteString(theirs, tc.sent); theirs.Close() }()
		c, _, err := readProxyHeader(ours)
		if (err != nil) != tc.wrong {
			t.Errorf("%.30q: %v", tc.sent, err)
		}
		if got, _ := io.ReadAll(c); string(got) != tc.want {
			t.Errorf("%.30q leaves %.30q", tc.sent, got)
		}
		ours.Close()
	}
}

// A session behind a proxy is carried like any other: by its socket, once nothing stands in front of that.
func TestAConnectionThroughAProxyHasItsSocket(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	raw, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	c := &proxied{Conn: certs.Replay(raw, []byte("read before"))}
	if _, err := c.SyscallConn(); err == nil {
		t.Error("it has a socket that does not stand for all of it")
	}
	if _, err := io.ReadFull(c, make([]byte, len("read before"))); err != nil {
		t.Fatal(err)
	}
	if _, err := c.SyscallConn(); err != nil {
		t.Errorf("it has none: %v", err)
	}
	if _, err := (&proxied{Conn: tls.Client(raw, nil)}).SyscallConn(); err == nil {
		t.Error("what is under TLS has a socket")
	}
}
