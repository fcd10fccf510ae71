package tns

import (
	"bytes"
	"testing"
)

// payloads reads a stream of DATA packets back: payload, flags and size of each.
func payloads(t *testing.T, stream []byte, large bool) (whole []byte, flags []uint16, sizes []int) {
	t.Helper()
	c := reading(stream)
	if large {
		c.SetVersion(VersionHighest)
	}
	for {
		p, err := c.ReadPacket()
		if err != nil {
			return whole, flags, sizes
		}
		var d Data
		if err := d.Decode(p); err != nil {
			t.Fatal(err)
		}
		whole = append(whole, d.Payload...)
		flags = append(flags, d.Flags)
		sizes = append(sizes, headerSize+len(p.Body))
	}
}

func TestAppendData(t *testing.T) {
	const all = DataMore | DataEOF | DataCompressed | DataEndOfRequest | DataBeginPipeline | DataEndOfResponse
	payload := bytes.Repeat([]byte("0123456789"), 100) // 1000 bytes
	for _, tc := range []struct {
		name  string
		flags uint16
		sdu   int
		large bool
		sizes []int
		want  []uint16
	}{
		{"one packet", DataEOF, 0, false, []int{1010}, []uint16{DataEOF}},
		{"fits exactly", DataEOF, 1010, false, []int{1010}, []uint16{DataEOF}},
		{"one byte too many", DataEOF, 1009, false, []int{1009, 11}, []uint16{0, DataEOF}},
		{"three packets", all, 400, true, []int{400, 400, 230},
			[]uint16{DataMore | DataCompressed | DataBeginPipeline, DataMore | DataCompressed, DataMore | DataEOF | DataCompressed | DataEndOfRequest | DataEndOfResponse}},
	} {
		got, flags, sizes := payloads(t, AppendData([]byte{}, tc.flags, payload, tc.sdu, tc.large), tc.large)
		if !bytes.Equal(got, payload) {
			t.Errorf("%s: payload of %d bytes came back as %d", tc.name, len(payload), len(got))
		}
		if len(sizes) != len(tc.sizes) {
			t.Fatalf("%s: packets of %v, want %v", tc.name, sizes, tc.sizes)
		}
		for i := range sizes {
			if sizes[i] != tc.sizes[i] || flags[i] != tc.want[i] {
				t.Errorf("%s: packet %d has %d bytes, flags %#x; want %d, %#x", tc.name, i, sizes[i], flags[i], tc.sizes[i], tc.want[i])
			}
		}
	}
}

// An SDU that leaves no room for a payload still carries it, a byte a packet.
func TestAppendDataTinySDU(t *testing.T) {
	for _, sdu := range []int{1, 9, 10, 11} {
		got, _, sizes := payloads(t, AppendData(nil, 0, []byte("abc"), sdu, false), false)
		if string(got) != "abc" || len(sizes) != 3 {
			t.Errorf("SDU %d: %q in %v", sdu, got, sizes)
		}
	}
}

// What one packet cannot hold is cut although nobody gave an SDU.
func TestDataCutByLengthField(t *testing.T) {
	for _, tc := range []struct {
		length, packets int
		large           bool
	}{{0, 1, false}, {65525, 1, false}, {65526, 2, false}, {200000, 4, false}, {200000, 1, true}, {MaxSDU - 10, 1, true}, {MaxSDU - 9, 2, true}} {
		payload := bytes.Repeat([]byte{7}, tc.length)
		got, _, sizes := payloads(t, Data{Payload: payload}.AppendTo(nil, tc.large), tc.large)
		if !bytes.Equal(got, payload) || len(sizes) != tc.packets {
			t.Errorf("%d bytes, large %v: %d bytes in %d packets, want %d", tc.length, tc.large, len(got), len(sizes), tc.packets)
		}
	}
}

func TestAppendDataKeepsWhatIsThere(t *testing.T) {
	got := AppendData([]byte("before"), DataEOF, nil, 0, false)
	mustEqual(t, got, append([]byte("before"), hexBytes(t, "000a0000060000000040")...))
}

// The payload is a part of the body: no copy of what may be megabytes.
func TestDataPayloadAliases(t *testing.T) {
	p := packetOf(t, hexBytes(t, `000d000006000000 0000 "abc"`))
	var d Data
	if err := d.Decode(p); err != nil {
		t.Fatal(err)
	}
	p.Body[2] = 'X'
	if string(d.Payload) != "Xbc" {
		t.Fatalf("payload %q", d.Payload)
	}
}

func TestShortPacketsRefused(t *testing.T) {
	for name, b := range map[string]string{
		"data without flags":        "0008000006000000",
		"data with half its flags":  "0009000006000000 00",
		"marker of 8":               "000800000c000000",
		"marker of 10":              "000a00000c000000 0100",
		"marker of 12":              "000c00000c000000 01000100",
		"resend of 9":               "000900000b000000 00",
		"control without command":   "000800000e000000",
		"control half a command":    "000900000e000000 00",
		"control without facility":  "000a00000e000000 0008",
		"control without second":    "001200000e000000 0008 00000016 0000311c",
		"control reset with more":   "000b00000e000000 0009 00",
		"control text cut":          `001900000e000000 0008 00000016 0000311d 00000005 "hel"`,
		"control text missing":      "001600000e000000 0008 00000016 0000311d 00000005",
		"control text not expected": `001900000e000000 0008 00000016 0000311c 00000000 "hel"`,
	} {
		_, _, err := decode(packetOf(t, hexBytes(t, b)))
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
		mustFail(t, err, ErrMalformed)
	}
}

func TestControlFillsInTheTextLength(t *testing.T) {
	var got Control
	if err := got.Decode(packetOf(t, encode(Control{Command: ControlInBand, Error: uint32(CodeMessage), Text: "going down"}))); err != nil {
		t.Fatal(err)
	}
	if got.Text != "going down" || got.Second != 10 {
		t.Fatalf("%+v", got)
	}
}

func TestControlTooLong(t *testing.T) {
	w := &wire{}
	c := NewConn(w)
	long := Control{Command: ControlInBand, Error: uint32(CodeMessage), Text: string(make([]byte, 65535))}
	mustFail(t, c.Send(long), ErrTooLong)
	mustFail(t, c.Send(Packet{Type: TypeData, Body: make([]byte, 65528)}), ErrTooLong)
	if w.writes != 0 {
		t.Fatal("something was written")
	}
	c.SetVersion(VersionLargeSDU)
	if err := c.Send(long, Packet{Type: TypeData, Body: make([]byte, 65528)}); err != nil || w.writes != 1 {
		t.Fatalf("%d writes, %v", w.writes, err)
	}
}

// A second Decode into the same value leaves nothing of the first.
func TestDecodeResets(t *testing.T) {
	d, m, r, c := Data{Flags: 1, Payload: []byte("x")}, Marker{1, 1}, Resend{TLS: true}, Control{Text: "x"}
	for _, err := range []error{d.Decode(Packet{Type: TypeData, Body: []byte{0, 0}}), m.Decode(Packet{Type: TypeMarker, Body: []byte{0, 0, 0}}),
		r.Decode(Packet{Type: TypeResend}), c.Decode(Packet{Type: TypeControl, Body: []byte{0, 9}})} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if d.Flags != 0 || d.Payload != nil || m != (Marker{}) || r != (Resend{}) || c != (Control{Command: 9}) {
		t.Fatal(d, m, r, c)
	}
}
