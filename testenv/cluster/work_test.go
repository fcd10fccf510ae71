package cluster

import (
	"context"
	"flag"
	"fmt"
	"sync"
	"testing"
	"time"

	"servicebroker/testenv/drivers"
	"servicebroker/testenv/stage"
)

var (
	upgrades = flag.Int("upgrades", 3, "how often the broker is upgraded under load")
	rate     = flag.Float64("rate", 100, "connects in a second meanwhile")
	pause    = flag.Duration("pause", 500*time.Millisecond, "between two upgrades")
	drain    = flag.Duration("drain", 12*time.Second, "DRAIN_TIMEOUT: sessions over TLS end with their generation after it")
	restarts = flag.Int("restarts", 2, "how often a broker is killed whose databases come back late")
)

// betweenTurns is how long a member of a crew rests.
const betweenTurns = 2 * time.Second

// toil has all members work until stop is closed.
func (c *crew) toil(ctx context.Context, hands []*hand, stop <-chan struct{}) {
	var all sync.WaitGroup
	defer all.Wait()
	for i, h := range hands {
		all.Go(func() {
			timer := time.NewTimer(betweenTurns * time.Duration(i) / time.Duration(len(hands))) // not all at a time
			defer timer.Stop()
			for {
				select {
				case <-timer.C:
				case <-stop:
					return
				case <-ctx.Done():
					return
				}
				timer.Reset(betweenTurns)
				for _, m := range h.members {
					if !m.over {
						c.turn(ctx, h, m)
					}
				}
			}
		})
	}
}

// result is how long the turns took since it was asked last.
func (c *crew) result() times {
	c.mu.Lock()
	defer c.mu.Unlock()
	turns := c.turns
	c.turns = nil
	return turns
}

// registrations counts the connections that databases have made to brokers since their starts.
func registrations(t testing.TB, databases ...*stage.Database) (made int) {
	t.Helper()
	for _, d := range databases {
		var state struct {
			Made map[string]int `json:"broker_connections"`
		}
		must(t, d.State(&state))
		for _, n := range state.Made {
			made += n
		}
	}
	return made
}

// complain tells of the first few failures.
func complain(t testing.TB, b *stage.Broker, what string, failures []string) {
	t.Helper()
	const most = 5
	for i, f := range failures {
		if i == most {
			t.Errorf("%s: and %d more", what, len(failures)-most)
			return
		}
		t.Errorf("%s: %s", what, explain(t, b, f))
	}
}

// failures tells of the connects that failed.
func (l *loop) failures(connects []drivers.Connected) (failed []string) {
	for _, c := range connects {
		if c.Error != "" {
			failed = append(failed, fmt.Sprintf("connect %d at %s, after %.0f ms at %s: %.300s", c.N, c.Started().Format("15:04:05.000"), c.TookMS, c.Stage, c.Error))
		}
	}
	return failed
}
