package simulation

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
)

// Run lets a policy work in a scenario until so many sessions have ended. The same seed gives the same result.
func Run(s *Scenario, p *Policy, sessions int, seed uint64) Result {
	w := newWorld(s, p, seed)
	w.run(sessions)
	return w.measured.result()
}

func newWorld(s *Scenario, p *Policy, seed uint64) *world {
	w := &world{
		scenario: s, brokers: max(s.Brokers, 1), random: rand.New(rand.NewPCG(seed, 1)),
		rate: s.Load * s.total() / s.Work,
	}
	for _, c := range s.Cores {
		w.servers = append(w.servers, newServer(c))
		phase := s.Interval
		if !s.Together {
			phase *= w.random.Float64()
		}
		w.nextReport = append(w.nextReport, phase)
	}
	chance := rand.New(rand.NewPCG(seed, 2))
	if p.Ours != nil {
		w.dispatch = p.Ours.dispatcher(w, chance)
	} else {
		w.dispatch = p.Reference.dispatcher(w, chance)
	}
	return w
}

// Cell is one policy in one scenario.
type Cell struct {
	Scenario *Scenario
	Policy   *Policy
	Result   Result // mean over the seeds
}

// RunAll runs each cell for seeds 1 to seeds, or as many more as its scenario takes, on all processors, and fills in
// its result.
func RunAll(cells []Cell, sessions, seeds int) {
	type run struct {
		cell *Cell
		seed int
		into *Result
	}
	results := make([][]Result, len(cells))
	runs := make(chan run)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for r := range runs {
				*r.into = Run(r.cell.Scenario, r.cell.Policy, sessions, uint64(r.seed)+1)
			}
		})
	}
	for i := range cells {
		results[i] = make([]Result, seeds*max(cells[i].Scenario.Repeat, 1))
		for seed := range results[i] {
			runs <- run{&cells[i], seed, &results[i][seed]}
		}
	}
	close(runs)
	workers.Wait()
	for i := range cells {
		cells[i].Result = mean(results[i])
	}
}

// Cells returns each of the policies in each of the scenarios, policy by policy.
func Cells(policies []Policy, scenarios []Scenario) []Cell {
	var all []Cell
	for i := range policies {
		for j := range scenarios {
			all = append(all, Cell{Scenario: &scenarios[j], Policy: &policies[i]})
		}
	}
	return all
}

// Select returns the policies of those names, in the order of all.
func Select(all []Policy, names ...string) []Policy {
	var some []Policy
	for _, p := range all {
		if slices.Contains(names, p.Name) {
			some = append(some, p)
		}
	}
	return some
}
