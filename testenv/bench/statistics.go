package main

import "slices"

// figures are what one measurement of one peer found, by name: rate, p50, p99 …
type figures map[string]float64

// spread is a median with the least and the most.
type spread struct{ median, least, most float64 }

func spreadOf(values []float64) spread {
	if len(values) == 0 {
		return spread{}
	}
	s := slices.Sorted(slices.Values(values))
	middle := s[len(s)/2]
	if len(s)%2 == 0 {
		middle = (s[len(s)/2-1] + middle) / 2
	}
	return spread{middle, s[0], s[len(s)-1]}
}

// series are one peer's figures of one measure, a round each.
type series []figures

func (s series) spread(name string) spread {
	var values []float64
	for _, f := range s {
		if v, found := f[name]; found {
			values = append(values, v)
		}
	}
	return spreadOf(values)
}

// has tells whether the figure was found at all.
func (s series) has(name string) bool {
	return slices.ContainsFunc(s, func(f figures) bool { _, found := f[name]; return found })
}

// ratio is the spread of the ratios of two series' figures, each within its round: what disturbs the machine for longer than a
// round disturbs both.
func ratio(ours, theirs series, name string) spread {
	var values []float64
	for i := range min(len(ours), len(theirs)) {
		if theirs[i][name] > 0 {
			values = append(values, ours[i][name]/theirs[i][name])
		}
	}
	return spreadOf(values)
}

// rotated is the order of a round: each starts with another one.
func rotated[T any](all []T, round int) []T {
	if len(all) == 0 {
		return nil
	}
	n := round % len(all)
	return append(slices.Clone(all[n:]), all[:n]...)
}
