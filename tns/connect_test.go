package tns

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// fullConnect has every optional field set, each to a value of its own.
func fullConnect(data string) *Connect {
	c := NewConnect([]byte(data))
	c.TraceItem1, c.TraceItem2 = 0x34353637, 0x38393a3b
	c.TraceID = [8]byte{0x42, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49}
	c.LocalTimeout, c.LocalTick = 0x5051, 0x5253
	c.ReconnectLength, c.ReconnectOffset = 0x5455, 0x5657
	c.SDU32, c.TDU32, c.Compression, c.Flags2 = 0x58595a5b, 0x62636465, 0x66676869, 0x70717273
	return c
}

// A field exists only if the connect data begins at or beyond its end (tns.md 1.2).
func TestConnectFieldsByOffset(t *testing.T) {
	absent := func(offset int, c *Connect) {
		for _, f := range []struct {
			end   int
			clear func()
		}{
			{38, func() { c.TraceItem1 = 0 }}, {42, func() { c.TraceItem2 = 0 }}, {50, func() { c.TraceID = [8]byte{} }},
			{52, func() { c.LocalTimeout = 0 }}, {54, func() { c.LocalTick = 0 }}, {56, func() { c.ReconnectLength = 0 }},
			{58, func() { c.ReconnectOffset = 0 }}, {62, func() { c.SDU32 = 0 }}, {66, func() { c.TDU32 = 0 }},
			{70, func() { c.Compression = 0 }}, {74, func() { c.Flags2 = 0 }},
		} {
			if offset < f.end {
				f.clear()
			}
		}
	}
	whole := encode(fullConnect(""))
	for offset := connectFixedSize; offset <= connectSize318+20; offset++ {
		packet := append(bytes.Clone(whole), bytes.Repeat([]byte{0xee}, 20)...)[:offset]
		packet = append(packet, "data"...)
		packet[1], packet[25], packet[27] = byte(len(packet)), 4, byte(offset)

		want := fullConnect("data")
		want.Offset = uint16(offset)
		absent(offset, want)
		if fields := wholeFields(offset); offset > fields {
			want.Extra = packet[fields:offset]
		}
		var got Connect
		following, err := got.Decode(packetOf(t, packet))
		if err != nil || following != 0 {
			t.Fatalf("offset %d: following %d, error %v", offset, following, err)
		}
		if diff := cmp.Diff(*want, got); diff != "" {
			t.Fatalf("offset %d: %s", offset, diff)
		}
		mustEqual(t, encode(&got), packet)
	}
}

// Without an offset the layout is the version's.
func TestConnectLayoutByVersion(t *testing.T) {
	for version, offset := range map[uint16]byte{300: 58, 310: 58, 314: 58, 315: 70, 317: 70, 318: 74, 319: 74} {
		c := NewConnect([]byte("data"))
		c.Version, c.Offset = version, 0
		b := encode(c)
		if b[27] != offset || len(b) != int(offset)+4 {
			t.Errorf("version %d: offset %d, %d bytes, want offset %d", version, b[27], len(b), offset)
		}
	}
}

// 230 bytes travel inside, 231 follow (tns.md 1.3).
func TestConnectDataInlineOrFollowing(t *testing.T) {
	for _, tc := range []struct{ length, packets int }{{0, 1}, {1, 1}, {230, 1}, {231, 2}, {8182, 2}, {8183, 3}, {65535, 10}} {
		data := bytes.Repeat([]byte("d"), tc.length)
		stream := encode(NewConnect(data))
		c := reading(stream)
		packets := 0
		for {
			p, err := c.ReadPacket()
			if err != nil {
				break
			}
			if packets++; headerSize+len(p.Body) > textPacketSize {
				t.Errorf("%d bytes: a packet of %d, ogo reads 8192 at most", tc.length, headerSize+len(p.Body))
			}
			if packets == 1 && p.Type != TypeConnect || packets > 1 && p.Type != TypeData {
				t.Errorf("%d bytes: packet %d is a %v", tc.length, packets, p.Type)
			}
		}
		if packets != tc.packets {
			t.Errorf("%d bytes: %d packets, want %d", tc.length, packets, tc.packets)
		}
		got, err := reading(stream).ReadConnect()
		if err != nil || !bytes.Equal(got.Data, data) {
			t.Errorf("%d bytes: read %d back, %v", tc.length, len(got.Data), err)
		}
	}
}

// Some clients put more than 230 bytes inside; the packet's length decides.
func TestConnectLongDataInline(t *testing.T) {
	data := strings.Repeat("d", 1000)
	packet := append(encode(NewConnect(nil)), data...)
	packet[0], packet[1] = byte(len(packet)>>8), byte(len(packet)&0xff)
	packet[24], packet[25] = 1000>>8, 1000&0xff
	got, err := reading(packet).ReadConnect()
	if err != nil || string(got.Data) != data {
		t.Fatalf("%d bytes, %v", len(got.Data), err)
	}
}

