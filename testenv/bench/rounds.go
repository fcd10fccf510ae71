package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"time"
)

// results are all series: by measure, by peer.
type results map[string]map[string]series

// with adds earlier results from a file, of what was not measured now, and writes all of them there. So a run can be taken in parts.
func (r results) with(file string) (results, error) {
	all := results{}
	text, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(text, &all)
	} else if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	if err != nil {
		return r, fmt.Errorf("results of earlier runs: %w", err)
	}
	maps.Copy(all, r)
	if text, err = json.MarshalIndent(all, "", " "); err != nil {
		return r, err
	}
	return all, os.WriteFile(file, text, 0o644)
}

// options are the flags.
type options struct {
	bin      string
	only     []string // groups of measures; empty: all
	peers    []string // empty: all
	rounds   int
	lasting  time.Duration
	results  string // file of earlier results; "" for none
	write    string // the document for the results; "" for none
	progress io.Writer
}

// chosen are the measures that are asked for, of the peers that are asked for.
func (o *options) chosen() []measure {
	var all []measure
	for _, m := range measures() {
		if len(o.only) > 0 && !slices.Contains(o.only, m.group) {
			continue
		}
		m.peers = slices.DeleteFunc(slices.Clone(m.peers), func(name string) bool { return len(o.peers) > 0 && !slices.Contains(o.peers, name) })
		if len(m.peers) > 0 {
			all = append(all, m)
		}
	}
	return all
}

// measureAll takes one measure after the other. A peer runs from the first measure that needs it to the last.
func (o *options) measureAll(ctx context.Context, l *lab) (results, error) {
	found := results{}
	chosen := o.chosen()
	for i, m := range chosen {
		began := time.Now()
		var err error
		if m.together != nil {
			found[m.title], err = m.together(ctx, o)
		} else if err = l.add(ctx, m.peers); err == nil {
			found[m.title], err = o.measureOne(ctx, l, m)
		}
		if errors.Is(err, errMissing) {
			l.leaveOut(err)
		} else if err != nil {
			return found, fmt.Errorf("%s: %w", m.title, err)
		}
		l.keep(func(name string) bool {
			return slices.ContainsFunc(chosen[i+1:], func(m measure) bool { return slices.Contains(m.peers, name) })
		})
		fmt.Fprintf(o.progress, "%d of %d: %s, %s, %v\n", i+1, len(chosen), m.title, plural(o.rounds, "round"), time.Since(began).Round(time.Second))
	}
	return found, nil
}

// measureOne measures every peer once in each round, each round in another order.
func (o *options) measureOne(ctx context.Context, l *lab, m measure) (map[string]series, error) {
	there := slices.DeleteFunc(slices.Clone(m.peers), func(name string) bool { return l.peers[name] == nil })
	found := map[string]series{}
	for round := range o.rounds + 1 {
		lasting := o.lasting
		if round == 0 { // warms, where the peer is not a fresh one each time
			if lasting /= warming; m.fresh {
				continue
			}
		}
		for _, name := range rotated(there, round) {
			if err := ctx.Err(); err != nil {
				return found, context.Cause(ctx)
			}
			f, err := m.once(ctx, l, l.peers[name], lasting)
			if err != nil {
				return found, fmt.Errorf("%s: %w", name, err)
			}
			if round > 0 {
				found[name] = append(found[name], f)
			}
		}
	}
	return found, nil
}

// once runs the measure, with what processor time the peer spends on one operation, in µs.
func (m *measure) once(ctx context.Context, l *lab, p *peer, lasting time.Duration) (figures, error) {
	if m.fresh {
		return m.run(ctx, l, p, lasting)
	}
	user, system, err := p.process.spent()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	f, err := m.run(ctx, l, p, lasting)
	if err != nil {
		return nil, err
	}
	took := time.Since(began)
	u, s, err := p.process.spent()
	if n := f["rate"] * took.Seconds(); n > 0 {
		f["user"], f["system"] = micros(u-user)/n, micros(s-system)/n
	}
	return f, err
}
