package relay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"servicebroker/descriptor"
	"servicebroker/journal"
	"servicebroker/servicetable"
	"servicebroker/tns"
)

// line is a Holding whose places the test moves.
type line struct {
	mu     sync.Mutex
	places []*spot
	refuse error
	behind bool // others wait already
	seen   []string
}

type spot struct {
	line      *line
	request   HoldRequest
	state     PlaceState
	again     []string // causes
	left      int
	connected bool
	moved     bool
}

func (l *line) Waiting(string) bool { l.mu.Lock(); defer l.mu.Unlock(); return l.behind }
func (l *line) Anyone() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.behind || len(l.places) > 0
}
func (l *line) Would(HoldRequest) error { return l.refuse }
func (l *line) Seen(service string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen = append(l.seen, service)
}
func (l *line) count() int        { l.mu.Lock(); defer l.mu.Unlock(); return len(l.places) }
func (l *line) at(i int) *spot    { l.mu.Lock(); defer l.mu.Unlock(); return l.places[i] }
func (p *spot) State() PlaceState { p.line.mu.Lock(); defer p.line.mu.Unlock(); return p.state }
func (p *spot) Again(c string, _ time.Duration) {
	p.line.mu.Lock()
	defer p.line.mu.Unlock()
	if p.again = append(p.again, c); p.state == PlaceGo {
		p.state = PlaceWaiting
	}
}
func (p *spot) Leave(connected bool) {
	p.line.mu.Lock()
	defer p.line.mu.Unlock()
	p.left++
	p.connected = connected
}

func (p *spot) Move() {
	p.line.mu.Lock()
	defer p.line.mu.Unlock()
	p.moved = true
}

func (l *line) Enter(r HoldRequest) (Place, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refuse != nil {
		return nil, l.refuse
	}
	p := &spot{line: l, request: r}
	l.places = append(l.places, p)
	return p, nil
}

// move brings a waiting connect into a state and wakes it.
func (p *spot) move(to PlaceState) {
	p.line.mu.Lock()
	p.state = to
	p.line.mu.Unlock()
	p.request.Wake()
}

func TestHeldUntilTheServiceIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		l := &line{}
		w.Hold = l
		client := w.client(sales)
		synctest.Wait()
		if l.count() != 1 {
			t.Fatalf("%d places taken, want 1", l.count())
		}
		p := l.at(0)
		if r := p.request; r.Service != "sales" || r.Queue != "sales||||||" || r.Wanted || r.Retry != 0 || r.Ready() || len(r.Ref) != 8 {
			t.Errorf("request %+v", r)
		}
		<-time.After(20 * time.Second)
		w.instance("s1", accepts, "sales")
		if !p.request.Ready() {
			t.Error("the service is there, and its line is not ready")
		}
		p.move(PlaceGo)
		if _, ok := w.reply(client).(*tns.Accept); !ok {
			t.Fatal("no ACCEPT after the wait")
		}
		echo(t, client, "hello")
		if p.left != 1 || !p.connected || len(l.seen) != 1 {
			t.Errorf("left %d times, connected %v, seen %v", p.left, p.connected, l.seen)
		}
		e := w.Journal.Recent(1)[0]
		if e.Outcome != journal.Relay || e.Held != 20*time.Second || e.Chosen != "s1@s1.host/DEDICATED" {
			t.Errorf("explained as %+v", e)
		}
		client.NetConn().Close()
		w.running.Wait()
	})
}

// A try in vain keeps its place; the state's own answer is given when the time is up.
func TestHeldInVain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		l := &line{}
		w.Hold = l
		w.instance("s1", nil, "sales")
		client := w.client(sales)
		synctest.Wait()
		p := l.at(0)
		if r := p.request; r.Retry == 0 || len(r.Route) != 1 || r.Answered {
			t.Errorf("instances that do not answer: %+v", r)
		}
		p.move(PlaceGo)
		synctest.Wait()
		if l.count() != 1 || len(p.again) != 1 {
			t.Fatalf("%d places, tried again %v", l.count(), p.again)
		}
		p.move(PlaceExpired)
		if refuse, ok := w.reply(client).(*tns.Refuse); !ok || refuse.Code() != tns.CodeNoListener {
			t.Errorf("answered %v", refuse)
		}
		w.running.Wait()
		if p.left != 1 || p.connected {
			t.Errorf("left %d times, connected %v", p.left, p.connected)
		}
	})
}

func TestHeldClientLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		l := &line{}
		w.Hold = l
		client := w.client(sales)
		synctest.Wait()
		client.NetConn().Close()
		w.running.Wait()
		if p := l.at(0); p.left != 1 || p.connected {
			t.Errorf("left %d times, connected %v", p.left, p.connected)
		}
		l.at(0).request.Wake() // comes too late, and harms nothing
		if e := w.Journal.Recent(1)[0]; e.Outcome != journal.Gone {
			t.Errorf("explained as %s", e.Outcome)
		}
	})
}

// Wake rings once more though the connect has gone on: the session must not notice.
func TestLateBellDisturbsNoSession(t *testing.T) {
	w := newWorld(t)
	l := &line{behind: true}
	w.Hold = l
	w.instance("s1", accepts, "sales")
	near, far := net.Pipe()
	defer near.Close()
	b := bell{raw: far}
	b.arm()
	b.disarm()
	b.ring()
	go func() { _, _ = near.Write([]byte("x")) }()
	if _, err := far.Read(make([]byte, 1)); err != nil {
		t.Errorf("a bell that is not armed interrupts: %v", err)
	}
}

func TestStoppingAnswersTheHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		l := &line{}
		w.Hold = l
		client := w.client(sales)
		synctest.Wait()
		l.at(0).move(PlaceStopped)
		if refuse, ok := w.reply(client).(*tns.Refuse); !ok || refuse.Code() != tns.CodeUnknownService {
			t.Errorf("answered %v", refuse)
		}
		w.running.Wait()
	})
}

func TestNewcomersWaitBehindOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		l := &line{behind: true}
		w.Hold = l
		w.instance("s1", accepts, "sales")
		client := w.client(sales)
		synctest.Wait()
		if l.count() != 1 || len(w.asked) != 0 {
			t.Fatalf("%d places, asked %v: it overtook", l.count(), w.asked)
		}
		l.at(0).move(PlaceGo)
		if _, ok := w.reply(client).(*tns.Accept); !ok {
			t.Error("no ACCEPT")
		}
		client.NetConn().Close()
		w.running.Wait()
	})
}

func TestWhoIsNotHeld(t *testing.T) {
	for name, c := range map[string]struct {
		text    string
		prepare func(*world, *line)
		want    tns.Code
	}{
		"UR=A":            {"(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=sales)(UR=A)))", nil, tns.CodeUnknownService},
		"no service":      {"(DESCRIPTION=(CONNECT_DATA=(CID=(PROGRAM=p))))", nil, tns.CodeNoServiceName},
		"not worth while": {sales, func(_ *world, l *line) { l.refuse = errors.New("never seen") }, tns.CodeUnknownService},
		"off for it": {sales, func(w *world, _ *line) {
			w.Treatment = func(string) Treatment { return Treatment{HoldSet: true} }
		}, tns.CodeUnknownService},
		"refused by rule": {sales, func(w *world, _ *line) {
			w.instance("s1", accepts, "sales")
			w.Rules = inForce()
		}, tns.CodeRuleRejects},
		"final refusal": {sales, func(w *world, _ *line) {
			w.instance("s1", refuses(tns.CodeNoServiceName), "sales")
		}, tns.CodeNoServiceName},
		"wrong server type": {"(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=sales)(SERVER=shared)))", func(w *world, _ *line) {
			w.instance("s1", accepts, "sales")
		}, tns.CodeNoHandlerOfKind},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			l := &line{}
			w.Hold = l
			if c.prepare != nil {
				c.prepare(w, l)
			}
			w.wantCode(c.text, c.want)
			w.running.Wait()
			if l.count() != 0 {
				t.Error("it was held")
			}
		})
	}
}

func TestOperatorsHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		l := &line{}
		w.Hold = l
		why := "hold of sales"
		w.HoldWanted = func(netip.Addr, servicetable.Query) string { return why }
		w.instance("s1", accepts, "sales")
		client := w.client(sales)
		synctest.Wait()
		if l.count() != 1 || !l.at(0).request.Wanted {
			t.Fatalf("held: %d", l.count())
		}
		why = ""
		l.at(0).move(PlaceGo)
		if _, ok := w.reply(client).(*tns.Accept); !ok {
			t.Error("no ACCEPT after the release")
		}
		client.NetConn().Close()
		w.running.Wait()
	})
}

