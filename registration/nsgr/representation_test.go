package nsgr

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

func fromHex(tb testing.TB, text string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// The descriptors of nsgr.md 3.3.
func TestDescriptors(t *testing.T) {
	for _, c := range []struct {
		rep  Representation
		text string
		name string
	}{
		{Windows64(), "24 08 ff 03 01 00 12 34 34 78 78 34 78 10 10 32 10 32 10 32 54 76 10 32 10 32 54 76 00 78 10 32 54 76 00 00", "64-bit little-endian"},
		{Linux32(), "20 08 ff 03 01 00 12 34 34 34 34 34 38 10 10 32 10 32 10 32 10 32 10 32 54 76 00 38 10 32 54 76", "32-bit little-endian"},
		{Linux64(), "24 08 ff 03 01 00 12 34 78 78 78 34 78 10 10 32 10 32 54 76 10 32 54 76 10 32 10 32 54 76 00 78 10 32 54 76", "64-bit little-endian"},
		{Unix64BigEndian(), "24 08 ff 03 01 00 12 34 78 78 78 34 78 01 23 01 67 45 23 01 67 45 23 01 23 01 67 45 23 01 00 78 67 45 23 01", "64-bit big-endian"},
	} {
		if got := hex.EncodeToString(c.rep.Descriptor()); got != strings.ReplaceAll(c.text, " ", "") {
			t.Errorf("%v: descriptor %s", c.rep, got)
		}
		got, err := parseDescriptor(fromHex(t, c.text))
		if err != nil || got != c.rep {
			t.Errorf("%s: parsed as %+v, %v", c.text, got, err)
		}
		if c.rep.String() != c.name {
			t.Errorf("%v is not called %s", c.rep, c.name)
		}
	}
}

func TestDescriptorOfAnyAlignment(t *testing.T) {
	d := Linux32().Descriptor()
	for i := descriptorSizes; i < descriptorOrder; i++ {
		d[i] &= 0x0f // alignment 1 throughout, as no platform has it
	}
	if r, err := parseDescriptor(d); err != nil || r != linux32 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestUnsupportedDescriptors(t *testing.T) {
	edit := func(at int, value byte) []byte {
		d := Linux64().Descriptor()
		d[at] = value
		return d
	}
	for name, d := range map[string][]byte{
		"16-bit int":           edit(7, 0x12),
		"4-byte short":         edit(6, 0x34),
		"2-byte pointer":       edit(10, 0x12),
		"15-byte pointer":      edit(10, 0xff),
		"middle-endian int":    edit(14, 0x01),
		"short of other order": edit(13, 0x01),
		"pointer order mixed":  edit(20, 0x76),
		"cut before sizes":     Linux64().Descriptor()[:8],
		"cut in the orders":    Linux64().Descriptor()[:15],
		"empty":                nil,
	} {
		if r, err := parseDescriptor(d); !errors.Is(err, ErrDescriptor) {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

func TestMessageWithoutDescriptor(t *testing.T) {
	for name, message := range vectors(t) {
		first := mustDecode(t, message)
		bare := *first
		bare.Descriptor = nil
		later := mustEncode(t, &bare)
		if _, err := Decode(later, Representation{}); !errors.Is(err, ErrNoDescriptor) {
			t.Errorf("%s: without an earlier message: %v", name, err)
		}
		m, err := Decode(later, first.Representation)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if m.Descriptor != nil || m.Summary() != first.Summary() {
			t.Errorf("%s: %s, want %s", name, m.Summary(), first.Summary())
		}
	}
}

// A record of 0x820 bytes begins, from a little-endian sender, with the bytes
// 20 08, which could be a descriptor's.
func TestRecordMarkerIsNotADescriptor(t *testing.T) {
	nodes := []Node{NewInstance([16]byte{1}, Instance{Name: NewText("i"), Host: NewText("(HOST=h)")})}
	for length := 0x600; ; length++ {
		long := NewEndpoint(Endpoint{Name: NewText(strings.Repeat("e", length/2))})
		m, err := New(Linux64(), append(nodes, long))
		if err != nil {
			t.Fatal(err)
		}
		m.Descriptor, m.Records = nil, m.Records[1:]
		b := mustEncode(t, m)
		if b[4] != 0x20 || b[5] != 0x08 {
			if length > 0x900 {
				t.Fatal("no record of 0x820 bytes came about")
			}
			continue
		}
		if _, err := Decode(b, Linux64()); err != nil {
			t.Error(err)
		}
		return
	}
}
