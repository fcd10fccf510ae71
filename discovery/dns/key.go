package dns

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"os"
	"strconv"
	"strings"
	"time"

	wire "github.com/miekg/dns"
)

// Key is a secret shared with another name server, by which messages are signed (TSIG, RFC 8945).
type Key struct {
	Name      string // as both sides call it
	Algorithm string // "hmac-sha256", "hmac-sha384" or "hmac-sha512"; "": the first
	Secret    string // base64
}

// ReadKey reads a key from a file such as tsig-keygen or ddns-confgen writes: key "name" { algorithm hmac-sha256; secret "…"; };
func ReadKey(path string) (Key, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return Key{}, err
	}
	words := strings.FieldsFunc(string(content), func(r rune) bool { return strings.ContainsRune(" \t\r\n;{}\"", r) })
	k := Key{}
	for i := 0; i+1 < len(words); i += 2 {
		switch words[i] {
		case "key":
			k.Name = words[i+1]
		case "algorithm":
			k.Algorithm = words[i+1]
		case "secret":
			k.Secret = words[i+1]
		}
	}
	if err := k.check(); err != nil {
		return Key{}, fmt.Errorf("%s: %w", path, err)
	}
	return k, nil
}

func (k Key) check() error {
	switch k.algorithm() {
	case wire.HmacSHA256, wire.HmacSHA384, wire.HmacSHA512:
	default:
		return fmt.Errorf("algorithm %q of key %q is not supported: use hmac-sha256", k.Algorithm, k.Name)
	}
	secret, err := base64.StdEncoding.DecodeString(k.Secret)
	if err != nil || len(secret) < 16 || k.Name == "" {
		return fmt.Errorf("key %q needs a name and a secret of 16 bytes or more in base64: tsig-keygen makes one", k.Name)
	}
	return nil
}

func (k Key) name() string { return wire.CanonicalName(k.Name) }

func (k Key) algorithm() string {
	if k.Algorithm == "" {
		return wire.HmacSHA256
	}
	return wire.CanonicalName(k.Algorithm)
}

// fudge is by how many seconds clocks may differ.
const fudge = 300

// secrets are the keys by their names. It is the library's TsigProvider.
type secrets map[string]Key

// Generate returns the signature of a message.
func (s secrets) Generate(message []byte, t *wire.TSIG) ([]byte, error) {
	k, known := s[wire.CanonicalName(t.Hdr.Name)]
	if !known || k.algorithm() != wire.CanonicalName(t.Algorithm) {
		return nil, wire.ErrSecret
	}
	secret, err := base64.StdEncoding.DecodeString(k.Secret)
	if err != nil {
		return nil, err
	}
	hashes := map[string]func() hash.Hash{wire.HmacSHA256: sha256.New, wire.HmacSHA384: sha512.New384, wire.HmacSHA512: sha512.New}
	h := hmac.New(hashes[k.algorithm()], secret)
	h.Write(message)
	return h.Sum(nil), nil
}

// Verify tells whether the signature of a message is right.
func (s secrets) Verify(message []byte, t *wire.TSIG) error {
	right, err := s.Generate(message, t)
	if err != nil {
		return err
	}
	if given, err := hex.DecodeString(t.MAC); err != nil || !hmac.Equal(right, given) {
		return wire.ErrSig
	}
	return nil
}

// whyNotAuth says what another name server has against a message that was signed with k and is about a zone, where its answer, which
// may be nil, tells.
func whyNotAuth(answer *wire.Msg, k Key, zone string) string {
	var t *wire.TSIG
	if answer != nil {
		t = answer.IsTsig()
	}
	switch {
	case t == nil:
		return "it has no such zone, or another key"
	case t.Error == wire.RcodeBadKey:
		return fmt.Sprintf("it knows no key %q of %s: use the same file on both sides", k.Name, strings.TrimSuffix(k.algorithm(), "."))
	case t.Error == wire.RcodeBadSig:
		return fmt.Sprintf("it has another secret for key %q: use the same file on both sides", k.Name)
	case t.Error == wire.RcodeBadTime:
		why := "its clock differs from the one here"
		if there, err := strconv.ParseInt(t.OtherData, 16, 64); err == nil {
			why += fmt.Sprintf(" by %s", time.Duration(there-int64(t.TimeSigned))*time.Second)
		}
		return why + ": set both by NTP"
	}
	return fmt.Sprintf("it is no primary or secondary of the zone %s", zone)
}

// badSignature says in a reply what is wrong with the signature of the request, RFC 8945 5.2. It returns whether the reply is to be
// signed itself.
func badSignature(reply *wire.Msg, given *wire.TSIG, why error, now time.Time) (signed bool) {
	reply.SetTsig(given.Hdr.Name, given.Algorithm, fudge, now.Unix())
	t := reply.IsTsig()
	switch {
	case errors.Is(why, wire.ErrSecret):
		t.Error = wire.RcodeBadKey
	case errors.Is(why, wire.ErrTime): // with the time here, so that the other side learns of its clock
		t.Error, t.TimeSigned = wire.RcodeBadTime, given.TimeSigned
		t.OtherLen, t.OtherData = 6, fmt.Sprintf("%012x", now.Unix())
		return true
	default:
		t.Error = wire.RcodeBadSig
	}
	return false
}
