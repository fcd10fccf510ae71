package console

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
)

// twoGenerations are one that keeps what cannot be moved, and the one that serves.
func twoGenerations() []Generation {
	until := noon().Add(4 * time.Minute)
	return []Generation{
		{Number: 3, PID: 100, Version: "0.1.0", Started: noon().Add(-48 * time.Hour), State: GenerationDraining, Sessions: 2, Clients: 3, Registrations: 1, Until: &until},
		{Number: 4, PID: 200, Version: "0.2.0", Started: noon().Add(-time.Minute), State: GenerationServing, Sessions: 500, Clients: 510, Registrations: 6},
	}
}

func anUpgrade() Upgraded {
	u := Upgraded{From: 3, FromVersion: "0.1.0", Generation: 4, PID: 200, Version: "0.2.0", Began: noon(), ServedAfter: 41, Took: 95, Complete: true,
		Moved: []Moved{{What: "registrations", Moved: 6}, {What: "sessions", Moved: 498, Stayed: 2}}}
	u.Left = twoGenerations()[0]
	return u
}

func TestGenerationsAsText(t *testing.T) {
	var w strings.Builder
	if err := WriteGenerations(&w, GenerationList{append(twoGenerations(), Generation{Number: 5, PID: 300, State: GenerationStarting})}, noon()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"GENERATION", "draining", "serving", "0.2.0", "500", "in 4 min", "starting"} {
		if !strings.Contains(w.String(), want) {
			t.Errorf("%q is not in\n%s", want, w.String())
		}
	}
}

func TestUpgradesAsText(t *testing.T) {
	nothing := anUpgrade()
	nothing.Version, nothing.Left = "0.1.0", Generation{}
	incomplete := anUpgrade()
	incomplete.Complete = false
	single := anUpgrade()
	single.Moved = []Moved{{What: "registrations", Moved: 1}, {What: "sessions", Moved: 1, Stayed: 2}, {What: "clients that wait", Moved: 1}, {What: "totals", Moved: 1}}
	for _, test := range []struct {
		u    Upgraded
		want []string
	}{
		{anUpgrade(), []string{"Generation 4 serves: process 200, version 0.2.0, before 0.1.0", "95 ms, 41 ms", "Moved: 498 sessions; 2 stay\n", "Moved: 6 registrations\n", "Left in generation 3", "sessions 2, other clients 1, registrations 1", "in 4 min (DRAIN_TIMEOUT)"}},
		{nothing, []string{"version 0.1.0. It", "Nothing is left in generation 3, which ends."}},
		{incomplete, []string{"still taking over"}},
		{single, []string{"\nMoved: 1 registration\n", "\nMoved: 1 session; 2 stay\n", "\nMoved: 1 client that waits\n", "\nMoved: 1 totals\n"}},
	} {
		var w strings.Builder
		if err := WriteUpgraded(&w, test.u, noon()); err != nil {
			t.Fatal(err)
		}
		for _, want := range test.want {
			if !strings.Contains(w.String(), want) {
				t.Errorf("%q is not in\n%s", want, w.String())
			}
		}
	}
}

func TestAnUpgradeIsAskedFor(t *testing.T) {
	o := newOperated(t)
	c := overSocket(t, o)
	if u, err := c.Upgrade(t.Context()); err != nil || u.Generation != 4 || len(u.Moved) != 2 {
		t.Errorf("%+v %v", u, err)
	}
	o.Upgrade = func(context.Context) (Upgraded, error) {
		return Upgraded{}, &APIError{http.StatusConflict, "there are two generations already", "wait"}
	}
	var problem *APIError
	if _, err := c.Upgrade(t.Context()); !errors.As(err, &problem) || problem.Status != http.StatusConflict || problem.Hint != "wait" {
		t.Errorf("%v", err)
	}
}
