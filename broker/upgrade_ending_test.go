package broker

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"servicebroker/console"
	"servicebroker/descriptor"
	"servicebroker/handover"
	"servicebroker/testenv/authority"
	"servicebroker/tns"
)

// generations are a broker that keeps a session over TLS, which cannot move, and the one that serves.
type generations struct {
	t        *testing.T
	old, new *running
	session  io.ReadWriteCloser
}

func twoGenerations(t *testing.T, drain time.Duration) *generations {
	t.Helper()
	a := authority.New(t)
	old, next := succeedable(t, func(c *Config) {
		c.Addresses = append(c.Addresses, descriptor.Address{Protocol: "tcps", Host: "127.0.0.1"})
		c.TLS.Certificate = a.File("host.pem", a.Host())
		c.DrainTimeout = drain
	})
	old.register("s1", "sales")
	conn, err := (&tls.Dialer{Config: &tls.Config{RootCAs: a.Pool}}).DialContext(t.Context(), "tcp", old.Addresses()[1])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if reply, err := tns.TryService(t.Context(), conn, []byte(sales)); err != nil {
		t.Fatal(err)
	} else if _, ok := reply.(*tns.Accept); !ok {
		t.Fatalf("answered %T", reply)
	}
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	u, err := old.Upgrade(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if u.Left.Clients != 1 {
		t.Fatalf("left are %+v", u.Left)
	}
	return &generations{t, old, <-next, conn}
}

// goesOn tells whether the session does.
func (g *generations) goesOn() bool {
	if _, err := io.WriteString(g.session, "ping"); err != nil {
		return false
	}
	_, err := io.ReadFull(g.session, make([]byte, 4))
	return err == nil
}

// end waits for some generations.
func (g *generations) end(all ...*running) {
	g.t.Helper()
	for _, r := range all {
		select {
		case err := <-r.ended:
			if err != nil {
				g.t.Error(err)
			}
			r.ended <- nil
		case <-time.After(20 * time.Second):
			g.t.Fatal("a generation does not end")
		}
	}
}

// isLeaving waits until the newest generation has begun to end.
func (g *generations) isLeaving() {
	g.t.Helper()
	select {
	case <-g.new.ending:
	case <-time.After(20 * time.Second):
		g.t.Fatal("it does not begin to end")
	}
}

func TestBothGenerationsEndOnceTheirSessionsHave(t *testing.T) {
	g := twoGenerations(t, time.Hour)
	g.new.stop()
	g.isLeaving()
	if !g.goesOn() {
		t.Error("the end of the newest generation has cut what the one before keeps")
	}
	select {
	case <-g.new.ended:
		t.Error("the newest generation ended first")
	default:
	}
	g.session.Close()
	g.end(g.old, g.new)
}

func TestASecondSignalIsForBothGenerations(t *testing.T) {
	g := twoGenerations(t, time.Hour)
	g.new.stop()
	g.isLeaving()
	g.new.abort()
	g.end(g.old, g.new)
	if g.goesOn() {
		t.Error("the session survived")
	}
}

func TestATimeForSessionsIsForBothGenerations(t *testing.T) {
	for name, wish := range map[string]console.ShutdownRequest{"none": {Abort: true}, "a little": {Timeout: new(float64(0.2))}} {
		t.Run(name, func(t *testing.T) {
			g := twoGenerations(t, time.Hour)
			g.new.Shutdown(wish)
			g.end(g.old, g.new)
			if g.goesOn() {
				t.Error("the session survived")
			}
		})
	}
}

// Who is in a hurry after all, is for both.
func TestAnEndCanBeHastened(t *testing.T) {
	g := twoGenerations(t, 0)
	g.new.stop()
	g.isLeaving()
	g.new.Shutdown(console.ShutdownRequest{Timeout: new(float64(3600))})
	g.new.Shutdown(console.ShutdownRequest{Abort: true})
	g.end(g.old, g.new)
}

// A signal to the older process is as polite as any first one, and its second cuts what it has; the newest one goes on.
func TestTheOlderGenerationCanBeEndedAlone(t *testing.T) {
	g := twoGenerations(t, time.Hour)
	g.old.stop()
	if !g.goesOn() {
		t.Error("the first signal has cut the session")
	}
	g.old.abort()
	g.end(g.old)
	if g.goesOn() {
		t.Error("the session survived the second one")
	}
	if _, reply := g.new.ask(sales); reply == nil {
		t.Error("no answer")
	}
}

func TestTheOlderGenerationIsEndedByTheNewest(t *testing.T) {
	g := twoGenerations(t, time.Hour)
	g.new.Shutdown(console.ShutdownRequest{Generation: 1})
	if !g.goesOn() {
		t.Error("it was cut")
	}
	g.new.Shutdown(console.ShutdownRequest{Generation: 1, Abort: true})
	g.end(g.old)
	if _, reply := g.new.ask(sales); reply == nil {
		t.Error("no answer")
	}
}

func TestAThirdGenerationIsRefused(t *testing.T) {
	g := twoGenerations(t, time.Hour)
	g.new.upgrade.patience = time.Millisecond
	for g.new.process.Before.left.Load() == nil { // it is told soon
		if g.new.process.Before.hasEnded() {
			t.Fatal("it has ended")
		}
	}
	_, err := g.new.Upgrade(t.Context())
	problem, ok := err.(*console.APIError)
	if !ok || problem.Status != http.StatusConflict || !strings.Contains(problem.Message, "two generations already: generation 1 (process ") ||
		!strings.Contains(problem.Message, "keeps 1 session until ") || !regexp.MustCompile(`, for (1h0m0s|59m5\ds)`).MatchString(problem.Message) {
		t.Errorf("%v", err)
	}
	if !g.goesOn() {
		t.Error("the session was cut")
	}
	if all := g.new.Generations(); len(all) != 2 || all[0].State != console.GenerationDraining || all[0].Clients != 1 || all[0].Until == nil || all[1].State != console.GenerationServing {
		t.Errorf("%+v", all)
	}
	g.new.upgrade.patience = time.Minute
	g.session.Close()
	if u, err := g.new.Upgrade(t.Context()); err != nil || u.Generation != 3 {
		t.Errorf("once the first one has ended: %+v %v", u, err)
	}
	g.end(g.old)
}

func TestWhatAPredecessorIsToldOfAnEnd(t *testing.T) {
	now := time.Now()
	soon, late := now.Add(time.Minute), now.Add(time.Hour)
	for name, c := range map[string]struct {
		wish   console.ShutdownRequest
		limit  time.Duration // DRAIN_TIMEOUT of the successor
		left   *leftPassed
		want   float64 // seconds; -1: what it has anyway
		aborts bool
	}{
		"it ends sooner":                {limit: 5 * time.Minute, left: &leftPassed{Until: soon}, want: -1},
		"it would take longer":          {limit: 5 * time.Minute, left: &leftPassed{Until: late}, want: 300},
		"it has no bound":               {limit: 5 * time.Minute, left: &leftPassed{}, want: 300},
		"nothing is known of it":        {limit: 5 * time.Minute, want: 300},
		"neither has a bound":           {left: &leftPassed{}, want: -1},
		"as somebody says":              {wish: console.ShutdownRequest{Timeout: new(float64(7))}, limit: time.Second, left: &leftPassed{Until: soon}, want: 7},
		"at once":                       {wish: console.ShutdownRequest{Abort: true}, limit: time.Second, left: &leftPassed{Until: soon}, want: 0, aborts: true},
		"the successor waits for ever":  {left: &leftPassed{Until: late}, want: -1},
		"nothing is known, for ever so": {want: -1},
	} {
		p := &Predecessor{}
		p.left.Store(c.left)
		got := p.within(c.wish, c.limit, now)
		limit, set := got.Limit()
		if set != (c.want >= 0) || set && limit.Seconds() != c.want || got.Abort != c.aborts {
			t.Errorf("%s: %v %v %+v", name, limit, set, got)
		}
	}
}

// A predecessor that neither ends nor answers keeps nobody from ending for ever.
func TestAPredecessorThatHangsIsLeft(t *testing.T) {
	channel, theirs, err := handover.Pair()
	if err != nil {
		t.Fatal(err)
	}
	defer channel.Close()
	defer theirs.Close()
	for name, c := range map[string]struct {
		left  *leftPassed
		told  console.ShutdownRequest
		after time.Duration // a second signal; 0: none
		took  time.Duration
	}{
		"it has told nothing":          {took: moveTime + cutTime},
		"told to cut":                  {left: &leftPassed{Until: time.Now().Add(time.Hour)}, told: console.ShutdownRequest{Abort: true}, took: 2 * cutTime},
		"told a time":                  {left: &leftPassed{}, told: console.ShutdownRequest{Timeout: new(float64(60))}, took: time.Minute + 2*cutTime},
		"its time is over":             {left: &leftPassed{Until: time.Unix(1, 0)}, took: 2 * cutTime},
		"it has no bound, two signals": {left: &leftPassed{}, after: time.Hour, took: time.Hour + cutTime},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := quietBroker()
				b.process.Before = &Predecessor{channel: channel, ended: make(chan struct{})}
				b.process.Before.left.Store(c.left)
				abort, cut := context.WithCancel(t.Context())
				defer cut()
				if c.after > 0 {
					time.AfterFunc(c.after, cut)
				}
				began := time.Now()
				b.endPredecessor(c.told)
				b.awaitPredecessor(abort)
				if took := time.Since(began); took != c.took {
					t.Errorf("it was waited for %v, want %v", took, c.took)
				}
			})
		})
	}
}

