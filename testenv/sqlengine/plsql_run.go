package sqlengine

import (
	"context"
	"database/sql/driver"
	"fmt"
	"slices"
	"strings"
)

// Call runs a PL/SQL block. The result holds, by bind index, the value of each bind that the block assigned to. A
// block that fails leaves nothing changed.
func (st *Statement) Call(ctx context.Context, binds []Value) (map[int]Value, error) {
	b, ok := st.tree.(*plsqlBlock)
	if !ok {
		return nil, failure(6550, "line 1, column 1:\nPLS-00103: this is not a PL/SQL block")
	}
	values, err := st.storedBinds(binds)
	if err != nil {
		return nil, err
	}
	r := &runner{statement: st, session: st.session, binds: values.values, kinds: values.kinds, variables: variables{}, assigned: map[int]struct{}{}}
	if err := r.run(ctx, b); err != nil {
		return nil, err
	}
	outs := make(map[int]Value, len(r.assigned))
	for i := range r.assigned {
		outs[i] = value(r.binds[i], r.kinds[i])
	}
	return outs, nil
}

// A runner is one run of a block.
type runner struct {
	statement *Statement
	session   *Session
	binds     []driver.Value
	kinds     []datatype
	assigned  map[int]struct{}
	variables variables
	names     []declaration // exceptions and cursors in sight
	handling  []*plsqlError // the exceptions being handled
}

// blockState is what SQL%ROWCOUNT, SQLCODE and SQLERRM tell.
type blockState struct {
	rowCount int64
	code     int
	message  string
}

// A plsqlError is an exception on its way.
type plsqlError struct {
	*Error
	name     string // of a declared exception
	fatal    bool   // no handler catches it
	position int    // of the statement that raised it
}

// A jump is EXIT, CONTINUE or RETURN on its way.
type jump struct {
	exit, goesOn, leave bool
	label               string
}

// run runs the whole block as one statement.
func (r *runner) run(ctx context.Context, b *plsqlBlock) *Error {
	s := r.session
	began := !s.InTransaction()
	ended, savepoints, mark := s.ended, len(s.savepoints), ""
	if !began {
		s.readUp(ctx)
		var err *Error
		if mark, err = s.setMark(ctx); err != nil {
			return err
		}
	}
	outer := s.block
	s.block = &blockState{}
	_, failed := r.block(ctx, b)
	s.block = outer
	same := !began && s.ended == ended // still the transaction the block began in
	switch {
	case same:
		s.dropMark(mark, savepoints, failed != nil)
	case failed != nil && s.InTransaction():
		s.finish(context.Background(), "ROLLBACK") // the block's error counts
	}
	if failed == nil {
		return nil
	}
	return r.unhandled(failed)
}

// unhandled words an exception that no handler caught.
func (r *runner) unhandled(e *plsqlError) *Error {
	out := *e.Error
	if e.fatal {
		return &out
	}
	if e.name != "" && out.Code == 6510 {
		out.Text = "PL/SQL: unhandled user-defined exception"
	}
	place, _, _ := strings.Cut(lineColumn(r.statement.text, e.position), ",")
	out.Text += "\nORA-06512: at " + place
	out.Position = e.position
	return &out
}

// raise makes an exception of an error.
func raise(err *Error, at plsqlStatement) *plsqlError {
	if err == nil {
		return nil
	}
	return &plsqlError{Error: err, position: at.position(), fatal: err.Code == 1013 || err.Code == 6550 || err.Code == 1012}
}

// block runs a block with its declarations and handlers.
func (r *runner) block(ctx context.Context, b *plsqlBlock) (jump, *plsqlError) {
	variables, names := len(r.variables), len(r.names)
	defer func() { r.variables, r.names = r.variables[:variables], r.names[:names] }()
	for _, d := range b.declarations {
		if err := r.declare(ctx, d); err != nil {
			return jump{}, raise(err, node{d.position})
		}
	}
	j, failed := r.statements(ctx, b.body)
	if failed == nil || failed.fatal {
		return j, failed
	}
	for _, h := range b.handlers {
		if slices.ContainsFunc(h.exceptions, func(name string) bool { return r.catches(name, failed) }) {
			return r.handle(ctx, h, failed)
		}
	}
	return j, failed
}

