package sqlengine

import "strings"

// ownRule translates the functions whose result depends on their arguments' types.
func (c *compiler) ownRule(e *call, name string, args []coded) (coded, bool) {
	switch name {
	case "NVL", "NVL2", "NULLIF", "COALESCE", "DECODE", "GREATEST", "LEAST":
		return c.choice(e, name, args), true
	case "TO_CHAR", "TO_NCHAR":
		return c.toChar(e, args), true
	case "TO_NUMBER":
		return c.toNumber(e, args), true
	case "TO_DATE", "TO_TIMESTAMP", "TO_TIMESTAMP_TZ":
		return c.toTime(e, name, args), true
	case "ROUND", "TRUNC":
		return c.rounded(e, name, args), true
	case "CONCAT":
		if len(args) != 2 {
			return c.argumentCount(e, len(args) < 2), true
		}
		return c.concat(args[0], args[1]), true
	case "TO_DSINTERVAL":
		if len(args) != 1 {
			return c.argumentCount(e, len(args) < 1), true
		}
		return coded{sql: "o_to_dsinterval(" + c.text(args[0]) + ")", typ: ofKind(kindInterval)}, true
	case "EMPTY_CLOB":
		return coded{sql: "''", typ: ofKind(kindCLOB)}, true
	case "EMPTY_BLOB":
		return coded{sql: blobLiteral([]byte{tagRaw}), typ: ofKind(kindBLOB)}, true
	}
	return coded{}, false
}

// choice translates the functions that yield one of their arguments.
func (c *compiler) choice(e *call, name string, args []coded) coded {
	least := map[string]int{"NVL2": 3, "DECODE": 3, "GREATEST": 1, "LEAST": 1}[name]
	if least == 0 {
		least = 2
	}
	if len(args) < least {
		return c.argumentCount(e, true)
	}
	switch name {
	case "NVL", "COALESCE":
		if name == "NVL" && len(args) > 2 {
			return c.argumentCount(e, false)
		}
		t := c.unifyAll(args, false)
		t.NotNull = args[len(args)-1].typ.NotNull
		return coded{sql: "coalesce(" + joinSQL(args) + ")", typ: t}
	case "NVL2":
		results := args[1:3]
		t := c.unifyAll(results, true)
		return coded{sql: "iif(" + args[0].sql + " IS NOT NULL," + results[0].sql + "," + results[1].sql + ")", typ: t}
	case "NULLIF":
		equal := c.compare(&operation{node: e.node, operator: "="}, args[0], args[1])
		x := c.stable(args[0])
		x.typ.NotNull = false
		return coded{sql: "iif(" + equal.sql + ",NULL," + x.sql + ")", typ: x.typ}
	case "DECODE":
		return c.decode(e, args)
	}
	t := c.unifyAll(args, true)
	if len(args) == 1 {
		return args[0]
	}
	if t.Kind == kindChar {
		t.Kind = kindVarchar
	}
	function := map[string]string{"GREATEST": "max(", "LEAST": "min("}[name]
	return coded{sql: function + joinSQL(args) + ")", typ: t}
}

func joinSQL(args []coded) string {
	parts := make([]string, len(args))
	for i, a := range args {
		parts[i] = a.sql
	}
	return strings.Join(parts, ",")
}

// decode translates DECODE, for which NULL equals NULL.
func (c *compiler) decode(e *call, args []coded) coded {
	var searches, results []coded
	rest := args[1:]
	for len(rest) >= 2 {
		searches, results = append(searches, rest[0]), append(results, rest[1])
		rest = rest[2:]
	}
	results = append(results, rest...)
	t := c.unifyAll(results, len(rest) == 0)
	var b strings.Builder
	b.WriteString("CASE")
	for i, search := range searches {
		equal := c.compare(&operation{node: e.node, operator: "IS"}, args[0], search)
		b.WriteString(" WHEN " + equal.sql + " THEN " + results[i].sql)
	}
	if len(rest) == 1 {
		b.WriteString(" ELSE " + results[len(results)-1].sql)
	}
	b.WriteString(" END")
	return coded{sql: b.String(), typ: t}
}

// toChar translates TO_CHAR of a number, a time or text.
func (c *compiler) toChar(e *call, args []coded) coded {
	if len(args) < 1 || len(args) > 3 {
		return c.argumentCount(e, len(args) < 1)
	}
	t := textOf(usualVarchar)
	if args[0].typ.Kind.group() == groupText {
		return coded{sql: args[0].sql, typ: textOf(orDefault(args[0].typ.Size, usualVarchar))}
	}
	if len(args) == 1 {
		return coded{sql: c.text(args[0]), typ: textOf(100)}
	}
	return coded{sql: "o_to_char(" + c.stable(args[0]).sql + "," + c.text(args[1]) + ")", typ: t}
}

func (c *compiler) toNumber(e *call, args []coded) coded {
	switch len(args) {
	case 1:
		return coded{sql: c.number(args[0]), typ: ofKind(kindNumber)}
	case 2, 3:
		return coded{sql: "o_to_number(" + c.text(args[0]) + "," + c.text(args[1]) + ")", typ: ofKind(kindNumber)}
	}
	return c.argumentCount(e, len(args) < 1)
}

