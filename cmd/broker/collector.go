package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"time"

	"servicebroker/resources"
)

// Connects make garbage by the ten megabytes a second. Left to itself the collector would
// then run many times a second, since little is in use besides, and everybody's connects would
// wait for it. So it is given room for some seconds of garbage for as long as there is so
// much, and what that took is given back afterwards.
const (
	paceEvery      = 250 * time.Millisecond // looks at how much is allocated
	busyRate       = 4 << 20                // bytes a second, from which on the collector would have much to do
	collectorPause = 3 * time.Second        // between two runs of it, if the room allows
	collectorRoom  = 64 << 20               // bytes of garbage at most: with more, each burst touches memory that is new to it, which costs as much
	ordinaryPace   = 100                    // per cent, what the runtime does by itself
	pacesBusy      = 2                      // looks in a row at much, before there is room: a burst is not worth the memory …
	pacesCalm      = 4                      // … and at little, before it is given back
)

// collector is the runtime's, but for tests.
type collector struct {
	heap     func() (allocated, live uint64) // how much was ever allocated, and how much it has to go through, bytes
	setPace  func(percent int)               // by how much what is in use may grow before it runs
	giveBack func()                          // to the system what nobody uses
}

// paceCollector sets the pace of the collector until the returned function is called. Who has
// set GOGC is left alone.
func paceCollector(ctx context.Context) (stop func()) {
	if os.Getenv("GOGC") != "" {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime := collector{heap, func(percent int) { debug.SetGCPercent(percent) }, debug.FreeOSMemory}
		runtime.keepPace(ctx, roomFor(resources.FindContainer("/").Limit))
	}()
	return func() {
		cancel()
		<-done
	}
}

// keepPace gives the collector room, up to so many bytes, while much is allocated.
func (c *collector) keepPace(ctx context.Context, room uint64) {
	tick := time.NewTicker(paceEvery)
	defer tick.Stop()
	var recent [pacesCalm]uint64 // rates, the last one first
	before, _ := c.heap()
	for now := ordinaryPace; ; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		allocated, live := c.heap()
		copy(recent[1:], recent[:])
		recent[0], before = (allocated-before)*uint64(time.Second/paceEvery), allocated
		wanted := paceFor(slices.Min(recent[:pacesBusy]), live, room)
		switch {
		case wanted > now+now/4, wanted > ordinaryPace && wanted < now-now/4: // of what is in use, which grows with the load
			c.setPace(wanted)
			now = wanted
		case now != ordinaryPace && paceFor(slices.Max(recent[:]), live, room) == ordinaryPace:
			c.setPace(ordinaryPace)
			c.giveBack()
			now = ordinaryPace
		}
	}
}

// paceFor is by how many per cent what is in use may grow before the collector runs, where so
// many bytes a second are allocated.
func paceFor(rate, live, room uint64) int {
	if rate < busyRate {
		return ordinaryPace
	}
	wanted := min(rate*uint64(collectorPause/time.Second), room)
	return int(max(ordinaryPace, wanted*100/max(live, 1<<20)))
}

// roomFor is how much garbage there may be: less where all memory there is for this process, 0
// for no limit, is little.
func roomFor(container uint64) uint64 {
	if container == 0 {
		return collectorRoom
	}
	return min(collectorRoom, container/8)
}

// heap is a collector's, of the runtime.
func heap() (allocated, live uint64) {
	samples := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}}
	metrics.Read(samples)
	return samples[0].Value.Uint64(), samples[1].Value.Uint64() + samples[2].Value.Uint64()
}
