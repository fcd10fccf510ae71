package ttcserver

import (
	"context"
	"runtime"
	"testing"
	"time"

	"servicebroker/ttc"
)

func (w *world) dialPooled(class string, more ...ttc.Pair) *client {
	w.t.Helper()
	c := w.connect(context.Background(), Login{Service: "sales", Pooled: true}, 318)
	c.negotiate()
	more = append(more, ttc.Pair{Key: ttc.KeyConnectionClass, Value: class})
	if end := c.login("scott", "tiger", more...); end.Code != 0 {
		w.t.Fatalf("login: %s", end.Text)
	}
	return c
}

// release gives the session back; nothing answers that.
func (c *client) release(mode uint32) {
	c.t.Helper()
	h := ttc.Header{Message: ttc.MessageOneWay, Function: ttc.FunctionSessionRelease}
	c.send((&ttc.SessionRelease{Mode: mode}).AppendTo(h.AppendTo(nil, c.dialect), c.dialect))
}

// awaitReleased waits until no client has a session any more.
func (w *world) awaitReleased() {
	w.t.Helper()
	for end := time.Now().Add(20 * time.Second); len(w.server.Sessions()) > 0; runtime.Gosched() {
		if time.Now().After(end) {
			w.t.Fatalf("%d sessions are held", len(w.server.Sessions()))
		}
	}
}

// whoAmI tells the session one is in, and what the server said of it.
func (c *client) whoAmI() (string, *ttc.SessionReturn) {
	c.t.Helper()
	_, r := c.exec("select sys_context('USERENV','SID') a from dual", options{prefetch: 1})
	return show(r.must(c)), r.returned
}

// A session given back is taken again by the client that had it, unless
// another was faster; then the client is told that its cursors are void.
func TestPooledSessions(t *testing.T) {
	w := newWorld(t, nil)
	a, b := w.dialPooled("C"), w.dialPooled("C")
	sessionA, told := a.whoAmI()
	if told != nil {
		t.Errorf("told of its session without having released one: %+v", told)
	}
	sessionB, _ := b.whoAmI()
	cur, r := a.exec("select 1 a from dual", options{})
	r.must(a)

	a.release(0)
	if got, told := a.whoAmI(); got != sessionA || told == nil || told.Changed {
		t.Errorf("after giving it back: session %s, told %+v; want %s, unchanged", got, told, sessionA)
	}
	a.again(cur, 1).must(a) // its cursor is still there

	a.release(0)
	b.release(0)
	w.awaitReleased()
	third := w.dialPooled("C") // takes one of the two
	if len(w.server.Sessions()) != 1 {
		t.Errorf("%d sessions are held, want 1", len(w.server.Sessions()))
	}
	got, _ := third.whoAmI()
	if got != sessionA && got != sessionB {
		t.Errorf("a new session %s although two were idle", got)
	}
	loser, own := a, sessionA
	if got == sessionB {
		loser, own = b, sessionB
	}
	if now, told := loser.whoAmI(); now == own || told == nil || !told.Changed {
		t.Errorf("session %s, told %+v; want another one than %s", now, told, own)
	}
}

// What one client left open is undone before another gets the session.
func TestReleaseRollsBack(t *testing.T) {
	w := newWorld(t, nil)
	a := w.dialPooled("C")
	a.fill("t", 3)
	cur, r := a.exec("select n from t", options{prefetch: 1})
	r.must(a)
	a.exec("delete from t", options{})
	a.release(0)
	w.awaitReleased()
	b := w.dialPooled("C")
	if got := b.count("t"); got != "3" {
		t.Errorf("%s rows, want 3", got)
	}
	if b.call(ttc.FunctionPing).status.Status&ttc.StatusTransaction != 0 {
		t.Error("a transaction is open")
	}
	b.fetch(&cursorState{id: cur.id}, 1).want(b, ttc.CodeNoDataFound) // the cursor, but not its rows
}

// Class, user and proxy user separate sessions; a new one is wanted by purity.
func TestPoolKeys(t *testing.T) {
	w := newWorld(t, nil)
	first := w.dialPooled("C")
	own, _ := first.whoAmI()
	first.release(0)
	w.awaitReleased()
	if got, _ := w.dialPooled("D").whoAmI(); got == own {
		t.Error("another class got the session")
	}
	if got, _ := w.dialPooled("C", ttc.Pair{Key: ttc.KeyProxyClient, Value: "app"}).whoAmI(); got == own {
		t.Error("another user got the session")
	}
	fresh := w.dialPooled("C", ttc.Pair{Key: ttc.KeyPurity, Value: "1"})
	got, _ := fresh.whoAmI()
	if got == own {
		t.Error("a client that wants a new session got a used one")
	}
	fresh.release(ttc.ReleaseDeauthenticate)
	if again, told := fresh.whoAmI(); again == got || !told.Changed {
		t.Errorf("a session that must be new is used again: %s, %+v", again, told)
	}
	if got, _ := w.dialPooled("C").whoAmI(); got != own {
		t.Errorf("session %s, want the idle one %s", got, own)
	}
}

func TestPoolIsBounded(t *testing.T) {
	w := newWorld(t, func(s *Server) { s.MaxPooled = 1 })
	a, b := w.dialPooled("C"), w.dialPooled("C")
	a.release(0)
	b.release(0)
	a.raw.Close() // its end tells that the releases are done
	if err := w.end(); err != nil {
		t.Error(err)
	}
	b.raw.Close()
	if err := w.end(); err != nil {
		t.Error(err)
	}
	if n := len(w.server.sessions.takeAllIdle()); n != 1 {
		t.Errorf("%d idle sessions, want 1", n)
	}
}

// A session is given back by the way drivers do it: behind a piggyback, twice,
// by a client that is not pooled, and before the end.
func TestReleaseForms(t *testing.T) {
	w := newWorld(t, nil)
	c := w.dialPooled("C")
	cur, r := c.exec("select 1 a from dual", options{})
	r.must(c)
	h := ttc.Header{Message: ttc.MessageOneWay, Function: ttc.FunctionSessionRelease}
	request := ttc.AppendPiggyback(nil, c.dialect, ttc.FunctionCloseCursors, &ttc.Cursors{IDs: []uint32{cur.id}})
	request = (&ttc.SessionRelease{}).AppendTo(h.AppendTo(request, c.dialect), c.dialect)
	c.send(request)
	c.release(0)
	module := "m"
	request = ttc.AppendPiggyback(nil, c.dialect, ttc.FunctionCloseCursors, &ttc.Cursors{IDs: []uint32{cur.id}})
	request = ttc.AppendPiggyback(request, c.dialect, ttc.FunctionEndToEnd, &ttc.EndToEnd{Module: &module})
	c.send(ttc.AppendCall(request, c.dialect, ttc.FunctionPing, nil))
	if r := c.answer(&cursorState{}); r.returned == nil {
		t.Error("the first answer after a release does not tell the session")
	}
	if _, r := c.exec("select sys_context('USERENV','MODULE') a from dual", options{prefetch: 1}); show(r) != "m" {
		t.Errorf("an attribute sent without a session is lost: %s", show(r))
	}
	other := w.dial(Login{})
	before, _ := other.whoAmI()
	other.release(0)
	if after, _ := other.whoAmI(); after == before {
		t.Error("a client that is not pooled keeps a session it gave back")
	}
	h.Function = ttc.FunctionPing // another one-way call, which means nothing
	other.send(h.AppendTo(nil, other.dialect))
	if other.count("dual") != "1" {
		t.Error("the conversation is out of step")
	}
}
