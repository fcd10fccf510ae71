package tns

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The rules of tns.md 14, "Accepting".
func TestAnswerConnect(t *testing.T) {
	type ask struct {
		version, lowest uint16
		sdu, tdu        uint16
		sdu32           uint32
		offset          uint16
	}
	for _, tc := range []struct {
		name           string
		ask            ask
		ours           uint16
		version        uint16
		sdu, tdu, size uint32
	}{
		{"a driver of today", ask{319, 300, 8192, 0xffff, 8192, 74}, 319, 319, 8192, 8192, 45},
		{"the version is theirs", ask{317, 300, 0xffff, 0xffff, 2 << 20, 70}, 319, 317, 8192, 8192, 41},
		{"the version is ours", ask{319, 300, 8192, 0xffff, 8192, 74}, 314, 314, 8192, 0x7fff, 32},
		{"a database registers", ask{313, 300, 2048, 0x7fff, 0, 58}, 319, 313, 2048, 0x7fff, 32},
		{"lowest just met", ask{319, 315, 8192, 8192, 8192, 74}, 315, 315, 8192, 8192, 41},
		{"318", ask{318, 300, 8192, 0xffff, 8192, 74}, 319, 318, 8192, 8192, 45},
		{"a version from the future", ask{65535, 300, 8192, 0xffff, 8192, 74}, 319, 319, 8192, 8192, 45},
		{"ours beyond what we know", ask{400, 300, 8192, 0xffff, 8192, 74}, 400, 319, 8192, 8192, 45},
		{"small SDU", ask{319, 300, 512, 512, 512, 74}, 319, 319, 512, 512, 45},
		{"SDU 511", ask{319, 300, 511, 511, 511, 74}, 319, 319, 512, 512, 45},
		{"SDU 1", ask{313, 300, 1, 1, 0, 58}, 319, 313, 512, 512, 32},
		{"SDU 0", ask{319, 300, 0, 0, 0, 74}, 319, 319, 512, 512, 45},
		{"SDU only in the small field", ask{319, 300, 4096, 4096, 0, 74}, 319, 319, 4096, 4096, 45},
		{"SDU beyond all bounds", ask{319, 300, 0xffff, 0xffff, 1 << 31, 74}, 319, 319, 8192, 8192, 45},
		{"a new version in an old layout", ask{319, 300, 4096, 4096, 1, 58}, 319, 319, 4096, 4096, 45},
		{"TDU below SDU", ask{313, 300, 4096, 100, 0, 58}, 319, 313, 4096, 4096, 32},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := AnswerConnect(&Connect{Version: tc.ask.version, Lowest: tc.ask.lowest, SDU: tc.ask.sdu, TDU: tc.ask.tdu,
				SDU32: tc.ask.sdu32, Offset: tc.ask.offset, Options: 0xffff}, tc.ours, nil)
			if a == nil {
				t.Fatal("no version found")
			}
			if a.Version != tc.version || a.SDU != tc.sdu || a.TDU != tc.tdu {
				t.Errorf("version %d, SDU %d, TDU %d; want %d, %d, %d", a.Version, a.SDU, a.TDU, tc.version, tc.sdu, tc.tdu)
			}
			b := encode(a)
			if uint32(len(b)) != tc.size || b[1] != byte(tc.size) || b[21] != byte(tc.size) || b[18] != 0 || b[19] != 0 {
				t.Errorf("size %d, length %d, offset %d, data length %x; want %d", len(b), b[1], b[21], b[18:20], tc.size)
			}
			if b[22] != 0x45 || b[23] != 0 || a.Options&oobOptions != 0 || a.Flags2 != 0 {
				t.Errorf("flags %x, options %#x, flags 2 %#x: native services or out-of-band breaks are on", b[22:24], a.Options, a.Flags2)
			}
		})
	}
}

// A version below the client's lowest is never answered.
func TestAnswerConnectNoCommonVersion(t *testing.T) {
	for _, c := range []*Connect{
		{Version: 319, Lowest: 316}, {Version: 310, Lowest: 311}, {Version: 299, Lowest: 200}, {Version: 0, Lowest: 0}, {Version: 319, Lowest: 65535},
	} {
		a := AnswerConnect(c, 315, []byte("data"))
		if a != nil {
			t.Fatalf("version %d for %d to %d", a.Version, c.Lowest, c.Version)
		}
		w := &wire{}
		mustFail(t, NewConn(w).Send(a), ErrVersion)
		if w.writes != 0 || encode(a) != nil {
			t.Fatal("something was written")
		}
	}
}

// Accept data of more than 230 bytes follows, with the lengths just accepted.
func TestAcceptDataInlineOrFollowing(t *testing.T) {
	for _, version := range []uint16{310, 314, 315, 317, 318, 319} {
		for _, length := range []int{0, 1, 230, 231, 9000, 65535} {
			data := bytes.Repeat([]byte("a"), length)
			a := &Accept{Version: version, SDU: 8192, TDU: 8192, Data: data}
			stream := encode(a)
			if inline := length <= 230; inline != (int(stream[0])<<8|int(stream[1]) == len(stream)) {
				t.Errorf("version %d, %d bytes: inline is %v", version, length, !inline)
			}
			c := reading(stream)
			m, err := c.ReadReply()
			if err != nil {
				t.Fatalf("version %d, %d bytes: %v", version, length, err)
			}
			if got := m.(*Accept); !bytes.Equal(got.Data, data) || got.Version != version {
				t.Errorf("version %d: %d bytes became %d", version, length, len(got.Data))
			}
			if c.Version() != 0 || len(c.Buffered()) != 0 {
				t.Errorf("version %d: ReadReply set the version or left bytes", version)
			}
			mustEqual(t, encode(m), stream)
		}
	}
}

