package ttc

import (
	"bytes"
	"errors"
	"testing"

	"pgregory.net/rapid"
)

// drawBindRow draws a layout and values that fit it.
func drawBindRow(t *rapid.T) (BindRow, []Value) {
	row := BindRow{Binds: rapid.SliceOfN(rapid.Custom(drawBind), 1, 6).Draw(t, "binds"), PLSQL: rapid.Bool().Draw(t, "PL/SQL")}
	omitted := map[int]bool{}
	values := make([]Value, len(row.Binds))
	for i := range row.Binds {
		b := &row.Binds[i]
		if i > 0 && rapid.IntRange(0, 5).Draw(t, "repeat") == 0 {
			b.Flags |= BindRepeated
		}
		omitted[i] = rapid.IntRange(0, 5).Draw(t, "omit") == 0
		if omitted[i] || b.Flags&BindRepeated != 0 {
			continue
		}
		draw := func() []byte {
			switch b.Type {
			case TypeCursor:
				return appendUB(nil, uint64(rapid.Uint32Min(1).Draw(t, "cursor")))
			case TypeCLOB:
				return rapid.SliceOfN(rapid.Byte(), 0, 120).Draw(t, "locator")
			}
			return drawBytes(t, "value")
		}
		if b.Flags&BindArray == 0 {
			values[i].Bytes = draw()
			continue
		}
		values[i].Elements = [][]byte{}
		for range rapid.IntRange(0, 4).Draw(t, "elements") {
			values[i].Elements = append(values[i].Elements, draw())
		}
	}
	row.Omit = func(i int) bool { return omitted[i] }
	return row, values
}

func TestBindRowRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		row, values := drawBindRow(t)
		checkCodec(t, codec{
			draw:   func(*rapid.T, Dialect) any { return values },
			encode: func(_ any, d Dialect) []byte { return row.AppendTo(nil, d, values) },
			decode: func(r *Reader, _ any, d Dialect) any { return row.Decode(r, d) },
		})
	})
}

// ttc.md 6.1: long values of SQL statements come last, those of blocks do not.
func TestLongBindsLast(t *testing.T) {
	d := Dialect{MaxString: 4000}
	row := BindRow{Binds: []Bind{{Type: TypeVarchar, Size: 4001}, {Type: TypeLongRaw, Size: 1}, {Type: TypeNumber, Size: 22}, {Type: TypeCLOB, Size: 1 << 30}}}
	values := []Value{{Bytes: []byte("a")}, {Bytes: []byte("b")}, {Bytes: []byte("c")}, {Bytes: []byte("d")}}
	if got, want := row.AppendTo(nil, d, values), unhex(t, "07 0163 01010164 0161 0162"); !bytes.Equal(got, want) {
		t.Errorf("SQL: % x, want % x", got, want)
	}
	row.PLSQL = true
	if got, want := row.AppendTo(nil, d, values), unhex(t, "07 0161 0162 0163 01010164"); !bytes.Equal(got, want) {
		t.Errorf("PL/SQL: % x, want % x", got, want)
	}
}

func TestBindRowEmpty(t *testing.T) {
	all := func(int) bool { return true }
	for _, test := range []struct {
		row  BindRow
		want bool
	}{
		{BindRow{}, true},
		{BindRow{Binds: []Bind{{Type: TypeNumber}}}, false},
		{BindRow{Binds: []Bind{{Type: TypeLong}}}, false},
		{BindRow{Binds: []Bind{{Type: TypeNumber, Flags: BindRepeated}}}, true},
		{BindRow{Binds: []Bind{{Type: TypeNumber}}, Omit: all}, true},
	} {
		if got := test.row.Empty(); got != test.want {
			t.Errorf("%+v: %v, want %v", test.row.Binds, got, test.want)
		}
	}
}

