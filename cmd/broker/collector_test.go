package main

import (
	"context"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestPaceOfTheCollector(t *testing.T) {
	const mb = 1 << 20
	for _, c := range []struct {
		rate, live, room uint64
		want             int
	}{
		{0, 30 * mb, 160 * mb, 100},          // nothing to do
		{20 * mb, 10 * mb, 160 * mb, 100},    // a busy day
		{40 * mb, 30 * mb, 160 * mb, 400},    // a flood: three seconds of it
		{500 * mb, 40 * mb, 160 * mb, 400},   // more than there is room for
		{500 * mb, 1000 * mb, 160 * mb, 100}, // much is in use: as ever
		{50 * mb, 30 * mb, 15 * mb, 100},     // a small container
		{50 * mb, 0, 150 * mb, 15000},
	} {
		if got := paceFor(c.rate, c.live, c.room); got != c.want {
			t.Errorf("%d bytes a second, %d in use, room for %d: %d %%, want %d", c.rate, c.live, c.room, got, c.want)
		}
	}
}

// The pace is set when a flood comes and when it is over, not each second.
func TestPaceFollowsTheLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var rate atomic.Uint64
		var allocated uint64
		var set []int
		done := make(chan struct{})
		go func() {
			defer close(done)
			keepPace(ctx, collectorRoom, func() (uint64, uint64) { allocated += rate.Load(); return allocated, 30 << 20 }, func(p int) { set = append(set, p) })
		}()
		for _, now := range []uint64{1 << 20, 50 << 20, 52 << 20, 1 << 20} {
			synctest.Wait()
			rate.Store(now)
			<-time.After(10 * time.Second)
		}
		cancel()
		<-done
		if !slices.Equal(set, []int{500, 100}) {
			t.Errorf("paces %v", set)
		}
	})
}

func TestRoomInAContainer(t *testing.T) {
	for limit, want := range map[uint64]uint64{0: collectorRoom, 256 << 20: 32 << 20, 999_999_999_999: collectorRoom} {
		if got := roomFor(limit); got != want {
			t.Errorf("%d: %d, want %d", limit, got, want)
		}
	}
	runtime.GC()
	if allocated, live := heap(); allocated == 0 || live == 0 {
		t.Errorf("heap of %d, %d", allocated, live)
	}
}