// Each size, each form: what is read is written again byte for byte.
func TestAcceptForms(t *testing.T) {
	for name, b := range map[string]string{
		"session id behind the data":         `0034000002010000 0139 0001 0800 7fff 0100 0004 0020 4500 0000000000000000 "data" 000102030405060708090a0b0c0d0e0f`,
		"session id, data follows":           `0030000002010000 0139 0001 0800 7fff 0100 012c 0020 4500 0000000000000000 000102030405060708090a0b0c0d0e0f 0136000006000000 0000 "` + strings.Repeat("abc", 100) + `"`,
		"318 in 41 bytes":                    "0029000002000000 013e 0001 0000 0000 0100 0000 0029 0408 0000000000000000 00002000 00200000 00",
		"319 in 32 bytes":                    "0020000002000000 013f 0001 2000 2000 0100 0000 0020 0408 0000000000000000",
		"part of a field":                    "0026000002000000 013f 0001 2000 2000 0100 0000 0026 0408 0000000000000000 00002000 7788",
		"more than we know":                  "0040000002000000 013f 0001 2000 2000 0100 0000 0040 0408 0000000000000000 00002000 00002000 00 00000000 000102030405060708090a0b0c0d0e0f aabbcc",
		"314 with more than its fields":      "0024000002000000 013a 0001 2000 2000 0100 0000 0024 0408 0000000000000000 00002000",
		"reconnect address and byte order 1": "0020000002000000 013a 0001 2000 2000 0001 0000 0020 0408 0102030405060708",
	} {
		t.Run(name, func(t *testing.T) {
			stream := hexBytes(t, b)
			m, err := reading(stream).ReadReply()
			if err != nil {
				t.Fatal(err)
			}
			mustEqual(t, encode(m), stream)
		})
	}
}

// An offset that no driver looks at is repaired; lies that matter are refused.
func TestAcceptOffsets(t *testing.T) {
	stream := hexBytes(t, "002d000002000000 013f 0001 0000 0000 0100 0000 0000 0408 0000000000000000 00002000 00200000 00 00000001")
	m, err := reading(stream).ReadReply()
	if err != nil {
		t.Fatal(err)
	}
	if got := m.(*Accept); got.SDU != 8192 || got.Flags2 != Flags2OOBCheck {
		t.Fatal(got)
	}
	stream[21] = 45
	mustEqual(t, encode(m), stream)

	for name, b := range map[string]string{
		"offset past the end":        "0020000002000000 0139 0001 2000 2000 0100 0000 0021 0408 0000000000000000",
		"data cut":                   `0023000002000000 0139 0001 2000 2000 0100 0004 0020 0408 0000000000000000 "abc"`,
		"no offset and too short":    "0029000002000000 013f 0001 0000 0000 0100 0000 0000 0408 0000000000000000 00002000 00200000 00",
		"shorter than any":           "001f000002000000 0139 0001 2000 2000 0100 0000 0020 0408 00000000000000",
		"header only":                "0008000002000000",
		"version and nothing behind": "000a000002000000 0139",
	} {
		_, err := reading(hexBytes(t, b)).ReadReply()
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
		mustFail(t, err, ErrMalformed)
	}
}

func TestAcceptTooLong(t *testing.T) {
	w := &wire{}
	if fits := encode(&Accept{Version: 314, Trailer: make([]byte, maxSmallPacket-acceptSize300)}); len(fits) != maxSmallPacket {
		t.Errorf("what just fits is written in %d bytes", len(fits))
	}
	mustFail(t, NewConn(w).Send(&Accept{Version: 314, Trailer: make([]byte, maxSmallPacket-acceptSize300+1)}), ErrTooLong)
	mustFail(t, NewConn(w).Send(&Accept{Version: 319, Data: make([]byte, 65536)}), ErrTooLong)
	if w.writes != 0 || encode(&Accept{Extra: make([]byte, 65536)}) != nil {
		t.Fatal("something was written")
	}
}

// A connection id makes the ACCEPT of 61 bytes (ttc.md 3), and only from 319 on.
func TestAcceptConnectionID(t *testing.T) {
	id := bytes.Repeat([]byte{9}, 16)
	for version, size := range map[uint16]int{314: 32, 317: 41, 318: 45, 319: 61} {
		a := &Accept{Version: version, SDU: 8192, TDU: 8192, ConnectionID: id}
		b := encode(a)
		if len(b) != size || int(b[21]) != size {
			t.Errorf("version %d: %d bytes, offset %d, want %d", version, len(b), b[21], size)
		}
		var got Accept
		if _, err := got.Decode(packetOf(t, b)); err != nil {
			t.Fatal(err)
		}
		want := *a
		want.Offset = uint16(size)
		if version < 319 {
			want.ConnectionID = nil
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("version %d: %s", version, diff)
		}
	}
}
