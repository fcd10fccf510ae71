package certs

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"software.sslmate.com/src/go-pkcs12"
)

// openssl runs it on files of the folder, or skips the test where there is none.
func (f folder) openssl(t testing.TB, arguments ...string) {
	t.Helper()
	program, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed: apt-get install openssl")
	}
	cmd := exec.Command(program, arguments...)
	cmd.Dir = string(f)
	if said, err := cmd.CombinedOutput(); err != nil {
		if strings.Contains(string(said), "unsupported") || strings.Contains(string(said), "legacy") {
			t.Skipf("this openssl cannot do that: %s", said)
		}
		t.Fatalf("openssl %v: %v\n%s", arguments, err, said)
	}
}

// Wallets as tools of many years have made them, by a real one.
func TestWalletsOfOpenSSL(t *testing.T) {
	ca := newAuthority(t, "root")
	middle := issue(t, subject{name: pkix.Name{CommonName: "middle"}, isCA: true, signer: ca})
	between := &authority{middle.cert, middle.key}
	f := newFolder(t)
	f.put(t, "chain.pem", append(middle.certPEM(), ca.pem()...))
	for n, how := range [][]string{
		{}, // what this version does by itself: AES and SHA-256
		{"-certpbe", "PBE-SHA1-3DES", "-keypbe", "PBE-SHA1-3DES", "-macalg", "sha1"},
		{"-legacy", "-descert"},
		{"-legacy"}, // RC2 for certificates
		{"-keypbe", "NONE", "-certpbe", "NONE"},
		{"-certfile", "chain.pem", "-name", "orakey"},
	} {
		for _, rsa := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s rsa=%v", strings.Join(how, " "), rsa), func(t *testing.T) {
				leaf := issue(t, subject{name: pkix.Name{CommonName: "db1"}, dns: []string{"db1.example.com"}, signer: between, rsa: rsa})
				name := fmt.Sprintf("%d%v.pem", n, rsa)
				f.pair(t, name, leaf, middle.certPEM(), ca.pem())
				f.openssl(t, append([]string{"pkcs12", "-export", "-in", name, "-out", name + ".p12", "-passout", "pass:secret"}, how...)...)
				s := loaded(t, &Source{Wallet: filepath.Join(string(f), name+".p12"), WalletPasswordFile: f.put(t, "password", []byte("secret\r\nmore\n"))})
				l := serve(t, s)
				state, _, err := l.handshake(&tls.Config{RootCAs: ca.pool(), ServerName: "db1.example.com"})
				must(t, err)
				if got := len(state.PeerCertificates); got != 2 || !state.PeerCertificates[0].Equal(leaf.cert) {
					t.Errorf("%d certificates are shown, want the leaf and the one between", got)
				}
			})
		}
	}
}

// A wallet's own certificates are trusted: clients', as those of instances.
func TestWalletTrusts(t *testing.T) {
	ca := newAuthority(t, "root")
	leaf, app := ca.host(t), ca.client(t, "app")
	wallet := func(p issuedPair) string {
		der, err := pkcs12.Modern.Encode(p.key, p.cert, []*x509.Certificate{ca.cert}, "")
		must(t, err)
		path := newFolder(t).put(t, passwordWallet, der)
		return filepath.Dir(path)
	}
	l := serve(t, loaded(t, &Source{Wallet: wallet(leaf), Clients: ClientsRequired}))
	c, err := DialTLS(t.Context(), to(l.address), "db1.example.com:2484", &Outbound{Source: loaded(t, &Source{Wallet: wallet(app)})})
	must(t, err)
	said := make([]byte, 20)
	n, err := c.Read(said)
	if string(said[:n]) != "CN=app,O=Acme\n" {
		t.Errorf("%q, %v", said[:n], err)
	}
	must(t, c.Close())
}

// The order in a wallet says nothing: the certificate is that of the key.
func TestWalletOrder(t *testing.T) {
	ca := newAuthority(t, "root")
	leaf := ca.host(t)
	der, err := pkcs12.Modern.Encode(leaf.key, ca.cert, []*x509.Certificate{leaf.cert}, "x")
	must(t, err)
	f := newFolder(t)
	s := loaded(t, &Source{Wallet: f.put(t, "w.p12", der), WalletPasswordFile: f.put(t, "password", []byte("x"))})
	if got := s.Expiries()[0]; got.Subject != "CN=db1,OU=Sales,O=Acme,C=US" || got.Trusted {
		t.Errorf("%+v is taken for our own", got)
	}
}

func TestWalletErrors(t *testing.T) {
	ca := newAuthority(t, "root")
	leaf := ca.host(t)
	f := newFolder(t)
	encoded := func(name string, p issuedPair, cert *x509.Certificate) string {
		der, err := pkcs12.Modern.Encode(p.key, cert, nil, "secret")
		must(t, err)
		return f.put(t, name, der)
	}
	good := encoded("good.p12", leaf, leaf.cert)
	trusting, err := pkcs12.Modern.EncodeTrustStore([]*x509.Certificate{ca.cert}, "secret")
	must(t, err)
	right, wrong := f.put(t, "right", []byte("secret")), f.put(t, "wrong", []byte("Secret"))
	for _, tc := range []struct {
		name string
		s    *Source
		want string
	}{
		{"no password", &Source{Wallet: good}, "name that in TLS_WALLET_PASSWORD_FILE"},
		{"wrong password", &Source{Wallet: good, WalletPasswordFile: wrong}, "correct the first line of " + wrong},
		{"no wallet", &Source{Wallet: f.put(t, "text", []byte("hello")), WalletPasswordFile: right}, "is it a PKCS#12 file?"},
		{"another's certificate", &Source{Wallet: encoded("other.p12", leaf, ca.cert), WalletPasswordFile: right}, "none of its 1 certificates"},
		{"trusted alone", &Source{Wallet: f.put(t, "trust.p12", trusting), WalletPasswordFile: right}, "only holds certificates"},
		{"empty folder", &Source{Wallet: t.TempDir()}, "ewallet.p12: no such file"},
		{"cut", &Source{Wallet: f.put(t, "cut.p12", fileOf(t, good)[:200]), WalletPasswordFile: right}, "is it a PKCS#12 file?"},
	} {
		if err := tc.s.Load(); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.want)
		}
	}
}

func fileOf(t testing.TB, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(name)
	must(t, err)
	return content
}
