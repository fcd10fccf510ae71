package simulation

import (
	"math"
	"math/rand/v2"
)

// Reference is a policy to compare with. Its scores are per broker, and the least one wins, ties at random.
type Reference struct {
	// Score is how little a server recommends itself to a broker. nil: all alike.
	Score func(v *view, broker, server int) float64
	Two   bool // of two servers drawn at random only, else of all
	Fill  bool // drawn so that expected arrivals level the reported loads (Dahlin's basic LI), not by Score
	Turns bool // weighted round robin, not by Score
}

// view is what brokers can know.
type view struct {
	w          *world
	reference  Reference
	random     *rand.Rand
	reports    []int
	reportedAt []float64
	brokers    []ownView
	arrivals   float64 // expected in one interval
	weights    []float64
}

// ownView is what one broker did.
type ownView struct {
	sent   []int     // since the report
	open   []int     // relayed
	had    []int     // relayed, when the report was made
	faded  []float64 // since the report, each by its age
	asOf   []float64
	turns  []float64
	total  float64 // faded, to all servers
	totals float64 // as of when
}

func (r Reference) dispatcher(w *world, random *rand.Rand) dispatcher {
	n := len(w.servers)
	v := &view{
		w: w, reference: r, random: random, reports: make([]int, n), reportedAt: make([]float64, n),
		brokers: make([]ownView, w.brokers), arrivals: w.rate * w.scenario.Interval, weights: make([]float64, n),
	}
	for i := range v.brokers {
		v.brokers[i] = ownView{make([]int, n), make([]int, n), make([]int, n), make([]float64, n), make([]float64, n), make([]float64, n), 0, 0}
		for j := range n { // brokers do not begin their turns at the same place
			v.brokers[i].turns[j] = random.Float64() / w.servers[j].cores
		}
	}
	return v
}

func (v *view) choose(broker int) (int, int32) {
	own := &v.brokers[broker]
	var i int
	switch {
	case v.reference.Fill:
		i = v.fill()
	case v.reference.Turns:
		i = v.turn(own)
	case v.reference.Two:
		i = v.any(-1)
		if j := v.any(i); v.reference.Score(v, broker, j) < v.reference.Score(v, broker, i) {
			i = j
		}
	case v.reference.Score == nil:
		i = v.drawn()
	default:
		i = v.least(broker)
	}
	left := own.left(v, i)
	own.sent[i]++
	own.open[i]++
	own.faded[i], own.asOf[i] = own.faded[i]*left+1, v.w.now
	return i, 0
}

// left is the part of what a broker sent to server i that should still be there.
func (o *ownView) left(v *view, i int) float64 {
	return math.Exp((o.asOf[i] - v.w.now) / v.w.scenario.Work)
}

func (v *view) ended(broker, server int, _ int32) { v.brokers[broker].open[server]-- }

func (v *view) report(server, sessions int) {
	v.reports[server], v.reportedAt[server] = sessions, v.w.now
	for i := range v.brokers {
		v.brokers[i].sent[server], v.brokers[i].faded[server] = 0, 0
		v.brokers[i].had[server] = v.brokers[i].open[server]
	}
}

func (v *view) left(int)   {}
func (v *view) came(i int) { v.report(i, 0) }

// any draws a server, another one than but.
func (v *view) any(but int) int {
	for {
		if i := v.random.IntN(len(v.w.servers)); i != but && !v.w.servers[i].away {
			return i
		}
	}
}

// drawn draws a server by capacity.
func (v *view) drawn() int {
	for i := range v.weights {
		v.weights[i] = v.w.servers[i].cores
		if v.w.servers[i].away {
			v.weights[i] = 0
		}
	}
	return v.byWeight()
}

func (v *view) byWeight() int {
	sum := 0.0
	for _, w := range v.weights {
		sum += w
	}
	left, last := v.random.Float64()*sum, 0
	for i, w := range v.weights {
		if w <= 0 {
			continue
		}
		last = i
		if left -= w; left < 0 {
			return i
		}
	}
	return last
}

func (v *view) least(broker int) int {
	best, ties, chosen := math.Inf(1), 0, 0
	for i := range v.w.servers {
		if v.w.servers[i].away {
			continue
		}
		switch s := v.reference.Score(v, broker, i); {
		case s < best:
			best, ties, chosen = s, 1, i
		case s == best:
			if ties++; v.random.IntN(ties) == 0 {
				chosen = i
			}
		}
	}
	return chosen
}

// turn gives the next turn, evenly and by capacity.
func (v *view) turn(own *ownView) int {
	best, chosen := math.Inf(1), 0
	for i := range v.w.servers {
		if s := own.turns[i] + 1/v.w.servers[i].cores; !v.w.servers[i].away && s < best {
			best, chosen = s, i
		}
	}
	own.turns[chosen] = best
	return chosen
}

// fill draws a server with the chance that lets the arrivals expected in one interval level the reported loads.
func (v *view) fill() int {
	level := v.levelFor(v.arrivals)
	for i := range v.weights {
		s := &v.w.servers[i]
		v.weights[i] = max(level*s.cores-float64(v.reports[i]), 0)
		if s.away {
			v.weights[i] = 0
		}
	}
	return v.byWeight()
}

// levelFor is the load per core up to which that many arrivals can fill the servers.
func (v *view) levelFor(arrivals float64) float64 {
	low, high := 0.0, 1.0
	need := func(level float64) float64 {
		sum := 0.0
		for i := range v.w.servers {
			if s := &v.w.servers[i]; !s.away {
				sum += max(level*s.cores-float64(v.reports[i]), 0)
			}
		}
		return sum
	}
	for need(high) < arrivals {
		high *= 2
	}
	for range 40 {
		if middle := (low + high) / 2; need(middle) < arrivals {
			low = middle
		} else {
			high = middle
		}
	}
	return high
}

// The scores of the references.

func perCore(v *view, server int, load float64) float64 { return load / v.w.servers[server].cores }

func actual(v *view, _, i int) float64 { return perCore(v, i, float64(len(v.w.servers[i].sessions)+1)) }

func reported(v *view, _, i int) float64 { return perCore(v, i, float64(v.reports[i])) }

func reportedAndSent(v *view, broker, i int) float64 {
	return perCore(v, i, float64(v.reports[i]+v.brokers[broker].sent[i]+1))
}

func ownOpen(v *view, broker, i int) float64 {
	return perCore(v, i, float64(v.brokers[broker].open[i]+1))
}

// aged is the estimate that package loadbalance makes when it redirects, written down independently of it and with the
// true mean length.
func aged(v *view, broker, i int) float64 {
	own := &v.brokers[broker]
	report := float64(v.reports[i]) * math.Exp((v.reportedAt[i]-v.w.now)/v.w.scenario.Work)
	return perCore(v, i, report+float64(v.w.brokers)*own.faded[i]*own.left(v, i)+1)
}

// deviation lets only what a report differs by from a fair share fade, and adds own connects beyond a fair share.
func deviation(v *view, broker, i int) float64 {
	own := &v.brokers[broker]
	var all, sent, cores float64
	for j := range v.w.servers {
		all += float64(v.reports[j])
		sent += own.faded[j] * own.left(v, j)
		cores += v.w.servers[j].cores
	}
	share := v.w.servers[i].cores / cores
	left := math.Exp((v.reportedAt[i] - v.w.now) / v.w.scenario.Work)
	return perCore(v, i, all*share+(float64(v.reports[i])-all*share)*left+float64(v.w.brokers)*(own.faded[i]*own.left(v, i)-sent*share)+1)
}
