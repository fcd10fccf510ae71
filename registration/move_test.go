package registration

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"servicebroker/servicetable"
	"servicebroker/tns"
)

// tester is what tests and rapid's have in common.
type tester interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
	Errorf(string, ...any)
}

// tcpPair returns both ends of a connection over the loopback interface.
func tcpPair(t tester) (ours, theirs net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if theirs, err = net.Dial("tcp", l.Addr().String()); err == nil {
		ours, err = l.Accept()
	}
	if err != nil {
		t.Fatal(err)
	}
	return ours, theirs
}

// generations are brokers that follow each other, with one table that stands for all of theirs.
type generations struct {
	t       tester
	table   *table
	logged  *logged
	applied chan struct{} // one for each change
	adopted []servicetable.Registration
	servers []*Server
	serving sync.WaitGroup
	declare func() error // what the next one says to an offer; nil: nothing against it
	mu      sync.Mutex   // guards adopted
}

func newGenerations(t tester) *generations {
	g := &generations{t: t, table: &table{now: map[servicetable.ID]servicetable.Registration{}}, logged: &logged{}, applied: make(chan struct{}, 1000)}
	g.next()
	return g
}

// next starts a further generation, and returns it.
func (g *generations) next() *Server {
	s := &Server{VSNNUM: tns.VersionNumber(19), Admit: &Admission{Interfaces: func() ([]netip.Prefix, error) { return nil, nil }}}
	s.Apply = func(r servicetable.Registration) {
		g.table.apply(r)
		g.applied <- struct{}{}
	}
	s.Adopt = func(r servicetable.Registration) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.adopted = append(g.adopted, r)
	}
	s.Drop = g.table.drop
	s.Report = g.table.report
	s.Log = slog.New(slog.NewTextHandler(g.logged, nil))
	if n := len(g.servers); n > 0 {
		s.Series = fmt.Sprintf("g%d.", n+1)
	}
	g.servers = append(g.servers, s)
	return s
}

func (g *generations) newest() *Server { return g.servers[len(g.servers)-1] }

// offerTo passes what is offered to s, as between processes.
func (g *generations) offerTo(s *Server) func(context.Context, *MovedRegistration, []*os.File) error {
	return func(_ context.Context, m *MovedRegistration, files []*os.File) error {
		if g.declare != nil {
			if err := g.declare(); err != nil {
				return err
			}
		}
		content, err := json.Marshal(m)
		if err != nil {
			return err
		}
		var read MovedRegistration
		if err := json.Unmarshal(content, &read); err != nil {
			return err
		}
		resumed, err := s.Resume(&read, files)
		if err != nil {
			return err
		}
		g.serving.Go(func() { _ = resumed.Serve(context.Background()) })
		return nil
	}
}

// connects opens a registrant's connection to the newest generation; what it sends is up to the caller.
func (g *generations) connects() net.Conn {
	ours, theirs := tcpPair(g.t)
	connect := &tns.Connect{Version: 313, Lowest: 300, SDU: 2048, TDU: 0x7fff, One: [2]byte{1, 0}, Flags0: 0x0c, Flags1: 0x0c, Offset: 58, Data: []byte(plainConnect)}
	s := g.newest()
	g.serving.Go(func() { _ = s.Serve(context.Background(), tns.NewConn(ours), connect) })
	if m, err := tns.NewConn(theirs).ReadReply(); err != nil {
		g.t.Fatal(err)
	} else if _, ok := m.(*tns.Accept); !ok {
		g.t.Fatalf("answered with %T", m)
	}
	return theirs
}

// awaitApplied returns once so many changes more have been made.
func (g *generations) awaitApplied(n int) {
	g.t.Helper()
	limit := time.NewTimer(20 * time.Second)
	defer limit.Stop()
	for i := range n {
		select {
		case <-g.applied:
		case <-limit.C:
			g.t.Fatalf("%d changes of %d", i, n)
		}
	}
}

// over ends a registrant's connection and waits until nobody serves any more.
func (g *generations) over(c net.Conn) {
	_ = c.Close()
	g.serving.Wait()
}

// stream is what a registrant sends: the messages cut into packets anywhere, after which it makes so many changes.
func genStream(t *rapid.T) (stream []byte, changes int) {
	real := recording(nilTB{}, "sid_4")
	var said []byte
	for range rapid.IntRange(1, 5).Draw(t, "messages") {
		switch rapid.SampledFrom([]string{"real", "load", "load", "other"}).Draw(t, "message") {
		case "real":
			said = append(said, real...)
		case "load":
			said = append(said, encode(nilTB{}, sales("one", rapid.Uint32Range(0, 100).Draw(t, "load")))...)
		case "other":
			said = append(said, recording(nilTB{}, "constructed-64be")...)
		}
		changes++
	}
	for len(said) > 0 {
		n := rapid.IntRange(1, len(said)).Draw(t, "packet")
		stream, said = tns.AppendData(stream, 0, said[:n], 2048, false), said[n:]
	}
	return stream, changes
}

