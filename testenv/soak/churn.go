package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"servicebroker/registration"
	"servicebroker/servicetable"
	"servicebroker/testenv/stage"
)

// churn is instances that register, change and go, which no client asks for. What the last of them said is known.
type churn struct {
	sites   []*site
	cancel  context.CancelFunc
	running sync.WaitGroup
	refresh chan struct{}

	mu   sync.Mutex
	turn int // of the one that stays
}

// steady is the instance of a churn that stays.
const steady = "steady1"

// startChurn has one that stays and changes only when it is told to.
func startChurn(sites []*site) *churn {
	ctx, cancel := context.WithCancel(context.Background())
	c := &churn{sites: sites, cancel: cancel, refresh: make(chan struct{}, 1)}
	agent := &registration.Agent{Brokers: c.addresses(), Retry: 300 * time.Millisecond, Refresh: c.refresh, Describe: func() servicetable.Registration {
		c.mu.Lock()
		defer c.mu.Unlock()
		return stage.Fleeting(steady, 1+c.turn%20, 0)
	}}
	c.running.Go(func() { _ = agent.Run(ctx) })
	return c
}

func (c *churn) addresses() (all []string) {
	for _, s := range c.sites {
		all = append(all, s.At("127.0.0.1"))
	}
	return all
}

func (c *churn) end() { c.cancel(); c.running.Wait() }

// change has the one that stays say something else.
func (c *churn) change() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turn++
	select {
	case c.refresh <- struct{}{}:
	default: // what was said before is still to be sent
	}
}

// now is what it says.
func (c *churn) now() servicetable.Registration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return stage.Fleeting(steady, 1+c.turn%20, 0)
}

// visitors is how many come and go at a time.
const visitors = 30

// churnMore has many register and go, and the one that stays change.
func churnMore(_ context.Context, w *world, d *drawn) *undertaking {
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	return &undertaking{strike: func(context.Context) error {
		for i := range visitors {
			all.Go(func() {
				for n := 0; ctx.Err() == nil; n++ {
					short, over := context.WithTimeout(ctx, time.Duration(50+(i*37+n*61)%400)*time.Millisecond)
					agent := &registration.Agent{Brokers: w.churn.addresses(), Retry: time.Minute,
						Describe: func() servicetable.Registration { return stage.Fleeting(fmt.Sprint("passing", i), 1+n%5, 0) }}
					_ = agent.Run(short)
					over()
				}
			})
		}
		all.Go(func() {
			for stage.Pause(ctx, 50*time.Millisecond) == nil {
				w.churn.change()
			}
		})
		return nil
	}, heal: func(context.Context) error { cancel(); all.Wait(); return nil }}
}

// pause waits, or not to the end.
func pause(ctx context.Context, d time.Duration) { _ = stage.Pause(ctx, d) }
