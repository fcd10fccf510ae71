package sqlengine

import (
	"strconv"
	"strings"
)

// expression translates an expression or condition.
func (c *compiler) expression(e expression) coded {
	if c.err != nil {
		return coded{sql: "NULL"}
	}
	switch e := e.(type) {
	case *nullLiteral:
		return coded{sql: "NULL", typ: ofKind(kindNull), null: true}
	case *stringLiteral:
		return c.stringLiteral(e)
	case *numberLiteral:
		return c.numberLiteral(e)
	case *boolLiteral:
		return coded{sql: map[bool]string{true: "1", false: "0"}[e.value], typ: ofKind(kindBool)}
	case *timeLiteral:
		t := ofKind(map[timeKind]kind{dateOnly: kindDate, timestamp: kindTimestamp, timestampTZ: kindTimestampTZ}[e.value.kind])
		t.NotNull = true
		return coded{sql: blobLiteral(encodeTime(e.value)), typ: t, literal: true}
	case *intervalLiteral:
		return coded{sql: blobLiteral(encodeInterval(e.value)), typ: ofKind(kindInterval), literal: true}
	case *bindRef:
		return c.bind(e)
	case *columnRef:
		return c.columnRef(e)
	case *unary:
		return c.unary(e)
	case *operation:
		return c.binary(e)
	case *isNull:
		return c.isNull(e)
	case *between:
		return c.between(e)
	case *like:
		return c.like(e)
	case *inList:
		return c.inList(e)
	case *quantified:
		return c.quantified(e)
	case *tuple:
		return c.tuple(e)
	}
	return c.compound(e)
}

// compound translates the expressions that look like calls or hold queries.
func (c *compiler) compound(e expression) coded {
	switch e := e.(type) {
	case *exists:
		sql, _ := c.subquery(e.query)
		return coded{sql: "EXISTS (" + sql + ")", typ: ofKind(kindBool)}
	case *scalarQuery:
		sql, columns := c.subquery(e.query)
		if len(columns) != 1 {
			return c.fail(failure(913, "too many values").at(e.start))
		}
		columns[0].typ.NotNull = false
		return coded{sql: "(" + sql + ")", typ: columns[0].typ}
	case *caseExpression:
		return c.caseExpression(e)
	case *castExpression:
		return c.cast(c.expression(e.operand), e.target)
	case *extractExpression:
		operand := c.expression(e.operand)
		if operand.typ.Kind.group() == groupText {
			return c.fail(failure(30076, "invalid extract field for extract source").at(e.start))
		}
		return coded{sql: "o_extract(" + textLiteral(e.field) + "," + operand.sql + ")", typ: ofKind(kindNumber)}
	case *trimExpression:
		return c.trim(e)
	case *atTimeZone:
		zone := c.special("zone")
		if e.zone != nil {
			zone = c.text(c.expression(e.zone))
		}
		return coded{sql: "o_at_zone(" + c.moment(c.expression(e.operand)) + "," + zone + ")", typ: ofKind(kindTimestampTZ)}
	case *call:
		return c.call(e)
	}
	return c.fail(failure(936, "missing expression").at(e.position()))
}

func (c *compiler) stringLiteral(e *stringLiteral) coded {
	if e.text == "" {
		return coded{sql: "NULL", typ: ofKind(kindNull), null: true}
	}
	if len(e.text) > maxVarchar {
		return c.fail(failure(1704, "string literal too long").at(e.start))
	}
	size := len([]rune(e.text))
	return coded{sql: textLiteral(e.text), typ: datatype{Kind: kindChar, Size: size, NotNull: true}, literal: true}
}

