package drivers

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// testTool is a program that scripts/testdeps installs.
func testTool(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("../../.testdeps/bin", name))
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		if path, err = exec.LookPath(name); err != nil {
			t.Skipf("%s is not installed: run scripts/testdeps", name)
		}
	}
	return path
}

// background runs a program until the test ends.
func background(t *testing.T, cmd *exec.Cmd) {
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

// acmeAuthority is a Pebble.
type acmeAuthority struct {
	directory, roots string // its URL, and the PEM file by which that is trusted
	management       string
	client           *http.Client
}

// startPebble starts an authority that calls back at a port and issues certificates that
// last as long as given. Every name leads it to loopback.
func startPebble(t *testing.T, port string, lasting time.Duration) *acmeAuthority {
	t.Helper()
	resolver, dns := testTool(t, "pebble-challtestsrv"), freeAddress(t)
	background(t, exec.Command(resolver, "-dnsserver", dns, "-management", freeAddress(t), "-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", "", "-defaultIPv6", ""))
	return startPebbleAsking(t, dns, port, lasting)
}

// startPebbleAsking starts one that asks a certain name server.
func startPebbleAsking(t *testing.T, dns, port string, lasting time.Duration) *acmeAuthority {
	t.Helper()
	server, listen, management := testTool(t, "pebble"), freeAddress(t), freeAddress(t)

	root, rootKey := signed(t, &x509.Certificate{Subject: pkix.Name{CommonName: "pebble's own"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil, nil)
	own, ownKey := signed(t, &x509.Certificate{Subject: pkix.Name{CommonName: "pebble"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}, root, rootKey)
	folder := t.TempDir()
	put := func(name string, content []byte) string {
		path := filepath.Join(folder, name)
		must(t, os.WriteFile(path, content, 0o600))
		return path
	}
	config, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": listen, "managementListenAddress": management, "certificate": put("cert.pem", certPEM(own)), "privateKey": put("key.pem", keyPEM(t, ownKey)),
		"httpPort": 1, "tlsPort": json.Number(port), "keyAlgorithm": "ecdsa", "retryAfter": map[string]any{"authz": 1, "order": 1},
		"profiles": map[string]any{"default": map[string]any{"description": "for tests", "validityPeriod": int(lasting.Seconds())}},
	}})
	must(t, err)
	cmd := exec.Command(server, "-config", put("config.json", config), "-dnsserver", dns)
	cmd.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1")
	background(t, cmd)
	pool := x509.NewCertPool()
	pool.AddCert(root)
	a := &acmeAuthority{directory: "https://" + listen + "/dir", roots: put("ca.pem", certPEM(root)), management: "https://" + management,
		client: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: true}}}
	return a
}

// trusted is what the authority signs with, once it has started.
func (a *acmeAuthority) trusted(t *testing.T) *x509.CertPool {
	t.Helper()
	pool := x509.NewCertPool()
	eventually(t, patience, func() error {
		for _, path := range []string{"/roots/0", "/intermediates/0"} {
			answer, err := a.client.Get(a.management + path)
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

// An address gets its certificate from an authority that calls back on that very address,
// renews it before it ends, and tells until when it is good; no handshake fails meanwhile.
func TestACMEForTheBroker(t *testing.T) {
	listen := freeAddress(t)
	_, port, _ := net.SplitHostPort(listen)
	ca := startPebble(t, port, 30*time.Second)
	pool := ca.trusted(t)
	b := startBroker(t, brokerOptions{
		addresses:  []string{"(ADDRESS=(PROTOCOL=tcps)(HOST=127.0.0.1)(PORT=" + port + "))"},
		parameters: []string{"ACME_DIRECTORY=" + ca.directory, "ACME_NAMES=localhost.example.com", "ACME_ROOTS=" + ca.roots, "ACME_CHECK_INTERVAL=1s"}})
	startDatabase(t, databaseOptions{instance: "sales1", services: []string{"sales"}, brokers: []string{b.address}})
	b.awaitService(t, "sales", "READY", 1)
	config := &tls.Config{RootCAs: pool, ServerName: "localhost.example.com"}
	shown := func() (*x509.Certificate, error) { return shownAt(t, listen, config) }
	var first *x509.Certificate
	eventually(t, time.Minute, func() (err error) { first, err = shown(); return err })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if out, code, err := b.Command(ctx, "certificates"); err != nil || code != 0 || !strings.Contains(out, "localhost.example.com") {
		t.Errorf("exit %d, %v: %s", code, err, out)
	}
	if out, code, err := b.Command(ctx, "ping", "tcps://127.0.0.1:"+port+"/sales"); err != nil || code != 0 || !strings.Contains(out, "accepted") {
		t.Errorf("exit %d, %v: %s", code, err, out)
	}
	if _, body, err := b.get("/metrics"); err != nil || !strings.Contains(string(body), `certificate_expiry_timestamp_seconds{certificate="localhost.example.com"`) {
		t.Errorf("its end is not among the metrics: %v", err)
	}
	eventually(t, time.Minute, func() error {
		now, err := shown()
		if err != nil {
			t.Fatalf("a handshake failed meanwhile: %v", err)
		}
		if now.SerialNumber.Cmp(first.SerialNumber) == 0 {
			return errors.New("it has not been renewed")
		}
		if time.Now().After(first.NotAfter) {
			t.Error("it was renewed after its end")
		}
		return nil
	})
}

// shownAt is the certificate that an address shows, once it is found good.
func shownAt(t *testing.T, address string, config *tls.Config) (*x509.Certificate, error) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	c, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.(*tls.Conn).ConnectionState().PeerCertificates[0], nil
}

// Names are proved by DNS: nobody has to reach the broker's address, and the authority looks into the zone that the broker serves.
func TestACMEByDNSForTheBroker(t *testing.T) {
	listen, dns := freeAddress(t), freeAddress(t)
	_, port, _ := net.SplitHostPort(listen)
	ca := startPebbleAsking(t, dns, "1", 40*time.Second)
	pool := ca.trusted(t)
	b := startBroker(t, brokerOptions{
		addresses: []string{"(ADDRESS=(PROTOCOL=tcps)(HOST=127.0.0.1)(PORT=" + port + "))"},
		parameters: []string{"ACME_DIRECTORY=" + ca.directory, "ACME_NAMES=cman.db.example,other.db.example", "ACME_ROOTS=" + ca.roots, "ACME_CHECK_INTERVAL=1s",
			"ACME_CHALLENGE=dns-01", "DNS_ADDRESS=" + dns, "DNS_ZONE=db.example"}})
	for _, name := range []string{"cman.db.example", "other.db.example"} {
		var first *x509.Certificate
		eventually(t, time.Minute, func() (err error) {
			first, err = shownAt(t, listen, &tls.Config{RootCAs: pool, ServerName: name})
			return err
		})
		if name == "other.db.example" {
			break
		}
		eventually(t, time.Minute, func() error {
			now, err := shownAt(t, listen, &tls.Config{RootCAs: pool, ServerName: name})
			if err == nil && now.SerialNumber.Cmp(first.SerialNumber) == 0 {
				err = errors.New("it has not been renewed")
			}
			return err
		})
	}
	if _, body, err := b.get("/api/v1/mirrors"); err != nil || !strings.Contains(string(body), `"current"`) {
		t.Errorf("mirrors: %v %s", err, body)
	}
}
