package sqlengine

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"

	"modernc.org/sqlite"
)

// A connection is one SQLite connection, used by one goroutine at a time, with its prepared statements.
type connection struct {
	raw        sqliteConnection
	interrupt  func() // stops what runs, from another goroutine
	prepared   map[string]*prepared
	dictionary *dictionary
	// broken says that the connection is in a state nobody should inherit.
	broken bool
}

type sqliteConnection interface {
	driver.Conn
	driver.ExecerContext
	NewRestore(uri string) (*sqlite.Backup, error)
}

type prepared struct {
	statement preparedStatement
	busy      bool
	cached    bool
}

type preparedStatement interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

// maxPrepared bounds the prepared statements kept by a connection.
const maxPrepared = 50

func newConnection(raw driver.Conn) (*connection, error) {
	c, ok := raw.(sqliteConnection)
	if !ok {
		return nil, errors.Join(fmt.Errorf("sqlengine: unexpected SQLite driver %T", raw), raw.Close())
	}
	stop, err := interrupter(raw)
	if err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	return &connection{raw: c, interrupt: stop, prepared: map[string]*prepared{}}, nil
}

func (c *connection) close() error {
	var errs []error
	for _, p := range c.prepared {
		errs = append(errs, p.statement.Close())
	}
	return errors.Join(append(errs, c.raw.Close())...)
}

// restore replaces the connection's data by a copy of another database.
func (c *connection) restore(uri string) error {
	b, err := c.raw.NewRestore(uri)
	if err != nil {
		return err
	}
	_, err = b.Step(-1)
	return errors.Join(err, b.Finish())
}

// run runs statements of the engine's own that have no parameters.
func (c *connection) run(sql string) error {
	_, err := c.raw.ExecContext(context.Background(), sql, nil)
	return err
}

// prepare takes a statement from the cache or makes one.
func (c *connection) prepare(sql string) (*prepared, error) {
	if p := c.prepared[sql]; p != nil && !p.busy {
		p.busy = true
		return p, nil
	}
	raw, err := c.raw.Prepare(sql)
	if err != nil {
		return nil, err
	}
	statement, ok := raw.(preparedStatement)
	if !ok {
		return nil, errors.Join(fmt.Errorf("sqlengine: unexpected SQLite statement %T", raw), raw.Close())
	}
	p := &prepared{statement: statement, busy: true}
	if c.prepared[sql] == nil {
		c.evict()
		p.cached = true
		c.prepared[sql] = p
	}
	return p, nil
}

// evict makes room for one more prepared statement.
func (c *connection) evict() {
	if len(c.prepared) < maxPrepared {
		return
	}
	for sql, p := range c.prepared {
		if !p.busy {
			p.statement.Close() // its last error, if any, has been reported when it ran
			delete(c.prepared, sql)
			return
		}
	}
}

func (p *prepared) done() {
	p.busy = false
	if !p.cached {
		p.statement.Close() // as in evict
	}
}

func named(args []driver.Value) []driver.NamedValue {
	out := make([]driver.NamedValue, len(args))
	for i, v := range args {
		out[i] = driver.NamedValue{Ordinal: i + 1, Value: v}
	}
	return out
}

// execute runs a statement and gives the number of rows it changed.
func (c *connection) execute(ctx context.Context, sql string, args []driver.Value) (int64, error) {
	p, err := c.prepare(sql)
	if err != nil {
		return 0, err
	}
	defer p.done()
	result, err := p.statement.ExecContext(ctx, named(args))
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// open starts a query. SQLite computes its first row at once.
func (c *connection) open(ctx context.Context, sql string, args []driver.Value) (*cursor, error) {
	p, err := c.prepare(sql)
	if err != nil {
		return nil, err
	}
	rows, err := p.statement.QueryContext(ctx, named(args))
	if err != nil {
		p.done()
		return nil, err
	}
	return &cursor{connection: c, prepared: p, rows: rows, width: len(rows.Columns())}, nil
}

// A cursor is an open query of a connection.
type cursor struct {
	connection *connection
	prepared   *prepared
	rows       driver.Rows
	width      int
}

// next reads one row; io.EOF after the last.
func (u *cursor) next() ([]driver.Value, error) {
	row := make([]driver.Value, u.width)
	return row, u.rows.Next(row)
}

func (u *cursor) close() error {
	err := u.rows.Close()
	u.prepared.done()
	return err
}

// all runs a query of the engine's own and reads all of it.
func (c *connection) all(sql string, args ...driver.Value) ([][]driver.Value, error) {
	u, err := c.open(context.Background(), sql, args)
	if err != nil {
		return nil, err
	}
	var out [][]driver.Value
	for {
		row, err := u.next()
		if err == io.EOF {
			return out, u.close()
		}
		if err != nil {
			return nil, errors.Join(err, u.close())
		}
		out = append(out, row)
	}
}

// watch interrupts the connection when ctx ends, until the returned function is called. That one waits for an
// interrupt under way, so that none hits a later statement.
func (c *connection) watch(ctx context.Context) func() {
	if ctx.Done() == nil {
		return func() {}
	}
	finished := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(finished)
		c.interrupt()
	})
	return func() {
		if !stop() {
			<-finished
		}
	}
}