func (c *compiler) numberLiteral(e *numberLiteral) coded {
	d, ok := parseDecimal(e.text)
	if !ok {
		return c.fail(failure(1722, "invalid number").at(e.start))
	}
	if e.binary != 0 {
		k := kindDouble
		if e.binary == 'F' {
			k = kindFloat
		}
		return coded{sql: storedLiteral(d.float()), typ: ofKind(k), literal: true}
	}
	d, err := d.fit()
	if err != nil {
		return c.fail(ownError(err).at(e.start))
	}
	out := coded{sql: blobLiteral(encodeNumber(d)), typ: ofKind(kindNumber), literal: true}
	out.typ.NotNull = true
	if n, fits := d.int64(); fits && d.isInteger() && d.point <= 15 {
		out.integer = strconv.FormatInt(n, 10)
	}
	return out
}

func (c *compiler) bind(e *bindRef) coded {
	t := ofKind(kindUnknown)
	if e.index < len(c.kinds) {
		t = c.kinds[e.index]
	}
	return coded{sql: c.parameter(parameter{kind: parameterBind, bind: e.index}), typ: t}
}

func (c *compiler) unary(e *unary) coded {
	switch e.operator {
	case "NOT":
		return coded{sql: "(NOT " + c.condition(e.operand) + ")", typ: ofKind(kindBool)}
	case "PRIOR":
		if c.scope == nil || c.scope.prior == nil {
			return c.fail(failure(976, "Specified pseudocolumn or operator not allowed here.").at(e.start))
		}
		var x coded
		outer := c.scope
		c.scope = outer.prior
		x = c.expression(e.operand)
		c.scope = outer
		return x
	case "CONNECT_BY_ROOT":
		return c.fail(failure(30002, "CONNECT_BY_ROOT is not known to the test database").at(e.start))
	}
	x := c.expression(e.operand)
	if x.integer != "" {
		if n, err := strconv.Atoi(x.integer); err == nil {
			x.integer, x.sql = strconv.Itoa(-n), blobLiteral(encodeNumber(decimalOf(int64(-n))))
			return x
		}
	}
	if x.typ.Kind == kindInterval {
		return coded{sql: "o_neg(" + x.sql + ")", typ: x.typ}
	}
	return coded{sql: "o_neg(" + c.numeric(x) + ")", typ: arithmeticType(x.typ, ofKind(kindNumber))}
}

// condition translates an expression that must be a condition.
func (c *compiler) condition(e expression) string {
	x := c.expression(e)
	if x.typ.Kind != kindBool && x.typ.Kind != kindUnknown && x.typ.Kind != kindNull && c.err == nil {
		return c.fail(failure(920, "invalid relational operator").at(e.position())).sql
	}
	return x.sql
}

func (c *compiler) binary(e *operation) coded {
	switch e.operator {
	case "AND", "OR":
		return coded{
			sql: "(" + c.condition(e.left) + " " + e.operator + " " + c.condition(e.right) + ")", typ: ofKind(kindBool),
		}
	case "||":
		left, right := c.expression(e.left), c.expression(e.right)
		return c.concat(left, right)
	case "+", "-", "*", "/", "**", "MOD":
		return c.arithmetic(e, c.expression(e.left), c.expression(e.right))
	}
	if l, ok := e.left.(*tuple); ok {
		return c.compareTuples(e, l)
	}
	return c.compare(e, c.expression(e.left), c.expression(e.right))
}

func (c *compiler) concat(left, right coded) coded {
	t := datatype{Kind: kindVarchar, Size: min(orDefault(left.typ.Size, 40)+orDefault(right.typ.Size, 40), maxVarchar)}
	if left.typ.Kind == kindCLOB || right.typ.Kind == kindCLOB {
		t = ofKind(kindCLOB)
	}
	if left.typ.Kind == kindRaw && right.typ.Kind == kindRaw {
		return coded{sql: "o_raw_cat(" + left.sql + "," + right.sql + ")", typ: ofKind(kindRaw)}
	}
	return coded{sql: "o_cat(" + c.text(left) + "," + c.text(right) + ")", typ: t}
}

// arithmeticFunctions are the engine's functions for operators.
var arithmeticFunctions = map[string]string{
	"+": "o_add", "-": "o_sub", "*": "o_mul", "/": "o_div", "**": "o_power", "MOD": "o_mod",
}

