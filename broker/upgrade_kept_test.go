package broker

import (
	"encoding/json"
	"errors"
	"net/netip"
	"testing"
	"time"

	"servicebroker/console"
	"servicebroker/intent"
	"servicebroker/journal"
	"servicebroker/relay"
)

// awaitKept waits until the newest generation knows of so many sessions of the older one.
func (g *generations) awaitKept(n int) {
	g.t.Helper()
	for limit := time.Now().Add(20 * time.Second); g.new.keptOn(func(*relay.SessionInfo) bool { return true }) != n; {
		if time.Now().After(limit) {
			g.t.Fatalf("%+v", g.new.process.Before.kept.Load())
		}
	}
}

// What an operator wants of sessions is for those that an older generation keeps, too.
func TestADrainEndsWhatThePredecessorKeeps(t *testing.T) {
	g := twoGenerations(t, time.Hour)
	g.awaitKept(1)
	v := g.new.set(intent.Intent{Kind: intent.Drain, Target: intent.Target{Service: "other"}, Deadline: time.Now(), EndSessions: true})
	if v.Progress.SessionsLeft != 0 || !g.goesOn() {
		t.Errorf("of another service: %+v", v.Progress)
	}
	v = g.new.set(intent.Intent{Kind: intent.Drain, Target: intent.Target{Service: "sales", Network: "127.0.0.0/8"}, Deadline: time.Now(), EndSessions: true})
	if v.Progress.SessionsAtStart != 1 {
		t.Errorf("%+v", v.Progress)
	}
	g.end(g.old)
	if g.goesOn() {
		t.Error("the session survived")
	}
	until(t, "its end is noticed", g.new.process.Before.hasEnded)
	if v := g.new.viewIntent(v.Intent); !v.Progress.Done || v.Progress.SessionsLeft != 0 {
		t.Errorf("%+v", v.Progress)
	}
}

func TestASessionThatThePredecessorKeepsCanBeEnded(t *testing.T) {
	g := twoGenerations(t, time.Hour)
	g.awaitKept(1)
	id := g.old.relay.Sessions()[0].ID
	for _, other := range []uint64{0, id + 1} {
		if err := g.new.closeSession(other); !errors.Is(err, console.ErrNotFound) {
			t.Errorf("session %d: %v", other, err)
		}
	}
	if !g.goesOn() {
		t.Error("it was ended by the number of another one")
	}
	if err := g.new.closeSession(id); err != nil {
		t.Error(err)
	}
	g.end(g.old)
	until(t, "its end is noticed", g.new.process.Before.hasEnded)
	if err := g.new.closeSession(id); !errors.Is(err, console.ErrNotFound) {
		t.Errorf("once more: %v", err)
	}
}

// Clients of an instance that is gone would wait for their networks to notice, in either generation.
func TestSessionsOfAnInstanceThatIsGoneEndInBothGenerations(t *testing.T) {
	g := twoGenerations(t, time.Hour)
	g.awaitKept(1)
	r := g.new.Snapshot().Registrations()[0]
	g.new.gone(r, false, "it was there a moment ago")
	g.end(g.old)
}