// One that leaves, or whose time is up, while it waits behind others gives its place up too.
func TestLeavingFromBehindOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		l := &line{behind: true}
		w.Hold = l
		client := w.client(sales)
		synctest.Wait()
		other := w.client(sales)
		synctest.Wait()
		client.NetConn().Close()
		l.at(1).move(PlaceStopped)
		w.reply(other)
		w.running.Wait()
		for i := range 2 {
			if p := l.at(i); p.left != 1 || p.connected {
				t.Errorf("place %d: left %d times, connected %v", i, p.left, p.connected)
			}
		}
	})
}

// A client that leaves while instances are dialled is not waited for.
func TestClientLeavesDuringDial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		silent := make(chan struct{})
		w.instance("s1", func(*tns.Conn, *tns.Connect) { <-silent }, "sales")
		began := time.Now()
		client := w.client(sales)
		time.AfterFunc(time.Second, func() { client.NetConn().Close() })
		time.AfterFunc(3*time.Second, func() { close(silent) })
		w.running.Wait()
		if e := w.Journal.Recent(1)[0]; e.Outcome != journal.Gone || e.Took != time.Second {
			t.Errorf("explained as %s after %v", e.Outcome, e.Took)
		}
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// Bytes that a client sends while others are dialled for it are not lost.
func TestEarlyBytesWhileWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.instance("s1", func(conn *tns.Conn, connect *tns.Connect) {
			<-time.After(time.Second)
			accepts(conn, connect)
		}, "sales")
		client := w.client(sales)
		<-time.After(500 * time.Millisecond)
		go func() { _, _ = client.NetConn().Write([]byte("too early")) }()
		if _, ok := w.reply(client).(*tns.Accept); !ok {
			t.Fatal("no ACCEPT")
		}
		echoed(t, client, "too early")
		client.NetConn().Close()
		w.running.Wait()
	})
}

// Once Settled has returned, no connection to what is out of use comes about any more.
func TestSettledWaitsForAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		goOn := make(chan struct{})
		w.instance("s1", func(conn *tns.Conn, connect *tns.Connect) { <-goOn; accepts(conn, connect) }, "sales")
		client := w.client(sales)
		synctest.Wait()
		all := func(servicetable.Candidate, netip.Addr) bool { return true }
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.Settled(short, all); err == nil {
			t.Error("settled while an attempt is under way")
		}
		if err := w.Settled(t.Context(), func(servicetable.Candidate, netip.Addr) bool { return false }); err != nil {
			t.Error("what does not match is waited for")
		}
		close(goOn)
		if !isAccept(w.reply(client)) {
			t.Error("the attempt came to nothing")
		}
		if err := w.Settled(t.Context(), all); err != nil || len(w.Sessions()) != 1 {
			t.Errorf("settled with %d sessions: %v", len(w.Sessions()), err)
		}
		client.NetConn().Close()
		w.running.Wait()
	})
}

// An instance taken out of use between the choice and the attempt gets no connection.
func TestOverruledAtTheLastMoment(t *testing.T) {
	w := newWorld(t)
	w.instance("s1", accepts, "sales")
	w.Order = func(_ Placing, c []servicetable.Candidate) Reservation {
		w.table.Mark("s1@s1.host", servicetable.Mark{Kind: servicetable.Draining})
		return &inOrder{w, c}
	}
	w.wantCode(sales, tns.CodeBlocked)
	if len(w.asked) != 0 {
		t.Errorf("dialled %v", w.asked)
	}
	w.table.Unmark("s1@s1.host", servicetable.Draining)
	w.Order = func(_ Placing, c []servicetable.Candidate) Reservation {
		w.table.Mark("s1@s1.host/DEDICATED", servicetable.Mark{Kind: servicetable.Ejected})
		return &inOrder{w, c}
	}
	client := w.client(sales)
	if !isAccept(w.reply(client)) {
		t.Error("an ejection keeps a connect away that has nothing else")
	}
	client.NetConn().Close()
}