func (r *runner) handle(ctx context.Context, h handler, failed *plsqlError) (jump, *plsqlError) {
	state := r.session.block
	code, message := state.code, state.message
	state.code, state.message = failed.code(), failed.Error.Error()
	r.handling = append(r.handling, failed)
	j, again := r.statements(ctx, h.body)
	r.handling = r.handling[:len(r.handling)-1]
	state.code, state.message = code, message
	return j, again
}

// code is the exception's SQLCODE.
func (e *plsqlError) code() int {
	switch {
	case e.Code == 1403:
		return 100
	case e.Code == 6510:
		return 1
	}
	return -e.Code
}

// predefined are the exceptions that have names without being declared.
var predefined = map[string]int{
	"NO_DATA_FOUND": 1403, "TOO_MANY_ROWS": 1422, "DUP_VAL_ON_INDEX": 1, "ZERO_DIVIDE": 1476, "INVALID_NUMBER": 1722,
	"VALUE_ERROR": 6502, "TIMEOUT_ON_RESOURCE": 51, "PROGRAM_ERROR": 6501, "LOGIN_DENIED": 1017, "NOT_LOGGED_ON": 1012,
	"CASE_NOT_FOUND": 6592, "STORAGE_ERROR": 6500, "INVALID_CURSOR": 1001, "CURSOR_ALREADY_OPEN": 6511,
}

// exceptionCode is the number of an exception's name: 6510 for a declared one without a number.
func (r *runner) exceptionCode(name string) (code int, found bool) {
	code, found = predefined[name]
	for _, d := range r.names {
		switch {
		case d.name != name:
		case d.number != 0:
			code, found = d.number, true
		case d.exception:
			code, found = 6510, true
		}
	}
	if code == 100 {
		code = 1403
	}
	return code, found
}

func (r *runner) catches(name string, e *plsqlError) bool {
	if name == "OTHERS" {
		return true
	}
	code, found := r.exceptionCode(name)
	if code == 6510 {
		return e.name == name
	}
	return found && code == e.Code
}

func (r *runner) declare(ctx context.Context, d declaration) *Error {
	if d.exception || d.number != 0 || d.cursor != nil {
		r.names = append(r.names, d)
		return nil
	}
	if d.row {
		return r.declareRow(d)
	}
	if d.typeOf != nil {
		t, err := r.typeOf(d)
		if err != nil {
			return err
		}
		d.typ = t
	}
	v := &variable{name: d.name, typ: d.typ}
	if d.value != nil {
		stored, _, err := r.evaluate(ctx, d.value)
		if err == nil {
			err = r.assign(v, stored)
		}
		if err != nil {
			return err
		}
	}
	v.constant = d.constant
	r.variables = append(r.variables, v)
	return nil
}

// tableOf finds the table of %TYPE and %ROWTYPE.
func (r *runner) tableOf(parts []name, d declaration) (*object, *Error) {
	var o *object
	err := r.session.withReader(func(c *connection) error {
		objects, failed := r.session.objects(c)
		if failed == nil && len(parts) > 0 {
			o = objects.find(r.session.schema(), parts)
		}
		return asError(failed)
	})
	if err == nil && (o == nil || o.Table == nil) {
		return nil, r.compileError(&Error{Code: 6550, Text: "PLS-00201: identifier '" + joinNames(d.typeOf) + "' must be declared"}, d.position)
	}
	return o, err
}

