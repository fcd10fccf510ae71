package simulation

import (
	"testing"

	"servicebroker/loadbalance"
)

// A broker that counts those alive does better than one that takes itself for the only one, most of all where much is to
// do and reports come together; one broker more or less, for the seconds until that is noticed, makes next to no difference.
func TestBrokersThatAreCounted(t *testing.T) {
	if withoutDetector(t) {
		return
	}
	by := func(name string, brokers int) Policy {
		return Policy{Name: name, Ours: &Ours{Policy: loadbalance.Adaptive, Redirect: true, Brokers: brokers}}
	}
	const counted, alone, fewer, more = "counted", "alone", "one fewer", "one more"
	scenarios := Steady()[1:]
	var policies []Policy
	for name, brokers := range map[string]int{counted: 0, alone: 1, fewer: scenarios[0].Brokers - 1, more: scenarios[0].Brokers + 1} {
		policies = append(policies, by(name, brokers))
	}
	cells := Cells(policies, scenarios)
	RunAll(cells, 30_000, 2)
	slowdowns := map[[2]string]float64{}
	for _, c := range cells {
		slowdowns[[2]string{c.Policy.Name, c.Scenario.Name}] = c.Result.Slowdown
	}
	for _, s := range scenarios {
		as := func(name string) float64 { return slowdowns[[2]string{name, s.Name}] }
		limit := 1.02
		if s.Name == "E" { // reports together, load 0.95
			limit = 0.75
		}
		for _, g := range []Gate{
			{"slowdown in " + s.Name + " of brokers that are counted by that of ones that are not", as(counted) / as(alone), limit},
			{"slowdown in " + s.Name + " of one fewer by that of the right count", as(fewer) / as(counted), 1.03},
			{"slowdown in " + s.Name + " of one more by that of the right count", as(more) / as(counted), 1.03},
		} {
			t.Log(g)
			if !g.Holds() || g.Got == 0 {
				t.Error(g)
			}
		}
	}
}
