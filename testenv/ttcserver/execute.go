package ttcserver

import (
	"context"
	"errors"
	"fmt"

	"servicebroker/testenv/sqlengine"
	"servicebroker/ttc"
)

// maxIterations bounds the rows of binds of one call.
const maxIterations = 1 << 20

// request is one execution: what to do with a cursor, whichever message asked.
type request struct {
	cursor *cursor
	rows   [][]ttc.Value // of binds
	opened bool          // the cursor is new

	describe bool
	fetch    uint32 // rows wanted at once
	commit   bool
	batch    bool // go on after a row that fails
}

// execute runs FunctionExecute.
func (c *conversation) execute(ctx context.Context) error {
	var m ttc.Execute
	m.Decode(c.in, c.dialect)
	if err := c.in.Err(); err != nil {
		return err
	}
	cur, err := c.cursorOf(&m)
	if err != nil {
		if skipErr := c.skipBinds(&m); skipErr != nil {
			return skipErr
		}
		return c.failed(ctx, err, 0)
	}
	cur.prepare(&m)
	r := request{cursor: cur, commit: m.Options&ttc.OptionCommit != 0, batch: m.Options&ttc.OptionBatchError != 0}
	if m.Options&ttc.OptionExecute == 0 {
		return c.withoutExecute(ctx, cur, &m)
	}
	if m.Flags&ttc.ExecuteScrollable != 0 {
		if err := c.skipBinds(&m); err != nil {
			return err
		}
		return c.fail(notSupported("scrollable cursors"), cur.id)
	}
	if r.rows, err = c.readBinds(cur, false, iterations(cur, m.Iterations)); err != nil {
		return err
	}
	r.opened = m.Cursor == 0
	parsed := len(m.SQL) > 0
	r.describe = parsed || m.Options&ttc.OptionDescribe != 0
	// Some drivers fetch with the first execute without saying so (ttc.md 6.1).
	if m.Options&ttc.OptionFetch != 0 || parsed {
		r.fetch = m.Wanted()
	}
	return c.perform(ctx, &r)
}

// cursorOf finds the cursor a client names or makes a new one, and parses the
// statement if there is one.
func (c *conversation) cursorOf(m *ttc.Execute) (*cursor, error) {
	cur := &cursor{}
	if m.Cursor != 0 {
		found, err := c.session.cursor(m.Cursor)
		if err != nil {
			return nil, err
		}
		cur = found
	}
	if len(m.SQL) > 0 {
		c.server.sessions.note(c.session.id, func(info *SessionInfo) { info.Statement = string(m.SQL) })
		if err := cur.parse(c.session.engine, string(m.SQL)); err != nil {
			return nil, err
		}
	}
	if cur.statement == nil {
		return nil, &sqlengine.Error{Code: 1003, Text: "no statement parsed"}
	}
	if cur.id == 0 {
		if err := c.session.addCursor(cur); err != nil {
			cur.close()
			return nil, err
		}
	}
	return cur, nil
}

// prepare takes what an execute says of binds and columns, which holds for the
// cursor from now on.
func (c *cursor) prepare(m *ttc.Execute) {
	if len(m.Binds) > 0 || m.Options&ttc.OptionParse != 0 {
		c.binds, c.directions = m.Binds, nil
	}
	if m.Options&ttc.OptionExecute != 0 {
		c.rowCounts = m.RowCounts
		c.ioVector = m.Options&ttc.OptionIOVector != 0
	}
	if m.Options&ttc.OptionDefine != 0 {
		c.defineCells(m.Defines)
	}
}

// iterations is how many rows of binds a call has.
func iterations(cur *cursor, announced uint32) uint32 {
	if cur.isQuery() || announced == 0 {
		return 1
	}
	return announced
}

