package main

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
)

// writeTables writes what was found for people, as Markdown that can be read as it is.
func writeTables(w io.Writer, found results, chosen []measure) {
	for _, m := range chosen {
		of := found[m.title]
		direct := of["direct"]
		head := []string{"", m.shown[0].title, "least – most"}
		for _, c := range m.shown[1:] {
			head = append(head, c.title)
		}
		if len(direct) > 0 {
			head = append(head, "to direct")
		}
		rows := [][]string{head}
		for _, name := range ordered(of, m.peers) {
			s := of[name]
			main := s.spread(m.shown[0].figure)
			row := []string{name, number(main.median), number(main.least) + " – " + number(main.most)}
			for _, c := range m.shown[1:] {
				row = append(row, number(s.spread(c.figure).median))
			}
			if len(direct) > 0 {
				row = append(row, fmt.Sprintf("%.2f", ratio(s, direct, m.shown[0].figure).median))
			}
			rows = append(rows, row)
		}
		if len(rows) > 1 {
			fmt.Fprintf(w, "\n%s\n\n", capital(m.title))
			writeTable(w, rows)
		}
	}
}

// ordered are the names of those that have been measured: first those that are known, in their order.
func ordered(of map[string]series, known []string) []string {
	var all []string
	for _, name := range append(slices.Clone(known), slices.Sorted(maps.Keys(of))...) {
		if len(of[name]) > 0 && !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	return all
}

// writeComparisons writes what has targets.
func writeComparisons(w io.Writer, found results) {
	rows := [][]string{{"", "median", "least – most", "target", ""}}
	for _, c := range comparisons() {
		r, there := c.of(found)
		if !there {
			continue
		}
		target, verdict := c.judge(r.median)
		rows = append(rows, []string{c.String(), fmt.Sprintf("%.2f", r.median), fmt.Sprintf("%.2f – %.2f", r.least, r.most), target, verdict})
	}
	if len(rows) > 1 {
		fmt.Fprint(w, "\nRatios and targets. Where two are named it is the ratio of their figures in the same round.\n\n")
		writeTable(w, rows)
	}
}

// judge says what the target is and whether a median reaches it.
func (c comparison) judge(median float64) (target, verdict string) {
	verdicts := map[bool]string{true: "reached", false: "missed"}
	switch {
	case c.none:
		return "0", verdicts[median == 0]
	case c.least > 0:
		return fmt.Sprintf("≥ %g", c.least), verdicts[median >= c.least]
	case c.most > 0:
		return fmt.Sprintf("≤ %g", c.most), verdicts[median <= c.most]
	}
	return "–", ""
}

// of is the spread of the comparison's figure, or ratio, if that was measured.
func (c comparison) of(found results) (s spread, there bool) {
	ours, theirs := found[c.title][c.ours], found[c.title][c.theirs]
	if c.theirs == "" {
		return ours.spread(c.figure), ours.has(c.figure)
	}
	return ratio(ours, theirs, c.figure), ours.has(c.figure) && theirs.has(c.figure)
}

func (c comparison) String() string {
	figure := c.figure
	for _, m := range measures() {
		for _, shown := range m.shown {
			if m.title == c.title && shown.figure == figure && figure != "rate" {
				figure = shown.title
			}
		}
	}
	if c.theirs == "" {
		return fmt.Sprintf("%s: %s, %s", c.title, figure, c.ours)
	}
	if strings.HasSuffix(c.title, c.theirs+" or "+c.ours) {
		return fmt.Sprintf("%s: %s", strings.TrimSuffix(c.title, c.theirs+" or "+c.ours)+c.ours+" / "+c.theirs, strings.TrimSuffix(figure, " µs"))
	}
	return fmt.Sprintf("%s: %s, %s / %s", c.title, strings.TrimSuffix(figure, " µs"), c.ours, c.theirs)
}

// writeTable writes rows as a Markdown table with columns of equal width; the first row is the head.
func writeTable(w io.Writer, rows [][]string) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	for i, row := range rows {
		line := "|"
		for j, cell := range row {
			line += " " + cell + strings.Repeat(" ", widths[j]-len([]rune(cell))) + " |"
		}
		fmt.Fprintln(w, line)
		if i == 0 {
			line := "|"
			for j, width := range widths {
				line += strings.Repeat("-", width+1) + map[bool]string{true: "-|", false: ":|"}[j == 0]
			}
			fmt.Fprintln(w, line)
		}
	}
}

// number has three digits that count.
func number(v float64) string {
	if v <= 0 || math.IsNaN(v) {
		return "0"
	}
	digits := 2 - int(math.Floor(math.Log10(v)))
	if digits <= 0 {
		unit := math.Pow10(-digits)
		if v = math.Round(v/unit) * unit; v < 10000 {
			return fmt.Sprint(v)
		}
		return grouped(int64(v))
	}
	return fmt.Sprintf("%.*f", min(digits, 3), v)
}

// grouped separates thousands.
func grouped(n int64) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return grouped(n/1000) + fmt.Sprintf(",%03d", n%1000)
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
