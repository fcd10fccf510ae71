package sqlengine

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestTransactionsAreIsolated(t *testing.T) {
	e := newEngine(t)
	a, b := newSession(t, e), newSession(t, e)
	must(t, a, "create table t (n number)")
	e.LockWait = 20 * time.Millisecond
	if a.InTransaction() {
		t.Error("DDL left a transaction open")
	}
	must(t, a, "insert into t values (1)")
	if !a.InTransaction() || b.InTransaction() {
		t.Error("only the writer has a transaction")
	}
	check(t, a, []sqlCase{{sql: "select count(*) from t", want: "1"}})
	check(t, b, []sqlCase{
		{sql: "select count(*) from t", want: "0"},
		{sql: "insert into t values (2)", code: 54},
		{sql: "select n from t for update nowait", code: 54},
		{sql: "select n from t for update wait 0", code: 30006},
		{sql: "lock table t in exclusive mode", code: 54},
		{sql: "create table u (n number)", code: 54},
	})
	must(t, a, "commit")
	check(t, b, []sqlCase{
		{sql: "insert into t values (2)", want: "1"},
		{sql: "savepoint s", want: "0"},
		{sql: "insert into t values (3)", want: "1"},
		{sql: "rollback to savepoint s", want: "0"},
		{sql: "rollback to nowhere", code: 1086},
		{sql: "select n from t order by n", want: "1;2"},
		{sql: "rollback work", want: "0"},
		{sql: "select n from t", want: "1"},
		{sql: "update t set n = 5 where n = 77", want: "0"},
	})
	if b.InTransaction() {
		t.Error("an update of no rows keeps a lock")
	}
	check(t, b, []sqlCase{{sql: "insert into t values ('x')", code: 1722}})
	if b.InTransaction() {
		t.Error("a failed first statement keeps a lock")
	}
	must(t, b, "insert into t values (9)", "create table u (n number)")
	check(t, a, []sqlCase{{sql: "select n from t order by n", want: "1;9"}})
	must(t, b, "delete from t")
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	check(t, a, []sqlCase{{sql: "select n from t order by n", want: "1;9"}})
	if _, err := run(b, "select 1 from dual"); code(t, err) != 1012 {
		t.Error(err)
	}
}

func TestAFailedStatementLeavesTheTransactionAsItWas(t *testing.T) {
	s := newSession(t, newEngine(t))
	must(t, s, "create table t (n number primary key)", "insert into t values (1)")
	check(t, s, []sqlCase{
		{sql: "insert into t select 3 - level from dual connect by level <= 2", code: 1},
		{sql: "begin insert into t values (7); insert into t values (1); end;", code: 1},
		{sql: "begin insert into t values (8); begin insert into t values (1); exception when dup_val_on_index then null; end; end;", want: ""},
		{sql: "select n from t order by n", want: "1;8"},
		{sql: "begin insert into t values (9); commit; insert into t values (10); insert into t values (1); end;", code: 1},
		{sql: "select n from t order by n", want: "1;8;9"},
	})
	if s.InTransaction() {
		t.Error("the block's own transaction is still open")
	}
}

func TestArrayDML(t *testing.T) {
	ctx := context.Background()
	s := newSession(t, newEngine(t))
	must(t, s, "create table t (n number(3) primary key, v varchar2(5))")
	st, err := s.Prepare("insert into t values (:n, :v)")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"N", "V"}, st.BindNames()); diff != "" {
		t.Error(diff)
	}
	r, err := st.Execute(ctx, [][]Value{{Number("1"), "a"}, {Number("2"), nil}, {3, "c"}})
	if err != nil || r.RowsAffected != 3 {
		t.Fatal(r, err)
	}
	r, err = st.Execute(ctx, [][]Value{{4, "d"}, {4, "again"}, {5, "e"}})
	if code(t, err) != 1 || r.RowsAffected != 1 || len(r.PerRow) != 1 {
		t.Error(r, err)
	}
	r, err = st.ExecuteBatch(ctx, [][]Value{{6, "f"}, {1, "dup"}, {7, "too long"}, {1000, "x"}, {8, "h"}})
	if err != nil {
		t.Fatal(err)
	}
	var failed []string
	for _, e := range r.Errors {
		failed = append(failed, fmt.Sprint(e.Row, " ", e.Error.Code))
	}
	if diff := cmp.Diff([]string{"1 1", "2 12899", "3 1438"}, failed); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]int64{1, 0, 0, 0, 1}, r.PerRow); diff != "" {
		t.Error(diff)
	}
	check(t, s, []sqlCase{{sql: "select n from t order by n", want: "1;2;3;4;6;8"}})
	update, err := s.Prepare("update t set v = :v where n <= :n")
	if err != nil {
		t.Fatal(err)
	}
	r, err = update.Execute(ctx, [][]Value{{"x", 3}, {"y", 1}})
	if err != nil || cmp.Diff([]int64{3, 1}, r.PerRow) != "" {
		t.Error(r, err)
	}
	if _, err = st.Execute(ctx, [][]Value{{1}}); code(t, err) != 1008 {
		t.Error(err)
	}
}

