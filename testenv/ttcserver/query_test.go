package ttcserver

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"servicebroker/ttc"
)

// make a table of numbers n = 1 … rows with a text each.
func (c *client) fill(name string, rows int) {
	c.t.Helper()
	_, r := c.exec("create table "+name+" (n number(10), t varchar2(30))", options{})
	r.must(c)
	values := make([][]ttc.Value, rows)
	for i := range values {
		values[i] = []ttc.Value{number(fmt.Sprint(i + 1)), text(fmt.Sprint("row ", i+1))}
	}
	_, r = c.exec("insert into "+name+" values (:1, :2)", options{binds: []ttc.Bind{numberBind(), textBind(30)}, rows: values, set: ttc.OptionCommit})
	if r.must(c).end.Rows != uint64(rows) {
		c.t.Fatalf("%d rows inserted, want %d", r.end.Rows, rows)
	}
}

func TestQueryInPieces(t *testing.T) {
	c := newWorld(t, nil).dial(Login{})
	c.fill("t", 10)
	cur, r := c.exec("select n, t from t order by n", options{prefetch: 2})
	if got := show(r.must(c)); got != "1,row 1 2,row 2" || r.end.Code != 0 || r.end.Rows != 2 || r.parameters.Cursor != cur.id {
		t.Errorf("first rows %s, end %+v", got, r.end)
	}
	if r.columns[0].Name != "N" || r.columns[0].Precision != 10 || r.columns[1].Name != "T" || r.columns[1].Characters != 30 || !r.columns[1].Nullable {
		t.Errorf("columns %+v", r.columns)
	}
	more := c.fetch(cur, 5)
	more.columns = r.columns
	if got := show(more); got != "3,row 3 4,row 4 5,row 5 6,row 6 7,row 7" || more.end.Rows != 7 {
		t.Errorf("second rows %s, %d in all", got, more.end.Rows)
	}
	last := c.fetch(cur, 100).want(c, ttc.CodeNoDataFound)
	if len(last.rows) != 3 || last.end.Rows != 10 {
		t.Errorf("last %d rows, %d in all", len(last.rows), last.end.Rows)
	}
	if after := c.fetch(cur, 100).want(c, ttc.CodeNoDataFound); len(after.rows) != 0 {
		t.Errorf("%d rows after the last", len(after.rows))
	}
}

// Exactly as many rows as asked for: the next fetch tells that there are no
// more.
func TestQueryExactly(t *testing.T) {
	c := newWorld(t, nil).dial(Login{})
	c.fill("t", 3)
	cur, r := c.exec("select n from t", options{prefetch: 3})
	if r.must(c); len(r.rows) != 3 {
		t.Errorf("%d rows", len(r.rows))
	}
	if r := c.fetch(cur, 3).want(c, ttc.CodeNoDataFound); len(r.rows) != 0 || r.end.Rows != 3 {
		t.Errorf("%d rows more, %d in all", len(r.rows), r.end.Rows)
	}
	if _, r := c.exec("select n from t where n > 3", options{prefetch: 3}); len(r.want(c, ttc.CodeNoDataFound).rows) != 0 {
		t.Errorf("%d rows of an empty result", len(r.rows))
	}
	cur, r = c.exec("select n from t", options{}) // no rows asked for
	if r.want(c, 0); len(r.rows) != 0 || !r.described {
		t.Errorf("%d rows, described %v", len(r.rows), r.described)
	}
	if r := c.fetch(cur, 4).want(c, ttc.CodeNoDataFound); len(r.rows) != 3 {
		t.Errorf("%d rows", len(r.rows))
	}
}

