package sqlengine

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestBlocks(t *testing.T) {
	s := newSession(t, newEngine(t))
	must(t, s, "create table t (n number primary key, v varchar2(10))")
	for _, c := range []struct {
		sql   string
		binds []Value
		want  string
		code  int
	}{
		{sql: "begin null; end;", want: ""},
		{sql: "BEGIN :1 := 6 * 7; END;", binds: []Value{nil}, want: "42"},
		{sql: "begin :a := :b || 'x'; :c := :b + 1; :a := upper(:a); end;", binds: []Value{nil, "5", nil}, want: "5X|6"},
		{sql: "begin :io := :io * 2; end;", binds: []Value{Number("21")}, want: "42"},
		{sql: "begin :d := date '2024-01-02'; :r := hextoraw('01'); :n := null; :c := to_clob('x'); end;", binds: []Value{nil, nil, nil, nil}, want: "2024-01-02T00:00:00|x01|NULL|clob:x"},
		{sql: "begin :b := 1 > 2; end;", binds: []Value{nil}, want: "false"},
		{sql: "begin insert into t values (:n, :v); insert into t values (:n + 1, :v); update t set v = 'z' where n = :n; :c := sql%rowcount; commit; end;", binds: []Value{1, "a", nil}, want: "1"},
		{sql: "begin select v, n into :v, :n from t where n = 1; end;", binds: []Value{nil, nil}, want: "z|1"},
		{sql: "begin select v into :v from t where n = 99; end;", binds: []Value{nil}, code: 1403},
		{sql: "begin select v into :v from t; end;", binds: []Value{nil}, code: 1422},
		{sql: "begin insert into t values (5, 'r') returning n * 2, v into :a, :b; end;", binds: []Value{nil, nil}, want: "10|r"},
		{sql: "declare x number := 3; y varchar2(10) := 'a'; begin x := x + 1; y := y || x; :o := y; end;", binds: []Value{nil}, want: "a4"},
		{sql: "declare v t.v%type; r t%rowtype; begin select v into v from t where n = 5; select * into r from t where n = 5; :o := v || r.n; end;", binds: []Value{nil}, want: "r5"},
		{sql: "declare s number := 0; begin for i in 1..10 loop if mod(i, 2) = 0 then continue; end if; s := s + i; exit when i > 6; end loop; :o := s; end;", binds: []Value{nil}, want: "16"},
		{sql: "declare s varchar2(100); begin for i in reverse 1..3 loop s := s || i; end loop; :o := s; end;", binds: []Value{nil}, want: "321"},
		{sql: "declare s varchar2(100); begin for r in (select n, v from t order by n) loop s := s || r.n || r.v; end loop; :o := s; end;", binds: []Value{nil}, want: "1z2a5r"},
		{sql: "declare cursor c is select n from t order by n desc; s varchar2(100); begin for r in c loop s := s || r.n; end loop; :o := s; end;", binds: []Value{nil}, want: "521"},
		{sql: "declare i number := 0; begin while i < 5 loop i := i + 1; end loop; loop i := i + 1; exit when i >= 10; end loop; :o := i; end;", binds: []Value{nil}, want: "10"},
		{sql: "begin <<outer>> for i in 1..3 loop for j in 1..3 loop :o := i * 10 + j; exit outer when j = 2; end loop; end loop; end;", binds: []Value{nil}, want: "12"},
		{sql: "begin if 1 = 2 then :o := 'a'; elsif null = 1 then :o := 'b'; else :o := 'c'; end if; end;", binds: []Value{nil}, want: "c"},
		{sql: "begin if :x is null then :o := 'null'; end if; end;", binds: []Value{nil, nil}, want: "null"},
		{sql: "begin :o := 1; return; :o := 2; end;", binds: []Value{nil}, want: "1"},
		{sql: "begin insert into t values (1, 'dup'); exception when dup_val_on_index then :o := sqlcode || ' ' || sqlerrm; end;", binds: []Value{nil}, want: "-1 ORA-00001: unique constraint (SCOTT.SYS_C20002) violated"},
		{sql: "declare n number; begin select n into n from t where n = 77; exception when no_data_found then :o := sqlcode; end;", binds: []Value{nil}, want: "100"},
		{sql: "declare e exception; begin raise e; exception when e then :o := 'mine'; end;", binds: []Value{nil}, want: "mine"},
		{sql: "declare e exception; pragma exception_init(e, -942); begin execute immediate 'drop table nothere'; exception when e then :o := 'gone'; end;", binds: []Value{nil}, want: "gone"},
		{sql: "begin execute immediate 'drop table nothere'; exception when others then if sqlcode <> -942 then raise; end if; end;", want: ""},
		{sql: "begin execute immediate 'create table made (n number)'; execute immediate 'insert into made values (:1)' using 7; execute immediate 'select n from made' into :o; end;", binds: []Value{nil}, want: "7"},
		{sql: "begin execute immediate 'begin null; end;'; end;", want: ""},
		{sql: "begin raise_application_error(-20001, 'my text'); end;", code: 20001},
		{sql: "begin begin raise_application_error(-20002, 'x'); exception when others then raise; end; end;", code: 20002},
		{sql: "declare e exception; begin raise e; end;", code: 6510},
		{sql: "declare n number; begin n := 'abc'; end;", code: 6502},
		{sql: "declare v varchar2(2); begin v := 'abc'; end;", code: 6502},
		{sql: "declare c constant number := 1; begin c := 2; end;", code: 6550},
		{sql: "begin :x := 1/0; end;", binds: []Value{nil}, code: 1476},
		{sql: "begin insert into nothere values (1); exception when others then null; end;", code: 6550},
		{sql: "begin nothere; end;", code: 6550},
		{sql: "begin :x := nothere; end;", binds: []Value{nil}, code: 6550},
		{sql: "begin nothere(1); end;", code: 6550},
		{sql: "begin null end;", code: 6550},
		{sql: "begin", code: 6550},
		{sql: "begin end;", code: 6550},
		{sql: "begin null; end", code: 6550},
		{sql: "begin select 1 from dual; end;", code: 6550},
		{sql: "declare procedure p is begin null; end; begin null; end;", code: 6550},
		{sql: "declare c sys_refcursor; begin open c for select 1 from dual; end;", code: 6550},
		{sql: "begin raise; end;", code: 6550},
		{sql: "call dbms_application_info.set_module('m', 'a')", want: ""},
		{sql: "call upper('x') into :o", binds: []Value{nil}, want: "X"},
	} {
		got, err := run(s, c.sql, c.binds...)
		if n := code(t, err); n != c.code || n == 0 && got != c.want {
			t.Errorf("%s\n  gave %s, %v\n  want %s, code %d", c.sql, got, err, c.want, c.code)
		}
	}
}

