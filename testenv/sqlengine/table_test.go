package sqlengine

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestTablesAndRows(t *testing.T) {
	s := newSession(t, newEngine(t))
	check(t, s, []sqlCase{
		{sql: "create table emp (id number(5) primary key, name varchar2(10) not null, salary number(8,2) default 100, hired date, note clob, picture blob, code raw(4), flag char(3))", want: "0"},
		{sql: "create table emp (x number)", code: 955},
		{sql: "insert into emp (id, name) values (1, 'King')", want: "1"},
		{sql: "insert into emp values (2, 'Blake', 12.345, date '2024-01-02', 'text', hextoraw('0102'), hextoraw('ff'), 'a')", want: "1"},
		{sql: "select * from emp order by id", want: "1|King|100|NULL|NULL|NULL|NULL|NULL;2|Blake|12.35|2024-01-02T00:00:00|clob:text|blob:0102|xFF|a  "},
		{sql: "insert into emp (id, name) values (1, 'Again')", code: 1},
		{sql: "insert into emp (id, name) values (3, null)", code: 1400},
		{sql: "insert into emp (id, name) values (3, '')", code: 1400},
		{sql: "insert into emp (id) values (3)", code: 1400},
		{sql: "insert into emp (name) values ('x')", code: 1400},
		{sql: "update emp set name = null", code: 1407},
		{sql: "insert into emp (id, name) values (3, 'elevenchars')", code: 12899},
		{sql: "insert into emp (id, name) values (123456, 'x')", code: 1438},
		{sql: "insert into emp (id, name) values ('abc', 'x')", code: 1722},
		{sql: "insert into emp (id, name) values (3, 'x', 'y')", code: 913},
		{sql: "insert into emp (id, name) values (3)", code: 947},
		{sql: "insert into emp (id, nothere) values (3, 'x')", code: 904},
		{sql: "insert into emp (id, id) values (3, 4)", code: 957},
		{sql: "insert into emp (id, name, hired) values (3, 'x', 5)", code: 932},
		{sql: "insert into nowhere values (1)", code: 942},
		{sql: "insert into emp (id, name) values (4, 'Rest', default)", code: 913},
		{sql: "insert into emp (id, name, salary) values (4, 'Rest', default)", want: "1"},
		{sql: "select salary from emp where id = 4", want: "100"},
		{sql: "update emp set salary = salary * 2, hired = sysdate where id = 4", want: "1"},
		{sql: "select salary from scott.emp e where e.id = 4 and hired is not null", want: "200"},
		{sql: "update emp set nothere = 1", code: 904},
		{sql: "update emp set (name, salary) = (select 'New', 7 from dual) where id = 4", want: "1"},
		{sql: "select name, salary from emp where emp.id = 4", want: "New|7"},
		{sql: "delete emp where id = 4", want: "1"},
		{sql: "delete from emp where id = 4", want: "0"},
		{sql: "select count(*), max(id), min(name), sum(salary), avg(salary) from emp", want: "2|2|Blake|112.35|56.175"},
		{sql: "select 1 from emp where flag = 'a'", want: "1"},
		{sql: "select note from emp where note = 'text'", code: 932},
		{sql: "insert into emp (id, name) select id + 10, name from emp", want: "2"},
		{sql: "select id from emp where rownum <= 2 order by id desc", want: "2;1"},
		{sql: "select rownum, id from emp order by id fetch first 3 rows only", want: "1|1;2|2;3|11"},
		{sql: "select id from emp order by id offset 1 rows fetch next 2 rows only", want: "2;11"},
		{sql: "select count(*) from emp where rownum < 3", want: "2"},
		{sql: "select id from emp where rownum = 1 order by 1", want: "1"},
		{sql: "delete from emp where rownum <= 1 and id > 10", want: "1"},
		{sql: "truncate table emp", want: "0"},
		{sql: "select * from emp", want: ""},
		{sql: "drop table emp purge", want: "0"},
		{sql: "drop table emp", code: 942},
		{sql: "select * from emp", code: 942},
	})
}

