package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"
)

// results are all series: by measure, by peer.
type results map[string]map[string]series

// options are the flags.
type options struct {
	bin      string
	only     []string // groups of measures; empty: all
	peers    []string // empty: all
	rounds   int
	lasting  time.Duration
	progress io.Writer
}

// chosen are the measures that are asked for, of the peers that are asked for and are there.
func (o *options) chosen(l *lab) []measure {
	var all []measure
	for _, m := range measures() {
		if len(o.only) > 0 && !slices.Contains(o.only, m.group) {
			continue
		}
		var there []string
		for _, name := range m.peers {
			if (len(o.peers) == 0 || slices.Contains(o.peers, name)) && (l == nil || l.peers[name] != nil) {
				there = append(there, name)
			}
		}
		if m.peers = there; len(there) > 0 {
			all = append(all, m)
		}
	}
	return all
}

// measureAll measures every peer once in each round, each round in another order.
func (o *options) measureAll(ctx context.Context, l *lab) (results, error) {
	found := results{}
	for _, m := range o.chosen(l) {
		began := time.Now()
		found[m.title] = map[string]series{}
		for _, name := range m.peers { // warm
			if m.group == "idle" { // whose peers are fresh ones each time
				break
			}
			if _, err := m.run(ctx, l, l.peers[name], o.lasting/warming); err != nil {
				return found, fmt.Errorf("%s of %s: %w", m.title, name, err)
			}
		}
		for round := range o.rounds {
			for _, name := range rotated(m.peers, round) {
				if err := ctx.Err(); err != nil {
					return found, context.Cause(ctx)
				}
				f, err := m.run(ctx, l, l.peers[name], o.lasting)
				if err != nil {
					return found, fmt.Errorf("%s of %s: %w", m.title, name, err)
				}
				found[m.title][name] = append(found[m.title][name], f)
			}
		}
		fmt.Fprintf(o.progress, "%s: %s, %v\n", m.title, plural(o.rounds, "round"), time.Since(began).Round(time.Second))
	}
	return found, nil
}
