package testenv

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/sijms/go-ora/v2"

	"servicebroker/ttc"
)

// login opens one session through a real driver, over a URL such as
// oracle://scott:tiger@127.0.0.1:1521/sales.
func (r *running) login(t *testing.T, user, connectData string) (*sql.Conn, error) {
	t.Helper()
	db, err := sql.Open("oracle", "oracle://"+user+"@"+r.Addr()+"/"+connectData)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	conn, err := db.Conn(ctx)
	t.Cleanup(func() {
		if conn != nil {
			conn.Close()
		}
		db.Close()
	})
	return conn, err
}

// mustLogin is a login that has to work.
func (r *running) mustLogin(t *testing.T, user, connectData string) *sql.Conn {
	t.Helper()
	c, err := r.login(t, user, connectData)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// value is the only value of a query.
func value(t *testing.T, c *sql.Conn, query string) string {
	t.Helper()
	var s string
	if err := c.QueryRowContext(t.Context(), query).Scan(&s); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return s
}

func userenv(name string) string {
	return fmt.Sprintf("select sys_context('USERENV', '%s') from dual", name)
}

// A session says where it is and whose it is, also to the control address.
func TestLogin(t *testing.T) {
	d := start(t, &Database{Services: []string{"Sales"}})
	c := d.mustLogin(t, "Scott:tiger", "SALES?PROGRAM=payroll")
	for name, want := range map[string]string{
		"INSTANCE_NAME": "sales1", "SERVICE_NAME": "Sales", "SERVER_HOST": "db1", "CURRENT_USER": "SCOTT", "IP_ADDRESS": "127.0.0.1",
	} {
		if got := value(t, c, userenv(name)); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	s := d.State()
	if len(s.Sessions) != 1 || s.Open != 1 {
		t.Fatalf("%d sessions, %d places", len(s.Sessions), s.Open)
	}
	got := s.Sessions[0]
	if got.User != "SCOTT" || got.Client != "127.0.0.1" || got.Program == "" || got.Service != "Sales" || !strings.Contains(got.Statement, "sys_context") {
		t.Errorf("%+v", got)
	}
	if id := value(t, c, userenv("SID")); id != fmt.Sprint(got.ID) {
		t.Errorf("session %s is listed as %d", id, got.ID)
	}
}

// A session that asked for a SID belongs to no service of its own.
func TestLoginBySID(t *testing.T) {
	d := start(t, &Database{})
	c := d.mustLogin(t, "scott:tiger", "?SID=SALES1")
	if got := value(t, c, userenv("SERVICE_NAME")); got != systemService {
		t.Errorf("the service is %q", got)
	}
}

func TestPasswords(t *testing.T) {
	for _, old := range []bool{false, true} {
		d := start(t, &Database{Users: map[string]string{"app": "Tiger1", "HR": "hr"}, Verifier11g: old})
		kind := d.verifiers["APP"].Type
		if want := map[bool]ttc.VerifierType{false: ttc.Verifier12c, true: ttc.Verifier11g}[old]; kind != want {
			t.Errorf("verifier %#x, want %#x", kind, want)
		}
		for user, right := range map[string]bool{
			"app:Tiger1": true, "APP:Tiger1": true, "hr:hr": true,
			"app:tiger1": false, "app:hr": false, "nobody:Tiger1": false, "scott:tiger": false,
		} {
			c, err := d.login(t, user, "sales")
			switch {
			case right && err != nil, !right && (err == nil || !strings.Contains(err.Error(), "ORA-01017")):
				t.Errorf("11g %v, %s: %v", old, user, err)
			case right:
				value(t, c, "select user from dual")
			}
		}
	}
}

func TestKill(t *testing.T) {
	d := start(t, &Database{})
	open := []*sql.Conn{d.mustLogin(t, "scott:tiger", "sales"), d.mustLogin(t, "scott:tiger", "sales"), d.mustLogin(t, "scott:tiger", "sales")}
	alive := func(c *sql.Conn) bool {
		var n int
		return c.QueryRowContext(t.Context(), "select 1 from dual").Scan(&n) == nil && n == 1
	}
	id := value(t, open[1], userenv("SID"))
	d.tell(t, "/sessions/kill", `{"id": `+id+`}`)
	for i, c := range open {
		if want := i != 1; alive(c) != want {
			t.Errorf("session %d lives: %v, want %v", i, !want, want)
		}
	}
	d.tell(t, "/sessions/kill", `{"all": true}`)
	for i, c := range open {
		if alive(c) {
			t.Errorf("session %d lives", i)
		}
	}
	limit := time.After(10 * time.Second)
	for { // a killed session is listed until its conversation has ended
		status, said := d.control(t, http.MethodPost, "/sessions/kill", `{"id": `+id+`}`)
		if status == http.StatusBadRequest {
			return
		}
		select {
		case <-limit:
			t.Fatalf("the same once more: %d %s", status, said)
		default:
		}
	}
}

// Sessions share what is committed; private ones share nothing; a file outlives
// the database.
func TestData(t *testing.T) {
	file := filepath.Join(t.TempDir(), "data")
	rows := func(d *running) string {
		c := d.mustLogin(t, "scott:tiger", "sales")
		var n string
		if err := c.QueryRowContext(t.Context(), "select count(*) from notes").Scan(&n); err != nil {
			return "none"
		}
		return n
	}
	fill := func(d *running) {
		c := d.mustLogin(t, "scott:tiger", "sales")
		for _, statement := range []string{"create table notes (text varchar2(10))", "insert into notes values ('x')"} {
			if _, err := c.ExecContext(t.Context(), statement); err != nil {
				t.Fatalf("%s: %v", statement, err)
			}
		}
	}
	shared := start(t, &Database{Data: file})
	fill(shared)
	if got := rows(shared); got != "1" {
		t.Errorf("another session sees %s rows", got)
	}
	shared.end()
	if err := shared.await(t); err != nil {
		t.Fatal(err)
	}
	if got := rows(start(t, &Database{Data: file})); got != "1" {
		t.Errorf("after a restart there are %s rows", got)
	}
	private := start(t, &Database{Private: true})
	fill(private)
	if got := rows(private); got != "none" {
		t.Errorf("another private session sees %s rows", got)
	}
}

// A clean end and an abort end sessions that are in use.
func TestEndsSessions(t *testing.T) {
	for name, end := range map[string]func(*running){
		"end": func(d *running) { d.end() }, "abort": func(d *running) { d.tell(t, "/stop", `{"abort": true}`) },
	} {
		d := start(t, &Database{})
		c := d.mustLogin(t, "scott:tiger", "sales")
		value(t, c, "select 1 from dual")
		end(d)
		_ = d.await(t)
		var n int
		if err := c.QueryRowContext(t.Context(), "select 1 from dual").Scan(&n); err == nil {
			t.Errorf("%s: the session goes on", name)
		}
	}
}
