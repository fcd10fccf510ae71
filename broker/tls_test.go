package broker

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"servicebroker/console"
	"servicebroker/descriptor"
	"servicebroker/journal"
	"servicebroker/relay"
	"servicebroker/servicetable"
	"servicebroker/testenv/authority"
	"servicebroker/tns"
)

// startSecure runs a broker that listens on TCP and, second, on TCPS.
func startSecure(t *testing.T, a *authority.Authority, change func(*Config)) *running {
	t.Helper()
	return start(t, func(c *Config) {
		c.Addresses = append(c.Addresses, descriptor.Address{Protocol: "tcps", Host: "127.0.0.1"})
		c.HoldTimeout = 0
		if a != nil {
			c.TLS.Certificate = a.File("host.pem", a.Host())
			c.UpstreamTLS.CA = a.CA()
		}
		if change != nil {
			change(c)
		}
	})
}

// askTLS asks over TLS, and returns the answer, or why there was none.
func (r *running) askTLS(config *tls.Config, text string) (tns.Message, error) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 20*time.Second)
	defer cancel()
	c, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", r.Addresses()[1])
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return tns.TryService(ctx, c, []byte(text))
}

const askSales = "(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=sales)(CID=(PROGRAM=p)(HOST=h)(USER=u))))"

// explained waits for an explanation that has the text.
func (r *running) explained(text string) *journal.Explanation {
	r.t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		for _, e := range r.journal.Find(journal.FindQuery{}) {
			if strings.Contains(e.Text, text) {
				return e
			}
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-deadline:
			r.t.Fatalf("nothing is explained by %q", text)
		}
	}
}

func TestClientsOverTLS(t *testing.T) {
	a := authority.New(t)
	r := startSecure(t, a, nil)
	r.register("sales1", "sales")
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		reply, err := r.askTLS(&tls.Config{RootCAs: a.Pool, ServerName: "localhost", MinVersion: version, MaxVersion: version}, askSales)
		if _, ok := reply.(*tns.Accept); !ok {
			t.Errorf("TLS %x: %T, %v", version, reply, err)
		}
	}
	reply, err := r.askTLS(&tls.Config{RootCAs: a.Pool, ServerName: "S5.sales.V3.319", InsecureSkipVerify: true}, "(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=nobody)))")
	if refuse, ok := reply.(*tns.Refuse); !ok || refuse.Code() != tns.CodeUnknownService {
		t.Errorf("%T %v, %v", reply, reply, err)
	}
	if i := r.identity(); len(i.Listening) != 2 || i.Listening[1].Protocol != "tcps" {
		t.Errorf("%+v", i.Listening)
	}
}

// Who comes without TLS, or with it where there is none, hears of it, and so does the
// operator.
func TestTheWrongDoor(t *testing.T) {
	a := authority.New(t)
	r := startSecure(t, a, nil)
	c, err := net.Dial("tcp", r.Addresses()[1])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	reply, err := tns.TryService(t.Context(), c, []byte(askSales))
	if refuse, ok := reply.(*tns.Refuse); !ok || refuse.Code() != tns.CodeProtocolAdapter {
		t.Errorf("without TLS: %T %v, %v", reply, reply, err)
	}
	r.explained("write PROTOCOL=tcps in its descriptor")

	_, err = tls.Dial("tcp", r.Addresses()[0], &tls.Config{RootCAs: a.Pool})
	if err == nil || !strings.Contains(err.Error(), "does not look like a TLS handshake") {
		t.Errorf("with TLS: %v", err)
	}
	r.explained("which is without TLS")

	_, err = r.askTLS(&tls.Config{RootCAs: x509.NewCertPool()}, askSales)
	if err == nil {
		t.Error("an untrusted certificate is trusted")
	}
	r.explained("give it the CA that signed that")

	for _, garbage := range []string{"GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\x00\x02xx", "\x16\x03"} {
		c, err := net.Dial("tcp", r.Addresses()[1])
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		_, _ = io.WriteString(c, garbage)
		_ = c.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(io.Discard, c)
		c.Close()
	}
}

// A client that begins a handshake and falls silent is cut off in time.
func TestSilentHandshake(t *testing.T) {
	r := startSecure(t, authority.New(t), func(c *Config) { c.InboundTimeout = 100 * time.Millisecond })
	c, err := net.Dial("tcp", r.Addresses()[1])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, "\x16\x03\x01\x02\x00\x01\x00")
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
	if n, err := c.Read(make([]byte, 1)); err == nil && n > 0 || os.IsTimeout(err) {
		t.Errorf("%d bytes, %v", n, err)
	}
}

