package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFiguresOfOthers(t *testing.T) {
	found, err := dnsRounds(`round          broker        CoreDNS     lost
1             120000/s        80000/s     0, 0
2             121000/s        81000/s     3, 40
median        120500/s        80500/s
ratio            1.50
`)
	want := map[string]series{
		"broker":  {{"rate": 120000, "lost": 0}, {"rate": 121000, "lost": 3}},
		"CoreDNS": {{"rate": 80000, "lost": 0}, {"rate": 81000, "lost": 40}},
	}
	if diff := cmp.Diff(want, found); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if _, err := dnsRounds("bench-dns: dnsperf is missing"); err == nil {
		t.Error("no rounds are taken for some")
	}

	found = map[string]series{}
	err = benchmarks("tns", "goos: linux\nBenchmarkReadPacket-2  \t 164517\t      1127 ns/op\t7104.21 MB/s\t       0 B/op\t       0 allocs/op\n"+
		"BenchmarkAppendTo/connect,_long-2     \t   45188\t      17.13 ns/op\t       8 B/op\t       1 allocs/op\nBenchmarkPlain \t 10\t 5 ns/op\nPASS\n", found)
	want = map[string]series{
		"tns ReadPacket": {{"ns": 1127, "bytes": 0, "allocs": 0}}, "tns AppendTo/connect,_long": {{"ns": 17.13, "bytes": 8, "allocs": 1}}, "tns Plain": {{"ns": 5}},
	}
	if diff := cmp.Diff(want, found); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if err := benchmarks("tns", "PASS\n", found); err == nil {
		t.Error("no benchmarks are taken for some")
	}

	found, err = floodFigures(`    flood_test.go:95: through the broker {Target:127.0.0.1:5 Count:750 Failed:1 Why: P50:0.4 P90:1.1 P99:2.25 Longest:9.1 took:[]}
    flood_test.go:96: to the bare server {Target:127.0.0.1:6 Count:750 Failed:0 Why: P50:0.2 P90:0.9 P99:1.5 Longest:9 took:[]}
`)
	want = map[string]series{"relay": {{"failed": 1, "p50": 0.4, "p99": 2.25}}, "bare": {{"failed": 0, "p50": 0.2, "p99": 1.5}}}
	if diff := cmp.Diff(want, found); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if _, err := floodFigures("ok"); err == nil {
		t.Error("no figures are taken for some")
	}
}

func TestJudgement(t *testing.T) {
	for _, c := range []struct {
		comparison
		median          float64
		target, verdict string
	}{
		{comparison{least: 1.2}, 1.2, "≥ 1.2", "reached"},
		{comparison{least: 1.2}, 1.19, "≥ 1.2", "missed"},
		{comparison{most: 4}, 4, "≤ 4", "reached"},
		{comparison{most: 4}, 4.1, "≤ 4", "missed"},
		{comparison{none: true}, 0, "0", "reached"},
		{comparison{none: true}, 1, "0", "missed"},
		{comparison{}, 1, "–", ""},
	} {
		if target, verdict := c.judge(c.median); target != c.target || verdict != c.verdict {
			t.Errorf("%+v: %s, %s", c, target, verdict)
		}
	}
}

// What people wrote around the measurements stays.
func TestDocument(t *testing.T) {
	file := filepath.Join(t.TempDir(), "performance.md")
	if err := os.WriteFile(file, []byte("# Head\n"+measuredFrom+"old\n"+measuredTo+"Why.\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, measured := range []string{"new\n", "newer\n"} {
		if err := writeInto(file, []byte(measured)); err != nil {
			t.Fatal(err)
		}
		if got, want := textOf(file), "# Head\n"+measuredFrom+measured+measuredTo+"Why.\n"; got != want {
			t.Errorf("%q instead of %q", got, want)
		}
	}
	other := filepath.Join(t.TempDir(), "other.md")
	if err := writeInto(other, []byte("x\n")); err != nil || textOf(other) != measuredFrom+"x\n"+measuredTo {
		t.Errorf("%q, %v", textOf(other), err)
	}
	if err := os.WriteFile(file, []byte("# Head\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := writeInto(file, nil); err == nil || !strings.Contains(err.Error(), "lacks the lines") {
		t.Errorf("%v", err)
	}
}

func TestMachine(t *testing.T) {
	o := options{}
	var all []string
	for _, row := range o.machine(t.Context(), measuring([]string{"-write", "file", "-rounds", "3", "--results", "other"})) {
		all = append(all, strings.Join(row, ": "))
	}
	text := strings.Join(all, "\n")
	for _, want := range []string{"by: scripts/bench -rounds 3\n", "kernel: Linux ", " core", " GB\n", "go1."} {
		if !strings.Contains(text, want) {
			t.Errorf("nothing like %q in\n%s", want, text)
		}
	}
}