func TestWhichSessionsAreMeant(t *testing.T) {
	one := &relay.SessionInfo{ID: 7, Offered: "sales", Instance: "s1@h", Network: netip.MustParseAddr("10.0.0.1")}
	for name, c := range map[string]struct {
		end  endPassed
		want bool
	}{
		"its number":       {endPassed{ID: 7}, true},
		"another number":   {endPassed{ID: 8, Instance: "s1@h"}, false},
		"its instance":     {endPassed{Instance: "S1@H"}, true},
		"another instance": {endPassed{Instance: "s2@h"}, false},
		"its service":      {endPassed{Target: &intent.Target{Service: "sales"}}, true},
		"another network":  {endPassed{Target: &intent.Target{Service: "sales", Network: "10.1.0.0/16"}}, false},
		"nothing":          {endPassed{}, false},
	} {
		if got := c.end.match()(one); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// between begins an upgrade, and returns the successor once it serves, and what lets the upgrade go on and waits for it.
func (r *running) between(next chan *running) (successor *running, goOn func()) {
	r.t.Helper()
	upgraded := make(chan error, 1)
	go func() {
		_, err := r.Upgrade(r.t.Context())
		upgraded <- err
	}()
	successor = <-next
	until(r.t, "it is succeeded", func() bool { return r.upgrade.heir.Load() != nil })
	successor.Touch() // after what it did before it served
	return successor, func() {
		r.t.Helper()
		r.upgrade.heir.Load().trial.end()
		if err := <-upgraded; err != nil {
			r.t.Error(err)
		}
		until(r.t, "the successor knows what is left", func() bool { return successor.process.Before.settled() })
	}
}

// isNotDrained checks that a generation says of an intent that some sessions are left, and not that it is done.
func (r *running) isNotDrained(id string, left int) {
	r.t.Helper()
	r.actOnIntents(time.Now())
	for _, v := range r.Intents() {
		if v.ID == id && (v.Progress.Done || v.Progress.SessionsLeft != left) || r.saidDrained(id) {
			r.t.Errorf("%+v, said to be drained: %v", v.Progress, r.saidDrained(id))
		}
	}
}

func TestNothingIsDrainedBeforeThePredecessorHasToldWhatItKeeps(t *testing.T) {
	old, next := succeedable(t, nil)
	old.upgrade.trial = time.Hour
	old.register("s1", "sales")
	session, _ := old.session("sales")
	drain := old.set(drainOf("sales")).Intent
	second, goOn := old.between(next)
	second.isNotDrained(drain.ID, 1)
	if v := old.viewIntent(drain); v.Progress.Done {
		t.Errorf("the predecessor says %+v", v.Progress)
	}
	other := second.set(drainOf("billing"))
	if other.Progress.Done || other.Progress.SessionsLeft != 0 {
		t.Errorf("of a service without sessions: %+v", other.Progress)
	}
	session.Close()
	until(t, "the session has ended", func() bool { return old.relaySessions() == 0 })
	second.isNotDrained(drain.ID, 1)
	goOn()
	second.event(journal.Drained)
	for _, v := range second.Intents() {
		if !v.Progress.Done || v.Progress.SessionsLeft != 0 {
			t.Errorf("%+v", v.Progress)
		}
	}
}

func TestSessionsThatMoveCountOnce(t *testing.T) {
	old, next := succeedable(t, nil)
	old.upgrade.trial, old.upgrade.settle = 0, time.Hour
	old.register("s1", "sales")
	session, _ := old.session("sales")
	pings(t, session)
	drain := old.set(drainOf("sales")).Intent
	second, goOn := old.between(next)
	until(t, "the session has moved", func() bool { return second.relaySessions() == 1 && old.relaySessions() == 0 })
	second.isNotDrained(drain.ID, 1)
	if v := old.viewIntent(drain); v.Progress.Done {
		t.Errorf("the predecessor says %+v", v.Progress)
	}
	goOn()
	second.isNotDrained(drain.ID, 1)
	if v := second.viewIntent(drain); v.Progress.SessionsAtStart != 1 {
		t.Errorf("%+v", v.Progress)
	}
}

func TestADeadlineDuringAnUpgradeEndsSessionsOfBothGenerationsOnce(t *testing.T) {
	old, next := succeedable(t, nil)
	old.upgrade.trial = time.Hour
	old.register("s1", "sales")
	session, _ := old.session("sales")
	second, goOn := old.between(next)
	drain := drainOf("sales")
	drain.Deadline, drain.EndSessions = time.Now(), true
	drain = second.set(drain).Intent
	second.actOnIntents(time.Now())
	second.actOnIntents(time.Now())
	if _, err := session.Read(make([]byte, 1)); err == nil {
		t.Error("the session survived")
	}
	if v := second.viewIntent(drain); v.Progress.Ended != 1 || v.Progress.SessionsAtStart != 1 || v.Progress.Done {
		t.Errorf("%+v", v.Progress)
	}
	goOn()
	second.event(journal.Drained)
}

// An older version passes nothing on with its state of sessions.
func TestAPredecessorThatTellsNothingMayHaveSessions(t *testing.T) {
	b, err := New(testConfigFor(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.closeListeners)
	b.process.Before = &Predecessor{ended: make(chan struct{})}
	if err := b.takeSessions(json.RawMessage(`{"last_id": 1}`), nil); err != nil {
		t.Fatal(err)
	}
	if v := b.viewIntent(drainOf("sales")); v.Progress.Done || v.Progress.SessionsLeft != 0 {
		t.Errorf("%+v", v.Progress)
	}
	b.process.Before.left.Store(&leftPassed{})
	if v := b.viewIntent(drainOf("sales")); !v.Progress.Done {
		t.Errorf("%+v", v.Progress)
	}
}
