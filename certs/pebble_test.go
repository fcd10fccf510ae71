package certs

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"

	"servicebroker/testenv/stage"
)

// toolFolder is where scripts/testdeps puts programs, relative to this package's folder.
const toolFolder = "../.testdeps/bin"

func tool(t testing.TB, name string) string {
	t.Helper()
	if path, err := filepath.Abs(filepath.Join(toolFolder, name)); err == nil {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed: run scripts/testdeps", name)
	}
	return path
}

// freePort is one on loopback that nobody uses, below those that systems hand out by
// themselves: it stays free until it is used.
func freePort(t testing.TB) int {
	t.Helper()
	at, err := stage.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	return int(netip.MustParseAddrPort(at).Port())
}

// pebble is a running ACME authority, which resolves every name to loopback.
type pebble struct {
	directory, roots string // URL and the PEM file by which the URL is trusted
	management       string
	client           *http.Client
	cmd              *exec.Cmd
}

// startPebble starts an authority that validates at port and issues certificates that
// last as long as given.
func startPebble(t testing.TB, port int, lasting time.Duration) *pebble {
	t.Helper()
	server, resolver := tool(t, "pebble"), tool(t, "pebble-challtestsrv")
	dns, listen, management := freePort(t), freePort(t), freePort(t)
	run(t, exec.Command(resolver, "-dnsserver", at(dns), "-management", at(freePort(t)), "-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", "", "-defaultIPv6", ""))

	ca := newAuthority(t, "pebble's own")
	f := newFolder(t)
	own := ca.host(t)
	config := map[string]any{"pebble": map[string]any{
		"listenAddress": at(listen), "managementListenAddress": at(management),
		"certificate": f.put(t, "cert.pem", own.certPEM()), "privateKey": f.put(t, "key.pem", own.keyPEM(t)),
		"httpPort": freePort(t), "tlsPort": port, "keyAlgorithm": "ecdsa",
		"retryAfter": map[string]any{"authz": 1, "order": 1},
		"profiles":   map[string]any{"default": map[string]any{"description": "for tests", "validityPeriod": int(lasting.Seconds())}},
	}}
	text, err := json.Marshal(config)
	must(t, err)
	p := &pebble{directory: "https://" + at(listen) + "/dir", roots: f.put(t, "ca.pem", ca.pem()), management: "https://" + at(management)}
	p.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.pool()}, DisableKeepAlives: true}}
	p.cmd = exec.Command(server, "-config", f.put(t, "config.json", text), "-dnsserver", at(dns))
	p.cmd.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1")
	run(t, p.cmd)
	return p
}

func at(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// run starts a program that is stopped with the test, and shows what it said if it failed.
func run(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s said:\n%s", cmd.Path, said.String())
		}
	})
}

// root is what the authority signs with, once it has started.
func (p *pebble) root(t testing.TB) *x509.CertPool {
	t.Helper()
	pool := x509.NewCertPool()
	until(t, 20*time.Second, "pebble answers", func() error {
		for _, path := range []string{"/roots/0", "/intermediates/0"} {
			answer, err := p.client.Get(p.management + path)
			if err != nil {
				return err
			}
			content, err := io.ReadAll(answer.Body)
			_ = answer.Body.Close()
			if err != nil || !pool.AppendCertsFromPEM(content) {
				return fmt.Errorf("%s: %v %q", path, err, content)
			}
		}
		return nil
	})
	return pool
}

// until tries again and again until it works or the time is over.
func until(t testing.TB, limit time.Duration, what string, try func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not within %v: %v", what, limit, err)
		case <-ticker.C:
		}
	}
}

// running runs s until stop is called, or the test ends.
func running(t testing.TB, s *Source) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	stop = sync.OnceFunc(func() { cancel(); done.Wait() })
	t.Cleanup(stop)
	return stop
}

// mutualACME is an address whose certificate an authority issues and on which clients have
// to show one of theirs.
type mutualACME struct {
	*listener
	root *x509.CertPool // of the authority
	own  []tls.Certificate
}

// connect checks that both sides know each other, and returns the address's certificate.
func (m *mutualACME) connect(sni string) (*x509.Certificate, error) {
	state, dn, err := m.handshake(&tls.Config{ServerName: sni, InsecureSkipVerify: true, Certificates: m.own})
	if err != nil {
		return nil, err
	}
	if dn != "CN=app,O=Acme" {
		return nil, fmt.Errorf("the server sees %q", dn)
	}
	between := x509.NewCertPool()
	for _, cert := range state.PeerCertificates[1:] {
		between.AddCert(cert)
	}
	_, err = state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: m.root, Intermediates: between})
	return state.PeerCertificates[0], err
}

