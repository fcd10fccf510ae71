package sqlengine

import (
	"slices"
	"strconv"
	"strings"
)

// fromClause translates FROM and consumes those conditions that are outer joins in Oracle's own notation.
func (b *blockCompiler) fromClause(items []fromItem, conditions []expression) (string, []expression) {
	if len(items) == 1 && isDual(items[0]) && b.dictionary.find(b.session.schema(), items[0].table) == nil {
		b.own.tables = append(b.own.tables, dualTable(items[0]))
		return "", conditions
	}
	parts := make([]string, len(items))
	tables := make([][]*scopeTable, len(items))
	for i, item := range items {
		before := len(b.own.tables)
		parts[i] = b.fromItem(item)
		tables[i] = b.own.tables[before:]
		if b.err != nil {
			return "", nil
		}
	}
	outer := make([][]expression, len(items))
	rest := slices.DeleteFunc(slices.Clone(conditions), func(e expression) bool {
		ref := outerRef(e)
		if ref == nil {
			return false
		}
		i := b.owner(tables, ref)
		if i < 0 {
			b.fail(b.unknownName(ref).at(ref.start))
			return true
		}
		outer[i] = append(outer[i], e)
		return true
	})
	return " FROM " + b.joinAll(parts, outer), rest
}

// joinAll puts the tables without (+) first and left-joins the others.
func (b *blockCompiler) joinAll(parts []string, outer [][]expression) string {
	var inner, left []string
	for i, part := range parts {
		if len(outer[i]) == 0 {
			inner = append(inner, part)
			continue
		}
		on := make([]string, len(outer[i]))
		for j, e := range outer[i] {
			on[j] = b.condition(e)
		}
		left = append(left, " LEFT JOIN "+part+" ON "+strings.Join(on, " AND "))
	}
	if len(inner) == 0 {
		inner = []string{"(SELECT 1)"}
	}
	return strings.Join(inner, " JOIN ") + strings.Join(left, "")
}

// outerRef finds a column marked (+) in a condition.
func outerRef(e expression) *columnRef {
	switch e := e.(type) {
	case *columnRef:
		if e.outer {
			return e
		}
	case *operation:
		if ref := outerRef(e.left); ref != nil {
			return ref
		}
		return outerRef(e.right)
	case *unary:
		return outerRef(e.operand)
	case *isNull:
		return outerRef(e.operand)
	case *like:
		return outerRef(e.operand)
	case *between:
		return outerRef(e.operand)
	case *inList:
		return outerRef(e.operand)
	case *call:
		for _, a := range e.arguments {
			if ref := outerRef(a); ref != nil {
				return ref
			}
		}
	}
	return nil
}

// owner is the index of the FROM item whose column a name is.
func (b *blockCompiler) owner(tables [][]*scopeTable, ref *columnRef) int {
	qualifier, column := ref.parts[:len(ref.parts)-1], ref.parts[len(ref.parts)-1].text
	return slices.IndexFunc(tables, func(of []*scopeTable) bool {
		return slices.ContainsFunc(of, func(t *scopeTable) bool {
			return (len(qualifier) == 0 || t.matches(qualifier)) && t.column(column) != nil
		})
	})
}

func isDual(item fromItem) bool {
	last := len(item.table) - 1
	return last >= 0 && item.table[last].text == "DUAL" && (last == 0 || item.table[0].text == "SYS")
}

func dualTable(item fromItem) *scopeTable {
	t := &scopeTable{owner: "SYS", name: "DUAL"}
	if item.alias != nil {
		t.name = item.alias.text
	}
	t.columns = []scopeColumn{{name: "DUMMY", sql: "'X'", typ: datatype{Kind: kindVarchar, Size: 1}}}
	return t
}

// fromItem translates one item and puts its tables into the scope.
func (b *blockCompiler) fromItem(item fromItem) string {
	switch {
	case item.join != nil:
		return b.join(item.join)
	case item.query != nil:
		return b.derivedTable(item)
	}
	return b.namedTable(item)
}

// derivedTable translates a subquery in FROM. It does not see the tables beside it.
func (b *blockCompiler) derivedTable(item fromItem) string {
	b.compiler.scope = b.own.parent
	sql, columns := b.subquery(item.query)
	b.compiler.scope = b.own
	t := &scopeTable{}
	if item.alias != nil {
		t.name = item.alias.text
	}
	return b.addDerived(t, sql, columns)
}

// addDerived puts a subquery into the scope as a table.
func (b *blockCompiler) addDerived(t *scopeTable, sql string, columns []resultColumn) string {
	t.alias = b.alias()
	for i, column := range columns {
		t.columns = append(t.columns, scopeColumn{name: column.name, sql: t.alias + ".c" + strconv.Itoa(i+1), typ: column.typ})
	}
	b.own.tables = append(b.own.tables, t)
	return "(" + sql + ") AS " + t.alias
}

