package sqlengine

import (
	"context"
	"database/sql/driver"
	"io"
	"strconv"
	"strings"
)

// Result is what DML did.
type Result struct {
	RowsAffected int64
	// PerRow is RowsAffected for each row of binds that was run.
	PerRow []int64
	// Returned holds, for each row of binds, the rows that RETURNING gave, each with a value for each bind of
	// Statement.Returning. Nil without a RETURNING clause.
	Returned [][][]Value
	// Errors are the rows that failed in ExecuteBatch.
	Errors []RowError
	// LastRowID is the ROWID of the last row inserted by a single-row INSERT, or empty.
	LastRowID string
}

// RowError is the failure of one row of binds in ExecuteBatch.
type RowError struct {
	Row   int // index into the rows of binds
	Error *Error
}

// Execute runs a statement that is neither query nor PL/SQL, once for each row of binds, or once if rows is empty.
// It stops at the first row that fails and returns what the rows before it did together with the *Error. Values of
// binds named by Returning are ignored. Interrupting a row's change while SQLite writes rolls the whole transaction
// back, as SQLite does.
func (st *Statement) Execute(ctx context.Context, rows [][]Value) (Result, error) {
	r, err := st.run(ctx, rows, false)
	return r, asError(err)
}

// ExecuteBatch is Execute that goes on after a row that fails and reports it in Result.Errors (batch errors).
func (st *Statement) ExecuteBatch(ctx context.Context, rows [][]Value) (Result, error) {
	r, err := st.run(ctx, rows, true)
	return r, asError(err)
}

func (st *Statement) run(ctx context.Context, rows [][]Value, batch bool) (Result, *Error) {
	if ctx.Err() != nil {
		return Result{}, errCancelled()
	}
	switch tree := st.tree.(type) {
	case ddlStatement:
		return Result{}, st.session.define(ctx, tree)
	case controlStatement:
		return Result{}, tree.control(ctx, st.session)
	}
	if st.kind != KindDML {
		return Result{}, failure(900, "invalid SQL statement")
	}
	if len(rows) == 0 {
		rows = [][]Value{{}}
	}
	began := !st.session.InTransaction()
	if err := st.session.begin(ctx, st.session.engine.LockWait); err != nil {
		return Result{}, err
	}
	var result Result
	var failed *Error
	for i, row := range rows {
		if failed = st.runRow(ctx, row, &result); failed == nil {
			continue
		}
		if !batch || failed.Code == 1013 || !st.session.InTransaction() {
			break
		}
		result.Errors = append(result.Errors, RowError{i, failed})
		result.PerRow = append(result.PerRow, 0)
		if result.Returned != nil {
			result.Returned = append(result.Returned, nil)
		}
		failed = nil
	}
	if began && result.RowsAffected == 0 {
		// nothing has changed, so no lock is kept
		if err := st.session.finish(ctx, "ROLLBACK"); err != nil && failed == nil {
			failed = err
		}
	}
	return result, failed
}

// runRow runs DML for one row of binds.
func (st *Statement) runRow(ctx context.Context, row []Value, result *Result) *Error {
	b, err := st.storedBinds(row)
	if err != nil {
		return err
	}
	changed, returned, err := st.change(ctx, b, result)
	if err != nil {
		return err
	}
	result.RowsAffected += changed
	result.PerRow = append(result.PerRow, changed)
	if returningOf(st.tree) != nil {
		result.Returned = append(result.Returned, returned)
	}
	return nil
}

// change runs the steps of a translated DML statement.
func (st *Statement) change(ctx context.Context, b bound, result *Result) (int64, [][]Value, *Error) {
	s := st.session
	if lock, ok := st.tree.(*lockTableStatement); ok {
		return 0, nil, st.checkTable(lock)
	}
	t, err := st.translate(s.writer, st.tree, b.kinds)
	if err != nil {
		return 0, nil, err
	}
	s.readUp(ctx)
	mark := ""
	if len(t.steps)+len(t.checks) > 1 {
		if mark, err = s.setMark(ctx); err != nil {
			return 0, nil, err
		}
	}
	changed, returned, err := st.steps(ctx, t, b.values, result)
	if mark != "" && s.InTransaction() {
		s.dropMark(mark, len(s.savepoints), err != nil)
	}
	if err != nil {
		return 0, nil, err
	}
	if t.target.Table.OnCommitDelete && changed > 0 {
		if s.temporary == nil {
			s.temporary = map[*object]struct{}{}
		}
		s.temporary[t.target] = struct{}{}
	}
	return changed, returned, nil
}