func TestClientCertificates(t *testing.T) {
	a := authority.New(t)
	r := startSecure(t, a, func(c *Config) {
		c.TLS.ClientCA = a.CA()
		c.Rules = relay.Rules{{Source: relay.HostPattern{Any: true}, Destination: relay.HostPattern{Any: true}, Services: []string{"*"}, DNs: []string{"CN=app1,O=Acme"}, Action: relay.Accept}}
	})
	r.register("sales1", "sales")
	with := func(certificates ...tls.Certificate) *tls.Config {
		return &tls.Config{RootCAs: a.Pool, ServerName: "localhost", Certificates: certificates}
	}
	if reply, err := r.askTLS(with(a.Client("app1")), askSales); err != nil {
		t.Error(err)
	} else if _, ok := reply.(*tns.Accept); !ok {
		t.Errorf("%T %v", reply, reply)
	}
	if reply, err := r.askTLS(with(a.Client("app2")), askSales); err != nil {
		t.Error(err)
	} else if refuse, ok := reply.(*tns.Refuse); !ok || refuse.Code() != tns.CodeRuleRejects {
		t.Errorf("%T %v", reply, reply)
	}
	if reply, err := r.askTLS(with(), askSales); err == nil {
		t.Errorf("without a certificate: %T", reply)
	}
	r.explained("give the client a certificate of TLS_CLIENT_CA")
	if reply, err := r.askTLS(with(authority.New(t).Client("app1")), askSales); err == nil {
		t.Errorf("with a certificate of somebody else: %T", reply)
	}
	r.explained("give the CA that signed the client's certificate")
}

// secureDatabase is database over TLS; it tells what certificates it was shown.
func secureDatabase(t *testing.T, config *tls.Config) (port int, shown func() []string) {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	var mu sync.Mutex
	var names []string
	serving.Go(func() {
		for {
			raw, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer raw.Close()
				conn := tns.NewConn(raw)
				connect, err := conn.ReadConnect()
				if err != nil {
					return
				}
				mu.Lock()
				for _, cert := range raw.(*tls.Conn).ConnectionState().PeerCertificates {
					names = append(names, cert.Subject.CommonName)
				}
				mu.Unlock()
				if conn.Send(tns.AnswerConnect(connect, 318, nil)) != nil {
					return
				}
				_, _ = io.Copy(raw, raw)
			})
		}
	})
	t.Cleanup(func() { l.Close(); serving.Wait() })
	return l.Addr().(*net.TCPAddr).Port, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return append([]string(nil), names...)
	}
}

// staticTLS has a service at an address over TLS on this host.
func staticTLS(service string, port int) StaticService {
	return StaticService{Name: service, Instance: service + "1", Address: descriptor.Address{Protocol: "tcps", Host: "localhost", Port: port}}
}

// Instances over TLS are whom they should be, and see our certificate.
func TestInstancesOverTLS(t *testing.T) {
	a := authority.New(t)
	config := &tls.Config{Certificates: []tls.Certificate{a.Host()}, ClientCAs: a.Pool, ClientAuth: tls.RequireAndVerifyClientCert}
	port, shown := secureDatabase(t, config)
	for _, tc := range []struct {
		name   string
		change func(*UpstreamTLS)
		want   string // of the explanation; "" if it is accepted
	}{
		{"as it should be", func(*UpstreamTLS) {}, ""},
		{"by its DN", func(u *UpstreamTLS) { u.DNs = []string{"cn=CMAN"} }, ""},
		{"another DN", func(u *UpstreamTLS) { u.DNs = []string{"CN=other"} }, "correct the DN in UPSTREAM_TLS"},
		{"an unknown authority", func(u *UpstreamTLS) { u.CA = authority.New(t).CA() }, "give the CA of the instances' certificates in UPSTREAM_TLS"},
		{"without a certificate", func(u *UpstreamTLS) { u.Certificate = "" }, "if it asks for a certificate, give one in UPSTREAM_TLS"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := startSecure(t, a, func(c *Config) {
				c.UpstreamTLS.Certificate = a.File("broker.pem", a.Client("broker"))
				c.StaticServices = []StaticService{staticTLS("sales", port)}
				c.ProbeInterval = 0
				tc.change(&c.UpstreamTLS)
			})
			_, reply := r.ask(askSales)
			if _, ok := reply.(*tns.Accept); ok != (tc.want == "") {
				t.Errorf("%T %v", reply, reply)
			}
			if tc.want != "" {
				r.explained(tc.want)
			} else if names := shown(); len(names) == 0 || names[0] != "broker" {
				t.Errorf("the instance sees %q", names)
			}
		})
	}
}

