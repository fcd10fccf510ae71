package sqlengine

import "testing"

func BenchmarkFetch(b *testing.B) {
	s := newSession(b, newEngine(b))
	must(b, s, "create table t (n number, v varchar2(20), d date)",
		"insert into t select level, 'row ' || level, sysdate from dual connect by level <= 10000", "commit")
	for b.Loop() {
		rows := query(b, s, "select * from t")
		for {
			_, done, err := rows.Next(500)
			if err != nil {
				b.Fatal(err)
			}
			if done {
				break
			}
		}
	}
}

func BenchmarkSmallQuery(b *testing.B) {
	s := newSession(b, newEngine(b))
	for b.Loop() {
		if _, err := run(s, "select sys_context('USERENV','INSTANCE_NAME') from dual"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkInsertAndCommit(b *testing.B) {
	s := newSession(b, newEngine(b))
	must(b, s, "create table t (n number primary key, v varchar2(20))")
	n := 0
	for b.Loop() {
		n++
		if _, err := run(s, "insert into t values (:1, 'text')", n); err != nil {
			b.Fatal(err)
		}
		must(b, s, "commit")
	}
}

// BenchmarkPrivateSession starts sessions with their own data and an open transaction, and keeps them open.
func BenchmarkPrivateSession(b *testing.B) {
	e := newEngine(b)
	must(b, newSession(b, e), "create table t (n number)", "insert into t values (1)", "commit")
	for b.Loop() {
		s, err := e.NewSession(Identity{User: "SCOTT"}, true)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { s.Close() })
		must(b, s, "insert into t values (2)")
	}
}
