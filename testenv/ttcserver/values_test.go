package ttcserver

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"servicebroker/testenv/sqlengine"
	"servicebroker/ttc"
)

func codeOf(err error) int {
	var e *sqlengine.Error
	if errors.As(err, &e) {
		return e.Code
	}
	if err != nil {
		return -1
	}
	return 0
}

func TestBindValues(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 600, time.UTC)
	s := &session{}
	locator := s.lobs.add(&lob{character: true, data: []byte("content")})
	for _, test := range []struct {
		bind ttc.Bind
		raw  []byte
		want sqlengine.Value
		code int
	}{
		{ttc.Bind{Type: ttc.TypeVarchar, Form: 1}, []byte("x"), "x", 0},
		{ttc.Bind{Type: ttc.TypeCharZ, Form: 1}, []byte("x"), "x", 0},
		{ttc.Bind{Type: ttc.TypeLongVarchar, Form: 1}, []byte("x"), "x", 0},
		{ttc.Bind{Type: ttc.TypeVarchar, Form: 2}, []byte{0, 'x'}, "x", 0},
		{ttc.Bind{Type: ttc.TypeURowID}, []byte("AAA"), "AAA", 0},
		{ttc.Bind{Type: ttc.TypeVarchar}, nil, nil, 0},
		{ttc.Bind{Type: ttc.TypeVarNum}, []byte{0xc1, 8}, sqlengine.Number("7"), 0},
		{ttc.Bind{Type: ttc.TypeNumber}, []byte{0xc1, 0xff}, nil, 1722},
		{ttc.Bind{Type: ttc.TypeTimestampOld}, ttc.AppendTimestamp(nil, at), at, 0},
		{ttc.Bind{Type: ttc.TypeDate}, []byte{1, 2, 3}, nil, 1841},
		{ttc.Bind{Type: ttc.TypeBinaryFloat}, ttc.AppendBinaryFloat(nil, 1.5), float32(1.5), 0},
		{ttc.Bind{Type: ttc.TypeBinaryDouble}, ttc.AppendBinaryDouble(nil, 1.5), 1.5, 0},
		{ttc.Bind{Type: ttc.TypeBinaryDouble}, []byte{1}, nil, 1722},
		{ttc.Bind{Type: ttc.TypeBoolean}, []byte{1, 1}, true, 0},
		{ttc.Bind{Type: ttc.TypeBoolean}, []byte{0}, false, 0},
		{ttc.Bind{Type: ttc.TypeCursor}, []byte{1, 5}, nil, 0},
		{ttc.Bind{Type: 109}, []byte{1}, nil, 932},
		{ttc.Bind{Type: ttc.TypeCLOB}, []byte("no locator"), nil, 22922},
		{ttc.Bind{Type: ttc.TypeVarchar, Flags: ttc.BindArray}, nil, nil, 3001},
	} {
		got, err := s.bindValue(&test.bind, ttc.Value{Bytes: test.raw})
		if codeOf(err) != test.code {
			t.Errorf("type %d: error %v, want %d", test.bind.Type, err, test.code)
			continue
		}
		if when, ok := test.want.(time.Time); ok {
			if !got.(time.Time).Equal(when) {
				t.Errorf("type %d: %v, want %v", test.bind.Type, got, when)
			}
		} else if got != test.want {
			t.Errorf("type %d: %#v, want %#v", test.bind.Type, got, test.want)
		}
	}
	got, err := s.bindValue(&ttc.Bind{Type: ttc.TypeCLOB}, ttc.Value{Bytes: locator})
	if content, ok := got.(sqlengine.LOB); err != nil || !ok || !content.Character || string(content.Data) != "content" {
		t.Errorf("a locator gives %#v, error %v", got, err)
	}
	if raw, err := s.bindValue(&ttc.Bind{Type: ttc.TypeVarRaw}, ttc.Value{Bytes: []byte{1}}); err != nil || !bytes.Equal(raw.([]byte), []byte{1}) {
		t.Errorf("raw: %v, error %v", raw, err)
	}
}

