package tns

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

// step is one move of a scripted peer: bytes it sends, or bytes it expects.
type step struct{ send, expect []byte }

// script plays the peer of a connection on one end of a pipe; end waits for it.
func script(t *testing.T, steps ...step) (ours net.Conn, end func()) {
	t.Helper()
	ours, theirs := net.Pipe()
	done := make(chan error, 1)
	go func() {
		defer theirs.Close()
		done <- play(theirs, steps)
	}()
	return ours, func() {
		t.Helper()
		if err := <-done; err != nil {
			t.Error(err)
		}
		ours.Close()
	}
}

func play(c net.Conn, steps []step) error {
	for _, s := range steps {
		if s.send != nil {
			if _, err := c.Write(s.send); err != nil {
				return err
			}
			continue
		}
		got := make([]byte, len(s.expect))
		if _, err := io.ReadFull(c, got); err != nil {
			return err
		}
		if !bytes.Equal(got, s.expect) {
			return errors.New("peer expected " + string(s.expect) + ", got " + string(got))
		}
	}
	return nil
}

// A listener's side: CONNECT, RESEND, the CONNECT again with long data, ACCEPT, and
// what comes then in 32-bit lengths, on one connection.
func TestReadConnectAgainAfterResend(t *testing.T) {
	short := NewConnect([]byte("(CONNECT_DATA=(SERVICE_NAME=sales))"))
	long := NewConnect(bytes.Repeat([]byte("l"), 20000))
	accept := AnswerConnect(long, VersionHighest, nil)
	ours, end := script(t,
		step{send: encode(short)},
		step{expect: encode(Resend{})},
		step{send: encode(long)},
		step{expect: encode(accept)},
		step{send: Data{Payload: []byte("hello")}.AppendTo(nil, true)},
		step{expect: Data{Flags: DataEOF}.AppendTo(nil, true)},
	)
	defer end()
	c := NewConn(ours)
	first, err := c.ReadConnect()
	if err != nil || !bytes.Equal(first.Data, short.Data) {
		t.Fatal(first, err)
	}
	if err := c.Send(Resend{}); err != nil {
		t.Fatal(err)
	}
	second, err := c.ReadConnect()
	if err != nil || !bytes.Equal(second.Data, long.Data) {
		t.Fatal(err)
	}
	if !bytes.Equal(first.Data, short.Data) {
		t.Fatal("the first CONNECT was overwritten by the second")
	}
	answer := AnswerConnect(second, VersionHighest, nil)
	if err := c.Send(answer); err != nil {
		t.Fatal(err)
	}
	c.SetVersion(answer.Version)
	p, err := c.ReadPacket()
	if err != nil || string(p.Body[2:]) != "hello" {
		t.Fatal(p, err)
	}
	if err := c.Send(Data{Flags: DataEOF}); err != nil {
		t.Fatal(err)
	}
}

// Connect data is collected over any number of packets, cut anywhere, whatever their
// flags (tns.md 1.3).
func TestReadConnectGathersData(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789"), 3000)
	head := encode(NewConnect(data))[:connectSize318]
	for _, sdu := range []int{11, 13, 512, 2048, 8192, 65535} {
		for name, wrap := range map[string]func(io.Reader) io.Reader{
			"coalesced":    func(r io.Reader) io.Reader { return r },
			"byte by byte": iotest.OneByteReader,
			"halves":       iotest.HalfReader,
		} {
			b := AppendData(bytes.Clone(head), 0xffff, data, sdu, false)
			b = append(b, "next"...)
			c := NewConn(&wire{in: wrap(bytes.NewReader(b))})
			connect, err := c.ReadConnect()
			if err != nil || !bytes.Equal(connect.Data, data) {
				t.Fatalf("packets of %d, %s: %v", sdu, name, err)
			}
			if rest := c.Buffered(); !strings.HasPrefix("next", string(rest)) {
				t.Fatalf("packets of %d, %s: %q left over", sdu, name, rest)
			}
		}
	}
}

func TestMaxConnectData(t *testing.T) {
	for _, tc := range []struct {
		length, limit int
		ok            bool
	}{{230, 0, true}, {65535, 0, true}, {100, 100, true}, {101, 100, false}, {1000, 1000, true}, {1001, 1000, false}} {
		c := reading(encode(NewConnect(make([]byte, tc.length))))
		c.MaxConnectData = tc.limit
		if _, err := c.ReadConnect(); (err == nil) != tc.ok {
			t.Errorf("%d bytes, limit %d: %v", tc.length, tc.limit, err)
		} else if err != nil {
			mustFail(t, err, ErrTooLong)
		}
	}
}

