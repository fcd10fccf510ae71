package sqlengine

// seesQuery reports whether a query comes next, perhaps in parentheses.
func (p *parser) seesQuery() bool {
	i := 0
	for p.peekAt(i).is("(") {
		i++
	}
	return p.peekAt(i).is("SELECT") || i == 0 && p.peek().is("WITH")
}

// query takes a whole query, up to but without what surrounds it.
func (p *parser) query() *queryExpression {
	defer p.enter()()
	q := &queryExpression{start: p.peek().start}
	if p.accept("WITH") {
		q.with = p.commonTables()
	}
	q.first = p.queryBlock()
	for {
		operator := ""
		switch {
		case p.accept("UNION", "ALL"):
			operator = "UNION ALL"
		case p.accept("UNION"):
			p.accept("DISTINCT")
			operator = "UNION"
		case p.accept("INTERSECT"):
			operator = "INTERSECT"
		case p.accept("MINUS"), p.accept("EXCEPT"):
			operator = "EXCEPT"
		}
		if operator == "" {
			break
		}
		q.further = append(q.further, setOperand{operator, p.queryBlock()})
	}
	if p.peek().is("ORDER") {
		p.next++
		p.accept("SIBLINGS")
		p.expect("BY")
		q.order = p.orderItems()
	}
	p.rowLimits(q)
	if p.accept("FOR", "UPDATE") {
		q.lock = p.lockClause()
	}
	return q
}

func (p *parser) commonTables() []commonTable {
	var out []commonTable
	for {
		c := commonTable{name: p.name()}
		if p.peek().is("(") {
			c.columns = p.nameList()
		}
		p.expect("AS")
		p.expect("(")
		c.query = p.query()
		p.expect(")")
		out = append(out, c)
		if p.err != nil || !p.accept(",") {
			return out
		}
	}
}

// rowLimits takes OFFSET n ROWS and FETCH FIRST n ROWS ONLY.
func (p *parser) rowLimits(q *queryExpression) {
	if p.accept("OFFSET") {
		q.offset = p.sum()
		if !p.accept("ROWS") && !p.accept("ROW") {
			p.fail(missing("ROWS"))
		}
	}
	if !p.accept("FETCH") {
		return
	}
	if !p.accept("FIRST") && !p.accept("NEXT") {
		p.fail(missing("FIRST"))
	}
	q.fetch = &numberLiteral{node: node{p.peek().start}, text: "1"}
	if !p.peek().is("ROW") && !p.peek().is("ROWS") {
		q.fetch = p.sum()
	}
	if p.accept("PERCENT") {
		p.fail(failure(933, "SQL command not properly ended"))
	}
	if !p.accept("ROWS") && !p.accept("ROW") {
		p.fail(missing("ROWS"))
	}
	if !p.accept("ONLY") && !p.accept("WITH", "TIES") {
		p.fail(missing("ONLY"))
	}
}

func (p *parser) lockClause() *lockClause {
	l := &lockClause{}
	if p.accept("OF") {
		for {
			p.qualifiedName()
			if p.err != nil || !p.accept(",") {
				break
			}
		}
	}
	switch {
	case p.accept("NOWAIT"):
		l.nowait = true
	case p.accept("SKIP", "LOCKED"):
		l.skip = true
	case p.accept("WAIT"):
		l.wait = p.sum()
	}
	return l
}

func (p *parser) orderItems() []orderItem {
	var out []orderItem
	for {
		item := orderItem{expression: p.expression()}
		if p.accept("DESC") {
			item.descending = true
		} else {
			p.accept("ASC")
		}
		if p.accept("NULLS") {
			first := p.accept("FIRST")
			if !first && !p.accept("LAST") {
				p.fail(missing("LAST"))
			}
			item.nullsFirst = &first
		}
		out = append(out, item)
		if p.err != nil || !p.accept(",") {
			return out
		}
	}
}

// queryBlock takes SELECT … or ( query ).
func (p *parser) queryBlock() *queryBlock {
	b := &queryBlock{start: p.peek().start}
	if p.accept("(") {
		b.nested = p.query()
		p.expect(")")
		return b
	}
	p.expect("SELECT")
	b.distinct = p.accept("DISTINCT") || p.accept("UNIQUE")
	if !b.distinct {
		p.accept("ALL")
	}
	b.items = p.selectItems()
	if p.shared && p.accept("INTO") {
		b.into = p.targets()
	}
	p.expect("FROM")
	b.from = p.fromItems()
	if p.accept("WHERE") {
		b.where = p.expression()
	}
	p.hierarchy(b)
	if p.accept("GROUP") {
		p.expect("BY")
		b.groupBy = p.expressionList()
	}
	if p.accept("HAVING") {
		b.having = p.expression()
	}
	return b
}

