package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509/pkix"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestLoadPEM(t *testing.T) {
	ca := newAuthority(t, "root")
	middle := issue(t, subject{name: pkix.Name{CommonName: "middle"}, isCA: true, signer: ca})
	leaf := (&authority{middle.cert, middle.key}).host(t)
	f := newFolder(t)
	for name, s := range map[string]*Source{
		"two files": {Certificate: f.put(t, "cert.pem", append(leaf.certPEM(), middle.certPEM()...)), Key: f.put(t, "key.pem", leaf.keyPEM(t))},
		"one file":  {Certificate: f.pair(t, "both.pem", leaf, middle.certPEM())},
	} {
		t.Run(name, func(t *testing.T) {
			l := serve(t, loaded(t, s))
			state, _, err := l.handshake(&tls.Config{RootCAs: ca.pool(), ServerName: "db1.example.com"})
			must(t, err)
			if got := len(state.PeerCertificates); got != 2 {
				t.Errorf("%d certificates were shown, want the leaf and the one between", got)
			}
			want := []Expiry{{From: s.Certificate, Subject: "CN=db1,OU=Sales,O=Acme,C=US", NotAfter: leaf.cert.NotAfter}}
			if diff := cmp.Diff(want, s.Expiries()); diff != "" {
				t.Error(diff)
			}
			if !s.HasCertificate() {
				t.Error("it says it has none")
			}
		})
	}
}

// Whatever is wrong with the settings is named, with what to do.
func TestLoadErrors(t *testing.T) {
	ca := newAuthority(t, "root")
	one, other := ca.host(t), ca.host(t)
	f := newFolder(t)
	good := f.pair(t, "good.pem", one)
	text := f.put(t, "text.pem", []byte("hello"))
	locked := f.put(t, "locked.pem", []byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"))
	broken := f.put(t, "broken.pem", []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
	large := f.put(t, "large.pem", make([]byte, maxFile+1))
	for _, tc := range []struct {
		name string
		s    *Source
		want string
	}{
		{"missing", &Source{Certificate: filepath.Join(string(f), "none.pem")}, "none.pem: no such file or directory: check the name"},
		{"two kinds", &Source{Certificate: good, Wallet: good}, "more than one of TLS_CERTIFICATE, TLS_WALLET and ACME_NAMES"},
		{"key alone", &Source{Key: good}, "without TLS_CERTIFICATE"},
		{"password alone", &Source{WalletPasswordFile: good}, "without TLS_WALLET"},
		{"no PEM", &Source{Certificate: text}, "give the PEM files of one pair"},
		{"other key", &Source{Certificate: f.put(t, "c.pem", one.certPEM()), Key: f.put(t, "k.pem", other.keyPEM(t))}, "private key does not match"},
		{"encrypted key", &Source{Certificate: good, Key: locked}, "openssl pkey -in"},
		{"no authority", &Source{Certificate: good, CA: text}, "text.pem holds no certificate"},
		{"broken authority", &Source{Certificate: good, CA: broken}, "broken.pem: certificate 1"},
		{"too large", &Source{Certificate: large}, "is no certificate"},
		{"clients without authority", &Source{Certificate: good, Clients: ClientsRequired}, "give TLS_CLIENT_CA"},
		{"DNs without clients", &Source{Certificate: good, ClientDNs: []string{"CN=x"}}, "clients are not asked"},
		{"folder", &Source{Certificate: string(f)}, "is a directory"},
	} {
		if err := tc.s.Load(); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.want)
		}
	}
}

func TestNoCertificateNoListener(t *testing.T) {
	s := loaded(t, &Source{})
	if _, err := s.ServerConfig(); err == nil || !strings.Contains(err.Error(), "TLS_WALLET") {
		t.Errorf("%v, want what to give", err)
	}
	if _, err := s.Server(nil); err == nil {
		t.Error("a server without certificate")
	}
	if s.HasCertificate() || len(s.Expiries()) > 0 {
		t.Error("it says it has one")
	}
	if err := (&Source{}).Run(t.Context()); err == nil {
		t.Error("Run before Load")
	}
	if _, err := (&Source{}).Reload(); err == nil {
		t.Error("Reload before Load")
	}
}

