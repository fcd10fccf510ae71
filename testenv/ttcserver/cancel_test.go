package ttcserver

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"servicebroker/tns"
	"servicebroker/ttc"
)

const endless = "with r(n) as (select 1 from dual union all select n + 1 from r where n < 100000000000) select count(*) a from r"

// start sends an execute without waiting for its answer.
func (c *client) start(sql string) {
	c.t.Helper()
	m := ttc.Execute{Options: ttc.OptionParse | ttc.OptionExecute | ttc.OptionNotPLSQL | ttc.OptionFetch, SQL: []byte(sql), PrefetchRows: 1, Iterations: 1}
	c.send(ttc.AppendCall(nil, c.dialect, ttc.FunctionExecute, &m))
}

// running waits until the server says that a call runs.
func (w *world) running() {
	w.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		for _, info := range w.server.Sessions() {
			if info.Active {
				return
			}
		}
	}
	w.t.Fatal("no call runs")
}

// nextMarker reads packets up to a marker.
func (c *client) nextMarker() byte {
	c.t.Helper()
	for {
		_, err := c.nextPiece()
		var marker errMarker
		switch {
		case errors.As(err, &marker):
			return byte(marker)
		case err != nil:
			c.t.Fatal(err)
		}
	}
}

// recover does what drivers do after an interruption, and returns the answer.
func (c *client) recover() *result {
	c.t.Helper()
	if first, second := c.nextMarker(), c.nextMarker(); first != tns.MarkerBreak || second != tns.MarkerReset {
		c.t.Fatalf("markers %d, %d; want break, reset", first, second)
	}
	c.marker(tns.MarkerReset)
	c.in.Discard()
	return c.answer(&cursorState{})
}

func TestCancel(t *testing.T) {
	w := newWorld(t, nil)
	c := w.dial(Login{})
	for _, statement := range []string{endless, "begin dbms_session.sleep(1000); end;"} {
		for _, kind := range []byte{tns.MarkerInterrupt, tns.MarkerBreak} {
			c.start(statement)
			w.running()
			began := time.Now()
			c.marker(kind)
			c.recover().want(c, 1013)
			if took := time.Since(began); took > patience/3 {
				t.Errorf("cancelled after %v", took)
			}
			if c.count("dual") != "1" {
				t.Error("the session is of no use afterwards")
			}
		}
	}
}

// An open query goes on after another call was cancelled.
func TestCancelLeavesOtherCursors(t *testing.T) {
	w := newWorld(t, nil)
	c := w.dial(Login{})
	c.fill("t", 100)
	cur, r := c.exec("select n from t order by n", options{prefetch: 10})
	r.must(c)
	c.start(endless)
	w.running()
	c.marker(tns.MarkerInterrupt)
	c.recover().want(c, 1013)
	if r := c.fetch(cur, 5).want(c, 0); len(r.rows) != 5 {
		t.Errorf("%d rows after the cancellation", len(r.rows))
	}
	c.exec("delete from t where n = 1", options{})
	if c.count("t") != "99" {
		t.Error("the session is of no use afterwards")
	}
}

// A cancelled change is undone, and the client is told what became of the
// transaction.
func TestCancelDML(t *testing.T) {
	w := newWorld(t, nil)
	c := w.dial(Login{})
	c.fill("t", 2)
	c.start("insert into t select n, 'x' from (" + "with r(n) as (select 1 from dual union all select n + 1 from r where n < 100000000000) select n from r)")
	w.running()
	c.marker(tns.MarkerInterrupt)
	if end := c.recover().want(c, 1013).end; end.Status&ttc.StatusTransaction != 0 {
		t.Error("nothing was changed and a transaction is open")
	}
	if got := c.count("t"); got != "2" {
		t.Errorf("%s rows, want 2", got)
	}
}

// An interruption that comes too late is answered all the same: drivers wait
// for it.
func TestLateCancel(t *testing.T) {
	c := newWorld(t, nil).dial(Login{})
	for range 3 {
		c.marker(tns.MarkerInterrupt)
		c.recover().want(c, 1013)
	}
	// With a call sent after it, that call is the one that fails.
	c.marker(tns.MarkerInterrupt)
	c.start("select 1 a from dual")
	c.recover().want(c, 1013)
	if c.count("dual") != "1" {
		t.Error("the session is of no use afterwards")
	}
}

func TestResetWithNothingPending(t *testing.T) {
	c := newWorld(t, nil).dial(Login{})
	c.marker(tns.MarkerReset)
	if got := c.nextMarker(); got != tns.MarkerReset {
		t.Errorf("marker %d, want a reset", got)
	}
	c.in.Discard()
	if c.count("dual") != "1" {
		t.Error("the session is of no use afterwards")
	}
}

// A break in the middle of a request drops the request.
func TestBreakWhileSending(t *testing.T) {
	c := newWorld(t, nil).dial(Login{})
	request := ttc.AppendCall(nil, c.dialect, ttc.FunctionExecute, &ttc.Execute{Options: 0x8021, SQL: []byte("select 1 from dual")})
	c.send(request[:len(request)/2])
	c.marker(tns.MarkerBreak)
	c.recover().want(c, 1013)
	if c.count("dual") != "1" {
		t.Error("the session is of no use afterwards")
	}
}

// A statement stops when its client vanishes.
func TestClientVanishes(t *testing.T) {
	w := newWorld(t, nil)
	c := w.dial(Login{})
	c.start(endless)
	w.running()
	c.raw.Close()
	if err := w.end(); err != nil {
		t.Errorf("ends with %v", err)
	}
}

func TestKill(t *testing.T) {
	w := newWorld(t, nil)
	c := w.dial(Login{})
	id := w.server.Sessions()[0].SessionID
	if w.server.Kill(id + 1) {
		t.Error("a session that does not exist is killed")
	}
	c.start(endless)
	w.running()
	if !w.server.Kill(id) {
		t.Error("no such session")
	}
	c.answer(&cursorState{}).want(c, 28)
	c.gone()
	if err := w.end(); err != nil {
		t.Error(err)
	}
	idle := w.dial(Login{})
	w.server.Kill(w.server.Sessions()[0].SessionID)
	idle.gone()
	if err := w.end(); err != nil || len(w.server.Sessions()) != 0 {
		t.Errorf("ends with %v, %d sessions left", err, len(w.server.Sessions()))
	}
}

func TestContextEndsConversation(t *testing.T) {
	w := newWorld(t, nil)
	ctx, stop := context.WithCancel(context.Background())
	c := w.connect(ctx, Login{}, 318)
	c.negotiate()
	c.login("scott", "tiger")
	c.start(endless)
	w.running()
	stop()
	if err := w.end(); err != nil {
		t.Error(err)
	}
	c.gone()
}

// Who does not log in is not waited for.
func TestLoginTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer ours.Close()
		ended := make(chan error)
		go func() {
			conn := tns.NewConn(theirs)
			connect, err := conn.ReadConnect()
			if err == nil {
				err = (&Server{}).Serve(context.Background(), conn, connect, Login{})
			}
			ended <- err
		}()
		conn := tns.NewConn(ours)
		if err := conn.Send(tns.NewConnect([]byte("(CONNECT_DATA=(SERVICE_NAME=x))"))); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.ReadReply(); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if err := <-ended; err == nil || time.Since(began) != loginTimeout {
			t.Errorf("ends with %v after %v, want an error after %v", err, time.Since(began), loginTimeout)
		}
	})
}