// hierarchy takes START WITH and CONNECT BY, in either order.
func (p *parser) hierarchy(b *queryBlock) {
	for range 2 {
		switch {
		case p.accept("START", "WITH"):
			b.startWith = p.expression()
		case p.accept("CONNECT", "BY"):
			p.accept("NOCYCLE")
			b.connectBy = p.expression()
		}
	}
	if b.startWith != nil && b.connectBy == nil {
		p.fail(failure(1788, "CONNECT BY clause required in this query block"))
	}
}

func (p *parser) selectItems() []selectItem {
	var out []selectItem
	for {
		out = append(out, p.selectItem())
		if p.err != nil || !p.accept(",") {
			return out
		}
	}
}

func (p *parser) selectItem() selectItem {
	if p.accept("*") {
		return selectItem{star: true}
	}
	if item, found := p.qualifiedStar(); found {
		return item
	}
	from := p.next
	if t := p.peek(); t.is("FROM") || t.is(",") || t.kind == tokenEnd {
		p.fail(failure(936, "missing expression"))
	}
	item := selectItem{expression: p.expression()}
	item.text = p.source(from)
	as := p.accept("AS")
	if as || p.seesName() {
		alias := p.name()
		item.alias = &alias
	}
	return item
}

// qualifiedStar takes t.* or schema.t.*.
func (p *parser) qualifiedStar() (selectItem, bool) {
	for dots := 1; dots <= 2; dots++ {
		last := 2*dots - 1
		if !p.peekAt(last).is(".") {
			return selectItem{}, false
		}
		if !p.peekAt(last + 1).is("*") {
			continue
		}
		item := selectItem{star: true}
		for range dots {
			item.starOf = append(item.starOf, p.name())
			p.next++
		}
		p.next++
		return item, true
	}
	return selectItem{}, false
}

func (p *parser) fromItems() []fromItem {
	var out []fromItem
	for {
		out = append(out, p.joined())
		if p.err != nil || !p.accept(",") {
			return out
		}
	}
}

// joined takes a table and the joins after it.
func (p *parser) joined() fromItem {
	left := p.fromPrimary()
	for p.err == nil {
		start := p.peek().start
		j := &joinClause{left: left}
		j.natural = p.accept("NATURAL")
		switch {
		case p.accept("CROSS", "JOIN"):
			j.kind = "CROSS"
		case p.accept("JOIN"), p.accept("INNER", "JOIN"):
			j.kind = "INNER"
		case p.accept("LEFT", "OUTER", "JOIN"), p.accept("LEFT", "JOIN"):
			j.kind = "LEFT"
		case p.accept("RIGHT", "OUTER", "JOIN"), p.accept("RIGHT", "JOIN"):
			j.kind = "RIGHT"
		case p.accept("FULL", "OUTER", "JOIN"), p.accept("FULL", "JOIN"):
			j.kind = "FULL"
		default:
			return left
		}
		j.right = p.fromPrimary()
		if j.kind != "CROSS" && !j.natural {
			switch {
			case p.accept("ON"):
				j.on = p.expression()
			case p.accept("USING"):
				j.using = p.nameList()
			default:
				p.fail(missing("ON"))
			}
		}
		p.countOperator()
		left = fromItem{start: start, join: j}
	}
	return left
}

func (p *parser) fromPrimary() fromItem {
	defer p.enter()()
	item := fromItem{start: p.peek().start}
	p.accept("LATERAL")
	if p.accept("(") {
		if p.seesQuery() {
			item.query = p.query()
		} else {
			item = p.joined()
		}
		p.expect(")")
	} else {
		item.table = p.tableName()
		if p.peek().is("(") {
			p.fail(failure(933, "SQL command not properly ended"))
		}
	}
	p.accept("AS")
	if p.seesName() {
		alias := p.name()
		item.alias = &alias
	}
	return item
}

// targets takes the targets of an INTO clause.
func (p *parser) targets() []expression {
	var out []expression
	for {
		out = append(out, p.target())
		if p.err != nil || !p.accept(",") {
			return out
		}
	}
}

// target takes a bind or a variable.
func (p *parser) target() expression {
	t := p.peek()
	if t.kind == tokenBind {
		p.next++
		p.acceptIndicator()
		return &bindRef{node{t.start}, p.placeholder(t.text)}
	}
	return &columnRef{node: node{t.start}, parts: p.qualifiedName()}
}
