package ttc

import (
	"bytes"
	"testing"
)

// The conversation of ttc.md 17, recorded with a real driver at field version
// 12: what it sent must be understood to the last byte, and what it accepted
// must be what is sent now.
var driverDialect = Dialect{FieldVersion: 12, CLRText: true, RawScale: true, MaxString: 32767}

func TestInsertVector(t *testing.T) {
	call := unhex(t, `11 69 04 01 01 01 01 01  03 5e 05 02 80 29 00 01 01 1c 01 01 0d 00 00 00 01 01 04 7f ff ff ff 01 01 02
		00 00 00 00 00 00 00 00 00 01 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
		1c 69 6e 73 65 72 74 20 69 6e 74 6f 20 68 20 76 61 6c 75 65 73 20 28 3a 31 2c 3a 32 29
		01 01 01 01 00 00 00 00 00 00 00 02 80 00 00 00 00
		02 01 00 00 01 16 00 00 00 00 00 00 00 00  01 01 00 00 01 05 00 00 00 00 02 03 69 01 00 00
		07 02 c1 08 05 73 65 76 65 6e`)
	r := NewReader(call)
	var h Header
	var closed Cursors
	h.Decode(r, MessageCode(r.Byte()), driverDialect)
	closed.Decode(r, driverDialect)
	if h.Function != FunctionCloseCursors || len(closed.IDs) != 1 || closed.IDs[0] != 1 {
		t.Fatalf("piggyback %v of %v, error %v", h.Function, closed.IDs, r.Err())
	}
	var m Execute
	h.Decode(r, MessageCode(r.Byte()), driverDialect)
	m.Decode(r, driverDialect)
	row := BindRow{Binds: m.Binds}
	values := row.Decode(r, driverDialect)
	if r.Err() != nil || r.Buffered() != 0 {
		t.Fatalf("error %v, %d bytes left", r.Err(), r.Buffered())
	}
	want := Execute{
		Options: OptionParse | OptionBind | OptionExecute | OptionNotPLSQL, SQL: []byte("insert into h values (:1,:2)"),
		PrefetchRows: 1, MaxLong: 1<<31 - 1, Iterations: 1, Flags: ExecuteImplicitResults,
		Binds: []Bind{{Type: TypeNumber, Flags: 1, Size: 22}, {Type: TypeVarchar, Flags: 1, Size: 5, Charset: CharsetUTF8, Form: FormImplicit}},
	}
	if m.Options&OptionParse == 0 {
		t.Errorf("options %#x", m.Options)
	}
	if diff := compare(want, m); diff != "" {
		t.Errorf("execute (-want +got):\n%s", diff)
	}
	if diff := compare([]Value{{Bytes: []byte{0xc1, 8}}, {Bytes: []byte("seven")}}, values); diff != "" {
		t.Errorf("binds (-want +got):\n%s", diff)
	}
}

func TestQueryVector(t *testing.T) {
	describe := Describe{Columns: []Column{
		{Name: "ID", Type: TypeNumber, Precision: 5, Size: 22, Nullable: true},
		{Name: "NM", Type: TypeVarchar, Size: 10, Characters: 10, Charset: CharsetUTF8, Form: FormImplicit, Nullable: true},
	}}
	got := describe.AppendTo(nil, driverDialect)
	want := append(append([]byte{0x10, 0x17}, make([]byte, 23)...), unhex(t, `01 20 01 02 01
		02 00 05 00 01 16 00 00 00 00 00 00 00 00 01 02 01 02 02 49 44 00 00 01 01 00
		01 00 00 00 01 0a 00 00 00 00 02 03 69 01 01 0a 00 01 02 01 02 02 4e 4d 00 00 01 02 00
		00 00 02 1f e8 01 02 01 02 00`)...)
	if !bytes.Equal(got, want) {
		t.Errorf("describe\n got % x\nwant % x", got, want)
	}
	if got, want := (&RowHeader{Columns: 1, Requested: 2}).AppendTo(nil, driverDialect), unhex(t, "06 22 01 01 00 01 02 00 00 00"); !bytes.Equal(got, want) {
		t.Errorf("row header % x, want % x", got, want)
	}
}

