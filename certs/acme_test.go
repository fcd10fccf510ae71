package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509/pkix"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/certmagic"
)

// acmeSettings are complete ones.
func acmeSettings() *ACME {
	return &ACME{Directory: "https://ca.example.com/directory", Names: []string{"DB1.example.com.", "db2.example.com"}, Storage: "unused"}
}

func TestACMESettings(t *testing.T) {
	f := newFolder(t)
	for _, tc := range []struct {
		name   string
		change func(*ACME)
		want   string
	}{
		{"complete", func(*ACME) {}, ""},
		{"no directory", func(a *ACME) { a.Directory = "" }, "ACME_DIRECTORY= is no https URL"},
		{"clear directory", func(a *ACME) { a.Directory = "http://ca.example.com/" }, "is no https URL"},
		{"no names", func(a *ACME) { a.Names = nil }, "ACME_NAMES is missing"},
		{"wild name", func(a *ACME) { a.Names[0] = "*.example.com" }, `"*.example.com" cannot be certified`},
		{"no name", func(a *ACME) { a.Names[1] = " " }, "write a host name"},
		{"odd name", func(a *ACME) { a.Names[1] = "a b" }, "write a host name"},
		{"no storage", func(a *ACME) { a.Storage = "" }, "set STATE_DIRECTORY"},
		{"shared storage", func(a *ACME) { a.Storage, a.Shared = "", &certmagic.FileStorage{} }, ""},
		{"key type", func(a *ACME) { a.KeyType = "RSA2048" }, ""},
		{"unknown key type", func(a *ACME) { a.KeyType = "dsa" }, "write p256, p384, rsa2048"},
		{"no roots", func(a *ACME) { a.Roots = f.put(t, "roots.pem", nil) }, "roots.pem holds no certificate"},
		{"missing roots", func(a *ACME) { a.Roots = "/nowhere/roots.pem" }, "no such file"},
		{"roots", func(a *ACME) { a.Roots = f.put(t, "ca.pem", newAuthority(t, "ca").pem()) }, ""},
	} {
		a := acmeSettings()
		tc.change(a)
		err := (&Source{ACME: a}).Load()
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.want)
		}
	}
}

// withIssued is a source whose authority has issued the given pairs.
func withIssued(t *testing.T, s *Source, pairs ...issuedPair) *Source {
	t.Helper()
	s.ACME = acmeSettings()
	must(t, s.Load())
	i := s.issued
	i.cache = certmagic.NewCache(certmagic.CacheOptions{GetConfigForCert: func(certmagic.Certificate) (*certmagic.Config, error) { return i.config, nil }, Logger: zapTo(nil)})
	t.Cleanup(i.cache.Stop)
	i.config = certmagic.New(i.cache, certmagic.Config{Storage: &certmagic.FileStorage{Path: t.TempDir()}, OCSP: certmagic.OCSPConfig{DisableStapling: true}, Logger: zapTo(nil)})
	for _, p := range pairs {
		_, err := i.config.CacheUnmanagedTLSCertificate(t.Context(), tls.Certificate{Certificate: [][]byte{p.cert.Raw}, PrivateKey: p.key, Leaf: p.cert}, nil)
		must(t, err)
	}
	close(i.loaded)
	return s
}

