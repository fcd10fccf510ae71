package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
)

// What has programs of its own to measure it is run by them, and what they print is taken over.

const (
	besideFlood = "connects to another service beside a flood of 5,000/s, 500 slow and 5,000 silent clients"
	answering   = "DNS answers, 8 clients of dnsperf"
	deciding    = "decisions and tables, one operation"
)

var microPackages = []string{"servicetable", "loadbalance", "descriptor", "tns", "registration/nsgr", "limits", "relay", "relay/engine"}

func otherMeasures() []measure {
	return []measure{
		{group: "dns", title: answering, peers: []string{"broker", "CoreDNS"}, shown: []column{{"rate", "/s"}, {"lost", "lost"}}, together: dns},
		{group: "micro", title: deciding, peers: []string{"all"}, shown: []column{{"ns", "ns"}, {"bytes", "bytes"}, {"allocs", "allocations"}}, together: micro},
		{group: "flood", title: besideFlood, peers: []string{"relay", "bare"}, shown: []column{{"p99", "p99 ms"}, {"p50", "p50 ms"}, {"failed", "failed"}}, together: flood},
	}
}

func otherComparisons() []comparison {
	return []comparison{
		{group: "dns", title: answering, figure: "rate", ours: "broker", theirs: "CoreDNS", least: 1},
		{group: "micro", title: deciding, figure: "allocs", ours: "relay/engine RoundTrip512/by_loops", none: true},
		{group: "micro", title: deciding, figure: "allocs", ours: "relay/engine RoundTrip512/by_goroutines", none: true},
		{group: "flood", title: besideFlood, figure: "p99", ours: "relay", theirs: "bare", most: 2},
	}
}

// said runs a program in the module's folder and returns what it prints.
func said(ctx context.Context, name string, arguments ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, arguments...)
	var out, wrong bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &wrong
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s: %w\n%s%s", strings.Join(cmd.Args, " "), err, out.String(), wrong.String())
	}
	return out.String(), nil
}

// dns has scripts/bench-dns take its rounds.
func dns(ctx context.Context, o *options) (map[string]series, error) {
	for _, tool := range []string{"dnsperf", "dig", "coredns"} {
		if _, err := find(tool); err != nil {
			return nil, err
		}
	}
	text, err := said(ctx, "scripts/bench-dns", fmt.Sprint(o.rounds), fmt.Sprint(max(1, int(o.lasting.Seconds()))))
	if err != nil {
		return nil, err
	}
	return dnsRounds(text)
}

var dnsRound = regexp.MustCompile(`(?m)^\d+ +(\d+)/s +(\d+)/s +(\d+), (\d+)$`)

// dnsRounds reads what scripts/bench-dns prints of each round.
func dnsRounds(text string) (map[string]series, error) {
	found := map[string]series{}
	for _, line := range dnsRound.FindAllStringSubmatch(text, -1) {
		found["broker"] = append(found["broker"], figures{"rate": parsed(line[1]), "lost": parsed(line[3])})
		found["CoreDNS"] = append(found["CoreDNS"], figures{"rate": parsed(line[2]), "lost": parsed(line[4])})
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("no rounds in %q", text)
	}
	return found, nil
}

// parsed is the number of a text that a pattern of digits has found.
func parsed(text string) float64 {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		panic(err)
	}
	return v
}

// micro runs the benchmarks of the packages on a connect's path.
func micro(ctx context.Context, o *options) (map[string]series, error) {
	found := map[string]series{}
	for _, p := range microPackages {
		text, err := said(ctx, "go", "test", "-run", "^$", "-bench", ".", "-skip", "Hostile|SingleBytes|Compile|Standing|FreezeAndThaw", "-benchmem",
			"-benchtime", "50ms", "-count", fmt.Sprint(min(3, o.rounds)), "./"+p)
		if err != nil {
			return nil, err
		}
		if err := benchmarks(p, text, found); err != nil {
			return nil, err
		}
	}
	return found, nil
}

var benchmark = regexp.MustCompile(`(?m)^Benchmark(\S+?)(?:-\d+)?[ \t]+\d+[ \t]+([\d.]+) ns/op(?:.*?[ \t](\d+) B/op[ \t]+(\d+) allocs/op)?`)

// benchmarks reads what go test prints of a package's benchmarks.
func benchmarks(of, text string, into map[string]series) error {
	lines := benchmark.FindAllStringSubmatch(text, -1)
	if len(lines) == 0 {
		return fmt.Errorf("no benchmarks of %s in %q", of, text)
	}
	for _, line := range lines {
		f := figures{"ns": parsed(line[2])}
		if line[3] != "" {
			f["bytes"], f["allocs"] = parsed(line[3]), parsed(line[4])
		}
		name := of + " " + line[1]
		into[name] = append(into[name], f)
	}
	return nil
}

var errNoFlood = errors.New("the flood's test does not say what it measured")

// flood has the test of testenv/flood measure, once in a run since it takes half a minute.
func flood(ctx context.Context, _ *options) (map[string]series, error) {
	text, err := said(ctx, "go", "test", "-count", "1", "-timeout", "5m", "-v", "-run", "TestOthersAreServedBesideAFlood", "./testenv/flood", "-args", "-full")
	found, missing := floodFigures(text)
	if missing != nil { // a test that misses its target fails, and has figures
		return nil, errors.Join(missing, err)
	}
	return found, nil
}

var floodLine = regexp.MustCompile(`(?m)(through the broker|to the bare server) \{.*? Count:(\d+) Failed:(\d+) .*?P50:([\d.]+) P90:[\d.]+ P99:([\d.]+) `)

func floodFigures(text string) (map[string]series, error) {
	found := map[string]series{}
	for _, line := range floodLine.FindAllStringSubmatch(text, -1) {
		name := map[string]string{"through the broker": "relay", "to the bare server": "bare"}[line[1]]
		found[name] = series{{"failed": parsed(line[3]), "p50": parsed(line[4]), "p99": parsed(line[5])}}
	}
	if len(found) != 2 {
		return nil, errNoFlood
	}
	return found, nil
}
