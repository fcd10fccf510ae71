package sqlengine

import (
	"context"
	"database/sql/driver"
)

// within is a statement of the block's, run by itself.
func (r *runner) within(tree any) *Statement {
	return &Statement{session: r.session, text: r.statement.text, tree: tree, kind: KindDML, binds: r.statement.binds,
		variables: r.variables, translated: map[string]*translation{}}
}

// openQuery opens a query of the block's.
func (r *runner) openQuery(ctx context.Context, q *queryStatement) (*Rows, *Error) {
	rows, err := r.within(q).query(ctx, q, bound{r.binds, r.kinds})
	return rows, r.static(err, q.query.start)
}

// static words errors that Oracle finds when it compiles the block, not when it runs.
func (r *runner) static(err *Error, position int) *Error {
	if err == nil {
		return nil
	}
	switch err.Code {
	case 942, 904, 913, 947, 918, 923, 936, 2289, 932, 1789, 957, 4043:
		if err.Position > 0 {
			position = err.Position
		}
		return r.compileError(err, position)
	}
	return err
}

// sql runs a SQL statement of the block's.
func (r *runner) sql(ctx context.Context, s *plsqlSQL) *Error {
	switch tree := s.tree.(type) {
	case *queryStatement:
		return r.selectInto(ctx, tree)
	case controlStatement:
		return tree.control(ctx, r.session)
	}
	if err := r.session.begin(ctx, r.session.engine.LockWait); err != nil {
		return err
	}
	st := r.within(s.tree)
	var result Result
	changed, returned, err := st.change(ctx, bound{r.binds, r.kinds}, &result)
	if err != nil {
		return r.static(err, s.start)
	}
	r.session.block.rowCount = changed
	clause := returningOf(s.tree)
	if clause == nil {
		return nil
	}
	if len(returned) > 1 {
		return failure(1422, "exact fetch returns more than requested number of rows")
	}
	for i, target := range clause.into {
		var v driver.Value
		t := ofKind(kindUnknown)
		if len(returned) == 1 {
			if v, t, err = storedBind(returned[0][i]); err != nil {
				return err
			}
		}
		if err := r.store(target, v, t); err != nil {
			return err
		}
	}
	return nil
}

// selectInto runs SELECT … INTO, which must find exactly one row.
func (r *runner) selectInto(ctx context.Context, q *queryStatement) *Error {
	rows, err := r.openQuery(ctx, q)
	if err != nil {
		return err
	}
	defer rows.Close() // its error, if any, came with the rows
	stored, _, err := rows.nextStored(ctx, 2)
	switch {
	case err != nil:
		return err
	case len(stored) == 0:
		return errEnd()
	case len(stored) > 1:
		return failure(1422, "exact fetch returns more than requested number of rows")
	}
	r.session.block.rowCount = 1
	return r.into(q.query.first.into, stored[0], rows)
}

// into assigns a row to targets, or to the one record that takes all of it.
func (r *runner) into(targets []expression, row []driver.Value, rows *Rows) *Error {
	if len(targets) == 1 {
		if record := r.record(targets[0]); record != nil {
			if len(record) != len(row) {
				return failure(913, "too many values")
			}
			for i, v := range record {
				if err := r.assign(v, row[i]); err != nil {
					return err
				}
			}
			return nil
		}
	}
	switch {
	case len(targets) < len(row):
		return r.static(failure(947, "not enough values"), targets[0].position())
	case len(targets) > len(row):
		return r.static(failure(913, "too many values"), targets[0].position())
	}
	for i, target := range targets {
		if err := r.store(target, row[i], rows.types[i]); err != nil {
			return err
		}
	}
	return nil
}

// record gives the fields of a %ROWTYPE variable; nil if the target is none.
func (r *runner) record(target expression) []*variable {
	ref, ok := target.(*columnRef)
	if !ok || r.variables.find(ref.parts) != nil {
		return nil
	}
	prefix := joinNames(ref.parts) + "."
	var out []*variable
	for _, v := range r.variables {
		if len(v.name) > len(prefix) && v.name[:len(prefix)] == prefix {
			out = append(out, v)
		}
	}
	return out
}

// executeImmediate runs a statement that is text at run time.
func (r *runner) executeImmediate(ctx context.Context, e *plsqlExecute) *Error {
	text, _, err := r.evaluate(ctx, e.sql)
	if err != nil {
		return err
	}
	sql, _ := text.(string)
	prepared, problem := r.session.Prepare(sql)
	if problem != nil {
		return ownError(problem)
	}
	binds := make([]Value, len(e.using))
	for i, u := range e.using {
		v, t, err := r.evaluate(ctx, u)
		if err != nil {
			return err
		}
		binds[i] = value(v, t)
	}
	if len(binds) < len(prepared.binds) {
		return failure(1008, "not all variables bound")
	}
	if prepared.kind != KindQuery {
		return r.executeOther(ctx, prepared, binds)
	}
	opened, problem := prepared.Query(ctx, binds)
	if problem != nil {
		return ownError(problem)
	}
	defer opened.Close() // its error, if any, came with the rows
	if len(e.into) == 0 {
		return nil
	}
	stored, _, err := opened.nextStored(ctx, 2)
	switch {
	case err != nil:
		return err
	case len(stored) == 0:
		return errEnd()
	case len(stored) > 1:
		return failure(1422, "exact fetch returns more than requested number of rows")
	}
	return r.into(e.into, stored[0], opened)
}

// executeOther runs DML, DDL or a block given as text.
func (r *runner) executeOther(ctx context.Context, prepared *Statement, binds []Value) *Error {
	if prepared.kind == KindPLSQL {
		_, err := prepared.Call(ctx, binds)
		if err != nil {
			return ownError(err)
		}
		return nil
	}
	result, err := prepared.run(ctx, [][]Value{binds}, false)
	r.session.block.rowCount = result.RowsAffected
	return err
}