// Values of columns in each form a client may ask for.
func TestCellValues(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600))
	num := func(text string) []byte { return number(text).Bytes }
	for _, test := range []struct {
		as    ttc.Type
		form  byte
		value sqlengine.Value
		want  []byte
		code  int
	}{
		{ttc.TypeNumber, 0, sqlengine.Number("12.5"), num("12.5"), 0},
		{ttc.TypeNumber, 0, " 7 ", num("7"), 0},
		{ttc.TypeNumber, 0, 2.5, num("2.5"), 0},
		{ttc.TypeNumber, 0, float32(2.5), num("2.5"), 0},
		{ttc.TypeNumber, 0, true, num("1"), 0},
		{ttc.TypeNumber, 0, false, num("0"), 0},
		{ttc.TypeNumber, 0, "seven", nil, 1722},
		{ttc.TypeNumber, 0, at, nil, 932},
		{ttc.TypeVarchar, 1, "é", []byte("é"), 0},
		{ttc.TypeVarchar, 2, "é", []byte{0, 0xe9}, 0},
		{ttc.TypeVarchar, 1, sqlengine.Number("12.5"), []byte("12.5"), 0},
		{ttc.TypeVarchar, 1, []byte{1, 0xff}, []byte("01FF"), 0},
		{ttc.TypeVarchar, 1, at, []byte("02-JAN-26"), 0},
		{ttc.TypeVarchar, 1, 0.1, []byte("0.1"), 0},
		{ttc.TypeVarchar, 1, float32(0.1), []byte("0.1"), 0},
		{ttc.TypeVarchar, 1, true, []byte("TRUE"), 0},
		{ttc.TypeLong, 1, sqlengine.LOB{Character: true, Data: []byte("long")}, []byte("long"), 0},
		{ttc.TypeLong, 1, sqlengine.LOB{Data: []byte{1}}, []byte("01"), 0},
		{ttc.TypeLongRaw, 0, sqlengine.LOB{Data: []byte{1}}, []byte{1}, 0},
		{ttc.TypeRaw, 0, "text", []byte("text"), 0},
		{ttc.TypeRaw, 0, 1.5, nil, 932},
		{ttc.TypeDate, 0, at, ttc.AppendDate(nil, at), 0},
		{ttc.TypeTimestampLTZ, 0, at, ttc.AppendTimestamp(nil, at), 0},
		{ttc.TypeTimestampTZ, 0, at, ttc.AppendTimestampTZ(nil, at), 0},
		{ttc.TypeDate, 0, "today", nil, 932},
		{ttc.TypeBinaryDouble, 0, sqlengine.Number("1.5"), ttc.AppendBinaryDouble(nil, 1.5), 0},
		{ttc.TypeBinaryFloat, 0, 1.5, ttc.AppendBinaryFloat(nil, 1.5), 0},
		{ttc.TypeBinaryDouble, 0, "x", nil, 1722},
		{ttc.TypeBoolean, 0, true, []byte{1, 1}, 0},
		{ttc.TypeBoolean, 0, false, []byte{0}, 0},
		{ttc.TypeIntervalDS, 0, "1", nil, 932},
		{ttc.TypeNumber, 0, nil, nil, 0},
	} {
		e := encoder{lobs: &lobStore{}}
		got, err := e.raw(test.as.Base(), test.form, test.value)
		if codeOf(err) != test.code || err == nil && !bytes.Equal(got, test.want) {
			t.Errorf("%#v as type %d: % x, error %v; want % x, %d", test.value, test.as, got, err, test.want, test.code)
		}
	}
}

