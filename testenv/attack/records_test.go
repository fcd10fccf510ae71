package attack

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"io"
	"net"
	"strings"
	"testing"
)

// Kinds of TLS records and of the messages of a handshake.
const (
	recordAlert     = 21
	recordHandshake = 22
	recordData      = 23

	helloRequest = 0
	clientHello  = 1
	keyUpdate    = 24
)

// sealer is one side of a TLS connection whose handshake a library has run, and which says itself what comes then: records
// of any kind, which no library would send.
type sealer struct {
	*tls.Conn
	t      *testing.T
	raw    *recorder
	secret []byte // of TLS 1.3
	aead   cipher.AEAD
	iv     []byte
	number uint64 // of the next record
}

// recorder keeps what was read and written first.
type recorder struct {
	net.Conn
	heard, said []byte
}

func record(c net.Conn) *recorder { return &recorder{Conn: c} }

// enough is how much of each direction is kept: a hello.
const enough = 64

func (r *recorder) Read(p []byte) (int, error) {
	n, err := r.Conn.Read(p)
	r.heard = append(r.heard, p[:min(n, max(0, enough-len(r.heard)))]...)
	return n, err
}

func (r *recorder) Write(p []byte) (int, error) {
	r.said = append(r.said, p[:min(len(p), max(0, enough-len(r.said)))]...)
	return r.Conn.Write(p)
}

// sealed runs a handshake as a client, or as a server where there is a certificate, and takes over. Suites are those of AES
// with 128 bits and SHA-256.
func sealed(t *testing.T, c net.Conn, version uint16, config *tls.Config) (*sealer, error) {
	t.Helper()
	keys := &bytes.Buffer{}
	config = config.Clone()
	config.MinVersion, config.MaxVersion, config.KeyLogWriter = version, version, keys
	config.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}
	config.SessionTicketsDisabled = true
	s := &sealer{t: t, raw: record(c)}
	isServer := len(config.Certificates) > 0
	if isServer {
		s.Conn = tls.Server(s.raw, config)
	} else {
		s.Conn = tls.Client(s.raw, config)
	}
	if err := s.Handshake(); err != nil {
		return nil, err
	}
	logged := func(label string) []byte {
		for line := range strings.Lines(keys.String()) {
			if fields := strings.Fields(line); len(fields) == 3 && fields[0] == label {
				b, err := hex.DecodeString(fields[2])
				must(t, err)
				return b
			}
		}
		return nil
	}
	if version == tls.VersionTLS13 {
		s.secret = logged("CLIENT_TRAFFIC_SECRET_0")
		if isServer {
			s.secret = logged("SERVER_TRAFFIC_SECRET_0")
		}
		s.rekey()
		return s, nil
	}
	client, server := s.raw.said, s.raw.heard
	if isServer {
		client, server = server, client
	}
	const at, length = 5 + 4 + 2, 32 // of the random in a hello
	block := expand(logged("CLIENT_RANDOM"), append([]byte("key expansion"), append(bytes.Clone(server[at:at+length]), client[at:at+length]...)...), 2*16+2*4)
	if isServer {
		s.use(block[16:32], block[36:40])
	} else {
		s.use(block[:16], block[32:36])
	}
	s.number = 1 // after the end of the handshake
	return s, nil
}

// expand is P_SHA256 of RFC 5246 5.
func expand(secret, seed []byte, n int) (out []byte) {
	sum := func(text []byte) []byte {
		h := hmac.New(sha256.New, secret)
		h.Write(text)
		return h.Sum(nil)
	}
	for a := sum(seed); len(out) < n; a = sum(a) {
		out = append(out, sum(append(bytes.Clone(a), seed...))...)
	}
	return out[:n]
}

// rekey begins to use the secret, of TLS 1.3.
func (s *sealer) rekey() { s.use(s.derive("key", 16), s.derive("iv", 12)) }

// derive is HKDF-Expand-Label of RFC 8446 7.1, without a context.
func (s *sealer) derive(label string, n int) []byte {
	info := append([]byte{byte(n >> 8), byte(n), byte(len("tls13 " + label))}, "tls13 "+label+"\x00"...)
	out, err := hkdf.Expand(sha256.New, s.secret, string(info), n)
	must(s.t, err)
	return out
}

func (s *sealer) use(key, iv []byte) {
	block, err := aes.NewCipher(key)
	must(s.t, err)
	s.aead, err = cipher.NewGCM(block)
	must(s.t, err)
	s.iv, s.number = bytes.Clone(iv), 0
}

// say sends one record.
func (s *sealer) say(kind byte, body []byte) error {
	number := binary.BigEndian.AppendUint64(nil, s.number)
	s.number++
	var sent []byte
	if s.secret != nil { // RFC 8446 5.2 and 5.3
		inner := append(bytes.Clone(body), kind)
		length := len(inner) + s.aead.Overhead()
		sent = []byte{recordData, 3, 3, byte(length >> 8), byte(length)}
		nonce := bytes.Clone(s.iv)
		for i, b := range number {
			nonce[4+i] ^= b
		}
		sent = s.aead.Seal(sent, nonce, inner, sent)
	} else { // RFC 5288 3
		length := len(number) + len(body) + s.aead.Overhead()
		sent = append([]byte{kind, 3, 3, byte(length >> 8), byte(length)}, number...)
		bound := append(bytes.Clone(number), kind, 3, 3, byte(len(body)>>8), byte(len(body)))
		sent = s.aead.Seal(sent, append(bytes.Clone(s.iv), number...), body, bound)
	}
	_, err := s.raw.Conn.Write(sent)
	return err
}

// update asks the other side for new keys, and takes some itself.
func (s *sealer) update() error {
	if err := s.say(recordHandshake, []byte{keyUpdate, 0, 0, 1, 1}); err != nil {
		return err
	}
	s.secret = s.derive("traffic upd", sha256.Size)
	s.rekey()
	return nil
}

// ended reads until the other side ends, and returns what it said last.
func (s *sealer) ended() error {
	_, err := io.Copy(io.Discard, s.Conn)
	return err
}
