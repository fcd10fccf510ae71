package drivers

import (
	"context"
	"crypto/tls"
	"database/sql"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	goora "github.com/sijms/go-ora/v2"
)

// GoOra is go-ora, run in this process through database/sql as programs use it.
type GoOra struct {
	// StreamLOBs makes it read LOBs by their locators instead of along with the rows.
	StreamLOBs bool
	// TLS is how it goes to addresses with PROTOCOL=tcps; nil: as go-ora does by itself.
	TLS *tls.Config
}

// Name is the driver's name.
func (GoOra) Name() string { return "go-ora" }

// Run does the steps.
func (g GoOra) Run(ctx context.Context, steps []Step, each func(int, Result)) ([]Result, error) {
	open := gooraConnections{}
	defer open.closeAll()
	results := make([]Result, 0, len(steps))
	for i, step := range steps {
		began := time.Now()
		var r Result
		if err := open.do(ctx, g, step, &r); err != nil {
			r = Result{Error: err.Error()}
		}
		r.TookMS = float64(time.Since(began).Microseconds()) / 1000
		if err := context.Cause(ctx); err != nil {
			return results, fmt.Errorf("go-ora, after %d of %d steps: %w", i, len(steps), err)
		}
		results = append(results, r)
		if each != nil {
			each(i, r)
		}
	}
	return results, nil
}

// gooraConnections are the open connections of a job by name. Transactions go by
// statements, since a step may commit what another began.
type gooraConnections map[string]*gooraConnection

type gooraConnection struct {
	db   *sql.DB
	conn *sql.Conn
	tx   *sql.Tx // nil: none begun
}

// on returns what statements run in: a transaction, since outside of one go-ora
// commits each statement.
func (c *gooraConnection) on(ctx context.Context) (*sql.Tx, error) {
	if c.tx != nil {
		return c.tx, nil
	}
	var err error
	c.tx, err = c.conn.BeginTx(context.WithoutCancel(ctx), nil)
	return c.tx, err
}

func (c *gooraConnection) end(how func(*sql.Tx) error) error {
	tx := c.tx
	if c.tx = nil; tx == nil {
		return nil
	}
	return how(tx)
}

func (c *gooraConnection) close() error {
	_ = c.end((*sql.Tx).Rollback)
	err := c.conn.Close()
	if dbErr := c.db.Close(); err == nil {
		err = dbErr
	}
	return err
}

func (open gooraConnections) closeAll() {
	for _, c := range open {
		_ = c.close()
	}
}

func (open gooraConnections) do(ctx context.Context, g GoOra, s Step, r *Result) error {
	if s.Do == Connect {
		c, err := g.connect(ctx, s)
		if err == nil {
			open[s.On] = c
		}
		return err
	}
	c := open[s.On]
	if c == nil {
		return fmt.Errorf("no connection %q", s.On)
	}
	switch s.Do {
	case Close:
		delete(open, s.On)
		return c.close()
	case Commit:
		return c.end((*sql.Tx).Commit)
	case Rollback:
		return c.end((*sql.Tx).Rollback)
	case Ping:
		return c.conn.PingContext(ctx)
	}
	tx, err := c.on(ctx)
	if err != nil {
		return err
	}
	return gooraStatement(ctx, tx, s, r)
}

func gooraStatement(ctx context.Context, tx *sql.Tx, s Step, r *Result) (err error) {
	switch s.Do {
	case Query:
		r.Rows, err = gooraQuery(ctx, tx, s)
	case Fetch:
		r.Count, r.Sum, err = gooraFetch(ctx, tx, s.SQL)
	case Execute:
		r.Affected, err = gooraExecute(ctx, tx, s)
	case Many:
		r.Affected, err = gooraMany(ctx, tx, s)
	case Call:
		r.Out, err = gooraCall(ctx, tx, s)
	case Interrupt:
		err = gooraInterrupt(ctx, tx, s)
	default:
		err = fmt.Errorf("no action %q", s.Do)
	}
	return err
}

