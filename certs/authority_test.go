package certs

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// authority signs certificates for a test.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

var serial atomic.Int64 // of all certificates of the test process

// subject is what differs between the certificates of a test.
type subject struct {
	name    pkix.Name
	raw     []byte // instead of name
	dns     []string
	ips     []net.IP
	ended   bool
	begins  time.Duration
	isCA    bool
	use     x509.ExtKeyUsage
	rsa     bool
	signer  *authority // nil: by itself
	lasting time.Duration
}

// issued is a certificate with its key.
type issuedPair struct {
	cert *x509.Certificate
	key  crypto.Signer
}

func (p issuedPair) certPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.cert.Raw})
}

func (p issuedPair) keyPEM(t testing.TB) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(p.key)
	must(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func issue(t testing.TB, s subject) issuedPair {
	t.Helper()
	var key crypto.Signer
	var err error
	if s.rsa {
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	} else {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	must(t, err)
	if s.lasting == 0 {
		s.lasting = time.Hour
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial.Add(1)), Subject: s.name, RawSubject: s.raw, DNSNames: s.dns, IPAddresses: s.ips,
		NotBefore: time.Now().Add(s.begins - time.Minute), NotAfter: time.Now().Add(s.begins + s.lasting), IsCA: s.isCA, BasicConstraintsValid: true}
	if s.ended {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(-time.Minute)
	}
	if s.isCA {
		template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	}
	if s.use != 0 {
		template.ExtKeyUsage = []x509.ExtKeyUsage{s.use}
	}
	parent, by := template, key
	if s.signer != nil {
		parent, by = s.signer.cert, s.signer.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), by)
	must(t, err)
	cert, err := x509.ParseCertificate(der)
	must(t, err)
	return issuedPair{cert, key}
}

func newAuthority(t testing.TB, cn string) *authority {
	t.Helper()
	p := issue(t, subject{name: pkix.Name{CommonName: cn, Organization: []string{"Acme"}}, isCA: true})
	return &authority{p.cert, p.key}
}

// host issues a certificate for db1.example.com and loopback.
func (a *authority) host(t testing.TB) issuedPair {
	t.Helper()
	return issue(t, subject{name: pkix.Name{CommonName: "db1", OrganizationalUnit: []string{"Sales"}, Organization: []string{"Acme"}, Country: []string{"US"}},
		dns: []string{"db1.example.com"}, ips: []net.IP{net.IPv4(127, 0, 0, 1)}, signer: a})
}

func (a *authority) client(t testing.TB, cn string) issuedPair {
	t.Helper()
	return issue(t, subject{name: pkix.Name{CommonName: cn, Organization: []string{"Acme"}}, use: x509.ExtKeyUsageClientAuth, signer: a})
}

func (a *authority) pem() []byte { return issuedPair{cert: a.cert}.certPEM() }

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// folder keeps the files of a test.
type folder string

func newFolder(t testing.TB) folder { return folder(t.TempDir()) }

// put replaces a file as a careful tool does, at once.
func (f folder) put(t testing.TB, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(string(f), name)
	must(t, os.WriteFile(path+".new", content, 0o600))
	must(t, os.Rename(path+".new", path))
	return path
}

// pair puts certificate and key into one file.
func (f folder) pair(t testing.TB, name string, p issuedPair, more ...[]byte) string {
	t.Helper()
	return f.put(t, name, append(append(p.certPEM(), bytes.Join(more, nil)...), p.keyPEM(t)...))
}

func loaded(t testing.TB, s *Source) *Source {
	t.Helper()
	must(t, s.Load())
	return s
}

// listener answers every client of s with the peer's DN and a newline.
type listener struct {
	address string
	errors  chan error // of handshakes; never full
}

func serve(t testing.TB, s *Source) *listener { return serveAt(t, s, "127.0.0.1:0") }

func serveAt(t testing.TB, s *Source, address string) *listener {
	t.Helper()
	l, err := net.Listen("tcp", address)
	must(t, err)
	at := &listener{l.Addr().String(), make(chan error, 100000)}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			raw, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { at.answer(s, raw) })
		}
	})
	t.Cleanup(func() { _ = l.Close(); all.Wait() })
	return at
}

func (l *listener) answer(s *Source, raw net.Conn) {
	defer raw.Close()
	_ = raw.SetDeadline(time.Now().Add(10 * time.Second))
	c, err := s.Server(raw)
	if err == nil {
		err = c.HandshakeContext(context.Background())
	}
	if err != nil {
		l.errors <- err
		return
	}
	_, _ = io.WriteString(c, c.PeerDN()+"\n")
	_ = c.CloseWrite()
	_, _ = io.Copy(io.Discard, c)
	_ = c.Close()
}

// handshake connects with config and returns what the server says.
func (l *listener) handshake(config *tls.Config) (tls.ConnectionState, string, error) {
	raw, err := net.Dial("tcp", l.address)
	if err != nil {
		return tls.ConnectionState{}, "", err
	}
	defer raw.Close()
	_ = raw.SetDeadline(time.Now().Add(10 * time.Second))
	c := tls.Client(raw, config)
	said, err := io.ReadAll(c)
	return c.ConnectionState(), string(bytes.TrimSuffix(said, []byte("\n"))), err
}

// logged keeps what is logged.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *logged) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}
