package sqlengine

import (
	"context"
	"database/sql/driver"
	"slices"
)

// evaluate computes an expression, giving its value in stored form and its type.
func (r *runner) evaluate(ctx context.Context, e expression) (driver.Value, datatype, *Error) {
	switch e := e.(type) {
	case *nullLiteral:
		return nil, ofKind(kindNull), nil
	case *stringLiteral:
		return orNull(e.text), textOf(len(e.text)), nil
	case *bindRef:
		return r.binds[e.index], r.kinds[e.index], nil
	case *columnRef:
		if v := r.variables.find(e.parts); v != nil {
			return v.value, v.typ, nil
		}
	}
	s := r.session
	var out driver.Value
	var t datatype
	err := s.withReader(func(conn *connection) error {
		d, failed := s.objects(conn)
		if failed != nil {
			return failed
		}
		c := &compiler{session: s, dictionary: d, kinds: r.kinds, variables: r.variables}
		x := c.stable(c.expression(e))
		if c.err != nil {
			return r.compileError(c.err, e.position())
		}
		args, failed := s.arguments(c.parameters, r.binds, s.now())
		if failed != nil {
			return failed
		}
		u, err := conn.open(ctx, "SELECT "+x.sql, args)
		if err != nil {
			return valueError(oracleError(ctx, err, nil))
		}
		defer u.close() // its one row is read, so no error is left
		row, err := u.next()
		if err != nil {
			return valueError(oracleError(ctx, err, nil))
		}
		out, t = row[0], x.typ
		if t.Kind == kindUnknown {
			t = storedKind(out)
		}
		return nil
	})
	return out, t, err
}

// valueError words a conversion's failure as PL/SQL does.
func valueError(err *Error) *Error {
	switch err.Code {
	case 1722:
		return failure(6502, "PL/SQL: numeric or value error: character to number conversion error")
	case 12899:
		return failure(6502, "PL/SQL: numeric or value error: character string buffer too small")
	case 1438, 1426:
		return failure(6502, "PL/SQL: numeric or value error: number precision too large")
	case 1400, 1407, 1465, 932:
		return failure(6502, "PL/SQL: numeric or value error")
	}
	return err
}

// assign gives a variable a value, converted to its type.
func (r *runner) assign(v *variable, stored driver.Value) *Error {
	if v.constant {
		return failure(6550, "PLS-00363: expression '%s' cannot be used as an assignment target", v.name)
	}
	if v.typ.Kind == kindBool {
		v.value = stored
		return nil
	}
	spec := columnSpec{typ: v.typ, name: v.name}
	converted, err := spec.put(stored, r.session.settings["NLS_"+timeFormatName(v.typ)+"_FORMAT"])
	if err != nil {
		return valueError(ownError(err))
	}
	v.value = converted
	return nil
}

// store assigns to a bind or variable.
func (r *runner) store(target expression, stored driver.Value, t datatype) *Error {
	if b, ok := target.(*bindRef); ok {
		r.binds[b.index], r.kinds[b.index] = stored, t
		r.assigned[b.index] = struct{}{}
		return nil
	}
	ref := target.(*columnRef)
	v := r.variables.find(ref.parts)
	if v == nil {
		return r.compileError(&Error{Code: 6550, Text: "PLS-00201: identifier '" + joinNames(ref.parts) + "' must be declared"}, ref.start)
	}
	err := r.assign(v, stored)
	if err != nil && err.Code == 6550 {
		return r.compileError(err, ref.start)
	}
	return err
}

// isTrue evaluates a condition; NULL is not true.
func (r *runner) isTrue(ctx context.Context, e expression) (bool, *Error) {
	v, t, err := r.evaluate(ctx, e)
	if err == nil && t.Kind != kindBool && t.Kind != kindNull {
		return false, r.compileError(&Error{Code: 6550, Text: "PLS-00382: expression is of wrong type"}, e.position())
	}
	n, _ := v.(int64)
	return n != 0, err
}

func (r *runner) ifStatement(ctx context.Context, s *plsqlIf) (jump, *plsqlError) {
	for _, b := range s.branches {
		yes, err := r.isTrue(ctx, b.condition)
		if err != nil {
			return jump{}, raise(err, s)
		}
		if yes {
			return r.statements(ctx, b.body)
		}
	}
	return r.statements(ctx, s.otherwise)
}

