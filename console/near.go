package console

import (
	"slices"
	"strings"
)

// Bounds of what is suggested for a name that is not there.
const (
	maxNear     = 3  // names suggested
	maxNearName = 64 // bytes of a name that is compared: comparing costs the product of two lengths
)

// nearest returns those of names that were likely meant by name, the likeliest first.
func nearest(name string, names []string) []string {
	type found struct {
		name     string
		distance int
	}
	var near []found
	wanted := strings.ToLower(name)
	for _, one := range names {
		have := strings.ToLower(one)
		if wanted == "" || len(wanted) > maxNearName || len(have) > maxNearName {
			continue
		}
		if d, ok := nearness(wanted, have); ok {
			near = append(near, found{one, d})
		}
	}
	slices.SortStableFunc(near, func(a, b found) int { return a.distance - b.distance })
	var likely []string
	for _, f := range near[:min(len(near), maxNear)] {
		likely = append(likely, f.name)
	}
	return likely
}

// nearness counts the letters to change from a to b, or to b's name without its domain. Names too different are not
// near, unless one has the other in it.
func nearness(a, b string) (distance int, near bool) {
	short, _, _ := strings.Cut(b, ".")
	label, _, _ := strings.Cut(a, ".")
	distance = min(edits(a, b), edits(label, short))
	contains := len(short) > 2 && strings.Contains(a, short) || len(label) > 2 && strings.Contains(b, label)
	return distance, contains || distance <= max(1, (len(label)+1)/3)
}

// edits is the least number of bytes to insert, delete or replace that makes b of a.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
