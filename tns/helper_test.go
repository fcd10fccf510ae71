package tns

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// hexBytes reads hex with blanks and newlines; text in double quotes stands for itself,
// with \0 for a NUL.
func hexBytes(t testing.TB, s string) []byte {
	t.Helper()
	var out []byte
	for i, part := range strings.Split(s, `"`) {
		if i%2 == 1 {
			out = append(out, strings.ReplaceAll(part, `\0`, "\x00")...)
			continue
		}
		b, err := hex.DecodeString(strings.Join(strings.Fields(part), ""))
		if err != nil {
			t.Fatalf("bad hex %q: %v", part, err)
		}
		out = append(out, b...)
	}
	return out
}

// wire is a connection that reads from a reader and keeps what is written.
type wire struct {
	in     io.Reader
	out    bytes.Buffer
	writes int
	closed bool
}

func (w *wire) Read(b []byte) (int, error) { return w.in.Read(b) }
func (w *wire) Write(b []byte) (int, error) {
	w.writes++
	return w.out.Write(b)
}
func (w *wire) Close() error                     { w.closed = true; return nil }
func (w *wire) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (w *wire) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (w *wire) SetDeadline(time.Time) error      { return nil }
func (w *wire) SetReadDeadline(time.Time) error  { return nil }
func (w *wire) SetWriteDeadline(time.Time) error { return nil }

// reading is a Conn that will read the given bytes and then the end.
func reading(parts ...[]byte) *Conn {
	return NewConn(&wire{in: bytes.NewReader(bytes.Join(parts, nil))})
}

// packetOf frames b, which must be exactly one packet with a 16-bit length.
func packetOf(t testing.TB, b []byte) Packet {
	t.Helper()
	c := reading(b)
	p, err := c.ReadPacket()
	if err != nil {
		t.Fatalf("frame %x: %v", b, err)
	}
	if rest := c.Buffered(); len(rest) != 0 {
		t.Fatalf("%d bytes after the packet %x", len(rest), b)
	}
	return p
}

// encode is a message's bytes with 16-bit lengths.
func encode(m Message) []byte { return m.AppendTo(nil, false) }

// mustEqual compares bytes and shows both in hex.
func mustEqual(t testing.TB, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Fatalf("got  %x\nwant %x", got, want)
	}
}

// mustFail wants an error that wraps the sentinel and ends in what to do.
func mustFail(t testing.TB, err, sentinel error) {
	t.Helper()
	if !errors.Is(err, sentinel) {
		t.Fatalf("error %v, want %v", err, sentinel)
	}
	if frame := (*FrameError)(nil); errors.As(err, &frame) && !strings.ContainsAny(frame.Problem, ";,") {
		t.Fatalf("error %q does not say what to do", err)
	}
}
