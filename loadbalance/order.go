package loadbalance

import (
	"cmp"
	"hash/fnv"
	"slices"

	"servicebroker/servicetable"
)

// figures are what a candidate is ranked by.
type figures struct {
	candidate               *servicetable.Candidate
	tally                   *tally // identifies the instance
	whole, service, handler int    // own connects since the report: at the instance, of the service, at the handler

	class int     // what comes before any score; lower is better
	turn  int     // 0 for the best handler of its instance, 1 for the next …
	score float64 // of the instance for this connect; lower is better
	inner float64 // of the handler among those of its instance
	drawn int     // place in the order given, which decides between equal ones
}

// order ranks candidates by their figures, of which it fills in the rest. Equal ones stay in the order given.
func order(all []figures, colocationTag string) []servicetable.Candidate {
	if colocationTag != "" {
		scoreByTag(all, colocationTag)
	} else {
		scoreByLoad(all)
	}
	ranking := make([]*figures, len(all))
	for i := range all {
		f := &all[i]
		h := f.candidate.Handler
		f.class, f.drawn = class(f.candidate.Status, h.Blocked()), i
		f.inner = (float64(h.Load) + float64(f.handler)) / float64(max(h.Max, 1))
		ranking[i] = f
	}
	slices.SortFunc(ranking, compare)
	takeTurns(ranking)
	route := make([]servicetable.Candidate, len(all))
	for i, f := range ranking {
		route[i] = *f.candidate
	}
	return route
}

// takeTurns reorders a ranking so that, within one class, the instances take turns.
func takeTurns(ranking []*figures) {
	turns := make(map[*tally]int, len(ranking))
	again := false
	for i, f := range ranking {
		if i > 0 && f.class != ranking[i-1].class {
			clear(turns)
		}
		f.turn = turns[f.tally]
		turns[f.tally]++
		again = again || f.turn > 0
	}
	if again {
		slices.SortFunc(ranking, compare)
	}
}

func compare(a, b *figures) int {
	switch {
	case a.class != b.class:
		return a.class - b.class
	case a.turn != b.turn:
		return a.turn - b.turn
	case a.score != b.score:
		return cmp.Compare(a.score, b.score)
	case a.inner != b.inner:
		return cmp.Compare(a.inner, b.inner)
	}
	return a.drawn - b.drawn
}

// class is the place of a candidate whatever its load: by the status of its instance, then whether its handler is at
// its maximum.
func class(s servicetable.Status, full bool) int {
	c := 2 * tier(s)
	if full {
		c++
	}
	return c
}

// metric is the reported figure by which all candidates of one connect are compared.
type metric uint8

const (
	byNothing  metric = iota
	byNode            // load of the machine
	byHandler         // connections of the handler
	bySessions        // load of the instance
	byGoodness        // the service's own figure
)

// metricFor picks the most telling metric that any of the candidates carries.
func metricFor(all []figures) metric {
	m := byNothing
	for i := range all {
		c := all[i].candidate
		switch {
		case c.Service.Goodness > 0:
			return byGoodness
		case c.Registration.Load > 0 || c.Registration.Max > 0:
			m = max(m, bySessions)
		case c.Handler.Load > 0 || c.Handler.Max > 0:
			m = max(m, byHandler)
		case c.Registration.NodeLoad > 0 || c.Registration.NodeMax > 0:
			m = max(m, byNode)
		}
	}
	return m
}

// load is one candidate's load by some metric.
type load struct {
	reported float64
	own      float64 // our connects since, this one included, in the unit of reported
	capacity float64 // 0 if not known
	missing  bool    // nothing reported
}

func loadOf(f *figures, m metric) load {
	r, s, h := f.candidate.Registration, f.candidate.Service, f.candidate.Handler
	capacity := float64(r.Max)
	if capacity == 0 {
		capacity = float64(h.Max)
	}
	switch m {
	case byGoodness:
		return load{
			reported: float64(s.Goodness), own: float64(f.service+1) * float64(max(s.Delta, 1)), capacity: capacity,
			missing: s.Goodness == 0 && s.Delta == 0,
		}
	case bySessions:
		return load{reported: float64(r.Load), own: float64(f.whole + 1), capacity: capacity, missing: r.Load == 0 && r.Max == 0}
	case byHandler:
		return load{reported: float64(h.Load), own: float64(f.handler + 1), capacity: float64(h.Max), missing: h.Load == 0 && h.Max == 0}
	case byNode:
		// Nobody says what a connect does to a machine: one hundredth of its maximum is assumed.
		step := max(float64(r.NodeMax)/100, 1)
		return load{reported: float64(r.NodeLoad), own: float64(f.whole+1) * step, capacity: float64(r.NodeMax), missing: r.NodeLoad == 0 && r.NodeMax == 0}
	}
	return load{own: float64(f.whole + 1), missing: true}
}

// scoreByLoad gives each candidate the load per capacity that its instance would have with this connect. Whoever
// does not say its capacity is taken for an average one, and so is the load of whoever reports none.
func scoreByLoad(all []figures) {
	m := metricFor(all)
	var capacities, loads mean
	for i := range all {
		l := loadOf(&all[i], m)
		capacities.add(l.capacity, l.capacity > 0)
		loads.add(l.reported, !l.missing)
	}
	for i := range all {
		f := &all[i]
		l := loadOf(f, m)
		if l.capacity == 0 {
			l.capacity = capacities.or(1)
		}
		if l.missing {
			l.reported = loads.or(0)
		}
		f.score = max(l.reported+l.own, 0) / l.capacity
	}
}

// mean is the average of the values that count.
type mean struct {
	sum float64
	n   int
}

func (m *mean) add(v float64, counts bool) {
	if counts {
		m.sum, m.n = m.sum+v, m.n+1
	}
}

// or returns the mean, or what there is without any value.
func (m *mean) or(none float64) float64 {
	if m.n == 0 {
		return none
	}
	return m.sum / float64(m.n)
}

// scoreByTag scores by a hash of tag and instance: each tag has its own lasting order of the instances, and one that
// goes or comes moves only the tags that prefer it.
func scoreByTag(all []figures, tag string) {
	for i := range all {
		h := fnv.New64a()
		r := all[i].candidate.Registration
		for _, word := range []string{tag, "\x00", r.Instance, "\x00", r.Host} {
			h.Write([]byte(word))
		}
		all[i].score = float64(h.Sum64())
	}
}

// tier is the place of a status in the order in which instances are tried, whatever their load.
func tier(s servicetable.Status) int {
	switch s {
	case servicetable.Ready:
		return 0
	case servicetable.Unknown:
		return 1
	case servicetable.Stale:
		return 2
	case servicetable.Restricted:
		return 3
	}
	return 4
}