func TestConstraints(t *testing.T) {
	s := newSession(t, newEngine(t))
	check(t, s, []sqlCase{
		{sql: "create table dept (id number primary key, name varchar2(20) constraint dept_name unique, size_ number check (size_ > 0))", want: "0"},
		{sql: "create table emp (id number, dept number constraint emp_dept references dept on delete cascade, boss number, constraint emp_key primary key (id), constraint emp_boss foreign key (boss) references emp (id))", want: "0"},
		{sql: "insert into dept values (1, 'A', 1)", want: "1"},
		{sql: "insert into dept values (2, 'A', 1)", code: 1},
		{sql: "insert into dept values (2, 'B', 0)", code: 2290},
		{sql: "insert into emp values (1, 9, null)", code: 2291},
		{sql: "insert into emp values (1, 1, null)", want: "1"},
		{sql: "insert into emp values (2, 1, 1)", want: "1"},
		{sql: "delete from emp where id = 1", code: 2292},
		{sql: "update emp set dept = 5 where id = 1", code: 2291},
		{sql: "update dept set id = 5", code: 2292},
		{sql: "delete from dept", want: "1"},
		{sql: "select count(*) from emp", want: "0"},
		{sql: "drop table dept", code: 2449},
		{sql: "drop table dept cascade constraints", want: "0"},
		{sql: "insert into emp values (1, 9, null)", want: "1"},
		{sql: "alter table emp drop constraint emp_key", want: "0"},
		{sql: "insert into emp values (1, 9, null)", want: "1"},
		{sql: "alter table emp add constraint emp_again primary key (id)", code: 2437},
		{sql: "create unique index emp_i on emp (id)", code: 1452},
		{sql: "delete from emp where rownum = 1", want: "1"},
		{sql: "create unique index emp_i on emp (id)", want: "0"},
		{sql: "insert into emp values (1, 9, null)", code: 1},
		{sql: "drop index emp_i", want: "0"},
		{sql: "drop index emp_i", code: 1418},
		{sql: "create table t (a number references nowhere)", code: 942},
		{sql: "create table t (a number, a number)", code: 957},
		{sql: "create table t (a nosuchtype)", code: 902},
		{sql: "create table t (a varchar2)", code: 906},
		{sql: "create table t (a number(40))", code: 1727},
	})
	_, err := run(s, "insert into emp values ('x', 9, null)")
	if got := err.Error(); got != "ORA-01722: invalid number" {
		t.Error(got)
	}
	must(t, s, "create table k (a varchar2(3) not null, constraint k_key primary key (a))", "insert into k values ('a')")
	for sql, want := range map[string]string{
		"insert into k values ('a')":    "ORA-00001: unique constraint (SCOTT.K_KEY) violated",
		"insert into k values (null)":   `ORA-01400: cannot insert NULL into ("SCOTT"."K"."A")`,
		"insert into k values ('abcd')": `ORA-12899: value too large for column "SCOTT"."K"."A" (actual: 4, maximum: 3)`,
		"select b from k":               `ORA-00904: "B": invalid identifier`,
		"select x.b from k x":           `ORA-00904: "X"."B": invalid identifier`,
		"select * from nokay":           "ORA-00942: table or view does not exist",
	} {
		if _, err := run(s, sql); err == nil || err.Error() != want {
			t.Errorf("%s gave %v, want %s", sql, err, want)
		}
	}
}