// Several cursors are open at once and do not disturb each other.
func TestManyCursors(t *testing.T) {
	c := newWorld(t, nil).dial(Login{})
	c.fill("t", 30)
	var cursors []*cursorState
	for i := range 5 {
		cur, r := c.exec(fmt.Sprintf("select n from t where n > %d order by n", i), options{prefetch: 1})
		r.must(c)
		cursors = append(cursors, cur)
	}
	for k := range 3 {
		for i, cur := range cursors {
			r := c.fetch(cur, 1)
			if n, err := ttc.DecodeNumber(r.rows[0][0].([]byte)); err != nil || n != fmt.Sprint(i+k+2) {
				t.Errorf("cursor %d gives %s, want %d", i, n, i+k+2)
			}
		}
	}
	closed := ttc.AppendPiggyback(nil, c.dialect, ttc.FunctionCloseCursors, &ttc.Cursors{IDs: []uint32{cursors[0].id, 9999}})
	cancelled := ttc.AppendPiggyback(closed, c.dialect, ttc.FunctionCancelCursors, &ttc.Cursors{IDs: []uint32{cursors[1].id}})
	c.send(ttc.AppendCall(cancelled, c.dialect, ttc.FunctionPing, nil))
	c.answer(&cursorState{})
	c.fetch(cursors[0], 1).want(c, 1001)
	c.fetch(cursors[1], 1).want(c, ttc.CodeNoDataFound)
	c.fetch(cursors[2], 1).want(c, 0)
	c.fetch(&cursorState{id: 12345}, 1).want(c, 1001)
	c.again(&cursorState{id: 12345}, 1).want(c, 1001)
	if r := c.again(cursors[1], 2).want(c, 0); len(r.rows) != 2 {
		t.Error("a cancelled cursor does not run again")
	}
}

// JDBC parses statement after statement in one cursor, whatever became of the
// one before.
func TestCursorOutlivesBadStatement(t *testing.T) {
	c := newWorld(t, nil).dial(Login{})
	c.fill("t", 2)
	cur, r := c.exec("insert into t(n) values(0)", options{})
	r.must(c)
	id := cur.id
	for _, sql := range []string{"select * from nosuch", "selec 1", "select nosuch from t"} {
		_, r = c.exec(sql, options{cursor: cur, set: ttc.OptionParse})
		if r.end.Code < 900 || r.end.Code > 999 {
			t.Errorf("%s: %d", sql, r.end.Code)
		}
		cur.id = id
		_, r = c.exec("select n from t order by n", options{cursor: cur, set: ttc.OptionParse, prefetch: 9})
		if r.must(c); len(r.rows) != 3 {
			t.Errorf("after %s there are %d rows", sql, len(r.rows))
		}
	}
	bad, r := c.exec("select * from nosuch", options{})
	if r.end.Code != 942 || r.end.Cursor != 0 {
		t.Errorf("a new cursor gives %d and stays as %d", r.end.Code, bad.id)
	}
}

func TestReexecute(t *testing.T) {
	c := newWorld(t, nil).dial(Login{})
	c.fill("t", 9)
	one := []ttc.Bind{numberBind()}
	cur, r := c.exec("select t from t where n = :n", options{binds: one, rows: [][]ttc.Value{{number("1")}}, prefetch: 2})
	if show(r.must(c)) != "row 1" {
		t.Fatal(show(r))
	}
	for n := 2; n < 6; n++ {
		r := c.again(cur, 2, []ttc.Value{number(fmt.Sprint(n))}).must(c)
		if got := show(r); got != fmt.Sprint("row ", n) || r.described {
			t.Errorf("run %d gives %s, described %v", n, got, r.described)
		}
	}
	if r := c.again(cur, 0, []ttc.Value{number("7")}).want(c, 0); len(r.rows) != 0 {
		t.Errorf("%d rows without fetching", len(r.rows))
	}
	if r := c.fetch(cur, 5); show(r) != "row 7" {
		t.Errorf("fetched %s", show(r))
	}
}

// A bind of another type changes the column, and the client is told.
func TestColumnChanges(t *testing.T) {
	c := newWorld(t, nil).dial(Login{})
	cur, r := c.exec("select :1 a, 5 b from dual", options{binds: []ttc.Bind{numberBind()}, rows: [][]ttc.Value{{number("1.5")}}, prefetch: 1})
	if got := show(r.must(c)); got != "1.5,5" {
		t.Error(got)
	}
	_, r = c.exec("select", options{cursor: cur, binds: []ttc.Bind{textBind(10)}, rows: [][]ttc.Value{{text("abc")}}, prefetch: 1})
	if got := show(r.must(c)); got != "abc,5" || !r.described {
		t.Errorf("%s, described %v", got, r.described)
	}
	columns := r.columns
	_, r = c.exec("select", options{cursor: cur, binds: []ttc.Bind{textBind(10)}, rows: [][]ttc.Value{{text("x")}}, prefetch: 1})
	if r.columns = columns; r.described || show(r) != "x,5" {
		t.Errorf("%s, described %v", show(r), r.described)
	}
}

