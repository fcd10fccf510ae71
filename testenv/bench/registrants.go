package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"servicebroker/registration"
	"servicebroker/servicetable"
)

// registrants are many databases that register with one broker, each over a connection of its own, from an address of its own.
type registrants struct {
	Broker    string
	Port      int    // at which each of them takes sessions, at its own address
	Name      string // of instances and services
	Instances int
	Services  int // of each
	Sharing   int // instances that offer the same services; 1: each has its own
}

// reporting is how often a database reports by itself, as databases do.
const reporting = time.Minute

// address is the one of an instance, on the loopback.
func (r *registrants) address(i int) string {
	return fmt.Sprintf("127.%d.%d.%d:%d", 1+i>>16, i>>8&0xff, i&0xff, r.Port)
}

// run registers all until ctx ends. SIGUSR1 begins a storm, in which each of them registers anew every second; SIGUSR2 ends it.
func (r *registrants) run(ctx context.Context) error {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1, syscall.SIGUSR2)
	defer signal.Stop(signals)
	var running sync.WaitGroup
	defer running.Wait()
	refresh := make([]chan struct{}, r.Instances)
	for i := range refresh {
		refresh[i] = make(chan struct{}, 1)
		agent, err := r.agent(i, refresh[i])
		if err != nil {
			return err
		}
		running.Go(func() { _ = agent.Run(ctx) }) // fails only where it is made wrong
	}
	fmt.Println("ready", r.Broker)
	const step = 10 * time.Millisecond
	tick := time.NewTicker(step)
	defer tick.Stop()
	storm, due, next := false, 0.0, 0
	for {
		select {
		case s := <-signals:
			storm, due = s == syscall.SIGUSR1, 0
		case <-tick.C:
			if !storm {
				continue
			}
			for due += float64(r.Instances) * step.Seconds(); due >= 1; due-- {
				select {
				case refresh[next] <- struct{}{}:
				default: // has not yet done so since the last time
				}
				next = (next + 1) % r.Instances
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// agent registers one instance, whose load is another one each time.
func (r *registrants) agent(i int, refresh <-chan struct{}) (*registration.Agent, error) {
	var names []string
	for k := range r.Services {
		names = append(names, fmt.Sprintf("%s%d_%d", r.Name, i/r.Sharing, k))
	}
	if r.Name == carried { // the services that are asked for
		names = []string{carried, moved}
	}
	of, err := describe(fmt.Sprintf("%s_%d", r.Name, i), r.address(i), names...)
	if err != nil {
		return nil, err
	}
	var times atomic.Uint32
	from := &net.TCPAddr{IP: net.ParseIP(of.Host)}
	return &registration.Agent{
		Brokers: []string{r.Broker}, AsDatabase: true, Interval: reporting, Retry: time.Second, Refresh: refresh,
		Describe: func() servicetable.Registration {
			now := of
			now.Load = times.Add(1) % 100
			return now
		},
		Dial: func(ctx context.Context, address string) (net.Conn, error) {
			d := net.Dialer{LocalAddr: from, KeepAlive: -1}
			return d.DialContext(ctx, "tcp4", address)
		},
	}, nil
}
