package sqlengine

// definition takes DDL; nil if it is none.
func (p *parser) definition(t token) ddlStatement {
	switch t.text {
	case "CREATE":
		p.next++
		return p.create()
	case "DROP":
		p.next++
		return p.drop()
	case "TRUNCATE":
		p.next++
		p.expect("TABLE")
		s := &truncateTable{name: p.tableName()}
		p.rest()
		return s
	case "RENAME":
		p.next++
		s := &renameObject{from: p.tableName()}
		p.expect("TO")
		s.to = p.tableName()
		return s
	case "ALTER":
		switch {
		case p.accept("ALTER", "TABLE"):
			return p.alterTable()
		case p.accept("ALTER", "SEQUENCE"):
			return p.alterSequence()
		}
		p.rest()
		return refusedDefinition{failure(1031, "insufficient privileges")}
	case "PURGE":
		p.rest()
		return refusedDefinition{failure(38302, "invalid PURGE option")}
	}
	return nil
}

func (p *parser) create() ddlStatement {
	replace := p.accept("OR", "REPLACE")
	if !p.accept("EDITIONABLE") {
		p.accept("NONEDITIONABLE")
	}
	temporary := p.accept("GLOBAL", "TEMPORARY") || p.accept("PRIVATE", "TEMPORARY")
	public := p.accept("PUBLIC")
	p.accept("FORCE")
	switch t := p.take(); {
	case t.is("TABLE"):
		return p.createTable(temporary)
	case t.is("VIEW"):
		return p.createView(replace)
	case t.is("UNIQUE"), t.is("BITMAP"):
		p.expect("INDEX")
		return p.createIndex(t.is("UNIQUE"))
	case t.is("INDEX"):
		return p.createIndex(false)
	case t.is("SEQUENCE"):
		s := &createSequence{name: p.tableName(), sequence: newSequence()}
		p.sequenceOptions(&s.sequence)
		return s
	case t.is("SYNONYM"):
		s := &createSynonym{name: p.tableName(), public: public, replace: replace}
		p.expect("FOR")
		s.target = p.tableName()
		return s
	case t.is("PROCEDURE"), t.is("FUNCTION"), t.is("PACKAGE"), t.is("TRIGGER"), t.is("TYPE"), t.is("LIBRARY"), t.is("JAVA"):
		p.rest()
		return refusedDefinition{failure(439, "feature not enabled: stored %s in the test database; use anonymous blocks", t.text)}
	case t.kind == tokenWord:
		p.rest()
		return refusedDefinition{failure(1031, "insufficient privileges")}
	}
	p.fail(failure(901, "invalid CREATE command"))
	return nil
}

func (p *parser) createTable(temporary bool) ddlStatement {
	s := &createTable{temporary: temporary, deleteRows: temporary}
	s.ifNot = p.accept("IF", "NOT", "EXISTS")
	s.name = p.tableName()
	if p.accept("(") {
		p.tableElements(s)
		p.expect(")")
	}
	for p.err == nil && p.peek().kind != tokenEnd && !p.peek().is(";") {
		if p.accept("ON", "COMMIT", "PRESERVE", "ROWS") {
			s.deleteRows = false
			continue
		}
		if p.accept("AS") && p.seesQuery() {
			from := p.next
			s.as = p.query()
			s.text = p.source(from)
			continue
		}
		p.next++ // storage and the like
	}
	if s.as == nil && len(s.columns) == 0 {
		p.fail(missing("("))
	}
	return s
}

// tableElements takes columns and constraints.
func (p *parser) tableElements(s *createTable) {
	for {
		if c, found := p.tableConstraint(); found {
			s.constraints = append(s.constraints, c)
		} else {
			c := p.columnDefinition()
			s.columns = append(s.columns, c)
		}
		if p.err != nil || !p.accept(",") {
			return
		}
	}
}

// columnDefinition takes a column of CREATE TABLE, ADD or MODIFY. Without a type it is a name for a query's column,
// or leaves the type as it is.
func (p *parser) columnDefinition() columnDefinition {
	n := p.name()
	c := columnDefinition{position: n.position}
	c.column.Name = n.text
	if t := p.peek(); !t.is(",") && !t.is(")") && t.kind != tokenEnd && !startsColumnOption(t) {
		c.column.Type = p.datatype()
		c.typed = true
	}
	for p.err == nil && p.columnOption(&c) {
		continue
	}
	return c
}

func startsColumnOption(t token) bool {
	if t.kind != tokenWord {
		return false
	}
	switch t.text {
	case "DEFAULT", "NOT", "NULL", "CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "REFERENCES", "GENERATED":
		return true
	}
	return false
}

