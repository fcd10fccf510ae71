package broker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"servicebroker/console"
	"servicebroker/handover"
	"servicebroker/intent"
	"servicebroker/journal"
	"servicebroker/servicetable"
	"servicebroker/tns"
)

// mortal is a successor that dies at a certain moment, with all that it has by then.
type mortal struct {
	t     *testing.T
	lives func(step string) bool
	ended chan struct{}

	killed chan struct{} // closed when it is
	kill   sync.Once
}

func (*mortal) PID() int      { return os.Getpid() }
func (m *mortal) Kill()       { m.kill.Do(func() { close(m.killed) }) }
func (m *mortal) Wait() error { <-m.ended; return errors.New("signal: killed") }
func (*mortal) Release()      {}
func (m *mortal) Ended() bool { return isClosed(m.ended) }

// run is its life. It says before each step what that would be.
func (m *mortal) run(file *os.File) {
	defer close(m.ended)
	channel, err := handover.Open(file)
	if err != nil {
		m.t.Error(err)
		return
	}
	var has []*os.File
	defer func() { closeFiles(has) }()
	defer channel.Close() // first: else what it gives back seems to be lost by the peers
	ctx := context.Background()
	say := func(step string) bool {
		return m.lives(step) && channel.Send(ctx, step, struct{}{}) == nil
	}
	if !m.lives("hello") {
		return
	}
	if _, _, err := channel.Greet(ctx, handover.Hello{Program: programName, Version: "2", PID: os.Getpid(), Oldest: oldestFormat, Newest: newestFormat}); err != nil {
		m.t.Error(err)
		return
	}
	for {
		r, err := channel.Receive(ctx)
		if err != nil {
			return
		}
		has = append(has, r.Files...)
		switch r.Kind {
		case recordPrepared:
			if !say(recordReady) {
				return
			}
		case recordCommit:
			if !say(recordServing) || !m.lives("trial") {
				return
			}
		case movedRegistration, "session":
			if !m.lives("offered " + r.Kind) {
				return
			}
			if !m.lives("answers " + r.Kind) {
				select {
				case <-m.killed:
				case <-channel.Over():
					if !isClosed(m.killed) {
						m.t.Error("it could believe to be alone before it was killed")
					}
				}
				return
			}
			released := make(chan error, 1)
			r.TakeThen(func(err error) { released <- err })
			if !m.lives("taken " + r.Kind) {
				return
			}
			<-released
			if !m.lives("released " + r.Kind) {
				return
			}
		default:
			_ = r.Take()
		}
	}
}

// succeededBy makes a broker of which the first successor is a mortal one, and counts how often it tells that it serves.
func succeededBy(t *testing.T, lives func(step string) bool) (r *running, told *atomic.Uint64) {
	t.Helper()
	config := testConfig(t, func(c *Config) { c.HoldTimeout = 0 })
	told = new(atomic.Uint64)
	b, err := NewIn(Process{Notify: func(state string) {
		if strings.HasPrefix(state, fmt.Sprintf("READY=1\nMAINPID=%d\n", os.Getpid())) {
			told.Add(1)
		}
	}, Start: func(file *os.File) (Successor, error) {
		own, err := dup(file)
		if err != nil {
			return nil, err
		}
		m := &mortal{t: t, lives: lives, ended: make(chan struct{}), killed: make(chan struct{})}
		go m.run(own)
		return m, nil
	}}, config, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	b.upgrade.trial, b.upgrade.settle, b.upgrade.answers = time.Minute, time.Minute, time.Minute // it dies long before
	return run(t, b), told
}

// alive tells whether a session is.
func alive(c net.Conn) bool {
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, "ping"); err != nil {
		return false
	}
	_, err := io.ReadFull(c, make([]byte, 4))
	return err == nil
}

