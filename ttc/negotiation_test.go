package ttc

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

func drawCapabilities(t *rapid.T) Capabilities {
	return Capabilities{
		Compile: rapid.SliceOfN(rapid.Byte(), 0, 60).Draw(t, "compile"),
		Runtime: rapid.SliceOfN(rapid.Byte(), 0, 12).Draw(t, "runtime"),
	}
}

func drawDataTypes(t *rapid.T) DataTypes {
	m := DataTypes{
		CharsetIn: rapid.Uint16().Draw(t, "in"), CharsetOut: rapid.Uint16().Draw(t, "out"),
		Flags: rapid.Byte().Draw(t, "flags"), Capabilities: drawCapabilities(t),
	}
	if m.hasTimeZone() {
		m.TimeZone = rapid.SliceOfN(rapid.Byte(), 11, 11).Draw(t, "zone")
	}
	if m.hasZoneFile() {
		m.ZoneFile = rapid.Uint32().Draw(t, "zone file")
	}
	if rapid.Bool().Draw(t, "national") {
		m.NationalCharset = CharsetUTF16
	}
	m.Types = []Representation{{1, 1, 1}}
	for range rapid.IntRange(0, 30).Draw(t, "types") {
		rep := Representation{Type: rapid.Uint16Min(1).Draw(t, "type"), As: rapid.Uint16().Draw(t, "as")}
		if rep.As != 0 {
			rep.Form = rapid.Uint16().Draw(t, "form")
		}
		m.Types = append(m.Types, rep)
	}
	return m
}

func TestNegotiationMessages(t *testing.T) {
	codecs := []codec{
		{
			name: "protocol",
			draw: func(t *rapid.T, _ Dialect) any {
				return Protocol{
					Versions: rapid.SliceOfN(rapid.ByteMin(1), 0, 8).Draw(t, "versions"),
					Driver:   rapid.StringMatching(`[ -~]{0,60}`).Draw(t, "driver"),
				}
			},
			encode: func(m any, _ Dialect) []byte { v := m.(Protocol); return v.AppendTo(nil) },
			decode: func(r *Reader, _ any, _ Dialect) any { var v Protocol; r.Byte(); v.Decode(r); return v },
		},
		{
			name: "protocol reply",
			draw: func(t *rapid.T, _ Dialect) any {
				return ProtocolReply{
					Version: 6, Banner: rapid.StringMatching(`[ -~]{0,47}`).Draw(t, "banner"), Charset: rapid.Uint16().Draw(t, "charset"),
					Flags: rapid.Byte().Draw(t, "flags"), NationalCharset: rapid.Uint16().Draw(t, "national"), Capabilities: drawCapabilities(t),
				}
			},
			encode: func(m any, _ Dialect) []byte { v := m.(ProtocolReply); return v.AppendTo(nil) },
			decode: func(r *Reader, _ any, _ Dialect) any { var v ProtocolReply; r.Byte(); v.Decode(r); return v },
		},
		{
			name:   "data types",
			draw:   func(t *rapid.T, _ Dialect) any { return drawDataTypes(t) },
			encode: func(m any, _ Dialect) []byte { v := m.(DataTypes); return v.AppendTo(nil) },
			decode: func(r *Reader, _ any, _ Dialect) any { var v DataTypes; r.Byte(); v.Decode(r); return v },
		},
	}
	for _, c := range codecs {
		t.Run(c.name, func(t *testing.T) { rapid.Check(t, func(t *rapid.T) { checkCodec(t, c) }) })
	}
}

// The server's answer repeats the client's list, with or without a time zone
// before it, and nothing of it passes cut short.
func TestDataTypesReply(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawDataTypes(t)
		reply := m.AppendReply(nil)
		r := NewReader(reply[1:])
		types := m.DecodeReply(r)
		if diff := compare(m.Types, types); r.Err() != nil || r.Buffered() != 0 || diff != "" {
			t.Fatalf("error %v, %d left, difference:\n%s", r.Err(), r.Buffered(), diff)
		}
		r = NewReader(reply[1:rapid.IntRange(1, len(reply)-1).Draw(t, "cut")])
		if m.DecodeReply(r); r.Err() == nil {
			t.Fatal("a part passes as a whole reply")
		}
	})
}

