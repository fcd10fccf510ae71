package sqlengine

import "context"

// Rows is an open query. It must be closed, and closes itself at its end or at an error.
type Rows struct{}

// Columns describes the result.
func (r *Rows) Columns() []Column { return nil }

// Next returns up to n further rows. Done says that there are no more after these; asking again gives none.
func (r *Rows) Next(n int) (rows [][]Value, done bool, err error) {
	return r.NextContext(context.Background(), n)
}

// NextContext is Next under a context; cancelling it gives ORA-01013.
func (r *Rows) NextContext(ctx context.Context, n int) (rows [][]Value, done bool, err error) {
	return nil, true, errNotYet
}

// Close ends the query. It is safe to call more than once.
func (r *Rows) Close() error { return nil }
