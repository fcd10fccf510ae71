package ttcserver

import (
	"context"
	"slices"

	"servicebroker/testenv/sqlengine"
	"servicebroker/ttc"
)

// cursor is a statement the client may run again by number.
type cursor struct {
	id        uint32
	statement *sqlengine.Statement
	kind      sqlengine.StatementKind
	names     []string // of the binds
	returning []int    // binds that RETURNING fills
	outOnly   []bool   // binds a block does nothing with but assign to them

	binds      []ttc.Bind
	directions []ttc.Direction // as told to the client; nil before
	rowCounts  bool            // the client wants the row count of every iteration
	ioVector   bool            // the client wants to be told the directions

	columns []ttc.Column
	cells   []cell
	rows    *sqlengine.Rows // open result, nil if there is none
	done    bool            // no more rows
	fetched uint64
}

func (c *cursor) endRows() {
	if c.rows != nil {
		c.rows.Close()
		c.rows = nil
	}
	c.done = true
}

func (c *cursor) close() {
	c.endRows()
	if c.statement != nil {
		c.statement.Close()
	}
}

// parse gives the cursor a statement.
func (c *cursor) parse(engine *sqlengine.Session, sql string) error {
	statement, err := engine.Prepare(sql)
	if err != nil {
		return err
	}
	c.close()
	*c = cursor{
		id: c.id, statement: statement, kind: statement.Kind(),
		names: statement.BindNames(), returning: statement.Returning(),
	}
	if c.kind == sqlengine.KindPLSQL {
		c.outOnly = onlyAssigned(sql, c.names)
	}
	return nil
}

// bindRows says how rows of binds travel for this cursor. On a re-execute
// binds that are only OUT are left out.
func (c *cursor) bindRows(again bool) ttc.BindRow {
	return ttc.BindRow{
		Binds: c.binds,
		PLSQL: c.kind == sqlengine.KindPLSQL,
		Omit: func(i int) bool {
			if slices.Contains(c.returning, i) {
				// Who asks for directions sends a place-holder the first time.
				return again || !c.ioVector
			}
			return again && i < len(c.directions) && c.directions[i] == ttc.DirectionOut
		},
	}
}

// isQuery reports whether the cursor gives rows.
func (c *cursor) isQuery() bool { return c.kind == sqlengine.KindQuery }

// setColumns takes the description of the result. Forms that the client defined
// stay, but for columns whose type is another one now, as that of a bind in
// the select list is when it is bound differently: then changed is true and the
// client must be told.
func (c *cursor) setColumns(columns []sqlengine.Column) (changed bool) {
	before, cells := c.columns, c.cells
	c.columns, c.cells = make([]ttc.Column, len(columns)), make([]cell, len(columns))
	for i, col := range columns {
		c.columns[i] = describe(col)
		c.cells[i] = cellOf(c.columns[i])
		switch {
		case i >= len(before):
		case before[i].Type == c.columns[i].Type:
			c.cells[i] = cells[i]
		default:
			changed = true
			c.cells[i] = c.cells[i].after(before[i].Type)
		}
	}
	return changed
}

// defineCells takes the forms a client asks for.
func (c *cursor) defineCells(defines []ttc.Bind) {
	for i := range min(len(defines), len(c.cells)) {
		c.cells[i] = define(defines[i])
		if size := defines[i].Size; c.columns[i].Type == ttc.TypeRowID && (size == rowIDDefineNode || size == rowIDDefinePython) {
			c.cells[i] = cellOf(c.columns[i])
		}
	}
}

// undefined reports whether rows must wait until the client said in which
// form it wants LOBs.
func (c *cursor) undefined() bool {
	return slices.ContainsFunc(c.cells, func(cell cell) bool { return cell.undefined })
}

// settle takes the columns as described, for a client that fetches without
// having defined them.
func (c *cursor) settle() {
	for i := range c.cells {
		c.cells[i].undefined = false
	}
}

// open runs the query. It reports whether the client must be told of changed
// columns.
func (c *cursor) open(ctx context.Context, binds []sqlengine.Value) (changed bool, err error) {
	c.endRows()
	rows, err := c.statement.Query(ctx, binds)
	if err != nil {
		return false, err
	}
	c.rows, c.done, c.fetched = rows, false, 0
	return c.setColumns(rows.Columns()), nil
}