// readBinds reads rows of binds as they travelled. Without binds that have
// values it gives one row of none for each iteration.
func (c *conversation) readBinds(cur *cursor, again bool, iterations uint32) ([][]ttc.Value, error) {
	if iterations > maxIterations {
		return nil, fmt.Errorf("%w: %d rows of binds", ttc.ErrMalformed, iterations)
	}
	layout := cur.bindRows(again)
	empty := layout.Empty()
	var rows [][]ttc.Value
	for range iterations {
		if empty {
			rows = append(rows, make([]ttc.Value, len(cur.binds)))
			continue
		}
		rows = append(rows, layout.Decode(c.in, c.dialect))
		if err := c.in.Err(); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// skipBinds drops the rows of binds of a statement that could not be parsed,
// by what the client says of it. A RETURNING clause may make that wrong, so no
// more is waited for than surely belongs to the request.
func (c *conversation) skipBinds(m *ttc.Execute) error {
	c.strict = true
	defer func() { c.strict = false }()
	rows := m.Iterations
	if m.IsQuery || rows == 0 {
		rows = 1
	}
	layout := ttc.BindRow{Binds: m.Binds, PLSQL: m.Options&ttc.OptionNotPLSQL == 0}
	for i := uint32(0); i < rows && !layout.Empty() && c.in.Err() == nil; i++ {
		layout.Decode(c.in, c.dialect)
	}
	err := c.in.Err()
	c.in.Discard()
	if errors.Is(err, ttc.ErrTruncated) || errors.Is(err, ttc.ErrMalformed) {
		return nil
	}
	return err
}

// withoutExecute does what an execute asks for besides executing: describe,
// define, fetch.
func (c *conversation) withoutExecute(ctx context.Context, cur *cursor, m *ttc.Execute) error {
	if m.Options&ttc.OptionFetch != 0 && cur.rows != nil {
		return c.sendRows(ctx, cur, m.Wanted(), true)
	}
	if cur.isQuery() && m.Options&(ttc.OptionDescribe|ttc.OptionParse) != 0 {
		columns, err := cur.statement.Describe(ctx)
		if err != nil {
			return c.failed(ctx, err, cur.id)
		}
		cur.setColumns(columns)
		describe := ttc.Describe{Columns: cur.columns}
		c.out.buf = describe.AppendTo(c.out.buf, c.dialect)
	}
	parameters := ttc.Parameters{Cursor: cur.id}
	c.out.buf = parameters.AppendTo(c.out.buf, c.dialect)
	return c.done(ttc.CallEnd{Cursor: uint16(cur.id)})
}

// reexecute runs FunctionReexecute and FunctionReexecuteFetch.
func (c *conversation) reexecute(ctx context.Context, f ttc.Function) error {
	var m ttc.Reexecute
	m.Decode(c.in, c.dialect)
	if err := c.in.Err(); err != nil {
		return err
	}
	cur, err := c.session.cursor(m.Cursor)
	if err != nil {
		if skipErr := c.skipRequest(); skipErr != nil {
			return skipErr
		}
		return c.failed(ctx, err, 0)
	}
	r := request{cursor: cur, commit: m.Options2&ttc.ReexecuteCommit != 0}
	if r.rows, err = c.readBinds(cur, true, iterations(cur, m.Iterations)); err != nil {
		return err
	}
	if f == ttc.FunctionReexecuteFetch {
		r.fetch = m.Iterations
	}
	return c.perform(ctx, &r)
}

// perform runs a statement whose binds are read, and answers.
func (c *conversation) perform(ctx context.Context, r *request) error {
	c.server.sessions.note(c.session.id, func(info *SessionInfo) { info.Active = true })
	rows := make([][]sqlengine.Value, len(r.rows))
	for i := range r.rows {
		row, err := c.session.bindRow(r.cursor.binds, r.rows[i], r.cursor.names)
		if err != nil {
			return c.failed(ctx, err, r.cursor.id)
		}
		rows[i] = row
	}
	switch r.cursor.kind {
	case sqlengine.KindQuery:
		return c.runQuery(ctx, r, rows[0])
	case sqlengine.KindPLSQL:
		return c.runBlock(ctx, r, rows)
	}
	return c.runStatement(ctx, r, rows)
}

// failedRun answers an execution that failed. A new statement in which the
// engine found a mistake only now gets no cursor, but one that the client named
// stays: it may parse the next statement there.
func (c *conversation) failedRun(ctx context.Context, err error, r *request) error {
	if code := errorCode(err); r.opened && code >= firstParseError && code <= lastParseError {
		c.session.closeCursor(r.cursor.id)
		return c.failed(ctx, err, 0)
	}
	return c.failed(ctx, err, r.cursor.id)
}

// ORA numbers between these are about the statement's text.
const (
	firstParseError = 900
	lastParseError  = 999
)
