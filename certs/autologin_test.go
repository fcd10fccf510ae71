package certs

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"encoding/binary"
	"path/filepath"
	"strings"
	"testing"
)

// Parts of PKCS#12, with the key unencrypted inside of what is encrypted, as auto-login
// wallets have it.
type (
	contentInfo struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue
	}
	safeBag struct {
		Type  asn1.ObjectIdentifier
		Value asn1.RawValue
	}
	algorithm struct {
		Type       asn1.ObjectIdentifier
		Parameters any
	}
)

var (
	oidData      = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidEncrypted = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 6}
	oidPBES2     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidPBKDF2    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}
	oidHMAC      = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 9}
	oidAES256    = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}
	oidKeyBag    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 1}
	oidCertBag   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 3}
	oidX509      = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 22, 1}
)

func der(t testing.TB, value any) []byte {
	t.Helper()
	b, err := asn1.Marshal(value)
	must(t, err)
	return b
}

func tagged(b []byte) asn1.RawValue {
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: b}
}

// autoLogin makes a cwallet.sso.
func autoLogin(t testing.TB, p issuedPair, certs ...*x509.Certificate) []byte {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(p.key)
	must(t, err)
	bags := []safeBag{{oidKeyBag, tagged(key)}}
	for _, cert := range certs {
		bags = append(bags, safeBag{oidCertBag, tagged(der(t, struct {
			Type  asn1.ObjectIdentifier
			Value asn1.RawValue
		}{oidX509, tagged(der(t, cert.Raw))}))})
	}
	password := []byte("0123456789abcdef0123456789abcdef")
	content := der(t, []contentInfo{{oidEncrypted, tagged(encrypted(t, password, der(t, bags)))}})
	pfx := der(t, struct {
		Version int
		Safe    contentInfo
	}{3, contentInfo{oidData, tagged(der(t, content))}})

	wrapping := bytes.Repeat([]byte{7}, 16)
	block, err := aes.NewCipher(wrapping)
	must(t, err)
	hidden := make([]byte, len(password))
	cipher.NewCBCEncrypter(block, []byte{192, 52, 216, 49, 28, 2, 206, 248, 81, 240, 20, 75, 129, 237, 75, 242}).CryptBlocks(hidden, password)
	head := append([]byte{0xa1, 0xf8, 0x4e, '6', 0, 0, 0, 6}, binary.BigEndian.AppendUint32(nil, uint32(1+len(wrapping)+len(hidden)))...)
	return bytes.Join([][]byte{append(head, 6), wrapping, hidden, pfx}, nil)
}

// encrypted is EncryptedData of plain, by AES-256 and PBKDF2.
func encrypted(t testing.TB, password, plain []byte) []byte {
	t.Helper()
	salt, iv := bytes.Repeat([]byte{1}, 8), bytes.Repeat([]byte{2}, 16)
	key, err := pbkdf2.Key(sha256.New, string(password), salt, 10, 32)
	must(t, err)
	block, err := aes.NewCipher(key)
	must(t, err)
	pad := 16 - len(plain)%16
	plain = append(plain, bytes.Repeat([]byte{byte(pad)}, pad)...)
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(plain, plain)
	type kdf struct {
		Salt   []byte
		Rounds int
		Length int
		PRF    algorithm
	}
	return der(t, struct {
		Version int
		Content struct {
			Type      asn1.ObjectIdentifier
			Algorithm algorithm
			Content   asn1.RawValue
		}
	}{0, struct {
		Type      asn1.ObjectIdentifier
		Algorithm algorithm
		Content   asn1.RawValue
	}{oidData, algorithm{oidPBES2, struct{ KDF, Cipher algorithm }{
		algorithm{oidPBKDF2, kdf{salt, 10, 32, algorithm{oidHMAC, asn1.NullRawValue}}}, algorithm{oidAES256, iv}}},
		asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, Bytes: plain}}})
}

func TestAutoLoginWallet(t *testing.T) {
	ca := newAuthority(t, "root")
	for _, rsa := range []bool{false, true} {
		leaf := issue(t, subject{dns: []string{"db1.example.com"}, signer: ca, rsa: rsa})
		f := newFolder(t)
		f.put(t, autoLoginWallet, autoLogin(t, leaf, ca.cert, leaf.cert))
		s := loaded(t, &Source{Wallet: string(f)})
		l := serve(t, s)
		state, _, err := l.handshake(&tls.Config{RootCAs: ca.pool(), ServerName: "db1.example.com"})
		if err != nil || !state.PeerCertificates[0].Equal(leaf.cert) {
			t.Errorf("rsa %v: %v", rsa, err)
		}
		if all := s.Expiries(); len(all) != 2 || !all[1].Trusted || all[1].Subject != "CN=root,O=Acme" {
			t.Errorf("%+v", all)
		}
	}
}

// With a password file the other wallet of the folder is meant.
func TestWalletFolder(t *testing.T) {
	f := newFolder(t)
	f.put(t, autoLoginWallet, nil)
	password := f.put(t, "password", []byte("x"))
	for want, s := range map[string]*Source{
		filepath.Join(string(f), autoLoginWallet): {Wallet: string(f)},
		filepath.Join(string(f), passwordWallet):  {Wallet: string(f), WalletPasswordFile: password},
		password:                                  {Wallet: password},
		"":                                        {},
	} {
		if got := s.walletFile(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// A broken wallet is refused with what to do instead, wherever it is broken.
func TestAutoLoginWalletBroken(t *testing.T) {
	ca := newAuthority(t, "root")
	leaf := ca.host(t)
	f := newFolder(t)
	good := autoLogin(t, leaf, leaf.cert)
	for _, cut := range []int{4, 8, 12, 13, 20, 29, 60, 61, 100, 300, len(good) - 20} {
		s := Source{Wallet: f.put(t, "cut.sso", good[:cut])}
		if err := s.Load(); err == nil || !strings.Contains(err.Error(), "orapki wallet export_private_key") {
			t.Errorf("cut after %d bytes: %v", cut, err)
		}
	}
	s := Source{Wallet: f.put(t, "other.sso", autoLogin(t, leaf, ca.cert))}
	if err := s.Load(); err == nil || !strings.Contains(err.Error(), "without a private key for one of its 1 certificates") {
		t.Error(err)
	}
}