// certified waits until a certificate for name is shown.
func (m *mutualACME) certified(t testing.TB, name string) (cert *x509.Certificate) {
	t.Helper()
	until(t, 60*time.Second, name+" is certified", func() (err error) {
		if cert, err = m.connect(name); err == nil { // another name may be first
			err = cert.VerifyHostname(name)
		}
		return err
	})
	return cert
}

// A certificate is issued, and renewed while clients connect; afterwards the next process
// has it without the authority.
func TestACMEWithPebble(t *testing.T) {
	if testing.Short() {
		t.Skip("short tests wait for no renewal")
	}
	const name, second = "db1.example.com", "db2.example.com"
	clients, f, port := newAuthority(t, "clients"), newFolder(t), freePort(t)
	p := startPebble(t, port, 30*time.Second)
	m := &mutualACME{root: p.root(t)}
	app := clients.client(t, "app")
	m.own = []tls.Certificate{{Certificate: [][]byte{app.cert.Raw}, PrivateKey: app.key}}
	var log logged
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(log.String())
		}
	})
	settings := func() *Source {
		return &Source{CA: f.put(t, "clients.pem", clients.pem()), Log: log.logger(), ACME: &ACME{
			Directory: p.directory, Names: []string{name, second}, Storage: filepath.Join(string(f), "acme"), Roots: p.roots,
			Host: "127.0.0.1", Port: port, CheckInterval: 200 * time.Millisecond, KeyType: "rsa2048"}}
	}
	s := loaded(t, settings())
	m.listener = serveAt(t, s, at(port))
	stop := running(t, s)

	first := m.certified(t, name)
	if first.PublicKeyAlgorithm != x509.RSA {
		t.Errorf("%v is no RSA", first.PublicKeyAlgorithm)
	}
	m.certified(t, second)
	if all := s.Expiries(); len(all) != 3 || all[0].From != name || time.Until(all[0].NotAfter) > 30*time.Second || !all[2].Trusted {
		t.Errorf("expiries %+v", all)
	}
	until(t, 60*time.Second, "the certificate is renewed", func() error {
		for _, sni := range []string{"", "S4.orcl.V3.319"} {
			cert, err := m.connect(sni)
			if err != nil {
				t.Errorf("a client with the name %q failed: %v", sni, err)
			} else if !cert.Equal(first) && cert.VerifyHostname(name) == nil {
				return nil
			}
		}
		return errors.New("still the first")
	})
	stop()

	// Another process over the same storage, when the authority is away.
	_ = p.cmd.Process.Kill()
	next := loaded(t, settings())
	m.listener = serve(t, next)
	running(t, next)
	m.certified(t, name)
}

// Two brokers of one name, of which the authority reaches only one: that shows the other's proof, and both have the one certificate.
func TestACMESharedByTwo(t *testing.T) {
	const name = "db1.example.com"
	f, port := newFolder(t), freePort(t)
	p := startPebble(t, port, time.Hour)
	var log logged
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(log.String())
		}
	})
	shared := &certmagic.FileStorage{Path: filepath.Join(string(f), "shared")}
	one := func(email string) *Source {
		return loaded(t, &Source{Log: log.logger(), ACME: &ACME{
			Directory: p.directory, Names: []string{name}, Email: email, Shared: shared, Roots: p.roots, Host: "127.0.0.1", Port: port, CheckInterval: 200 * time.Millisecond}})
	}
	reached, other := one(""), one("dba@example.com")
	m := &mutualACME{listener: serveAt(t, reached, at(port)), root: p.root(t)}
	behind := &mutualACME{listener: serve(t, other), root: m.root}
	issued := func(m *mutualACME) (cert *x509.Certificate) {
		until(t, 60*time.Second, "certified", func() error {
			state, _, err := m.handshake(&tls.Config{ServerName: name, InsecureSkipVerify: true})
			if err == nil {
				cert = state.PeerCertificates[0]
				err = cert.VerifyHostname(name)
			}
			return err
		})
		return cert
	}
	must(t, shared.Lock(t.Context(), accountLock)) // so that the one that is reached has to wait
	running(t, reached)
	running(t, other)
	first := issued(behind)
	must(t, shared.Unlock(t.Context(), accountLock))
	if !issued(m).Equal(first) {
		t.Error("it was issued twice")
	}
}
