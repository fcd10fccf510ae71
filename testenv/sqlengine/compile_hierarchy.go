package sqlengine

import (
	"strconv"
	"strings"
)

// hierarchy translates FROM with CONNECT BY as a recursive query. Rows come parents before children, depth first.
func (b *blockCompiler) hierarchy() {
	block := b.block
	if len(block.from) == 1 && isDual(block.from[0]) && block.startWith == nil {
		b.generator()
		return
	}
	base := b.sourceOf(block)
	none := make([]string, base.width())
	for i := range none {
		none[i] = "NULL"
	}
	roots := base.selectAll(append(none, "1"), b.startCondition(base, block.startWith))
	if b.err != nil {
		return
	}
	name := b.alias()
	parent := base.of(name, "c")
	next := b.sourceOf(block)
	next.scope.prior = &scope{parent: b.own.parent, tables: parent.scope.tables, level: name + ".level"}
	next.scope.level = "(" + name + ".level+1)"
	next.scope.rowNumber = next.scope.level
	b.compiler.scope = next.scope
	condition := b.condition(block.connectBy)
	b.compiler.scope = b.own
	children := next.selectAll(append(parent.items(), name+".level+1"), "")
	children += " CROSS JOIN " + name + " WHERE " + condition
	// c1, c2 … are the row's columns, p1, p2 … its parent's
	width := base.width()
	names := make([]string, 2*width)
	for i := range width {
		names[i], names[width+i] = "c"+strconv.Itoa(i+1), "p"+strconv.Itoa(i+1)
	}
	result := b.alias()
	b.from = " FROM (WITH RECURSIVE " + name + "(" + strings.Join(append(names, "level"), ",") + ") AS (" + roots +
		" UNION ALL " + children + " ORDER BY " + strconv.Itoa(2*width+1) + " DESC) SELECT * FROM " + name + ") AS " + result
	b.own.tables, b.own.level = base.of(result, "c").scope.tables, result+".level"
	b.own.prior = &scope{parent: b.own.parent, tables: base.of(result, "p").scope.tables, level: "nullif(" + result + ".level-1,0)"}
}

// generator translates "from dual connect by level <= n": it yields 1, 2, 3 … for as long as the condition holds.
func (b *blockCompiler) generator() {
	name, result := b.alias(), b.alias()
	inner := &scope{parent: b.own.parent, tables: []*scopeTable{dualTable(b.block.from[0])}, level: "(n+1)", rowNumber: "(n+1)"}
	inner.prior = &scope{parent: b.own.parent, tables: inner.tables, level: "n"}
	b.compiler.scope = inner
	condition := b.condition(b.block.connectBy)
	b.compiler.scope = b.own
	b.from = " FROM (WITH RECURSIVE " + name + "(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM " + name + " WHERE " +
		condition + ") SELECT n FROM " + name + ") AS " + result
	b.own.tables = inner.tables
	b.own.level, b.own.rowNumber = result+".n", result+".n"
	b.own.prior = &scope{parent: b.own.parent, tables: inner.tables, level: "nullif(" + result + ".n-1,0)"}
}

// A hierarchySource is one use of the block's FROM, with its own scope.
type hierarchySource struct {
	scope *scope
	from  string
}

// sourceOf translates the block's FROM once more, into a scope of its own.
func (b *blockCompiler) sourceOf(block *queryBlock) hierarchySource {
	copied := &blockCompiler{compiler: b.compiler, block: block, own: &scope{parent: b.own.parent}}
	outer := b.compiler.scope
	b.compiler.scope = copied.own
	from, _ := copied.fromClause(block.from, nil)
	b.compiler.scope = outer
	return hierarchySource{copied.own, from}
}

func (b *blockCompiler) startCondition(base hierarchySource, start expression) string {
	if start == nil {
		return ""
	}
	base.scope.level = "1"
	b.compiler.scope = base.scope
	defer func() { b.compiler.scope = b.own }()
	return b.condition(start)
}

func (h hierarchySource) width() int {
	n := 0
	for _, t := range h.scope.tables {
		n += len(t.columns)
	}
	return n
}

// items are the columns of all tables.
func (h hierarchySource) items() []string {
	var out []string
	for _, t := range h.scope.tables {
		for _, column := range t.columns {
			out = append(out, column.sql)
		}
	}
	return out
}

// selectAll selects every column and more.
func (h hierarchySource) selectAll(more []string, condition string) string {
	sql := "SELECT " + strings.Join(append(h.items(), more...), ",") + h.from
	if condition != "" {
		sql += " WHERE " + condition
	}
	return sql
}

// of is the same tables as columns of a subquery, which are named by a prefix and a number.
func (h hierarchySource) of(alias, prefix string) hierarchySource {
	out := hierarchySource{scope: &scope{}}
	n := 0
	for _, t := range h.scope.tables {
		copied := &scopeTable{owner: t.owner, name: t.name, alias: alias}
		for _, column := range t.columns {
			n++
			column.sql = alias + "." + prefix + strconv.Itoa(n)
			copied.columns = append(copied.columns, column)
		}
		out.scope.tables = append(out.scope.tables, copied)
	}
	return out
}
