package sqlengine

import "database/sql/driver"

// The syntax tree of PL/SQL.

// A plsqlStatement is one of the types below. Its position is where it begins.
type plsqlStatement interface{ position() int }

type (
	plsqlBlock struct {
		node
		declarations []declaration
		body         []plsqlStatement
		handlers     []handler
	}
	plsqlNull   struct{ node }
	plsqlAssign struct {
		node
		target expression // bindRef or columnRef
		value  expression
	}
	plsqlSQL struct {
		node
		tree any // query with INTO, DML, transaction control
	}
	plsqlIf struct {
		node
		branches  []ifBranch
		otherwise []plsqlStatement
	}
	plsqlLoop struct {
		node
		label     string
		while     expression // nil for a plain LOOP
		variable  string     // of FOR
		low, high expression
		reverse   bool
		query     *queryExpression
		cursor    string // a declared cursor to loop over
		body      []plsqlStatement
	}
	plsqlExit struct {
		node
		goesOn bool // CONTINUE
		label  string
		when   expression
	}
	plsqlReturn struct{ node }
	plsqlRaise  struct {
		node
		exception string // "" re-raises
	}
	plsqlCall struct {
		node
		procedure []name
		arguments []expression
	}
	plsqlExecute struct {
		node
		sql   expression
		into  []expression
		using []expression
	}
)

type ifBranch struct {
	condition expression
	body      []plsqlStatement
}

type handler struct {
	exceptions []string // OTHERS for all
	body       []plsqlStatement
}

// A declaration is a variable, an exception, its number, or a cursor.
type declaration struct {
	position  int
	name      string
	typ       datatype
	typeOf    []name // name of a column or table whose type it has (%TYPE, %ROWTYPE)
	row       bool   // %ROWTYPE
	constant  bool
	value     expression
	exception bool
	number    int // PRAGMA EXCEPTION_INIT
	cursor    *queryExpression
}

// A variable is a PL/SQL variable with its value in stored form. A record's fields are variables named "R.FIELD".
type variable struct {
	name     string
	typ      datatype
	value    driver.Value
	constant bool
}

// variables are those in sight, the innermost last. It is not nil inside a block.
type variables []*variable

// find looks a name of one or two parts up.
func (v variables) find(parts []name) *variable {
	if v == nil {
		return nil
	}
	text := joinNames(parts)
	for i := len(v) - 1; i >= 0; i-- {
		if v[i].name == text {
			return v[i]
		}
	}
	return nil
}
