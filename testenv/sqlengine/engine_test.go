package sqlengine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newEngine opens a temporary database that ends with the test.
func newEngine(t testing.TB) *Engine {
	t.Helper()
	e, err := Open("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("closing the engine: %v", err)
		}
	})
	return e
}

// newSession starts a session as scott that ends with the test.
func newSession(t testing.TB, e *Engine) *Session {
	t.Helper()
	s, err := e.NewSession(Identity{
		User: "SCOTT", Service: "sales", Instance: "sales1", ServerHost: "db1", ClientAddress: "192.0.2.7",
		SessionID: 41, Serial: 7, OSUser: "tiger", Machine: "client1", Program: "app", Terminal: "pts/0",
	}, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing a session: %v", err)
		}
	})
	return s
}

// run runs any statement and tells its rows, OUT values or number of changed rows as text.
func run(s *Session, sql string, binds ...Value) (string, error) {
	ctx := context.Background()
	st, err := s.Prepare(sql)
	if err != nil {
		return "", err
	}
	defer st.Close()
	switch st.Kind() {
	case KindQuery:
		rows, err := st.Query(ctx, binds)
		if err != nil {
			return "", err
		}
		defer rows.Close()
		var out []string
		for {
			part, done, err := rows.Next(10)
			for _, row := range part {
				out = append(out, showRow(row))
			}
			if err != nil {
				return strings.Join(out, ";"), err
			}
			if done {
				return strings.Join(out, ";"), nil
			}
		}
	case KindPLSQL:
		outs, err := st.Call(ctx, binds)
		var parts []string
		for i := range st.BindNames() {
			if v, assigned := outs[i]; assigned {
				parts = append(parts, show(v))
			}
		}
		return strings.Join(parts, "|"), err
	}
	var rows [][]Value
	if len(binds) > 0 {
		rows = [][]Value{binds}
	}
	result, err := st.Execute(ctx, rows)
	out := fmt.Sprint(result.RowsAffected)
	for _, returned := range result.Returned {
		for _, row := range returned {
			out += ";" + showRow(row)
		}
	}
	return out, err
}

func showRow(row []Value) string {
	parts := make([]string, len(row))
	for i, v := range row {
		parts[i] = show(v)
	}
	return strings.Join(parts, "|")
}

func show(v Value) string {
	switch v := v.(type) {
	case nil:
		return "NULL"
	case Number:
		return string(v)
	case []byte:
		return fmt.Sprintf("x%X", v)
	case LOB:
		if v.Character {
			return "clob:" + string(v.Data)
		}
		return fmt.Sprintf("blob:%X", v.Data)
	case time.Time:
		text := v.Format("2006-01-02T15:04:05.999999999")
		if v.Location() != time.UTC {
			text = v.Format("2006-01-02T15:04:05.999999999-07:00")
		}
		return text
	}
	return fmt.Sprint(v)
}

// must runs statements that have to succeed.
func must(t testing.TB, s *Session, statements ...string) {
	t.Helper()
	for _, sql := range statements {
		if _, err := run(s, sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}

// code is the ORA number of an error, 0 for none.
func code(t testing.TB, err error) int {
	t.Helper()
	if err == nil {
		return 0
	}
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("not an *Error: %v", err)
	}
	return e.Code
}

// A sqlCase is a statement with what it gives, or the code it fails with.
type sqlCase struct {
	sql  string
	want string
	code int
}

// check runs cases in order in one session.
func check(t *testing.T, s *Session, cases []sqlCase) {
	t.Helper()
	for _, c := range cases {
		got, err := run(s, c.sql)
		if n := code(t, err); n != c.code {
			t.Errorf("%s\n  gave error %v, want code %d", c.sql, err, c.code)
			continue
		}
		if c.code == 0 && got != c.want {
			t.Errorf("%s\n  gave %s\n  want %s", c.sql, got, c.want)
		}
	}
}
