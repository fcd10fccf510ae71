package main

import (
	"slices"
	"time"
)

// latencies are what a load found: how long each of what it did took.
type latencies struct {
	took   []time.Duration
	over   time.Duration // in which they were counted
	failed int
	why    error // of the first failure
}

// window is when a load counts what it does.
type window struct{ count, end time.Time }

// windowOf begins now, after a time to warm up.
func windowOf(lasting time.Duration) window {
	count := time.Now().Add(lasting / warming)
	return window{count, count.Add(lasting)}
}

// enough tells whether a load may end: the window has passed, and something has been counted. Where not even one was done in it, the
// first that is done later counts, in as much time as it took.
func (l *latencies) enough(w window, now time.Time) bool {
	return now.After(w.end) && (len(l.took) > 0 || l.failed > 0 || now.After(w.end.Add(patience)))
}

// done counts what began and is done now, if that is in the window.
func (l *latencies) done(w window, began, now time.Time) {
	switch {
	case now.Before(w.count):
	case now.Before(w.end):
		l.add(now.Sub(began))
		l.over = w.end.Sub(w.count)
	case len(l.took) == 0:
		l.add(now.Sub(began))
		l.over = now.Sub(w.count)
	}
}

func (l *latencies) add(d time.Duration) { l.took = append(l.took, d) }

func (l *latencies) fail(why error) {
	if l.failed++; l.why == nil {
		l.why = why
	}
}

// join puts together what several loops found in the same time.
func join(parts ...*latencies) *latencies {
	all := new(latencies)
	for _, p := range parts {
		if p == nil {
			continue
		}
		all.took = append(all.took, p.took...)
		all.over = max(all.over, p.over)
		all.failed += p.failed
		if all.why == nil {
			all.why = p.why
		}
	}
	return all
}

// figures are rate per second, p50 and p99 in µs.
func (l *latencies) figures() figures {
	slices.Sort(l.took)
	f := figures{"rate": float64(len(l.took)) / max(l.over, time.Nanosecond).Seconds(), "failed": float64(l.failed)}
	if len(l.took) > 0 {
		f["p50"], f["p99"] = l.at(0.50), l.at(0.99)
		f["slowest"] = micros(l.took[len(l.took)-1])
	}
	return f
}

// at is a quantile of sorted latencies, in µs.
func (l *latencies) at(part float64) float64 {
	return micros(l.took[min(int(part*float64(len(l.took))), len(l.took)-1)])
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