func TestAlterTable(t *testing.T) {
	s := newSession(t, newEngine(t))
	must(t, s, "create table t (a number, b varchar2(5))", "insert into t values (1, 'hello')")
	check(t, s, []sqlCase{
		{sql: "alter table t add (c date default date '2024-01-01', d number)", want: "0"},
		{sql: "select * from t", want: "1|hello|2024-01-01T00:00:00|NULL"},
		{sql: "alter table t add c number", code: 1430},
		{sql: "alter table t add e number not null", code: 1758},
		{sql: "alter table t modify b varchar2(10)", want: "0"},
		{sql: "update t set b = 'longerthan'", want: "1"},
		{sql: "alter table t modify b varchar2(3)", code: 1441},
		{sql: "alter table t modify a varchar2(3)", code: 1439},
		{sql: "alter table t rename column d to dd", want: "0"},
		{sql: "update t set dd = 4", want: "1"},
		{sql: "select dd from t", want: "4"},
		{sql: "alter table t drop column c", want: "0"},
		{sql: "select * from t", want: "1|longerthan|4"},
		{sql: "alter table t modify dd not null", want: "0"},
		{sql: "update t set dd = null", code: 1407},
		{sql: "alter table t rename to u", want: "0"},
		{sql: "select a from u", want: "1"},
		{sql: "rename u to v", want: "0"},
		{sql: "select a from v", want: "1"},
		{sql: "alter table nothere add x number", code: 942},
	})
}

func TestQueriesOverTables(t *testing.T) {
	s := newSession(t, newEngine(t))
	must(t, s, "create table d (id number, name varchar2(10))", "create table e (id number, d number, pay number)",
		"insert into d select level, chr(64 + level) from dual connect by level <= 3",
		"insert into e select level, mod(level, 2) + 1, level * 10 from dual connect by level <= 4", "commit")
	check(t, s, []sqlCase{
		{sql: "select d.name, e.id from d join e on e.d = d.id order by 2", want: "B|1;A|2;B|3;A|4"},
		{sql: "select name, count(e.id) n from d left join e on e.d = d.id group by name having count(e.id) >= 0 order by name", want: "A|2;B|2;C|0"},
		{sql: "select d.name, e.id from d, e where d.id = e.d(+) and e.id(+) > 2 order by d.name", want: "A|4;B|3;C|NULL"},
		{sql: "select id from d intersect select d from e order by 1", want: "1;2"},
		{sql: "select id from d minus select d from e", want: "3"},
		{sql: "select id from d union select id from e order by id desc", want: "4;3;2;1"},
		{sql: "select id from d union all select id from e where id = 1 order by 1", want: "1;1;2;3"},
		{sql: "with big as (select * from e where pay > 20) select b.id from big b order by b.id", want: "3;4"},
		{sql: "with r (n) as (select 1 from dual union all select n + 1 from r where n < 4) select n from r", want: "1;2;3;4"},
		{sql: "select id, row_number() over (order by pay desc) r, sum(pay) over (partition by d order by id) s from e order by id", want: "1|4|10;2|3|20;3|2|40;4|1|60"},
		{sql: "select listagg(name, ',') within group (order by name desc) from d", want: "C,B,A"},
		{sql: "select name from d where id in (select d from e where e.pay > 30)", want: "A"},
		{sql: "select x.* from (select id, name from d where id > 1) x order by 1", want: "2|B;3|C"},
		{sql: "select d.id, (select max(pay) from e where e.d = d.id) from d order by 1", want: "1|40;2|30;3|NULL"},
		{sql: "select id from d natural join (select 2 id from dual)", want: "2"},
		{sql: "select name from d join (select 3 id from dual) using (id)", want: "C"},
		{sql: "select id from d, e", code: 918},
		{sql: "select id from d union select name from d", code: 1790},
		{sql: "select id from d union select id, name from d", code: 1789},
		{sql: "select level, rownum from dual connect by level <= 3", want: "1|1;2|2;3|3"},
		{sql: "select level + 1 x from dual where level > 1 connect by level < 4", want: "3;4"},
		{sql: "select count(*) from (select level from dual connect by rownum <= 1000)", want: "1000"},
		{sql: "select distinct d from e order by d", want: "1;2"},
		{sql: "select id from e where pay = (select max(pay) from e)", want: "4"},
		{sql: "select id from e order by pay desc nulls last fetch first row only", want: "4"},
		{sql: "select * from (select id from e order by id desc) where rownum <= 2", want: "4;3"},
		{sql: "select id from e for update", want: "1;2;3;4"},
		{sql: "rollback", want: "0"},
		{sql: "select sum(id), stddev(id), median(id), variance(id) from d where id < 3", want: "3|0.7071067811865476|1.5|0.5"},
		{sql: "select max(id) from d where 1 = 0", want: "NULL"},
		{sql: "select 'x' from d where name like 'A%' or name = 'B'", want: "x;x"},
	})
	must(t, s, "create table tree (id number, parent number)", "insert into tree values (1, null)", "insert into tree values (2, 1)",
		"insert into tree values (3, 1)", "insert into tree values (4, 2)")
	check(t, s, []sqlCase{
		{sql: "select id, level from tree start with parent is null connect by prior id = parent", want: "1|1;2|2;4|3;3|2"},
	})
}

