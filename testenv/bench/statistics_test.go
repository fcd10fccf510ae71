package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   spread
	}{
		{nil, spread{}},
		{[]float64{3}, spread{3, 3, 3}},
		{[]float64{9, 1, 5}, spread{5, 1, 9}},
		{[]float64{4, 1, 2, 9}, spread{3, 1, 9}},
	} {
		if got := spreadOf(c.values); got != c.want {
			t.Errorf("%v: %+v instead of %+v", c.values, got, c.want)
		}
	}
}

// A machine that is slower in one round changes no ratio.
func TestRatiosAreWithinRounds(t *testing.T) {
	ours := series{{"rate": 120}, {"rate": 12}, {"rate": 130}}
	theirs := series{{"rate": 100}, {"rate": 10}, {"rate": 100}}
	if got := ratio(ours, theirs, "rate"); got != (spread{1.2, 1.2, 1.3}) {
		t.Errorf("%+v", got)
	}
	if got := ratio(ours, series{{"rate": 0}}, "rate"); got != (spread{}) {
		t.Errorf("to nothing: %+v", got)
	}
	if got := ours.spread("rate"); got != (spread{120, 12, 130}) {
		t.Errorf("%+v", got)
	}
	if got := ours.spread("p99"); got != (spread{}) {
		t.Errorf("of what was not measured: %+v", got)
	}
}

func TestEveryoneIsFirstOnce(t *testing.T) {
	var got []string
	for round := range 4 {
		got = append(got, strings.Join(rotated([]string{"a", "b", "c"}, round), ""))
	}
	if diff := cmp.Diff([]string{"abc", "bca", "cab", "abc"}, got); diff != "" {
		t.Error(diff)
	}
	if rotated[int](nil, 3) != nil {
		t.Error("nobody, and yet somebody")
	}
}

func TestLatencies(t *testing.T) {
	a, b := &latencies{over: 2 * time.Second}, &latencies{over: 2 * time.Second}
	for i := range 1000 {
		a.add(time.Duration(1000-i) * time.Microsecond)
	}
	b.fail(errors.New("first"))
	b.fail(errors.New("second"))
	all := join(a, nil, b)
	if all.why == nil || all.why.Error() != "first" {
		t.Errorf("%v", all.why)
	}
	want := figures{"rate": 500, "failed": 2, "p50": 501, "p99": 991, "slowest": 1000}
	if diff := cmp.Diff(want, all.figures()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(figures{"rate": 0, "failed": 0}, (&latencies{over: time.Second}).figures()); diff != "" {
		t.Error(diff)
	}
}

// What is done before or after the window does not count, unless nothing else does.
func TestWindow(t *testing.T) {
	began := time.Now()
	w := window{began.Add(time.Second), began.Add(3 * time.Second)}
	at := func(s float64) time.Time { return began.Add(time.Duration(s * float64(time.Second))) }
	var busy, slow, hung latencies
	busy.done(w, at(0), at(0.5))
	if busy.enough(w, at(4)) {
		t.Error("nothing is enough")
	}
	busy.done(w, at(0.5), at(1.5))
	busy.done(w, at(2), at(4))
	if diff := cmp.Diff([]time.Duration{time.Second}, busy.took); diff != "" || busy.over != 2*time.Second {
		t.Errorf("%s in %v", diff, busy.over)
	}
	if busy.enough(w, at(2)) || !busy.enough(w, at(3.1)) {
		t.Error("the window is not what counts")
	}
	slow.done(w, at(0.5), at(5))
	if f := slow.figures(); f["rate"] != 0.25 || f["p50"] != 4.5e6 {
		t.Errorf("one that takes longer than the window: %v", f)
	}
	if hung.enough(w, at(5)) || !hung.enough(w, at(3).Add(patience+1)) {
		t.Error("a load that does nothing has to end some time")
	}
}

func TestNumbers(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", -1: "0", 0.1234: "0.123", 1.234: "1.23", 12.34: "12.3", 123.4: "123", 1234: "1230", 12345: "12,300", 1234567: "1,230,000",
		0.00012: "0.000",
	} {
		if got := number(v); got != want {
			t.Errorf("%g: %s instead of %s", v, got, want)
		}
	}
}

