package relay

import (
	"bytes"
	"encoding/json"
	"errors"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"servicebroker/journal"
	"servicebroker/limits"
	"servicebroker/tns"
)

// shared is a connection that another process has as well: it goes on when it is closed here.
type shared struct{ net.Conn }

func (shared) Close() error { return nil }

// departed is a client on its way, as text.
type departed struct {
	before []byte
	read   []byte
}

// wandering is a client of one world that can go to another.
type wandering struct {
	*tns.Conn
	far  net.Conn
	went chan departed // has room for one
	stay error         // why it is declined; nil: it is taken
	over chan struct{} // closed when it is no longer served where it was
}

// wander begins to serve a client that can leave.
func (w *world) wander(text string, stay error) *wandering {
	near, far := net.Pipe()
	w.t.Cleanup(func() { near.Close() })
	one := &wandering{Conn: tns.NewConn(near), far: far, went: make(chan departed, 1), stay: stay, over: make(chan struct{})}
	connect := tns.NewConnect([]byte(text))
	connect.SDU32, connect.HeaderFlags = 4711, tns.FlagRedirected
	w.running.Go(func() {
		defer close(one.over)
		w.serve(w.t.Context(), tns.NewConn(shared{far}), connect, Arrival{Depart: one.depart})
	})
	return one
}

func (one *wandering) depart(before *Before, read []byte) error {
	text, err := json.Marshal(before)
	if err == nil {
		one.went <- departed{text, read}
		err = one.stay
	}
	return err
}

// arrive goes on with a client that has left another world.
func (w *world) arrive(one *wandering, d departed) {
	w.t.Helper()
	before := new(Before)
	if err := json.Unmarshal(d.before, before); err != nil {
		w.t.Fatal(err)
	}
	conn := tns.NewConn(one.far)
	conn.TakeOver(0, d.read)
	w.running.Go(func() {
		connect, err := conn.ReadConnect()
		if err != nil || connect.SDU32 != 4711 || connect.HeaderFlags != tns.FlagRedirected {
			w.t.Errorf("CONNECT: %+v, %v", connect, err)
			one.far.Close()
			return
		}
		w.serve(w.t.Context(), conn, connect, Arrival{Before: before})
	})
}

// A client that is held goes on where it leaves to, as if it had been there from the beginning, and is told of there alone.
func TestAHeldClientDeparts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, next := newWorld(t), newWorld(t)
		here, there := &line{}, &line{}
		w.Hold, next.Hold = here, there
		w.Report = func(r *ConnectReport) { t.Errorf("reported where it left: %+v", r.Explanation) }
		w.instance("s1", refuses(tns.CodeBlocked), "sales")
		began := time.Now()
		one := w.wander(sales, nil)
		synctest.Wait()
		<-time.After(20 * time.Second)
		_, _ = one.NetConn().Write([]byte("early"))
		synctest.Wait()
		w.Depart()
		<-one.over
		if p := here.at(0); !p.moved || p.left != 0 {
			t.Errorf("its place: %+v", p)
		}
		d := <-one.went
		var before Before
		if err := json.Unmarshal(d.before, &before); err != nil || before.Ref != here.at(0).request.Ref || before.Waited != 20*time.Second ||
			!before.Began.Equal(began) || !before.Held.Equal(began) || len(before.Attempts) != 1 || !bytes.HasSuffix(d.read, []byte("early")) {
			t.Errorf("%s, %v, %q", d.before, err, d.read)
		}
		<-time.After(time.Second) // on its way
		next.arrive(one, d)
		synctest.Wait()
		if r := there.at(0).request; r.Ref != before.Ref || !r.Since.Equal(began) || !here.at(0).request.Since.IsZero() {
			t.Errorf("held as %+v", r)
		}
		<-time.After(4 * time.Second)
		next.instance("s1", accepts, "sales")
		there.at(0).move(PlaceGo)
		if _, ok := next.reply(one.Conn).(*tns.Accept); !ok {
			t.Fatal("no ACCEPT after the wait")
		}
		echo(t, one.Conn, "")
		e := next.Journal.ByRef(before.Ref)
		if e == nil || e.Outcome != journal.Relay || e.Held != 25*time.Second || e.Took != 25*time.Second || len(e.Attempts) != 2 || !e.Time.Equal(began) {
			t.Errorf("explained as %+v", e)
		}
		if w.Journal.ByRef(before.Ref) != nil || len(w.Sessions()) != 0 {
			t.Error("it is explained, or goes on, where it left as well")
		}
	})
}

// Who is about to wait, or to be served, after all are to leave does so first; who is declined is served, and offered again to another one only.
func TestClientsDepartBeforeTheyAreServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		l := &line{}
		w.Hold = l
		w.Depart()
		w.instance("s1", accepts, "sales")
		gone := w.wander(sales, nil)
		<-gone.over
		if d := <-gone.went; len(w.asked) != 0 || len(d.read) == 0 {
			t.Errorf("asked %q for one that left", w.asked)
		}
		gone.far.Close()
		w.table.Drop("s1")
		kept := w.wander(sales, errors.New("no"))
		synctest.Wait()
		if <-kept.went; l.count() != 1 {
			t.Fatalf("%d places", l.count())
		}
		w.Keep()
		w.Depart() // to another one
		if len(kept.went) != 1 {
			t.Error("it is not offered to the next one")
		}
		<-kept.went
		w.instance("s1", accepts, "sales")
		l.at(0).move(PlaceGo)
		if _, ok := w.reply(kept.Conn).(*tns.Accept); !ok || l.at(0).moved {
			t.Error("not served")
		}
		kept.NetConn().Close()
		<-kept.over
		if len(w.departing.waiting) != 0 || len(kept.went) != 0 {
			t.Errorf("%d are waited for", len(w.departing.waiting))
		}
		kept.far.Close()
	})
}

// Who waits for a turn leaves when it has come, and needs no other one.
func TestAClientDepartsWithItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, next := newWorld(t), newWorld(t)
		for _, one := range []*world{w, next} {
			one.instance("s1", accepts, "sales")
			one.limit(map[limits.Kind]limits.Limit{limits.OfService: {Rate: 1, Wait: 5 * time.Second}})
		}
		_ = w.reply(w.client(sales)) // the second's worth
		began := time.Now()
		one := w.wander(sales, nil)
		synctest.Wait()
		w.Depart()
		d := <-one.went
		if waited := time.Since(began); waited < 900*time.Millisecond || waited > 1100*time.Millisecond {
			t.Errorf("it left after %v", waited)
		}
		var before Before
		if err := json.Unmarshal(d.before, &before); err != nil || !slices.Equal(before.Through, []limits.Kind{limits.OfService}) {
			t.Errorf("%s, %v", d.before, err)
		}
		_ = next.reply(next.client(sales))
		began = time.Now()
		next.arrive(one, d)
		if _, ok := next.reply(one.Conn).(*tns.Accept); !ok || time.Since(began) != 0 {
			t.Errorf("served after %v", time.Since(began))
		}
		one.NetConn().Close()
	})
}

// A sealed client leaves with the beginning of its handshake.
func TestASealedClientDeparts(t *testing.T) {
	s := newSealedWorld(t)
	s.Depart()
	near, far := net.Pipe()
	defer near.Close()
	var read []byte
	s.ServeSealed(t.Context(), far, Sealed{Service: "sales", Hello: hello}, s.waitedFor(Arrival{Depart: func(_ *Before, b []byte) error {
		read = b
		return nil
	}}))
	if !bytes.Equal(read, hello) {
		t.Errorf("it left with %q", read)
	}
}
