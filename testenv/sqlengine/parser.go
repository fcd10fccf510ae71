package sqlengine

import "slices"

// maxDepth bounds how deep a statement may nest, so that no statement exhausts the stack here or in SQLite.
const maxDepth = 60

// A parser reads a statement's tokens. Its first error sticks: from then on it sees only the end.
type parser struct {
	text   string
	tokens []token
	next   int
	depth  int
	// operators counts those that make a tree deeper one by one.
	operators int
	err       *Error
	// binds are the placeholders so far: each occurrence, or with shared set (PL/SQL) each name once.
	binds  []string
	shared bool
	called bool // by CALL, whose errors are those of SQL
}

func newParser(text string) *parser {
	tokens, err := tokenize(text)
	if err != nil {
		tokens = []token{{kind: tokenEnd}}
	}
	return &parser{text: text, tokens: tokens, err: err}
}

func (p *parser) fail(err *Error) {
	if p.err == nil {
		p.err = err.at(p.peek().start)
	}
}

func (p *parser) peek() token { return p.peekAt(0) }

func (p *parser) peekAt(offset int) token {
	if p.err != nil || p.next+offset >= len(p.tokens) {
		end := p.tokens[len(p.tokens)-1]
		return token{kind: tokenEnd, start: end.start, end: end.end}
	}
	return p.tokens[p.next+offset]
}

func (p *parser) take() token {
	t := p.peek()
	if t.kind != tokenEnd {
		p.next++
	}
	return t
}

// accept takes the words and signs if they come next, all of them or none.
func (p *parser) accept(texts ...string) bool {
	for i, text := range texts {
		if !p.peekAt(i).is(text) {
			return false
		}
	}
	p.next += len(texts)
	return true
}

func (p *parser) sees(texts ...string) bool {
	for i, text := range texts {
		if !p.peekAt(i).is(text) {
			return false
		}
	}
	return true
}

// expect takes the sign or word, or fails.
func (p *parser) expect(text string) {
	if !p.accept(text) {
		p.fail(missing(text))
	}
}

// missing is the error for an absent sign or keyword.
func missing(text string) *Error {
	switch text {
	case "(":
		return failure(906, "missing left parenthesis")
	case ")":
		return failure(907, "missing right parenthesis")
	case "=":
		return failure(927, "missing equal sign")
	case ",":
		return failure(917, "missing comma")
	case "FROM":
		return failure(923, "FROM keyword not found where expected")
	case "SELECT":
		return failure(928, "missing SELECT keyword")
	case "SET":
		return failure(971, "missing SET keyword")
	case "INTO":
		return failure(925, "missing INTO keyword")
	case "VALUES":
		return failure(926, "missing VALUES keyword")
	}
	return failure(905, "missing keyword")
}

// enter counts one more level of nesting; leave it with the returned function.
func (p *parser) enter() func() {
	p.depth++
	if p.depth > maxDepth {
		p.fail(failure(913, "statement is nested too deeply for the test database"))
	}
	return func() { p.depth-- }
}

// maxOperators bounds a statement's arithmetic operators and joins, for the same reason.
const maxOperators = 900

func (p *parser) countOperator() {
	if p.operators++; p.operators > maxOperators {
		p.fail(failure(913, "statement has too many operators for the test database"))
	}
}

// reserved are the words that cannot name anything unquoted.
var reserved = []string{
	"ALL", "ALTER", "AND", "ANY", "AS", "ASC", "BETWEEN", "BY", "CHECK", "CONNECT", "CREATE", "CROSS", "DELETE",
	"DESC", "DISTINCT", "DROP", "ELSE", "EXISTS", "FETCH", "FOR", "FROM", "FULL", "GROUP", "HAVING", "IN",
	"INNER", "INSERT", "INTERSECT", "INTO", "IS", "JOIN", "LEFT", "LIKE", "MINUS", "NATURAL", "NOT", "NULL",
	"OF", "OFFSET", "ON", "OR", "ORDER", "PRIOR", "RETURNING", "RIGHT", "SELECT", "SET", "START", "TABLE",
	"THEN", "TO", "UNION", "UNIQUE", "UPDATE", "USING", "VALUES", "WHEN", "WHERE", "WITH",
}

// nameable are reserved words here that Oracle allows as names of columns.
var nameable = []string{"FETCH", "OFFSET", "LEFT", "RIGHT", "FULL", "CROSS", "USING", "RETURNING"}

func isReserved(word string) bool {
	_, found := slices.BinarySearch(reserved, word)
	return found
}

// seesName reports whether an identifier comes next.
func (p *parser) seesName() bool {
	t := p.peek()
	return t.kind == tokenQuoted || t.kind == tokenWord && !isReserved(t.text)
}

// name takes an identifier.
func (p *parser) name() name {
	t := p.peek()
	if !p.seesName() && !(t.kind == tokenWord && slices.Contains(nameable, t.text)) {
		if t.kind == tokenEnd || t.kind == tokenSign {
			p.fail(failure(903, "invalid table name"))
		} else {
			p.fail(failure(904, "%s: invalid identifier", p.text[t.start:t.end]))
		}
		return name{}
	}
	p.next++
	return name{text: t.text, position: t.start}
}

// qualifiedName takes up to three identifiers joined by dots.
func (p *parser) qualifiedName() []name {
	out := []name{p.name()}
	for p.peek().is(".") && len(out) < 3 && p.err == nil {
		p.next++
		t := p.peek()
		if t.kind == tokenWord { // after a dot no word is reserved
			p.next++
			out = append(out, name{text: t.text, position: t.start})
			continue
		}
		out = append(out, p.name())
	}
	return out
}

// tableName takes the name of a table or other object.
func (p *parser) tableName() []name {
	if !p.seesName() {
		p.fail(failure(903, "invalid table name"))
		return nil
	}
	out := p.qualifiedName()
	if p.peek().is("@") {
		p.fail(failure(2019, "connection description for remote database not found"))
	}
	return out
}

// nameList takes (a, b, c).
func (p *parser) nameList() []name {
	p.expect("(")
	var out []name
	for {
		out = append(out, p.name())
		if !p.accept(",") || p.err != nil {
			break
		}
	}
	p.expect(")")
	return out
}

// placeholder numbers a bind.
func (p *parser) placeholder(name string) int {
	if p.shared {
		if i := slices.Index(p.binds, name); i >= 0 {
			return i
		}
	}
	p.binds = append(p.binds, name)
	return len(p.binds) - 1
}

// atEnd fails unless the statement ends here.
func (p *parser) atEnd() {
	if t := p.peek(); t.kind != tokenEnd {
		if t.is(";") {
			p.fail(failure(911, "invalid character"))
			return
		}
		p.fail(failure(933, "SQL command not properly ended"))
	}
}

// source is the text between the first token at from and the last token taken.
func (p *parser) source(from int) string {
	if from >= p.next || p.next > len(p.tokens) {
		return ""
	}
	return p.text[p.tokens[from].start:p.tokens[p.next-1].end]
}
