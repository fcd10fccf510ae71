package certs

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/sijms/go-ora/v2/configurations"
	"software.sslmate.com/src/go-pkcs12"
)

// The files of an Oracle wallet.
const (
	passwordWallet  = "ewallet.p12"
	autoLoginWallet = "cwallet.sso"
)

// walletFile is the file that Wallet means: in a folder the one that can be opened with
// what is given.
func (s *Source) walletFile() string {
	if s.Wallet == "" {
		return ""
	}
	if info, err := os.Stat(s.Wallet); err != nil || !info.IsDir() {
		return s.Wallet
	}
	with, without := filepath.Join(s.Wallet, passwordWallet), filepath.Join(s.Wallet, autoLoginWallet)
	if _, err := os.Stat(without); s.WalletPasswordFile == "" && err == nil {
		return without
	}
	return with
}

// addWallet takes certificate, key and trusted certificates from a wallet.
func (m *material) addWallet(s *Source, files map[string][]byte) error {
	name := s.walletFile()
	content := files[name]
	w, err := wallet{}, error(nil)
	if isAutoLogin(content) {
		w, err = openAutoLogin(name, content)
	} else {
		w, err = openPKCS12(content, password(files[s.WalletPasswordFile]), s.WalletPasswordFile)
	}
	if err != nil {
		return fmt.Errorf("wallet %s: %w", name, err)
	}
	pair, trusted, err := w.pair()
	if err != nil {
		return fmt.Errorf("wallet %s: %w", name, err)
	}
	m.own(name, pair)
	if len(trusted) > 0 {
		m.trustAll(name, trusted)
	}
	return nil
}

// password is the first line of the file.
func password(content []byte) string {
	line, _, _ := bytes.Cut(content, []byte("\n"))
	return strings.TrimRight(string(line), "\r")
}

// wallet is what a wallet holds, in no particular order.
type wallet struct {
	key   crypto.PrivateKey
	certs []*x509.Certificate
}

// openPKCS12 opens an ewallet.p12.
func openPKCS12(content []byte, password, passwordFile string) (wallet, error) {
	key, first, others, err := pkcs12.DecodeChain(content, password)
	switch {
	case err == nil:
		return wallet{key, append([]*x509.Certificate{first}, others...)}, nil
	case errors.Is(err, pkcs12.ErrIncorrectPassword) && passwordFile == "":
		return wallet{}, fmt.Errorf("%w: write its password into a file and name that in TLS_WALLET_PASSWORD_FILE", err)
	case errors.Is(err, pkcs12.ErrIncorrectPassword):
		return wallet{}, fmt.Errorf("%w: correct the first line of %s", err, passwordFile)
	case strings.Contains(err.Error(), "private key missing"):
		return wallet{}, fmt.Errorf("%w: it only holds certificates; as trusted ones give them as PEM, from openssl pkcs12 -nokeys -in %s -out CA.pem", err, passwordWallet)
	}
	return wallet{}, fmt.Errorf("%w: is it a PKCS#12 file? As PEM files it can be used too: openssl pkcs12 -nodes -in %s -out WALLET.pem", err, passwordWallet)
}

// convertAutoLogin says what to do about an auto-login wallet that cannot be read.
const convertAutoLogin = "one made with auto_login_local opens on its own machine for its own user alone; use the " + passwordWallet + " beside it with TLS_WALLET_PASSWORD_FILE; if there is none, " +
	"orapki wallet export_private_key and orapki wallet export -cert, on the machine that made it, give PEM files"

// isAutoLogin tells a cwallet.sso by how it begins.
func isAutoLogin(content []byte) bool { return bytes.HasPrefix(content, []byte{0xa1, 0xf8, 0x4e}) }

// isWhole tells whether the password that a cwallet.sso announces in its first twelve bytes is all there.
func isWhole(content []byte) bool {
	return len(content) >= 12 && uint64(binary.BigEndian.Uint32(content[8:])) <= uint64(len(content)-12)
}