func TestReexecuteVector(t *testing.T) {
	r := NewReader(unhex(t, "03 4e 08 01 03 01 02 01 20 00 07 02 c1 08"))
	var h Header
	var m Reexecute
	h.Decode(r, MessageCode(r.Byte()), driverDialect)
	m.Decode(r, driverDialect)
	values := (&BindRow{Binds: []Bind{{Type: TypeNumber}}}).Decode(r, driverDialect)
	if r.Err() != nil || r.Buffered() != 0 || h.Function != FunctionReexecuteFetch ||
		m != (Reexecute{Cursor: 3, Iterations: 2, Options1: OptionExecute}) || !bytes.Equal(values[0].Bytes, []byte{0xc1, 8}) {
		t.Errorf("%v %+v %v, error %v", h.Function, m, values, r.Err())
	}
}

func TestEndVectors(t *testing.T) {
	end := CallEnd{Code: 942, Text: "ORA-00942: table or view does not exist\n", Cursor: 4, Position: 14, Sequence: 8}
	r := NewReader(end.AppendTo(nil, driverDialect))
	if got, want := r.Bytes(15), unhex(t, "04 01 01 01 08 00 02 03 ae 00 00 01 04 01 0e"); !bytes.Equal(got, want) {
		t.Errorf("error % x, want % x", got, want)
	}
	released := CallEnd{Status: StatusReleased, Sequence: 3}
	if got, want := released.AppendTo(nil, driverDialect)[:6], unhex(t, "04 02 80 01 01 03"); !bytes.Equal(got, want) {
		t.Errorf("release % x, want % x", got, want)
	}
	committed := Status{Sequence: 5}
	if got, want := committed.AppendTo(nil, driverDialect), unhex(t, "09 01 01 01 05"); !bytes.Equal(got, want) {
		t.Errorf("status % x, want % x", got, want)
	}
	changed := SessionReturn{Changed: true, SessionID: 102, Serial: 7002}
	if got, want := changed.AppendTo(nil, driverDialect), unhex(t, "17 04 00 00 00 01 04 01 66 02 1b 5a"); !bytes.Equal(got, want) {
		t.Errorf("session return % x, want % x", got, want)
	}
	language := SessionSync{Properties: []Property{{Keyword: KeywordLanguage, Value: "AMERICAN"}}}
	if got, want := language.AppendTo(nil, driverDialect), unhex(t, "17 05 01 01 10 01 01 01 00 01 08 08 41 4d 45 52 49 43 41 4e 01 10 00"); !bytes.Equal(got, want) {
		t.Errorf("session sync % x, want % x", got, want)
	}
}

func TestReleaseVectors(t *testing.T) {
	for _, test := range []struct {
		bytes string
		mode  uint32
	}{{"1a a3 04 00 00 00", 0}, {"1a a3 04 00 00 01 02", ReleaseDeauthenticate}} {
		r := NewReader(unhex(t, test.bytes))
		var h Header
		var m SessionRelease
		h.Decode(r, MessageCode(r.Byte()), driverDialect)
		m.Decode(r, driverDialect)
		if r.Err() != nil || r.Buffered() != 0 || h.Function != FunctionSessionRelease || m.Mode != test.mode {
			t.Errorf("%s: %v %+v, error %v", test.bytes, h.Function, m, r.Err())
		}
	}
}

// The scale of a NUMBER without one, in both dialects (ttc.md 17).
func TestScaleVectors(t *testing.T) {
	c := Column{Type: TypeNumber, Scale: noScale, Size: 22}
	if got, want := c.appendTo(nil, driverDialect, 1)[:6], unhex(t, "02 00 00 81 01 16"); !bytes.Equal(got, want) {
		t.Errorf("raw: % x, want % x", got, want)
	}
	if got, want := c.appendTo(nil, Dialect{FieldVersion: 11}, 1)[:7], unhex(t, "02 00 00 81 7f 01 16"); !bytes.Equal(got, want) {
		t.Errorf("variable: % x, want % x", got, want)
	}
}
