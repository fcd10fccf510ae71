package sqlengine

func (p *parser) createView(replace bool) ddlStatement {
	s := &createView{name: p.tableName(), replace: replace}
	if p.peek().is("(") {
		s.columns = p.nameList()
	}
	p.expect("AS")
	from := p.next
	s.query = p.query()
	s.text = p.source(from)
	if p.accept("WITH") { // READ ONLY, CHECK OPTION
		p.rest()
	}
	return s
}

func (p *parser) createIndex(unique bool) ddlStatement {
	s := &createIndex{name: p.tableName(), unique: unique}
	p.expect("ON")
	s.table = p.tableName()
	p.expect("(")
	for {
		from := p.next
		s.items = append(s.items, p.expression())
		s.texts = append(s.texts, p.source(from))
		if !p.accept("ASC") {
			p.accept("DESC")
		}
		if p.err != nil || !p.accept(",") {
			break
		}
	}
	p.expect(")")
	p.rest()
	return s
}

func newSequence() sequence {
	return sequence{Start: "", Increment: "1", Min: "", Max: "", Cache: 20}
}

// sequenceOptions takes START WITH, INCREMENT BY and so on.
func (p *parser) sequenceOptions(s *sequence) {
	for p.err == nil {
		switch {
		case p.accept("START", "WITH"):
			if !p.accept("LIMIT", "VALUE") {
				s.Start = p.wholeNumber()
			}
		case p.accept("INCREMENT", "BY"):
			s.Increment = p.wholeNumber()
			if s.Increment == "0" {
				p.fail(failure(4002, "INCREMENT must be a non-zero integer"))
			}
		case p.accept("MINVALUE"):
			s.Min = p.wholeNumber()
		case p.accept("MAXVALUE"):
			s.Max = p.wholeNumber()
		case p.accept("CACHE"):
			p.wholeNumber()
		case p.accept("CYCLE"):
			s.Cycle = true
		case p.accept("NOCYCLE"):
			s.Cycle = false
		case p.accept("NOMINVALUE"), p.accept("NOMAXVALUE"), p.accept("NOCACHE"), p.accept("ORDER"), p.accept("NOORDER"),
			p.accept("KEEP"), p.accept("NOKEEP"), p.accept("SESSION"), p.accept("GLOBAL"):
		default:
			return
		}
	}
}

// wholeNumber takes an integer with an optional sign.
func (p *parser) wholeNumber() string {
	sign := ""
	if p.accept("-") {
		sign = "-"
	}
	t := p.take()
	if t.kind != tokenNumber || !allDigits(t.text) {
		p.next--
		p.fail(failure(1722, "invalid number"))
		return "0"
	}
	return sign + t.text
}

func (p *parser) drop() ddlStatement {
	p.accept("PUBLIC")
	t := p.take()
	s := &dropObject{kind: t.text}
	if t.is("PACKAGE") || t.is("TYPE") {
		p.accept("BODY")
	}
	if t.kind != tokenWord {
		p.fail(failure(950, "invalid DROP option"))
		return s
	}
	s.ifExists = p.accept("IF", "EXISTS")
	switch t.text {
	case "TABLE", "VIEW", "INDEX", "SEQUENCE", "SYNONYM", "PROCEDURE", "FUNCTION", "PACKAGE", "TRIGGER", "TYPE":
		s.name = p.tableName()
		s.cascade = p.accept("CASCADE", "CONSTRAINTS")
		p.rest()
		return s
	}
	p.rest()
	return refusedDefinition{failure(1031, "insufficient privileges")}
}

func (p *parser) alterSequence() ddlStatement {
	s := &alterSequence{name: p.tableName()}
	var changed sequence
	s.restart = p.accept("RESTART")
	p.sequenceOptions(&changed)
	s.restart = s.restart || p.accept("RESTART")
	p.sequenceOptions(&changed)
	s.change = func(q *sequence) {
		for _, field := range []struct{ to, from *string }{
			{&q.Start, &changed.Start}, {&q.Increment, &changed.Increment}, {&q.Min, &changed.Min}, {&q.Max, &changed.Max},
		} {
			if *field.from != "" {
				*field.to = *field.from
			}
		}
		q.Cycle = q.Cycle || changed.Cycle
	}
	return s
}

func (p *parser) alterTable() ddlStatement {
	s := &alterTable{name: p.tableName()}
	for p.err == nil {
		action, more := p.tableAction()
		if !more {
			break
		}
		s.actions = append(s.actions, action)
	}
	if len(s.actions) == 0 {
		switch t := p.peek(); {
		case t.is("ENABLE"), t.is("DISABLE"), t.is("NOLOGGING"), t.is("LOGGING"), t.is("CACHE"), t.is("PARALLEL"), t.is("NOPARALLEL"),
			t.is("MOVE"), t.is("READ"), t.is("SHRINK"), t.is("INMEMORY"):
			p.rest()
		default:
			p.fail(failure(1735, "invalid ALTER TABLE option"))
		}
	}
	return s
}

// tableAction takes one action of ALTER TABLE; false if there is none.
func (p *parser) tableAction() (tableAction, bool) {
	switch {
	case p.peek().is("ADD"), p.peek().is("MODIFY"):
		a := tableAction{verb: p.take().text}
		p.addedElements(&a)
		return a, true
	case p.accept("DROP", "CONSTRAINT"):
		a := tableAction{verb: "DROP CONSTRAINT", names: []name{p.name()}}
		p.accept("CASCADE")
		return a, true
	case p.accept("DROP", "PRIMARY", "KEY"):
		p.accept("CASCADE")
		return tableAction{verb: "DROP PRIMARY KEY"}, true
	case p.accept("DROP", "COLUMN"):
		a := tableAction{verb: "DROP COLUMN", names: []name{p.name()}}
		p.accept("CASCADE", "CONSTRAINTS")
		return a, true
	case p.accept("DROP"):
		a := tableAction{verb: "DROP COLUMN", names: p.nameList()}
		p.accept("CASCADE", "CONSTRAINTS")
		return a, true
	case p.accept("RENAME", "COLUMN"):
		a := tableAction{verb: "RENAME COLUMN", names: []name{p.name()}}
		p.expect("TO")
		a.to = p.name()
		return a, true
	case p.accept("RENAME", "TO"):
		return tableAction{verb: "RENAME", to: p.name()}, true
	}
	return tableAction{}, false
}

// addedElements takes a column or constraint, or several in parentheses.
func (p *parser) addedElements(a *tableAction) {
	several := p.accept("(")
	for {
		if c, found := p.tableConstraint(); found {
			a.constraints = append(a.constraints, c)
		} else {
			p.accept("COLUMN")
			a.columns = append(a.columns, p.columnDefinition())
		}
		if p.err != nil || !several || !p.accept(",") {
			break
		}
	}
	if several {
		p.expect(")")
	}
}
