package sqlengine

// plsqlStatement takes one statement without its semicolon.
func (p *parser) plsqlStatement() plsqlStatement {
	label := p.acceptLabel()
	t := p.peek()
	at := node{t.start}
	switch t.text {
	case "BEGIN", "DECLARE":
		return p.block()
	case "NULL":
		p.next++
		return &plsqlNull{at}
	case "IF":
		return p.ifStatement()
	case "LOOP", "WHILE", "FOR":
		return p.loop(label)
	case "EXIT", "CONTINUE":
		return p.exit()
	case "RETURN":
		p.next++
		return &plsqlReturn{at}
	case "RAISE":
		p.next++
		r := &plsqlRaise{node: at}
		if p.seesName() {
			r.exception = p.name().text
		}
		return r
	case "EXECUTE":
		return p.executeImmediate()
	case "SELECT", "WITH":
		return p.selectInto()
	case "INSERT", "UPDATE", "DELETE", "MERGE", "LOCK":
		tree, _ := p.anyStatement()
		return &plsqlSQL{at, tree}
	case "COMMIT":
		p.next++
		p.accept("WORK")
		return &plsqlSQL{at, commitStatement{}}
	case "ROLLBACK", "SAVEPOINT", "SET":
		if tree := p.control(t); tree != nil {
			return &plsqlSQL{at, tree}
		}
	case "OPEN", "FETCH", "CLOSE", "FORALL", "PIPE", "GOTO", "CASE":
		if !p.peekAt(1).is(":=") && !p.peekAt(1).is(".") {
			p.refuse("the statement " + t.text + " is")
			return &plsqlNull{at}
		}
	}
	return p.assignmentOrCall()
}

// assignmentOrCall takes target := value or procedure(arguments).
func (p *parser) assignmentOrCall() plsqlStatement {
	t := p.peek()
	at := node{t.start}
	if t.kind == tokenBind {
		target := p.target()
		p.expectPLSQL(":=")
		return &plsqlAssign{at, target, p.expression()}
	}
	if t.kind != tokenWord && t.kind != tokenQuoted || isReserved(t.text) && t.kind == tokenWord {
		p.unexpected()
		return &plsqlNull{at}
	}
	parts := p.qualifiedName()
	if p.accept(":=") {
		return &plsqlAssign{at, &columnRef{node: at, parts: parts}, p.expression()}
	}
	c := &plsqlCall{node: at, procedure: parts}
	if p.peek().is("(") {
		c.arguments = p.call(t, parts).(*call).arguments
	} else if !p.peek().is(";") {
		p.unexpected()
	}
	if p.err == nil && !isProcedure(functionName(parts)) {
		p.fail((&Error{Code: 6550, Text: "PLS-00201: identifier '" + joinNames(parts) + "' must be declared"}).at(t.start))
	}
	return c
}

func (p *parser) ifStatement() plsqlStatement {
	s := &plsqlIf{node: node{p.take().start}}
	for {
		b := ifBranch{condition: p.expression()}
		p.expectPLSQL("THEN")
		b.body = p.statements("ELSIF", "ELSE", "END")
		s.branches = append(s.branches, b)
		if p.err != nil || !p.accept("ELSIF") {
			break
		}
	}
	if p.accept("ELSE") {
		s.otherwise = p.statements("END")
	}
	p.expectPLSQL("END")
	p.expectPLSQL("IF")
	return s
}

// loop takes LOOP, WHILE … LOOP and FOR … LOOP.
func (p *parser) loop(label string) plsqlStatement {
	defer p.enter()()
	l := &plsqlLoop{node: node{p.peek().start}, label: label}
	switch {
	case p.accept("WHILE"):
		l.while = p.expression()
	case p.accept("FOR"):
		p.forRange(l)
	}
	p.expectPLSQL("LOOP")
	l.body = p.statements("END")
	p.expectPLSQL("END")
	p.expectPLSQL("LOOP")
	if p.seesName() {
		p.next++
	}
	return l
}

// forRange takes i IN [REVERSE] low..high, r IN (select …), r IN cursor.
func (p *parser) forRange(l *plsqlLoop) {
	l.variable = p.name().text
	p.expectPLSQL("IN")
	l.reverse = p.accept("REVERSE")
	if p.peek().is("(") && p.seesQuery() {
		p.next++
		l.query = p.query()
		p.expectPLSQL(")")
		return
	}
	if p.seesName() && p.peekAt(1).is("LOOP") {
		l.cursor = p.name().text
		return
	}
	l.low = p.sum()
	p.expectPLSQL("..")
	l.high = p.sum()
}

func (p *parser) exit() plsqlStatement {
	t := p.take()
	e := &plsqlExit{node: node{t.start}, goesOn: t.is("CONTINUE")}
	if p.seesName() {
		e.label = p.name().text
	}
	if p.accept("WHEN") {
		e.when = p.expression()
	}
	return e
}

func (p *parser) selectInto() plsqlStatement {
	at := node{p.peek().start}
	q := p.query()
	if p.err == nil && (q.first.nested != nil || len(q.first.into) == 0) {
		p.fail((&Error{Code: 6550, Text: "PLS-00428: an INTO clause is expected in this SELECT statement"}).at(at.start))
	}
	return &plsqlSQL{at, &queryStatement{q}}
}

// executeImmediate takes EXECUTE IMMEDIATE text [INTO targets] [USING [IN|OUT] binds].
func (p *parser) executeImmediate() plsqlStatement {
	e := &plsqlExecute{node: node{p.take().start}}
	p.expectPLSQL("IMMEDIATE")
	e.sql = p.expression()
	if p.accept("INTO") {
		e.into = p.targets()
	}
	if p.accept("USING") {
		for {
			p.accept("IN")
			if p.peek().is("OUT") {
				p.refuse("USING OUT is")
			}
			e.using = append(e.using, p.expression())
			if p.err != nil || !p.accept(",") {
				break
			}
		}
	}
	return e
}