// Who is no Oracle Net peer is told apart, so that an operator can find it.
func TestReadConnectSaysWhoSpeaks(t *testing.T) {
	for first, want := range map[string]string{
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03": "TLS handshake",
		"GET / HTTP/1.1\r\n\r\n":                       "HTTP request",
		"HEAD / HTTP/1.0\r\n":                          "HTTP request",
		"POST /x HTTP/1.1\r\n":                         "HTTP request",
		"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n":       "PROXY protocol",
		"\r\n\r\n\x00\r\nQUIT\n\x21\x11":               "PROXY protocol",
		"SSH-2.0-client\r\n":                           "SSH",
		"\x00\x0a\x00\x00\x06\x00\x00\x00\x00\x40":     "must begin with a CONNECT",
	} {
		_, err := reading([]byte(first)).ReadConnect()
		if !errors.Is(err, ErrNotConnect) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", first, err, want)
		}
		mustFail(t, err, ErrNotConnect)
	}
}

func TestReadConnectEnd(t *testing.T) {
	b := encode(NewConnect(bytes.Repeat([]byte("x"), 300)))
	for n := range b {
		_, err := reading(b[:n]).ReadConnect()
		want := io.ErrUnexpectedEOF
		if n == 0 {
			want = io.EOF
		}
		if err != want {
			t.Fatalf("%d of %d bytes: %v, want %v", n, len(b), err, want)
		}
	}
}

// Every reply, and each of its proper prefixes.
func TestReadReply(t *testing.T) {
	for _, m := range []Message{
		NewRefuse(CodeUnknownService, 0), &Redirect{Address: redirectAddress, ConnectData: redirectData}, &Resend{TLS: true}, &Resend{},
		&Accept{Version: 319, Offset: 45, SDU: 8192, TDU: 8192}, &Accept{Version: 310, Offset: 32, Data: bytes.Repeat([]byte("d"), 500)},
		&Accept{Version: 319, Offset: 45, Data: bytes.Repeat([]byte("d"), 20000)},
	} {
		b := encode(m)
		got, err := NewConn(&wire{in: iotest.OneByteReader(bytes.NewReader(b))}).ReadReply()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(m, got); diff != "" {
			t.Fatal(diff)
		}
		for n := range b {
			if _, err := reading(b[:n]).ReadReply(); err == nil || n > 0 && err != io.ErrUnexpectedEOF {
				t.Fatalf("%T cut to %d bytes: %v", m, n, err)
			}
		}
	}
}

// What no listener sends before an ACCEPT (tns.md 1.5).
func TestReadReplyRefusesOtherTypes(t *testing.T) {
	for _, typ := range []Type{TypeConnect, TypeAck, TypeData, TypeNull, TypeAbort, TypeMarker, TypeAttention, TypeControl, TypeDataDescriptor, 19} {
		_, err := reading(encode(Packet{Type: typ, Body: []byte("xxx")})).ReadReply()
		if err == nil {
			t.Errorf("%v: accepted", typ)
		}
		mustFail(t, err, ErrUnexpected)
	}
	_, err := reading(hexBytes(t, "0008000014000000")).ReadReply()
	mustFail(t, err, ErrMalformed)
	_, err = reading(hexBytes(t, "000900000b000000 00")).ReadReply()
	mustFail(t, err, ErrMalformed)
	_, err = reading(hexBytes(t, "000a000004000000 2200")).ReadReply()
	mustFail(t, err, ErrMalformed)
}

// The text announced by a reply does not come, or is not DATA.
func TestReadReplyTextMissing(t *testing.T) {
	for _, head := range []string{
		"000c000004000000 22 00 0013",
		"000a000005020000 0013",
		"0020000002000000 0136 0001 0800 7fff 0001 0013 0020 0d08 0000000000000000",
	} {
		for after, want := range map[string]error{
			"": io.ErrUnexpectedEOF, "000b00000c000000 010001": ErrUnexpected, "000a000006000000 0040": ErrMalformed, `001e000006000000 0000 "(DESCRIPTION=(ERR=12"`: ErrOutOfStep,
		} {
			_, err := reading(hexBytes(t, head+after)).ReadReply()
			if err == nil {
				t.Errorf("%s %s: accepted", head, after)
			}
			mustFail(t, err, want)
		}
	}
}
