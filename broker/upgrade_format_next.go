//go:build nextformat || onlynextformat

package broker

import (
	"context"
	"encoding/json"
	"os"
)

// A version as it might be one day, built by tests alone, to be upgraded from and to.
const newestFormat = 2

// nextParts are not known to older versions.
func (b *Broker) nextParts() []part {
	give := func() (any, []*os.File, error) { return map[string]int{"answer": 42}, nil, nil }
	take := func(json.RawMessage, []*os.File) error { return nil }
	return []part{{name: "later", give: give, take: take}, {name: "later, early", give: give, take: take, early: true}}
}

// nextMovers are not known to older versions, which decline what they move.
func (b *Broker) nextMovers() []mover {
	return []mover{{
		kind: "later", what: "things of a later version",
		move: func(ctx context.Context, offer offerFunc) (moved, stayed int) {
			in, out, err := os.Pipe()
			if err != nil {
				return 0, 1
			}
			defer in.Close()
			defer out.Close()
			if offer(ctx, map[string]any{"answer": 42}, in, out) != nil {
				return 0, 1
			}
			return 1, 0
		},
		resume: func(_ context.Context, _ json.RawMessage, files []*os.File) (begin func(error), err error) {
			for _, f := range files {
				_ = f.Close()
			}
			return nil, nil
		},
	}}
}
