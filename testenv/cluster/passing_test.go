package cluster

import (
	"context"
	"fmt"
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
		return fleeting("changing1", turn%40, turn)
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
			agent := &registration.Agent{Brokers: []string{b.Address}, Retry: time.Minute, Describe: func() servicetable.Registration { return fleeting(passing, 1, 0) }}
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

// fleeting is an instance that nobody can connect to.
func fleeting(name string, services, load int) servicetable.Registration {
	r := servicetable.Registration{Instance: name, Host: "127.0.0.1", HostRaw: "(HOST=127.0.0.1)", NodeMax: 100, Max: 100, Load: uint32(load)}
	h := servicetable.Handler{Name: "DEDICATED", Kind: servicetable.Dedicated, Protocol: "TCP", Host: "127.0.0.1", Port: 1, Max: 100, Flags: registration.FlagDedicated,
		Address: "(ADDRESS=(PROTOCOL=TCP)(HOST=127.0.0.1)(PORT=1))", Info: "REMOTE SERVER"}
	for i := range services {
		r.Services = append(r.Services, servicetable.Service{Name: fmt.Sprint(name, "_", i), Flags: servicetable.FlagUnblocked, Delta: 1})
		h.Services = append(h.Services, i)
	}
	r.Handlers = []servicetable.Handler{h}
	return r
}
