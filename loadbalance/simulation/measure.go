package simulation

import (
	"math"
	"slices"
)

// Result is what a run, or several of one kind, came to.
type Result struct {
	Slowdown  float64 // mean
	P99       float64 // of slowdown
	Residence float64 // mean, in seconds
	Peak      float64 // mean over time of the greatest load per core, divided by the average of all servers
	Variation float64 // mean over time of the standard deviation of load per core, divided by its average
	Sessions  int
}

// measurements collects what a Result is made of.
type measurements struct {
	slowdowns []float32
	slowdown  float64
	residence float64
	peak      float64
	variation float64
	samples   int
}

func (m *measurements) count() int { return len(m.slowdowns) }

func (m *measurements) session(residence, work float64) {
	slowdown := residence / max(work, 1e-12)
	m.slowdowns = append(m.slowdowns, float32(slowdown))
	m.slowdown += slowdown
	m.residence += residence
}

// sample takes a look at how evenly the servers are used.
func (m *measurements) sample(w *world) {
	if w.toDrop > 0 {
		return
	}
	var sum, squares, most, n float64
	for i := range w.servers {
		if s := &w.servers[i]; !s.away {
			l := s.level()
			sum, squares, most, n = sum+l, squares+l*l, max(most, l), n+1
		}
	}
	if sum == 0 {
		return
	}
	mean := sum / n
	m.peak += most / mean
	m.variation += math.Sqrt(max(squares/n-mean*mean, 0)) / mean
	m.samples++
}

func (m *measurements) result() Result {
	n, samples := float64(max(len(m.slowdowns), 1)), float64(max(m.samples, 1))
	r := Result{
		Slowdown: m.slowdown / n, Residence: m.residence / n, Sessions: len(m.slowdowns),
		Peak: m.peak / samples, Variation: m.variation / samples,
	}
	if len(m.slowdowns) > 0 {
		slices.Sort(m.slowdowns)
		r.P99 = float64(m.slowdowns[len(m.slowdowns)*99/100])
	}
	return r
}

// mean averages the results of several seeds.
func mean(all []Result) Result {
	var sum Result
	n := float64(len(all))
	for _, r := range all {
		sum.Slowdown += r.Slowdown / n
		sum.P99 += r.P99 / n
		sum.Residence += r.Residence / n
		sum.Peak += r.Peak / n
		sum.Variation += r.Variation / n
		sum.Sessions += r.Sessions
	}
	return sum
}
