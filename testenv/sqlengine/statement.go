package sqlengine

import (
	"context"
	"database/sql/driver"
	"fmt"
	"strings"
	"time"
)

// StatementKind says which method runs a statement.
type StatementKind uint8

// The kinds of statement: KindQuery is run by Query, KindPLSQL by Call, all others by Execute.
const (
	KindQuery StatementKind = iota
	KindDML
	KindDDL
	KindPLSQL
	KindOther // COMMIT, ROLLBACK, SAVEPOINT, ALTER SESSION, SET …
)

// Statement is a parsed statement of one session, to be run any number of times.
type Statement struct {
	session   *Session
	text      string
	kind      StatementKind
	tree      any
	binds     []string
	returning []int
	variables variables // of the PL/SQL block around, or nil
	// translated are the translations so far, by what they depend on.
	translated map[string]*translation
}

// Prepare parses a statement. A failure is an *Error.
func (s *Session) Prepare(sql string) (*Statement, error) {
	if s.closed {
		return nil, failure(1012, "not logged on")
	}
	st := &Statement{session: s, text: sql, translated: map[string]*translation{}}
	p := newParser(sql)
	st.tree, st.kind = p.statement()
	if p.err != nil {
		if st.kind == KindPLSQL && !p.called {
			return nil, p.blockError()
		}
		return nil, p.err
	}
	if st.kind == KindDDL && len(p.binds) > 0 {
		return nil, failure(1027, "bind variables not allowed for data definition operations")
	}
	st.binds = p.binds
	st.findReturning()
	return st, nil
}

// findReturning notes which binds RETURNING fills.
func (st *Statement) findReturning() {
	for _, e := range returningOf(st.tree).targets() {
		if b, ok := e.(*bindRef); ok {
			st.returning = append(st.returning, b.index)
		}
	}
}

func returningOf(tree any) *returningClause {
	switch s := tree.(type) {
	case *insertStatement:
		return s.returning
	case *updateStatement:
		return s.returning
	case *deleteStatement:
		return s.returning
	}
	return nil
}

func (r *returningClause) targets() []expression {
	if r == nil {
		return nil
	}
	return r.into
}

// Kind says which method runs the statement.
func (st *Statement) Kind() StatementKind { return st.kind }

// BindNames lists the placeholders without their colon, upper case: one an occurrence for SQL, each name once, in
// the order of first occurrence, for PL/SQL. Binds are given in this order.
func (st *Statement) BindNames() []string { return st.binds }

// Returning lists the indexes of those binds that a RETURNING … INTO clause fills; empty if there is none.
func (st *Statement) Returning() []int { return st.returning }

// Close releases what the statement holds. Rows of it stay usable.
func (st *Statement) Close() error {
	clear(st.translated)
	return nil
}

// Describe tells a query's columns without running it. A failure is an *Error.
func (st *Statement) Describe(ctx context.Context) ([]Column, error) {
	query, ok := st.tree.(*queryStatement)
	if !ok {
		return nil, nil
	}
	var out []Column
	err := st.session.withReader(func(c *connection) error {
		t, failed := st.translate(c, query, make([]datatype, len(st.binds)))
		if failed != nil {
			return failed
		}
		out = t.describe()
		return ctx.Err()
	})
	return out, asError(err)
}

func (t *translation) describe() []Column {
	out := make([]Column, len(t.columns))
	for i, c := range t.columns {
		out[i] = c.typ.column(c.name)
	}
	return out
}

// translate translates a tree for binds of the given types, unless that has been done.
func (st *Statement) translate(c *connection, tree any, kinds []datatype) (*translation, *Error) {
	d, failed := st.session.objects(c)
	if failed != nil {
		return nil, failed
	}
	key := st.signature(kinds)
	if t := st.translated[key]; t != nil && t.version == d.version {
		return t, nil
	}
	compiler := &compiler{session: st.session, dictionary: d, kinds: kinds, variables: st.variables}
	t := compiler.statement(tree)
	if compiler.err != nil {
		return nil, compiler.err
	}
	t.version = d.version
	if !compiler.volatile && st.variables == nil {
		st.translated[key] = t
	}
	return t, nil
}

// signature is what a translation depends on besides the dictionary.
func (st *Statement) signature(kinds []datatype) string {
	var b strings.Builder
	b.WriteString(st.session.schema())
	for _, k := range kinds {
		fmt.Fprintf(&b, "/%d.%d", k.Kind, k.Size)
	}
	return b.String()
}

// statement translates a query or DML.
func (c *compiler) statement(tree any) *translation {
	switch s := tree.(type) {
	case *queryStatement:
		sql, columns := c.query(s.query, false)
		return &translation{steps: []step{{sql, c.parameters}}, columns: columns, locking: s.query.lock}
	case *insertStatement:
		return c.insert(s)
	case *updateStatement:
		return c.update(s)
	case *deleteStatement:
		return c.delete(s)
	case *mergeStatement:
		return c.merge(s)
	}
	c.fail(failure(900, "invalid SQL statement"))
	return nil
}

// bound are binds in stored form, and their types.
type bound struct {
	values []driver.Value
	kinds  []datatype
}

func (st *Statement) storedBinds(binds []Value) (bound, *Error) {
	if len(binds) < len(st.binds) {
		return bound{}, failure(1008, "not all variables bound")
	}
	b := bound{make([]driver.Value, len(st.binds)), make([]datatype, len(st.binds))}
	for i := range st.binds {
		var err *Error
		if b.values[i], b.kinds[i], err = storedBind(binds[i]); err != nil {
			return bound{}, err
		}
	}
	for _, i := range st.returning {
		b.values[i], b.kinds[i] = nil, datatype{}
	}
	return b, nil
}

// now is the moment a statement sees as SYSDATE throughout.
func (s *Session) now() time.Time { return time.Now() }