// toTime translates TO_DATE, TO_TIMESTAMP and TO_TIMESTAMP_TZ.
func (c *compiler) toTime(e *call, name string, args []coded) coded {
	if len(args) < 1 || len(args) > 3 {
		return c.argumentCount(e, len(args) < 1)
	}
	k, format := kindDate, "DATE"
	switch name {
	case "TO_TIMESTAMP":
		k, format = kindTimestamp, "TIMESTAMP"
	case "TO_TIMESTAMP_TZ":
		k, format = kindTimestampTZ, "TIMESTAMP_TZ"
	}
	model := c.special("format:" + format)
	if len(args) > 1 {
		model = c.text(args[1])
	}
	t := ofKind(k)
	if k == kindTimestamp && len(args) > 1 {
		t.Scale = 9
	}
	return coded{sql: "o_to_time(" + c.text(args[0]) + "," + model + ",'" + format + "')", typ: t}
}

// rounded translates ROUND and TRUNC of a number or a time.
func (c *compiler) rounded(e *call, name string, args []coded) coded {
	if len(args) < 1 || len(args) > 2 {
		return c.argumentCount(e, len(args) < 1)
	}
	function := strings.ToLower("o_" + name)
	if args[0].typ.Kind.group() == groupTime {
		model := "'DD'"
		if len(args) == 2 {
			model = c.text(args[1])
		}
		return coded{sql: function + "_time(" + args[0].sql + "," + model + ")", typ: ofKind(kindDate)}
	}
	scale := "0"
	if len(args) == 2 {
		scale = c.integer(args[1])
	}
	return coded{sql: function + "(" + c.numeric(args[0]) + "," + scale + ")", typ: resultType(resultNumeric, args)}
}

// cast translates CAST(x AS t).
func (c *compiler) cast(x coded, t datatype) coded {
	spec := columnSpec{typ: t, cast: true}
	return coded{sql: "o_put(" + c.stable(x).sql + "," + textLiteral(spec.text()) + "," + c.special("format:"+timeFormatName(t)) + ")", typ: t}
}

// sessionFunction translates the functions of the session and the moment that are called with parentheses.
func (c *compiler) sessionFunction(e *call, name string) (coded, bool) {
	switch name {
	case "SYS_CONTEXT", "USERENV":
		return c.sysContext(e, name), true
	case "SYSTIMESTAMP", "CURRENT_TIMESTAMP", "LOCALTIMESTAMP":
		return c.niladic(&columnRef{node: e.node, parts: e.function})
	case "SYSDATE", "CURRENT_DATE", "USER", "UID", "DBTIMEZONE", "SESSIONTIMEZONE":
		return c.fail(failure(923, "FROM keyword not found where expected").at(e.start)), true
	case "DBMS_TRANSACTION.LOCAL_TRANSACTION_ID":
		return coded{sql: c.special("transaction"), typ: textOf(30)}, true
	}
	return coded{}, false
}

func (c *compiler) sysContext(e *call, name string) coded {
	space := "'USERENV'"
	arguments := e.arguments
	if name == "SYS_CONTEXT" {
		if len(arguments) < 2 {
			return c.argumentCount(e, true)
		}
		space, arguments = c.text(c.expression(arguments[0])), arguments[1:]
	}
	if len(arguments) < 1 {
		return c.argumentCount(e, true)
	}
	parameter := c.text(c.expression(arguments[0]))
	return coded{sql: "o_sys_context(" + c.special("session") + "," + space + "," + parameter + ")", typ: textOf(256)}
}

// niladics are the functions called without parentheses.
var niladics = map[string]datatype{
	"SYSDATE":           {Kind: kindDate, NotNull: true},
	"CURRENT_DATE":      {Kind: kindDate, NotNull: true},
	"SYSTIMESTAMP":      {Kind: kindTimestampTZ, Scale: 6, NotNull: true},
	"CURRENT_TIMESTAMP": {Kind: kindTimestampTZ, Scale: 6, NotNull: true},
	"LOCALTIMESTAMP":    {Kind: kindTimestamp, Scale: 6, NotNull: true},
	"USER":              {Kind: kindVarchar, Size: 128, NotNull: true},
	"UID":               {Kind: kindNumber, Scale: noScale, NotNull: true},
	"DBTIMEZONE":        {Kind: kindVarchar, Size: 6, NotNull: true},
	"SESSIONTIMEZONE":   {Kind: kindVarchar, Size: 75, NotNull: true},
	"ORA_INVOKING_USER": {Kind: kindVarchar, Size: 128, NotNull: true},
	"SQL%ROWCOUNT":      {Kind: kindNumber, Scale: noScale},
	"SQLCODE":           {Kind: kindNumber, Scale: noScale},
	"SQLERRM":           {Kind: kindVarchar, Size: 512},
	"SQL%FOUND":         {Kind: kindBool},
	"SQL%NOTFOUND":      {Kind: kindBool},
	"EMPTY_CLOB":        {Kind: kindCLOB},
}

// niladic translates a function called without parentheses.
func (c *compiler) niladic(ref *columnRef) (coded, bool) {
	name := functionName(ref.parts)
	if name == "SYS_GUID" || name == "DBMS_RANDOM.VALUE" || name == "DBMS_RANDOM.RANDOM" {
		return c.call(&call{node: ref.node, function: ref.parts}), true
	}
	if name == "DBMS_LOB.LOBMAXSIZE" {
		return coded{sql: blobLiteral(encodeNumber(decimalOf(1 << 53))), typ: ofKind(kindNumber)}, true
	}
	t, found := niladics[name]
	if !found {
		return coded{}, false
	}
	return coded{sql: c.special(name), typ: t}, true
}