func TestReturning(t *testing.T) {
	ctx := context.Background()
	s := newSession(t, newEngine(t))
	must(t, s, "create table t (n number, v varchar2(5))")
	st, err := s.Prepare("insert into t values (:n, :v) returning n * 2, v into :out, :v2")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int{2, 3}, st.Returning()); diff != "" {
		t.Error(diff)
	}
	r, err := st.Execute(ctx, [][]Value{{1, "a", nil, nil}, {2, "b", nil, nil}})
	want := [][][]Value{{{Number("2"), "a"}}, {{Number("4"), "b"}}}
	if diff := cmp.Diff(want, r.Returned); diff != "" || err != nil {
		t.Error(diff, err)
	}
	st, err = s.Prepare("update t set n = n + 1 returning n into :a")
	if err != nil {
		t.Fatal(err)
	}
	r, err = st.Execute(ctx, [][]Value{{nil}})
	if diff := cmp.Diff([][][]Value{{{Number("2")}, {Number("3")}}}, r.Returned); diff != "" || err != nil || r.RowsAffected != 2 {
		t.Error(diff, err, r.RowsAffected)
	}
	check(t, s, []sqlCase{{sql: "delete from t where n > 99", want: "0"}})
	r, err = execute(s, "insert into t values (9, 'z')")
	if err != nil || len(r.LastRowID) != 18 {
		t.Fatal(r, err)
	}
	if got, err := run(s, "select n from t where rowid = :1", r.LastRowID); got != "9" || err != nil {
		t.Error(got, err)
	}
}

func execute(s *Session, sql string) (Result, error) {
	st, err := s.Prepare(sql)
	if err != nil {
		return Result{}, err
	}
	return st.Execute(context.Background(), nil)
}

func TestBindsAndTheirKinds(t *testing.T) {
	s := newSession(t, newEngine(t))
	must(t, s, "create table t (n number, v varchar2(50), d date, r raw(9), c clob, b blob, f binary_double)", "insert into t (n, v) values (7, '7')")
	noon := time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		sql   string
		binds []Value
		want  string
	}{
		{"select n from t where n = :x", []Value{"7"}, "7"},
		{"select n from t where n = :x", []Value{Number("7.0")}, "7"},
		{"select n from t where v = :x", []Value{Number("7")}, "7"},
		{"select n from t where v = :x and :x = v", []Value{"7", "7"}, "7"},
		{"select nvl(:a, 'none'), :b from dual", []Value{nil, []byte{1, 2}}, "none|x0102"},
		{"select :a + 1, :b || 'x' from dual", []Value{Number("41"), Number("1.50")}, "42|1.5x"},
		{"select :a from dual", []Value{""}, "NULL"},
		{"select to_char(:a, 'YYYY') from dual", []Value{noon}, "2024"},
		{"select :a - 1 from dual", []Value{noon}, "2024-02-28T12:00:00"},
		{"select :a, :b from dual", []Value{1.5, float32(2.5)}, "1.5|2.5"},
		{"select :a from dual", []Value{LOB{Character: true, Data: []byte("big")}}, "clob:big"},
		{`select :"a b" from dual`, []Value{1}, "1"},
	} {
		if got, err := run(s, c.sql, c.binds...); got != c.want || err != nil {
			t.Errorf("%s with %v gave %s, %v, want %s", c.sql, c.binds, got, err, c.want)
		}
	}
	if _, err := run(s, "insert into t values (:1,:2,:3,:4,:5,:6,:7)", Number("1"), "text\x00with NUL", noon, []byte{0, 255},
		LOB{Character: true, Data: []byte("")}, LOB{Data: []byte{0}}, 1e300); err != nil {
		t.Fatal(err)
	}
	if got, err := run(s, "select * from t where n = 1"); got != "1|text\x00with NUL|2024-02-29T12:00:00|x00FF|clob:|blob:00|1e+300" || err != nil {
		t.Errorf("%q %v", got, err)
	}
	if _, err := run(s, "select :a from dual"); code(t, err) != 1008 {
		t.Error(err)
	}
	if _, err := run(s, "select n from t where n = :x", Number("seven")); code(t, err) != 1722 {
		t.Error(err)
	}
}

