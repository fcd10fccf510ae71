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

// stream is a few packets one after the other, and what they are.
func stream(large bool) (b []byte, want []Packet) {
	for i, size := range []int{0, 1, 3, 2000, 40, 9000, 2, 60000, 0} {
		p := Packet{Type: TypeData, Flags: byte(i), Body: bytes.Repeat([]byte{byte(i)}, size)}
		b, want = p.AppendTo(b, large), append(want, p)
	}
	return b, want
}

// However the bytes are cut on their way, the packets are the same.
func TestReadPacketSegments(t *testing.T) {
	for _, large := range []bool{false, true} {
		b, want := stream(large)
		for name, in := range map[string]io.Reader{
			"coalesced":       bytes.NewReader(b),
			"byte by byte":    iotest.OneByteReader(bytes.NewReader(b)),
			"halves":          iotest.HalfReader(bytes.NewReader(b)),
			"data with error": iotest.DataErrReader(bytes.NewReader(b)),
		} {
			c := NewConn(&wire{in: in})
			if large {
				c.SetVersion(VersionLargeSDU)
			}
			for i, w := range want {
				p, err := c.ReadPacket()
				if err != nil || p.Type != w.Type || p.Flags != w.Flags || !bytes.Equal(p.Body, w.Body) {
					t.Fatalf("large %v, %s: packet %d: %v of %d bytes, %v; want %d bytes", large, name, i, p.Type, len(p.Body), err, len(w.Body))
				}
			}
			if _, err := c.ReadPacket(); err != io.EOF {
				t.Fatalf("large %v, %s: end is %v", large, name, err)
			}
		}
	}
}

// What was read and not consumed can be taken over for raw relaying, once.
func TestBuffered(t *testing.T) {
	b, want := stream(false)
	in := bytes.NewReader(b)
	c := NewConn(&wire{in: in})
	var consumed int
	for range 3 {
		p, err := c.ReadPacket()
		if err != nil {
			t.Fatal(err)
		}
		consumed += headerSize + len(p.Body)
	}
	left := c.Buffered()
	rest, _ := io.ReadAll(in)
	mustEqual(t, append(bytes.Clone(left), rest...), b[consumed:])
	if len(left) == 0 || len(c.Buffered()) != 0 {
		t.Fatalf("%d bytes left over, then %d; %d packets", len(left), len(c.Buffered()), len(want))
	}
	if c.NetConn() == nil {
		t.Fatal("no connection underneath")
	}
}

// A packet that has arrived in part is handed over too.
func TestBufferedHalfPacket(t *testing.T) {
	c := reading(hexBytes(t, "000a000006000000 00"))
	if _, err := c.ReadPacket(); err != io.ErrUnexpectedEOF {
		t.Fatal(err)
	}
	mustEqual(t, c.Buffered(), hexBytes(t, "000a000006000000 00"))
}

// Lengths switch with the version, both ways, and only then (tns.md 1.1).
func TestSetVersion(t *testing.T) {
	for version, large := range map[uint16]bool{300: false, 310: false, 314: false, 315: true, 317: true, 318: true, 319: true} {
		sent := Data{Flags: DataEOF}.AppendTo(nil, large)
		w := &wire{in: bytes.NewReader(sent)}
		c := NewConn(w)
		c.SetVersion(version)
		if p, err := c.ReadPacket(); err != nil || len(p.Body) != 2 || c.Version() != version {
			t.Errorf("version %d: %v, %v", version, p, err)
		}
		if err := c.Send(Data{Flags: DataEOF}); err != nil {
			t.Fatal(err)
		}
		mustEqual(t, w.out.Bytes(), sent)
	}
}

func TestReadPacketRefusesHeaders(t *testing.T) {
	for _, tc := range []struct {
		name, bytes string
		large       bool
		err         error
	}{
		{"length 0", "0000000006000000", false, ErrMalformed},
		{"length 7", "0007000006000000", false, ErrMalformed},
		{"large length 0", "0000000006000000", true, ErrMalformed},
		{"large length 7", "0000000706000000", true, ErrMalformed},
		{"type 0", "000a000000000000", false, ErrMalformed},
		{"type 20", "000a000014000000", false, ErrMalformed},
		{"type 255", "000a0000ff000000", false, ErrMalformed},
		{"32-bit length read as 16 bits", "0000000a06000000", false, ErrMalformed},
		{"16-bit length read as 32 bits", "010a000006000000", true, ErrTooLong},
		{"2 MiB and 9", "0020000906000000", true, ErrTooLong},
		{"4 GiB", "ffffffff06000000", true, ErrTooLong},
	} {
		c := reading(hexBytes(t, tc.bytes), make([]byte, 100))
		if tc.large {
			c.SetVersion(VersionHighest)
		}
		_, err := c.ReadPacket()
		if err == nil {
			t.Errorf("%s: accepted", tc.name)
		}
		mustFail(t, err, tc.err)
	}
}

func TestMaxPacket(t *testing.T) {
	for _, tc := range []struct {
		max, length int
		version     uint16
		ok          bool
	}{
		{0, 65535, 0, true}, {100, 65535, 0, true}, {100, 100, 319, true}, {100, 101, 319, false}, {100, 101, 310, false}, {0, 65535, 310, true},
		{0, MaxSDU + 8, 319, true}, {0, MaxSDU + 9, 319, false}, {4 << 20, 4 << 20, 319, true}, {4 << 20, 4<<20 + 1, 319, false},
	} {
		c := reading(Packet{Type: TypeData, Body: make([]byte, tc.length-8)}.AppendTo(nil, tc.version >= 315))
		c.MaxPacket = tc.max
		if tc.version > 0 {
			c.SetVersion(tc.version)
		}
		if _, err := c.ReadPacket(); (err == nil) != tc.ok {
			t.Errorf("limit %d, version %d, %d bytes: %v", tc.max, tc.version, tc.length, err)
		} else if err != nil {
			mustFail(t, err, ErrTooLong)
		}
	}
}