// openAutoLogin opens a cwallet.sso. go-ora's reader trusts the file: it takes the room that the
// file asks for, and panics where that is cut short. So the one is looked at before, and the other
// counts as an error here.
func openAutoLogin(name string, content []byte) (w wallet, err error) {
	damaged := fmt.Errorf("an auto-login wallet that cannot be read, perhaps cut short: %s", convertAutoLogin)
	if !isWhole(content) {
		return wallet{}, damaged
	}
	defer func() {
		if recover() != nil {
			w, err = wallet{}, damaged
		}
	}()
	read, err := configurations.NewWallet(name)
	if err != nil {
		return wallet{}, fmt.Errorf("an auto-login wallet that cannot be read: %w: %s", err, convertAutoLogin)
	}
	for i, der := range read.Certificates {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return wallet{}, fmt.Errorf("certificate %d: %w: replace it", i+1, err)
		}
		w.certs = append(w.certs, cert)
	}
	for _, bare := range read.PrivateKeys {
		if w.key = keyOfOne(bare, w.certs); w.key != nil {
			return w, nil
		}
	}
	return wallet{}, fmt.Errorf("an auto-login wallet without a private key for one of its %d certificates: %s", len(w.certs), convertAutoLogin)
}

// keyOfOne makes a key out of its bare octets, which do not say of what algorithm or
// curve: that is known from the certificate it belongs to. nil if it belongs to none.
func keyOfOne(bare []byte, certs []*x509.Certificate) crypto.PrivateKey {
	for _, cert := range certs {
		var public struct {
			Algorithm pkix.AlgorithmIdentifier
			Key       asn1.BitString
		}
		if _, err := asn1.Unmarshal(cert.RawSubjectPublicKeyInfo, &public); err != nil {
			continue
		}
		der, err := asn1.Marshal(struct {
			Version   int
			Algorithm pkix.AlgorithmIdentifier
			Key       []byte
		}{0, public.Algorithm, bare})
		if err != nil {
			continue
		}
		if key, err := x509.ParsePKCS8PrivateKey(der); err == nil && belongs(key, cert) {
			return key
		}
	}
	return nil
}

// belongs tells whether key is that of cert.
func belongs(key crypto.PrivateKey, cert *x509.Certificate) bool {
	signer, ok := key.(crypto.Signer)
	if !ok {
		return false
	}
	public, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(cert.PublicKey)
}

// pair finds the certificate of the key and those that signed it; all others, and those,
// are the wallet's trusted ones.
func (w wallet) pair() (*tls.Certificate, []*x509.Certificate, error) {
	var leaf *x509.Certificate
	for _, cert := range w.certs {
		if leaf == nil && belongs(w.key, cert) {
			leaf = cert
		}
	}
	if leaf == nil {
		return nil, nil, fmt.Errorf("none of its %d certificates is that of its private key: add the signed certificate with orapki wallet add -user_cert", len(w.certs))
	}
	pair := &tls.Certificate{PrivateKey: w.key, Leaf: leaf, Certificate: [][]byte{leaf.Raw}}
	var trusted []*x509.Certificate
	for _, cert := range w.certs {
		if !cert.Equal(leaf) || isSelfSigned(cert) {
			trusted = append(trusted, cert)
		}
	}
	for at := leaf; !isSelfSigned(at) && len(pair.Certificate) <= len(w.certs); {
		signer := signerOf(at, trusted)
		if signer == nil || isSelfSigned(signer) { // a root is for the other side to have
			break
		}
		pair.Certificate = append(pair.Certificate, signer.Raw)
		at = signer
	}
	return pair, trusted, nil
}

func isSelfSigned(cert *x509.Certificate) bool {
	return bytes.Equal(cert.RawIssuer, cert.RawSubject)
}

func signerOf(cert *x509.Certificate, among []*x509.Certificate) *x509.Certificate {
	for _, signer := range among {
		if bytes.Equal(cert.RawIssuer, signer.RawSubject) && cert.CheckSignatureFrom(signer) == nil {
			return signer
		}
	}
	return nil
}