func TestDescribeOnly(t *testing.T) {
	c := newWorld(t, nil).dial(Login{})
	c.fill("t", 1)
	cur, r := c.exec("select n, t from t where n = :x", options{set: ttc.OptionDescribe, unset: ttc.OptionExecute})
	if r.want(c, 0); len(r.columns) != 2 || len(r.rows) != 0 {
		t.Errorf("columns %+v, rows %v", r.columns, r.rows)
	}
	c.fetch(cur, 1).want(c, 1002)
	_, r = c.exec("insert into t values (:1, 'x')", options{unset: ttc.OptionExecute})
	if r.want(c, 0); r.described || r.end.Cursor == 0 {
		t.Errorf("parsing DML: %+v", r.end)
	}
	if _, r := c.exec("select count(*) a from t", options{prefetch: 1}); show(r) != "1" {
		t.Error("parsing ran the statement")
	}
	_, r = c.exec("select nonsense from t", options{unset: ttc.OptionExecute})
	if r.end.Code == 0 {
		t.Error("nonsense is described")
	}
}

func TestAllTypes(t *testing.T) {
	c := newWorld(t, nil).dial(Login{})
	_, r := c.exec(`create table everything (v varchar2(20), c char(3), n number, n2 number(7,2), d date, ts timestamp, tz timestamp with time zone,
		r raw(10), bf binary_float, bd binary_double)`, options{})
	r.must(c)
	at := time.Date(2026, 11, 21, 2, 28, 56, 123456000, time.FixedZone("", 3600))
	typed := func(kind ttc.Type, size uint32, value []byte) (ttc.Bind, ttc.Value) {
		return ttc.Bind{Type: kind, Flags: 1, Size: size, Form: ttc.FormImplicit}, ttc.Value{Bytes: value}
	}
	var binds []ttc.Bind
	var row []ttc.Value
	add := func(b ttc.Bind, v ttc.Value) { binds, row = append(binds, b), append(row, v) }
	add(ttc.Bind{Type: ttc.TypeVarchar, Flags: 1, Size: 60, Form: ttc.FormNational}, ttc.Value{Bytes: ttc.AppendCharacters(nil, "aé€😀", ttc.FormNational)})
	add(textBind(3), text("xy"))
	add(numberBind(), number("-12345678901234567890.123456789"))
	add(typed(ttc.TypeBinaryInteger, 4, number("4.25").Bytes))
	add(typed(ttc.TypeDate, 7, ttc.AppendDate(nil, at)))
	add(typed(ttc.TypeTimestampOld, 11, ttc.AppendTimestamp(nil, at)))
	add(typed(ttc.TypeTimestampTZ, 13, ttc.AppendTimestampTZ(nil, at)))
	add(typed(ttc.TypeRaw, 10, []byte{0, 1, 255}))
	add(typed(ttc.TypeBinaryFloat, 4, ttc.AppendBinaryFloat(nil, -1.5)))
	add(typed(ttc.TypeBinaryDouble, 8, ttc.AppendBinaryDouble(nil, 1e300)))
	_, r = c.exec("insert into everything values (:1,:2,:3,:4,:5,:6,:7,:8,:9,:10)", options{binds: binds, rows: [][]ttc.Value{row, make([]ttc.Value, 10)}})
	r.must(c)
	_, r = c.exec("select * from everything", options{prefetch: 5})
	r.must(c)
	row[0], row[1], row[3] = text("aé€😀"), text("xy "), number("4.25")
	for i, want := range row {
		if got := r.rows[0][i].([]byte); !bytes.Equal(got, want.Bytes) {
			t.Errorf("column %s: % x, want % x", r.columns[i].Name, got, want.Bytes)
		}
		if r.rows[1][i].([]byte) != nil {
			t.Errorf("column %s: NULL came back as % x", r.columns[i].Name, r.rows[1][i])
		}
		if r.columns[i].Size == 0 {
			t.Errorf("column %s is described with size 0, which means always NULL", r.columns[i].Name)
		}
	}
	for i, want := range []ttc.Type{
		ttc.TypeVarchar, ttc.TypeChar, ttc.TypeNumber, ttc.TypeNumber, ttc.TypeDate, ttc.TypeTimestamp, ttc.TypeTimestampTZ, ttc.TypeRaw,
		ttc.TypeBinaryFloat, ttc.TypeBinaryDouble,
	} {
		if r.columns[i].Type != want {
			t.Errorf("column %s has type %d, want %d", r.columns[i].Name, r.columns[i].Type, want)
		}
	}
}

