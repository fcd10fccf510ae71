package sqlengine

import (
	"database/sql/driver"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
)

// A compiler translates one syntax tree into SQLite's SQL. It resolves every name itself, so that errors are
// Oracle's, types are known before the first row, and what SQLite sees has made-up names only. Its first error
// sticks.
type compiler struct {
	session    *Session
	dictionary *dictionary
	kinds      []datatype // of the binds
	variables  variables  // of the PL/SQL block around, or nil
	parameters []parameter
	scope      *scope
	aliases    int
	views      int // how deep in views
	err        *Error
	// aggregates counts the group functions seen, to tell whether a query block is grouped.
	aggregates int
	// volatile says that the translation holds data of the moment and must not be used again.
	volatile bool
}

// A parameter is what one of SQLite's ?NNN stands for.
type parameter struct {
	kind     parameterKind
	bind     int          // parameterBind: index of the statement's bind
	value    driver.Value // parameterValue
	name     string       // parameterSpecial, parameterVariable
	variable *variable
}

type parameterKind uint8

const (
	parameterBind parameterKind = iota
	parameterValue
	parameterSpecial // something of the session or the moment, taken when the statement runs
	parameterVariable
)

// coded is a translated expression.
type coded struct {
	sql  string
	typ  datatype
	null bool
	// integer is the expression as a plain SQLite integer, if it is a small integer literal.
	integer string
	literal bool
}

func (c *compiler) fail(err *Error) coded {
	if c.err == nil {
		c.err = err
	}
	return coded{sql: "NULL", typ: ofKind(kindUnknown)}
}

// alias makes up a name no one else has in this statement.
func (c *compiler) alias() string {
	c.aliases++
	return "a" + strconv.Itoa(c.aliases)
}

// parameter gives the ?NNN of a parameter, the same one for the same thing.
func (c *compiler) parameter(p parameter) string {
	i := slices.IndexFunc(c.parameters, func(have parameter) bool {
		return p.kind != parameterValue && have.kind == p.kind && have.bind == p.bind && have.name == p.name &&
			have.variable == p.variable
	})
	if i < 0 {
		c.parameters = append(c.parameters, p)
		i = len(c.parameters) - 1
	}
	return "?" + strconv.Itoa(i+1)
}

// special gives the ?NNN of something taken when the statement runs; see Session.special.
func (c *compiler) special(name string) string {
	return c.parameter(parameter{kind: parameterSpecial, name: name})
}

// in runs f with a new innermost scope.
func (c *compiler) in(s *scope, f func()) {
	outer := c.scope
	s.parent = outer
	c.scope = s
	f()
	c.scope = outer
}

// textLiteral writes a string for SQLite.
func textLiteral(text string) string {
	if strings.ContainsRune(text, 0) {
		return "CAST(X'" + hex.EncodeToString([]byte(text)) + "' AS TEXT)"
	}
	return "'" + strings.ReplaceAll(text, "'", "''") + "'"
}

func blobLiteral(b []byte) string { return "X'" + hex.EncodeToString(b) + "'" }

// storedLiteral writes a stored value for SQLite.
func storedLiteral(v driver.Value) string {
	switch v := v.(type) {
	case string:
		return textLiteral(v)
	case []byte:
		return blobLiteral(v)
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		return strconv.FormatFloat(v, 'e', -1, 64)
	}
	return "NULL"
}

// text, number and moment give an expression converted to what a function or an operator needs.

func (c *compiler) text(x coded) string {
	switch x.typ.Kind.group() {
	case groupText:
		return x.sql
	case groupTime:
		return "o_to_char(" + x.sql + "," + c.special("format:"+timeFormatName(x.typ)) + ")"
	}
	if x.typ.Kind == kindNull {
		return "NULL"
	}
	return "o_text(" + x.sql + "," + c.special("format:DATE") + ")"
}

// timeFormatName says which of the session's formats applies.
func timeFormatName(t datatype) string {
	switch t.Kind {
	case kindTimestamp:
		return "TIMESTAMP"
	case kindTimestampTZ:
		return "TIMESTAMP_TZ"
	}
	return "DATE"
}

func (c *compiler) number(x coded) string {
	switch x.typ.Kind {
	case kindNumber, kindNull:
		return x.sql
	case kindDate, kindTimestamp, kindTimestampTZ:
		return c.fail(inconsistent("NUMBER", x.typ)).sql
	}
	return "o_num(" + x.sql + ")"
}

// numeric is number, but leaves binary floats and SQLite's integers as they are.
func (c *compiler) numeric(x coded) string {
	switch x.typ.Kind {
	case kindFloat, kindDouble, kindInteger:
		return x.sql
	}
	return c.number(x)
}

func (c *compiler) moment(x coded) string {
	if x.typ.Kind.group() == groupTime || x.typ.Kind == kindNull {
		return x.sql
	}
	if x.typ.Kind.group() == groupNumber {
		return c.fail(inconsistent("DATE", x.typ)).sql
	}
	return "o_time(" + x.sql + "," + c.special("format:DATE") + ")"
}

// integer gives a plain SQLite integer.
func (c *compiler) integer(x coded) string {
	switch {
	case x.integer != "":
		return x.integer
	case x.typ.Kind == kindInteger:
		return x.sql
	}
	return "o_int(" + x.sql + ")"
}

// stable gives an expression of a kind whose stored form is always the same: SQLite's integers become NUMBERs.
func (c *compiler) stable(x coded) coded {
	if x.typ.Kind == kindInteger {
		x.sql, x.typ.Kind = "o_num("+x.sql+")", kindNumber
	}
	return x
}

func inconsistent(expected string, got datatype) *Error {
	return failure(932, "inconsistent datatypes: expected %s got %s", expected, kindName(got.Kind))
}

// kindName is a kind as messages and the dictionary name it.
func kindName(k kind) string {
	switch k {
	case kindChar, kindNull:
		return "CHAR"
	case kindLong:
		return "LONG"
	case kindCLOB:
		return "CLOB"
	case kindRowID:
		return "ROWID"
	case kindNumber, kindInteger:
		return "NUMBER"
	case kindFloat:
		return "BINARY_FLOAT"
	case kindDouble:
		return "BINARY_DOUBLE"
	case kindDate:
		return "DATE"
	case kindTimestamp:
		return "TIMESTAMP"
	case kindTimestampTZ:
		return "TIMESTAMP WITH TIME ZONE"
	case kindInterval:
		return "INTERVAL DAY TO SECOND"
	case kindRaw:
		return "RAW"
	case kindBLOB:
		return "BLOB"
	case kindBool:
		return "BOOLEAN"
	}
	return "VARCHAR2"
}