func TestConnectTooLong(t *testing.T) {
	c := NewConnect(make([]byte, 65536))
	if b := encode(c); b != nil {
		t.Fatalf("encoded %d bytes that cannot be announced", len(b))
	}
	w := &wire{}
	mustFail(t, NewConn(w).Send(c), ErrTooLong)
	c = NewConnect(nil)
	c.Extra = make([]byte, 65535)
	mustFail(t, NewConn(w).Send(c), ErrTooLong)
	if w.writes != 0 {
		t.Fatal("something was written")
	}
}

// Extra that pushes the data beyond the packet moves the data into DATA.
func TestConnectExtraLeavesNoRoom(t *testing.T) {
	c := NewConnect([]byte("data"))
	c.Extra = bytes.Repeat([]byte{1}, 65535-connectSize318-2)
	got, err := reading(encode(c)).ReadConnect()
	if err != nil || string(got.Data) != "data" || len(got.Extra) != len(c.Extra) {
		t.Fatalf("%v, %v", got, err)
	}
}

// What a relay changes, and nothing else (tns.md 6.3, 11.3).
func TestConnectForRelay(t *testing.T) {
	for _, offset := range []uint16{34, 58, 70, 74, 80} {
		c := fullConnect("from the client")
		c.Offset = offset
		c.Options = 0xffff
		c.Extra = bytes.Repeat([]byte{7}, int(offset)-wholeFields(int(offset)))
		if offset < 74 {
			c.Flags2 = 0
		}
		before := encode(c)
		for _, redirected := range []bool{false, true} {
			got := c.ForRelay([]byte("to the instance"), redirected)
			want := *c
			want.Options = 0xf9ff
			want.Flags2 &^= 1
			want.Data = []byte("to the instance")
			if redirected {
				want.HeaderFlags = FlagRedirected
			}
			if diff := cmp.Diff(&want, got, cmp.Transformer("empty", func(b []byte) string { return string(b) })); diff != "" {
				t.Fatalf("offset %d: %s", offset, diff)
			}
			again, err := reading(encode(got)).ReadConnect()
			if err != nil || string(again.Data) != "to the instance" {
				t.Fatalf("offset %d: %v, %v", offset, again, err)
			}
		}
		mustEqual(t, encode(c), before)
	}
}

// A relay that lengthens the descriptor crosses the 230-byte rule, and back.
func TestConnectForRelayRecomputesLengths(t *testing.T) {
	short, long := strings.Repeat("s", 200), strings.Repeat("l", 300)
	c := NewConnect([]byte(short))
	if b := encode(c.ForRelay([]byte(long), false)); len(b) != 74+10+300 || b[1] != 74 {
		t.Fatalf("%d bytes, packet length %d", len(b), b[1])
	}
	c = NewConnect([]byte(long))
	if b := encode(c.ForRelay([]byte(short), false)); len(b) != 274 || b[0] != 1 || b[1] != 18 {
		t.Fatalf("%d bytes", len(b))
	}
}

// A client that came redirected stays so.
func TestConnectForRelayKeepsRedirectedFlag(t *testing.T) {
	c := NewConnect(nil)
	c.HeaderFlags = FlagRedirected
	if got := c.ForRelay(nil, false); got.HeaderFlags != FlagRedirected {
		t.Fatalf("header flags %#x", got.HeaderFlags)
	}
}

// captures finds files beside the module; the test is skipped where there are none.
func captures(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", "shared", "captures", filepath.FromSlash(pattern)))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Skipf("no captures %s beside the module; the golden packets of this file's package are tested anyway", pattern)
	}
	return files
}

// Every CONNECT a real driver sent is written again byte for byte.
func TestCapturedConnects(t *testing.T) {
	for _, file := range captures(t, "connect/*.hex") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		stream, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
		if err != nil {
			t.Fatal(err)
		}
		t.Run(filepath.Base(file), func(t *testing.T) { checkCapturedConnect(t, stream) })
	}
}

// The CONNECT of a real database that registers.
func TestCapturedRegistrationConnect(t *testing.T) {
	for _, file := range captures(t, "nsgr/register.bin") {
		stream, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		checkCapturedConnect(t, stream)
	}
}

func checkCapturedConnect(t *testing.T, stream []byte) {
	t.Helper()
	c := reading(stream)
	connect, err := c.ReadConnect()
	if err != nil {
		t.Fatal(err)
	}
	if rest := c.Buffered(); len(rest) > 0 {
		t.Fatalf("%d bytes left over", len(rest))
	}
	if !bytes.HasPrefix(connect.Data, []byte("(")) || !bytes.HasSuffix(connect.Data, []byte(")")) {
		t.Fatalf("connect data %q", connect.Data)
	}
	mustEqual(t, encode(connect), stream)
	redirected := connect.HeaderFlags&FlagRedirected != 0
	if relayed := connect.ForRelay(connect.Data, redirected); connect.Options&oobOptions == 0 {
		mustEqual(t, encode(relayed), stream)
	}
}