// Probes go over TLS too.
func TestProbesOverTLS(t *testing.T) {
	a := authority.New(t)
	port, _ := secureDatabase(t, &tls.Config{Certificates: []tls.Certificate{a.Host()}})
	r := startSecure(t, a, func(c *Config) { c.StaticServices = []StaticService{staticTLS("sales", port)} })
	candidates, err := r.Snapshot().Match(servicetable.Query{Service: "sales"})
	if err != nil {
		t.Fatal(err)
	}
	for _, deep := range []bool{false, true} {
		if err := r.probe(t.Context(), candidates[0], deep); err != nil {
			t.Errorf("deep %v: %v", deep, err)
		}
	}
}

// A broker without a certificate where one is needed does not start, and says what to do.
func TestTLSAtStart(t *testing.T) {
	for _, tc := range []struct {
		change func(*Config)
		want   string
	}{
		{func(*Config) {}, "give TLS_CERTIFICATE and TLS_KEY"},
		{func(c *Config) { c.TLS.Certificate = "/nowhere.pem" }, "check the name"},
		{func(c *Config) { c.UpstreamTLS.CA = "/nowhere.pem" }, "UPSTREAM_TLS: "},
	} {
		c := DefaultConfig()
		c.Addresses = []descriptor.Address{{Protocol: "tcps", Host: "127.0.0.1"}}
		c.ConsoleAddress, c.StateDirectory = "", filepath.Join(t.TempDir(), "state")
		tc.change(c)
		if _, err := New(c, nil); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%v, want %q", err, tc.want)
		}
	}
}

// A client that says in its handshake what it asks for ends TLS with the instance; one
// that does not, with the broker, if that has a certificate.
func TestPassthrough(t *testing.T) {
	a := authority.New(t)
	port, _ := secureDatabase(t, &tls.Config{Certificates: []tls.Certificate{a.Sign(&x509.Certificate{Subject: pkix.Name{CommonName: "instance"}, DNSNames: []string{"localhost"}})}})
	for _, certificate := range []bool{true, false} {
		r := startSecure(t, a, func(c *Config) {
			c.Listening = []ListenSettings{{}, {Passthrough: true}}
			c.Mode = relay.ModeRedirect // which those who are passed on know nothing of
			c.StaticServices = []StaticService{staticTLS("sales", port), {Name: "plain", Instance: "plain1", Address: descriptor.Address{Protocol: "tcp", Host: "localhost", Port: 1}}}
			if !certificate {
				c.TLS.Certificate = ""
			}
		})
		name := ""
		config := &tls.Config{RootCAs: a.Pool, InsecureSkipVerify: true, ServerName: "S5.sales.V3.319", VerifyConnection: func(state tls.ConnectionState) error {
			name = state.PeerCertificates[0].Subject.CommonName
			return nil
		}}
		reply, err := r.askTLS(config, askSales)
		if _, ok := reply.(*tns.Accept); !ok || name != "instance" {
			t.Errorf("with %q: %T, %v", name, reply, err)
		}
		_, at, _ := net.SplitHostPort(r.Addresses()[1])
		for service, want := range map[string]journal.Outcome{"sales": journal.Relay, "plain": journal.Refuse} {
			text := "(DESCRIPTION=(USE_SNI=ON)(ADDRESS=(PROTOCOL=tcps)(HOST=127.0.0.1)(PORT=" + at + "))(CONNECT_DATA=(SERVICE_NAME=" + service + ")))"
			if e, err := r.Explain(t.Context(), console.ExplainRequest{Descriptor: text}); err != nil || e.Outcome != want {
				t.Errorf("%s: %+v, %v", service, e, err)
			}
		}
		config.ServerName = "S6.nobody.V3.319"
		if reply, err := r.askTLS(config, askSales); err == nil || !strings.Contains(err.Error(), "unrecognized name") {
			t.Errorf("unknown service: %T, %v", reply, err)
		}
		r.explained("nobody")
		config.ServerName, name = "localhost", ""
		reply, err = r.askTLS(config, askSales)
		if _, ok := reply.(*tns.Redirect); ok != certificate || certificate && name != "cman" {
			t.Errorf("without Oracle's name, certificate %v: %q, %T, %v", certificate, name, reply, err)
		}
		if !certificate {
			r.explained("write USE_SNI=ON in its descriptor")
		}
	}
}
