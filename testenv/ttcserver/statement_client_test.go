package ttcserver

import (
	"fmt"
	"strings"

	"servicebroker/ttc"
)

// result is what a call brought.
type result struct {
	columns    []ttc.Column
	rows       [][]any // []byte, or ttc.LOBCell
	directions []ttc.Direction
	outs       [][]any // one row a run: values, or slices of them for RETURNING
	parameters ttc.Parameters
	returned   *ttc.SessionReturn
	end        ttc.CallEnd
	status     *ttc.Status
	described  bool
}

// cursorState is what the client knows of a cursor.
type cursorState struct {
	id        uint32
	cells     []ttc.Cell
	binds     []ttc.Bind
	returning []int
	plsql     bool
	rowCounts bool
	outs      []ttc.Direction
}

// options of an execute.
type options struct {
	cursor    *cursorState
	rows      [][]ttc.Value
	binds     []ttc.Bind
	returning []int // binds that RETURNING fills: no value is sent for them
	set       uint32
	unset     uint32
	prefetch  uint32
	rowCounts bool
	flags     uint32
}

// exec executes a statement as a new cursor, or as o.cursor.
func (c *client) exec(sql string, o options) (*cursorState, *result) {
	c.t.Helper()
	cur := o.cursor
	if cur == nil {
		cur = &cursorState{}
	}
	isQuery := strings.HasPrefix(strings.ToLower(sql), "select") || strings.HasPrefix(strings.ToLower(sql), "with")
	cur.plsql = strings.HasPrefix(strings.ToLower(sql), "begin") || strings.HasPrefix(strings.ToLower(sql), "declare")
	cur.binds, cur.returning, cur.rowCounts = o.binds, o.returning, o.rowCounts
	m := ttc.Execute{
		Options: ttc.OptionExecute | ttc.OptionNotPLSQL, Cursor: cur.id, PrefetchRows: o.prefetch, MaxLong: 1<<31 - 1,
		RowCounts: o.rowCounts, Binds: o.binds, Iterations: uint32(max(len(o.rows), 1)), IsQuery: isQuery, Flags: o.flags,
	}
	if cur.id == 0 || o.set&ttc.OptionParse != 0 {
		m.Options |= ttc.OptionParse
		m.SQL = []byte(sql)
	}
	if cur.plsql {
		m.Options &^= ttc.OptionNotPLSQL
		if len(o.binds) > 0 {
			m.Options |= ttc.OptionIOVector
		}
	}
	if len(o.binds) > 0 {
		m.Options |= ttc.OptionBind
	}
	if o.prefetch > 0 {
		m.Options |= ttc.OptionFetch
	}
	m.Options = m.Options&^o.unset | o.set
	request := ttc.AppendCall(nil, c.dialect, ttc.FunctionExecute, &m)
	c.send(c.appendRows(request, cur, o.rows, m.Options&ttc.OptionIOVector == 0))
	return cur, c.answer(cur)
}

// appendRows appends rows of binds, but values of RETURNING if omit says so.
func (c *client) appendRows(dst []byte, cur *cursorState, rows [][]ttc.Value, omit bool) []byte {
	layout := ttc.BindRow{Binds: cur.binds, PLSQL: cur.plsql, Omit: func(i int) bool {
		for _, r := range cur.returning {
			if r == i {
				return omit
			}
		}
		return i < len(cur.outs) && cur.outs[i] == ttc.DirectionOut
	}}
	for _, row := range rows {
		if !layout.Empty() {
			dst = layout.AppendTo(dst, c.dialect, row)
		}
	}
	return dst
}

// again re-executes a cursor with other values.
func (c *client) again(cur *cursorState, fetch uint32, rows ...[]ttc.Value) *result {
	c.t.Helper()
	m := ttc.Reexecute{Cursor: cur.id, Iterations: uint32(max(len(rows), 1))}
	f := ttc.FunctionReexecute
	if fetch > 0 {
		f, m.Iterations, m.Options1 = ttc.FunctionReexecuteFetch, fetch, ttc.OptionExecute
	}
	request := ttc.AppendCall(nil, c.dialect, f, &m)
	c.send(c.appendRows(request, cur, rows, true))
	return c.answer(cur)
}

func (c *client) fetch(cur *cursorState, rows uint32) *result {
	c.t.Helper()
	c.send(ttc.AppendCall(nil, c.dialect, ttc.FunctionFetch, &ttc.Fetch{Cursor: cur.id, Rows: rows}))
	return c.answer(cur)
}

// define asks for columns in another form, and for rows.
func (c *client) define(cur *cursorState, defines []ttc.Bind, rows uint32) *result {
	c.t.Helper()
	m := ttc.Execute{Options: ttc.OptionDefine | ttc.OptionNotPLSQL, Cursor: cur.id, PrefetchRows: rows, Defines: defines, IsQuery: true}
	if rows > 0 {
		m.Options |= ttc.OptionFetch
	}
	cur.cells = nil
	for _, b := range defines {
		cur.cells = append(cur.cells, ttc.Cell{Type: b.Type, Form: b.Form, Prefetch: b.Continuation&ttc.LOBPrefetch != 0, Inline: b.Prefetch})
	}
	c.send(ttc.AppendCall(nil, c.dialect, ttc.FunctionExecute, &m))
	return c.answer(cur)
}

// call sends a function without a body.
func (c *client) call(f ttc.Function) *result {
	c.t.Helper()
	c.send(ttc.AppendCall(nil, c.dialect, f, nil))
	return c.answer(&cursorState{})
}

