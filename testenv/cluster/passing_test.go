package cluster

import (
	"context"
	"sync"
	"testing"
	"time"

	"servicebroker/registration"
	"servicebroker/servicetable"
	"servicebroker/testenv/stage"
)

// keepChanging has an instance change its services all the time, so that whatever is done to the broker comes in the middle
// of a change.
func keepChanging(t testing.TB, b *stage.Broker, every time.Duration) {
	ctx, cancel := context.WithCancel(t.Context())
	refresh := make(chan struct{})
	var running sync.WaitGroup
	t.Cleanup(func() { cancel(); running.Wait() })
	running.Go(func() {
		ticks := time.NewTicker(every)
		defer ticks.Stop()
		for {
			select {
			case <-ticks.C:
			case <-ctx.Done():
				return
			}
			select {
			case refresh <- struct{}{}:
			case <-ctx.Done():
				return
			}
		}
	})
	turn := 0 // of the one link alone
	agent := &registration.Agent{Brokers: []string{b.Address}, Retry: 50 * time.Millisecond, Refresh: refresh, Describe: func() servicetable.Registration {
		turn++
		return stage.Fleeting("changing1", turn%40, turn)
	}}
	running.Go(func() { _ = agent.Run(ctx) })
}

// comeAndGo has an instance register and go again and again.
func comeAndGo(t testing.TB, b *stage.Broker, stay time.Duration) (end func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		for ctx.Err() == nil {
			short, over := context.WithTimeout(ctx, stay)
			agent := &registration.Agent{Brokers: []string{b.Address}, Retry: time.Minute, Describe: func() servicetable.Registration { return stage.Fleeting(passing, 1, 0) }}
			_ = agent.Run(short)
			over()
		}
	})
	end = func() { cancel(); running.Wait() }
	t.Cleanup(end)
	return end
}

// passing is the instance that comes and goes.
const passing = "passing1"
