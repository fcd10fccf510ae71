// Command sim runs the balancing policies in a simulated world and prints how they compare.
//
//	go run ./scripts/sim [-quick] [-gates] [-sessions n] [-seeds n]
//
// For each policy and scenario it prints the mean slowdown of sessions and, in brackets, the 99th percentile; below, in
// the same form, what was published for it. The same arguments give the same figures. It fails if a gate does.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"servicebroker/loadbalance/simulation"
)

func main() {
	quick := flag.Bool("quick", false, "a tenth of the sessions, one seed")
	gates := flag.Bool("gates", false, "only the policies and figures that gates are about")
	sessions := flag.Int("sessions", 100_000, "sessions in each run, of which the first fifth is not measured")
	seeds := flag.Int("seeds", 3, "runs of each kind")
	flag.Parse()
	if *quick {
		*sessions, *seeds = *sessions/10, 1
	}
	r := report{out: os.Stdout, sessions: *sessions, seeds: *seeds}
	if !*gates {
		r.steady()
		r.board()
		r.disturbed()
	}
	if !r.gates() && !*quick {
		os.Exit(1)
	}
}

// report prints what it lets run.
type report struct {
	out             io.Writer
	sessions, seeds int
	judged          []simulation.Cell // those that gates may be about
}

const nameWidth, cellWidth = 33, 17

func (r *report) run(policies []simulation.Policy, scenarios []simulation.Scenario) []simulation.Cell {
	cells := simulation.Cells(policies, scenarios)
	simulation.RunAll(cells, r.sessions, r.seeds)
	return cells
}

func (r *report) title(format string, values ...any) {
	text := fmt.Sprintf(format, values...)
	fmt.Fprintf(r.out, "%s\n%s\n\n", text, strings.Repeat("=", len(text)))
}

// header prints the scenarios: what they are, then their names above the columns.
func (r *report) header(scenarios []simulation.Scenario) {
	for i := range scenarios {
		s := &scenarios[i]
		if s.Title != "" {
			fmt.Fprintf(r.out, "  %-8s %s\n", s.Name, s.Title)
		}
	}
	if scenarios[0].Title != "" {
		fmt.Fprintln(r.out)
	}
	fmt.Fprintf(r.out, "%-*s", nameWidth, "")
	for i := range scenarios {
		fmt.Fprintf(r.out, "%*s", cellWidth, scenarios[i].Name)
	}
	fmt.Fprintln(r.out)
}

// line prints one value a column.
func (r *report) line(name string, values []string) {
	fmt.Fprintf(r.out, "%-*s", nameWidth, name)
	for _, v := range values {
		fmt.Fprintf(r.out, "%*s", cellWidth, v)
	}
	fmt.Fprintln(r.out)
}

func figures(slowdown, p99 float64) string {
	return fmt.Sprintf("%s (%s)", number(slowdown), number(p99))
}

// number prints v with the digits that matter.
func number(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.3f", v)
}

func (r *report) steady() {
	r.title("Mean slowdown (99th percentile); below, as published. %d sessions, %d seeds", r.sessions, r.seeds)
	scenarios := simulation.Steady()
	r.header(scenarios)
	cells := r.run(simulation.Policies(), scenarios)
	r.judged = append(r.judged, cells...)
	for row := range rows(cells, len(scenarios)) {
		var measured, published []string
		for _, c := range row {
			measured = append(measured, figures(c.Result.Slowdown, c.Result.P99))
			if p, known := c.Policy.Published[c.Scenario.Name]; known {
				published = append(published, figures(p.Slowdown, p.P99))
			}
		}
		r.line(row[0].Policy.Name, measured)
		if len(published) > 0 {
			r.line("    published", published)
		}
	}
	r.evenness(cells, len(scenarios))
}

// evenness prints how evenly the servers were used.
func (r *report) evenness(cells []simulation.Cell, columns int) {
	fmt.Fprintf(r.out, "\nGreatest load per core by average load, mean over time (coefficient of variation)\n\n")
	for row := range rows(cells, columns) {
		var values []string
		for _, c := range row {
			values = append(values, fmt.Sprintf("%.2f (%.2f)", c.Result.Peak, c.Result.Variation))
		}
		r.line(row[0].Policy.Name, values)
	}
	fmt.Fprintln(r.out)
}

// rows yields the cells of one policy after the other.
func rows(cells []simulation.Cell, columns int) func(func([]simulation.Cell) bool) {
	return func(yield func([]simulation.Cell) bool) {
		for ; len(cells) > 0; cells = cells[columns:] {
			if !yield(cells[:columns]) {
				return
			}
		}
	}
}

func (r *report) board() {
	r.title("The literature's board: 100 servers of one core, load 0.9, mean time in system by that alone")
	scenarios := simulation.Board()
	r.header(scenarios)
	var known []simulation.Policy
	for _, p := range simulation.Policies() {
		if len(p.Board) > 0 {
			known = append(known, p)
		}
	}
	longer := *r
	longer.sessions *= 4 // there are more servers to fill
	for row := range rows(longer.run(known, scenarios), len(scenarios)) {
		var measured, published []string
		for i, c := range row {
			measured = append(measured, number(c.Result.Residence/c.Scenario.Work))
			published = append(published, number(c.Policy.Board[i]))
		}
		r.line(row[0].Policy.Name, measured)
		r.line("    published", published)
	}
	two := longer.run(simulation.Select(simulation.Policies(), "least of two, perfect information"), scenarios[:1])
	fmt.Fprintf(r.out, "\nCheck of the model: least of two, perfect information: %.3f, known limit 2.614\n\n", two[0].Result.Residence/two[0].Scenario.Work)
}

func (r *report) disturbed() {
	r.title("When something goes wrong")
	scenarios := simulation.Disturbed()
	r.header(scenarios)
	cells := r.run(simulation.Policies(), scenarios)
	r.judged = append(r.judged, cells...)
	for row := range rows(cells, len(scenarios)) {
		var values []string
		for _, c := range row {
			values = append(values, figures(c.Result.Slowdown, c.Result.P99))
		}
		r.line(row[0].Policy.Name, values)
	}
	r.evenness(cells, len(scenarios))
}

// gates prints the gates, and reports whether all hold.
func (r *report) gates() bool {
	if r.judged == nil {
		policies := simulation.Select(simulation.Policies(), simulation.Redirecting, simulation.Relaying, simulation.InTurn, simulation.InOurTurn)
		r.judged = r.run(policies, append(simulation.Steady(), simulation.Disturbed()...))
	}
	r.title("Gates, with BROKERS set to the true count")
	all := true
	for _, g := range simulation.Gates(r.judged) {
		all = all && g.Holds()
		fmt.Fprintln(r.out, g)
	}
	return all
}