// A new file is used from the next handshake on, and a bad one is not, whatever is bad.
func TestReload(t *testing.T) {
	ca := newAuthority(t, "root")
	f := newFolder(t)
	first, second := ca.host(t), ca.host(t)
	path := f.pair(t, "cert.pem", first)
	var log logged
	var told []error
	s := loaded(t, &Source{Certificate: path, Log: log.logger(), Reloaded: func(err error) { told = append(told, err) }})
	l := serve(t, s)
	shows := func(want issuedPair) {
		t.Helper()
		state, _, err := l.handshake(&tls.Config{RootCAs: ca.pool(), ServerName: "db1.example.com"})
		must(t, err)
		if !state.PeerCertificates[0].Equal(want.cert) {
			t.Errorf("shows serial %v, want %v", state.PeerCertificates[0].SerialNumber, want.cert.SerialNumber)
		}
	}
	reload := func(changed bool, problem string) {
		t.Helper()
		got, err := s.Reload()
		if got != changed || (err == nil) != (problem == "") || err != nil && !strings.Contains(err.Error(), problem) {
			t.Errorf("%v, %v, want %v, %q", got, err, changed, problem)
		}
	}
	shows(first)
	reload(false, "")
	f.pair(t, "cert.pem", second)
	shows(first)
	reload(true, "")
	shows(second)
	reload(false, "")
	for _, bad := range []struct {
		content []byte
		problem string
	}{
		{[]byte("nonsense"), "the old one stays in use"},
		{append(first.certPEM(), second.keyPEM(t)...), "does not match"},
		{mustPair(t, issue(t, subject{name: pkix.Name{CommonName: "old"}, ended: true})), "expired at"},
		{mustPair(t, issue(t, subject{name: pkix.Name{CommonName: "new"}, begins: time.Hour})), "check this machine's clock"},
	} {
		f.put(t, "cert.pem", bad.content)
		reload(false, bad.problem)
		reload(false, bad.problem)
		shows(second)
	}
	must(t, os.Remove(path))
	reload(false, "no such file")
	shows(second)
	f.pair(t, "cert.pem", second)
	reload(false, "")
	f.pair(t, "cert.pem", first)
	reload(true, "")
	shows(first)
	if len(told) != 7 || told[0] != nil || told[6] != nil {
		t.Errorf("told %d times, want once for each change: %v", len(told), told)
	}
	if got := strings.Count(log.String(), "certificate not replaced"); got != 5 {
		t.Errorf("%d problems logged, want each of 5 once:\n%s", got, log.String())
	}
}

// A file of authorities that is being written is not taken for a smaller one, wherever it is cut within a certificate.
func TestAuthoritiesAreReadWhole(t *testing.T) {
	first, second := newAuthority(t, "first"), newAuthority(t, "second")
	f := newFolder(t)
	pair := f.pair(t, "cert.pem", first.host(t))
	comment := []byte("\n# the second of ours\n")
	all := slices.Concat(first.pem(), comment, second.pem(), comment)
	s := loaded(t, &Source{Certificate: pair, CA: f.put(t, "ca.pem", all)})
	before := s.Expiries()
	if len(before) != 3 {
		t.Fatalf("%+v", before)
	}
	begins := len(first.pem()) + len(comment)
	for cut := begins + len("-----BEGIN"); cut < begins+len(second.pem())-1; cut += 7 {
		path := f.put(t, "ca.pem", all[:cut])
		if changed, err := s.Reload(); changed || err == nil || !strings.Contains(err.Error(), path+": certificate 2 is cut off") {
			t.Errorf("cut after %d bytes: %v, %v", cut, changed, err)
		}
	}
	if diff := cmp.Diff(before, s.Expiries()); diff != "" {
		t.Error(diff)
	}
	f.put(t, "ca.pem", slices.Concat(second.pem(), comment))
	if changed, err := s.Reload(); !changed || err != nil {
		t.Errorf("%v, %v", changed, err)
	}
}

