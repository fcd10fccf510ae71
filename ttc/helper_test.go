package ttc

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// unhex decodes hexadecimal text with blanks and line ends in it.
func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		t.Fatalf("test vector: %v", err)
	}
	return b
}

// codec is one message for the tests that hold for all of them: how to make a
// random one, to encode it and to decode it again.
type codec struct {
	name   string
	draw   func(t *rapid.T, d Dialect) any
	encode func(m any, d Dialect) []byte
	decode func(r *Reader, m any, d Dialect) any // m is what was encoded
}

// compare reports a difference between messages; empty and missing slices are
// the same on the wire.
func compare(want, got any) string {
	return cmp.Diff(want, got, cmpopts.EquateEmpty())
}

func drawDialect(t *rapid.T) Dialect {
	return Dialect{
		FieldVersion: rapid.SampledFrom([]byte{7, 8, 9, 11, 12, 13, 14, 17, 18, 20, 24}).Draw(t, "field version"),
		CLRText:      rapid.Bool().Draw(t, "CLR text"),
		RawScale:     rapid.Bool().Draw(t, "raw scale"),
		MaxString:    rapid.SampledFrom([]int{4000, 32767}).Draw(t, "longest string"),
	}
}

func drawText(t *rapid.T, label string) string {
	return rapid.StringN(0, 40, 400).Draw(t, label)
}

// drawKey draws text that does not end in a zero byte, which names lose.
func drawKey(t *rapid.T, label string) string {
	return strings.TrimRight(rapid.StringN(1, 20, 100).Draw(t, label), "\x00")
}

func drawBytes(t *rapid.T, label string) []byte {
	return rapid.SliceOfN(rapid.Byte(), 0, 600).Draw(t, label)
}

func drawPairs(t *rapid.T) []Pair {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Pair {
		return Pair{Key: drawKey(t, "key"), Value: drawText(t, "value"), Flags: rapid.Uint32().Draw(t, "flags")}
	}), 0, 5).Draw(t, "pairs")
}

// checkCodec proves one codec: what is encoded decodes to the same, whole and
// in single bytes, and no proper prefix of it passes.
func checkCodec(t *rapid.T, c codec) {
	d := drawDialect(t)
	m := c.draw(t, d)
	encoded := c.encode(m, d)

	r := NewReader(encoded)
	got := c.decode(r, m, d)
	if r.Err() != nil || r.Buffered() != 0 {
		t.Fatalf("decoding % x: error %v, %d bytes left", encoded, r.Err(), r.Buffered())
	}
	if diff := compare(m, got); diff != "" {
		t.Fatalf("decoded differs (-want +got):\n%s", diff)
	}

	r = NewStreamReader(singleBytes(encoded))
	got = c.decode(r, m, d)
	if diff := compare(m, got); r.Err() != nil || diff != "" {
		t.Fatalf("decoded from single bytes: error %v, difference:\n%s", r.Err(), diff)
	}

	cut := rapid.IntRange(0, len(encoded)-1).Draw(t, "cut")
	r = NewReader(encoded[:cut])
	c.decode(r, m, d)
	if r.Err() == nil {
		t.Fatalf("the first %d of %d bytes pass as a whole message", cut, len(encoded))
	}
}

// singleBytes gives a message byte by byte, then ErrTruncated.
func singleBytes(message []byte) func() ([]byte, error) {
	rest := bytes.Clone(message)
	return func() ([]byte, error) {
		if len(rest) == 0 {
			return nil, ErrTruncated
		}
		piece := rest[:1:1]
		rest = rest[1:]
		return piece, nil
	}
}