// nilTB is for helpers that cannot fail here.
type nilTB struct{ testing.TB }

func (nilTB) Helper()           {}
func (nilTB) Fatal(args ...any) { panic(fmt.Sprint(args...)) }

// anonymous is r without what differs between two connections.
func anonymous(r servicetable.Registration) servicetable.Registration {
	r.ID, r.ArrivedOn, r.RegisteredAt, r.LoadAt = "", "", time.Time{}, time.Time{}
	return r
}

var alike = cmp.Options{cmp.Comparer(servicetable.Weight.Equal), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })}

// Whatever is cut where, and moved when, however often: the table is as if nothing had ever moved.
func TestMovedAnywhereItSaysTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		stream, changes := genStream(t)
		still := newGenerations(t)
		c := still.connects()
		if _, err := c.Write(stream); err != nil {
			t.Fatal(err)
		}
		still.awaitApplied(changes)
		want := still.table.registered()
		still.over(c)

		g := newGenerations(t)
		c = g.connects()
		id := servicetable.ID("")
		for rest := stream; len(rest) > 0; {
			n := rapid.IntRange(0, len(rest)).Draw(t, "written")
			if _, err := c.Write(rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
			before := g.newest()
			declined := rapid.IntRange(0, 3).Draw(t, "declined") == 0
			if g.declare = nil; declined {
				g.declare = func() error { return errors.New("not now") }
			}
			moved, stayed := before.Move(context.Background(), g.offerTo(g.next()))
			if declined {
				g.servers = g.servers[:len(g.servers)-1]
				before.Keep()
			}
			if declined && (moved != 0 || stayed != 1) || !declined && (moved != 1 || stayed != 0) {
				t.Fatalf("%d moved, %d stayed; declined: %v", moved, stayed, declined)
			}
			if all := g.table.registered(); len(all) > 0 {
				if len(all) != 1 || id != "" && all[0].ID != id {
					t.Fatalf("registered by then: %v, and %s before", all, id)
				}
				id = all[0].ID
			}
		}
		g.awaitApplied(changes)
		got := g.table.registered()
		if len(got) != len(want) || cmp.Diff(anonymous(want[0]), anonymous(got[0]), alike) != "" {
			t.Fatal(cmp.Diff(want, got, alike))
		}
		g.over(c)
		for _, kind := range []EventKind{Registered, Updated, Died} {
			if n, want := g.table.count(kind), still.table.count(kind); n != want {
				t.Errorf("told %d times of kind %d, and %d times if nothing moves", n, kind, want)
			}
		}
		if len(g.table.registered()) != 0 {
			t.Error("it is still there after its end")
		}
		for _, r := range g.adopted {
			if r.ID != got[0].ID || r.RegisteredAt.IsZero() {
				t.Errorf("adopted as %+v", r)
			}
		}
	})
}

func TestMoveKeepsWhatWasSaid(t *testing.T) {
	g := newGenerations(t)
	old := g.newest()
	c := g.connects()
	say := func(messages ...[]byte) {
		if _, err := c.Write(tns.AppendData(nil, 0, bytes.Join(messages, nil), 2048, false)); err != nil {
			t.Fatal(err)
		}
	}
	say(encode(t, sales("one", 1)), encode(t, sales("one", 2))[:70])
	g.awaitApplied(1)
	before := g.table.registered()[0]
	if moved, stayed := old.Move(t.Context(), g.offerTo(g.next())); moved != 1 || stayed != 0 {
		t.Fatalf("%d moved, %d stayed", moved, stayed)
	}
	say(encode(t, sales("one", 2))[70:])
	g.awaitApplied(1)
	after := g.table.registered()[0]
	if after.ID != before.ID || !after.RegisteredAt.Equal(before.RegisteredAt) || !after.LoadAt.After(before.LoadAt) || after.Load != 2 || after.Peer != before.Peer {
		t.Errorf("%+v\nbefore: %+v", after, before)
	}
	if diff := cmp.Diff([]string{"apply one", "apply one"}, g.table.history); diff != "" {
		t.Error(diff)
	}
	if log := g.logged.String(); strings.Contains(log, "died") || strings.Count(log, "database registered") != 1 {
		t.Errorf("logged\n%s", log)
	}
	if n := g.newest().Registrants(); n != 1 {
		t.Errorf("%d places taken in the new one", n)
	}
	g.over(c)
	if g.table.count(Registered) != 1 || g.table.count(Updated) != 1 {
		t.Errorf("events: %v", g.table.events)
	}
	if old.Registrants() != 0 || g.newest().Registrants() != 0 {
		t.Errorf("%d places taken in the old one in the end, %d in the new", old.Registrants(), g.newest().Registrants())
	}
}