func (r *runner) typeOf(d declaration) (datatype, *Error) {
	if v := r.variables.find(d.typeOf); v != nil {
		return v.typ, nil
	}
	last := len(d.typeOf) - 1
	o, err := r.tableOf(d.typeOf[:last], d)
	if err != nil {
		return datatype{}, err
	}
	column := o.Table.column(d.typeOf[last].text)
	if column == nil {
		return datatype{}, r.compileError(&Error{Code: 6550, Text: "PLS-00302: component '" + d.typeOf[last].text + "' must be declared"}, d.position)
	}
	t := column.Type
	t.NotNull = false
	return t, nil
}

func (r *runner) declareRow(d declaration) *Error {
	o, err := r.tableOf(d.typeOf, d)
	if err != nil {
		return err
	}
	for _, column := range o.Table.Columns {
		t := column.Type
		t.NotNull = false
		r.variables = append(r.variables, &variable{name: d.name + "." + column.Name, typ: t})
	}
	return nil
}

// compileError words an error as one of compiling the block, which no handler catches.
func (r *runner) compileError(err *Error, position int) *Error {
	place := lineColumn(r.statement.text, position)
	text := err.Text
	if err.Code != 6550 {
		text = "PL/SQL: " + err.Error() + "\nORA-06550: " + place + ":\nPL/SQL: SQL Statement ignored"
	}
	return &Error{Code: 6550, Text: place + ":\n" + text, Position: position}
}

func (r *runner) statements(ctx context.Context, body []plsqlStatement) (jump, *plsqlError) {
	for _, s := range body {
		if ctx.Err() != nil {
			return jump{}, raise(errCancelled(), s)
		}
		j, err := r.step(ctx, s)
		if err != nil || j != (jump{}) {
			return j, err
		}
	}
	return jump{}, nil
}

// step runs one statement.
func (r *runner) step(ctx context.Context, s plsqlStatement) (jump, *plsqlError) {
	switch s := s.(type) {
	case *plsqlNull:
		return jump{}, nil
	case *plsqlBlock:
		return r.block(ctx, s)
	case *plsqlIf:
		return r.ifStatement(ctx, s)
	case *plsqlLoop:
		return r.loop(ctx, s)
	case *plsqlExit:
		return r.exit(ctx, s)
	case *plsqlReturn:
		return jump{leave: true}, nil
	case *plsqlAssign:
		v, t, err := r.evaluate(ctx, s.value)
		if err == nil {
			err = r.store(s.target, v, t)
		}
		return jump{}, raise(err, s)
	case *plsqlSQL:
		return jump{}, raise(r.sql(ctx, s), s)
	case *plsqlCall:
		return jump{}, raise(r.procedure(ctx, s), s)
	case *plsqlExecute:
		return jump{}, raise(r.executeImmediate(ctx, s), s)
	case *plsqlRaise:
		return jump{}, r.raiseStatement(s)
	}
	return jump{}, raise(failure(6501, "PL/SQL: program error: %s", fmt.Sprintf("%T", s)), s)
}

func (r *runner) raiseStatement(s *plsqlRaise) *plsqlError {
	if s.exception == "" {
		if len(r.handling) == 0 {
			return raise(r.compileError(&Error{Code: 6550, Text: "PLS-00367: a RAISE statement with no exception name must be inside an exception handler"}, s.start), s)
		}
		return r.handling[len(r.handling)-1]
	}
	code, found := r.exceptionCode(s.exception)
	if !found {
		return raise(r.compileError(&Error{Code: 6550, Text: "PLS-00201: identifier '" + s.exception + "' must be declared"}, s.start), s)
	}
	text := map[int]string{6510: "PL/SQL: unhandled user-defined exception", 1403: "no data found", 1: "unique constraint violated",
		1422: "exact fetch returns more than requested number of rows", 6502: "PL/SQL: numeric or value error",
		1476: "divisor is equal to zero", 1722: "invalid number"}[code]
	e := raise(failure(code, "%s", text), s)
	e.name = s.exception
	return e
}
