package sqlengine

// A scope is what names of columns mean within one query block.
type scope struct {
	parent *scope
	tables []*scopeTable
	// merged are the columns that USING or NATURAL joins made one.
	merged []scopeColumn
	level  string // SQL of LEVEL, "" outside CONNECT BY
	prior  *scope // what PRIOR refers to
	// rowNumber is what ROWNUM is in this scope; "" leaves it to the query block.
	rowNumber string
	common    []commonScope
}

// A commonScope is a common table expression.
type commonScope struct {
	name, alias string
	columns     []resultColumn
}

// A scopeTable is a table or subquery in FROM.
type scopeTable struct {
	owner, name string // as it may be referred to
	alias       string // in SQLite
	columns     []scopeColumn
	rowID       string // SQL of the SQLite rowid, "" if it has none
	object      *object
}

type scopeColumn struct {
	name   string
	sql    string
	typ    datatype
	hidden bool // not part of *
}

// matches reports whether a qualifier of one or two parts names the table.
func (t *scopeTable) matches(qualifier []name) bool {
	last := qualifier[len(qualifier)-1].text
	return t.name == last && (len(qualifier) == 1 || t.owner == qualifier[0].text)
}

func (t *scopeTable) column(text string) *scopeColumn {
	for i := range t.columns {
		if t.columns[i].name == text {
			return &t.columns[i]
		}
	}
	return nil
}

// find looks a column up in this scope only. Ambiguous says that more than one table has it.
func (s *scope) find(parts []name) (found *scopeColumn, ambiguous bool) {
	column, qualifier := parts[len(parts)-1].text, parts[:len(parts)-1]
	if len(qualifier) == 0 {
		for i := range s.merged {
			if s.merged[i].name == column {
				return &s.merged[i], false
			}
		}
	}
	for _, t := range s.tables {
		if len(qualifier) > 0 && !t.matches(qualifier) {
			continue
		}
		if c := t.column(column); c != nil {
			if found != nil && len(qualifier) == 0 {
				return nil, true
			}
			found = c
		}
	}
	return found, false
}

// table finds the table a qualifier names, or the only table for none.
func (s *scope) table(qualifier []name) *scopeTable {
	for _, t := range s.tables {
		if len(qualifier) == 0 && len(s.tables) == 1 || len(qualifier) > 0 && t.matches(qualifier) {
			return t
		}
	}
	return nil
}

// columnRef translates a name: a column of the innermost scope that has it, a variable of PL/SQL, a pseudo column.
func (c *compiler) columnRef(ref *columnRef) coded {
	if x, found := c.sequenceValue(ref); found {
		return x
	}
	for s := c.scope; s != nil; s = s.parent {
		column, ambiguous := s.find(ref.parts)
		if ambiguous {
			return c.fail(failure(918, "column ambiguously defined").at(ref.start))
		}
		if column != nil {
			return coded{sql: column.sql, typ: column.typ}
		}
		if x, found := c.pseudoColumn(s, ref); found {
			return x
		}
	}
	if v := c.variables.find(ref.parts); v != nil {
		return coded{sql: c.parameter(parameter{kind: parameterVariable, name: v.name, variable: v}), typ: v.typ}
	}
	if x, found := c.niladic(ref); found {
		return x
	}
	return c.fail(c.unknownName(ref).at(ref.start))
}

// unknownName words the error for a name that means nothing.
func (c *compiler) unknownName(ref *columnRef) *Error {
	text := ""
	for i, part := range ref.parts {
		if i > 0 {
			text += "."
		}
		text += `"` + part.text + `"`
	}
	if c.variables != nil && c.scope == nil {
		return failure(6550, "line 1, column %d:\nPLS-00201: identifier '%s' must be declared\n"+
			"ORA-06550: line 1, column %d:\nPL/SQL: Statement ignored", ref.start+1, ref.parts[0].text, ref.start+1)
	}
	return failure(904, "%s: invalid identifier", text)
}

// pseudoColumn translates ROWID, LEVEL and ROWNUM as scope s has them.
func (c *compiler) pseudoColumn(s *scope, ref *columnRef) (coded, bool) {
	last, qualifier := ref.parts[len(ref.parts)-1].text, ref.parts[:len(ref.parts)-1]
	switch {
	case last == "ROWID":
		if t := s.table(qualifier); t != nil && t.rowID != "" {
			return coded{sql: "o_rowid(" + t.rowID + ")", typ: datatype{Kind: kindRowID, NotNull: true}}, true
		}
	case len(qualifier) > 0:
	case last == "LEVEL" && s.level != "":
		return coded{sql: s.level, typ: ofKind(kindInteger)}, true
	case last == "ROWNUM" && len(s.tables) > 0:
		if s.rowNumber != "" {
			return coded{sql: s.rowNumber, typ: ofKind(kindInteger)}, true
		}
		return coded{sql: "row_number() OVER ()", typ: ofKind(kindInteger)}, true
	}
	return coded{}, false
}

// sequenceValue translates name.NEXTVAL and name.CURRVAL.
func (c *compiler) sequenceValue(ref *columnRef) (coded, bool) {
	last := len(ref.parts) - 1
	if last < 1 || ref.parts[last].text != "NEXTVAL" && ref.parts[last].text != "CURRVAL" {
		return coded{}, false
	}
	o := c.dictionary.find(c.session.schema(), ref.parts[:last])
	if o == nil || o.Sequence == nil {
		return c.fail(failure(2289, "sequence does not exist").at(ref.parts[0].position)), true
	}
	function := "o_nextval("
	if ref.parts[last].text == "CURRVAL" {
		function = "o_currval("
	}
	sql := function + c.special("session") + "," + textLiteral(o.Owner) + "," + textLiteral(o.Name) + ")"
	return coded{sql: sql, typ: ofKind(kindNumber)}, true
}
