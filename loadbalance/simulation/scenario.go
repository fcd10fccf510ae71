package simulation

import (
	"fmt"
	"math"
	"math/rand/v2"
)

// Scenario is a world to be: who serves, who asks, and what is known.
type Scenario struct {
	Name     string
	Title    string
	Brokers  int       // each hands out by what it knows itself
	Cores    []float64 // of the servers; their registered maxima are in proportion
	Work     float64   // mean length of a session alone, in seconds
	Skewed   bool      // lengths are log-normal with sigma 1.5, else exponential
	Load     float64   // part of all cores that is busy on average
	Interval float64   // seconds between the reports of a server
	Together bool      // all servers report at the same time, else each at its own
	Repeat   int       // how many times as many runs it takes to be as sure as elsewhere: load comes in long waves; 0: 1

	Cycle   float64                               // seconds after which what is planned happens again; 0: nothing is
	Plan    func(w *world, from float64) []change // what happens in a cycle
	Silence [2]float64                            // part of the cycle in which no report arrives
}

// change is something that happens at its time.
type change struct {
	at     float64
	happen func(w *world)
}

// Sigma of the log-normal lengths.
const skew = 1.5

// draw returns the length of a session.
func (s *Scenario) draw(random *rand.Rand) float64 {
	if s.Skewed {
		return s.Work * math.Exp(skew*random.NormFloat64()-skew*skew/2)
	}
	return s.Work * random.ExpFloat64()
}

func (s *Scenario) total() float64 {
	sum := 0.0
	for _, c := range s.Cores {
		sum += c
	}
	return sum
}

// silent reports whether reports are lost.
func (s *Scenario) silent(now float64) bool {
	if s.Cycle == 0 {
		return false
	}
	phase := math.Mod(now, s.Cycle)
	return phase >= s.Silence[0] && phase < s.Silence[1]
}

func equal(n int, cores float64) []float64 {
	all := make([]float64, n)
	for i := range all {
		all[i] = cores
	}
	return all
}

func mixedCores() []float64 { return []float64{8, 24, 8, 24, 8, 24, 8, 24} }

// Steady returns the scenarios A to F, in which nothing but sessions comes and goes.
func Steady() []Scenario {
	return []Scenario{
		{Name: "A", Title: "one broker, 30 s, equal servers", Brokers: 1, Cores: equal(8, 16), Work: 30, Load: 0.8, Interval: 60, Together: true},
		{Name: "B", Title: "three brokers, 30 s skewed", Brokers: 3, Cores: mixedCores(), Work: 30, Skewed: true, Load: 0.8, Interval: 60},
		{Name: "C", Title: "three brokers, 1 s", Brokers: 3, Cores: mixedCores(), Work: 1, Load: 0.8, Interval: 60},
		{Name: "D", Title: "three brokers, 300 s, load 0.9", Brokers: 3, Cores: mixedCores(), Work: 300, Load: 0.9, Interval: 60},
		{Name: "E", Title: "three brokers, 30 s, load 0.95, reports together", Brokers: 3, Cores: mixedCores(), Work: 30, Load: 0.95, Interval: 60, Together: true, Repeat: 3},
		{Name: "F", Title: "as B, a report every 10 min", Brokers: 3, Cores: mixedCores(), Work: 30, Skewed: true, Load: 0.8, Interval: 600},
	}
}

// boardIntervals are the times between reports on the board, in mean lengths of a session.
func boardIntervals() []float64 { return []float64{0.1, 1, 5, 10, 50} }

// Board returns the world in which the literature compares policies: 100 servers of one core, load 0.9, one broker,
// reports together. One scenario for each interval between reports.
func Board() []Scenario {
	var all []Scenario
	for _, t := range boardIntervals() {
		const work = 30
		all = append(all, Scenario{Name: fmt.Sprintf("T=%g", t), Cores: equal(100, 1), Work: work, Load: 0.9, Interval: t * work, Together: true})
	}
	return all
}

// Disturbed returns the scenarios in which something goes wrong, again and again.
func Disturbed() []Scenario {
	base := Scenario{Brokers: 3, Cores: mixedCores(), Work: 30, Skewed: true, Load: 0.6, Interval: 60, Cycle: 3600}
	dies, storm, lost, slow, unequal := base, base, base, base, base
	dies.Name, dies.Title, dies.Plan = "dies", "a 24-core server dies and returns after 5 min, every hour", deathAndReturn
	storm.Name, storm.Title, storm.Plan = "storm", "10,000 connects of 0.5 s within 1 s, every hour", logonStorm
	lost.Name, lost.Title, lost.Load, lost.Silence = "lost", "no reports for 10 min of every half hour", 0.8, [2]float64{600, 1200}
	lost.Cycle = 1800
	slow.Name, slow.Title, slow.Plan = "slow", "one server at half its speed for 15 min of every hour", slowServer
	unequal.Name, unequal.Title, unequal.Cycle = "unequal", "servers of 2 to 64 cores", 0
	unequal.Cores, unequal.Load = []float64{2, 4, 8, 8, 16, 16, 32, 64}, 0.8
	return []Scenario{dies, storm, lost, slow, unequal}
}

// deathAndReturn: the sessions of the dead server begin anew elsewhere at once. Who handles failures is not measured
// here: from the moment of its death nobody is sent there.
func deathAndReturn(w *world, from float64) []change {
	const dead = 1
	return []change{
		{from + 600, func(w *world) { w.kill(dead) }},
		{from + 900, func(w *world) { w.servers[dead].away = false; w.dispatch.came(dead) }},
	}
}

func (w *world) kill(i int) {
	w.servers[i].away = true
	w.dispatch.left(i)
	lost := w.servers[i].empty(w.now)
	for _, n := range lost {
		w.dispatch.ended(int(n.broker), i, n.ticket)
	}
	for _, n := range lost {
		w.connect(n.work, n.started)
	}
}

func logonStorm(w *world, from float64) []change {
	const connects = 10_000
	all := make([]change, connects)
	for i := range all {
		all[i] = change{from + 600 + float64(i)/connects, func(w *world) { w.connect(w.random.ExpFloat64()/2, w.now) }}
	}
	return all
}

func slowServer(w *world, from float64) []change {
	const slow = 1
	speed := func(part float64) func(*world) {
		return func(w *world) { w.servers[slow].turn(part, w.now) }
	}
	return []change{{from + 600, speed(0.5)}, {from + 1500, speed(1)}}
}
