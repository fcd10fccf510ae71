package certs

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// maxFile is the largest file that is read, in bytes.
const maxFile = 1 << 20

// material is what the files of a Source hold, at one time.
type material struct {
	sum         [sha256.Size]byte
	certificate *tls.Certificate // nil: none
	trusted     *x509.CertPool   // nil: none was given
	expiries    []Expiry

	server *tls.Config // what a listener offers
}

// Expiry says until when one certificate can be used.
type Expiry struct {
	From     string // file, or name under which ACME issued it
	Subject  string
	Trusted  bool // a certificate authority's, for the other side; otherwise our own
	NotAfter time.Time
}

// readFiles reads every file of the Source at once, so that what is compared is what is
// used.
func (s *Source) readFiles() (map[string][]byte, [sha256.Size]byte, error) {
	files := map[string][]byte{}
	sum := sha256.New()
	for _, name := range []string{s.Certificate, s.Key, s.walletFile(), s.WalletPasswordFile, s.CA} {
		if name == "" {
			continue
		}
		content, err := readFile(name)
		if err != nil {
			return nil, [sha256.Size]byte{}, err
		}
		files[name] = content
		fmt.Fprintf(sum, "%q %d\n", name, len(content))
		sum.Write(content)
	}
	return files, [sha256.Size]byte(sum.Sum(nil)), nil
}

func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("%w: check the name, and that the broker may read it", err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(content) > maxFile {
		err = fmt.Errorf("%s has more than %d bytes: it is no certificate; check the name", name, maxFile)
	}
	return content, err
}

// parse makes use of what the files hold.
func (s *Source) parse(files map[string][]byte) (*material, error) {
	m := &material{}
	var err error
	switch {
	case s.walletFile() != "":
		err = m.addWallet(s, files)
	case s.Certificate != "":
		err = m.addPEM(s, files)
	}
	if err != nil {
		return nil, err
	}
	if s.CA != "" {
		if err := m.trust(s.CA, files[s.CA]); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// addPEM takes certificate and key from PEM files; both may be in one.
func (m *material) addPEM(s *Source, files map[string][]byte) error {
	keyFile := s.Key
	if keyFile == "" {
		keyFile = s.Certificate
	}
	for rest := files[keyFile]; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "" {
			return fmt.Errorf("%s is encrypted with a password: decrypt it with openssl pkey -in %[1]s -out KEY.pem, or make it a PKCS#12 wallet", keyFile)
		}
	}
	pair, err := tls.X509KeyPair(files[s.Certificate], files[keyFile])
	if err != nil {
		return fmt.Errorf("certificate %s with key %s: %w: give the PEM files of one pair, the certificate first and those that signed it after", s.Certificate, keyFile, err)
	}
	m.own(s.Certificate, &pair)
	return nil
}

// own makes pair the certificate that we show.
func (m *material) own(from string, pair *tls.Certificate) {
	m.certificate = pair
	m.expiries = append(m.expiries, Expiry{From: from, Subject: Subject(pair.Leaf), NotAfter: pair.Leaf.NotAfter})
}

// trust reads PEM certificates of authorities.
func (m *material) trust(name string, content []byte) error {
	var certs []*x509.Certificate
	for rest := bytes.TrimSpace(content); len(rest) > 0; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			if bytes.Contains(rest, []byte("-----BEGIN")) { // whoever writes it is not done, and those that are missing would be refused
				return fmt.Errorf("%s: certificate %d is cut off, or damaged: replace that file by a whole one, best by renaming that to it", name, len(certs)+1)
			}
			break
		}
		if block.Type != "CERTIFICATE" && block.Type != "TRUSTED CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return fmt.Errorf("%s: certificate %d: %w: replace that file", name, len(certs)+1, err)
		}
		certs = append(certs, cert)
	}
	if len(certs) == 0 {
		return fmt.Errorf("%s holds no certificate: give the PEM file of the certificate authority", name)
	}
	m.trustAll(name, certs)
	return nil
}

func (m *material) trustAll(name string, certs []*x509.Certificate) {
	m.trusted = x509.NewCertPool()
	for _, cert := range certs {
		m.trusted.AddCert(cert)
		m.expiries = append(m.expiries, Expiry{From: name, Subject: Subject(cert), Trusted: true, NotAfter: cert.NotAfter})
	}
}

// errNotNow is wrapped by the error about a certificate outside of its validity.
var errNotNow = errors.New("not valid now")

// inTime refuses a certificate of our own that nobody would accept now.
func (m *material) inTime(now time.Time) error {
	if m.certificate == nil {
		return nil
	}
	leaf := m.certificate.Leaf
	switch {
	case now.After(leaf.NotAfter):
		return fmt.Errorf("the certificate of %s is %w: it expired at %s; renew it", Subject(leaf), errNotNow, leaf.NotAfter.Format(time.RFC3339))
	case now.Before(leaf.NotBefore):
		return fmt.Errorf("the certificate of %s is %w: it begins at %s; check this machine's clock", Subject(leaf), errNotNow, leaf.NotBefore.Format(time.RFC3339))
	}
	return nil
}
