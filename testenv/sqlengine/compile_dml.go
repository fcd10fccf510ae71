package sqlengine

import (
	"strings"
)

// A translation is what one statement became: SQLite statements to run in order, and what is needed to run them.
type translation struct {
	version   int64 // of the dictionary
	steps     []step
	columns   []resultColumn // of a query, or of RETURNING
	target    *object        // of DML
	locking   *lockClause
	singleRow bool // INSERT … VALUES
	checks    []selfCheck
}

type step struct {
	sql        string
	parameters []parameter
}

// target finds the table that DML changes.
func (c *compiler) target(table []name, position int) *object {
	o := c.dictionary.find(c.session.schema(), table)
	switch {
	case o == nil:
		if _, found := systemView(c.session, c.dictionary, table[len(table)-1].text); found || isDual(fromItem{table: table}) {
			c.fail(failure(1031, "insufficient privileges").at(table[0].position))
		}
		c.fail(errNoTable().at(table[0].position))
	case o.View != nil:
		c.fail(failure(1732, "data manipulation operation not legal on this view").at(table[0].position))
	case o.Table == nil:
		c.fail(errNoTable().at(table[0].position))
	default:
		return o
	}
	return nil
}

// tableScope is a scope with one table; prefix ("a1.") qualifies its columns in SQLite.
func tableScope(o *object, alias *name, prefix string) *scope {
	t := &scopeTable{owner: o.Owner, name: o.Name, rowID: prefix + "rowid", object: o}
	if alias != nil {
		t.name = alias.text
	}
	for _, column := range o.Table.Columns {
		t.columns = append(t.columns, scopeColumn{name: column.Name, sql: prefix + column.Stored, typ: column.Type})
	}
	return &scope{tables: []*scopeTable{t}}
}

// columnsOf resolves a list of columns of a table; no list means all.
func (c *compiler) columnsOf(o *object, names []name) []*tableColumn {
	if len(names) == 0 {
		out := make([]*tableColumn, len(o.Table.Columns))
		for i := range o.Table.Columns {
			out[i] = &o.Table.Columns[i]
		}
		return out
	}
	seen := map[string]bool{}
	out := make([]*tableColumn, 0, len(names))
	for _, n := range names {
		column := o.Table.column(n.text)
		switch {
		case column == nil:
			c.fail(errBadIdentifier(quoteName(n.text)).at(n.position))
			return nil
		case seen[n.text]:
			c.fail(failure(957, "duplicate column name").at(n.position))
			return nil
		}
		seen[n.text] = true
		out = append(out, column)
	}
	return out
}

// put translates a value on its way into a column: converted, checked, rounded.
func (c *compiler) put(o *object, column *tableColumn, x coded, update bool) string {
	if column.OnNull && column.Default != "" && !update {
		x = coded{sql: "coalesce(" + c.convert(c.stable(x), column.Type) + "," + c.defaultValue(o, column).sql + ")", typ: column.Type}
	}
	if x.typ.Kind == kindBool {
		return c.fail(inconsistent(kindName(column.Type.Kind), x.typ)).sql
	}
	lg, rg := column.Type.Kind.group(), x.typ.Kind.group()
	if lg == groupNumber && rg == groupTime || lg == groupTime && rg == groupNumber {
		return c.fail(inconsistent(kindName(column.Type.Kind), x.typ)).sql
	}
	spec := columnSpec{
		typ: column.Type, update: update,
		name: quoteName(o.Owner) + "." + `"` + o.Name + `"."` + column.Name + `"`,
	}
	return "o_put(" + x.sql + "," + textLiteral(spec.text()) + "," + c.special("format:"+timeFormatName(column.Type)) + ")"
}