func TestSpecialBindValues(t *testing.T) {
	for _, test := range []struct {
		bind  Bind
		bytes string
		want  []byte
	}{
		{Bind{Type: TypeCursor}, "07 01 00", nil},
		{Bind{Type: TypeCursor}, "07 00", nil},
		{Bind{Type: TypeResultSet}, "07 01 01 01 05", []byte{1, 5}},
		{Bind{Type: TypeBoolean}, "07 fd 01", nil},
		{Bind{Type: TypeBoolean}, "07 02 01 01", []byte{1, 1}},
		{Bind{Type: TypeBoolean}, "07 01 00", []byte{0}},
		{Bind{Type: TypeBLOB}, "07 00", nil},
		{Bind{Type: TypeBLOB}, "07 01 03 03 61 62 63", []byte("abc")},
		{Bind{Type: TypeVarchar}, "07 ff", nil},
	} {
		row := BindRow{Binds: []Bind{test.bind}}
		r := NewReader(unhex(t, test.bytes))
		got := row.Decode(r, Dialect{})
		if r.Err() != nil || r.Buffered() != 0 || !bytes.Equal(got[0].Bytes, test.want) {
			t.Errorf("type %d, %s: got % x, error %v, %d bytes left", test.bind.Type, test.bytes, got[0].Bytes, r.Err(), r.Buffered())
		}
	}
	r := NewReader([]byte{9})
	if (&BindRow{Binds: []Bind{{Type: TypeNumber}}}).Decode(r, Dialect{}); !errors.Is(r.Err(), ErrMalformed) {
		t.Errorf("a row without its message code gives %v", r.Err())
	}
}

func TestCellsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := Cell{
			Type: rapid.SampledFrom([]Type{TypeVarchar, TypeNumber, TypeLong, TypeLongRaw, TypeRowID, TypeLongVarchar}).Draw(t, "type"),
			Null: rapid.IntRange(0, 9).Draw(t, "null") == 0,
		}
		value := drawBytes(t, "value")
		if c.Type == TypeRowID {
			value = []byte(RowID{Object: 7, Block: 9}.String())
		}
		if c.Null {
			value = nil
		}
		encoded := c.Append(nil, value)
		r := NewReader(encoded)
		if got := c.Decode(r); r.Err() != nil || r.Buffered() != 0 || !bytes.Equal(got, value) {
			t.Fatalf("type %d: got % x, error %v, %d left, want % x", c.Type, got, r.Err(), r.Buffered(), value)
		}

		c = Cell{
			Type: rapid.SampledFrom([]Type{TypeCLOB, TypeBLOB}).Draw(t, "LOB type"), Form: rapid.ByteRange(0, 2).Draw(t, "form"),
			Prefetch: rapid.Bool().Draw(t, "prefetch"), Inline: rapid.Uint32Range(0, 2).Draw(t, "inline"),
		}
		lob := LOBCell{Locator: rapid.SliceOfN(rapid.Byte(), 0, 100).Draw(t, "locator")}
		if len(lob.Locator) > 0 && c.Prefetch {
			lob.Length, lob.Chunk = rapid.Uint64().Draw(t, "length"), rapid.Uint32().Draw(t, "chunk")
			if c.Inline > 0 {
				lob.Data = drawBytes(t, "data")
			}
		}
		r = NewReader(c.AppendLOB(nil, lob))
		got := c.DecodeLOB(r)
		if diff := compare(lob, got); r.Err() != nil || r.Buffered() != 0 || diff != "" {
			t.Fatalf("LOB: error %v, %d left, difference:\n%s", r.Err(), r.Buffered(), diff)
		}
	})
}

func TestOutValues(t *testing.T) {
	for _, test := range []struct {
		name  string
		value OutValue
		bytes string
	}{
		{"number", OutValue{Cell: Cell{Type: TypeNumber}, Bytes: []byte{0xc1, 8}}, "02 c1 08 00"},
		{"NULL", OutValue{Cell: Cell{Type: TypeVarchar}}, "00 00"},
		{"table", OutValue{Cell: Cell{Type: TypeVarchar}, Array: true, Elements: [][]byte{{'a'}, nil}}, "01 02 01 61 00 00 00"},
		{"LOB", OutValue{Cell: Cell{Type: TypeCLOB, Prefetch: true}, LOB: LOBCell{Locator: []byte("L"), Length: 3, Chunk: 8}}, "01 01 01 03 01 08 01 4c 00"},
		{"rowid as text", OutValue{Cell: Cell{Type: TypeRowID}, Bytes: []byte("AAA")}, "03 41 41 41 00"},
		{"boolean NULL", OutValue{Cell: Cell{Type: TypeBoolean}}, "00 00"},
	} {
		if got, want := test.value.AppendTo(nil), unhex(t, test.bytes); !bytes.Equal(got, want) {
			t.Errorf("%s: % x, want % x", test.name, got, want)
		}
	}
	two := []OutValue{{Cell: Cell{Type: TypeNumber}, Bytes: []byte{0x80}}, {Cell: Cell{Type: TypeNumber}}}
	if got, want := AppendReturning(nil, two), unhex(t, "01 02 01 80 00 00 00"); !bytes.Equal(got, want) {
		t.Errorf("returning: % x, want % x", got, want)
	}
}
