package sqlengine

import "context"

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
type Statement struct{}

// Kind says which method runs the statement.
func (st *Statement) Kind() StatementKind { return KindOther }

// BindNames lists the placeholders without their colon, upper case: one an occurrence for SQL, each name once, in
// the order of first occurrence, for PL/SQL. Binds are given in this order.
func (st *Statement) BindNames() []string { return nil }

// Returning lists the indexes of those binds that a RETURNING … INTO clause fills; empty if there is none.
func (st *Statement) Returning() []int { return nil }

// Describe tells a query's columns without running it. A failure is an *Error.
func (st *Statement) Describe(ctx context.Context) ([]Column, error) { return nil, errNotYet }

// Query runs a query. The context bounds this call only, not the rows; cancelling it gives ORA-01013.
func (st *Statement) Query(ctx context.Context, binds []Value) (*Rows, error) { return nil, errNotYet }

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
// binds named by Returning are ignored.
func (st *Statement) Execute(ctx context.Context, rows [][]Value) (Result, error) {
	return Result{}, errNotYet
}

// ExecuteBatch is Execute that goes on after a row that fails and reports it in Result.Errors (batch errors).
func (st *Statement) ExecuteBatch(ctx context.Context, rows [][]Value) (Result, error) {
	return Result{}, errNotYet
}

// Call runs a PL/SQL block. The result holds, by bind index, the value of each bind that the block assigned to.
func (st *Statement) Call(ctx context.Context, binds []Value) (map[int]Value, error) {
	return nil, errNotYet
}

// Close releases what the statement holds. Rows of it stay usable.
func (st *Statement) Close() error { return nil }