// serving is a successor that goes on whatever becomes of whoever started it.
type serving struct {
	once     sync.Once
	killed   chan struct{}
	released bool
}

func (*serving) PID() int      { return 1 }
func (s *serving) Kill()       { s.once.Do(func() { close(s.killed) }) }
func (s *serving) Wait() error { <-s.killed; return nil }
func (s *serving) Release()    { s.released = true }
func (*serving) Ended() bool   { return false }

// Whoever ends after it has handed over leaves the one that serves alone, also where the channel to it broke before: because a record
// was cut short as all that follows a successor was stopped, or long ago.
func TestNobodyEndsASuccessorThatServes(t *testing.T) {
	channel, theirs, err := handover.Pair()
	if err != nil {
		t.Fatal(err)
	}
	_ = theirs.Close()
	<-channel.Over()
	s := &serving{killed: make(chan struct{})}
	(&heir{channel: channel, process: s}).release()
	select {
	case <-s.killed:
		t.Error("it is killed")
	default:
	}
	if !s.released {
		t.Error("it is not let go of")
	}
}

// heirOf is a successor that serves, and the other end of the channel to it.
func heirOf(t *testing.T, process Successor) (*heir, *handover.Channel) {
	t.Helper()
	channel, file, err := handover.Pair()
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := handover.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { channel.Close(); theirs.Close() })
	return &heir{channel: channel, process: process, moved: make(chan struct{}), trial: trial{ending: make(chan struct{})}}, theirs
}

