package sqlengine

import (
	"context"
	"testing"
	"time"
)

func TestMoreBlocks(t *testing.T) {
	s := newSession(t, newEngine(t))
	must(t, s, "create table t (n number primary key, v varchar2(10))", "insert into t values (1, 'a')", "commit")
	for _, c := range []struct {
		sql   string
		binds []Value
		want  string
		code  int
	}{
		{sql: "declare a date := date '2024-01-01'; b timestamp := timestamp '2024-01-01 00:00:00.5'; c raw(2) := hextoraw('01'); d clob := 'x'; e boolean := true; f pls_integer := 3; g varchar2(5) not null := 'y'; h binary_double := 1.5; begin if e and not false then :o := a + 1; :p := g || f || d || h || c; end if; end;", binds: []Value{nil, nil}, want: "2024-01-02T00:00:00|clob:y3x1.501"},
		{sql: "declare g varchar2(5) not null := null; begin null; end;", code: 6502}, {sql: "declare g number(2) := 100; begin null; end;", code: 6502}, {sql: "declare r raw(1) := 'zz'; begin null; end;", code: 6502}, {sql: "declare d date := 'x'; begin null; end;", code: 1858},
		{sql: "declare v nothere.x%type; begin null; end;", code: 6550}, {sql: "declare v t.x%type; begin null; end;", code: 6550}, {sql: "declare v nothere%rowtype; begin null; end;", code: 6550}, {sql: "declare v number; w v%type := 4; begin :o := w; end;", binds: []Value{nil}, want: "4"}, {sql: "declare v t%foo; begin null; end;", code: 6550},
		{sql: "declare r t%rowtype; begin select n into r from t; end;", code: 913}, {sql: "declare n number; begin select n, v into n from t; end;", code: 6550}, {sql: "declare n number; m number; begin select n into n, m from t; end;", code: 6550}, {sql: "begin select n into nothere from t; end;", code: 6550},
		{sql: "declare r t%rowtype; begin r.n := 5; r.v := 'five'; insert into t values (r.n, r.v); :o := r.v; rollback; end;", binds: []Value{nil}, want: "five"},
		{sql: "declare x number := 1; begin declare x number := 2; begin :o := x; end; :p := x; end;", binds: []Value{nil, nil}, want: "2|1"},
		{sql: "begin for i in 3..1 loop :o := i; end loop; for i in 1.4..2.6 loop :p := i; end loop; end;", binds: []Value{nil, nil}, want: "2"}, {sql: "begin for i in null..1 loop null; end loop; end;", code: 6502}, {sql: "begin for i in 'x'..1 loop null; end loop; end;", code: 6502}, {sql: "begin for r in nothere loop null; end loop; end;", code: 6550}, {sql: "begin for r in (select * from nothere) loop null; end loop; end;", code: 6550},
		{sql: "begin for r in (select count(*) c, 'x' y from t) loop :o := r.c || r.y; end loop; end;", binds: []Value{nil}, want: "1x"}, {sql: "begin for r in (select n from t) loop for q in (select r.n + 1 m from dual) loop :o := q.m; return; end loop; end loop; :o := 0; end;", binds: []Value{nil}, want: "2"},
		{sql: "begin <<a>> loop loop exit a when 1 = 1; end loop; end loop a; :o := 'out'; end;", binds: []Value{nil}, want: "out"}, {sql: "begin <<a>> for i in 1..3 loop for j in 1..3 loop continue a when j = 2; :o := i * 10 + j; end loop; end loop; end;", binds: []Value{nil}, want: "31"},
		{sql: "begin while null loop null; end loop; if null then :o := 1; else :o := 2; end if; end;", binds: []Value{nil}, want: "2"}, {sql: "begin if 1 then null; end if; end;", code: 6550}, {sql: "begin if nothere then null; end if; end;", code: 6550}, {sql: "begin while 1/0 = 1 loop null; end loop; end;", code: 1476}, {sql: "begin loop exit when 1/0 = 1; end loop; end;", code: 1476},
		{sql: "begin update t set v = 'z' where n = 99; if sql%notfound and not sql%found then :o := sql%rowcount; end if; rollback; end;", binds: []Value{nil}, want: "0"}, {sql: "begin savepoint a; update t set v = 'q'; rollback to a; commit work; select v into :o from t; end;", binds: []Value{nil}, want: "a"}, {sql: "begin set transaction read only; lock table t in exclusive mode; rollback; end;", want: ""}, {sql: "begin rollback to nowhere; end;", code: 1086},
		{sql: "begin delete from t where n = 1 returning v into :o; rollback; end;", binds: []Value{nil}, want: "a"}, {sql: "declare v varchar2(3); begin update t set v = 'up' where n = 99 returning v into v; :o := nvl(v, 'none'); rollback; end;", binds: []Value{nil}, want: "none"}, {sql: "begin insert into t select 50 + level, 'm' from dual connect by level < 3; update t set v = 'up' returning n into :o; end;", binds: []Value{nil}, code: 1422}, {sql: "begin merge into t using dual on (t.n = 1) when matched then update set v = 'mm'; :o := sql%rowcount; rollback; end;", binds: []Value{nil}, want: "1"},
		{sql: "declare e exception; f exception; pragma exception_init(f, -1476); begin begin raise e; exception when f or e then :o := sqlcode || sqlerrm; end; begin :p := 1/0; exception when f then :p := 'zero'; end; end;", binds: []Value{nil, nil}, want: "1ORA-06510: PL/SQL: unhandled user-defined exception|zero"},
		{sql: "begin raise no_data_found; end;", code: 1403}, {sql: "begin raise nothere; end;", code: 6550}, {sql: "begin raise zero_divide; exception when zero_divide then :o := sqlerrm; end;", binds: []Value{nil}, want: "ORA-01476: divisor is equal to zero"}, {sql: "begin raise_application_error(-20005, 'five'); exception when others then :o := sqlcode || sqlerrm; end;", binds: []Value{nil}, want: "-20005ORA-20005: five"}, {sql: "begin :o := sqlcode || sqlerrm; end;", binds: []Value{nil}, want: "0ORA-0000: normal, successful completion"}, {sql: "begin raise_application_error('x', 'y'); end;", code: 6502},
		{sql: "begin begin insert into t values (1, 'd'); exception when too_many_rows then null; end; exception when others then :o := 'outer'; end;", binds: []Value{nil}, want: "outer"}, {sql: "begin raise invalid_number; exception when invalid_number then raise value_error; end;", code: 6502},
		{sql: "begin execute immediate 'insert into t values (:a, :b)' using 70, 'x'; :o := sql%rowcount; execute immediate 'select n, v from t where n = :1' into :p, :q using 70; rollback; end;", binds: []Value{nil, nil, nil}, want: "1|70|x"}, {sql: "begin execute immediate 'select n from t where n = 99' into :o; end;", binds: []Value{nil}, code: 1403}, {sql: "begin execute immediate 'select level from dual connect by level < 3' into :o; end;", binds: []Value{nil}, code: 1422}, {sql: "begin execute immediate 'select n from t'; execute immediate 'bad sql'; end;", code: 900}, {sql: "begin execute immediate 'insert into t values (:1, :2)' using 1; end;", code: 1008}, {sql: "begin execute immediate 'begin :x := 1; raise_application_error(-20001, ''in''); end;' using 1; end;", code: 20001}, {sql: "begin execute immediate 'select * from nothere'; exception when others then :o := sqlcode; end;", binds: []Value{nil}, want: "-942"}, {sql: "begin execute immediate 'x' using out :o; end;", binds: []Value{nil}, code: 6550},
		{sql: "declare cursor c (p number) is select 1 from dual; begin null; end;", code: 6550}, {sql: "declare type x is table of number; begin null; end;", code: 6550}, {sql: "declare pragma autonomous_transaction; begin null; end;", code: 6550}, {sql: "declare e exception; pragma exception_init(e, 5); begin null; end;", code: 6550}, {sql: "declare n number begin null; end;", code: 6550}, {sql: "begin forall i in 1..2 insert into t values (1, 'x'); end;", code: 6550}, {sql: "begin goto x; end;", code: 6550},
		{sql: "begin if 1 = 1 then null; end; end;", code: 6550}, {sql: "begin 5; end;", code: 6550}, {sql: "begin :a; end;", binds: []Value{nil}, code: 6550}, {sql: "begin upper('x'); end;", code: 6550}, {sql: "begin insert into t values (1; end;", code: 6550}, {sql: "begin null; end; end;", code: 6550}, {sql: "begin null; end;\n/", want: ""}, {sql: "<<main>> begin null; end main;", want: ""}, {sql: "begin x := 1; end;", code: 6550}, {sql: "call nothere", code: 6576}, {sql: "call nothere()", code: 6550}, {sql: "begin select n into :x indicator :i from t; end;", binds: []Value{nil}, want: "1"},
		{sql: "begin dbms_session.set_nls('nls_date_format', '''YYYY'''); dbms_application_info.set_action('act2'); dbms_application_info.read_client_info(:c); dbms_stats.gather_table_stats(user, 'T'); dbms_output.disable; dbms_output.put_line('lost'); end;", binds: []Value{nil}, want: "NULL"},
		{sql: "begin :o := to_char(date '2024-05-06') || sys_context('userenv', 'action'); dbms_session.clear_identifier; end;", binds: []Value{nil}, want: "2024act2"}, {sql: "begin insert into t values (80, 'c'); dbms_transaction.commit; insert into t values (81, 'r'); dbms_transaction.rollback; select max(n) into :o from t; end;", binds: []Value{nil}, want: "80"}, {sql: "begin dbms_output.enable; dbms_output.put_line(date '2024-05-06'); dbms_output.put_line(1.50); dbms_output.new_line; dbms_output.get_line(:l, :s); end;", binds: []Value{nil, nil}, want: "2024|0"},
		{sql: "begin dbms_session.sleep('x'); end;", code: 6502}, {sql: "begin dbms_session.sleep(null); end;", code: 38148}, {sql: "begin dbms_output.put_line(true); end;", code: 6550}, {sql: "begin dbms_application_info.read_module(:a); end;", binds: []Value{nil}, code: 6550}, {sql: "begin dbms_application_info.read_client_info('x'); end;", code: 6550}, {sql: "begin dbms_application_info.set_module(1/0, 'x'); end;", code: 1476},
	} {
		got, err := run(s, c.sql, c.binds...)
		if n := code(t, err); n != c.code || n == 0 && got != c.want {
			t.Errorf("%s\n  gave %s, %v\n  want %s, code %d", c.sql, got, err, c.want, c.code)
		}
		if err := s.Rollback(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCallsOfTheWrongMethod(t *testing.T) {
	ctx := context.Background()
	s := newSession(t, newEngine(t))
	prepare := func(sql string) *Statement {
		st, err := s.Prepare(sql)
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	if _, err := prepare("select 1 from dual").Execute(ctx, nil); code(t, err) != 900 {
		t.Error(err)
	}
	if _, err := prepare("begin null; end;").Query(ctx, nil); code(t, err) != 24333 {
		t.Error(err)
	}
	if _, err := prepare("select 1 from dual").Call(ctx, nil); code(t, err) != 6550 {
		t.Error(err)
	}
	if columns, err := prepare("commit").Describe(ctx); columns != nil || err != nil {
		t.Error(columns, err)
	}
	for _, v := range []Value{struct{}{}, time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), Number("1e200")} {
		if _, err := prepare("select :1 from dual").Query(ctx, []Value{v}); code(t, err) == 0 {
			t.Errorf("%v was taken", v)
		}
	}
	for v, want := range map[Value]string{int64(5): "5", uint64(1 << 63): "9223372036854775808", true: "true", false: "false"} {
		if got, err := run(s, "begin :o := :i; end;", nil, v); got != want || err != nil {
			t.Error(v, got, err)
		}
	}
	rows := query(t, s, "select 1 from dual")
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := rows.Close(); err != nil {
		t.Error(err)
	}
}
