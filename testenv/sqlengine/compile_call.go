package sqlengine

import "strings"

// call translates a function call.
func (c *compiler) call(e *call) coded {
	name := functionName(e.function)
	if a, found := aggregates[name]; found && (!a.windowOnly || e.over != nil) {
		return c.aggregate(e, name, a)
	}
	if e.over != nil {
		return c.fail(failure(30484, "missing window specification for this function").at(e.start))
	}
	if x, found := c.sessionFunction(e, name); found {
		return x
	}
	arguments := make([]coded, len(e.arguments))
	for i, a := range e.arguments {
		arguments[i] = c.expression(a)
	}
	if c.err != nil {
		return coded{sql: "NULL"}
	}
	if f, found := functions[name]; found {
		if len(arguments) < f.min || len(arguments) > f.max {
			return c.argumentCount(e, len(arguments) < f.min)
		}
		return coded{sql: f.udf + "(" + c.arguments(f.arguments, arguments) + ")", typ: resultType(f.result, arguments)}
	}
	if x, found := c.ownRule(e, name, arguments); found {
		return x
	}
	return c.fail(errBadIdentifier(quoteName(joinNames(e.function))).at(e.start))
}

// functionName is a function's name without the schema SYS or the package STANDARD.
func functionName(parts []name) string {
	for len(parts) > 1 && (parts[0].text == "SYS" || parts[0].text == "STANDARD") {
		parts = parts[1:]
	}
	return joinNames(parts)
}

func joinNames(parts []name) string {
	texts := make([]string, len(parts))
	for i, p := range parts {
		texts[i] = p.text
	}
	return strings.Join(texts, ".")
}

func (c *compiler) argumentCount(e *call, few bool) coded {
	if few {
		return c.fail(failure(938, "not enough arguments for function").at(e.start))
	}
	return c.fail(failure(939, "too many arguments for function").at(e.start))
}

// arguments converts arguments as the letters of a function say.
func (c *compiler) arguments(letters string, arguments []coded) string {
	parts := make([]string, len(arguments))
	for i, x := range arguments {
		letter := byte('x')
		if letters != "" {
			letter = letters[min(i, len(letters)-1)]
		}
		switch letter {
		case 't':
			parts[i] = c.text(x)
		case 'n':
			parts[i] = c.numeric(x)
		case 'i':
			parts[i] = c.integer(x)
		case 'm':
			parts[i] = c.moment(x)
		default:
			parts[i] = c.stable(x).sql
		}
	}
	return strings.Join(parts, ",")
}

// aggregate translates a group function or window function.
func (c *compiler) aggregate(e *call, name string, a aggregate) coded {
	if e.over == nil {
		c.aggregates++
	}
	if e.star && name == "COUNT" {
		return coded{sql: "count(*)" + c.over(e.over), typ: ofKind(kindInteger)}
	}
	arguments := make([]coded, len(e.arguments))
	for i, argument := range e.arguments {
		arguments[i] = c.stable(c.expression(argument))
	}
	if len(arguments) < a.min || len(arguments) > a.max {
		return c.fail(failure(909, "invalid number of arguments").at(e.start))
	}
	if name != "COUNT" && len(arguments) > 0 && isLOB(arguments[0].typ) {
		return c.fail(inconsistent("-", arguments[0].typ).at(e.start))
	}
	inside := c.arguments(a.arguments, arguments)
	if name == "LISTAGG" && len(arguments) == 1 {
		inside += ",''"
	}
	udf := a.udf
	if e.distinct {
		if name == "LISTAGG" { // SQLite allows DISTINCT with one argument only
			udf, inside = "o_listagg", "o_pair("+inside+")"
		}
		inside = "DISTINCT " + inside
	}
	if len(e.withinOrder) > 0 {
		inside += " ORDER BY " + c.orderBy(e.withinOrder)
	}
	return coded{sql: udf + "(" + inside + ")" + c.over(e.over), typ: resultType(a.result, arguments)}
}

// over translates a window.
func (c *compiler) over(w *window) string {
	if w == nil {
		return ""
	}
	var parts []string
	if len(w.partition) > 0 {
		items := make([]string, len(w.partition))
		for i, e := range w.partition {
			items[i] = c.expression(e).sql
		}
		parts = append(parts, "PARTITION BY "+strings.Join(items, ","))
	}
	if len(w.order) > 0 {
		parts = append(parts, "ORDER BY "+c.orderBy(w.order))
	}
	if w.frame != "" {
		parts = append(parts, w.frame)
	}
	return " OVER (" + strings.Join(parts, " ") + ")"
}

// orderBy translates sort keys; NULLs are last unless descending, as in Oracle.
func (c *compiler) orderBy(items []orderItem) string {
	parts := make([]string, len(items))
	for i, item := range items {
		parts[i] = c.stable(c.expression(item.expression)).sql + item.direction()
	}
	return strings.Join(parts, ",")
}

func (o orderItem) direction() string {
	first := o.descending
	if o.nullsFirst != nil {
		first = *o.nullsFirst
	}
	text := " ASC"
	if o.descending {
		text = " DESC"
	}
	if first {
		return text + " NULLS FIRST"
	}
	return text + " NULLS LAST"
}