// ttc.md 5.3: what the client's message decides.
func TestNegotiate(t *testing.T) {
	node := NewDataTypes(ClientCapabilities(24, true))
	jdbc := NewDataTypes(ClientCapabilities(24, false))
	jdbc.Flags = 1
	jdbc.Types[len(jdbc.Types)-1].Form = representationUniversal
	old := NewDataTypes(Capabilities{Compile: []byte{6, 1, 0, 0, 0, 0, 0, 7}})
	for _, test := range []struct {
		name   string
		server Capabilities
		client *DataTypes
		want   Dialect
	}{
		{"current driver", ServerCapabilities(12, false), node, Dialect{
			FieldVersion: 12, CLRText: true, RawScale: true, EndOfResponse: true, ImplicitPool: true, InBandNotification: true, MaxString: 32767,
		}},
		{"raw text and universal SB1", ServerCapabilities(24, true), jdbc, Dialect{
			FieldVersion: 24, ImplicitPool: true, InBandNotification: true, MaxString: 32767,
		}},
		{"client older than the server", ServerCapabilities(12, false), old, Dialect{
			FieldVersion: 7, CLRText: true, RawScale: true, MaxString: 32767,
		}},
		{"server without long strings", Capabilities{Compile: []byte{6, 1, 0, 0, 0, 0, 0, 8}}, old, Dialect{
			FieldVersion: 7, CLRText: true, RawScale: true, MaxString: 4000,
		}},
	} {
		if diff := compare(test.want, Negotiate(test.server, test.client)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

func TestFastAuth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		server := ServerCapabilities(rapid.SampledFrom([]byte{12, 13, 24}).Draw(t, "server"), false)
		m := FastAuth{
			Protocol:     Protocol{Versions: []byte{6}, Driver: "driver"},
			FieldVersion: rapid.SampledFrom([]byte{13, 24}).Draw(t, "login"),
			DataTypes:    *NewDataTypes(ClientCapabilities(24, true)),
			Header:       Header{Message: MessageFunction, Function: FunctionAuthOne, Sequence: 1},
			Login:        Auth{User: "scott", Mode: AuthLogon, Pairs: drawPairs(t)},
		}
		d := Negotiate(server, &m.DataTypes)
		encoded := m.AppendTo(nil, d)
		var got FastAuth
		r := NewReader(encoded[1:])
		if agreed := got.Decode(r, server); agreed != d {
			t.Fatalf("agreed on %+v, want %+v", agreed, d)
		}
		if diff := compare(m, got); r.Err() != nil || r.Buffered() != 0 || diff != "" {
			t.Fatalf("error %v, %d left, difference:\n%s", r.Err(), r.Buffered(), diff)
		}
		r = NewReader(encoded[1:rapid.IntRange(1, len(encoded)-1).Draw(t, "cut")])
		if got.Decode(r, server); r.Err() == nil {
			t.Fatal("a part passes as a whole message")
		}
	})
}

// ttc.md 17: bytes exchanged with a real driver.
func TestNegotiationVectors(t *testing.T) {
	want := unhex(t, `01 06 00 78 38 36 5f 36 34 2f 4c 69 6e 75 78 20 32 2e 34 2e 78 78 00
		69 03 01 00 00 00 0b 00 00 00 00 00 00 00 00 00 07 d0
		2d 06 01 01 01 ef 0f 01 0c 01 01 01 01 01 01 01 7f ff 03 10 03 03 01 01 ff 01 ff ff 01 0b 01 01 ff
		01 06 0c f6 01 7d 05 0f 04 0d 03 00 00  07 02 01 00 01 18 00 05`)
	if got := NewProtocolReply(ServerCapabilities(12, false)).AppendTo(nil); !bytes.Equal(got, want) {
		t.Errorf("protocol reply\n got % x\nwant % x", got, want)
	}

	request := append(unhex(t, `02 69 03 69 03 03 35`), make([]byte, 53)...)
	copy(request[7:], unhex(t, `06 00 00 00 ea 18 00 0c`))
	request = append(request, unhex(t, `07 02 01 00 00 00 00 05  80 00 00 00 3c 3c 80 00 00 00 00
		00 01 00 01 00 01 00 00  00 02 00 02 00 0a 00 00  00 00`)...)
	var m DataTypes
	r := NewReader(request[1:])
	m.Decode(r)
	if r.Err() != nil || r.Buffered() != 0 {
		t.Fatalf("data types: error %v, %d bytes left", r.Err(), r.Buffered())
	}
	reply := unhex(t, `02 80 00 00 00 3c 3c 3c 80 00 00 00  00 01 00 01 00 01 00 00  00 02 00 02 00 0a 00 00  00 00`)
	if got := m.AppendReply(nil); !bytes.Equal(got, reply) {
		t.Errorf("data types reply\n got % x\nwant % x", got, reply)
	}
}
