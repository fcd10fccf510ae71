package sqlengine

import "strings"

// compare translates a comparison of two values, converting as Oracle does: text beside a number or a time becomes
// one, and CHAR compares without its trailing blanks.
func (c *compiler) compare(e *operation, left, right coded) coded {
	if left.typ.Kind == kindUnknown && right.typ.Kind != kindUnknown {
		left = c.alike(left, right)
	} else if right.typ.Kind == kindUnknown && left.typ.Kind != kindUnknown {
		right = c.alike(right, left)
	}
	l, r := left.sql, right.sql
	lg, rg := left.typ.Kind.group(), right.typ.Kind.group()
	switch {
	case isLOB(left.typ) && !right.null || isLOB(right.typ) && !left.null:
		return c.fail(inconsistent("-", datatype{Kind: lobKind(left.typ, right.typ)}).at(e.start))
	case lg == groupNumber && rg == groupNumber:
		l, r = c.numberPair(left, right)
	case lg == groupText && rg == groupText:
		l, r = textPair(left, right)
	case lg == groupTime || rg == groupTime:
		l, r = c.timePair(left, right)
	case lg == groupNumber && rg != groupUnknown || rg == groupNumber && lg != groupUnknown:
		l, r = c.number(left), c.number(right)
	case lg == groupRaw && rg == groupText:
		r = "o_hextoraw(" + right.sql + ")"
	case rg == groupRaw && lg == groupText:
		l = "o_hextoraw(" + left.sql + ")"
	}
	return coded{sql: "(" + l + " " + e.operator + " " + r + ")", typ: ofKind(kindBool)}
}

// alike gives something of unknown kind the kind of what it is compared with.
func (c *compiler) alike(unknown, known coded) coded {
	switch known.typ.Kind.group() {
	case groupNumber:
		return coded{sql: c.number(unknown), typ: ofKind(kindNumber)}
	case groupTime:
		return coded{sql: c.moment(unknown), typ: known.typ}
	case groupText:
		return coded{sql: c.text(unknown), typ: textOf(0)}
	}
	return unknown
}

func isLOB(t datatype) bool { return t.Kind == kindCLOB || t.Kind == kindBLOB }

func lobKind(a, b datatype) kind {
	if isLOB(a) {
		return a.Kind
	}
	return b.Kind
}

// numberPair makes two numbers comparable by their stored forms.
func (c *compiler) numberPair(left, right coded) (string, string) {
	float := func(x coded) bool { return x.typ.Kind == kindFloat || x.typ.Kind == kindDouble }
	switch {
	case left.typ.Kind == kindInteger && right.typ.Kind == kindInteger:
		return left.sql, right.sql
	case left.typ.Kind == kindInteger && right.integer != "":
		return left.sql, right.integer
	case right.typ.Kind == kindInteger && left.integer != "":
		return left.integer, right.sql
	case float(left) || float(right):
		return "o_double(" + left.sql + ")", "o_double(" + right.sql + ")"
	}
	return c.number(left), c.number(right)
}

// textPair drops trailing blanks if both are CHAR, or one is and the other a literal.
func textPair(left, right coded) (string, string) {
	if left.typ.Kind == kindChar && right.typ.Kind == kindChar && !(left.literal && right.literal) {
		return "rtrim(" + left.sql + ",' ')", "rtrim(" + right.sql + ",' ')"
	}
	return left.sql, right.sql
}

// timePair makes two times comparable by their stored forms.
func (c *compiler) timePair(left, right coded) (string, string) {
	l, r := c.moment(left), c.moment(right)
	if left.typ.Kind == right.typ.Kind && left.typ.Kind != kindTimestampTZ {
		return l, r
	}
	if left.typ.Kind == kindTimestampTZ || right.typ.Kind == kindTimestampTZ {
		zone := c.special("zone")
		return "o_instant(" + l + "," + zone + ")", "o_instant(" + r + "," + zone + ")"
	}
	return "o_timestamp(" + l + ")", "o_timestamp(" + r + ")"
}

// compareTuples translates (a, b) = (select …) and (a, b) = ((x, y)).
func (c *compiler) compareTuples(e *operation, l *tuple) coded {
	if e.operator != "=" && e.operator != "<>" {
		return c.fail(failure(1796, "this operator cannot be used with lists").at(e.start))
	}
	list := &inList{node: e.node, operand: l, list: []expression{e.right}, not: e.operator == "<>"}
	if q, ok := e.right.(*scalarQuery); ok {
		list.list, list.query = nil, q.query
	}
	return c.inList(list)
}