// answer reads one answer to its end.
func (c *client) answer(cur *cursorState) *result {
	c.t.Helper()
	c.in.Begin()
	r := &result{}
	for {
		code := ttc.MessageCode(c.in.Byte())
		switch code {
		case ttc.MessageDescribe:
			c.describe(cur, r)
		case ttc.MessageRowHeader:
			new(ttc.RowHeader).Decode(c.in)
		case ttc.MessageRow:
			c.row(cur, r)
		case ttc.MessageIOVector:
			var m ttc.IOVector
			m.Decode(c.in)
			r.directions, cur.outs = m.Directions, m.Directions
		case ttc.MessageParameters:
			r.parameters.Decode(c.in, cur.rowCounts)
		case ttc.MessageServerPiggyback:
			if m, ok := ttc.DecodeServerPiggyback(c.in).(*ttc.SessionReturn); ok {
				r.returned = m
			}
		case ttc.MessageCallEnd:
			r.end.Decode(c.in, c.dialect)
			if r.end.Cursor != 0 {
				cur.id = uint32(r.end.Cursor)
			}
			c.ended()
			return r
		case ttc.MessageStatus:
			r.status = new(ttc.Status)
			r.status.Decode(c.in)
			c.ended()
			return r
		default:
			c.t.Fatalf("message %d in an answer, error %v", code, c.in.Err())
		}
	}
}

func (c *client) describe(cur *cursorState, r *result) {
	var m ttc.Describe
	m.Decode(c.in, c.dialect)
	r.columns, r.described = m.Columns, true
	cur.cells = nil
	for _, col := range m.Columns {
		cur.cells = append(cur.cells, ttc.Cell{Type: col.Type, Form: col.Form})
	}
}

// row reads a row of a query, or the values of OUT binds.
func (c *client) row(cur *cursorState, r *result) {
	c.t.Helper()
	if len(cur.cells) > 0 {
		row := make([]any, len(cur.cells))
		for i, cell := range cur.cells {
			row[i] = c.value(cell)
		}
		r.rows = append(r.rows, row)
		return
	}
	var row []any
	if len(cur.returning) > 0 {
		for _, i := range cur.returning {
			values := []any{}
			for range c.in.UB4() {
				values = append(values, c.outValue(cur.binds[i]))
			}
			row = append(row, values)
		}
	} else {
		for i, direction := range r.directions {
			if direction != ttc.DirectionIn {
				row = append(row, c.outValue(cur.binds[i]))
			}
		}
	}
	r.outs = append(r.outs, row)
}

func (c *client) value(cell ttc.Cell) any {
	if base := cell.Type.Base(); base == ttc.TypeCLOB || base == ttc.TypeBLOB {
		return cell.DecodeLOB(c.in)
	}
	return cell.Decode(c.in)
}

func (c *client) outValue(b ttc.Bind) any {
	cell := ttc.Cell{Type: b.Type, Prefetch: b.Continuation&ttc.LOBPrefetch != 0}
	var v any
	if base := b.Type.Base(); base == ttc.TypeCLOB || base == ttc.TypeBLOB {
		v = cell.DecodeLOB(c.in)
	} else {
		v = c.in.CLR()
	}
	if actual := c.in.SB4(); actual != 0 {
		c.t.Errorf("actual length %d", actual)
	}
	return v
}

// must fails the test if the call failed.
func (r *result) must(c *client) *result {
	c.t.Helper()
	if r.end.Err() != nil {
		c.t.Fatalf("call failed: %s", r.end.Text)
	}
	return r
}

// want fails the test unless the call failed with an ORA number.
func (r *result) want(c *client, code uint32) *result {
	c.t.Helper()
	if r.end.Code != code || code != 0 && !strings.HasPrefix(r.end.Text, fmt.Sprintf("ORA-%05d: ", code)) {
		c.t.Errorf("call ends with %d %q, want ORA-%05d", r.end.Code, r.end.Text, code)
	}
	return r
}

// Values and binds of the usual types.
func number(text string) ttc.Value {
	b, err := ttc.AppendNumber(nil, text)
	if err != nil {
		panic(err)
	}
	return ttc.Value{Bytes: b}
}

func text(s string) ttc.Value { return ttc.Value{Bytes: []byte(s)} }

func numberBind() ttc.Bind {
	return ttc.Bind{Type: ttc.TypeNumber, Flags: ttc.BindIndicators, Size: 22}
}

func textBind(size uint32) ttc.Bind {
	return ttc.Bind{Type: ttc.TypeVarchar, Flags: ttc.BindIndicators, Size: size, Charset: ttc.CharsetUTF8, Form: ttc.FormImplicit}
}

func lobBind(t ttc.Type) ttc.Bind {
	return ttc.Bind{Type: t, Flags: ttc.BindIndicators, Size: 4000, Continuation: ttc.LOBPrefetch, Form: ttc.FormImplicit}
}

// show writes rows as people read them: numbers and text of columns.
func show(r *result) string {
	var lines []string
	for _, row := range r.rows {
		var cells []string
		for i, v := range row {
			cells = append(cells, showValue(v, i < len(r.columns) && r.columns[i].Type == ttc.TypeNumber))
		}
		lines = append(lines, strings.Join(cells, ","))
	}
	return strings.Join(lines, " ")
}

func showValue(v any, isNumber bool) string {
	switch v := v.(type) {
	case []byte:
		switch {
		case v == nil:
			return "-"
		case isNumber:
			n, err := ttc.DecodeNumber(v)
			if err != nil {
				return err.Error()
			}
			return n
		}
		return string(v)
	case ttc.LOBCell:
		return fmt.Sprintf("LOB %d", v.Length)
	}
	return fmt.Sprint(v)
}