func (r *runner) exit(ctx context.Context, s *plsqlExit) (jump, *plsqlError) {
	if s.when != nil {
		yes, err := r.isTrue(ctx, s.when)
		if err != nil || !yes {
			return jump{}, raise(err, s)
		}
	}
	return jump{exit: !s.goesOn, goesOn: s.goesOn, label: s.label}, nil
}

// loop runs the loops.
func (r *runner) loop(ctx context.Context, l *plsqlLoop) (jump, *plsqlError) {
	switch {
	case l.query != nil:
		return r.queryLoop(ctx, l, l.query)
	case l.cursor != "":
		for _, d := range slices.Backward(r.names) {
			if d.cursor != nil && d.name == l.cursor {
				return r.queryLoop(ctx, l, d.cursor)
			}
		}
		return jump{}, raise(r.compileError(&Error{Code: 6550, Text: "PLS-00201: identifier '" + l.cursor + "' must be declared"}, l.start), l)
	case l.low != nil:
		return r.rangeLoop(ctx, l)
	}
	for {
		if ctx.Err() != nil {
			return jump{}, raise(errCancelled(), l)
		}
		if l.while != nil {
			if yes, err := r.isTrue(ctx, l.while); err != nil || !yes {
				return jump{}, raise(err, l)
			}
		}
		if j, over, err := r.turn(ctx, l); over {
			return j, err
		}
	}
}

// turn runs a loop's body once. Over says that the loop ends, with the jump that goes on.
func (r *runner) turn(ctx context.Context, l *plsqlLoop) (j jump, over bool, err *plsqlError) {
	j, err = r.statements(ctx, l.body)
	mine := j.label == "" || j.label == l.label
	switch {
	case err != nil || j.leave:
		return j, true, err
	case j.exit && mine:
		return jump{}, true, nil
	case j.exit, j.goesOn && !mine:
		return j, true, nil
	}
	return jump{}, false, nil
}

func (r *runner) rangeLoop(ctx context.Context, l *plsqlLoop) (jump, *plsqlError) {
	var limits [2]int64
	for i, e := range [...]expression{l.low, l.high} {
		v, _, failed := r.evaluate(ctx, e)
		if failed != nil {
			return jump{}, raise(failed, l)
		}
		if v == nil {
			return jump{}, raise(failure(6502, "PL/SQL: numeric or value error"), l)
		}
		n, err := integer(v)
		if err != nil {
			return jump{}, raise(valueError(ownError(err)), l)
		}
		limits[i] = n
	}
	i, end, step := limits[0], limits[1], int64(1)
	if l.reverse {
		i, end, step = limits[1], limits[0], -1
	}
	counter := &variable{name: l.variable, typ: ofKind(kindNumber)}
	r.variables = append(r.variables, counter)
	defer func() { r.variables = r.variables[:len(r.variables)-1] }()
	for ; (end-i)*step >= 0; i += step {
		if ctx.Err() != nil {
			return jump{}, raise(errCancelled(), l)
		}
		counter.value = encodeNumber(decimalOf(i))
		if j, over, err := r.turn(ctx, l); over {
			return j, err
		}
	}
	return jump{}, nil
}

// queryLoop runs FOR r IN (query).
func (r *runner) queryLoop(ctx context.Context, l *plsqlLoop, q *queryExpression) (jump, *plsqlError) {
	rows, err := r.openQuery(ctx, &queryStatement{q})
	if err != nil {
		return jump{}, raise(err, l)
	}
	defer rows.Close() // read to its end or left on purpose
	depth := len(r.variables)
	defer func() { r.variables = r.variables[:depth] }()
	fields := make([]*variable, len(rows.types))
	for i, t := range rows.types {
		if t.Kind == kindInteger {
			t.Kind = kindNumber
		}
		fields[i] = &variable{name: l.variable + "." + rows.columns[i].Name, typ: t}
		r.variables = append(r.variables, fields[i])
	}
	for {
		stored, _, err := rows.nextStored(ctx, 1)
		if err != nil || len(stored) == 0 {
			return jump{}, raise(err, l)
		}
		for i, v := range stored[0] {
			if n, ok := v.(int64); ok {
				v = encodeNumber(decimalOf(n))
			}
			fields[i].value = v
		}
		if j, over, err := r.turn(ctx, l); over {
			return j, err
		}
	}
}
