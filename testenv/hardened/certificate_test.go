package hardened

import (
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
	"time"

	"software.sslmate.com/src/go-pkcs12"
)

// certify writes a certificate for the instance's address, which signs itself, and returns the parameter that names it, and
// how a client trusts it.
func (i *instance) certify() (parameter string, trusting *tls.Config) {
	i.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(i.t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "broker"}, IPAddresses: []net.IP{net.ParseIP(i.host)},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(i.t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	must(i.t, err)
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	i.write("cert.pem", string(certificate))
	i.write("key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
	trusting = &tls.Config{RootCAs: x509.NewCertPool(), ServerName: i.host}
	trusting.RootCAs.AppendCertsFromPEM(certificate)
	return "(TLS_CERTIFICATE=" + i.path("cert.pem") + ")(TLS_KEY=" + i.path("key.pem") + ")", trusting
}

// wallet writes a wallet with the instance's certificate and key, which a password opens.
func (i *instance) wallet(name, password string) {
	i.t.Helper()
	pair, err := tls.LoadX509KeyPair(i.path("cert.pem"), i.path("key.pem"))
	must(i.t, err)
	der, err := pkcs12.Modern.Encode(pair.PrivateKey, pair.Leaf, nil, password)
	must(i.t, err)
	must(i.t, os.WriteFile(i.path(name), der, 0o600))
}
