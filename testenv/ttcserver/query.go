package ttcserver

import (
	"context"

	"servicebroker/testenv/sqlengine"
	"servicebroker/ttc"
)

// fetchBatch is how many rows are taken from the engine at once.
const fetchBatch = 256

// runQuery opens a query and sends its description and first rows.
func (c *conversation) runQuery(ctx context.Context, r *request, binds []sqlengine.Value) error {
	cur := r.cursor
	changed, err := cur.open(ctx, binds)
	if err != nil {
		return c.failedRun(ctx, err, r)
	}
	if r.describe || changed {
		describe := ttc.Describe{Columns: cur.columns}
		c.out.buf = describe.AppendTo(c.out.buf, c.dialect)
	}
	fetch := r.fetch
	if cur.undefined() {
		fetch = 0
	}
	return c.sendRows(ctx, cur, fetch, true)
}

// fetch runs FunctionFetch.
func (c *conversation) fetch(ctx context.Context) error {
	var m ttc.Fetch
	m.Decode(c.in, c.dialect)
	if err := c.in.Err(); err != nil {
		return err
	}
	cur, err := c.session.cursor(m.Cursor)
	if err != nil {
		return c.failed(ctx, err, 0)
	}
	if cur.rows == nil && !cur.done || !cur.isQuery() {
		return c.failed(ctx, &sqlengine.Error{Code: 1002, Text: "fetch out of sequence"}, cur.id)
	}
	cur.settle()
	return c.sendRows(ctx, cur, m.Rows, false)
}

// sendRows sends up to wanted rows of an open query and ends the answer. The
// answer goes out while the rows are being read.
func (c *conversation) sendRows(ctx context.Context, cur *cursor, wanted uint32, parameters bool) error {
	if wanted > 0 {
		header := ttc.RowHeader{Columns: len(cur.cells), Requested: wanted}
		c.out.buf = header.AppendTo(c.out.buf, c.dialect)
	}
	encode := encoder{lobs: &c.session.lobs}
	for wanted > 0 && !cur.done {
		rows, done, err := cur.rows.NextContext(ctx, int(min(wanted, fetchBatch)))
		if err == nil {
			err = context.Cause(ctx)
		}
		for i := 0; i < len(rows) && err == nil; i++ {
			err = c.appendRow(&encode, cur, rows[i])
		}
		if err != nil {
			cur.endRows()
			return c.failed(ctx, err, cur.id)
		}
		wanted -= uint32(len(rows))
		cur.fetched += uint64(len(rows))
		if done {
			cur.endRows()
		}
		if err := c.out.flush(); err != nil {
			return err
		}
	}
	if parameters {
		p := ttc.Parameters{Cursor: cur.id}
		c.out.buf = p.AppendTo(c.out.buf, c.dialect)
	}
	end := ttc.CallEnd{Cursor: uint16(cur.id), Rows: cur.fetched}
	if cur.done {
		end.Code, end.Text = ttc.CodeNoDataFound, "ORA-01403: no data found\n"
	}
	return c.done(end)
}

// appendRow appends one row; nothing of it remains if it fails.
func (c *conversation) appendRow(encode *encoder, cur *cursor, row []sqlengine.Value) error {
	start := len(c.out.buf)
	c.out.buf = append(c.out.buf, byte(ttc.MessageRow))
	for i := range min(len(row), len(cur.cells)) {
		var err error
		if c.out.buf, err = encode.appendValue(c.out.buf, &cur.cells[i], row[i]); err != nil {
			c.out.buf = c.out.buf[:start]
			return err
		}
	}
	return nil
}