func TestBlockErrorsSayWhere(t *testing.T) {
	s := newSession(t, newEngine(t))
	for sql, want := range map[string]string{
		"begin\n  null;\n  nothere(1);\nend;": "ORA-06550: line 3, column 3:\nPLS-00201: identifier 'NOTHERE' must be declared",
		"begin\n insert into nothere values (1);\nend;": "ORA-06550: line 2, column 14:\nPL/SQL: ORA-00942: table or view does not exist\n" +
			"ORA-06550: line 2, column 14:\nPL/SQL: SQL Statement ignored",
		"begin null; nul end;":                              `ORA-06550: line 1, column 17:` + "\n" + `PLS-00103: Encountered the symbol "END"`,
		"begin\nraise_application_error(-20001,'x');\nend;": "ORA-20001: x\nORA-06512: at line 2",
	} {
		_, err := run(s, sql)
		if err == nil || err.Error() != want {
			t.Errorf("%s gave\n%v\nwant\n%s", sql, err, want)
		}
	}
}

func TestBindsOfBlocksAreCountedOnce(t *testing.T) {
	s := newSession(t, newEngine(t))
	st, err := s.Prepare("begin :a := :b; :b := :A; if ':c' = 'x' then null; end if; end;")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"A", "B"}, st.BindNames()); diff != "" {
		t.Error(diff)
	}
	outs, err := st.Call(context.Background(), []Value{nil, "x"})
	if diff := cmp.Diff(map[int]Value{0: "x", 1: "x"}, outs); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if outs, err = st.Call(context.Background(), []Value{nil, Number("2")}); err != nil || outs[0] != Number("2") {
		t.Error(outs, err)
	}
}

func TestPackages(t *testing.T) {
	s := newSession(t, newEngine(t))
	must(t, s,
		"begin dbms_output.enable(null); dbms_output.put_line('one'); dbms_output.put('t'); dbms_output.put_line('wo'); end;",
		"begin dbms_session.set_identifier('me'); dbms_application_info.set_module(module_name => 'mod', action_name => 'act'); dbms_application_info.set_client_info('info'); end;",
		"begin dbms_session.sleep(0); end;")
	var lines []string
	for {
		got, err := run(s, "begin dbms_output.get_line(:line, :status); end;", nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		line, status, _ := strings.Cut(got, "|")
		if status == "1" {
			break
		}
		lines = append(lines, line)
	}
	if diff := cmp.Diff([]string{"one", "two"}, lines); diff != "" {
		t.Error(diff)
	}
	check(t, s, []sqlCase{
		{sql: "select sys_context('userenv','client_identifier'), sys_context('userenv','module'), sys_context('userenv','action'), sys_context('userenv','client_info') from dual", want: "me|mod|act|info"},
		{sql: "begin dbms_session.sleep(-1); end;", code: 38148},
		{sql: "begin dbms_output.put_line('a', 'b'); end;", code: 6550},
		{sql: "begin raise_application_error(-1, 'x'); end;", code: 21000},
	})
	if s.Identity().Module != "mod" {
		t.Error(s.Identity().Module)
	}
	if got, err := run(s, "begin dbms_application_info.read_module(:m, :a); end;", nil, nil); got != "mod|act" || err != nil {
		t.Error(got, err)
	}
}
