package tns

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Every form of tns.md 4.1 that a listener may send.
func TestRedirectDecodeForms(t *testing.T) {
	const a, cd = "(ADDRESS=(HOST=h)(PORT=1))", "(CONNECT_DATA=(SID=x))" // 26 and 22 bytes
	whole := &Redirect{Address: a, ConnectData: cd}
	plain := &Redirect{Address: a}
	described := "(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=))" + a + ")"
	for _, tc := range []struct {
		name, bytes string
		want        *Redirect
	}{
		{"flag and DATA with end of file", `000a000005020000 0031 003b000006000000 0040 "` + a + `\0` + cd + `"`, whole},
		{"flag and DATA without", `000a000005020000 0031 003b000006000000 0000 "` + a + `\0` + cd + `"`, whole},
		{"flag, inline", `003b000005020000 0031 "` + a + `\0` + cd + `"`, whole},
		{"no flag, plain address inline", `0024000005000000 001a "` + a + `"`, plain},
		{"no flag, plain address in DATA", `000a000005000000 001a 0024000006000000 0000 "` + a + `"`, plain},
		{"no flag, both in DATA", `000a000005000000 0031 003b000006000000 0040 "` + a + `\0` + cd + `"`, whole},
		{"split over two DATA", `000a000005020000 0031 0024000006000000 0000 "` + a + `" 0021000006000000 0040 "\0` + cd + `"`, whole},
		{"split in the middle", `000a000005020000 0031 000b000006000000 0040 "(" 003a000006000000 0040 "` + a[1:] + `\0` + cd + `"`, whole},
		{"NUL behind", `000a000005020000 0032 003c000006000000 0040 "` + a + `\0` + cd + `\0"`, whole},
		{"NULs all over", `000a000005020000 0034 003e000006000000 0040 "` + a + `\0\0` + cd + `\0\0"`, whole},
		{"empty connect data", `000a000005020000 001b 0025000006000000 0040 "` + a + `\0"`, plain},
		{"plain address with NUL", `0025000005000000 001b "` + a + `\0"`, plain},
		{"flag without connect data", `0024000005020000 001a "` + a + `"`, plain},
		{"description as address", `000a000005020000 005d 0067000006000000 0040 "` + described + `\0` + cd + `"`, &Redirect{Address: described, ConnectData: cd}},
		{"bytes behind an inline text", `0026000005000000 001a "` + a + `xx"`, plain},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m, err := reading(hexBytes(t, tc.bytes)).ReadReply()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(Message(tc.want), m); diff != "" {
				t.Fatal(diff)
			}
		})
	}
}

func TestRedirectRefused(t *testing.T) {
	for _, tc := range []struct {
		name, bytes string
		err         error
	}{
		{"no length", "0008000005020000", ErrMalformed},
		{"half a length", "0009000005020000 00", ErrMalformed},
		{"length 0", "000a000005020000 0000", ErrMalformed},
		{"text cut", `000d000005020000 0004 "abc"`, ErrMalformed},
		{"no address inline", `000c000005020000 0002 "\0x"`, ErrMalformed},
		{"no address in DATA", `000a000005020000 0002 000c000006000000 0040 "\0x"`, ErrMalformed},
		{"blank address", `000c000005020000 0002 " \0"`, ErrMalformed},
		{"empty DATA", "000a000005020000 0002 000a000006000000 0040", ErrMalformed},
		{"DATA beyond the length", `000a000005020000 0002 000d000006000000 0040 "abc"`, ErrOutOfStep},
		{"something else than DATA", `000a000005020000 0002 000b00000c000000 010002`, ErrUnexpected},
	} {
		_, err := reading(hexBytes(t, tc.bytes)).ReadReply()
		if err == nil {
			t.Errorf("%s: accepted", tc.name)
		}
		mustFail(t, err, tc.err)
	}
}

// The text must fit one DATA packet of 8192 bytes (tns.md 13, 14).
func TestRedirectLongest(t *testing.T) {
	r := &Redirect{Address: redirectAddress, ConnectData: strings.Repeat("x", 8192-10-1-len(redirectAddress))}
	b := encode(r)
	if len(b) != 10+8192 || b[10] != 0x20 || b[11] != 0 {
		t.Fatalf("%d bytes, DATA of %x", len(b), b[10:12])
	}
	r.ConnectData += "x"
	w := &wire{}
	mustFail(t, NewConn(w).Send(r), ErrTooLong)
	if w.writes != 0 || encode(r) != nil {
		t.Fatal("something was written")
	}
}

// Both packets go out in one write, so that they share a segment.
func TestRedirectOneWrite(t *testing.T) {
	w := &wire{}
	if err := NewConn(w).Send(&Redirect{Address: "a", ConnectData: "b"}); err != nil || w.writes != 1 {
		t.Fatalf("%d writes, %v", w.writes, err)
	}
}
