package sqlengine

// The syntax tree of the SQL the engine knows. Positions are byte offsets in the statement.

// A name is an identifier as the dictionary holds it: upper case unless it was quoted.
type name struct {
	text     string
	position int
}

// An expression is one of the types below.
type expression interface{ position() int }

type node struct{ start int }

func (n node) position() int { return n.start }

type (
	numberLiteral struct {
		node
		text   string
		binary byte // 'F' or 'D' for BINARY_FLOAT and BINARY_DOUBLE literals
	}
	stringLiteral struct {
		node
		text string
	}
	nullLiteral struct{ node }
	boolLiteral struct {
		node
		value bool
	}
	timeLiteral struct {
		node
		value moment
	}
	intervalLiteral struct {
		node
		value interval
	}
	bindRef struct {
		node
		index int // into the statement's binds
	}
	// columnRef is a name of one to three parts: a column, a pseudo column, a sequence's value, a variable.
	columnRef struct {
		node
		parts []name
		outer bool // followed by (+)
	}
	unary struct {
		node
		operator string // "-", "NOT", "PRIOR"
		operand  expression
	}
	operation struct {
		node
		operator    string // arithmetic, "||", comparisons, "AND", "OR"
		left, right expression
	}
	isNull struct {
		node
		operand expression
		not     bool
	}
	between struct {
		node
		operand, low, high expression
		not                bool
	}
	like struct {
		node
		operand, pattern, escape expression
		not                      bool
	}
	inList struct {
		node
		operand expression
		list    []expression
		query   *queryExpression // instead of list
		not     bool
	}
	// quantified is a comparison with ANY, SOME or ALL of a list.
	quantified struct {
		node
		operator string
		operand  expression
		all      bool
		list     []expression
		query    *queryExpression
	}
	exists struct {
		node
		query *queryExpression
	}
	scalarQuery struct {
		node
		query *queryExpression
	}
	tuple struct {
		node
		items []expression
	}
	caseExpression struct {
		node
		operand   expression // nil for a searched CASE
		when      []caseBranch
		otherwise expression // nil if absent
	}
	castExpression struct {
		node
		operand expression
		target  datatype
	}
	extractExpression struct {
		node
		field   string
		operand expression
	}
	trimExpression struct {
		node
		side                string // LEADING, TRAILING, BOTH
		characters, operand expression
	}
	atTimeZone struct {
		node
		operand, zone expression // zone nil is AT LOCAL
	}
	call struct {
		node
		function    []name
		arguments   []expression
		star        bool // COUNT(*)
		distinct    bool
		over        *window
		withinOrder []orderItem // WITHIN GROUP (ORDER BY …)
		isCall      bool        // parentheses were written
	}
)

type caseBranch struct{ condition, result expression }

type window struct {
	partition []expression
	order     []orderItem
	frame     string // as written, in SQLite's own words
}

type orderItem struct {
	expression expression
	descending bool
	nullsFirst *bool
}

// queryExpression is a whole query: WITH, set operations, ORDER BY, row limits.
type queryExpression struct {
	start   int
	with    []commonTable
	first   *queryBlock
	further []setOperand
	order   []orderItem
	offset  expression
	fetch   expression
	lock    *lockClause
}

type commonTable struct {
	name    name
	columns []name
	query   *queryExpression
}

type setOperand struct {
	operator string // UNION, UNION ALL, INTERSECT, MINUS
	block    *queryBlock
}

// queryBlock is one SELECT, or a query in parentheses among set operations.
type queryBlock struct {
	start     int
	nested    *queryExpression
	distinct  bool
	items     []selectItem
	into      []expression // PL/SQL targets
	from      []fromItem
	where     expression
	startWith expression
	connectBy expression
	groupBy   []expression
	having    expression
}

type selectItem struct {
	expression expression // nil for a star
	star       bool
	starOf     []name // t.* or schema.t.*
	alias      *name
	text       string // the expression as written
}

// fromItem is a table, a query in parentheses, or a join.
type fromItem struct {
	start int
	table []name // one or two parts
	query *queryExpression
	alias *name
	join  *joinClause
}

type joinClause struct {
	kind        string // INNER, LEFT, RIGHT, FULL, CROSS
	left, right fromItem
	on          expression
	using       []name
	natural     bool
}

type lockClause struct {
	nowait, skip bool
	wait         expression
}

// The statements.
type (
	queryStatement  struct{ query *queryExpression }
	insertStatement struct {
		table     []name
		alias     *name
		columns   []name
		values    []expression
		query     *queryExpression
		returning *returningClause
		position  int
	}
	updateStatement struct {
		table     []name
		alias     *name
		set       []assignment
		where     expression
		returning *returningClause
		position  int
	}
	deleteStatement struct {
		table     []name
		alias     *name
		where     expression
		returning *returningClause
		position  int
	}
	mergeStatement struct {
		table       []name
		alias       *name
		source      fromItem
		on          expression
		set         []assignment
		updateWhere expression
		columns     []name
		values      []expression
		insertWhere expression
		position    int
	}
	lockTableStatement struct {
		table  []name
		nowait bool
	}
)

// assignment sets columns from one expression each, or several from one query.
type assignment struct {
	columns []name
	value   expression // nil is DEFAULT
	query   *queryExpression
}

type returningClause struct {
	expressions []expression
	into        []expression
}