// inList translates IN and NOT IN.
func (c *compiler) inList(e *inList) coded {
	not := ""
	if e.not {
		not = "NOT "
	}
	if e.query != nil {
		return c.inQuery(e, not)
	}
	if l, ok := e.operand.(*tuple); ok {
		return c.inTuples(e, l, not)
	}
	operand := c.expression(e.operand)
	parts := make([]string, len(e.list))
	for i, item := range e.list {
		parts[i] = c.compare(&operation{node: node{item.position()}, operator: "="}, operand, c.expression(item)).sql
	}
	if simple, ok := simpleIn(operand, parts); ok {
		return coded{sql: "(" + operand.sql + " " + not + "IN (" + simple + "))", typ: ofKind(kindBool)}
	}
	return coded{sql: "(" + not + orTree(parts) + ")", typ: ofKind(kindBool)}
}

// orTree joins conditions by OR, balanced, since SQLite bounds the depth of expressions.
func orTree(parts []string) string {
	if len(parts) == 1 {
		return parts[0]
	}
	half := len(parts) / 2
	return "(" + orTree(parts[:half]) + " OR " + orTree(parts[half:]) + ")"
}

// simpleIn turns comparisons that all are "operand = x" into the list of their right sides.
func simpleIn(operand coded, comparisons []string) (string, bool) {
	prefix := "(" + operand.sql + " = "
	items := make([]string, len(comparisons))
	for i, comparison := range comparisons {
		rest, found := strings.CutPrefix(comparison, prefix)
		if !found {
			return "", false
		}
		items[i] = strings.TrimSuffix(rest, ")")
	}
	return strings.Join(items, ","), true
}

func (c *compiler) inTuples(e *inList, l *tuple, not string) coded {
	parts := make([]string, len(e.list))
	for i, item := range e.list {
		t, ok := item.(*tuple)
		if !ok || len(t.items) != len(l.items) {
			return c.fail(failure(1796, "this operator cannot be used with lists").at(e.start))
		}
		equal := make([]string, len(t.items))
		for j := range t.items {
			equal[j] = c.compare(&operation{node: e.node, operator: "="}, c.expression(l.items[j]), c.expression(t.items[j])).sql
		}
		parts[i] = "(" + strings.Join(equal, " AND ") + ")"
	}
	return coded{sql: "(" + not + orTree(parts) + ")", typ: ofKind(kindBool)}
}

func (c *compiler) inQuery(e *inList, not string) coded {
	operand := c.stable(c.expression(e.operand))
	sql, columns := c.stableSubquery(e.query)
	want := 1
	if l, ok := e.operand.(*tuple); ok {
		want = len(l.items)
	}
	switch {
	case len(columns) > want:
		return c.fail(failure(913, "too many values").at(e.start))
	case len(columns) < want:
		return c.fail(failure(947, "not enough values").at(e.start))
	}
	if want == 1 {
		operand.sql = c.convert(operand, columns[0].typ)
	}
	return coded{sql: "(" + operand.sql + " " + not + "IN (" + sql + "))", typ: ofKind(kindBool)}
}

// quantified translates = ANY (…) and < ALL (…).
func (c *compiler) quantified(e *quantified) coded {
	operand := c.expression(e.operand)
	if e.query != nil {
		sql, columns := c.stableSubquery(e.query)
		if len(columns) != 1 {
			return c.fail(failure(913, "too many values").at(e.start))
		}
		alias := c.alias()
		test := c.compare(&operation{node: e.node, operator: e.operator}, operand, coded{sql: alias + ".c1", typ: columns[0].typ}).sql
		if e.all {
			return coded{sql: "(NOT EXISTS (SELECT 1 FROM (" + sql + ") AS " + alias + " WHERE NOT " + test + "))", typ: ofKind(kindBool)}
		}
		return coded{sql: "(EXISTS (SELECT 1 FROM (" + sql + ") AS " + alias + " WHERE " + test + "))", typ: ofKind(kindBool)}
	}
	parts := make([]string, len(e.list))
	for i, item := range e.list {
		parts[i] = c.compare(&operation{node: e.node, operator: e.operator}, operand, c.expression(item)).sql
	}
	joint := " OR "
	if e.all {
		joint = " AND "
	}
	return coded{sql: "(" + strings.Join(parts, joint) + ")", typ: ofKind(kindBool)}
}