// columnOption takes one of a column's options; false if there is none.
func (p *parser) columnOption(c *columnDefinition) bool {
	named := ""
	if p.accept("CONSTRAINT") {
		named = p.name().text
	}
	yes, no := true, false
	position := p.peek().start
	switch {
	case p.accept("DEFAULT"):
		c.column.OnNull = p.accept("ON", "NULL")
		from := p.next
		p.expression()
		c.column.Default, c.hasDefault = p.source(from), true
	case p.accept("GENERATED"):
		p.generated(c)
	case p.accept("NOT", "NULL"):
		c.notNull = &yes
	case p.accept("NULL"):
		c.notNull = &no
	case p.accept("PRIMARY", "KEY"):
		c.constraints = append(c.constraints, constraintDefinition{name: named, kind: "P", columns: []name{{c.column.Name, c.position}}, position: position})
	case p.accept("UNIQUE"):
		c.constraints = append(c.constraints, constraintDefinition{name: named, kind: "U", columns: []name{{c.column.Name, c.position}}, position: position})
	case p.accept("CHECK"):
		c.constraints = append(c.constraints, constraintDefinition{name: named, kind: "C", check: p.checkText(), position: position})
	case p.accept("REFERENCES"):
		d := constraintDefinition{name: named, kind: "R", columns: []name{{c.column.Name, c.position}}, position: position}
		p.references(&d)
		c.constraints = append(c.constraints, d)
	case named == "" && p.constraintState():
	default:
		if named != "" {
			p.fail(missing("CHECK"))
		}
		return false
	}
	return true
}

// constraintState drops ENABLE, DISABLE, USING INDEX and the like.
func (p *parser) constraintState() bool {
	for _, word := range [...]string{"ENABLE", "DISABLE", "VALIDATE", "NOVALIDATE", "RELY", "NORELY", "VISIBLE", "INVISIBLE", "DEFERRABLE"} {
		if p.accept(word) {
			return true
		}
	}
	if p.accept("INITIALLY") || p.accept("NOT", "DEFERRABLE") {
		p.accept("DEFERRED")
		p.accept("IMMEDIATE")
		return true
	}
	if p.accept("USING", "INDEX") {
		for p.accept("TABLESPACE") {
			p.name()
		}
		return true
	}
	return false
}

// generated takes ALWAYS AS IDENTITY and BY DEFAULT [ON NULL] AS IDENTITY.
func (p *parser) generated(c *columnDefinition) {
	if !p.accept("BY", "DEFAULT") {
		p.accept("ALWAYS")
		c.column.Always = true
	}
	p.accept("ON", "NULL")
	p.expect("AS")
	if !p.accept("IDENTITY") {
		p.fail(failure(439, "feature not enabled: virtual columns in the test database"))
		return
	}
	s := newSequence()
	if p.accept("(") {
		p.sequenceOptions(&s)
		p.expect(")")
	}
	c.identity = &s
}

// checkText takes (condition) and gives its text.
func (p *parser) checkText() string {
	p.expect("(")
	from := p.next
	p.expression()
	text := p.source(from)
	p.expect(")")
	return text
}

func (p *parser) references(d *constraintDefinition) {
	d.parent = p.tableName()
	if p.peek().is("(") {
		d.parentKey = p.nameList()
	}
	if p.accept("ON", "DELETE") {
		switch {
		case p.accept("CASCADE"):
			d.onDelete = "CASCADE"
		case p.accept("SET", "NULL"):
			d.onDelete = "SET NULL"
		default:
			p.fail(missing("CASCADE"))
		}
	}
}

// tableConstraint takes a constraint that stands alone; false if there is none.
func (p *parser) tableConstraint() (constraintDefinition, bool) {
	d := constraintDefinition{position: p.peek().start}
	named := p.accept("CONSTRAINT")
	if named {
		d.name = p.name().text
	}
	switch {
	case p.accept("PRIMARY", "KEY"):
		d.kind, d.columns = "P", p.nameList()
	case p.peek().is("UNIQUE") && p.peekAt(1).is("("):
		p.next++
		d.kind, d.columns = "U", p.nameList()
	case p.peek().is("CHECK") && p.peekAt(1).is("("):
		p.next++
		d.kind, d.check = "C", p.checkText()
	case p.accept("FOREIGN", "KEY"):
		d.kind, d.columns = "R", p.nameList()
		p.expect("REFERENCES")
		p.references(&d)
	default:
		if named {
			p.fail(missing("CHECK"))
		}
		return d, false
	}
	for p.err == nil && p.constraintState() {
		continue
	}
	return d, true
}
