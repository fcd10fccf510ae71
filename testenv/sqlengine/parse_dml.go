package sqlengine

// insert takes INSERT INTO …
func (p *parser) insert() *insertStatement {
	s := &insertStatement{position: p.take().start}
	if p.accept("ALL") || p.accept("FIRST") {
		p.fail(failure(933, "SQL command not properly ended"))
	}
	p.expect("INTO")
	s.table = p.tableName()
	if p.seesName() {
		alias := p.name()
		s.alias = &alias
	}
	if p.peek().is("(") && !p.seesQuery() {
		s.columns = p.qualifiedNameList()
	}
	switch {
	case p.accept("VALUES"):
		s.values = p.valueList()
	case p.seesQuery():
		s.query = p.query()
	default:
		p.fail(missing("VALUES"))
	}
	s.returning = p.returning()
	return s
}

// qualifiedNameList takes (a, t.b), of which the columns are kept.
func (p *parser) qualifiedNameList() []name {
	p.expect("(")
	var out []name
	for {
		parts := p.qualifiedName()
		out = append(out, parts[len(parts)-1])
		if p.err != nil || !p.accept(",") {
			break
		}
	}
	p.expect(")")
	return out
}

// valueList takes (a, DEFAULT, b); nil stands for DEFAULT.
func (p *parser) valueList() []expression {
	p.expect("(")
	var out []expression
	for {
		if p.peek().is("DEFAULT") && (p.peekAt(1).is(",") || p.peekAt(1).is(")")) {
			p.next++
			out = append(out, nil)
		} else {
			out = append(out, p.expression())
		}
		if p.err != nil || !p.accept(",") {
			break
		}
	}
	p.expect(")")
	return out
}

// returning takes RETURNING a, b INTO :c, :d.
func (p *parser) returning() *returningClause {
	if !p.accept("RETURNING") && !p.accept("RETURN") {
		return nil
	}
	r := &returningClause{expressions: p.expressionList()}
	p.expect("INTO")
	r.into = p.targets()
	if len(r.into) != len(r.expressions) && p.err == nil {
		p.fail(failure(913, "too many values"))
	}
	return r
}

func (p *parser) update() *updateStatement {
	s := &updateStatement{position: p.take().start}
	s.table = p.tableName()
	if !p.peek().is("SET") && p.seesName() {
		alias := p.name()
		s.alias = &alias
	}
	p.expect("SET")
	s.set = p.assignments()
	if p.accept("WHERE") {
		s.where = p.expression()
	}
	s.returning = p.returning()
	return s
}

func (p *parser) assignments() []assignment {
	var out []assignment
	for {
		var a assignment
		if p.peek().is("(") {
			a.columns = p.qualifiedNameList()
			p.expect("=")
			p.expect("(")
			a.query = p.query()
			p.expect(")")
		} else {
			parts := p.qualifiedName()
			a.columns = parts[len(parts)-1:]
			p.expect("=")
			if !p.accept("DEFAULT") {
				a.value = p.expression()
			}
		}
		out = append(out, a)
		if p.err != nil || !p.accept(",") {
			return out
		}
	}
}

func (p *parser) delete() *deleteStatement {
	s := &deleteStatement{position: p.take().start}
	p.accept("FROM")
	s.table = p.tableName()
	if p.seesName() {
		alias := p.name()
		s.alias = &alias
	}
	if p.accept("WHERE") {
		s.where = p.expression()
	}
	s.returning = p.returning()
	return s
}

func (p *parser) merge() *mergeStatement {
	s := &mergeStatement{position: p.take().start}
	p.expect("INTO")
	s.table = p.tableName()
	if p.seesName() {
		alias := p.name()
		s.alias = &alias
	}
	p.expect("USING")
	s.source = p.fromPrimary()
	p.expect("ON")
	p.expect("(")
	s.on = p.expression()
	p.expect(")")
	for p.err == nil && p.accept("WHEN") {
		not := p.accept("NOT")
		p.expect("MATCHED")
		p.expect("THEN")
		if not {
			p.mergeInsert(s)
		} else {
			p.mergeUpdate(s)
		}
	}
	return s
}

func (p *parser) mergeInsert(s *mergeStatement) {
	p.expect("INSERT")
	if p.peek().is("(") {
		s.columns = p.qualifiedNameList()
	}
	p.expect("VALUES")
	s.values = p.valueList()
	if p.accept("WHERE") {
		s.insertWhere = p.expression()
	}
}

func (p *parser) mergeUpdate(s *mergeStatement) {
	p.expect("UPDATE")
	p.expect("SET")
	s.set = p.assignments()
	if p.accept("WHERE") {
		s.updateWhere = p.expression()
	}
}