// The place that a moved one takes is taken, and no later one gets its ID.
func TestMovedOnesCount(t *testing.T) {
	g := newGenerations(t)
	old, next := g.newest(), g.next()
	g.servers = g.servers[:1]
	c := g.connects()
	next.MaxPerPeer = 1
	if moved, _ := old.Move(t.Context(), g.offerTo(next)); moved != 1 {
		t.Fatal("it did not move")
	}
	g.servers = append(g.servers, next)
	ours, theirs := tcpPair(t)
	defer theirs.Close()
	g.serving.Go(func() { _ = next.Serve(context.Background(), tns.NewConn(ours), tns.NewConnect([]byte(plainConnect))) })
	if m, err := tns.NewConn(theirs).ReadReply(); err != nil {
		t.Error(err)
	} else if _, refused := m.(*tns.Refuse); !refused {
		t.Errorf("one too many is answered with %T", m)
	}
	peer := netip.MustParseAddrPort("10.0.0.1:7")
	if a, b := old.newID(peer), next.newID(peer); a == b || !strings.HasSuffix(string(b), "g2.1-10.0.0.1:7") {
		t.Errorf("%s and %s", a, b)
	}
	theirs.Close()
	g.over(c)
}

// Who begins after all were asked to move, moves as soon as it was accepted.
func TestMovesWhatBeginsLater(t *testing.T) {
	g := newGenerations(t)
	old := g.newest()
	next := g.next()
	g.servers = g.servers[:1]
	if moved, stayed := old.Move(t.Context(), g.offerTo(next)); moved+stayed != 0 {
		t.Fatalf("%d moved, %d stayed of none", moved, stayed)
	}
	c := g.connects()
	if _, err := c.Write(tns.AppendData(nil, 0, encode(t, sales("one", 1)), 2048, false)); err != nil {
		t.Fatal(err)
	}
	g.awaitApplied(1)
	if next.Registrants() != 1 {
		t.Errorf("%d served by the next", next.Registrants())
	}
	g.over(c)
}

func TestWhatCannotMoveStays(t *testing.T) {
	b := newBroker(t) // on pipes
	r := b.connects(t, "127.0.0.1:1").accepted()
	r.says(encode(t, sales("one", 1)))
	r.says(nil) // so that the message is taken
	offered := func(context.Context, *MovedRegistration, []*os.File) error {
		t.Error("it was offered")
		return nil
	}
	if moved, stayed := b.Move(t.Context(), offered); moved != 0 || stayed != 1 {
		t.Errorf("%d moved, %d stayed", moved, stayed)
	}
	r.says(encode(t, sales("one", 2)))
	r.says(nil)
	if got := b.registered(); len(got) != 1 || got[0].Load != 2 {
		t.Errorf("%+v", got)
	}
	if err := r.leaves(); err != nil {
		t.Error(err)
	}
}

// One that is busy for longer than there is time stays, and so does one whose offer is never answered.
func TestMoveEndsInTime(t *testing.T) {
	g := newGenerations(t)
	old := g.newest()
	busy, goOn := make(chan struct{}, 8), make(chan struct{})
	apply := old.Apply
	old.Apply = func(r servicetable.Registration) {
		busy <- struct{}{}
		<-goOn
		apply(r)
	}
	first := g.connects()
	if _, err := first.Write(tns.AppendData(nil, 0, encode(t, sales("one", 1)), 2048, false)); err != nil {
		t.Fatal(err)
	}
	<-busy
	second := g.connects()
	ctx, cancel := context.WithCancel(t.Context())
	moved, stayed := old.Move(ctx, func(ctx context.Context, _ *MovedRegistration, _ []*os.File) error {
		cancel() // while the second is offered, the first is still busy
		<-ctx.Done()
		return ctx.Err()
	})
	if moved != 0 || stayed != 2 {
		t.Errorf("%d moved, %d stayed", moved, stayed)
	}
	old.Keep()
	close(goOn)
	g.awaitApplied(1)
	if _, err := second.Write(tns.AppendData(nil, 0, encode(t, sales("two", 1)), 2048, false)); err != nil {
		t.Fatal(err)
	}
	g.awaitApplied(1)
	_ = first.Close()
	g.over(second)
}

// One that ends while it is asked to move neither moved nor stayed.
func TestMoveOfOneThatEnds(t *testing.T) {
	var r reading
	done := make(chan outcome, 1)
	wish := &relocation{done: done}
	if !r.ask(wish) || r.ask(&relocation{}) || !r.interrupted() {
		t.Error("it cannot be asked once")
	}
	r.end().answer(ended)
	if <-done != ended || r.ask(wish) || r.withdraw(wish) || r.take() != nil {
		t.Error("asked after its end")
	}
}
