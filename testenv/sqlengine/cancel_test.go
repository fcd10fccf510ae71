package sqlengine

import (
	"context"
	"testing"
	"time"
)

// endless is a query that no one waits for; its first row takes for ever.
const endless = "select count(*) from (select level n from dual connect by level <= 1000000000000)"

// slowLater gives one row at once and then nothing for ever.
const slowLater = "select n from (select level n from dual connect by level <= 1000000000000) where n = 1 or mod(n, 2) = 3"

// soon is a context that ends while a statement runs.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

func TestCancellation(t *testing.T) {
	e := newEngine(t)
	shared := newSession(t, e)
	private, err := e.NewSession(Identity{User: "P"}, true)
	if err != nil {
		t.Fatal(err)
	}
	defer private.Close()
	for name, s := range map[string]*Session{"shared": shared, "private": private} {
		for _, inTransaction := range []bool{false, true} {
			t.Run(name, func(t *testing.T) { cancelEverything(t, s, inTransaction) })
		}
	}
}

func cancelEverything(t *testing.T, s *Session, inTransaction bool) {
	if inTransaction {
		must(t, s, "create table t (n number)", "insert into t values (1)")
		defer must(t, s, "drop table t")
	}
	open := query(t, s, "select level from dual connect by level <= 100")
	defer open.Close()
	if _, _, err := open.Next(10); err != nil {
		t.Fatal(err)
	}
	cancelled := func(what string, err error) {
		t.Helper()
		if code(t, err) != 1013 {
			t.Errorf("%s: %v", what, err)
		}
		check(t, s, []sqlCase{{sql: "select 7 from dual", want: "7"}})
	}
	st, err := s.Prepare(endless)
	if err != nil {
		t.Fatal(err)
	}
	_, err = st.Query(soon(t), nil)
	cancelled("first row", err)
	rows := query(t, s, slowLater)
	_, _, err = rows.NextContext(soon(t), 5)
	cancelled("later row", err)
	for _, block := range []string{
		"begin dbms_session.sleep(1000); end;", "begin dbms_lock.sleep(1000); exception when others then null; end;",
		"begin loop null; end loop; end;", "declare n number; begin select count(*) into n from (select level from dual connect by level <= 1e12); end;",
		"declare n number := 0; begin while n >= 0 loop n := n + 1; end loop; end;",
	} {
		st, err := s.Prepare(block)
		if err != nil {
			t.Fatal(block, err)
		}
		_, err = st.Call(soon(t), nil)
		cancelled(block, err)
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = st.Query(ended, nil)
	cancelled("ended before it began", err)
	rest, _, err := open.Next(1000)
	if err != nil || len(rest) != 90 {
		t.Errorf("the query that was open went on with %d rows, %v", len(rest), err)
	}
	if s.InTransaction() != inTransaction {
		t.Error("the transaction came or went")
	}
	if inTransaction {
		check(t, s, []sqlCase{{sql: "select n from t", want: "1"}})
	}
}

func TestCancellingAWriteEndsItsTransaction(t *testing.T) {
	e := newEngine(t)
	s, other := newSession(t, e), newSession(t, e)
	must(t, s, "create table t (n number)")
	st, err := s.Prepare("insert into t select level from dual connect by level <= 1000000000000")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := st.Execute(soon(t), nil); code(t, err) != 1013 {
		t.Error(err)
	}
	if s.InTransaction() {
		t.Error("a transaction is open")
	}
	must(t, other, "insert into t values (1)", "commit")
	check(t, s, []sqlCase{{sql: "select n from t", want: "1"}})
}

func TestWaitingForALockCanBeCancelled(t *testing.T) {
	e := newEngine(t)
	e.LockWait = time.Hour
	a, b := newSession(t, e), newSession(t, e)
	must(t, a, "create table t (n number)", "insert into t values (1)")
	st, err := b.Prepare("insert into t values (2)")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := st.Execute(soon(t), nil); code(t, err) != 1013 {
		t.Error(err)
	}
}

func TestManyRowsStream(t *testing.T) {
	s := newSession(t, newEngine(t))
	began := time.Now()
	rows := query(t, s, "select level, 'row ' || level, sysdate from dual connect by level <= 100000000")
	if _, _, err := rows.Next(1); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("the first row of many took %v: the rows are not streamed", took)
	}
	if err := rows.Close(); err != nil {
		t.Error(err)
	}
	rows = query(t, s, "select level from dual connect by level <= 100000")
	defer rows.Close()
	n := 0
	for {
		part, done, err := rows.Next(1000)
		if err != nil {
			t.Fatal(err)
		}
		if n += len(part); done {
			break
		}
	}
	if n != 100000 {
		t.Errorf("%d rows", n)
	}
}
