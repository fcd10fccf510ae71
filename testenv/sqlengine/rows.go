package sqlengine

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"time"
)

// Rows is an open query. It must be closed, and closes itself at its end or at an error.
type Rows struct {
	session *Session
	columns []Column
	types   []datatype
	cursor  *cursor
	shared  bool // the cursor's connection is the engine's and goes back to it
	// buffer are rows read already: the first one, or all if the data is about to change under the cursor.
	buffer [][]driver.Value
	err    *Error // what follows the buffered rows
	closed bool
}

// maxReadUp bounds the rows kept in memory for a cursor that is open across a change by its own session.
const maxReadUp = 1_000_000

// Query runs a query. The context bounds this call only, not the rows; cancelling it gives ORA-01013.
func (st *Statement) Query(ctx context.Context, binds []Value) (*Rows, error) {
	query, ok := st.tree.(*queryStatement)
	if !ok {
		return nil, failure(24333, "statement is not a query")
	}
	b, err := st.storedBinds(binds)
	if err != nil {
		return nil, err
	}
	r, err := st.query(ctx, query, b)
	if err != nil {
		return nil, err
	}
	return r, nil
}

func (st *Statement) query(ctx context.Context, query *queryStatement, b bound) (*Rows, *Error) {
	s := st.session
	if query.query.lock != nil {
		if err := s.lockFor(ctx, query.query.lock); err != nil {
			return nil, err
		}
	}
	c, shared, err := s.reader()
	if err != nil {
		return nil, err
	}
	if !shared {
		// an interrupt of one query stops all of its connection, so the session's own has one at a time
		s.readUp(ctx)
	}
	r, err := st.open(ctx, c, query, b)
	if err != nil {
		if shared {
			s.engine.release(c)
		}
		return nil, err
	}
	r.shared = shared
	if !shared {
		if s.open == nil {
			s.open = map[*Rows]struct{}{}
		}
		s.open[r] = struct{}{}
	}
	return r, nil
}

// lockFor opens a transaction as FOR UPDATE asks.
func (s *Session) lockFor(ctx context.Context, lock *lockClause) *Error {
	wait := s.engine.LockWait
	if n, ok := lock.wait.(*numberLiteral); ok {
		d, _ := parseDecimal(n.text)
		wait = time.Duration(d.float() * float64(time.Second))
	}
	if lock.nowait || lock.skip {
		wait = 0
	}
	err := s.begin(ctx, wait)
	if err != nil && err.Code == 54 && lock.wait != nil {
		return failure(30006, "resource busy; acquire with WAIT timeout expired")
	}
	return err
}

// open translates and starts a query on a connection.
func (st *Statement) open(ctx context.Context, c *connection, query *queryStatement, b bound) (*Rows, *Error) {
	t, err := st.translate(c, query, b.kinds)
	if err != nil {
		return nil, err
	}
	args, err := st.session.arguments(t.steps[0].parameters, b.values, st.session.now())
	if err != nil {
		return nil, err
	}
	u, problem := c.open(ctx, t.steps[0].sql, args)
	if problem != nil {
		return nil, oracleError(ctx, problem, nil)
	}
	r := &Rows{session: st.session, cursor: u, types: make([]datatype, len(t.columns))}
	for i, column := range t.columns {
		r.types[i] = column.typ
	}
	if err := r.peek(); err != nil {
		u.close() // the error that counts is the one at hand
		return nil, err
	}
	r.columns = make([]Column, len(r.types))
	for i, column := range t.columns {
		r.columns[i] = r.types[i].column(column.name)
	}
	return r, nil
}

// peek reads the first row and learns from it the types nothing else tells.
func (r *Rows) peek() *Error {
	row, err := r.cursor.next()
	if err == io.EOF {
		r.err = errEnd()
		return nil
	}
	if err != nil {
		return oracleError(context.Background(), err, nil)
	}
	r.buffer = [][]driver.Value{row}
	for i, v := range row {
		if r.types[i].Kind == kindUnknown && v != nil {
			r.types[i] = storedKind(v)
		}
	}
	return nil
}

// errEnd stands for the end of the rows.
func errEnd() *Error { return failure(1403, "no data found") }

// Columns describes the result.
func (r *Rows) Columns() []Column { return r.columns }

// Next returns up to n further rows. Done says that there are no more after these; asking again gives none.
func (r *Rows) Next(n int) (rows [][]Value, done bool, err error) {
	return r.NextContext(context.Background(), n)
}

// NextContext is Next under a context; cancelling it gives ORA-01013.
func (r *Rows) NextContext(ctx context.Context, n int) (rows [][]Value, done bool, err error) {
	stored, done, failed := r.nextStored(ctx, n)
	rows = make([][]Value, len(stored))
	for i, row := range stored {
		out := make([]Value, len(row))
		for j, v := range row {
			out[j] = value(v, r.types[j])
		}
		rows[i] = out
	}
	return rows, done, asError(failed)
}

// nextStored is NextContext with the values in stored form.
func (r *Rows) nextStored(ctx context.Context, n int) (rows [][]driver.Value, done bool, err *Error) {
	if r.closed {
		return nil, true, nil
	}
	if ctx.Err() != nil {
		r.Close() // the cancellation is the error to report
		return nil, true, errCancelled()
	}
	if take := min(n, len(r.buffer)); take > 0 {
		rows, r.buffer = r.buffer[:take:take], r.buffer[take:]
	}
	if len(rows) < n && r.err == nil {
		stop := r.cursor.connection.watch(ctx)
		rows = r.read(ctx, rows, n)
		stop()
	}
	if len(rows) == n || r.err == nil {
		return rows, false, nil
	}
	err = r.err
	if err.Code == 1403 {
		err = asEnd(r.Close())
	} else {
		r.Close() // the error at hand counts
	}
	return rows, true, err
}

// asEnd reports what went wrong in closing at the end, if anything.
func asEnd(err error) *Error {
	if err == nil {
		return nil
	}
	return ownError(err)
}

// read appends rows from the cursor until there are n, or sets what came instead.
func (r *Rows) read(ctx context.Context, rows [][]driver.Value, n int) [][]driver.Value {
	for len(rows) < n {
		row, err := r.cursor.next()
		if err != nil {
			r.err = errEnd()
			if !errors.Is(err, io.EOF) {
				r.err = oracleError(ctx, err, nil)
			}
			return rows
		}
		rows = append(rows, row)
	}
	return rows
}

// readUp reads the rest of the rows into memory and lets go of the connection.
func (r *Rows) readUp(ctx context.Context) {
	if r.cursor == nil {
		return
	}
	if r.err == nil {
		stop := r.cursor.connection.watch(ctx)
		r.buffer = r.read(ctx, r.buffer, maxReadUp)
		stop()
		if r.err == nil {
			r.err = failure(1555, "snapshot too old: the query has more than %d rows left as its session changes data", maxReadUp)
		}
	}
	if err := r.letGo(); err != nil && r.err.Code == 1403 {
		r.err = ownError(err)
	}
}

// letGo closes the cursor.
func (r *Rows) letGo() error {
	if r.cursor == nil {
		return nil
	}
	c := r.cursor.connection
	err := r.cursor.close()
	r.cursor = nil
	delete(r.session.open, r)
	if r.shared {
		r.session.engine.release(c)
	}
	if r.err != nil && r.err.Code != 1403 {
		return nil // SQLite repeats at the end the error that has been reported
	}
	return err
}

// Close ends the query. It is safe to call more than once.
func (r *Rows) Close() error {
	if r.closed {
		return nil
	}
	r.closed, r.buffer = true, nil
	return r.letGo()
}
