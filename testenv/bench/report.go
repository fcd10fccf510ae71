package main

import (
	"fmt"
	"io"
	"math"
	"strings"
)

// writeTables writes what was found for people, as Markdown that can be read as it is.
func writeTables(w io.Writer, found results, chosen []measure) {
	for _, m := range chosen {
		of := found[m.title]
		rows := [][]string{{"", m.unit, "least – most", "p50 µs", "p99 µs", "to direct"}}
		for _, name := range m.peers {
			s := of[name]
			if len(s) == 0 {
				continue
			}
			rate := s.spread("rate")
			row := []string{name, number(rate.median), number(rate.least) + " – " + number(rate.most), "", "", ""}
			if _, timed := s[0]["p50"]; timed {
				row[3], row[4] = number(s.spread("p50").median), number(s.spread("p99").median)
			}
			if r := ratio(s, of["direct"], "rate"); r.median > 0 {
				row[5] = fmt.Sprintf("%.2f", r.median)
			}
			rows = append(rows, row)
		}
		fmt.Fprintf(w, "\n%s\n\n", capital(m.title))
		writeTable(w, rows)
	}
}

// writeComparisons writes the ratios that have targets.
func writeComparisons(w io.Writer, found results) {
	rows := [][]string{{"", "ratio", "least – most", "target", ""}}
	for _, c := range comparisons() {
		r := ratio(found[c.title][c.ours], found[c.title][c.theirs], c.figure)
		if r.median == 0 {
			continue
		}
		target, reached := fmt.Sprintf("≥ %g", c.least), r.median >= c.least
		if c.most > 0 {
			target, reached = fmt.Sprintf("≤ %g", c.most), r.median <= c.most
		}
		rows = append(rows, []string{
			fmt.Sprintf("%s: %s, %s to %s", c.title, c.figure, c.ours, c.theirs), fmt.Sprintf("%.2f", r.median),
			fmt.Sprintf("%.2f – %.2f", r.least, r.most), target, map[bool]string{true: "reached", false: "missed"}[reached],
		})
	}
	if len(rows) > 1 {
		fmt.Fprint(w, "\nRatios within the same round, and what they should be\n\n")
		writeTable(w, rows)
	}
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
