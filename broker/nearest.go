package broker

import (
	"fmt"
	"slices"
	"strings"
)

// unknownWord says that a word is none of the valid ones, and which of them was
// probably meant.
func unknownWord(word string, valid ...string) error {
	if near := likely(word, valid); near != "" {
		return fmt.Errorf("%q is not one of %s: did you mean %s?", word, strings.Join(valid, ", "), near)
	}
	return fmt.Errorf("%q is not one of %s: write one of these", word, strings.Join(valid, ", "))
}

// oneMeant ends a message about a word that is none of the valid ones: with what was probably
// meant, and where nothing is like it with all that there is.
func oneMeant(word string, valid []string) string {
	if near := likely(word, valid); near != "" {
		return "did you mean " + near + "?"
	}
	return "write one of " + strings.Join(valid, ", ")
}

// likely returns the valid word that is near enough to have been meant, "" if none is.
func likely(word string, valid []string) string {
	near := nearest(word, valid)
	habit := habitual(strings.ToLower(word))
	if strings.EqualFold(habit, near) || 2*edits(strings.ToLower(word), strings.ToLower(near)) <= max(len(word), len(near)) {
		return near
	}
	return ""
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
	case "ssl", "tls", "https":
		return "tcps"
	case "http", "tcpip", "tcp/ip":
		return "tcp"
	case "debug", "trace", "verbose", "all":
		return "support"
	case "info", "notice":
		return "user"
	case "error", "none":
		return "off"
	case "true", "yes", "enabled":
		return "on"
	}
	return word
}

// nearest returns the valid word that takes the fewest edits to get to.
func nearest(word string, valid []string) string {
	word = strings.ToLower(word)
	if habit := habitual(word); slices.ContainsFunc(valid, func(v string) bool { return strings.EqualFold(v, habit) }) {
		word = habit
	}
	best, fewest := "", -1
	for _, v := range valid {
		if n := edits(word, strings.ToLower(v)); fewest < 0 || n < fewest {
			best, fewest = v, n
		}
	}
	return best
}

// edits is the Levenshtein distance of two short words, where two letters that changed places
// are one edit.
func edits(a, b string) int {
	if len(a) > 64 {
		a = a[:64]
	}
	earlier, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		earlier, last, row = last, row, earlier
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], earlier[j-2]+1)
			}
		}
	}
	return row[len(b)]
}
