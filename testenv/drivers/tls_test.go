package drivers

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"servicebroker/certs"
	"servicebroker/tns"
)

// tcps is an address with TLS in front of a test database.
type tcps struct {
	source   *certs.Source
	target   string // address of the database
	restarts int    // how often a client is asked for a new handshake

	address string
	mu      sync.Mutex
	seen    []certs.Hello
	peers   []string // DN of whoever has sent its last CONNECT
	wrong   []error
}

func (a *tcps) note(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f()
}

// open listens until the test ends.
func (a *tcps) open(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	a.address = l.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() {
		for {
			raw, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer raw.Close()
				defer context.AfterFunc(ctx, func() { _ = raw.Close() })()
				if err := a.serve(ctx, raw); err != nil && ctx.Err() == nil {
					a.note(func() { a.wrong = append(a.wrong, err) })
				}
			})
		}
	})
	t.Cleanup(func() { cancel(); _ = l.Close(); all.Wait() })
}

// serve takes a client as far as its last CONNECT, and passes it on.
func (a *tcps) serve(ctx context.Context, raw net.Conn) error {
	_ = raw.SetDeadline(time.Now().Add(patience))
	hello, err := certs.PeekHello(raw)
	if err != nil {
		return err
	}
	a.note(func() { a.seen = append(a.seen, hello) })
	secure, err := a.source.Server(certs.Replay(raw, hello.Bytes))
	if err != nil {
		return err
	}
	conn := tns.NewConn(secure)
	connect, err := conn.ReadConnect()
	if err != nil {
		return fmt.Errorf("CONNECT: %w", err)
	}
	for range a.restarts {
		if err := conn.AskTLSRestart(ctx); err != nil {
			return err
		}
		first := string(connect.Data)
		if connect, err = conn.ReadConnect(); err != nil {
			return fmt.Errorf("CONNECT after the new handshake: %w", err)
		}
		if string(connect.Data) != first {
			return fmt.Errorf("the second CONNECT says %q, the first %q", connect.Data, first)
		}
	}
	a.note(func() { a.peers = append(a.peers, secure.PeerDN()) })
	server, err := net.Dial("tcp", a.target)
	if err != nil {
		return err
	}
	defer server.Close()
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	_ = raw.SetDeadline(time.Time{})
	if err := tns.NewConn(server).Send(connect); err != nil {
		return err
	}
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(secure, server)
		_ = secure.CloseWrite() // no more: python-oracledb's close() fails where the other side was faster
	})
	_, _ = io.Copy(server, io.MultiReader(bytes.NewReader(conn.Buffered()), secure))
	_ = server.(*net.TCPConn).CloseWrite()
	back.Wait()
	return secure.Close()
}

// security is the certificates of a test, as drivers and address want them.
type security struct {
	folder    string // with ewallet.pem, which has authority, client's certificate and key
	source    *certs.Source
	trusting  *certs.Source
	driverTLS *tls.Config
	root      *x509.Certificate
	rootKey   *ecdsa.PrivateKey
}

