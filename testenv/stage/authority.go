package stage

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Authority is a certificate for localhost, of a broker or a database, and those who trust it.
type Authority struct {
	Folder string      // with host.pem for who has it, ca.pem for who trusts it, ewallet.pem for drivers
	Client *tls.Config // of who trusts it
}

// NewAuthority makes one in a folder.
func NewAuthority(folder string) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-72 * time.Hour), NotAfter: time.Now().Add(72 * time.Hour), // whatever becomes of clocks
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyText := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
	a := &Authority{Folder: folder, Client: &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "localhost"}}
	a.Client.RootCAs.AppendCertsFromPEM(certificate)
	for name, text := range map[string][]byte{
		"host.pem": bytes.Join([][]byte{certificate, keyText}, nil), "ca.pem": certificate, "ewallet.pem": bytes.Join([][]byte{keyText, certificate}, nil),
	} {
		err = errors.Join(err, os.WriteFile(filepath.Join(folder, name), text, 0o600))
	}
	return a, err
}

// Parameter names the certificate to a broker.
func (a *Authority) Parameter() string {
	return "TLS_CERTIFICATE=" + filepath.Join(a.Folder, "host.pem")
}

// Descriptor asks for a service at an address over TLS.
func (a *Authority) Descriptor(address, service string) string {
	_, port, _ := net.SplitHostPort(address)
	return fmt.Sprintf("(DESCRIPTION=(ADDRESS=(PROTOCOL=tcps)(HOST=localhost)(PORT=%s))(CONNECT_DATA=(SERVICE_NAME=%s))"+
		"(SECURITY=(SSL_SERVER_DN_MATCH=yes)(MY_WALLET_DIRECTORY=%s)))", port, service, a.Folder)
}
