package sqlengine

import (
	"strconv"
	"strings"
)

// A blockCompiler translates one SELECT.
type blockCompiler struct {
	*compiler
	block *queryBlock
	order []orderItem
	// settled asks for NUMBERs in their own stored form only.
	settled bool

	own     *scope
	from    string
	where   []string // translated conditions
	limit   string   // what ROWNUM allows, "" for all
	columns []resultColumn
	items   []scopeColumn // the select list
}

// translate gives the SELECT and its columns. The scope stays that of the block until the caller resets it.
func (b *blockCompiler) translate() (string, []resultColumn) {
	b.own = &scope{parent: b.scope}
	b.scope = b.own
	b.sources()
	if b.err != nil {
		return "SELECT NULL AS c1", []resultColumn{{name: "NULL"}}
	}
	aggregates := b.aggregates
	b.aggregates = 0
	if b.limit != "" && b.reordered() {
		b.enclose()
	}
	b.selectList()
	groupBy, having := b.grouping()
	order := ""
	if len(b.order) > 0 {
		order = " ORDER BY " + b.positions(b.order, b.items)
	}
	b.aggregates = aggregates
	selected := make([]string, len(b.items))
	for i, item := range b.items {
		selected[i] = item.sql
	}
	var out strings.Builder
	out.WriteString("SELECT ")
	if b.block.distinct {
		out.WriteString("DISTINCT ")
	}
	out.WriteString(asColumns(selected))
	out.WriteString(b.from)
	if len(b.where) > 0 {
		out.WriteString(" WHERE " + strings.Join(b.where, " AND "))
	}
	out.WriteString(groupBy + having + order)
	if b.limit != "" {
		out.WriteString(" LIMIT " + b.limit)
	}
	return out.String(), b.columns
}

// sources translates FROM, WHERE and CONNECT BY.
func (b *blockCompiler) sources() {
	conditions := conjuncts(b.block.where)
	if b.block.connectBy != nil {
		b.hierarchy()
	} else {
		b.from, conditions = b.fromClause(b.block.from, conditions)
	}
	for _, condition := range conditions {
		if limit, found := b.rowLimit(condition); found {
			b.addLimit(limit)
			continue
		}
		b.where = append(b.where, b.condition(condition))
	}
}

// conjuncts splits a condition at its ANDs.
func conjuncts(e expression) []expression {
	if e == nil {
		return nil
	}
	if both, ok := e.(*operation); ok && both.operator == "AND" {
		return append(conjuncts(both.left), conjuncts(both.right)...)
	}
	return []expression{e}
}

// allRows is a LIMIT that limits nothing.
const allRows = "9223372036854775807"

// rowLimit recognises ROWNUM <= n, ROWNUM < n, ROWNUM = 1 and their mirror images, and gives the number of rows.
func (b *blockCompiler) rowLimit(e expression) (string, bool) {
	comparison, ok := e.(*operation)
	if !ok {
		return "", false
	}
	operator, other := comparison.operator, comparison.right
	if !isRowNumber(comparison.left) {
		if !isRowNumber(comparison.right) {
			return "", false
		}
		other = comparison.left
		operator = map[string]string{">=": "<=", ">": "<", "<=": ">=", "<": ">"}[operator]
		if operator == "" {
			operator = comparison.operator
		}
	}
	switch operator {
	case "<=":
		return "o_floor_int(" + b.expression(other).sql + ")", true
	case "<":
		return "(o_ceil_int(" + b.expression(other).sql + ") - 1)", true
	case "=":
		n := b.integer(b.expression(other))
		return "iif(" + n + "=1,1,0)", true
	case ">":
		n := b.integer(b.expression(other))
		return "iif(" + n + "<1," + allRows + ",0)", true
	case ">=":
		n := b.integer(b.expression(other))
		return "iif(" + n + "<=1," + allRows + ",0)", true
	}
	return "", false
}

func isRowNumber(e expression) bool {
	ref, ok := e.(*columnRef)
	return ok && len(ref.parts) == 1 && ref.parts[0].text == "ROWNUM"
}

func (b *blockCompiler) addLimit(limit string) {
	if b.limit != "" {
		limit = "min(" + b.limit + "," + limit + ")"
	}
	b.limit = "coalesce(max(0," + limit + "),0)"
}

// reordered says that rows are sorted or grouped after ROWNUM has picked them.
func (b *blockCompiler) reordered() bool {
	if len(b.order) > 0 || b.block.distinct || len(b.block.groupBy) > 0 {
		return true
	}
	for _, item := range b.block.items {
		if item.expression != nil && hasAggregate(item.expression) {
			return true
		}
	}
	return false
}

