package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"time"
)

// measure is one thing that is measured of several peers.
type measure struct {
	group string // by which it is chosen
	title string
	peers []string
	shown []column
	fresh bool // each measurement starts the peer anew
	run   func(ctx context.Context, l *lab, p *peer, lasting time.Duration) (figures, error)
	// together measures all peers itself, by turns, where other programs do that; nil: run does.
	together func(ctx context.Context, o *options) (map[string]series, error)
}

// column is a figure in the measure's table. The first one is shown with its spread.
type column struct{ figure, title string }

var (
	timed  = []column{{"rate", "/s"}, {"p50", "p50 µs"}, {"p99", "p99 µs"}, {"user", "CPU µs, own"}, {"system", "CPU µs, kernel"}}
	poured = []column{{"rate", "MB/s"}, {"user", "CPU µs a MB, own"}, {"system", "CPU µs a MB, kernel"}}
	held   = []column{{"kB", "kB a session"}, {"files", "descriptors a session"}, {"woken", "100 woken, slowest ms"}}
)

// comparison is a figure, or the ratio of two peers' figures, that has a target.
type comparison struct {
	group, title string // of the measure
	figure       string
	ours, theirs string  // theirs is empty where the figure itself has the target
	least, most  float64 // the target, 0 where there is none
	none         bool    // the target is 0
}

var (
	connecting = []string{"direct", "bare", "decide", "redirect", "relay", "plain", "haproxy", "nginx"}
	carrying   = []string{"direct", "relay", "plain", "haproxy", "nginx"}
	secured    = []string{"relay-tls", "haproxy-tls"}
	pouring    = []string{"direct", "relay", "plain", "haproxy", "haproxy-splice", "nginx"}
)

// measures are all there are, in the order of the table.
func measures() []measure {
	var all []measure
	for _, n := range []int{1, 16, 64} {
		all = append(all, measure{group: "connects", title: fmt.Sprintf("connects, %d at a time", n), peers: connecting, shown: timed, run: connectsOf(n)})
	}
	for _, n := range []int{1, 16, 256} {
		all = append(all, measure{group: "roundtrips", title: fmt.Sprintf("round trips of %d bytes, %s", messageSize, plural(n, "session")), peers: carrying, shown: timed, run: roundTripsOf(n)})
	}
	for _, n := range []int{1, 4} {
		all = append(all, measure{group: "bulk", title: "bulk, " + plural(n, "stream"), peers: pouring, shown: poured, run: bulkOf(n)})
	}
	all = append(all, secureMeasures()...)
	all = append(all, growthMeasures()...)
	all = append(all, otherMeasures()...)
	return append(all, measure{group: "idle", title: fmt.Sprintf("%d idle sessions", idleSessions), peers: []string{"relay", "haproxy", "nginx"}, shown: held, fresh: true, run: idle})
}

func secureMeasures() []measure {
	var all []measure
	for _, version := range []uint16{tls.VersionTLS13, tls.VersionTLS12} {
		for _, resumed := range []bool{false, true} {
			title := "connects over " + tls.VersionName(version) + map[bool]string{false: ", full handshakes", true: ", resumed"}[resumed]
			all = append(all, measure{group: "tls", title: title, peers: secured, shown: timed, run: secureConnects(version, resumed)})
		}
	}
	for _, n := range []int{1, 4} {
		all = append(all, measure{group: "tls", title: "bulk over TLS 1.3, " + plural(n, "stream"), peers: secured, shown: poured, run: secureBulk(n)})
	}
	return all
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func connectsOf(n int) func(context.Context, *lab, *peer, time.Duration) (figures, error) {
	return func(_ context.Context, _ *lab, p *peer, lasting time.Duration) (figures, error) {
		found, err := p.connects.run(n, lasting)
		if err != nil {
			return nil, err
		}
		return found.figures(), found.why
	}
}

func roundTripsOf(n int) func(context.Context, *lab, *peer, time.Duration) (figures, error) {
	return func(_ context.Context, _ *lab, p *peer, lasting time.Duration) (figures, error) {
		found, err := roundTrips(p.address, p.connects.packet, n, lasting)
		if err != nil {
			return nil, err
		}
		return found.figures(), nil
	}
}

func bulkOf(n int) func(context.Context, *lab, *peer, time.Duration) (figures, error) {
	return func(_ context.Context, _ *lab, p *peer, lasting time.Duration) (figures, error) {
		rate, err := bulk(p.address, p.connects.packet, n, lasting)
		return figures{"rate": rate}, err
	}
}

// comparisons are what is promised.
func comparisons() []comparison {
	all := []comparison{
		{group: "connects", title: "connects, 64 at a time", figure: "rate", ours: "relay", theirs: "haproxy", least: 1.2},
		{group: "connects", title: "connects, 64 at a time", figure: "p99", ours: "relay", theirs: "haproxy", most: 1},
	}
	for _, n := range []int{1, 16, 64} {
		all = append(all, comparison{group: "connects", title: fmt.Sprintf("connects, %d at a time", n), figure: "rate", ours: "decide", theirs: "bare", least: 0.9})
	}
	for _, n := range []int{1, 16, 256} {
		all = append(all, comparison{group: "roundtrips", title: fmt.Sprintf("round trips of %d bytes, %s", messageSize, plural(n, "session")), figure: "rate", ours: "relay", theirs: "haproxy", least: 1.2})
	}
	for _, n := range []int{1, 4} {
		all = append(all, comparison{group: "bulk", title: "bulk, " + plural(n, "stream"), figure: "rate", ours: "relay", theirs: "haproxy", least: 2})
	}
	for _, m := range secureMeasures() {
		all = append(all, comparison{group: m.group, title: m.title, figure: "rate", ours: "relay-tls", theirs: "haproxy-tls"})
	}
	all = append(all, growthComparisons()...)
	all = append(all, otherComparisons()...)
	title := fmt.Sprintf("%d idle sessions", idleSessions)
	return append(all,
		comparison{group: "idle", title: title, figure: "kB", ours: "relay", most: 4},
		comparison{group: "idle", title: title, figure: "files", ours: "relay", most: 2},
		comparison{group: "idle", title: title, figure: "woken", ours: "relay", most: 50})
}
