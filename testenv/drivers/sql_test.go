package drivers

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Shorthands for steps on connections a and b.
func query(on, text string, binds ...Value) Step {
	return Step{Do: Query, On: on, SQL: text, Binds: binds}
}

func execute(on, text string, binds ...Value) Step {
	return Step{Do: Execute, On: on, SQL: text, Binds: binds}
}

func do(action Action, on string) Step { return Step{Do: action, On: on} }

// Real drivers work through the broker: transactions, types, LOBs, arrays, long
// fetches, cancels, errors.
func TestStatements(t *testing.T) {
	l := startLandscape(t)
	fillLongTable(t, l.brokers[relaying].descriptor("(SERVICE_NAME=ledger)"))
	eachDriver(t, func(t *testing.T, d Driver) {
		l.eachMode(t, func(t *testing.T, b *broker) {
			// Both sessions on one instance, since each test database has its own data.
			target := b.descriptor("(SERVICE_NAME=ledger)")
			exchanges := []exchange{{open("a", target), nil}, {open("b", target), nil}}
			prefix := strings.ReplaceAll("t_"+d.Name(), "-", "_")
			for _, part := range [](func(string) []exchange){transactions, types, arrays, largeObjects, blocks, mistakes, identity, longFetch, interrupts} {
				exchanges = append(exchanges, part(prefix)...)
			}
			exchanges = append(exchanges, exchange{do(Close, "a"), nil}, exchange{do(Close, "b"), nil})
			judge(t, d, exchanges)
		})
	})
}

// identity is what a session knows of itself.
func identity(string) []exchange {
	who := func(name string) string { return "sys_context('USERENV','" + name + "')" }
	return []exchange{
		{query("a", "select "+who("SERVICE_NAME")+", "+who("SID")+", "+who("CURRENT_USER")+", "+who("SESSION_USER")+", "+who("IP_ADDRESS")+" from dual"), func(d Driver, r Result) error {
			if err := succeeded(d, r); err != nil {
				return err
			}
			sid := ""
			if len(r.Rows) == 1 && len(r.Rows[0]) == 5 && r.Rows[0][1] != nil {
				sid = *r.Rows[0][1] // a session's number, differs
			}
			return rows([]Value{Varchar("ledger"), Varchar(sid), Varchar("APP"), Varchar("APP"), Varchar("127.0.0.1")})(d, r)
		}},
		{query("a", "select user from dual"), rows([]Value{Varchar("APP")})},
	}
}

func transactions(prefix string) []exchange {
	table := prefix + "_items"
	count := "select count(*) from " + table
	one := func(n string) []Value { return []Value{Number(n)} }
	return []exchange{
		{execute("a", "drop table "+table), func(Driver, Result) error { return nil }}, // there in the second mode
		{execute("a", "create table "+table+" (id number(10) primary key, name varchar2(100))"), nil},
		{execute("a", "insert into "+table+" (id, name) values (:1, :2)", Number("1"), Varchar("first")), affected(1)},
		{query("a", count), rows(one("1"))},
		{query("b", count), rows(one("0"))},
		{do(Commit, "a"), nil},
		{query("b", count), rows(one("1"))},
		{execute("a", "insert into "+table+" (id, name) values (:1, :2)", Number("2"), Varchar("second")), affected(1)},
		{execute("a", "update "+table+" set name = :1", Varchar("changed")), affected(2)},
		{do(Rollback, "a"), nil},
		{query("a", "select id, name from "+table+" order by id"), rows([]Value{Number("1"), Varchar("first")})},
		{execute("a", "delete from "+table+" where id = :1", Number("7")), affected(0)},
		{execute("a", "insert into "+table+" (id, name) values (:1, :2)", Number("1"), Varchar("again")), fails("ORA-00001")},
		{do(Rollback, "a"), nil},
		{do(Ping, "a"), nil},
		{do(Ping, "b"), nil},
	}
}