// defaultValue translates a column's DEFAULT; NULL if it has none.
func (c *compiler) defaultValue(o *object, column *tableColumn) coded {
	if column.Identity != "" {
		sql := "o_nextval(" + c.special("session") + "," + textLiteral(o.Owner) + "," + textLiteral(column.Identity) + ")"
		return coded{sql: sql, typ: ofKind(kindNumber)}
	}
	if column.Default == "" {
		return coded{sql: "NULL", typ: ofKind(kindNull)}
	}
	p := newParser(column.Default)
	e := p.expression()
	if p.err != nil {
		return c.fail(p.err)
	}
	outer := c.scope
	c.scope = nil
	defer func() { c.scope = outer }()
	return c.expression(e)
}

// insert translates INSERT.
func (c *compiler) insert(s *insertStatement) *translation {
	o := c.target(s.table, s.position)
	if c.err != nil {
		return nil
	}
	columns := c.columnsOf(o, s.columns)
	if c.err != nil {
		return nil
	}
	var values []string
	from := ""
	if s.query != nil {
		values, from = c.insertQuery(s, o, columns)
	} else {
		values = c.insertValues(s, o, columns)
	}
	if c.err != nil {
		return nil
	}
	given := map[string]bool{}
	stored := make([]string, len(columns))
	for i, column := range columns {
		given[column.Name], stored[i] = true, column.Stored
	}
	for i := range o.Table.Columns {
		column := &o.Table.Columns[i]
		if !given[column.Name] && (column.Default != "" || column.Identity != "" || column.Type.NotNull) {
			stored = append(stored, column.Stored)
			values = append(values, c.put(o, column, c.defaultValue(o, column), false))
		}
	}
	sql := "INSERT INTO " + o.stored() + "(" + strings.Join(stored, ",") + ") "
	if s.query != nil {
		sql += "SELECT " + strings.Join(values, ",") + from
	} else {
		sql += "VALUES (" + strings.Join(values, ",") + ")"
	}
	out := &translation{target: o, singleRow: s.query == nil}
	return c.finish(out, sql, tableScope(o, s.alias, ""), s.returning)
}

func (c *compiler) insertValues(s *insertStatement, o *object, columns []*tableColumn) []string {
	if !c.countMatches(len(s.values), len(columns), s.position) {
		return nil
	}
	values := make([]string, len(columns))
	for i, column := range columns {
		x := c.defaultValue(o, column)
		if s.values[i] != nil {
			if column.Always {
				c.fail(failure(32795, "cannot insert into a generated always identity column").at(s.values[i].position()))
			}
			x = c.expression(s.values[i])
		}
		values[i] = c.put(o, column, x, false)
	}
	return values
}

func (c *compiler) countMatches(have, want, position int) bool {
	switch {
	case have > want:
		c.fail(failure(913, "too many values").at(position))
	case have < want:
		c.fail(failure(947, "not enough values").at(position))
	}
	return have == want
}

// insertQuery translates INSERT … SELECT.
func (c *compiler) insertQuery(s *insertStatement, o *object, columns []*tableColumn) ([]string, string) {
	sql, selected := c.subquery(s.query)
	if c.err != nil || !c.countMatches(len(selected), len(columns), s.position) {
		return nil, ""
	}
	t := &scopeTable{}
	b := &blockCompiler{compiler: c, own: &scope{}}
	from := b.addDerived(t, sql, selected)
	values := make([]string, len(columns))
	for i, column := range columns {
		values[i] = c.put(o, column, coded{sql: t.columns[i].sql, typ: t.columns[i].typ}, false)
	}
	return values, " FROM " + from + " WHERE 1" // WHERE keeps SQLite's grammar from reading an upsert
}

// finish adds RETURNING and packs the statement.
func (c *compiler) finish(out *translation, sql string, s *scope, returning *returningClause) *translation {
	if returning != nil {
		c.in(s, func() {
			items := make([]string, len(returning.expressions))
			for i, e := range returning.expressions {
				x := c.expression(e)
				items[i] = x.sql
				out.columns = append(out.columns, resultColumn{"", x.typ})
			}
			sql += " RETURNING " + strings.Join(items, ",")
		})
	}
	if c.err != nil {
		return nil
	}
	out.steps = append(out.steps, step{sql, c.parameters})
	return out
}

