package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
)

// record is what came of it all.
type record struct {
	out       io.Writer
	began     time.Time
	chronicle *chronicle
	stalls    *stalls

	mu        sync.Mutex
	faults    []string
	struck    map[string]int // disturbances by name
	connects  map[string]*tally
	pool      map[string]*tally
	footprint []string
}

// tally sums up what one driver did on one errand.
type tally struct {
	count  int
	apart  map[string]int // by verdict
	faults int
	took   []time.Duration
}

func newRecord(out io.Writer) *record {
	return &record{out: out, began: time.Now(), struck: map[string]int{}, connects: map[string]*tally{}, pool: map[string]*tally{}}
}

// say tells people how it goes on.
func (r *record) say(format string, a ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintf(r.out, "%s "+format+"\n", append([]any{time.Now().Format("15:04:05")}, a...)...)
}

// mostTold is how many faults are told at length.
const mostTold = 50

// fault is something that must not be.
func (r *record) fault(at time.Time, format string, a ...any) {
	text := fmt.Sprintf(format, a...)
	if r.chronicle != nil && !strings.Contains(text, "while ") {
		for _, h := range r.chronicle.during(at.Add(-detection), at) {
			text += "\n  while " + h.String()
		}
	}
	r.mu.Lock()
	r.faults = append(r.faults, at.Format(precise)+" "+text)
	told := len(r.faults) <= mostTold
	r.mu.Unlock()
	if told {
		r.say("FAULT: %s", text)
	}
}

func (r *record) disturbed(name string, h *happening) {
	r.mu.Lock()
	r.struck[name]++
	r.mu.Unlock()
	r.say("  %s, %v", h.text, h.healed.Sub(h.began).Round(10*time.Millisecond))
}

func (r *record) connected(t *trial, verdict string) {
	r.mu.Lock()
	one := of(r.connects, t.Driver+"\t"+t.name)
	one.note(verdict, t.ConnectTime())
	r.mu.Unlock()
	if text, wrong := strings.CutPrefix(verdict, faulty); wrong {
		r.fault(t.Ended(), "%s", text)
	}
}

// turned notes a turn of a long session, or how it ended.
func (r *record) turned(driver, verdict string, took time.Duration) {
	r.mu.Lock()
	of(r.pool, driver).note(verdict, took)
	r.mu.Unlock()
	if text, wrong := strings.CutPrefix(verdict, faulty); wrong {
		r.fault(time.Now(), "%s", text)
	}
}

func of(all map[string]*tally, key string) *tally {
	if all[key] == nil {
		all[key] = &tally{apart: map[string]int{}}
	}
	return all[key]
}

func (t *tally) note(verdict string, took time.Duration) {
	t.count++
	switch {
	case verdict == well:
		t.took = append(t.took, took)
	case strings.HasPrefix(verdict, faulty):
		t.faults++
	default:
		t.apart[verdict]++
	}
}

// percentiles are p50, p99 and the most.
func (t *tally) percentiles() string {
	if len(t.took) == 0 {
		return "–\t–\t–"
	}
	slices.Sort(t.took)
	at := func(percent int) float64 {
		return float64(t.took[max((len(t.took)*percent+99)/100, 1)-1].Microseconds()) / 1000
	}
	return fmt.Sprintf("%.1f\t%.1f\t%.1f", at(50), at(99), at(100))
}

func (t *tally) counted() string {
	text := ""
	for _, name := range slices.Sorted(maps.Keys(t.apart)) {
		text += fmt.Sprintf("%s%d %s", cmp.Or(map[bool]string{true: ", "}[text != ""], ""), t.apart[name], name)
	}
	return cmp.Or(text, "–")
}

// trouble is what no log may contain.
var trouble = regexp.MustCompile(`(?m)^(WARNING: DATA RACE|panic: |fatal error: |SIG[A-Z]+: ).*$`)

// troubleIn looks through the logs.
func (r *record) troubleIn(folder string) {
	files, _ := filepath.Glob(filepath.Join(folder, "*.log"))
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			r.fault(time.Now(), "%v", err)
		}
		if found := trouble.Find(text); found != nil {
			r.fault(time.Now(), "%s: %s", filepath.Base(name), found)
		}
	}
}

// conclude prints the table and returns how much was wrong.
func (r *record) conclude() int {
	direct := r.stalls.end()
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintf(r.out, "\n%v\n\n", time.Since(r.began).Round(time.Second))
	table := tabwriter.NewWriter(r.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "disturbance\ttimes")
	for _, name := range slices.Sorted(maps.Keys(r.struck)) {
		fmt.Fprintf(table, "%s\t%d\n", name, r.struck[name])
	}
	fmt.Fprintln(table, "\ndriver\terrand\tconnects\tfailed\tcounted apart\tp50 ms\tp99\tmax")
	total := &tally{}
	for _, name := range slices.Sorted(maps.Keys(r.connects)) {
		t := r.connects[name]
		fmt.Fprintf(table, "%s\t%d\t%d\t%s\t%s\n", name, t.count, t.faults, t.counted(), t.percentiles())
		total.count, total.faults = total.count+t.count, total.faults+t.faults
	}
	fmt.Fprintf(table, "all\t\t%d\t%d\n", total.count, total.faults)
	fmt.Fprintf(table, "go-ora\tto a database of its own, without a broker\t%d\t\t\t%s\n", direct.count, direct.percentiles())
	fmt.Fprintln(table, "\ndriver\tlong sessions\tturns\tfailed\tcounted apart\tp50 ms\tp99\tmax")
	for _, name := range slices.Sorted(maps.Keys(r.pool)) {
		t := r.pool[name]
		fmt.Fprintf(table, "%s\t\t%d\t%d\t%s\t%s\n", name, t.count, t.faults, t.counted(), t.percentiles())
	}
	_ = table.Flush()
	fmt.Fprintln(r.out)
	for _, line := range r.footprint {
		fmt.Fprintln(r.out, line)
	}
	fmt.Fprintf(r.out, "%d faults\n", len(r.faults))
	for _, f := range r.faults[:min(len(r.faults), mostTold)] {
		fmt.Fprintln(r.out, " ", f)
	}
	return len(r.faults)
}