// hasAggregate looks for a group function outside of subqueries.
func hasAggregate(e expression) bool {
	switch e := e.(type) {
	case *call:
		if _, found := aggregates[functionName(e.function)]; found && e.over == nil {
			return true
		}
		for _, a := range e.arguments {
			if hasAggregate(a) {
				return true
			}
		}
	case *operation:
		return hasAggregate(e.left) || hasAggregate(e.right)
	case *unary:
		return hasAggregate(e.operand)
	case *castExpression:
		return hasAggregate(e.operand)
	case *caseExpression:
		for _, w := range e.when {
			if hasAggregate(w.condition) || hasAggregate(w.result) {
				return true
			}
		}
		return e.otherwise != nil && hasAggregate(e.otherwise)
	}
	return false
}

// enclose makes what FROM, WHERE and ROWNUM select a subquery of its own, and lets the scope's columns refer to it.
func (b *blockCompiler) enclose() {
	alias := b.alias()
	var selected []string
	redirect := func(sql string) string {
		selected = append(selected, sql)
		return alias + ".c" + strconv.Itoa(len(selected))
	}
	for _, t := range b.own.tables {
		for i := range t.columns {
			t.columns[i].sql = redirect(t.columns[i].sql)
		}
		if t.rowID != "" {
			t.rowID = redirect(t.rowID)
		}
	}
	for i := range b.own.merged {
		b.own.merged[i].sql = redirect(b.own.merged[i].sql)
	}
	if b.own.level != "" {
		b.own.level = redirect(b.own.level)
	}
	if len(selected) == 0 {
		selected = []string{"1"}
	}
	sql := "SELECT " + asColumns(selected) + b.from
	if len(b.where) > 0 {
		sql += " WHERE " + strings.Join(b.where, " AND ")
	}
	if b.limit != "" {
		sql += " LIMIT " + b.limit + " OFFSET 0" // OFFSET keeps SQLite from merging it into the outer query
	}
	b.from, b.where, b.limit = " FROM ("+sql+") AS "+alias, nil, ""
}

// selectList translates the select list.
func (b *blockCompiler) selectList() {
	for _, item := range b.block.items {
		if item.star {
			b.star(item)
			continue
		}
		x := b.expression(item.expression)
		if b.settled {
			x = b.stable(x)
		}
		if x.typ.Kind == kindBool {
			b.fail(failure(923, "FROM keyword not found where expected").at(item.expression.position()))
		}
		b.add(b.itemName(item), x)
	}
}

func (b *blockCompiler) add(name string, x coded) {
	b.columns = append(b.columns, resultColumn{name, x.typ})
	b.items = append(b.items, scopeColumn{name: name, sql: x.sql, typ: x.typ})
}

// itemName is a column's alias, its own name, or the expression's text as Oracle shows it: upper case, no blanks.
func (b *blockCompiler) itemName(item selectItem) string {
	if item.alias != nil {
		return item.alias.text
	}
	if ref, ok := item.expression.(*columnRef); ok {
		return ref.parts[len(ref.parts)-1].text
	}
	return expressionName(item.text)
}

// expressionName is an expression's text as the name of its column.
func expressionName(text string) string {
	var out strings.Builder
	inString, inName := false, false
	for _, r := range text {
		switch {
		case r == '\'' && !inName:
			inString = !inString
		case r == '"' && !inString:
			inName = !inName
			continue
		case !inString && !inName && strings.ContainsRune(" \t\r\n", r):
			continue
		}
		out.WriteRune(r)
	}
	runes := []rune(strings.ToUpper(out.String()))
	return string(runes[:min(len(runes), 128)])
}

// star translates * and t.*.
func (b *blockCompiler) star(item selectItem) {
	found := false
	if len(item.starOf) == 0 {
		for _, column := range b.own.merged {
			b.add(column.name, coded{sql: column.sql, typ: column.typ})
		}
	}
	for _, t := range b.own.tables {
		if len(item.starOf) > 0 && !t.matches(item.starOf) {
			continue
		}
		found = true
		for _, column := range t.columns {
			if !column.hidden || len(item.starOf) > 0 {
				b.add(column.name, b.starColumn(column))
			}
		}
	}
	if !found {
		position := b.block.start
		if len(item.starOf) > 0 {
			position = item.starOf[0].position
		}
		b.fail(failure(904, "%s: invalid identifier", quoteName(joinNames(item.starOf))).at(position))
	}
}

func (b *blockCompiler) starColumn(column scopeColumn) coded {
	x := coded{sql: column.sql, typ: column.typ}
	if b.settled {
		return b.stable(x)
	}
	return x
}

// grouping translates GROUP BY and HAVING.
func (b *blockCompiler) grouping() (groupBy, having string) {
	if len(b.block.groupBy) > 0 {
		keys := make([]string, len(b.block.groupBy))
		for i, e := range b.block.groupBy {
			keys[i] = b.stable(b.expression(e)).sql
		}
		groupBy = " GROUP BY " + strings.Join(keys, ",")
	}
	if b.block.having != nil {
		having = " HAVING " + b.condition(b.block.having)
	}
	return groupBy, having
}
