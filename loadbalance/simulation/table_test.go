package simulation

import "testing"

// What is published is met by what is measured, for those policies that are fully described there: within 3 %, or
// in the same order where it is beyond all use. `make sim` shows all of them.
func TestPublishedTable(t *testing.T) {
	if withoutDetector(t) {
		return
	}
	policies := Select(Policies(), "JSQ, perfect information", "weighted round robin", "aged estimate", "levelling (basic LI)",
		"relay, least own", Redirecting, Relaying)
	cells := Cells(policies, Steady()[:5])
	RunAll(cells, 60_000, 3)
	for _, c := range cells {
		published, known := c.Policy.Published[c.Scenario.Name]
		if !known {
			t.Errorf("nothing is published of %s in %s", c.Policy.Name, c.Scenario.Name)
			continue
		}
		within := 0.03
		if by := c.Result.Slowdown/published.Slowdown - 1; by > within || by < -within {
			t.Errorf("%s in %s: %.3f, published %.3f", c.Policy.Name, c.Scenario.Name, c.Result.Slowdown, published.Slowdown)
		}
	}
}

// Herds are what the policies are there to avoid: the simulation must show them where they are known to be.
func TestHerdsShow(t *testing.T) {
	herding := Select(Policies(), "minimum of raw report")
	scenarios := Steady()[:3]
	cells := Cells(herding, scenarios)
	RunAll(cells, 10_000, 1)
	for _, c := range cells {
		if c.Result.Slowdown < 3 {
			t.Errorf("in %s the policy that herds has a slowdown of %.2f", c.Scenario.Name, c.Result.Slowdown)
		}
	}
}

func TestSelectAndMeans(t *testing.T) {
	if got := Select(Policies(), InTurn, Redirecting, "no such"); len(got) != 2 || got[0].Name != InTurn {
		t.Errorf("selected %+v", got)
	}
	got := mean([]Result{{Slowdown: 1, P99: 2, Peak: 1, Sessions: 10}, {Slowdown: 3, P99: 4, Peak: 2, Sessions: 10}})
	if want := (Result{Slowdown: 2, P99: 3, Peak: 1.5, Sessions: 20}); got != want {
		t.Errorf("mean %+v, want %+v", got, want)
	}
	if none := new(measurements).result(); none != (Result{}) {
		t.Errorf("of nothing: %+v", none)
	}
}