func mustPair(t *testing.T, p issuedPair) []byte {
	t.Helper()
	return append(p.certPEM(), p.keyPEM(t)...)
}

// At the start an expired certificate is better than none.
func TestExpiredAtStart(t *testing.T) {
	var log logged
	p := issue(t, subject{name: pkix.Name{CommonName: "old"}, ended: true})
	s := loaded(t, &Source{Certificate: newFolder(t).pair(t, "c.pem", p), Log: log.logger()})
	if !s.HasCertificate() || !strings.Contains(log.String(), "expired at") {
		t.Errorf("no certificate, or no warning:\n%s", log.String())
	}
}

// Run looks by itself, at the given interval, and ends with its context.
func TestRunPolls(t *testing.T) {
	ca := newAuthority(t, "root")
	f := newFolder(t)
	path := f.pair(t, "cert.pem", ca.host(t))
	synctest.Test(t, func(t *testing.T) {
		var changes []time.Duration
		begin := time.Now()
		s := &Source{Certificate: path, Reloaded: func(error) { changes = append(changes, time.Since(begin)) }}
		must(t, s.Load())
		ctx, cancel := context.WithTimeout(t.Context(), 35*time.Second)
		defer cancel()
		time.AfterFunc(15*time.Second, func() { f.put(t, "cert.pem", []byte("bad")) })
		must(t, s.Run(ctx))
		if diff := cmp.Diff([]time.Duration{20 * time.Second}, changes); diff != "" {
			t.Error(diff)
		}
	})
}

// Certificates are replaced again and again while clients connect, some of which resume
// their sessions: not one handshake fails.
func TestRotationUnderLoad(t *testing.T) {
	ca := newAuthority(t, "root")
	f := newFolder(t)
	pairs := []issuedPair{ca.host(t), ca.host(t), ca.host(t)}
	s := loaded(t, &Source{Certificate: f.pair(t, "cert.pem", pairs[0]), CA: f.put(t, "ca.pem", ca.pem()), Clients: ClientsOptional})
	l := serve(t, s)
	app := ca.client(t, "app")
	own := tls.Certificate{Certificate: [][]byte{app.cert.Raw}, PrivateKey: app.key}
	ctx, cancel := context.WithCancel(t.Context())
	seen := sync.Map{}
	var clients sync.WaitGroup
	for n := range 4 {
		config := &tls.Config{RootCAs: ca.pool(), ServerName: "db1.example.com", Certificates: []tls.Certificate{own}}
		if n%2 == 0 {
			config.ClientSessionCache = tls.NewLRUClientSessionCache(4)
		}
		clients.Go(func() {
			for ctx.Err() == nil {
				state, dn, err := l.handshake(config)
				if err != nil || dn != "CN=app,O=Acme" {
					t.Errorf("handshake: %q, %v", dn, err)
					return
				}
				seen.Store(state.PeerCertificates[0].SerialNumber.Int64(), true)
			}
		})
	}
	for n := range 60 {
		f.pair(t, "cert.pem", pairs[n%len(pairs)])
		if _, err := s.Reload(); err != nil {
			t.Error(err)
		}
		if n%2 == 0 { // a broken one in between
			f.put(t, "cert.pem", pairs[0].certPEM()[:100])
			if _, err := s.Reload(); err == nil {
				t.Error("a broken certificate was taken")
			}
		}
		if _, _, err := l.handshake(&tls.Config{RootCAs: ca.pool(), ServerName: "db1.example.com"}); err != nil {
			t.Error(err)
		}
	}
	cancel()
	clients.Wait()
	for _, p := range pairs {
		if _, shown := seen.Load(p.cert.SerialNumber.Int64()); !shown {
			t.Errorf("certificate %v was never shown", p.cert.SerialNumber)
		}
	}
	if len(l.errors) > 0 {
		t.Errorf("%d handshakes failed on the server: %v", len(l.errors), <-l.errors)
	}
}
