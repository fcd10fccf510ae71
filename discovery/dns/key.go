package dns

import (
	"encoding/base64"
	"fmt"
	"os"
	"strings"

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
