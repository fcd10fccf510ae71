package ttcserver

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"servicebroker/ttc"
)

// Many clients at once, pooled and not, get their own answers and leave
// nothing behind.
func TestCrowd(t *testing.T) {
	w := newWorld(t, nil)
	const clients, rounds = 24, 6
	var wg sync.WaitGroup
	for i := range clients {
		c := w.connect(context.Background(), Login{Service: "sales", Pooled: i%2 == 0}, 318)
		wg.Add(1)
		go func() {
			defer wg.Done()
			c.negotiate()
			if end := c.login("scott", "tiger"); end.Code != 0 {
				t.Errorf("client %d: %s", i, end.Text)
				return
			}
			for round := range rounds {
				own := fmt.Sprintf("client %d round %d", i, round)
				cur, r := c.exec("select :1 a from dual", options{binds: []ttc.Bind{textBind(40)}, rows: rowsOf(text(own)), prefetch: 2})
				if got := show(r); got != own {
					t.Errorf("client %d got %q, want %q", i, got, own)
				}
				if r := c.again(cur, 2, []ttc.Value{text("again " + own)}); show(r) != "again "+own {
					t.Errorf("client %d got %q, want %q", i, show(r), "again "+own)
				}
				if i%2 == 0 {
					c.release(0)
				}
			}
			if i%3 == 0 && i%2 != 0 {
				c.call(ttc.FunctionLogoff)
			}
			c.raw.Close()
		}()
	}
	wg.Wait()
	for range clients {
		if err := w.end(); err != nil {
			t.Error(err)
		}
	}
	if left := w.server.Sessions(); len(left) != 0 {
		t.Errorf("%d sessions are left", len(left))
	}
}

func TestSessionNumbers(t *testing.T) {
	var l sessionList
	seen := map[int]bool{}
	for range 5000 {
		var login Login
		l.number(&login)
		if seen[login.SessionID] || login.SessionID <= 0 || login.SessionID > 65535 || login.Serial <= 0 || login.Serial > 65535 {
			t.Fatalf("session %d, serial %d", login.SessionID, login.Serial)
		}
		seen[login.SessionID] = true
	}
}

// A cursor's number is free again only after the others were used, and never
// one that is in use.
func TestCursorNumbers(t *testing.T) {
	s := &session{cursors: map[uint32]*cursor{}}
	kept := &cursor{}
	if err := s.addCursor(kept); err != nil {
		t.Fatal(err)
	}
	for range 70_000 {
		c := &cursor{}
		if err := s.addCursor(c); err != nil || c.id == kept.id || c.id == 0 || c.id > 65535 {
			t.Fatalf("cursor %d, error %v", c.id, err)
		}
		s.closeCursor(c.id)
	}
}
