package ttc

import (
	"testing"
)

// The fuzz targets feed arbitrary bytes to every decoder, in dialects that the
// first byte chooses. None may panic, loop or allocate much; what decodes must
// encode and decode again to the same.

func fuzzDialect(choice byte) Dialect {
	return Dialect{
		FieldVersion: []byte{7, 9, 12, 24}[choice&3],
		CLRText:      choice&4 != 0,
		RawScale:     choice&8 != 0,
		MaxString:    32767,
	}
}

// again encodes and decodes what was decoded.
func again(t *testing.T, c codec, m any, d Dialect) {
	r := NewReader(c.encode(m, d))
	got := c.decode(r, m, d)
	if diff := compare(m, got); r.Err() != nil || diff != "" {
		t.Fatalf("%s: encoded and decoded again: error %v, difference:\n%s", c.name, r.Err(), diff)
	}
}

func FuzzClientMessages(f *testing.F) {
	for choice := range byte(len(clientCodecs())) {
		f.Add(choice, byte(6), []byte{1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	}
	execute := Execute{Options: 0x8069, SQL: []byte("select :1 from dual"), Binds: []Bind{{Type: TypeNumber, Size: 22}}, IsQuery: true}
	f.Add(byte(1), byte(6), execute.AppendTo(nil, fuzzDialect(6)))
	lob := LOBCall{Operation: LOBWrite, Source: make([]byte, 40), SourceOffset: 1, Data: []byte("text")}
	f.Add(byte(12), byte(6), lob.AppendTo(nil, fuzzDialect(6)))
	f.Fuzz(func(t *testing.T, which, choice byte, data []byte) {
		codecs := clientCodecs()
		c := codecs[int(which)%len(codecs)]
		d := fuzzDialect(choice)
		r := NewReader(data)
		if m := c.decode(r, nil, d); r.Err() == nil {
			again(t, c, m, d)
		}
	})
}

func FuzzServerMessages(f *testing.F) {
	for choice := range byte(len(serverCodecs())) {
		f.Add(choice, byte(6), []byte{4, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	}
	end := CallEnd{Code: 942, Text: "ORA-00942", Batch: []BatchError{{Code: 1, Row: 2, Text: "x"}}}
	f.Add(byte(0), byte(6), end.AppendTo(nil, fuzzDialect(6)))
	f.Fuzz(func(t *testing.T, which, choice byte, data []byte) {
		codecs := serverCodecs()
		c := codecs[int(which)%len(codecs)]
		r := NewReader(data)
		// Servers other than ours may put into fields what ours never does, so
		// decoding is all that can be asked.
		c.decode(r, Parameters{RowCounts: []uint64{}}, fuzzDialect(choice))
	})
}

func FuzzNegotiation(f *testing.F) {
	f.Add((&Protocol{Versions: []byte{6}, Driver: "x"}).AppendTo(nil))
	f.Add(NewProtocolReply(ServerCapabilities(12, false)).AppendTo(nil))
	f.Add(NewDataTypes(ClientCapabilities(24, true)).AppendTo(nil))
	login := FastAuth{Protocol: Protocol{Versions: []byte{6}}, DataTypes: *NewDataTypes(ClientCapabilities(24, true)), Login: Auth{User: "U"}}
	f.Add(login.AppendTo(nil, Dialect{FieldVersion: 13}))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) == 0 {
			return
		}
		server := ServerCapabilities(12, false)
		var protocol Protocol
		protocol.Decode(NewReader(data[1:]))
		var reply ProtocolReply
		reply.Decode(NewReader(data[1:]))
		var types DataTypes
		r := NewReader(data[1:])
		if types.Decode(r); r.Err() == nil {
			Negotiate(server, &types)
			types.DecodeReply(NewReader(types.AppendReply(nil)[1:]))
		}
		var all FastAuth
		all.Decode(NewReader(data[1:]), server)
	})
}

func FuzzBindRow(f *testing.F) {
	f.Add(byte(6), []byte{1, 112, 102, 252}, []byte{7, 2, 0xc1, 8, 1, 1, 1, 'L', 1, 0, 0xfd, 1})
	f.Add(byte(0), []byte{0x41}, []byte{7, 1, 2, 1, 'a', 0})
	f.Fuzz(func(t *testing.T, choice byte, types, data []byte) {
		if len(types) > 64 {
			return
		}
		row := BindRow{PLSQL: choice&16 != 0}
		for _, b := range types {
			row.Binds = append(row.Binds, Bind{Type: Type(b), Flags: b & BindArray, Size: uint32(b) << 9})
		}
		d := fuzzDialect(choice)
		r := NewReader(data)
		values := row.Decode(r, d)
		if r.Err() != nil || row.Empty() {
			return
		}
		r = NewReader(row.AppendTo(nil, d, values))
		if diff := compare(values, row.Decode(r, d)); r.Err() != nil || diff != "" {
			t.Fatalf("error %v, difference:\n%s", r.Err(), diff)
		}
	})
}

func FuzzCells(f *testing.F) {
	f.Add(byte(TypeNumber), true, []byte{2, 0xc1, 8})
	f.Add(byte(TypeRowID), false, []byte{14, 1, 1, 0, 0, 1, 1, 1, 1})
	f.Fuzz(func(_ *testing.T, kind byte, prefetch bool, data []byte) {
		c := Cell{Type: Type(kind), Prefetch: prefetch}
		c.Decode(NewReader(data))
		c.DecodeLOB(NewReader(data))
		call := LOBCall{Source: make([]byte, 40), HasAmount: prefetch, WantNull: kind&1 != 0}
		var reply LOBReply
		reply.Decode(NewReader(data), &call, fuzzDialect(kind))
	})
}

func FuzzValues(f *testing.F) {
	f.Add([]byte{0xc1, 8}, "-12.5e3")
	f.Add([]byte{0x80, 1, 0x30}, "1e-130") // too small, hidden behind a zero
	f.Add([]byte{0x78, 0x7e, 0x0b, 0x15, 3, 0x1d, 0x39, 0, 0, 0, 0, 0x14, 0x3c}, "AAASNFAAEAAAACDAAH")
	f.Add([]byte{0xc7, 0xc7, 12, 31, 24, 1, 1, 0, 0, 0, 0, 0x4f, 0x3c}, "0") // the last hour of year 9999 at -05:00
	f.Add([]byte{0x35, 0x58, 1, 1, 2, 1, 1, 0, 0, 0, 0, 0x59, 0x3c}, "0")    // the first of year -4712 at +05:00
	f.Add([]byte("0000000000000000000000"), "0")                             // one byte more than a NUMBER has
	f.Fuzz(func(t *testing.T, data []byte, text string) {
		if number, err := DecodeNumber(data); err == nil {
			if encoded, err := AppendNumber(nil, number); err != nil {
				t.Fatalf("% x is %s, which cannot be encoded: %v", data, number, err)
			} else if back, err := DecodeNumber(encoded); err != nil || back != number {
				t.Fatalf("%s came back as %s, error %v", number, back, err)
			}
		}
		if encoded, err := AppendNumber(nil, text); err == nil {
			if _, err := DecodeNumber(encoded); err != nil {
				t.Fatalf("%s is % x, which cannot be decoded: %v", text, encoded, err)
			}
		}
		if at, err := DecodeTime(data); err == nil && len(data) == timestampTZLength {
			if back, err := DecodeTime(AppendTimestampTZ(nil, at)); err != nil || !back.Equal(at) {
				t.Fatalf("%v came back as %v, error %v", at, back, err)
			}
		}
		if id, err := ParseRowID(text); err == nil && id.String() != text && id != (RowID{}) {
			t.Fatalf("%s came back as %s", text, id)
		}
		Characters(data, FormNational)
		DecodeBinaryFloat(data)
		DecodeBinaryDouble(data)
	})
}

func FuzzAuth(f *testing.F) {
	challenge := NewChallenge(NewVerifier11g("tiger"), false)
	f.Add("00112233445566778899AABBCCDDEEFF", "00112233445566778899AABBCCDDEEFF")
	f.Add(challenge.Pairs()[0].Value, "")
	f.Fuzz(func(t *testing.T, key, password string) {
		answer := Auth{Pairs: []Pair{{Key: KeySessionKey, Value: key}, {Key: KeyPassword, Value: password}, {Key: KeyNewPassword, Value: password}}}
		if _, _, err := challenge.Check(&answer); err == nil {
			t.Fatal("logged in without the password")
		}
		AnswerChallenge("tiger", &AuthReply{Pairs: []Pair{
			{Key: KeySessionKey, Value: key}, {Key: KeyCSKSalt, Value: password}, {Key: KeyVerifierData, Value: "00", Flags: uint32(Verifier11g)},
		}})
	})
}
