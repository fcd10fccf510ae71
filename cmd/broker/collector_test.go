package main

import (
	"context"
	"fmt"
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
		{3 * mb, 4 * mb, 160 * mb, 100},      // a busy day
		{20 * mb, 4 * mb, 160 * mb, 1500},    // refusals, of whom nothing stays
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

// The pace is set soon after a flood has come, and again when it is over, and not for what is over at once.
func TestPaceFollowsTheLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		began := time.Now()
		var rate, live atomic.Uint64 // the rate between two looks
		var allocated uint64
		var did []string
		c := collector{
			heap:     func() (uint64, uint64) { allocated += rate.Load(); return allocated, live.Load() },
			setPace:  func(p int) { did = append(did, fmt.Sprint(time.Since(began), " pace ", p)) },
			giveBack: func() { did = append(did, fmt.Sprint(time.Since(began), " back")) },
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			c.keepPace(ctx, collectorRoom)
		}()
		for _, part := range []struct {
			rate, live uint64
			looks      time.Duration
		}{{1 << 18, 5, 40}, {50 << 18, 5, 40}, {52 << 18, 20, 40}, {1 << 18, 20, 40}, {90 << 18, 20, 1}, {0, 20, 40}} {
			synctest.Wait()
			rate.Store(part.rate)
			live.Store(part.live << 20)
			<-time.After(part.looks * paceEvery)
		}
		cancel()
		<-done
		if want := []string{"10.5s pace 1280", "20.25s pace 320", "31s pace 100", "31s back"}; !slices.Equal(did, want) {
			t.Errorf("%q, want %q", did, want)
		}
	})
}

func TestRoomInAContainer(t *testing.T) {
	for limit, want := range map[uint64]uint64{0: collectorRoom, 128 << 20: 16 << 20, 999_999_999_999: collectorRoom} {
		if got := roomFor(limit); got != want {
			t.Errorf("%d: %d, want %d", limit, got, want)
		}
	}
	runtime.GC()
	if allocated, live := heap(); allocated == 0 || live == 0 {
		t.Errorf("heap of %d, %d", allocated, live)
	}
}