// steps runs the SQLite statements of a translation.
func (st *Statement) steps(ctx context.Context, t *translation, values []driver.Value, result *Result) (int64, [][]Value, *Error) {
	s := st.session
	var changed int64
	var returned [][]Value
	for _, step := range t.steps {
		args, err := s.arguments(step.parameters, values, s.now())
		if err != nil {
			return 0, nil, err
		}
		n, rows, problem := s.step(ctx, t, step.sql, args)
		if problem != nil {
			s.lost()
			return 0, nil, oracleError(ctx, problem, t.target)
		}
		changed += n
		returned = append(returned, rows...)
	}
	if t.singleRow && changed == 1 {
		rows, problem := s.writer.all("SELECT last_insert_rowid()")
		if problem == nil {
			result.LastRowID = rowIDText(rows[0][0].(int64))
		}
	}
	for _, check := range t.checks {
		rows, problem := s.writer.all(check.sql)
		if problem != nil {
			return 0, nil, oracleError(ctx, problem, t.target)
		}
		if len(rows) > 0 {
			copied := *check.err
			return 0, nil, &copied
		}
	}
	return changed, returned, nil
}

// checkTable is LOCK TABLE's part besides the lock itself, which is that of the transaction.
func (st *Statement) checkTable(lock *lockTableStatement) *Error {
	d, err := st.session.objects(st.session.writer)
	if err == nil && d.find(st.session.schema(), lock.table) == nil {
		return errNoTable().at(lock.table[0].position)
	}
	return err
}

// step runs one SQLite statement, and reads what RETURNING gives.
func (s *Session) step(ctx context.Context, t *translation, sql string, args []driver.Value) (int64, [][]Value, error) {
	if len(t.columns) == 0 {
		changed, err := s.writer.execute(ctx, sql, args)
		return changed, nil, err
	}
	u, err := s.writer.open(ctx, sql, args)
	if err != nil {
		return 0, nil, err
	}
	defer u.close() // after its last row it has no error left
	var out [][]Value
	for {
		row, err := u.next()
		if err == io.EOF {
			return int64(len(out)), out, nil
		}
		if err != nil {
			return 0, nil, err
		}
		values := make([]Value, len(row))
		for i, v := range row {
			values[i] = value(v, t.columns[i].typ)
		}
		out = append(out, values)
	}
}

// setMark sets a savepoint of the engine's own, so that several SQLite statements can be undone as one.
func (s *Session) setMark(ctx context.Context) (string, *Error) {
	s.marks++
	name := "mark " + strconv.Itoa(s.marks) // no user names one with a blank
	return name, s.mark(ctx, name)
}

// dropMark ends a mark, first undoing what was done since if failed. Unless user savepoints were set since, which
// would go with it, it is released.
func (s *Session) dropMark(name string, savepoints int, failed bool) {
	if failed {
		s.unmark(context.Background(), name) // the error at hand counts
	} else if len(s.savepoints) != savepoints {
		return
	}
	s.marks--
	s.writer.run("RELEASE " + quotedMark(name)) // if not, it goes with the transaction
}

func quotedMark(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// mark sets a savepoint.
func (s *Session) mark(ctx context.Context, name string) *Error {
	if err := s.writer.run("SAVEPOINT " + quotedMark(name)); err != nil {
		return oracleError(ctx, err, nil)
	}
	return nil
}

// unmark undoes what was done since a savepoint, which stays.
func (s *Session) unmark(ctx context.Context, name string) *Error {
	s.readUp(ctx)
	if err := s.writer.run("ROLLBACK TO " + quotedMark(name)); err != nil {
		return oracleError(context.Background(), err, nil)
	}
	return nil
}

// lost finds out whether SQLite has rolled back the transaction by itself, as it does when a write is interrupted or
// the disk is full, and if so ends it here too.
func (s *Session) lost() {
	if s.writer.run("BEGIN") == nil { // else still within a transaction
		s.finish(context.Background(), "ROLLBACK") // what it undoes is the empty one just begun
	}
}
