// Package sqlengine is an Oracle-flavoured SQL engine over SQLite: enough of Oracle's SQL, data types, PL/SQL and
// error numbers that the test programs of real Oracle drivers run against the test database. It knows no wire: a
// conversation prepares statements on a session and gets columns, rows, OUT values and numbered errors back.
package sqlengine