// connect takes a descriptor, or host:port/service.
func (g GoOra) connect(ctx context.Context, s Step) (*gooraConnection, error) {
	options := map[string]string{"PREFETCH_ROWS": "1000"}
	if g.StreamLOBs {
		options["LOB FETCH"] = "POST"
	}
	if user, proxied, ok := strings.Cut(strings.TrimSuffix(s.User, "]"), "["); ok {
		s.User, options["PROXY CLIENT NAME"] = user, proxied
	}
	var url string
	if strings.HasPrefix(s.Target, "(") {
		url = goora.BuildJDBC(s.User, s.Password, s.Target, options)
	} else {
		address, service, _ := strings.Cut(s.Target, "/")
		host, portText, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		port, err := strconv.Atoi(portText)
		if err != nil {
			return nil, err
		}
		url = goora.BuildUrl(host, port, service, s.User, s.Password, options)
	}
	connector := goora.NewConnector(url)
	if own, ok := connector.(*goora.OracleConnector); ok && g.TLS != nil {
		own.WithTLSConfig(g.TLS.Clone()) // which it changes
	}
	db := sql.OpenDB(connector)
	conn, err := db.Conn(ctx)
	if err != nil {
		_ = db.Close()
		return nil, err
	}
	return &gooraConnection{db: db, conn: conn}, nil
}

func gooraQuery(ctx context.Context, tx *sql.Tx, s Step) ([][]*string, error) {
	arguments, err := gooraBinds(s.Binds)
	if err != nil {
		return nil, err
	}
	rows, err := tx.QueryContext(ctx, s.SQL, arguments...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var all [][]*string
	for len(all) < 1000 && rows.Next() {
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		row := make([]*string, len(columns))
		for i, v := range values {
			row[i] = gooraText(v)
		}
		all = append(all, row)
	}
	return all, rows.Err()
}

func gooraFetch(ctx context.Context, tx *sql.Tx, text string) (count int64, sum string, err error) {
	rows, err := tx.QueryContext(ctx, text)
	if err != nil {
		return 0, "", err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return 0, "", err
	}
	var first, total int64
	into := make([]any, len(columns))
	into[0] = &first
	for i := 1; i < len(into); i++ {
		into[i] = new(any)
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return count, "", err
		}
		count, total = count+1, total+first
	}
	return count, strconv.FormatInt(total, 10), rows.Err()
}

func gooraExecute(ctx context.Context, tx *sql.Tx, s Step) (int64, error) {
	arguments, err := gooraBinds(s.Binds)
	if err != nil {
		return 0, err
	}
	done, err := tx.ExecContext(ctx, s.SQL, arguments...)
	if err != nil {
		return 0, err
	}
	return done.RowsAffected()
}

// gooraMany binds a slice for each column. go-ora tells no counts of single rows.
func gooraMany(ctx context.Context, tx *sql.Tx, s Step) (int64, error) {
	columns := make([]any, len(s.Rows[0]))
	for i, first := range s.Rows[0] {
		if first.Kind == KindNumber {
			numbers := make([]sql.NullInt64, len(s.Rows))
			for j, row := range s.Rows {
				if row[i].Text == nil {
					continue
				}
				n, err := strconv.ParseInt(*row[i].Text, 10, 64)
				if err != nil {
					return 0, err
				}
				numbers[j] = sql.NullInt64{Int64: n, Valid: true}
			}
			columns[i] = numbers
			continue
		}
		texts := make([]sql.NullString, len(s.Rows))
		for j, row := range s.Rows {
			if row[i].Text != nil {
				texts[j] = sql.NullString{String: *row[i].Text, Valid: true}
			}
		}
		columns[i] = texts
	}
	done, err := tx.ExecContext(ctx, s.SQL, columns...)
	if err != nil {
		return 0, err
	}
	return done.RowsAffected()
}

func gooraCall(ctx context.Context, tx *sql.Tx, s Step) ([]*string, error) {
	arguments, err := gooraBinds(s.Binds)
	if err != nil {
		return nil, err
	}
	if _, err := tx.ExecContext(ctx, s.SQL, arguments...); err != nil {
		return nil, err
	}
	var outs []*string
	for _, a := range arguments {
		if out, ok := a.(goora.Out); ok {
			if text := out.Dest.(*sql.NullString); text.Valid {
				outs = append(outs, &text.String)
			} else {
				outs = append(outs, nil)
			}
		}
	}
	return outs, nil
}

// gooraInterrupt has one way only: the context, which go-ora turns into a break.
func gooraInterrupt(ctx context.Context, tx *sql.Tx, s Step) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(s.AfterMS)*time.Millisecond)
	defer cancel()
	_, err := tx.ExecContext(ctx, s.SQL)
	return err
}
