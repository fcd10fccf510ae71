package sqlengine

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Error is a failure as Oracle numbers it.
type Error struct {
	// Code is the number after "ORA-".
	Code int
	// Text is the message without its "ORA-nnnnn: ". It may go on with further "ORA-nnnnn: …" lines.
	Text string
	// Position is the byte offset in the statement the error is about, 0 if unknown.
	Position int
}

// Error returns the whole message, for instance "ORA-00942: table or view does not exist".
func (e *Error) Error() string { return fmt.Sprintf("ORA-%05d: %s", e.Code, e.Text) }

// failure makes an Error of unknown position.
func failure(code int, format string, args ...any) *Error {
	return &Error{Code: code, Text: fmt.Sprintf(format, args...)}
}

// at gives the error a position unless it has one.
func (e *Error) at(position int) *Error {
	if e.Position == 0 {
		e.Position = position
	}
	return e
}

func errCancelled() *Error {
	return failure(1013, "user requested cancel of current operation")
}

func errNoTable() *Error { return failure(942, "table or view does not exist") }

func errBadIdentifier(name string) *Error { return failure(904, "%s: invalid identifier", name) }

func errBusy() *Error {
	return failure(54, "resource busy and acquire with NOWAIT specified or timeout expired")
}

// oracleText finds the error text of one of the engine's own functions inside SQLite's message about it.
func oracleText(message string) (*Error, bool) {
	_, rest, found := strings.Cut(message, "ORA-")
	if !found || len(rest) < 7 {
		return nil, false
	}
	code, err := strconv.Atoi(rest[:5])
	if err != nil || rest[5:7] != ": " {
		return nil, false
	}
	text := sqliteCodeSuffix.ReplaceAllString(rest[7:], "")
	return &Error{Code: code, Text: text}, true
}

// sqliteCodeSuffix matches the " (1)" that the SQLite driver ends its messages with.
var sqliteCodeSuffix = regexp.MustCompile(` \(\d+\)( \(SQLITE_BUSY\))?$`)

// SQLite's result codes that are told apart.
const (
	sqliteBusy           = 5
	sqliteInterrupt      = 9
	sqliteFull           = 13
	sqliteTooBig         = 18
	sqliteConstraint     = 19
	constraintPrimaryKey = sqliteConstraint | 6<<8
	constraintUnique     = sqliteConstraint | 8<<8
	constraintRowID      = sqliteConstraint | 10<<8
)

// oracleError maps a failure of SQLite, of one of the engine's functions in it, or of a context. It is told the
// table of a DML statement, so that keys can be named; it may be nil.
func oracleError(ctx context.Context, err error, target *object) *Error {
	var own *Error
	if errors.As(err, &own) {
		return own
	}
	if ctx.Err() != nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return errCancelled()
	}
	var coded interface{ Code() int }
	message := err.Error()
	if own, found := oracleText(message); found {
		return own
	}
	if errors.As(err, &coded) {
		if mapped := codeError(coded.Code(), message, target); mapped != nil {
			return mapped
		}
	}
	return messageError(message)
}

// messageError maps what SQLite says in words only.
func messageError(message string) *Error {
	text := sqliteCodeSuffix.ReplaceAllString(message, "")
	_, text, _ = strings.Cut(text, ": ")
	switch {
	case strings.Contains(text, "no such table"):
		return errNoTable()
	case strings.Contains(text, "no such column: "):
		_, name, _ := strings.Cut(text, "no such column: ")
		return errBadIdentifier(quoteName(name))
	case strings.Contains(text, "misuse of aggregate"):
		return failure(934, "group function is not allowed here")
	case strings.Contains(text, "do not have the same number of result columns"):
		return failure(1789, "query block has incorrect number of result columns")
	case strings.Contains(text, "values for"), strings.Contains(text, "columns assigned"):
		return failure(913, "too many values")
	case strings.Contains(text, "wrong number of arguments"):
		return failure(909, "invalid number of arguments")
	case strings.Contains(text, "too many levels"), strings.Contains(text, "too large (maximum depth"),
		strings.Contains(text, "parser stack overflow"):
		return failure(913, "statement is nested too deeply for the test database")
	}
	return failure(600, "internal error code, arguments: [%s], [], [], [], [], [], [], []", text)
}

// codeError maps result codes; nil if the code says nothing of its own.
func codeError(code int, message string, target *object) *Error {
	switch code {
	case constraintUnique, constraintPrimaryKey, constraintRowID:
		return failure(1, "unique constraint (%s) violated", violatedKey(message, target))
	case sqliteInterrupt:
		return errCancelled()
	case sqliteFull:
		return failure(1653, "unable to extend table in tablespace USERS")
	case sqliteTooBig:
		return failure(1489, "result of string concatenation is too long")
	}
	if code&0xFF == sqliteBusy {
		return errBusy()
	}
	return nil
}

// violatedKey finds the key that "UNIQUE constraint failed: t20001.c1, t20001.c2" or "…: index 'i20002'" is about.
func violatedKey(message string, target *object) string {
	if target == nil {
		return "unknown"
	}
	_, list, _ := strings.Cut(sqliteCodeSuffix.ReplaceAllString(message, ""), "constraint failed: ")
	if name, found := strings.CutPrefix(list, "index '"); found {
		list = strings.TrimSuffix(name, "'")
	}
	var columns []string
	for _, part := range strings.Split(list, ", ") {
		_, column, _ := strings.Cut(part, ".")
		columns = append(columns, column)
	}
	for _, k := range target.Table.Constraints {
		if k.Kind != "P" && k.Kind != "U" && k.Kind != "I" {
			continue
		}
		if k.Stored == list || slices.Equal(target.Table.storedNames(k.Columns), columns) {
			return target.Owner + "." + k.Name
		}
	}
	return target.Owner + "." + list
}

// quoteName quotes each part of a dotted name as Oracle shows it in messages.
func quoteName(name string) string {
	return `"` + strings.ReplaceAll(strings.ReplaceAll(name, `"`, ""), ".", `"."`) + `"`
}

// ownError is the *Error an error of the engine's own is.
func ownError(err error) *Error {
	var own *Error
	if errors.As(err, &own) {
		return own
	}
	return messageError(err.Error())
}