func TestPrivateSessionsHaveTheirOwnData(t *testing.T) {
	e := newEngine(t)
	s := newSession(t, e)
	must(t, s, "create table t (n number)", "insert into t values (1)", "commit", "create sequence q")
	const many = 20
	private := make([]*Session, many)
	for i := range private {
		p, err := e.NewSession(Identity{User: "SCOTT"}, true)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		private[i] = p
		must(t, p, fmt.Sprintf("insert into t values (%d)", 100+i))
	}
	for i, p := range private {
		want := fmt.Sprintf("1;%d", 100+i)
		check(t, p, []sqlCase{{sql: "select n from t order by n", want: want}, {sql: "select q.nextval from dual", want: "1"}})
		must(t, p, "create table own (n number)", "drop table t", "commit")
	}
	check(t, s, []sqlCase{{sql: "select n from t", want: "1"}, {sql: "select * from own", code: 942}})
}

func TestOpenRowsOutliveWhatTheSessionDoes(t *testing.T) {
	e := newEngine(t)
	for _, private := range []bool{false, true} {
		s, err := e.NewSession(Identity{User: fmt.Sprint("U", private)}, private)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		must(t, s, "create table t (n number)", "insert into t select level from dual connect by level <= 100", "commit")
		for _, between := range []string{"insert into t select n + 100 from t", "rollback", "commit", "delete from t", "rollback", "create table u (n number)", "drop table t"} {
			rows := query(t, s, "select n from t order by n")
			first, _, err := rows.Next(10)
			if err != nil || len(first) != 10 {
				t.Fatal(first, err)
			}
			must(t, s, between)
			rest, _, err := rows.Next(1000)
			if err != nil || len(rest) < 90 {
				t.Errorf("after %q: %d rows, %v", between, len(rest), err)
			}
			if err := rows.Close(); err != nil {
				t.Error(err)
			}
			must(t, s, "rollback")
		}
	}
}

func TestManySessionsAtOnce(t *testing.T) {
	e := newEngine(t)
	s := newSession(t, e)
	must(t, s, "create table t (who number, n number)", "create sequence q")
	const sessions, turns = 8, 25
	var all sync.WaitGroup
	for i := range sessions {
		all.Go(func() {
			s, err := e.NewSession(Identity{User: "SCOTT"}, false)
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			for turn := range turns {
				if _, err := run(s, "insert into t values (:1, q.nextval)", i); err != nil {
					t.Error(err)
				}
				if turn%5 == 4 {
					if err := s.Commit(context.Background()); err != nil {
						t.Error(err)
					}
				}
				if got, err := run(s, "select count(*) from t where who = :1", i); err != nil || got != fmt.Sprint(turn+1) {
					t.Errorf("session %d counts %s after %d turns: %v", i, got, turn+1, err)
				}
			}
		})
	}
	all.Wait()
	check(t, s, []sqlCase{{sql: "select count(*), count(distinct n) from t", want: fmt.Sprintf("%d|%[1]d", sessions*turns)}})
}

func TestADatabaseFileIsKept(t *testing.T) {
	path := t.TempDir() + "/data 100%?.db"
	for turn := range 2 {
		e, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		s, err := e.NewSession(Identity{User: "SCOTT"}, false)
		if err != nil {
			t.Fatal(err)
		}
		if turn == 0 {
			must(t, s, "create table t (n number(3), constraint k primary key (n))", "insert into t values (1)", "commit", "create sequence q", "begin if q.nextval > 0 then null; end if; end;")
		} else {
			check(t, s, []sqlCase{
				{sql: "select n from t", want: "1"}, {sql: "insert into t values (1)", code: 1},
				{sql: "select case when q.nextval > 1 then 'on' end from dual", want: "on"},
			})
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := Open(t.TempDir() + "/no/such/folder/db"); err == nil {
		t.Error("opened a file in a folder that does not exist")
	}
}