// Which certificate is shown, by server name, and never none while there is one.
func TestACMEShows(t *testing.T) {
	ca := newAuthority(t, "root")
	named := func(name string, ended bool) issuedPair {
		return issue(t, subject{name: pkix.Name{CommonName: name}, dns: []string{name}, ended: ended, signer: ca})
	}
	db1, db2, old := named("db1.example.com", false), named("db2.example.com", false), named("db1.example.com", true)
	for _, tc := range []struct {
		name   string
		issued []issuedPair
		sni    string
		want   issuedPair
	}{
		{"first", []issuedPair{db1, db2}, "db1.example.com", db1},
		{"second", []issuedPair{db1, db2}, "DB2.example.com", db2},
		{"none", []issuedPair{db1, db2}, "", db1},
		{"Oracle's", []issuedPair{db1, db2}, "S4.orcl.V3.319", db1},
		{"unknown", []issuedPair{db1, db2}, "db3.example.com", db1},
		{"first not issued yet", []issuedPair{db2}, "db1.example.com", db2},
		{"second not issued yet", []issuedPair{db1}, "db2.example.com", db1},
		{"expired and renewed", []issuedPair{old, db1}, "db1.example.com", db1},
	} {
		l := serve(t, withIssued(t, &Source{}, tc.issued...))
		state, _, err := l.handshake(&tls.Config{ServerName: tc.sni, InsecureSkipVerify: true, NextProtos: []string{"h2"}})
		if err != nil || !state.PeerCertificates[0].Equal(tc.want.cert) {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
	l := serve(t, withIssued(t, &Source{}, old))
	if _, _, err := l.handshake(&tls.Config{InsecureSkipVerify: true}); err == nil {
		t.Error("an expired certificate is shown")
	}
	if err := <-l.errors; !strings.Contains(err.Error(), "no certificate for db1.example.com has been issued yet: see the log for what https://ca.example.com/directory says") {
		t.Error(err)
	}
}

// Without a challenge under way its protocol leads nowhere, also where clients have to
// show certificates.
func TestChallengeIsNoWayIn(t *testing.T) {
	ca := newAuthority(t, "root")
	s := withIssued(t, &Source{CA: newFolder(t).put(t, "ca.pem", ca.pem())}, ca.host(t))
	l := serve(t, s)
	for _, name := range []string{"", "db1.example.com", "S4.orcl.V3.319"} {
		_, _, err := l.handshake(&tls.Config{ServerName: name, InsecureSkipVerify: true, NextProtos: []string{challengeProtocol}})
		if refused := <-l.errors; err == nil || errors.Is(refused, ErrChallenge) {
			t.Errorf("%q: %v here, %v there", name, err, refused)
		}
	}
}

// While there is one, whoever gets its certificate gets nothing else, even after a second
// handshake.
func TestChallengeCarriesNothing(t *testing.T) {
	host := newAuthority(t, "root").host(t)
	config := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{host.cert.Raw}, PrivateKey: host.key}}, NextProtos: []string{challengeProtocol}}
	for _, use := range []struct {
		name string
		use  func(*Conn) error
	}{
		{"read", func(c *Conn) error { _, err := c.Read(make([]byte, 10)); return err }},
		{"write", func(c *Conn) error { _, err := c.Write([]byte("x")); return err }},
		{"handshake", func(c *Conn) error { return c.HandshakeContext(t.Context()) }},
		{"restart", func(c *Conn) error { return c.RestartTLS(t.Context()) }},
	} {
		rawClient, rawServer := connected(t)
		server := newConn(rawServer, func(raw net.Conn) *tls.Conn { return tls.Server(raw, config) })
		ended := make(chan error, 1)
		go func() {
			client := tls.Client(rawClient, &tls.Config{NextProtos: []string{challengeProtocol}, InsecureSkipVerify: true})
			_, err := client.Write([]byte("CONNECT"))
			ended <- err
		}()
		for range 2 {
			if err := use.use(server); !errors.Is(err, ErrChallenge) {
				t.Errorf("%s: %v, want ErrChallenge", use.name, err)
			}
			if use.name == "restart" {
				break
			}
		}
		must(t, <-ended)
	}
}

// A handshake before Run waits for it, and not for ever.
func TestACMEWaitsForRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, err := acmeSettings().prepare(nil)
		must(t, err)
		if err := i.ready(t.Context()); err == nil || !strings.Contains(err.Error(), "Run has not been called") {
			t.Error(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := i.ready(ctx); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if got := i.expiries(); got != nil {
			t.Error(got)
		}
		go close(i.loaded)
		if err := i.ready(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// A certificate that was kept and cannot be read is named, with what to do; Run goes on.
func TestACMEStorageProblem(t *testing.T) {
	var log logged
	a := acmeSettings()
	a.Names, a.Shared = a.Names[:1], brokenStorage{&certmagic.FileStorage{Path: t.TempDir()}}
	s := loaded(t, &Source{ACME: a, Log: log.logger()})
	stop := running(t, s)
	until(t, 10*time.Second, "it is told", func() error {
		if text := log.String(); !strings.Contains(text, "name=db1.example.com") || !strings.Contains(text, "remove its folder") {
			return errors.New(text)
		}
		return nil
	})
	if s.HasCertificate() {
		t.Error("there is one nevertheless")
	}
	stop()
}

// brokenStorage has everything, and all of it is nonsense.
type brokenStorage struct{ certmagic.Storage }

func (brokenStorage) Exists(context.Context, string) bool { return true }

func (brokenStorage) Load(context.Context, string) ([]byte, error) { return []byte("nonsense"), nil }