func TestViewsSequencesAndSynonyms(t *testing.T) {
	s := newSession(t, newEngine(t))
	check(t, s, []sqlCase{
		{sql: "create sequence q start with 5 increment by 2", want: "0"},
		{sql: "select q.currval from dual", code: 8002},
		{sql: "select q.nextval from dual", want: "5"},
		{sql: "select q.nextval, scott.q.currval from dual", want: "7|7"},
		{sql: "create table t (id number default q.nextval, v varchar2(5), i number generated always as identity)", want: "0"},
		{sql: "insert into t (v) values ('a')", want: "1"},
		{sql: "insert into t (id, v) values (q.nextval, 'b')", want: "1"},
		{sql: "insert into t (v, i) values ('a', 5)", code: 32795},
		{sql: "select * from t", want: "9|a|1;11|b|2"},
		{sql: "create view w as select id n, v from t where id > 9", want: "0"},
		{sql: "select n, v from w", want: "11|b"},
		{sql: "select * from w where n = 11", want: "11|b"},
		{sql: "create view w as select 1 x from dual", code: 955},
		{sql: "create or replace view w (x) as select 1 from dual", want: "0"},
		{sql: "select x from w", want: "1"},
		{sql: "create view bad as select 1+1 from dual", code: 998},
		{sql: "insert into w values (1)", code: 1732},
		{sql: "create synonym y for t", want: "0"},
		{sql: "select count(*) from y", want: "2"},
		{sql: "drop view w", want: "0"}, {sql: "drop synonym y", want: "0"}, {sql: "drop sequence q", want: "0"},
		{sql: "select q.nextval from dual", code: 2289},
		{sql: "create sequence c minvalue 1 maxvalue 3 cycle nocache", want: "0"},
		{sql: "select c.nextval from dual connect by level <= 5", want: "1;2;3;1;2"},
		{sql: "create sequence d maxvalue 1", want: "0"}, {sql: "select d.nextval from dual", want: "1"}, {sql: "select d.nextval from dual", code: 8004},
		{sql: "create table copy as select id, v from t", want: "0"},
		{sql: "select * from copy order by 1", want: "9|a;11|b"},
		{sql: "create or replace procedure p as begin null; end;", code: 439},
		{sql: "create user x identified by y", code: 1031},
		{sql: "merge into copy c using (select 9 id, 'z' v from dual union all select 12, 'n' from dual) s on (c.id = s.id) when matched then update set c.v = s.v when not matched then insert (id, v) values (s.id, s.v)", want: "2"},
		{sql: "select * from copy order by 1", want: "9|z;11|b;12|n"},
	})
}

