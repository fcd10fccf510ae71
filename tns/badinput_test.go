package tns

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"
)

// edited is a CONNECT with some bytes put in place of others.
func edited(at int, with ...byte) []byte {
	b := encode(NewConnect([]byte("(CONNECT_DATA=(SERVICE_NAME=sales))")))
	copy(b[at:], with)
	return b
}

// badConnects is the framing and CONNECT part of the catalogue of bad inputs in
// peers.md 5.2: what a stranger's first bytes may be, and how they end. nil: the input is odd but
// harmless, and is taken.
var badConnects = []struct {
	name  string
	input []byte
	err   error
}{
	{"length 0", edited(0, 0, 0), ErrMalformed},
	{"length 1", edited(0, 0, 1), ErrMalformed},
	{"length 7", edited(0, 0, 7), ErrMalformed},
	{"length 8", edited(0, 0, 8), ErrMalformed},
	{"length 33", edited(0, 0, 33), ErrMalformed},
	{"length beyond what comes", edited(0, 0xff, 0xff), io.ErrUnexpectedEOF},
	{"length 65535, 8 bytes, end", edited(0, 0xff, 0xff)[:8], io.ErrUnexpectedEOF},
	{"32-bit length", edited(0, 0, 0, 0, 109), ErrMalformed},
	{"packet checksum set", edited(2, 0xab, 0xcd), nil},
	{"header checksum set", edited(6, 0xab, 0xcd), nil},
	{"checksums asked for", edited(12, 0, 0x18), nil},
	{"unknown header flags", edited(5, 0xff), nil},
	{"type 0", edited(4, 0), ErrNotConnect},
	{"type 200", edited(4, 200), ErrNotConnect},
	{"DATA before ACCEPT", edited(4, byte(TypeData)), ErrNotConnect},
	{"ACCEPT from a client", edited(4, byte(TypeAccept)), ErrNotConnect},
	{"REFUSE from a client", edited(4, byte(TypeRefuse)), ErrNotConnect},
	{"REDIRECT from a client", edited(4, byte(TypeRedirect)), ErrNotConnect},
	{"RESEND from a client", edited(4, byte(TypeResend)), ErrNotConnect},
	{"MARKER first", hexFixed("000b00000c000000010002"), ErrNotConnect},
	{"CONTROL first", edited(4, byte(TypeControl)), ErrNotConnect},

	{"offset 0", edited(26, 0, 0), ErrMalformed},
	{"offset inside the header", edited(26, 0, 7), ErrMalformed},
	{"offset inside the fields", edited(26, 0, 33), ErrMalformed},
	{"offset overlapping the fields", edited(26, 0, 70), ErrMalformed},
	{"offset past the end", edited(26, 0, 200), ErrMalformed},
	{"offset 65535", edited(26, 0xff, 0xff), ErrMalformed},
	{"length one too many", edited(25, 36), ErrMalformed},
	{"length one too few", edited(25, 34), ErrMalformed},
	{"length 65535", edited(24, 0xff, 0xff), ErrMalformed},
	{"length 0 with data", edited(24, 0, 0), ErrMalformed},
	{"SDU 0", edited(14, 0, 0), nil},
	{"SDU 1", edited(14, 0, 1), nil},
	{"SDU 511", edited(14, 1, 0xff), nil},
	{"large SDU beyond 65535", edited(58, 0xff, 0xff, 0xff, 0xff), nil},
	{"TDU below SDU", edited(16, 0, 1), nil},
	{"version 0", edited(8, 0, 0), nil},
	{"version 65535", edited(8, 0xff, 0xff), nil},
	{"lowest above version", edited(10, 0xff, 0xff), nil},

	{"data announced, never sent", announcing(300), io.ErrUnexpectedEOF},
	{"data announced, cut", append(announcing(300), hexFixed("0136000006000000 0000 2020")...), io.ErrUnexpectedEOF},
	{"data announced, another CONNECT", append(announcing(300), edited(0)...), ErrUnexpected},
	{"data announced, a MARKER", append(announcing(300), hexFixed("000b00000c000000010002")...), ErrUnexpected},
	{"data announced, a closing DATA", append(announcing(300), hexFixed("000a0000060000000040")...), ErrMalformed},
	{"data announced, DATA without flags", append(announcing(300), hexFixed("0008000006000000")...), ErrMalformed},
	{"data announced, DATA of length 0", append(announcing(300), hexFixed("0000000006000000")...), ErrMalformed},
	{"data announced, 32-bit DATA", append(announcing(300), Data{Payload: make([]byte, 300)}.AppendTo(nil, true)...), ErrMalformed},
	{"data larger than announced", AppendData(announcing(300), 0, make([]byte, 301), 0, false), ErrOutOfStep},
	{"data of 66,000 bytes, wrapped", AppendData(announcing(66000&0xffff), 0, make([]byte, 66000), 8192, false), ErrOutOfStep},
	{"data of 1 MB, wrapped", AppendData(announcing(1000000&0xffff), 0, make([]byte, 1000000), 0, false), ErrOutOfStep},

	{"TLS hello on a clear port", hexFixed("16030100c8010000c40303"), ErrNotConnect},
	{"SSLv2 hello", hexFixed("802e0100020015000000100700c0"), ErrNotConnect},
	{"SSLv2 hello that looks like a CONNECT", hexFixed("802e010301001500000010070000"), io.ErrUnexpectedEOF},
	{"HTTP", []byte("GET / HTTP/1.1\r\n\r\n"), ErrNotConnect},
	{"PROXY v1", []byte("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"), ErrNotConnect},
	{"zeros", make([]byte, 100), ErrNotConnect},
	{"ones", bytes.Repeat([]byte{0xff}, 100), ErrNotConnect},
	{"CRLF", []byte("\r\n\r\n\r\n\r\n\r\n"), ErrNotConnect},
	{"nothing", nil, io.EOF},
	{"half a header", edited(0)[:5], io.ErrUnexpectedEOF},
}

