package broker

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"servicebroker/console"
	"servicebroker/intent"
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