func TestDictionaryViews(t *testing.T) {
	s := newSession(t, newEngine(t))
	must(t, s, "create table t (a number(4) primary key, b varchar2(9) not null)")
	check(t, s, []sqlCase{
		{sql: "select instance_name, host_name, status from v$instance", want: "sales1|db1|OPEN"},
		{sql: "select table_name from user_tables", want: "T"},
		{sql: "select owner, table_name from all_tables where owner = user", want: "SCOTT|T"},
		{sql: "select column_name, data_type, data_precision, nullable from user_tab_columns order by column_id", want: "A|NUMBER|4|N;B|VARCHAR2|NULL|N"},
		{sql: "select username, sid, serial#, program from v$session where sid = sys_context('userenv', 'sid')", want: "SCOTT|41|7|app"},
		{sql: "select count(*) from v$version where banner like 'Oracle%'", want: "1"},
		{sql: "select global_name from global_name", want: "ORCL"},
		{sql: "select value from nls_session_parameters where parameter = 'NLS_DATE_FORMAT'", want: "DD-MON-RR"},
		{sql: "select value from sys.nls_database_parameters where parameter = 'NLS_CHARACTERSET'", want: "AL32UTF8"},
		{sql: "select constraint_type from user_constraints", want: "P"},
		{sql: "select object_name, object_type from user_objects", want: "T|TABLE"},
		{sql: "select username from user_users", want: "SCOTT"},
		{sql: "insert into v$session (sid) values (1)", code: 1031},
	})
	for parameter, want := range map[string]string{
		"INSTANCE_NAME": "sales1", "service_name": "sales", "SERVER_HOST": "db1", "HOST": "client1", "CURRENT_USER": "SCOTT",
		"SESSION_USER": "SCOTT", "PROXY_USER": "NULL", "CURRENT_SCHEMA": "SCOTT", "IP_ADDRESS": "192.0.2.7", "DB_NAME": "ORCL",
		"SID": "41", "OS_USER": "tiger", "TERMINAL": "pts/0", "INSTANCE": "1", "DATABASE_ROLE": "PRIMARY", "CON_NAME": "ORCL",
	} {
		if got, err := run(s, "select sys_context('USERENV', '"+parameter+"') from dual"); got != want || err != nil {
			t.Errorf("%s is %s (%v), want %s", parameter, got, err, want)
		}
	}
	check(t, s, []sqlCase{{sql: "select sys_context('USERENV', 'NOTHING') from dual", code: 2003}})
}

func TestExactNumbersAndTimesSurvive(t *testing.T) {
	s := newSession(t, newEngine(t))
	must(t, s, "create table n (v number)", "create table m (d date, t timestamp(9), z timestamp with time zone)")
	numbers := []string{
		"0", "1", "-1", "12345678901234567890123456789012345678", "-99999999999999999999999999999999999999", "0.00000000000000000001",
		"123456789012345678.123456789012345678", "1E+100", "-1E-100", "0.1", "100", "99", "-0.5",
	}
	for _, n := range numbers {
		if _, err := run(s, "insert into n values (:1)", Number(n)); err != nil {
			t.Fatal(n, err)
		}
		if got, err := run(s, "select v from n where v = :1", Number(n)); got != n || err != nil {
			t.Errorf("%s came back as %s (%v)", n, got, err)
		}
	}
	want := "-99999999999999999999999999999999999999;-1;-0.5;-1E-100;0;0.00000000000000000001;0.1;1;99;100;" +
		"123456789012345678.123456789012345678;12345678901234567890123456789012345678;1E+100"
	if got, err := run(s, "select v from n order by v"); got != want || err != nil {
		t.Errorf("sorted: %s (%v)", got, err)
	}
	d := time.Date(1, 2, 3, 4, 5, 6, 0, time.UTC)
	ts := time.Date(9999, 12, 31, 23, 59, 59, 123456789, time.UTC)
	tz := time.Date(2024, 2, 29, 1, 2, 3, 5000, time.FixedZone("", -19800))
	if _, err := run(s, "insert into m values (:a, :b, :c)", d, ts, tz); err != nil {
		t.Fatal(err)
	}
	if got, err := run(s, "select * from m where d = :1 and t = :2 and z = :3", d, ts, tz.UTC()); err != nil ||
		got != "0001-02-03T04:05:06|9999-12-31T23:59:59.123456789|2024-02-29T01:02:03.000005-05:30" {
		t.Error(got, err)
	}
}