func TestTables(t *testing.T) {
	m := measure{title: "connects, 64 at a time", peers: []string{"direct", "relay", "haproxy", "nginx"}, shown: timed[:3]}
	found := results{m.title: {
		"direct":  {{"rate": 100, "p50": 5, "p99": 9}, {"rate": 120, "p50": 5, "p99": 9}},
		"relay":   {{"rate": 50, "p50": 10, "p99": 20}, {"rate": 60, "p50": 10, "p99": 20}},
		"haproxy": {{"rate": 40, "p50": 11, "p99": 10}, {"rate": 48, "p50": 10, "p99": 10}},
	}}
	found["5000 idle sessions"] = map[string]series{"relay": {{"files": 2}}}
	var text strings.Builder
	writeTables(&text, found, []measure{m})
	writeComparisons(&text, found)
	want := `
Connects, 64 at a time

|         | /s   | least – most | p50 µs | p99 µs | to direct |
|---------|-----:|-------------:|-------:|-------:|----------:|
| direct  | 110  | 100 – 120    | 5.00   | 9.00   | 1.00      |
| relay   | 55.0 | 50.0 – 60.0  | 10.0   | 20.0   | 0.50      |
| haproxy | 44.0 | 40.0 – 48.0  | 10.5   | 10.0   | 0.40      |

Ratios and targets. Where two are named it is the ratio of their figures in the same round.

|                                                  | median | least – most | target |         |
|--------------------------------------------------|-------:|-------------:|-------:|--------:|
| connects, 64 at a time: rate, relay / haproxy    | 1.25   | 1.25 – 1.25  | ≥ 1.2  | reached |
| connects, 64 at a time: p99, relay / haproxy     | 2.00   | 2.00 – 2.00  | ≤ 1    | missed  |
| 5000 idle sessions: descriptors a session, relay | 2.00   | 2.00 – 2.00  | ≤ 2    | reached |
`
	if diff := cmp.Diff(want, text.String()); diff != "" {
		t.Error(diff)
	}
	text.Reset()
	writeComparisons(&text, results{})
	if text.Len() > 0 {
		t.Errorf("%s of nothing", text.String())
	}
}

func TestResultsAreAdded(t *testing.T) {
	file := filepath.Join(t.TempDir(), "results.json")
	first := results{"a": {"relay": {{"rate": 1}}}, "b": {"relay": {{"rate": 2}}}}
	second := results{"b": {"relay": {{"rate": 3}, {"rate": 4}}}}
	if got, err := first.with(file); err != nil || !cmp.Equal(first, got) {
		t.Errorf("%v, %v", got, err)
	}
	want := results{"a": first["a"], "b": second["b"]}
	if got, err := second.with(file); err != nil || !cmp.Equal(want, got) {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := (results{}).with(file); err != nil || !cmp.Equal(want, got) {
		t.Errorf("%v, %v", got, err)
	}
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := first.with(file); err == nil {
		t.Error("a broken file is taken")
	}
}

// Every comparison is of peers that the measure is about.
func TestComparisonsHaveMeasures(t *testing.T) {
	all := map[string]measure{}
	for _, m := range measures() {
		all[m.title] = m
	}
	for _, c := range comparisons() {
		who := fmt.Sprint(all[c.title].peers)
		if c.group == "micro" { // whose rows are what is found
			continue
		}
		if !strings.Contains(who, c.ours) || !strings.Contains(who, c.theirs) || c.theirs == c.ours || c.least > 0 && c.most > 0 {
			t.Errorf("%+v is of %s", c, who)
		}
	}
}