func types(prefix string) []exchange {
	table := prefix + "_types"
	const columns = "id, n, v, d, s, r"
	values := [][]Value{
		{Number("1"), Number("0"), Varchar("plain"), Date("2024-02-29T23:59:58"), Timestamp("2024-02-29T23:59:58.123"), Raw("00FF10")},
		{Number("2"), Number("-12345.678"), Varchar("Grüße, 世界 😀"), Date("1999-12-31T00:00:00"), Timestamp("1970-01-01T00:00:00"), Raw("DEADBEEF")},
		{Number("3"), Number("9007199254740991"), Varchar("'quoted' \"and\" :not a bind"), Date("4712-01-01T12:00:00"), Timestamp("2038-01-19T03:14:08.999"), Raw("01")},
		{Number("4"), Null(KindNumber), Null(KindVarchar), Null(KindDate), Null(KindTimestamp), Null(KindRaw)},
		{Number("5"), Number("0.000001"), Varchar(strings.Repeat("x", 4000)), Date("0101-01-01T00:00:00"), Timestamp("9999-12-31T23:59:59.999"), Raw(strings.Repeat("AB", 2000))},
	}
	exchanges := []exchange{
		{execute("a", "drop table "+table), func(Driver, Result) error { return nil }},
		{execute("a", "create table "+table+" (id number, n number, v varchar2(4000), d date, s timestamp(6), r raw(2000))"), nil},
	}
	for _, row := range values {
		exchanges = append(exchanges, exchange{execute("a", "insert into "+table+" ("+columns+") values (:1, :2, :3, :4, :5, :6)", row...), affected(1)})
	}
	exchanges = append(exchanges, exchange{do(Commit, "a"), nil},
		exchange{query("b", "select "+columns+" from "+table+" order by id"), rows(values...)})
	for _, row := range values { // and one by one, with a bind
		exchanges = append(exchanges, exchange{query("b", "select "+columns+" from "+table+" where id = :1", row[0]), rows(row)})
	}
	exact := "12345678901234567890123456789012345678"
	return append(exchanges,
		exchange{query("a", "select "+exact+", -"+exact+" from dual"), rows([]Value{Number(exact), Number("-" + exact)})},
		exchange{query("a", "select null, '', 'x' from dual"), rows([]Value{Null(KindVarchar), Null(KindVarchar), Varchar("x")})},
		exchange{query("a", "select id from "+table+" where v is null"), rows([]Value{Number("4")})},
		exchange{query("a", "select to_char(s, 'YYYY-MM-DD HH24:MI:SS.FF3') from "+table+" where id = 1"), rows([]Value{Varchar("2024-02-29 23:59:58.123")})},
		exchange{query("a", "select to_char(d, 'YYYY-MM-DD HH24:MI:SS') from "+table+" where id = 1"), rows([]Value{Varchar("2024-02-29 23:59:58")})},
	)
}

func arrays(prefix string) []exchange {
	table := prefix + "_arrays"
	var many [][]Value
	for i := range 2000 {
		name := Varchar(fmt.Sprintf("name %d", i))
		if i%10 == 0 {
			name = Null(KindVarchar)
		}
		many = append(many, []Value{Number(strconv.Itoa(i)), name})
	}
	ones := slices.Repeat([]int64{1}, len(many))
	return []exchange{
		{execute("a", "drop table "+table), func(Driver, Result) error { return nil }},
		{execute("a", "create table "+table+" (id number primary key, name varchar2(40))"), nil},
		{Step{Do: Many, On: "a", SQL: "insert into " + table + " (id, name) values (:1, :2)", Rows: many}, counted(ones...)},
		{do(Commit, "a"), nil},
		{query("b", "select count(*), sum(id), count(name) from "+table), rows([]Value{Number("2000"), Number("1999000"), Number("1800")})},
		{Step{Do: Many, On: "a", SQL: "update " + table + " set name = :1 where id >= :2", Rows: [][]Value{
			{Varchar("a"), Number("1990")}, {Varchar("b"), Number("1999")}, {Varchar("c"), Number("2000")},
		}}, counted(10, 1, 0)},
		{query("a", "select name from "+table+" where id = 1999"), rows([]Value{Varchar("b")})},
		{do(Rollback, "a"), nil},
		{query("a", "select name from "+table+" where id = 1999"), rows([]Value{Varchar("name 1999")})},
		{Step{Do: Many, On: "a", SQL: "delete from " + table + " where id < :1", Rows: [][]Value{{Number("5")}, {Number("5")}, {Number("8")}}}, counted(5, 0, 3)},
		{do(Rollback, "a"), nil},
	}
}

// megabyte is text of a million characters, one to three bytes each.
func megabyte() string {
	var b strings.Builder
	for i := 0; b.Len() < 1<<20; i++ {
		fmt.Fprintf(&b, "line %d, Größe %d €;\n", i, i*i)
	}
	return b.String()
}

func largeObjects(prefix string) []exchange {
	table := prefix + "_notes"
	text := megabyte()
	insert := "insert into " + table + " (id, note) values (:1, :2)"
	return []exchange{
		{execute("a", "drop table "+table), func(Driver, Result) error { return nil }},
		{execute("a", "create table "+table+" (id number, note clob)"), nil},
		{execute("a", insert, Number("1"), CLOB(text)), affected(1)},
		{execute("a", insert, Number("2"), CLOB("short")), affected(1)},
		{execute("a", insert, Number("3"), Null(KindCLOB)), affected(1)},
		{do(Commit, "a"), nil},
		{query("b", "select note from "+table+" where id = :1", Number("1")), rows([]Value{CLOB(text)})},
		{query("b", "select id, note from "+table+" order by id"), rows(
			[]Value{Number("1"), CLOB(text)}, []Value{Number("2"), CLOB("short")}, []Value{Number("3"), Null(KindCLOB)})},
	}
}

