// Package authority signs certificates for tests, and keeps them in files.
package authority

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Authority is one that signs until a test ends.
type Authority struct {
	Folder string         // where its files are
	Pool   *x509.CertPool // of those who trust it

	t      testing.TB
	cert   *x509.Certificate
	key    *ecdsa.PrivateKey
	serial int64
}

// New makes one.
func New(t testing.TB) *Authority {
	t.Helper()
	a := &Authority{t: t, Folder: t.TempDir(), Pool: x509.NewCertPool()}
	pair := a.Sign(&x509.Certificate{Subject: pkix.Name{CommonName: "root"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	a.cert, a.key = pair.Leaf, pair.PrivateKey.(*ecdsa.PrivateKey)
	a.Pool.AddCert(a.cert)
	a.Write("ca.pem", PEM("CERTIFICATE", a.cert.Raw))
	return a
}

// PEM writes one thing as text.
func PEM(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// Sign makes a key, and a certificate of it after a template, which is good for an hour unless it says otherwise.
func (a *Authority) Sign(template *x509.Certificate) tls.Certificate {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	parent, by := a.cert, a.key
	if parent == nil {
		parent, by = template, key
	}
	a.serial++
	template.SerialNumber = big.NewInt(a.serial)
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), by)
	if err != nil {
		a.t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// Write writes a file, and returns where it is.
func (a *Authority) Write(name string, content ...[]byte) (path string) {
	a.t.Helper()
	path = filepath.Join(a.Folder, name)
	if err := os.WriteFile(path, bytes.Join(content, nil), 0o600); err != nil {
		a.t.Fatal(err)
	}
	return path
}

// File writes a pair into one PEM file.
func (a *Authority) File(name string, pair tls.Certificate) (path string) {
	a.t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		a.t.Fatal(err)
	}
	return a.Write(name, PEM("CERTIFICATE", pair.Certificate[0]), PEM("PRIVATE KEY", der))
}

// Host is a certificate for loopback.
func (a *Authority) Host() tls.Certificate {
	return a.Sign(&x509.Certificate{Subject: pkix.Name{CommonName: "cman"}, DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}})
}

// CA is the file of those who trust it.
func (a *Authority) CA() string { return filepath.Join(a.Folder, "ca.pem") }

// Client is a certificate for CN=name,O=Acme.
func (a *Authority) Client(name string) tls.Certificate {
	return a.Sign(&x509.Certificate{Subject: pkix.Name{CommonName: name, Organization: []string{"Acme"}}})
}