func TestDescribeColumns(t *testing.T) {
	for _, test := range []struct {
		column sqlengine.Column
		want   ttc.Column
	}{
		{sqlengine.Column{Name: "A", Type: sqlengine.TypeVarchar, Size: 10, Nullable: true},
			ttc.Column{Name: "A", Type: ttc.TypeVarchar, Size: 40, Characters: 10, Charset: 873, Form: 1, Nullable: true}},
		{sqlengine.Column{Name: "B", Type: sqlengine.TypeVarchar},
			ttc.Column{Name: "B", Type: ttc.TypeVarchar, Size: 16000, Characters: 4000, Charset: 873, Form: 1}},
		{sqlengine.Column{Name: "C", Type: sqlengine.TypeVarchar, Size: 1 << 20},
			ttc.Column{Name: "C", Type: ttc.TypeVarchar, Size: 32767, Characters: 32767, Charset: 873, Form: 1}},
		{sqlengine.Column{Name: "D", Type: sqlengine.TypeNumber, Scale: -127}, ttc.Column{Name: "D", Type: ttc.TypeNumber, Size: 22, Scale: -127}},
		{sqlengine.Column{Name: "E", Type: sqlengine.TypeTimestamp, Scale: 6}, ttc.Column{Name: "E", Type: ttc.TypeTimestamp, Size: 11, Scale: 6}},
		{sqlengine.Column{Name: "F", Type: sqlengine.TypeRaw}, ttc.Column{Name: "F", Type: ttc.TypeRaw, Size: 4000}},
		{sqlengine.Column{Name: "G", Type: sqlengine.TypeCLOB}, ttc.Column{Name: "G", Type: ttc.TypeCLOB, Size: 4000, Charset: 873, Form: 1}},
		{sqlengine.Column{Name: "H", Type: sqlengine.TypeLong}, ttc.Column{Name: "H", Type: ttc.TypeLong, Size: 1<<31 - 1, Charset: 873, Form: 1}},
		{sqlengine.Column{Name: "I", Type: sqlengine.TypeRowID}, ttc.Column{Name: "I", Type: ttc.TypeRowID, Size: 18}},
	} {
		if got := describe(test.column); got != test.want {
			t.Errorf("got %+v, want %+v", got, test.want)
		}
	}
}

// What a column becomes whose type changed since the client was told of it.
func TestChangedCells(t *testing.T) {
	for _, test := range []struct {
		now, before, want ttc.Type
		undefined         bool
	}{
		{ttc.TypeNumber, ttc.TypeVarchar, ttc.TypeNumber, false},
		{ttc.TypeCLOB, ttc.TypeVarchar, ttc.TypeLong, false},
		{ttc.TypeCLOB, ttc.TypeNumber, ttc.TypeCLOB, true},
		{ttc.TypeBLOB, ttc.TypeRaw, ttc.TypeLongRaw, false},
		{ttc.TypeBLOB, ttc.TypeVarchar, ttc.TypeBLOB, true},
	} {
		if got := cellOf(ttc.Column{Type: test.now}).after(test.before); got.Type != test.want || got.undefined != test.undefined {
			t.Errorf("type %d after %d: %+v", test.now, test.before, got)
		}
	}
}

// ROWIDs come as such also when drivers define them as text, of a size that
// gives them away.
func TestRowIDs(t *testing.T) {
	c := newWorld(t, nil).dial(Login{})
	c.exec("create table t (n number, c clob)", options{})
	_, r := c.exec("insert into t values (1, 'x')", options{})
	inserted := r.must(c).end.RowID.String()
	_, r = c.exec("select rowid r from t", options{prefetch: 1})
	if got := show(r.must(c)); got != inserted || len(got) != 18 {
		t.Errorf("ROWID %s, inserted was %s", got, inserted)
	}
	for size, as := range map[uint32]ttc.Type{rowIDDefineNode: ttc.TypeRowID, rowIDDefinePython: ttc.TypeRowID, 18: ttc.TypeVarchar} {
		cur, r := c.exec("select rowid r, c from t", options{})
		r.must(c)
		defines := []ttc.Bind{textBind(size), {Type: ttc.TypeLong, Form: 1}}
		m := ttc.Execute{Options: ttc.OptionDefine | ttc.OptionFetch | ttc.OptionNotPLSQL, Cursor: cur.id, PrefetchRows: 1, Defines: defines, IsQuery: true}
		cur.cells = []ttc.Cell{{Type: as}, {Type: ttc.TypeLong}}
		c.send(ttc.AppendCall(nil, c.dialect, ttc.FunctionExecute, &m))
		if got := string(c.answer(cur).rows[0][0].([]byte)); got != inserted {
			t.Errorf("defined with size %d: %s, want %s", size, got, inserted)
		}
	}
	_, r = c.exec("select n from t where rowid = :1", options{binds: []ttc.Bind{textBind(30)}, rows: rowsOf(text(inserted)), prefetch: 2})
	if show(r.must(c)) != "1" {
		t.Errorf("by ROWID: %s", show(r))
	}
}