// namedTable translates a table, view, common table or dictionary view.
func (b *blockCompiler) namedTable(item fromItem) string {
	t := &scopeTable{name: item.table[len(item.table)-1].text}
	if item.alias != nil {
		t.name = item.alias.text
	}
	if len(item.table) == 1 {
		for s := b.own.parent; s != nil; s = s.parent {
			for _, common := range s.common {
				if common.name == item.table[0].text {
					return b.commonTable(t, common)
				}
			}
		}
	}
	o := b.dictionary.find(b.session.schema(), item.table)
	switch {
	case o == nil:
		return b.systemTable(item, t)
	case o.Table != nil:
		t.owner, t.object, t.alias = o.Owner, o, b.alias()
		t.rowID = t.alias + ".rowid"
		for _, column := range o.Table.Columns {
			t.columns = append(t.columns, scopeColumn{name: column.Name, sql: t.alias + "." + column.Stored, typ: column.Type})
		}
		b.own.tables = append(b.own.tables, t)
		return o.stored() + " AS " + t.alias
	case o.View != nil:
		t.owner = o.Owner
		return b.view(t, o, item)
	}
	b.fail(errNoTable().at(item.table[0].position))
	return ""
}

func (b *blockCompiler) commonTable(t *scopeTable, common commonScope) string {
	t.alias = b.alias()
	for i, column := range common.columns {
		t.columns = append(t.columns, scopeColumn{name: column.name, sql: t.alias + ".c" + strconv.Itoa(i+1), typ: column.typ})
	}
	b.own.tables = append(b.own.tables, t)
	return common.alias + " AS " + t.alias
}

// view translates a view by its text.
func (b *blockCompiler) view(t *scopeTable, o *object, item fromItem) string {
	if b.views++; b.views > 20 {
		b.fail(failure(4063, "view \"%s\" has errors", o.shown()).at(item.start))
		return ""
	}
	p := newParser(o.View.Text)
	q := p.query()
	if p.err != nil {
		b.fail(failure(4063, "view \"%s\" has errors", o.shown()).at(item.start))
		return ""
	}
	b.compiler.scope = nil
	sql, columns := b.subquery(q)
	b.compiler.scope = b.own
	b.views--
	for i := range min(len(o.View.Columns), len(columns)) {
		columns[i].name = o.View.Columns[i]
	}
	return b.addDerived(t, sql, columns)
}

// systemTable translates a dictionary or V$ view, or DUAL beside other tables.
func (b *blockCompiler) systemTable(item fromItem, t *scopeTable) string {
	last := item.table[len(item.table)-1].text
	if len(item.table) == 1 || item.table[0].text == "SYS" || item.table[0].text == "SYSTEM" {
		if v, found := systemView(b.session, b.dictionary, last); found {
			t.owner, b.volatile = "SYS", true
			return b.addDerived(t, v.sql(), v.columns)
		}
	}
	b.fail(errNoTable().at(item.table[0].position))
	return ""
}

// join translates an ANSI join.
func (b *blockCompiler) join(j *joinClause) string {
	first := len(b.own.tables)
	left := b.fromItem(j.left)
	second := len(b.own.tables)
	right := b.fromItem(j.right)
	if b.err != nil {
		return ""
	}
	sql := left + " " + j.kind + " JOIN " + right
	switch {
	case j.natural:
		return sql + b.merge(first, second, b.commonColumns(first, second), j.kind)
	case len(j.using) > 0:
		return sql + b.merge(first, second, j.using, j.kind)
	case j.on != nil:
		return sql + " ON " + b.condition(j.on)
	}
	return sql
}

// commonColumns are the names that both sides of a natural join have.
func (b *blockCompiler) commonColumns(first, second int) []name {
	var out []name
	for _, t := range b.own.tables[first:second] {
		for _, column := range t.columns {
			for _, other := range b.own.tables[second:] {
				if other.column(column.name) != nil {
					out = append(out, name{text: column.name})
				}
			}
		}
	}
	return out
}

// merge joins on columns of the same name and makes each pair one.
func (b *blockCompiler) merge(first, second int, using []name, kind string) string {
	conditions := make([]string, 0, len(using))
	for _, n := range using {
		left := findColumn(b.own.tables[first:second], n.text)
		right := findColumn(b.own.tables[second:], n.text)
		if left == nil || right == nil {
			b.fail(failure(904, "%s: invalid identifier", quoteName(n.text)).at(n.position))
			return ""
		}
		equal := b.compare(&operation{node: node{n.position}, operator: "="},
			coded{sql: left.sql, typ: left.typ}, coded{sql: right.sql, typ: right.typ})
		conditions = append(conditions, equal.sql)
		one := scopeColumn{name: n.text, sql: left.sql, typ: left.typ}
		switch kind {
		case "RIGHT":
			one.sql = right.sql
		case "FULL":
			one.sql = "coalesce(" + left.sql + "," + right.sql + ")"
		}
		b.own.merged = slices.DeleteFunc(b.own.merged, func(m scopeColumn) bool { return m.name == n.text })
		b.own.merged = append(b.own.merged, one)
		left.hidden, right.hidden = true, true
	}
	if len(conditions) == 0 {
		return ""
	}
	return " ON " + strings.Join(conditions, " AND ")
}

func findColumn(tables []*scopeTable, text string) *scopeColumn {
	for _, t := range tables {
		if c := t.column(text); c != nil {
			return c
		}
	}
	return nil
}