// Columns in another form than their own, as clients define them.
func TestDefine(t *testing.T) {
	c := newWorld(t, nil).dial(Login{})
	cur, r := c.exec("select 12.5 n, 'é' v, hextoraw('01ff') r, cast('0.1' as binary_double) d from dual", options{})
	r.must(c)
	r = c.define(cur, []ttc.Bind{
		textBind(40), {Type: ttc.TypeVarchar, Size: 40, Form: ttc.FormNational}, textBind(40), numberBind(),
	}, 2).want(c, ttc.CodeNoDataFound)
	want := []string{"12.5", "\x00é"[0:1] + "\xe9", "01FF", string(number("0.1").Bytes)}
	for i, got := range r.rows[0] {
		if string(got.([]byte)) != want[i] {
			t.Errorf("column %d: %q, want %q", i, got, want[i])
		}
	}
	cur, r = c.exec("select 'abc' v from dual", options{})
	r.must(c)
	c.define(cur, []ttc.Bind{numberBind()}, 2).want(c, 1722)
	cur, r = c.exec("select 'abc' v from dual", options{})
	r.must(c)
	c.define(cur, []ttc.Bind{{Type: ttc.TypeDate, Size: 7}}, 2).want(c, 932)
}

// Rows longer than a packet, and values of exactly the lengths where their
// encoding changes.
func TestLongRows(t *testing.T) {
	c := newWorld(t, func(s *Server) { s.Dialect.SDU = 512 }).dial(Login{})
	for _, n := range []int{1, 251, 252, 253, 254, 255, 256, 490, 512, 4000} {
		value := strings.Repeat("x", n)
		_, r := c.exec("select :1 a, :1 b from dual", options{binds: []ttc.Bind{textBind(4000), textBind(4000)}, rows: [][]ttc.Value{{text(value), text(value)}}, prefetch: 1})
		if got := show(r.must(c)); got != value+","+value {
			t.Errorf("%d characters came back as %d", n, len(got)/2)
		}
	}
}

func TestManyRows(t *testing.T) {
	c := newWorld(t, nil).dial(Login{})
	const rows = 20_000
	start := time.Now()
	cur, r := c.exec("with r(n) as (select 1 from dual union all select n + 1 from r where n < 20000) select n, 'text ' || n t from r", options{prefetch: rows})
	r.want(c, 0)
	if len(r.rows) != rows || show(&result{rows: r.rows[rows-1:], columns: r.columns}) != "20000,text 20000" {
		t.Errorf("%d rows, want %d", len(r.rows), rows)
	}
	c.fetch(cur, 10).want(c, ttc.CodeNoDataFound)
	t.Logf("%d rows in %v", rows, time.Since(start))
}

func TestErrorsOfQueries(t *testing.T) {
	c := newWorld(t, nil).dial(Login{})
	for sql, code := range map[string]uint32{
		"select * from nosuch": 942, "selec 1": 900, "select nosuch from dual": 904, "select 1/0 a from dual": 1476, "select to_number('x') a from dual": 1722,
	} {
		if _, r := c.exec(sql, options{prefetch: 1}); r.end.Code != code {
			t.Errorf("%s: %d %s, want %d", sql, r.end.Code, r.end.Text, code)
		}
	}
	if _, r := c.exec("select a from nosuch", options{}); r.end.Position != 14 || r.end.Cursor != 0 {
		t.Errorf("position %d, cursor %d; want 14, 0", r.end.Position, r.end.Cursor)
	}
	// An error in the middle of the rows comes after those before it.
	c.fill("t", 600)
	cur, r := c.exec("select 1 / (500 - n) a from t", options{prefetch: 300})
	if r.want(c, 0); len(r.rows) != 300 {
		t.Errorf("%d rows", len(r.rows))
	}
	c.fetch(cur, 300).want(c, 1476)
	_, r = c.exec("select 1 a from dual", options{prefetch: 1, flags: ttc.ExecuteScrollable})
	r.want(c, 3001)
}

func TestTooManyCursors(t *testing.T) {
	c := newWorld(t, nil).dial(Login{})
	for range maxCursors {
		_, r := c.exec("select 1 a from dual", options{})
		r.must(c)
	}
	_, r := c.exec("select 1 a from dual", options{})
	r.want(c, 1000)
	all := &ttc.Cursors{}
	for id := range uint32(maxCursors) {
		all.IDs = append(all.IDs, id+1)
	}
	c.send(ttc.AppendCall(ttc.AppendPiggyback(nil, c.dialect, ttc.FunctionCloseCursors, all), c.dialect, ttc.FunctionPing, nil))
	c.answer(&cursorState{})
	_, r = c.exec("select 1 a from dual", options{prefetch: 1})
	r.must(c)
}
