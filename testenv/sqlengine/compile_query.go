package sqlengine

import (
	"strconv"
	"strings"
)

// resultColumn is a column of a translated query: in SQLite it is named c1, c2 and so on.
type resultColumn struct {
	name string
	typ  datatype
}

// subquery translates a query inside another statement.
func (c *compiler) subquery(q *queryExpression) (string, []resultColumn) {
	return c.query(q, false)
}

// stableSubquery is subquery with NUMBERs only in their own stored form.
func (c *compiler) stableSubquery(q *queryExpression) (string, []resultColumn) {
	return c.query(q, true)
}

// query translates a whole query.
func (c *compiler) query(q *queryExpression, settled bool) (string, []resultColumn) {
	outer := c.scope
	defer func() { c.scope = outer }()
	if q.lock != nil && (len(q.further) > 0 || q.first.distinct || len(q.first.groupBy) > 0) {
		c.fail(failure(2014, "cannot use FOR UPDATE with this query").at(q.start))
	}
	prefix := c.with(q.with)
	limits := c.limits(q)
	if len(q.further) == 0 && q.first.nested == nil {
		b := &blockCompiler{compiler: c, block: q.first, order: q.order, settled: settled}
		sql, columns := b.translate()
		return prefix + sql + limits, columns
	}
	sql, columns := c.setOperations(q)
	if len(q.order) == 0 && limits == "" {
		return prefix + sql, columns
	}
	alias := c.alias()
	t := &scopeTable{alias: alias}
	selected := make([]string, len(columns))
	for i, column := range columns {
		selected[i] = alias + ".c" + strconv.Itoa(i+1)
		t.columns = append(t.columns, scopeColumn{name: column.name, sql: selected[i], typ: column.typ})
	}
	sql = "SELECT " + asColumns(selected) + " FROM (" + sql + ") AS " + alias
	if len(q.order) > 0 {
		c.scope = &scope{parent: outer, tables: []*scopeTable{t}}
		sql += " ORDER BY " + c.positions(q.order, t.columns)
	}
	return prefix + sql + limits, columns
}

// asColumns names select items c1, c2 and so on.
func asColumns(items []string) string {
	parts := make([]string, len(items))
	for i, item := range items {
		parts[i] = item + " AS c" + strconv.Itoa(i+1)
	}
	return strings.Join(parts, ",")
}

// with translates common table expressions, which stay visible in the query's scope as tables to select from.
func (c *compiler) with(tables []commonTable) string {
	if len(tables) == 0 {
		return ""
	}
	s := &scope{parent: c.scope}
	c.scope = s
	parts := make([]string, 0, len(tables))
	for _, t := range tables {
		recursive := c.recursiveShape(t)
		if recursive != nil {
			s.common = append(s.common, *recursive)
		}
		sql, columns := c.stableSubquery(t.query)
		named := c.renamed(columns, t.columns, t.name.position)
		if recursive != nil {
			copy(s.common[len(s.common)-1].columns, named)
		} else {
			s.common = append(s.common, commonScope{name: t.name.text, alias: c.alias(), columns: named})
		}
		at := s.common[len(s.common)-1]
		names := make([]string, len(columns))
		for i := range names {
			names[i] = "c" + strconv.Itoa(i+1)
		}
		parts = append(parts, at.alias+"("+strings.Join(names, ",")+") AS ("+sql+")")
	}
	return "WITH RECURSIVE " + strings.Join(parts, ",") + " "
}

// recursiveShape gives the columns of a common table with a column list and a UNION ALL, so that it can name itself:
// its types are those of its first part.
func (c *compiler) recursiveShape(t commonTable) *commonScope {
	if len(t.columns) == 0 || len(t.query.further) == 0 || t.query.first.nested != nil {
		return nil
	}
	trial := *c // to learn the types only
	_, columns := trial.query(&queryExpression{start: t.query.start, first: t.query.first}, true)
	if trial.err != nil {
		return nil
	}
	return &commonScope{name: t.name.text, alias: c.alias(), columns: c.renamed(columns, t.columns, t.name.position)}
}

// renamed gives columns the names of a list, if there is one.
func (c *compiler) renamed(columns []resultColumn, names []name, position int) []resultColumn {
	if len(names) == 0 {
		return columns
	}
	if len(names) != len(columns) {
		c.fail(failure(32038, "number of WITH clause column names does not match number of elements in select list").at(position))
		return columns
	}
	out := make([]resultColumn, len(columns))
	for i := range columns {
		out[i] = resultColumn{names[i].text, columns[i].typ}
	}
	return out
}

// limits translates OFFSET and FETCH FIRST.
func (c *compiler) limits(q *queryExpression) string {
	switch {
	case q.fetch == nil && q.offset == nil:
		return ""
	case q.fetch == nil:
		return " LIMIT -1 OFFSET " + c.integer(c.expression(q.offset))
	case q.offset == nil:
		return " LIMIT max(0," + c.integer(c.expression(q.fetch)) + ")"
	}
	return " LIMIT max(0," + c.integer(c.expression(q.fetch)) + ") OFFSET " + c.integer(c.expression(q.offset))
}

// setOperations translates set operations. Operands after the first are subqueries, which SQLite demands where they are
// compound or ordered themselves.
func (c *compiler) setOperations(q *queryExpression) (string, []resultColumn) {
	sql, columns := c.operand(q.first)
	for _, further := range q.further {
		next, more := c.operand(further.block)
		if len(more) != len(columns) {
			c.fail(failure(1789, "query block has incorrect number of result columns").at(further.block.start))
			return "SELECT NULL AS c1", columns
		}
		for i := range columns {
			a, b := columns[i].typ, more[i].typ
			if a.Kind.group() != b.Kind.group() && a.Kind.group() != groupUnknown && b.Kind.group() != groupUnknown {
				c.fail(failure(1790, "expression must have same datatype as corresponding expression").at(further.block.start))
			}
			columns[i].typ = unify(a, b)
		}
		sql += " " + further.operator + " " + next
	}
	return sql, columns
}

func (c *compiler) operand(b *queryBlock) (string, []resultColumn) {
	outer := c.scope
	defer func() { c.scope = outer }()
	if b.nested == nil {
		block := &blockCompiler{compiler: c, block: b, settled: true}
		return block.translate()
	}
	sql, columns := c.query(b.nested, true)
	names := make([]string, len(columns))
	alias := c.alias()
	for i := range columns {
		names[i] = alias + ".c" + strconv.Itoa(i+1)
	}
	return "SELECT " + asColumns(names) + " FROM (" + sql + ") AS " + alias, columns
}

// positions translates ORDER BY over columns that can be named by position, alias or expression.
func (c *compiler) positions(items []orderItem, columns []scopeColumn) string {
	parts := make([]string, len(items))
	for i, item := range items {
		parts[i] = c.sortKey(item.expression, columns) + item.direction()
	}
	return strings.Join(parts, ",")
}

// sortKey translates one sort key: a position in the select list, an alias in it, or any expression.
func (c *compiler) sortKey(e expression, columns []scopeColumn) string {
	switch e := e.(type) {
	case *numberLiteral:
		n, err := strconv.Atoi(e.text)
		if err != nil || n < 1 || n > len(columns) {
			return c.fail(failure(1785, "ORDER BY item must be the number of a SELECT-list expression").at(e.start)).sql
		}
		return columns[n-1].sql
	case *columnRef:
		for i := range columns {
			if len(e.parts) == 1 && columns[i].name == e.parts[0].text {
				return columns[i].sql
			}
		}
	}
	return c.stable(c.expression(e)).sql
}
