package sqlengine

import (
	"database/sql/driver"
	"errors"
	"reflect"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// interrupter gives a function that stops whatever a SQLite connection computes. The driver interrupts a query while
// it computes its first row only; for later rows this needs the connection's handle, which the driver keeps to
// itself, hence the reflection.
func interrupter(raw driver.Conn) (func(), error) {
	field := reflect.ValueOf(raw)
	if field.Kind() == reflect.Pointer {
		field = field.Elem()
	}
	if field.Kind() == reflect.Struct {
		field = field.FieldByName("db")
	}
	if !field.IsValid() || field.Kind() != reflect.Uintptr {
		return nil, errors.New("sqlengine: this version of modernc.org/sqlite hides its handle elsewhere; adapt interrupter to it")
	}
	handle := uintptr(field.Uint())
	return func() {
		tls := libc.NewTLS()
		defer tls.Close()
		sqlite3.Xsqlite3_interrupt(tls, handle)
	}, nil
}
