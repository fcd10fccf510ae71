package sqlengine

import "strings"

// caseExpression translates both forms of CASE.
func (c *compiler) caseExpression(e *caseExpression) coded {
	var operand coded
	if e.operand != nil {
		operand = c.expression(e.operand)
	}
	conditions := make([]string, len(e.when))
	results := make([]coded, 0, len(e.when)+1)
	for i, branch := range e.when {
		if e.operand != nil {
			conditions[i] = c.compare(&operation{node: node{branch.condition.position()}, operator: "="},
				operand, c.expression(branch.condition)).sql
		} else {
			conditions[i] = c.condition(branch.condition)
		}
		results = append(results, c.expression(branch.result))
	}
	if e.otherwise != nil {
		results = append(results, c.expression(e.otherwise))
	}
	t := c.unifyAll(results, e.otherwise == nil)
	var b strings.Builder
	b.WriteString("CASE")
	for i, condition := range conditions {
		b.WriteString(" WHEN " + condition + " THEN " + results[i].sql)
	}
	if e.otherwise != nil {
		b.WriteString(" ELSE " + results[len(results)-1].sql)
	}
	b.WriteString(" END")
	return coded{sql: b.String(), typ: t}
}

// unifyAll gives expressions one type, converting those of another group to that of the first.
func (c *compiler) unifyAll(items []coded, nullable bool) datatype {
	var t datatype
	for i := range items {
		items[i] = c.stable(items[i])
		if i == 0 {
			t = items[0].typ
			continue
		}
		t = unify(t, items[i].typ)
	}
	if nullable {
		t.NotNull = false
	}
	for i := range items {
		items[i].sql = c.convert(items[i], t)
	}
	return t
}

// convert gives an expression in the stored form of another type's group, if it is of another.
func (c *compiler) convert(x coded, t datatype) string {
	if x.typ.Kind == kindUnknown || x.typ.Kind == kindNull {
		return x.sql
	}
	switch group := t.Kind.group(); {
	case t.Kind == kindDouble || t.Kind == kindFloat:
		return "o_double(" + x.sql + ")"
	case group == x.typ.Kind.group():
		return x.sql
	case group == groupText:
		return c.text(x)
	case group == groupNumber:
		return c.number(x)
	case group == groupTime:
		return c.moment(x)
	}
	return x.sql
}

func (c *compiler) trim(e *trimExpression) coded {
	characters := "' '"
	if e.characters != nil {
		characters = c.text(c.expression(e.characters))
	}
	operand := c.expression(e.operand)
	function := map[string]string{"LEADING": "o_ltrim", "TRAILING": "o_rtrim", "BOTH": "o_trim"}[e.side]
	return coded{sql: function + "(" + c.text(operand) + "," + characters + ")", typ: textOf(orDefault(operand.typ.Size, 0))}
}
