package sqlengine

import "context"

// A ddlStatement changes the dictionary, in a transaction of its own.
type ddlStatement interface {
	define(ctx context.Context, d *definer) *Error
}

type (
	createTable struct {
		name        []name
		columns     []columnDefinition
		constraints []constraintDefinition
		as          *queryExpression
		text        string // of the query
		temporary   bool
		deleteRows  bool
		ifNot       bool
	}
	createView struct {
		name    []name
		columns []name
		query   *queryExpression
		text    string
		replace bool
	}
	createIndex struct {
		name, table []name
		items       []expression
		texts       []string
		unique      bool
	}
	createSequence struct {
		name     []name
		sequence sequence
	}
	createSynonym struct {
		name, target []name
		public       bool
		replace      bool
	}
	dropObject struct {
		kind     string // TABLE, VIEW, …
		name     []name
		cascade  bool
		ifExists bool
	}
	truncateTable struct{ name []name }
	renameObject  struct{ from, to []name }
	alterTable    struct {
		name    []name
		actions []tableAction
	}
	alterSequence struct {
		name    []name
		change  func(*sequence)
		restart bool
	}
	refusedDefinition struct{ err *Error }
)

// A columnDefinition is a column as CREATE TABLE or ALTER TABLE gives it.
type columnDefinition struct {
	column      tableColumn
	position    int
	typed       bool
	identity    *sequence
	notNull     *bool // NOT NULL or NULL, nil if neither was said
	hasDefault  bool
	constraints []constraintDefinition
}

type constraintDefinition struct {
	name      string
	kind      string // as in constraint
	columns   []name
	check     string
	parent    []name
	parentKey []name
	onDelete  string
	position  int
}

// A tableAction is one thing ALTER TABLE does.
type tableAction struct {
	verb        string // ADD, MODIFY, DROP COLUMN, DROP CONSTRAINT, DROP PRIMARY KEY, RENAME COLUMN, RENAME
	columns     []columnDefinition
	constraints []constraintDefinition
	names       []name
	to          name
}