func blocks(string) []exchange {
	call := func(text string, binds ...Value) Step { return Step{Do: Call, On: "a", SQL: text, Binds: binds} }
	return []exchange{
		{call("begin null; end;"), nil},
		{call("begin :1 := 6 * 7; end;", Out(KindNumber)), outs(Number("42"))},
		{call("begin :1 := upper(:2); end;", Out(KindVarchar), Varchar("sales")), outs(Varchar("SALES"))},
		{call("begin nosuch.procedure(1); end;"), fails("ORA-06550")},
	}
}

func mistakes(string) []exchange {
	return []exchange{
		{query("a", "select * from no_such_table"), fails("ORA-00942")},
		{query("a", "select no_such_column from dual"), fails("ORA-00904")},
		{query("a", "selct 1 from dual"), fails("ORA-00900")},
		{query("a", "select 1 frm dual"), fails("ORA-00923", "ORA-00933")},
		{query("a", "select 1/0 from dual"), fails("ORA-01476")},
		{query("a", "select to_number('x') from dual"), fails("ORA-01722")},
		{query("a", "select 1 from dual"), rows([]Value{Number("1")})},
	}
}

// go-ora's other way of reading LOBs, by their locators.
func TestStreamedLOBs(t *testing.T) {
	b, _ := pair(t)
	exchanges := append([]exchange{{open("a", b.descriptor("(SID=sales1)")), nil}, {open("b", b.descriptor("(SID=sales1)")), nil}}, largeObjects("t_streamed")...)
	judge(t, GoOra{StreamLOBs: true}, exchanges)
}

// A table for long fetches and endless statements. It is filled once, since under
// the race detector that takes longer than all else.
const (
	longTable = "long_table"
	longRows  = 100_000
)

func fillLongTable(t *testing.T, target string) {
	t.Helper()
	exchanges := []exchange{
		{open("a", target), nil},
		{execute("a", "create table "+longTable+" (n number, t varchar2(40))"), nil},
	}
	const batch = 10_000
	many := make([][]Value, batch)
	for i := range many {
		many[i] = []Value{Number(strconv.Itoa(i + 1)), Varchar("row " + strconv.Itoa(i+1))}
	}
	exchanges = append(exchanges, exchange{Step{Do: Many, On: "a", SQL: "insert into " + longTable + " (n, t) values (:1, :2)", Rows: many}, affected(batch)})
	for have := batch; have < longRows; { // copies of itself cost no traffic
		more := min(have, longRows-have)
		exchanges = append(exchanges, exchange{execute("a", fmt.Sprintf(
			"insert into %s (n, t) select n + %d, 'row ' || (n + %d) from %s where n <= %d", longTable, have, have, longTable, more)), affected(int64(more))})
		have += more
	}
	judge(t, GoOra{}, append(exchanges, exchange{do(Commit, "a"), nil}))
}

func longFetch(string) []exchange {
	sum := strconv.Itoa(longRows * (longRows + 1) / 2)
	return []exchange{
		{Step{Do: Fetch, On: "b", SQL: "select n, t from " + longTable}, fetched(longRows, sum)},
		{query("b", "select count(*), sum(n) from "+longTable), rows([]Value{Number(strconv.Itoa(longRows)), Number(sum)})},
	}
}

// interrupts cut long statements short, after which their sessions go on.
func interrupts(string) []exchange {
	const mostMS = 10_000
	cut := func(by, text string) Step { return Step{Do: Interrupt, On: "a", SQL: text, By: by, AfterMS: 300} }
	sleep := "begin dbms_session.sleep(60); end;"
	crunch := "select count(*) from " + longTable + " x, " + longTable + " y, " + longTable + " z where x.n + y.n + z.n = -1"
	// What a time-out or a cancel is called: node-oracledb NJS-123, python-oracledb DPY-4024, or the database's own code.
	timedOut := fails("NJS-123", "DPY-4024", "ORA-01013", "context deadline exceeded")
	cancelled := fails("ORA-01013", "context deadline exceeded")
	var exchanges []exchange
	for _, statement := range []string{sleep, crunch} {
		exchanges = append(exchanges,
			exchange{cut(ByTimeout, statement), promptly(mostMS, timedOut)},
			exchange{query("a", "select 'usable' from dual"), rows([]Value{Varchar("usable")})},
			exchange{cut(ByCancel, statement), promptly(mostMS, cancelled)},
			exchange{query("a", whereAmI), rows([]Value{Varchar("sales1")})},
		)
	}
	return exchanges
}
