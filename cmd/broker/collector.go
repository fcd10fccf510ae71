package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"servicebroker/resources"
)

// A flood makes garbage by the ten megabytes a second. Left to itself the collector would
// then run several times a second, each time through the stacks of all connections, and
// everybody's connects would wait for it. So it is given room for some seconds of garbage,
// which is used only while there is that much.
const (
	floodRate      = 24 << 20        // bytes a second, for some seconds, from which on it is one
	collectorPause = 3 * time.Second // between two runs of it, if the room allows
	collectorRoom  = 160 << 20       // bytes of garbage at most
	ordinaryPace   = 100             // per cent, what the runtime does by itself
)

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
		keepPace(ctx, roomFor(resources.FindContainer("/").Limit), heap, func(percent int) { debug.SetGCPercent(percent) })
	}()
	return func() {
		cancel()
		<-done
	}
}

// keepPace looks every second at how much is allocated, and sets what fits the least of the
// last few: what is over soon is not worth the memory.
func keepPace(ctx context.Context, room uint64, look func() (allocated, live uint64), set func(percent int)) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var rates [3]uint64
	before, _ := look()
	now := ordinaryPace
	for n := 0; ; n++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		allocated, live := look()
		rates[n%len(rates)], before = allocated-before, allocated
		percent := paceFor(min(rates[0], rates[1], rates[2]), live, room)
		if percent == ordinaryPace && now != ordinaryPace || percent > now+now/4 || percent < now-now/4 {
			set(percent)
			now = percent
		}
	}
}

// paceFor is by how many per cent what is in use may grow before the collector runs, where so
// many bytes a second are allocated.
func paceFor(rate, live, room uint64) int {
	if rate < floodRate {
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

// heap returns how much was ever allocated, and how much the collector has to go through, bytes.
func heap() (allocated, live uint64) {
	samples := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}}
	metrics.Read(samples)
	return samples[0].Value.Uint64(), samples[1].Value.Uint64() + samples[2].Value.Uint64()
}