func TestPatience(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=s)))":                                           0,
		"(DESCRIPTION=(CONNECT_TIMEOUT=5)(CONNECT_DATA=(SERVICE_NAME=s)))":                        4500 * time.Millisecond,
		"(DESCRIPTION=(CONNECT_TIMEOUT=800 ms)(CONNECT_DATA=(SERVICE_NAME=s)))":                   500 * time.Millisecond,
		"(DESCRIPTION=(CONNECT_TIMEOUT=2min)(CONNECT_DATA=(SERVICE_NAME=s)))":                     119500 * time.Millisecond,
		"(DESCRIPTION=(TRANSPORT_CONNECT_TIMEOUT=3)(CONNECT_DATA=(SERVICE_NAME=s)))":              0,
		"(DESCRIPTION=(CONNECT_TIMEOUT=0)(CONNECT_DATA=(SERVICE_NAME=s)))":                        0,
		"(DESCRIPTION=(CONNECT_TIMEOUT=forever)(CONNECT_DATA=(SERVICE_NAME=s)))":                  0,
		"(DESCRIPTION_LIST=(DESCRIPTION=(CONNECT_TIMEOUT=10sec)(CONNECT_DATA=(SERVICE_NAME=s))))": 9500 * time.Millisecond,
		"(DESCRIPTION=(CONNECT_TIMEOUT=-3)(CONNECT_DATA=(SERVICE_NAME=s)))":                       0,
		"(DESCRIPTION=(CONNECT_TIMEOUT=1e99)(CONNECT_DATA=(SERVICE_NAME=s)))":                     0,
	} {
		if got := patience(parse(t, text)); got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
}

// Those who wait for the instances of one network, or for one that ends TLS itself, are in nobody else's way.
func TestLinesOfDifferentNeeds(t *testing.T) {
	w := newWorld(t)
	lines := map[string]bool{}
	for _, d := range []*dialogue{{}, {network: "blue"}, {network: "red"}, {hello: []byte("hello")}, {network: "red", hello: []byte("hello")}} {
		d.query.Service = "sales"
		lines[w.queue(d, standing{})] = true
	}
	if len(lines) != 5 {
		t.Errorf("lines %v", lines)
	}
}

// What an instance alone looks at makes another line, of which there are a few, whatever clients make up.
func TestLinesOfDifferentConnectData(t *testing.T) {
	w := newWorld(t)
	lineOf := func(more string) string {
		d := &dialogue{asked: parse(t, "(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=sales)"+more+"))")}
		d.query.Service = "sales"
		return w.queue(d, standing{})
	}
	plain := lineOf("")
	for _, same := range []string{"(CID=(PROGRAM=p)(HOST=h)(USER=u))", "(connection_id=6bFzuVzcT1mSq8dUpMTX2g==)", "(SID=x)", "(COLOCATION_TAG=a)", "(POOL_PURITY=new)"} {
		if lineOf(same) != plain {
			t.Errorf("%s waits in another line", same)
		}
	}
	for _, other := range []string{"(HANDLER_NAME=x)", "(instance_role=primary)", "(PRESENTATION=http)"} {
		if lineOf(other) == plain {
			t.Errorf("%s waits in the line of all others", other)
		}
	}
	if lineOf("(HANDLER_NAME=b)(SESSION=(D=e))") != lineOf("(session=(d=E))(handler_name=B)") {
		t.Error("the order of parts or their case makes another line")
	}
	lines := map[string]bool{}
	for i := range 1000 {
		lines[lineOf(fmt.Sprintf("(HANDLER_NAME=x%d)", i))] = true
	}
	if len(lines) != kindsAsked {
		t.Errorf("%d lines, want %d", len(lines), kindsAsked)
	}
}

// What the configuration leads elsewhere meanwhile is worth a try, whatever the table says.
func TestAWayIsFoundWhileHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := routed(t)
		l := &line{}
		w.Hold = l
		var routes atomic.Pointer[Routes]
		w.Routes = func() *Routes { return routes.Load() }
		w.hop("10.9.0.1:1521", accepts)
		client := w.client(sales)
		synctest.Wait()
		p := l.at(0)
		if p.request.Ready() {
			t.Error("nobody offers the service")
		}
		routes.Store(CompileRoutes(Routes{Aliases: map[string]*descriptor.Node{"SALES": nodeOf(t, "(DESCRIPTION="+stop("db1")+"(CONNECT_DATA=(SERVICE_NAME=real)))")}}))
		if !p.request.Ready() {
			t.Error("an alias leads to it")
		}
		p.move(PlaceGo)
		if m := w.reply(client); !isAccept(m) {
			t.Errorf("%v", m)
		}
		client.NetConn().Close()
		w.running.Wait()
	})
}