// Where this broker is told to end as its successor begins to serve, it hands over once, and ends as told if that does not last.
func TestAnEndInTheMomentOfCommit(t *testing.T) {
	b, err := New(testConfigFor(t), nil) // it does not run: nobody else hears what is asked
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.closeListeners)
	half := 0.5
	for range 20 { // either may be heard first
		h, theirs := heirOf(t, &serving{})
		b.upgrade.heir.Store(h)
		b.upgrade.committed <- h
		b.asked <- console.ShutdownRequest{Timeout: &half}
		if _, next := b.untilEnd(t.Context(), t.Context()); next != h || len(b.upgrade.committed) > 0 {
			t.Fatalf("it is succeeded by %v, and by %d later", next, len(b.upgrade.committed))
		}
		if h.wish == nil { // the wish is still there
			<-b.asked
		} else if r, err := theirs.Receive(t.Context()); err != nil || r.Kind != recordShutdown || *h.wish.Timeout != half {
			t.Fatalf("told %v, %v", r, err)
		}
	}
}

// Signals come to the generation that has handed over again once nobody else is there.
func TestWhoeverOutlivesItsSuccessorGetsSignals(t *testing.T) {
	b, err := New(testConfigFor(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.closeListeners)
	serves := make(chan int, 2)
	b.process.Serves = func(pid int) { serves <- pid }
	s := &stranger{ended: make(chan struct{}), killed: make(chan struct{})}
	h, theirs := heirOf(t, s)
	var watching sync.WaitGroup
	watching.Go(func() { b.outlive(t.Context(), h) })
	theirs.Close()
	<-h.channel.Over()
	if len(serves) > 0 {
		t.Error("a channel that is over is taken for the end of the process")
	}
	close(s.ended)
	watching.Wait()
	if pid := <-serves; pid != os.Getpid() {
		t.Errorf("%d is said to serve", pid)
	}
}
