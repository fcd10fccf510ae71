package sqlengine

import (
	"strconv"
	"strings"
)

// plsql takes an anonymous block.
func (p *parser) plsql() *plsqlBlock {
	p.acceptLabel()
	b := p.block()
	p.expectPLSQL(";")
	p.accept("/")
	if t := p.peek(); t.kind != tokenEnd && p.err == nil {
		p.unexpected()
	}
	return b
}

// callStatement takes CALL procedure(arguments) [INTO :bind] as a block of one statement.
func (p *parser) callStatement() *plsqlBlock {
	p.called = true
	t := p.take()
	start := p.peek().start
	e := p.nameOrCall()
	b := &plsqlBlock{node: node{t.start}}
	if p.accept("INTO") {
		b.body = []plsqlStatement{&plsqlAssign{node: node{start}, target: p.target(), value: e}}
	} else if c, ok := e.(*call); ok {
		b.body = []plsqlStatement{&plsqlCall{node: node{start}, procedure: c.function, arguments: c.arguments}}
	} else {
		p.fail(failure(6576, "not a valid function or procedure name"))
	}
	p.accept(";")
	p.atEnd()
	return b
}

// unexpected fails as PL/SQL's parser does.
func (p *parser) unexpected() {
	t := p.peek()
	symbol := "end-of-file"
	if t.kind != tokenEnd {
		symbol = strings.ToUpper(p.text[t.start:t.end])
	}
	p.fail(&Error{Code: 6550, Text: "PLS-00103: Encountered the symbol \"" + symbol + "\""})
}

// refuse fails because of something of PL/SQL that the engine does not know.
func (p *parser) refuse(what string) {
	p.fail(&Error{Code: 6550, Text: "PLS-00999: implementation restriction: " + what + " not known to the test database"})
}

func (p *parser) expectPLSQL(text string) {
	if p.err == nil && !p.accept(text) {
		p.unexpected()
	}
}

// blockError words a syntax error as that of a block: with line and column.
func (p *parser) blockError() *Error {
	err := p.err
	place := lineColumn(p.text, err.Position)
	if err.Code != 6550 {
		return &Error{Code: 6550, Position: err.Position,
			Text: place + ":\nPL/SQL: " + err.Error() + "\nORA-06550: " + place + ":\nPL/SQL: SQL Statement ignored"}
	}
	return &Error{Code: 6550, Position: err.Position, Text: place + ":\n" + err.Text}
}

// lineColumn words a position, both counted from 1.
func lineColumn(text string, position int) string {
	before := text[:min(position, len(text))]
	line := strings.Count(before, "\n") + 1
	column := len(before) - strings.LastIndexByte(before, '\n')
	return "line " + strconv.Itoa(line) + ", column " + strconv.Itoa(column)
}

// acceptLabel takes <<label>>.
func (p *parser) acceptLabel() string {
	if !p.accept("<<") {
		return ""
	}
	n := p.name()
	p.expectPLSQL(">>")
	return n.text
}

// block takes [DECLARE …] BEGIN … [EXCEPTION …] END [name].
func (p *parser) block() *plsqlBlock {
	defer p.enter()()
	b := &plsqlBlock{node: node{p.peek().start}}
	if p.accept("DECLARE") {
		for p.err == nil && !p.peek().is("BEGIN") {
			b.declarations = append(b.declarations, p.declaration())
		}
	}
	p.expectPLSQL("BEGIN")
	b.body = p.statements("END", "EXCEPTION")
	if p.accept("EXCEPTION") {
		for p.err == nil && p.accept("WHEN") {
			b.handlers = append(b.handlers, p.handler())
		}
	}
	p.expectPLSQL("END")
	if p.seesName() {
		p.next++
	}
	return b
}

func (p *parser) handler() handler {
	h := handler{exceptions: []string{p.name().text}}
	for p.accept("OR") {
		h.exceptions = append(h.exceptions, p.name().text)
	}
	p.expectPLSQL("THEN")
	h.body = p.statements("WHEN", "END")
	return h
}

// statements takes statements up to one of the words, which is left; there must be at least one.
func (p *parser) statements(until ...string) []plsqlStatement {
	var out []plsqlStatement
	for p.err == nil {
		for _, word := range until {
			if p.peek().is(word) && len(out) > 0 {
				return out
			}
		}
		out = append(out, p.plsqlStatement())
		p.expectPLSQL(";")
	}
	return out
}

// declaration takes one declaration.
func (p *parser) declaration() declaration {
	d := declaration{position: p.peek().start}
	defer p.expectPLSQL(";")
	switch {
	case p.accept("PRAGMA"):
		p.pragma(&d)
		return d
	case p.accept("CURSOR"):
		d.name = p.name().text
		if !p.accept("IS") {
			p.refuse("a cursor with parameters is")
		}
		d.cursor = p.query()
		return d
	case p.peek().is("PROCEDURE"), p.peek().is("FUNCTION"), p.peek().is("TYPE"), p.peek().is("SUBTYPE"):
		p.refuse("a local " + strings.ToLower(p.peek().text) + " is")
		return d
	}
	d.name = p.name().text
	if p.accept("EXCEPTION") {
		d.exception = true
		return d
	}
	d.constant = p.accept("CONSTANT")
	p.declaredType(&d)
	if p.accept("NOT", "NULL") {
		d.typ.NotNull = true
	}
	if p.accept(":=") || p.accept("DEFAULT") {
		d.value = p.expression()
	}
	return d
}

// declaredType takes a type, column%TYPE or table%ROWTYPE.
func (p *parser) declaredType(d *declaration) {
	percent := 1
	for p.peekAt(percent).is(".") {
		percent += 2
	}
	if !p.peekAt(percent).is("%") {
		if t := p.peek(); t.is("SYS_REFCURSOR") {
			p.refuse("REF CURSOR is")
			return
		}
		d.typ = p.datatype()
		return
	}
	d.typeOf = p.qualifiedName()
	p.next++
	switch {
	case p.accept("ROWTYPE"):
		d.row = true
	case !p.accept("TYPE"):
		p.unexpected()
	}
}

// pragma takes EXCEPTION_INIT(name, -number).
func (p *parser) pragma(d *declaration) {
	if !p.accept("EXCEPTION_INIT") {
		p.refuse("this pragma is")
		return
	}
	p.expectPLSQL("(")
	d.name = p.name().text
	p.expectPLSQL(",")
	negative := p.accept("-")
	n, err := strconv.Atoi(p.take().text)
	if err != nil || !negative && n != 100 {
		p.unexpected()
	}
	d.number = n
	p.expectPLSQL(")")
}
