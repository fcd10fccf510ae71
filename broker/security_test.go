package broker

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"servicebroker/testenv/authority"
	"servicebroker/tns"
)

// numbered is a certificate for loopback whose CN tells it from others.
func numbered(a *authority.Authority, n int) tls.Certificate {
	return a.Sign(&x509.Certificate{Subject: pkix.Name{CommonName: fmt.Sprintf("cman-%d", n)}, DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}})
}

// Certificates are replaced, by good ones and bad ones, while clients connect: none of them
// notices, and the last good one is shown.
func TestCertificatesRotateUnderLoad(t *testing.T) {
	a := authority.New(t)
	r := startSecure(t, a, nil)
	r.register("sales1", "sales")
	file := filepath.Join(a.Folder, "host.pem")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var clients sync.WaitGroup
	var mu sync.Mutex
	connects, seen := 0, map[string]bool{}
	for range 4 {
		clients.Go(func() {
			for ctx.Err() == nil {
				name := ""
				config := &tls.Config{RootCAs: a.Pool, ServerName: "localhost", VerifyConnection: func(s tls.ConnectionState) error {
					name = s.PeerCertificates[0].Subject.CommonName
					return nil
				}}
				reply, err := r.askTLS(config, askSales)
				if _, ok := reply.(*tns.Accept); !ok {
					t.Errorf("%T, %v", reply, err)
					return
				}
				mu.Lock()
				connects++
				seen[name] = true
				mu.Unlock()
			}
		})
	}
	good := 0
	for n := range 40 {
		if n%4 == 3 {
			if err := os.WriteFile(file, []byte("-----BEGIN CERTIFICATE-----\nbroken\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			if changed, err := r.refreshCertificates(); changed || err == nil || !strings.Contains(err.Error(), "the old one stays in use") {
				t.Errorf("a broken file: changed %v, %v", changed, err)
			}
		} else {
			good = n
			a.File("host.pem", numbered(a, n))
			if changed, err := r.refreshCertificates(); !changed || err != nil {
				t.Errorf("changed %v, %v", changed, err)
			}
		}
		mu.Lock()
		enough := connects + 4 // some connects see each of them
		mu.Unlock()
		for {
			mu.Lock()
			done := connects >= enough || t.Failed()
			mu.Unlock()
			if done {
				break
			}
			select {
			case <-time.After(time.Millisecond):
			case <-ctx.Done():
				t.Fatal("no connects")
			}
		}
	}
	stop()
	clients.Wait()
	t.Logf("%d connects, %d certificates seen", connects, len(seen))
	if !seen[fmt.Sprintf("cman-%d", good)] || len(seen) < 10 {
		t.Errorf("seen %v", seen)
	}
	if all := r.Certificates(); len(all) == 0 || all[0].Subject != fmt.Sprintf("CN=cman-%d", good) {
		t.Errorf("%+v", all)
	}
}

// A reload puts other certificates in force, and refuses what cannot be.
func TestReloadOfTLS(t *testing.T) {
	a := authority.New(t)
	first, second := a.File("first.pem", numbered(a, 1)), a.File("second.pem", numbered(a, 2))
	text := func(parameters string) string {
		return `T = (CONFIGURATION=(ADDRESS=(PROTOCOL=tcp)(HOST=127.0.0.1)(PORT=0))(ADDRESS=(PROTOCOL=tcps)(HOST=127.0.0.1)(PORT=0))
  (RULE_LIST=(RULE=(SRC=*)(DST=*)(SRV=*)(ACT=accept))(RULE=(SRC=*)(DST=*)(SRV=cmon)(ACT=accept)))
  (PARAMETER_LIST=(HOLD_TIMEOUT=0)` + parameters + `))`
	}
	file := write(t, text("(TLS_CERTIFICATE="+first+")"))
	read, messages := ReadConfig(file, "")
	if err := messages.Err(); err != nil {
		t.Fatal(err)
	}
	r := start(t, func(c *Config) {
		state := c.StateDirectory
		*c = *read
		c.StateDirectory, c.ConsoleAddress = state, ""
	})
	shown := func() (name string) {
		_, err := r.askTLS(&tls.Config{RootCAs: a.Pool, ServerName: "localhost", VerifyConnection: func(s tls.ConnectionState) error {
			name = s.PeerCertificates[0].Subject.CommonName
			return nil
		}}, askSales)
		if err != nil {
			t.Error(err)
		}
		return name
	}
	reload := func(parameters string) ([]string, error) {
		if err := os.WriteFile(file, []byte(text(parameters)), 0o600); err != nil {
			t.Fatal(err)
		}
		result, err := r.Reload(t.Context())
		return result.Changed, err
	}
	if name := shown(); name != "cman-1" {
		t.Errorf("at first %q", name)
	}
	for _, tc := range []struct{ parameters, want, refusal string }{
		{"(TLS_CERTIFICATE=" + second + ")", "cman-2", ""},
		{"(TLS_CERTIFICATE=/nowhere.pem)", "cman-2", "check the name"},
		{"", "cman-2", "has no certificate"},
		{"(TLS_CERTIFICATE=" + first + ")(TLS_MIN_VERSION=1.3)", "cman-1", ""},
		{"(TLS_CERTIFICATE=" + first + ")(UPSTREAM_TLS=(CA=/nowhere.pem))", "cman-1", "UPSTREAM_TLS"},
	} {
		changed, err := reload(tc.parameters)
		if tc.refusal == "" && (err != nil || !slices.Contains(changed, "TLS_CERTIFICATE")) || tc.refusal != "" && (err == nil || !strings.Contains(err.Error(), tc.refusal)) {
			t.Errorf("%s: %v, %v", tc.parameters, changed, err)
		}
		if name := shown(); name != tc.want {
			t.Errorf("%s: %q is shown, want %q", tc.parameters, name, tc.want)
		}
	}
	a.File("first.pem", numbered(a, 3))
	if changed, err := reload("(TLS_CERTIFICATE=" + first + ")(TLS_MIN_VERSION=1.3)"); err != nil || !slices.Contains(changed, "certificates") {
		t.Errorf("%v, %v", changed, err)
	}
	if name := shown(); name != "cman-3" {
		t.Errorf("%q", name)
	}
}

// A check looks into the files, as far as it may.
func TestCheckOfCertificates(t *testing.T) {
	a := authority.New(t)
	good, broken := a.File("good.pem", a.Host()), a.Write("broken.pem", []byte("nothing"))
	old := a.File("old.pem", a.Sign(&x509.Certificate{Subject: pkix.Name{CommonName: "old"}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour)}))
	secret, short := a.Write("secret", []byte("0123456789abcdef\n")), a.Write("short", []byte("abc\n"))
	const acme = "(ACME_DIRECTORY=https://ca.test/dir)(ACME_NAMES=cman.test)"
	other := a.Write("other.key", authority.PEM("EC PRIVATE KEY", []byte{1}))
	for _, tc := range []struct{ parameters, want string }{
		{"(TLS_CERTIFICATE=" + good + ")", ""},
		{"(TLS_CERTIFICATE=" + broken + ")", "error: ADDRESS"},
		{"(TLS_CERTIFICATE=" + good + ")(TLS_KEY=" + other + ")", "give the PEM files of one pair"},
		{"(TLS_CERTIFICATE=" + old + ")", "warning: the certificate CN=old of " + old + " ended at"},
		{"(TLS_CERTIFICATE=" + good + ")(UPSTREAM_TLS=(CA=" + broken + "))", "error: UPSTREAM_TLS: " + broken + " holds no certificate"},
		{"(TLS_WALLET=" + broken + ")", "is it a PKCS#12 file?"},
		{"(TLS_CERTIFICATE=/nowhere.pem)", "warning: TLS_CERTIFICATE: there is no /nowhere.pem"},
		{acme + "(ACME_CHALLENGE=dns-01)", "error: ACME_CHALLENGE=dns-01 needs a zone to put proofs into"},
		{acme, ""},
		{acme + "(ACME_SHARED_KEY=" + secret + ")", "error: ACME_SHARED_KEY shares certificates through Consul: add CONSUL_ADDRESS"},
		{acme + "(CONSUL_ADDRESS=127.0.0.1:8500)(ACME_SHARED_KEY=" + secret + ")", ""},
		{acme + "(CONSUL_ADDRESS=127.0.0.1:8500)(ACME_SHARED_KEY=" + short + ")", "the secret has 3 bytes, too few: give at least 16 random ones"},
		{"(TLS_CERTIFICATE=" + good + ")(CONSUL_ADDRESS=127.0.0.1:8500)(ACME_SHARED_KEY=" + secret + ")", "warning: ACME_SHARED_KEY has no effect without ACME_NAMES"},
		{"(TLS_CERTIFICATE=" + good + ")(SSL_CIPHER_SUITES=(SSL_RSA_WITH_RC4_128_MD5))", "(it is left out)"},
	} {
		_, messages := Check(write(t, "CMAN1=(CONFIGURATION=\n(ADDRESS=(PROTOCOL=tcps)(HOST=cman1)(PORT=2484))\n"+goodRules+"(PARAMETER_LIST="+tc.parameters+"))"), "")
		if text := join(messages); tc.want != "" && !strings.Contains(text, tc.want) || tc.want == "" && strings.Contains(text, "certificate") {
			t.Errorf("%s\n%s\nwant %s", tc.parameters, text, tc.want)
		}
	}
}