// Whenever a successor dies before it has proven itself, the broker goes on, with all that the successor had not taken.
func TestASuccessorThatDies(t *testing.T) {
	const open = 20
	for step, c := range map[string]struct {
		after  int  // so many such steps before
		served bool // it had begun to
		lost   int  // sessions
	}{
		"hello":                      {},
		recordReady:                  {},
		recordServing:                {},
		"trial":                      {served: true},
		"offered registration":       {served: true},
		"taken registration":         {served: true},
		"offered session":            {served: true},
		"taken session":              {served: true},
		"offered session, the tenth": {after: 9, served: true, lost: 9},
		"released session":           {after: open - 1, served: true, lost: open},
		"answers session":            {served: true},
	} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			name, _, _ := strings.Cut(step, ",")
			steps, dead := 0, false
			r, told := succeededBy(t, func(next string) bool {
				if next == name {
					steps++
				}
				dead = dead || steps > c.after
				return !dead
			})
			if strings.HasSuffix(name, "registration") || strings.HasSuffix(name, "session") {
				r.upgrade.trial = 100 * time.Millisecond
			}
			if name == "answers session" {
				r.upgrade.answers = time.Second
			}
			r.register("s1", "sales")
			var sessions []net.Conn
			for range open {
				one, _ := r.session("sales")
				sessions = append(sessions, one)
			}
			_, err := r.Upgrade(t.Context())
			problem := new(console.APIError)
			if !errors.As(err, &problem) || problem.Status != 502 || c.served != strings.Contains(problem.Hint, "serves again") {
				t.Fatalf("%+v", err)
			}
			live := 0
			for _, one := range sessions {
				if alive(one) {
					live++
				}
			}
			if lost := open - live; lost < c.lost || lost > c.lost+1 || c.lost == 0 && strings.HasPrefix(name, "offered") && lost > 0 { // one may be let go of as it dies
				t.Errorf("%d sessions were lost, want %d", lost, c.lost)
			}
			r.goesOn(live)
			if n := told.Load(); c.served != (n == 2) {
				t.Errorf("it was told %d times that it serves", n)
			}
		})
	}
}

// goesOn checks that a broker serves as if there had been no successor, with so many sessions.
func (r *running) goesOn(sessions int) {
	t := r.t
	t.Helper()
	if r.upgrade.heir.Load() != nil || len(r.Generations()) != 1 || r.Generations()[0].State != console.GenerationServing {
		t.Errorf("%+v", r.Generations())
	}
	if n := r.relaySessionCount(); n != sessions {
		t.Errorf("%d sessions", n)
	}
	r.await(func(s *servicetable.Snapshot) bool { // the database has come again, where it had to
		e, err := s.Service("sales")
		return err == nil && len(e.Instances) == 1 && !e.Instances[0].Registration.Stale && r.open.count()["registration"] == 1
	})
	c, reply := r.ask(sales)
	if _, ok := reply.(*tns.Accept); !ok {
		t.Fatalf("a client is answered %T %v", reply, reply)
	}
	if !alive(c.NetConn()) {
		t.Error("its session does not go on")
	}
	if open := r.carried.begun.Load() - r.carried.over.Load(); open != uint64(sessions)+1 {
		t.Errorf("%d sessions are counted", open)
	}
	if e := r.journal.Events(journal.Filter{Kinds: []journal.Kind{journal.UpgradeFailed}}); len(e) != 1 {
		t.Errorf("%+v", e)
	}
	if _, err := (&console.Client{API: "http://" + r.ConsoleAddress()}).Status(t.Context()); err != nil {
		t.Errorf("the API: %v", err)
	}
}

// What operators told a successor holds when that is gone: it has said that it does.
func TestWhatOperatorsToldASuccessorThatDiesHolds(t *testing.T) {
	var r *running
	var told intent.Intent
	r, _ = succeededBy(t, func(next string) bool {
		if next != "trial" {
			return true
		}
		store, err := intent.Open(filepath.Join(r.state.path, "intents.json"))
		if err == nil {
			told, err = store.Add(drainOf("sales"))
		}
		if err == nil {
			_, err = store.Remove(r.Intents()[0].ID)
		}
		if err != nil {
			t.Error(err)
		}
		return false
	})
	r.register("s1", "sales")
	r.register("s2", "billing")
	taken := r.set(drainOf("billing"))
	if _, err := r.Upgrade(t.Context()); err == nil {
		t.Fatal("it did not fail")
	}
	r.wantCode(sales, tns.CodeBlocked)
	if _, reply := r.ask("(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=billing)))"); !isAccept(reply) {
		t.Errorf("after its drain was taken back: %v", reply)
	}
	later := r.set(drainOf("billing"))
	if all := r.Intents(); len(all) != 2 || all[0].ID != told.ID || later.ID == told.ID || later.ID == taken.ID {
		t.Errorf("%+v", all)
	}
}