// An announced length costs nothing until its bytes arrive.
func TestBufferGrowsWithWhatArrives(t *testing.T) {
	const announced = 2 << 20
	for _, arrived := range []int{8, 100, 2048, 5000, 100000, 1000000} {
		b := Packet{Type: TypeData, Body: make([]byte, announced-8)}.AppendTo(nil, true)[:arrived]
		c := reading(b)
		c.SetVersion(VersionHighest)
		if _, err := c.ReadPacket(); err != io.ErrUnexpectedEOF {
			t.Fatal(err)
		}
		if limit := max(firstBuffer, 2*arrived); len(c.in) > limit {
			t.Errorf("%d bytes arrived, the buffer has %d", arrived, len(c.in))
		}
	}
}

// The buffer serves packet after packet without growing or allocating.
func TestReadPacketReusesItsBuffer(t *testing.T) {
	one := Data{Payload: make([]byte, 700)}.AppendTo(nil, false)
	c := NewConn(&wire{in: &endless{one: one}})
	if _, err := c.ReadPacket(); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() {
		if _, err := c.ReadPacket(); err != nil {
			t.Fatal(err)
		}
	}); n != 0 || len(c.in) != firstBuffer {
		t.Fatalf("%v allocations a packet, buffer of %d", n, len(c.in))
	}
}

// endless repeats one packet for ever.
type endless struct {
	one []byte
	off int
}

func (e *endless) Read(b []byte) (int, error) {
	n := copy(b, e.one[e.off:])
	e.off = (e.off + n) % len(e.one)
	return n, nil
}

func TestReadEndsInsidePacket(t *testing.T) {
	b := hexBytes(t, `000d000006000000 0000 "abc"`)
	for n := range b {
		_, err := reading(b[:n]).ReadPacket()
		want := io.ErrUnexpectedEOF
		if n == 0 {
			want = io.EOF
		}
		if err != want {
			t.Errorf("%d bytes: %v, want %v", n, err, want)
		}
	}
}

// A reset in the middle of a header is the network's error, not ours.
func TestReadReset(t *testing.T) {
	reset := errors.New("connection reset by peer")
	c := NewConn(&wire{in: io.MultiReader(bytes.NewReader([]byte{0, 10, 0}), iotest.ErrReader(reset))})
	if _, err := c.ReadPacket(); err != reset {
		t.Fatal(err)
	}
}

type silentReader struct{}

func (silentReader) Read([]byte) (int, error) { return 0, nil }

// A reader that gives neither bytes nor an error does not hold us for ever.
func TestReadNoProgress(t *testing.T) {
	if _, err := NewConn(&wire{in: silentReader{}}).ReadPacket(); err != io.ErrNoProgress {
		t.Fatal(err)
	}
}

// A read that ended at its deadline loses nothing.
func TestReadAgainAfterDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer ours.Close()
		defer theirs.Close()
		c := NewConn(ours)
		b := hexBytes(t, `000d000006000000 0000 "abc"`)
		done, goOn := make(chan error, 1), make(chan struct{})
		go func() {
			if _, err := theirs.Write(b[:9]); err != nil {
				done <- err
				return
			}
			<-goOn
			_, err := theirs.Write(b[9:])
			done <- err
		}()
		ours.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := c.ReadPacket(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
		ours.SetReadDeadline(time.Time{})
		close(goOn)
		p, err := c.ReadPacket()
		if err != nil || string(p.Body) != "\x00\x00abc" {
			t.Fatalf("%q, %v", p.Body, err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}

// Several messages leave in one write, in order.
func TestSendOneWrite(t *testing.T) {
	w := &wire{}
	c := NewConn(w)
	if err := c.Send(); err != nil || w.writes != 0 {
		t.Fatalf("%d writes for nothing, %v", w.writes, err)
	}
	if err := c.Send(Marker{1, MarkerBreak}, &Data{Payload: []byte("abc")}, Packet{Type: TypeNull}); err != nil || w.writes != 1 {
		t.Fatalf("%d writes, %v", w.writes, err)
	}
	mustEqual(t, w.out.Bytes(), hexBytes(t, `000b00000c000000010001 000d0000060000000000 "abc" 0008000007000000`))
}

// A large message is sent and its buffer let go, as is that of a small one; one between them is kept for the next.
func TestSendForgetsLargeBuffers(t *testing.T) {
	c := NewConn(&wire{})
	c.SetVersion(VersionHighest)
	if err := c.Send(Data{Payload: make([]byte, 1<<20)}); err != nil || cap(c.out) > keepSendBuffer {
		t.Fatalf("%d bytes kept, %v", cap(c.out), err)
	}
	if err := c.Send(Data{Payload: make([]byte, 100)}); err != nil || cap(c.out) != 0 {
		t.Fatalf("%d bytes kept, %v", cap(c.out), err)
	}
	if err := c.Send(Data{Payload: make([]byte, 10_000)}); err != nil || cap(c.out) == 0 {
		t.Fatalf("%d bytes kept, %v", cap(c.out), err)
	}
}