// announcing is a CONNECT whose data of that length is to follow.
func announcing(length uint16) []byte {
	b := encode(NewConnect(nil))
	b[24], b[25] = byte(length>>8), byte(length)
	return b
}

// hexFixed is hexBytes for tables, where there is no test yet.
func hexFixed(s string) []byte { return hexBytes(&testing.T{}, s) }

// Each ends the same way whether its bytes come at once or one by one.
func TestBadConnects(t *testing.T) {
	for _, bad := range badConnects {
		t.Run(bad.name, func(t *testing.T) {
			for _, in := range []io.Reader{bytes.NewReader(bad.input), iotest.OneByteReader(bytes.NewReader(bad.input))} {
				c := NewConn(&wire{in: in})
				connect, err := c.ReadConnect()
				mustFail(t, err, bad.err)
				if (err == nil) != (connect != nil) {
					t.Fatalf("%v with error %v", connect, err)
				}
				if len(c.in) > max(firstBuffer, 2*len(bad.input)) {
					t.Fatalf("a buffer of %d for %d bytes", len(c.in), len(bad.input))
				}
			}
		})
	}
}

// What was odd but taken can be answered without harm, and passed on as it came.
func TestOddConnectsAnswered(t *testing.T) {
	for _, odd := range badConnects {
		if odd.err != nil {
			continue
		}
		connect, err := reading(odd.input).ReadConnect()
		if err != nil {
			t.Fatal(err)
		}
		if a := AnswerConnect(connect, VersionHighest, nil); a != nil && (a.SDU < MinSDU || a.SDU > MaxSDU || a.TDU < a.SDU || a.Version < connect.Lowest || a.Version > VersionHighest) {
			t.Errorf("%s: %+v", odd.name, a)
		}
		want := bytes.Clone(odd.input)
		want[2], want[3], want[6], want[7] = 0, 0, 0, 0 // checksums are ours to fill in
		mustEqual(t, encode(connect), want)
	}
}

// Connect data sent twice: the second stays in the stream and is no CONNECT.
func TestConnectDataSentTwice(t *testing.T) {
	once := encode(NewConnect(make([]byte, 300)))
	c := reading(once, once[connectSize318:])
	if _, err := c.ReadConnect(); err != nil {
		t.Fatal(err)
	}
	_, err := c.ReadConnect()
	mustFail(t, err, ErrNotConnect)
}

// A length of 65535 with 8 bytes and then silence: nothing is allocated for it, and the
// deadline ends it. The same at every other place a client may stop.
func TestSilentClients(t *testing.T) {
	whole := encode(NewConnect(make([]byte, 1000)))
	starts := [][]byte{edited(0, 0xff, 0xff)[:8], announcing(0xffff), append(announcing(0xffff), 0xff, 0xff, 0, 0, 6, 0, 0, 0)}
	for _, n := range []int{0, 1, 7, 8, 33, 34, 73, 74, 75, 82, 84, 500} {
		starts = append(starts, whole[:n])
	}
	for _, start := range starts {
		synctest.Test(t, func(t *testing.T) {
			ours, theirs := net.Pipe()
			defer ours.Close()
			defer theirs.Close()
			written := make(chan error, 1)
			go func() {
				_, err := theirs.Write(start)
				written <- err
			}()
			ours.SetDeadline(time.Now().Add(10 * time.Second))
			c := NewConn(ours)
			if _, err := c.ReadConnect(); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatal(err)
			}
			if err := <-written; err != nil || len(c.in) > firstBuffer {
				t.Fatalf("%v, a buffer of %d", err, len(c.in))
			}
		})
	}
}

// After the ACCEPT a packet above the limit ends the session before it is read.
func TestPacketAboveSDU(t *testing.T) {
	c := reading(Data{Payload: make([]byte, 10000)}.AppendTo(nil, true))
	c.MaxPacket = DefaultSDU
	c.SetVersion(VersionHighest)
	_, err := c.ReadPacket()
	mustFail(t, err, ErrTooLong)
	if len(c.in) > firstBuffer {
		t.Fatalf("a buffer of %d", len(c.in))
	}
}

// A flood of one-byte DATA packets costs time in proportion, no more.
func TestDataFloodIsLinear(t *testing.T) {
	c := reading(announcing(0xffff), AppendData(nil, 0, make([]byte, 0xffff), 11, false))
	connect, err := c.ReadConnect()
	if err != nil || len(connect.Data) != 0xffff || len(c.in) > firstBuffer {
		t.Fatalf("%v, a buffer of %d", err, len(c.in))
	}
}
