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
	roots := base.selectAll("1", b.startCondition(base, block.startWith))
	if b.err != nil {
		return
	}
	name := b.alias()
	parent := base.of(name)
	next := b.sourceOf(block)
	next.scope.prior = &scope{parent: b.own.parent, tables: parent.scope.tables, level: name + ".level"}
	next.scope.level = "(" + name + ".level+1)"
	next.scope.rowNumber = next.scope.level
	b.compiler.scope = next.scope
	condition := b.condition(block.connectBy)
	b.compiler.scope = b.own
	children := next.selectAll(name+".level+1", "")
	children += " CROSS JOIN " + name + " WHERE " + condition
	names := make([]string, base.width())
	for i := range names {
		names[i] = "c" + strconv.Itoa(i+1)
	}
	result := b.alias()
	b.from = " FROM (WITH RECURSIVE " + name + "(" + strings.Join(append(names, "level"), ",") + ") AS (" + roots +
		" UNION ALL " + children + " ORDER BY " + strconv.Itoa(base.width()+1) + " DESC) SELECT * FROM " + name + ") AS " + result
	view := base.of(result)
	b.own.tables, b.own.level = view.scope.tables, result+".level"
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

// selectAll selects every column and a level.
func (h hierarchySource) selectAll(level, condition string) string {
	var items []string
	for _, t := range h.scope.tables {
		for _, column := range t.columns {
			items = append(items, column.sql)
		}
	}
	sql := "SELECT " + strings.Join(append(items, level), ",") + h.from
	if condition != "" {
		sql += " WHERE " + condition
	}
	return sql
}

// of is the same tables as columns of a subquery.
func (h hierarchySource) of(alias string) hierarchySource {
	out := hierarchySource{scope: &scope{}}
	n := 0
	for _, t := range h.scope.tables {
		copied := &scopeTable{owner: t.owner, name: t.name, alias: alias}
		for _, column := range t.columns {
			n++
			column.sql = alias + ".c" + strconv.Itoa(n)
			copied.columns = append(copied.columns, column)
		}
		out.scope.tables = append(out.scope.tables, copied)
	}
	return out
}
