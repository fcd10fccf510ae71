package broker

import (
	"fmt"
	"strings"
)

// unknownWord says that a word is none of the valid ones, and which of them was
// probably meant.
func unknownWord(word string, valid ...string) error {
	return fmt.Errorf("%q is not one of %s: did you mean %s?", word, strings.Join(valid, ", "), nearest(word, valid))
}

// habitual returns the valid word for one that people write out of the habits of
// other tools.
func habitual(word string) string {
	switch word {
	case "deny", "refuse", "block", "forbid":
		return "reject"
	case "allow", "permit":
		return "accept"
	case "proxy", "forward":
		return "relay"
	}
	return word
}

// nearest returns the valid word that takes the fewest edits to get to.
func nearest(word string, valid []string) string {
	word = habitual(strings.ToLower(word))
	best, fewest := "", -1
	for _, v := range valid {
		if n := edits(word, strings.ToLower(v)); fewest < 0 || n < fewest {
			best, fewest = v, n
		}
	}
	return best
}

// edits is the Levenshtein distance of two short words.
func edits(a, b string) int {
	if len(a) > 64 {
		a = a[:64]
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			above := row[j]
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(above+1, row[j-1]+1, diagonal+cost)
			diagonal = above
		}
	}
	return row[len(b)]
}
