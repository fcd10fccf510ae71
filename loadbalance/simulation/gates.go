package simulation

import "fmt"

// The policies that gates are about.
const (
	Redirecting = "adaptive, redirect"
	Relaying    = "adaptive, relay"
	InTurn      = "weighted round robin"
	InOurTurn   = "roundrobin"
)

// Gate is a bound that a policy has to keep.
type Gate struct {
	Name  string
	Got   float64
	Limit float64
}

// Holds reports whether the bound is kept.
func (g Gate) Holds() bool { return g.Got <= g.Limit }

func (g Gate) String() string {
	word := "ok  "
	if !g.Holds() {
		word = "FAIL"
	}
	return fmt.Sprintf("%s  %-72s %6.3f, at most %.3f", word, g.Name, g.Got, g.Limit)
}

// Gates judges the results of cells, which must be those of the four policies above in all scenarios of interest.
func Gates(cells []Cell) []Gate {
	results := map[[2]string]Result{}
	var scenarios []string
	for _, c := range cells {
		key := [2]string{c.Policy.Name, c.Scenario.Name}
		results[key] = c.Result
		if c.Policy.Name == Redirecting {
			scenarios = append(scenarios, c.Scenario.Name)
		}
	}
	redirect := map[string]float64{"B": 1.05, "C": 1.05, "D": 1.05, "E": 1.20}
	relay := map[string]float64{"B": 1.01, "C": 1.01}
	var gates []Gate
	for _, name := range scenarios {
		redirected, relayed := results[[2]string{Redirecting, name}], results[[2]string{Relaying, name}]
		if limit := redirect[name]; limit > 0 {
			gates = append(gates, Gate{"slowdown in " + name + ", redirect", redirected.Slowdown, limit})
		}
		if limit := relay[name]; limit > 0 {
			gates = append(gates, Gate{"slowdown in " + name + ", relay", relayed.Slowdown, limit})
		}
		if name == "B" {
			gates = append(gates, Gate{"greatest load by average load in B, redirect", redirected.Peak, 1.45})
		}
		turns := min(results[[2]string{InTurn, name}].Slowdown, results[[2]string{InOurTurn, name}].Slowdown)
		gates = append(gates,
			Gate{"slowdown in " + name + " by that of the better round robin, redirect", redirected.Slowdown / turns, 1.02},
			Gate{"slowdown in " + name + " by that of the better round robin, relay", relayed.Slowdown / turns, 1.02})
	}
	return gates
}