func TestDescribe(t *testing.T) {
	s := newSession(t, newEngine(t))
	must(t, s, `create table t (n number, p number(9,2), i integer, v varchar2(12) not null, c char(4), d date, s timestamp(3),
		z timestamp with time zone, r raw(16), cl clob, bl blob, l long, f binary_float, b binary_double, "Mixed" number)`)
	describe := func(sql string) []Column {
		t.Helper()
		st, err := s.Prepare(sql)
		if err != nil {
			t.Fatal(sql, err)
		}
		columns, err := st.Describe(context.Background())
		if err != nil {
			t.Fatal(sql, err)
		}
		return columns
	}
	want := []Column{
		{Name: "N", Type: TypeNumber, Scale: -127, Nullable: true},
		{Name: "P", Type: TypeNumber, Precision: 9, Scale: 2, Nullable: true},
		{Name: "I", Type: TypeNumber, Precision: 38, Nullable: true},
		{Name: "V", Type: TypeVarchar, Size: 12},
		{Name: "C", Type: TypeChar, Size: 4, Nullable: true},
		{Name: "D", Type: TypeDate, Nullable: true},
		{Name: "S", Type: TypeTimestamp, Scale: 3, Nullable: true},
		{Name: "Z", Type: TypeTimestampTZ, Scale: 6, Nullable: true},
		{Name: "R", Type: TypeRaw, Size: 16, Nullable: true},
		{Name: "CL", Type: TypeCLOB, Nullable: true},
		{Name: "BL", Type: TypeBLOB, Nullable: true},
		{Name: "L", Type: TypeLong, Nullable: true},
		{Name: "F", Type: TypeBinaryFloat, Nullable: true},
		{Name: "B", Type: TypeBinaryDouble, Nullable: true},
		{Name: "Mixed", Type: TypeNumber, Scale: -127, Nullable: true},
	}
	if diff := cmp.Diff(want, describe("select * from t")); diff != "" {
		t.Error(diff)
	}
	want = []Column{
		{Name: "1", Type: TypeNumber, Scale: -127},
		{Name: "'X'", Type: TypeChar, Size: 1},
		{Name: "NOW", Type: TypeDate},
		{Name: "COUNT(*)", Type: TypeNumber, Scale: -127, Nullable: true},
		{Name: "A", Type: TypeDate, Nullable: true},
		{Name: "V||'Z'", Type: TypeVarchar, Size: 13, Nullable: true},
		{Name: "SYSTIMESTAMP", Type: TypeTimestampTZ, Scale: 6},
		{Name: "NULL", Type: TypeVarchar, Size: 1, Nullable: true},
	}
	if diff := cmp.Diff(want, describe("select 1, 'x', sysdate now, count ( * ), max(d) a, v || 'z', systimestamp, null from t group by v")); diff != "" {
		t.Error(diff)
	}
	if columns := describe("select * from t where n = :x"); len(columns) != 15 {
		t.Error(len(columns))
	}
	// what nothing tells is told by the first value
	rows := query(t, s, "select :1, :2, :3 from dual", "text", Number("4"), time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC))
	defer rows.Close()
	var kinds []string
	for _, c := range rows.Columns() {
		kinds = append(kinds, map[Type]string{TypeVarchar: "text", TypeNumber: "number", TypeDate: "date"}[c.Type])
	}
	if got := strings.Join(kinds, " "); got != "text number date" {
		t.Error(got)
	}
}

// query opens a query that has to succeed.
func query(t testing.TB, s *Session, sql string, binds ...Value) *Rows {
	t.Helper()
	st, err := s.Prepare(sql)
	if err != nil {
		t.Fatal(sql, err)
	}
	rows, err := st.Query(context.Background(), binds)
	if err != nil {
		t.Fatal(sql, err)
	}
	return rows
}