// renew puts a new certificate for localhost in the place of the broker's, all at once.
func (s *security) renew(t *testing.T) *x509.Certificate {
	t.Helper()
	host, key := signed(t, &x509.Certificate{Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"}}, s.root, s.rootKey)
	file := filepath.Join(s.folder, "host.pem")
	must(t, os.WriteFile(file+".new", append(certPEM(host), keyPEM(t, key)...), 0o600))
	must(t, os.Rename(file+".new", file))
	return host
}

// newSecurity makes certificates for localhost and a client "CN=app,O=Acme".
func newSecurity(t *testing.T) *security {
	t.Helper()
	root, rootKey := signed(t, &x509.Certificate{Subject: pkix.Name{CommonName: "root"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil, nil)
	host, hostKey := signed(t, &x509.Certificate{Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"}}, root, rootKey)
	app, appKey := signed(t, &x509.Certificate{Subject: pkix.Name{CommonName: "app", Organization: []string{"Acme"}}}, root, rootKey)
	folder := t.TempDir()
	put := func(name string, parts ...[]byte) string {
		path := filepath.Join(folder, name)
		must(t, os.WriteFile(path, bytes.Join(parts, nil), 0o600))
		return path
	}
	ca := put("ca.pem", certPEM(root))
	put("ewallet.pem", keyPEM(t, appKey), certPEM(app), certPEM(root))
	s := &security{folder: folder, root: root, rootKey: rootKey,
		source:   &certs.Source{Certificate: put("host.pem", certPEM(host), keyPEM(t, hostKey)), CA: ca},
		trusting: &certs.Source{Certificate: put("app.pem", certPEM(app), keyPEM(t, appKey)), CA: ca}}
	must(t, errors.Join(s.source.Load(), s.trusting.Load()))
	pool := x509.NewCertPool()
	pool.AddCert(root)
	s.driverTLS = &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{{Certificate: [][]byte{app.Raw}, PrivateKey: appKey}}}
	return s
}

func signed(t *testing.T, template, parent *x509.Certificate, by *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	if parent == nil {
		parent, by = template, key
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Minute), time.Now().Add(time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), by)
	must(t, err)
	cert, err := x509.ParseCertificate(der)
	must(t, err)
	return cert, key
}

func certPEM(cert *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
}

func keyPEM(t *testing.T, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// withTLS gives a driver what cannot be said in a descriptor.
func (s *security) withTLS(d Driver) Driver {
	if g, ok := d.(GoOra); ok {
		g.TLS = s.driverTLS
		return g
	}
	return d
}

// descriptor is that of the address; further goes into DESCRIPTION.
func (s *security) descriptor(address, further string) string {
	return s.descriptorOf(address, "sales", further)
}

func (s *security) descriptorOf(address, service, further string) string {
	_, port, _ := net.SplitHostPort(address)
	return fmt.Sprintf("(DESCRIPTION=(ADDRESS=(PROTOCOL=tcps)(HOST=localhost)(PORT=%s))(CONNECT_DATA=(SERVICE_NAME=%s))"+
		"(SECURITY=(SSL_SERVER_DN_MATCH=yes)(MY_WALLET_DIRECTORY=%s))%s)", port, service, s.folder, further)
}

// Real drivers log in over TLS with a certificate of their own, and again when they are
// asked for a second and a third handshake on the same socket.
func TestTLSRestartedUnderDrivers(t *testing.T) {
	d := startDatabase(t, databaseOptions{instance: "sales1", services: []string{"sales"}})
	s := newSecurity(t)
	eachDriver(t, func(t *testing.T, driver Driver) {
		for restarts := range 3 {
			a := &tcps{source: s.source, target: d.address, restarts: restarts}
			a.open(t)
			judge(t, s.withTLS(driver), []exchange{
				{Step{Do: Connect, On: "a", User: appUser, Password: appPassword, Target: s.descriptor(a.address, "")}, nil},
				{Step{Do: Query, On: "a", SQL: "select 1 from dual"}, rows([]Value{Number("1")})},
				{Step{Do: Close, On: "a"}, nil},
			})
			a.note(func() {
				if len(a.peers) != 1 || a.peers[0] != "CN=app,O=Acme" || len(a.wrong) > 0 {
					t.Errorf("%d restarts: clients %q, errors %v", restarts, a.peers, a.wrong)
				}
			})
		}
	})
}

// What drivers say with USE_SNI, and without: nothing of it keeps them out.
func TestSNIOfDrivers(t *testing.T) {
	d := startDatabase(t, databaseOptions{instance: "sales1", services: []string{"sales"}})
	s := newSecurity(t)
	eachDriver(t, func(t *testing.T, driver Driver) {
		for _, further := range []string{"", "(USE_SNI=ON)"} {
			a := &tcps{source: s.source, target: d.address}
			a.open(t)
			judge(t, s.withTLS(driver), []exchange{
				{Step{Do: Connect, On: "a", User: appUser, Password: appPassword, Target: s.descriptor(a.address, further)}, nil},
				{Step{Do: Close, On: "a"}, nil},
			})
			a.note(func() {
				if len(a.seen) != 1 {
					t.Fatalf("%d handshakes: %v", len(a.seen), a.wrong)
				}
				name := a.seen[0].ServerName
				sni, oracle := certs.ParseSNI(name)
				t.Logf("%q: server name %q, protocols %q", further, name, a.seen[0].Protocols)
				if oracle && (sni.Service != "sales" || sni.Version < 300) {
					t.Errorf("%q is read as %+v", name, sni)
				}
				if strings.Contains(name, "V3.") != oracle {
					t.Errorf("%q, read as Oracle's: %v", name, oracle)
				}
				if driver.Name() == "node-oracledb" && oracle != (further != "") {
					t.Errorf("with %q the server name is %q", further, name)
				}
			})
		}
	})
}

// The broker's own leg to an instance, which asks for a second handshake as a real
// listener does before it hands the socket to a server process.
func TestTLSRestartedByInstance(t *testing.T) {
	d := startDatabase(t, databaseOptions{instance: "sales1", services: []string{"sales"}})
	s := newSecurity(t)
	for restarts := range 3 {
		a := &tcps{source: s.source, target: d.address, restarts: restarts}
		a.open(t)
		_, port, _ := net.SplitHostPort(a.address)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		c, err := certs.DialTLS(ctx, new(net.Dialer).DialContext, "localhost:"+port, &certs.Outbound{Source: s.trusting})
		must(t, err)
		reply, err := tns.TryService(ctx, c, []byte("(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=sales)(CID=(PROGRAM=p)(HOST=h)(USER=u))))"))
		if _, accepted := reply.(*tns.Accept); !accepted || err != nil {
			t.Errorf("%d restarts: %T, %v", restarts, reply, err)
		}
		_ = c.Close()
		a.note(func() {
			if len(a.peers) != 1 || a.peers[0] != "CN=app,O=Acme" {
				t.Errorf("%d restarts: the instance sees %q: %v", restarts, a.peers, a.wrong)
			}
		})
	}
}
