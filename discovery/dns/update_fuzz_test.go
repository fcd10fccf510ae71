package dns

import (
	"bytes"
	"context"
	"encoding/binary"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	wire "github.com/miekg/dns"

	"servicebroker/testenv/fuzzing"
)

// FuzzPrimary lets a primary answer what it likes to whoever writes a zone there: no more is taken for ours than
// it said, and the other side is not waited for beyond its time.
func FuzzPrimary(f *testing.F) {
	answer := func(rrs ...string) []byte {
		m := new(wire.Msg)
		m.SetUpdate("db.example.")
		m.Response = true
		for _, text := range rrs {
			rr, err := wire.NewRR(text)
			if err != nil {
				f.Fatal(err)
			}
			m.Answer = append(m.Answer, rr)
		}
		packed, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		return packed
	}
	f.Add(answer(), uint8(0))
	f.Add(answer("_000._broker.db.example. 5 IN PTR sales.db.example."), uint8(3))
	f.Add(answer("sales.db.example. 5 IN TXT \"version=1\" \"a\"", "x. IN CNAME y."), uint8(5))
	f.Add([]byte{0, 0, 0x84, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xc0, 12}, uint8(9))
	f.Fuzz(func(t *testing.T, reply []byte, code uint8) {
		if len(reply) > 4096 {
			return
		}
		synctest.Test(t, func(t *testing.T) { playPrimary(t, bytes.Clone(reply), code) })
	})
}

// playPrimary answers each request with the same, under its number.
func playPrimary(t *testing.T, reply []byte, code uint8) {
	here, there := fuzzing.Pipe("10.0.0.1:40000", "192.0.2.1:53", 1<<20, 0)
	for _, c := range []*fuzzing.Conn{here, there} {
		_ = c.SetDeadline(time.Now().Add(2 * time.Second))
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			request, err := (&wire.Conn{Conn: there}).ReadMsg()
			if err != nil {
				return
			}
			if len(reply) >= 4 {
				binary.BigEndian.PutUint16(reply, request.Id)
				reply[3] = reply[3]&0xf0 | code&0x0f
			}
			framed := append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...)
			if there.Offer(framed) < len(framed) {
				return
			}
		}
	}()
	u := &Updater{Primary: "192.0.2.1:53", Zone: "db.example", Key: Key{Name: "k", Secret: "c2VjcmV0c2VjcmV0c2VjcmV0"}, Timeout: time.Second,
		owned: map[string]bool{}, applied: map[string][]Record{}, foreign: map[string]bool{}, ttl: 5}
	c := &primary{Updater: u, ctx: context.Background(), layout: "db.example.", conn: here, client: &wire.Client{Net: "tcp", Timeout: time.Second, TsigSecret: map[string]string{u.Key.name(): u.Key.Secret}}}
	edits := []edit{{name: "sales.db.example.", records: []Record{{Name: "sales.db.example.", Type: wire.TypeA, Addr: netip.MustParseAddr("10.0.0.1")}}}, {name: "hr.db.example."}}
	err := c.batch(edits)
	if err == nil && !u.owned["sales.db.example."] && !u.foreign["sales.db.example."] {
		t.Fatalf("nothing came of %v", edits)
	}
	if m := new(wire.Msg); m.Unpack(reply) == nil {
		for _, rr := range m.Answer {
			if text := essence(rr); strings.Count(text, "\n") > 0 {
				t.Fatalf("%q", text)
			}
		}
	}
	_, _ = here.Close(), there.Close()
	<-done
}

// FuzzReadKey: a key that is read can sign, and its own signature is right.
func FuzzReadKey(f *testing.F) {
	f.Add([]byte("key \"k\" { algorithm hmac-sha256; secret \"c2VjcmV0c2VjcmV0c2VjcmV0\"; };"))
	f.Add([]byte("key k{secret\"\";};"))
	path := filepath.Join(f.TempDir(), "key")
	f.Fuzz(func(t *testing.T, content []byte) {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		k, err := ReadKey(path)
		if err != nil {
			return
		}
		all := secrets{k.name(): k}
		given := &wire.TSIG{Hdr: wire.RR_Header{Name: k.Name}, Algorithm: k.algorithm()}
		mac, err := all.Generate([]byte("message"), given)
		if err != nil {
			t.Fatal(err)
		}
		given.MAC = hexOf(mac)
		if err := all.Verify([]byte("message"), given); err != nil {
			t.Fatal(err)
		}
		if all.Verify([]byte("another"), given) == nil {
			t.Fatal("anything is signed")
		}
	})
}

func hexOf(b []byte) string {
	const digits = "0123456789abcdef"
	var s strings.Builder
	for _, c := range b {
		s.WriteByte(digits[c>>4])
		s.WriteByte(digits[c&15])
	}
	return s.String()
}
