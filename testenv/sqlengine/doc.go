// Package sqlengine is an Oracle-flavoured SQL engine over SQLite: enough of Oracle's SQL, data types, PL/SQL and
// error numbers that the test programs of real Oracle drivers run against the test database. It knows no wire: a
// conversation prepares statements on a session and gets columns, rows, OUT values and numbered errors back.
//
// A statement is parsed into a tree of its own (lexer.go, parse_*.go), translated into SQLite's SQL with every name
// and type resolved (compile*.go), and run with functions that compute as Oracle does (functions_*.go). Values lie in
// SQLite in forms that sort as they should (encoding.go), so a NUMBER keeps all of its 38 digits. What tables there
// are stands in a dictionary (dictionary.go, ddl*.go); anonymous PL/SQL blocks are interpreted (plsql*.go).
//
// What it does not do, besides all that nobody asked for:
//
//   - One session at a time has a transaction that writes; others wait for it up to Engine.LockWait and then fail
//     with ORA-00054, whatever rows they touch. Private sessions do not wait: each has its own data. Readers never
//     wait, and see what was committed when their query began.
//   - No stored PL/SQL, REF CURSORs, objects, collections, JSON or vectors; CREATE PROCEDURE and the like give
//     ORA-00439, what a block may not hold ORA-06550.
//   - Privileges are not checked: every user may use every schema by naming it.
//   - A global temporary table is shared by all sessions, and is emptied at commit if its definition says so.
//   - GROUP BY does not complain about columns that are not grouped.
//   - A BINARY_DOUBLE NaN is NULL. An INTERVAL is described as VARCHAR2. Lengths of text are in characters.
//   - Cancelling DML while SQLite writes rolls the whole transaction back, not only the statement.
//   - A session that changes data while one of its own queries is open keeps the query's remaining rows in memory,
//     up to a million; beyond that the query ends in ORA-01555.
package sqlengine