// update translates UPDATE.
func (c *compiler) update(s *updateStatement) *translation {
	o := c.target(s.table, s.position)
	if c.err != nil {
		return nil
	}
	alias := c.alias()
	sql := "UPDATE " + o.stored() + " AS " + alias + " SET "
	c.in(tableScope(o, s.alias, alias+"."), func() { sql += c.assignments(o, s.set) })
	sql += c.changeWhere(o, s.alias, alias, s.where)
	return c.finish(&translation{target: o}, sql, tableScope(o, s.alias, ""), s.returning)
}

// assignments translates SET.
func (c *compiler) assignments(o *object, set []assignment) string {
	var parts []string
	var all []name
	for _, a := range set {
		all = append(all, a.columns...)
	}
	c.columnsOf(o, all) // no column twice
	for _, a := range set {
		columns := c.columnsOf(o, a.columns)
		if c.err != nil {
			return ""
		}
		if a.query != nil {
			parts = append(parts, c.assignQuery(o, columns, a))
			continue
		}
		x := c.defaultValue(o, columns[0])
		if a.value != nil {
			x = c.expression(a.value)
		}
		parts = append(parts, columns[0].Stored+"="+c.put(o, columns[0], x, true))
	}
	return strings.Join(parts, ",")
}

// assignQuery translates SET (a, b) = (SELECT …).
func (c *compiler) assignQuery(o *object, columns []*tableColumn, a assignment) string {
	sql, selected := c.subquery(a.query)
	if c.err != nil || !c.countMatches(len(selected), len(columns), a.query.start) {
		return ""
	}
	t := &scopeTable{}
	b := &blockCompiler{compiler: c, own: &scope{}}
	from := b.addDerived(t, sql, selected)
	names, values := make([]string, len(columns)), make([]string, len(columns))
	for i, column := range columns {
		names[i] = column.Stored
		values[i] = c.put(o, column, coded{sql: t.columns[i].sql, typ: t.columns[i].typ}, true)
	}
	return "(" + strings.Join(names, ",") + ")=(SELECT " + strings.Join(values, ",") + " FROM " + from + ")"
}

// changeWhere translates the WHERE of UPDATE and DELETE. With ROWNUM, the rows are picked by a subquery.
func (c *compiler) changeWhere(o *object, exposed *name, alias string, where expression) string {
	if where == nil {
		return ""
	}
	b := &blockCompiler{compiler: c, block: &queryBlock{where: where}}
	inner := alias
	limited := false
	for _, e := range conjuncts(where) {
		if comparison, ok := e.(*operation); ok && (isRowNumber(comparison.left) || isRowNumber(comparison.right)) {
			limited = true
		}
	}
	if limited {
		inner = c.alias()
	}
	c.in(tableScope(o, exposed, inner+"."), func() {
		for _, e := range conjuncts(where) {
			if limit, found := b.rowLimit(e); found {
				b.addLimit(limit)
				continue
			}
			b.where = append(b.where, c.condition(e))
		}
	})
	condition := strings.Join(b.where, " AND ")
	if !limited {
		return " WHERE " + condition
	}
	if condition == "" {
		condition = "1"
	}
	sql := " WHERE " + alias + ".rowid IN (SELECT " + inner + ".rowid FROM " + o.stored() + " AS " + inner + " WHERE " + condition
	if b.limit != "" {
		sql += " LIMIT " + b.limit
	}
	return sql + ")"
}

// delete translates DELETE.
func (c *compiler) delete(s *deleteStatement) *translation {
	o := c.target(s.table, s.position)
	if c.err != nil {
		return nil
	}
	alias := c.alias()
	sql := "DELETE FROM " + o.stored() + " AS " + alias + c.changeWhere(o, s.alias, alias, s.where)
	out := &translation{target: o, checks: c.dictionary.selfChecks(o)}
	return c.finish(out, sql, tableScope(o, s.alias, ""), s.returning)
}
