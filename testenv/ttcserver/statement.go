package ttcserver

import (
	"context"
	"fmt"

	"servicebroker/testenv/sqlengine"
	"servicebroker/ttc"
)

// codeArrayErrors says that some rows of array DML failed; which, follows.
const codeArrayErrors = 24381

// runStatement runs what is neither query nor block, once for each row of
// binds.
func (c *conversation) runStatement(ctx context.Context, r *request, rows [][]sqlengine.Value) error {
	cur := r.cursor
	run := cur.statement.Execute
	if r.batch {
		run = cur.statement.ExecuteBatch
	}
	result, err := run(ctx, rows)
	if err == nil && r.commit && len(result.Errors) == 0 {
		err = c.session.engine.Commit(context.WithoutCancel(ctx))
	}
	if err != nil && (context.Cause(ctx) != nil || result.RowsAffected == 0 && !cur.rowCounts) {
		return c.failedRun(ctx, err, r)
	}
	if appendErr := c.appendReturned(cur, &result, len(rows)); err == nil && appendErr != nil {
		err = appendErr
	}
	c.appendParameters(cur, &result)
	end := ttc.CallEnd{Cursor: uint16(cur.id)}
	switch {
	case err != nil:
		end = failure(err, cur.id)
	case len(result.Errors) > 0:
		end.Code, end.Text = codeArrayErrors, "ORA-24381: error(s) in array DML\n"
		for _, e := range result.Errors {
			end.Batch = append(end.Batch, ttc.BatchError{
				Code: uint16(e.Error.Code), Row: uint32(e.Row), Text: e.Error.Error() + "\n",
			})
		}
	}
	end.Rows = uint64(max(result.RowsAffected, 0))
	if id, parseErr := ttc.ParseRowID(result.LastRowID); parseErr == nil {
		end.RowID = id
	}
	return c.done(end)
}

func (c *conversation) appendParameters(cur *cursor, result *sqlengine.Result) {
	p := ttc.Parameters{Cursor: cur.id}
	if cur.rowCounts {
		p.RowCounts = make([]uint64, len(result.PerRow))
		for i, n := range result.PerRow {
			p.RowCounts[i] = uint64(max(n, 0))
		}
	}
	c.out.buf = p.AppendTo(c.out.buf, c.dialect)
}

// appendReturned appends what RETURNING gave, one message for each row of
// binds.
func (c *conversation) appendReturned(cur *cursor, result *sqlengine.Result, iterations int) error {
	if len(cur.returning) == 0 || len(cur.binds) == 0 {
		return nil
	}
	if cur.ioVector {
		directions := make([]ttc.Direction, len(cur.binds))
		for i := range directions {
			directions[i] = ttc.DirectionIn
		}
		for _, i := range cur.returning {
			if i < len(directions) {
				directions[i] = ttc.DirectionOut
			}
		}
		c.tellDirections(cur, directions)
	}
	for i := range iterations {
		var returned [][]sqlengine.Value
		if i < len(result.Returned) {
			returned = result.Returned[i]
		}
		if err := c.appendReturnedRow(cur, returned); err != nil {
			return err
		}
	}
	return nil
}

func (c *conversation) appendReturnedRow(cur *cursor, returned [][]sqlengine.Value) error {
	message := []byte{byte(ttc.MessageRow)}
	for column, bind := range cur.returning {
		if bind >= len(cur.binds) {
			return &sqlengine.Error{Code: 1008, Text: "not all variables bound"}
		}
		values := make([]ttc.OutValue, 0, len(returned))
		for _, row := range returned {
			value, err := c.outValue(&cur.binds[bind], row[column])
			if err != nil {
				return err
			}
			values = append(values, value)
		}
		message = ttc.AppendReturning(message, values)
	}
	c.out.buf = append(c.out.buf, message...)
	return nil
}

// tellDirections appends the I/O vector and remembers it: on a re-execute the
// client leaves out what is only OUT.
func (c *conversation) tellDirections(cur *cursor, directions []ttc.Direction) {
	cur.directions = directions
	vector := ttc.IOVector{Directions: directions}
	c.out.buf = vector.AppendTo(c.out.buf, c.dialect)
}

// outValue gives the value of a bind on its way to the client.
func (c *conversation) outValue(b *ttc.Bind, v sqlengine.Value) (ttc.OutValue, error) {
	cell := define(*b)
	out := ttc.OutValue{Cell: cell.Cell}
	base := b.Type.Base()
	encode := encoder{lobs: &c.session.lobs, temporary: true}
	if base == ttc.TypeCLOB || base == ttc.TypeBLOB {
		out.LOB = encode.locate(&cell, v)
		return out, nil
	}
	raw, err := encode.raw(base, b.Form, v)
	if err != nil {
		return out, err
	}
	switch base {
	case ttc.TypeVarchar, ttc.TypeChar, ttc.TypeRaw:
		if uint64(len(raw)) > uint64(b.Size) {
			return out, &sqlengine.Error{Code: 6502, Text: fmt.Sprintf(
				"PL/SQL: numeric or value error: character string buffer too small (%d bytes for a bind of %d)", len(raw), b.Size)}
		}
	}
	out.Bytes = raw
	return out, nil
}

// runBlock runs PL/SQL, once for each row of binds, and sends the values that
// the block gave to binds.
func (c *conversation) runBlock(ctx context.Context, r *request, rows [][]sqlengine.Value) error {
	cur := r.cursor
	results := make([]map[int]sqlengine.Value, 0, len(rows))
	for i, row := range rows {
		outs, err := cur.statement.Call(ctx, row)
		if err != nil {
			if context.Cause(ctx) != nil {
				return c.failed(ctx, err, cur.id)
			}
			end := failure(err, cur.id)
			end.Rows = uint64(i)
			return c.done(end)
		}
		results = append(results, outs)
	}
	if r.commit {
		if err := c.session.engine.Commit(context.WithoutCancel(ctx)); err != nil {
			return c.fail(err, cur.id)
		}
	}
	start := len(c.out.buf)
	if err := c.appendOuts(cur, results); err != nil {
		c.out.buf = c.out.buf[:start]
		return c.fail(err, cur.id)
	}
	parameters := ttc.Parameters{Cursor: cur.id}
	c.out.buf = parameters.AppendTo(c.out.buf, c.dialect)
	return c.done(ttc.CallEnd{Cursor: uint16(cur.id), Rows: uint64(len(rows))})
}

// appendOuts appends the directions of the binds and, for each run of the
// block, the values of those it gave one.
func (c *conversation) appendOuts(cur *cursor, results []map[int]sqlengine.Value) error {
	if len(cur.binds) == 0 {
		return nil
	}
	directions := make([]ttc.Direction, len(cur.binds))
	given := false
	for i := range directions {
		directions[i] = ttc.DirectionIn
		if i < len(cur.outOnly) && cur.outOnly[i] {
			directions[i], given = ttc.DirectionOut, true
			continue
		}
		for _, outs := range results {
			if _, ok := outs[i]; ok {
				directions[i], given = ttc.DirectionInOut, true
			}
		}
	}
	c.tellDirections(cur, directions)
	for _, outs := range results {
		if !given {
			break
		}
		c.out.buf = append(c.out.buf, byte(ttc.MessageRow))
		for i := range cur.binds {
			if directions[i] == ttc.DirectionIn {
				continue
			}
			value, err := c.outValue(&cur.binds[i], outs[i])
			if err != nil {
				return err
			}
			c.out.buf = value.AppendTo(c.out.buf)
		}
	}
	return nil
}