func (c *compiler) arithmetic(e *operation, left, right coded) coded {
	lt, rt := left.typ.Kind.group(), right.typ.Kind.group()
	t := arithmeticType(left.typ, right.typ)
	switch {
	case lt == groupTime || rt == groupTime || lt == groupInterval || rt == groupInterval:
		t = timeArithmetic(e.operator, left.typ, right.typ)
		if t.Kind == kindUnknown {
			if lt == groupTime && rt == groupTime {
				return c.fail(failure(975, "date + date not allowed").at(e.start))
			}
			return c.fail(inconsistent("NUMBER", left.typ).at(e.start))
		}
		if lt == groupText {
			left.sql = c.number(left)
		}
		if rt == groupText {
			right.sql = c.number(right)
		}
	default:
		left.sql, right.sql = c.numeric(left), c.numeric(right)
	}
	return coded{sql: arithmeticFunctions[e.operator] + "(" + left.sql + "," + right.sql + ")", typ: t}
}

// arithmeticType is NUMBER, or BINARY_DOUBLE if either side is binary.
func arithmeticType(a, b datatype) datatype {
	if a.Kind == kindFloat && b.Kind == kindFloat {
		return ofKind(kindFloat)
	}
	for _, t := range [...]datatype{a, b} {
		if t.Kind == kindFloat || t.Kind == kindDouble {
			return ofKind(kindDouble)
		}
	}
	return ofKind(kindNumber)
}

// timeArithmetic is the type of an operation with times or intervals; kindUnknown if there is no such operation.
func timeArithmetic(operator string, a, b datatype) datatype {
	at, bt := a.Kind.group(), b.Kind.group()
	times := at == groupTime && bt == groupTime
	switch {
	case times && operator == "-" && a.Kind == kindDate && b.Kind == kindDate:
		return ofKind(kindNumber)
	case times && operator == "-":
		return ofKind(kindInterval)
	case times:
		return datatype{}
	case operator == "*" || operator == "/":
		if at == groupTime || bt == groupTime {
			return datatype{}
		}
		return ofKind(kindInterval)
	case at == groupInterval && bt == groupInterval:
		return ofKind(kindInterval)
	}
	t := a
	if bt == groupTime {
		if operator == "-" {
			return datatype{}
		}
		t, at, bt = b, bt, at
	}
	if at != groupTime { // an interval and a number
		return datatype{}
	}
	if bt != groupInterval {
		return ofKind(kindDate)
	}
	t.NotNull = false
	return t
}

func (c *compiler) isNull(e *isNull) coded {
	operator := " IS NULL)"
	if e.not {
		operator = " IS NOT NULL)"
	}
	return coded{sql: "(" + c.expression(e.operand).sql + operator, typ: ofKind(kindBool)}
}

func (c *compiler) between(e *between) coded {
	operand := c.expression(e.operand)
	low := c.compare(&operation{node: e.node, operator: ">="}, operand, c.expression(e.low))
	high := c.compare(&operation{node: e.node, operator: "<="}, operand, c.expression(e.high))
	sql := "(" + low.sql + " AND " + high.sql + ")"
	if e.not {
		sql = "(NOT " + sql + ")"
	}
	return coded{sql: sql, typ: ofKind(kindBool)}
}

func (c *compiler) like(e *like) coded {
	escape := "NULL"
	if e.escape != nil {
		escape = c.text(c.expression(e.escape))
	}
	sql := "o_like(" + c.text(c.expression(e.operand)) + "," + c.text(c.expression(e.pattern)) + "," + escape + ")"
	if e.not {
		sql = "(NOT " + sql + ")"
	}
	return coded{sql: sql, typ: ofKind(kindBool)}
}

func (c *compiler) tuple(e *tuple) coded {
	parts := make([]string, len(e.items))
	for i, item := range e.items {
		parts[i] = c.stable(c.expression(item)).sql
	}
	return coded{sql: "(" + strings.Join(parts, ",") + ")"}
}
