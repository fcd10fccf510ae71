package broker

import (
	"context"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// lacksMemory has a broker believe that so many per cent of its memory cannot be done without.
func lacksMemory(b *Broker, percent uint64) {
	m := &b.overload.memory
	m.limit.Store(10_000)
	m.use = func() memoryUse { return memoryUse{needed: percent * 100, has: 10_000, headroom: 100} }
}

// What is short stays so until there is clearly enough.
func TestMemoryIsShortAndEnough(t *testing.T) {
	const limit = 1000
	var r memoryRoom
	r.limit.Store(limit)
	for _, c := range []struct {
		used                      uint64
		short, exhausted, changed bool
	}{
		{700, false, false, false}, {849, false, false, false}, {850, true, false, true}, {800, true, false, false}, {930, true, true, true}, {880, true, true, false},
		{879, true, false, true}, {750, true, false, false}, {749, false, false, true}, {849, false, false, false}, {5000, true, true, true}, {0, false, false, true},
	} {
		if changed := r.look(memoryUse{needed: c.used}); changed != c.changed || r.short.Load() != c.short || r.exhausted.Load() != c.exhausted {
			t.Errorf("%d of %d: changed %v, short %v, exhausted %v", c.used, limit, changed, r.short.Load(), r.exhausted.Load())
		}
	}
	r.limit.Store(0)
	r.container.Limit = limit
	for used, short := range map[uint64]bool{900: false, 960: true} {
		if r.short.Store(false); r.look(memoryUse{container: used}) != short {
			t.Errorf("%d of a container's %d", used, limit)
		}
	}
}

// Where the runtime keeps to its limit only by collecting garbage all the time, there is too little, whatever is in use.
func TestTheCollectorTellsOfShortage(t *testing.T) {
	for _, c := range []struct {
		has, headroom    uint64
		short, exhausted bool
	}{
		{500, 5, false, false}, // as somebody wants it, who has set GOGC
		{950, 100, false, false},
		{950, 41, false, false},
		{950, 24, true, false},
		{950, 11, true, true},
		{1100, 0, true, true},
	} {
		var r memoryRoom
		r.limit.Store(1000)
		r.look(memoryUse{needed: 500, has: c.has, headroom: c.headroom})
		if r.short.Load() != c.short || r.exhausted.Load() != c.exhausted {
			t.Errorf("%d of 1000, headroom of %d %%: short %v, exhausted %v", c.has, c.headroom, r.short.Load(), r.exhausted.Load())
		}
	}
}

// Half of the processors read messages of databases; where memory is short it is one, and slowly.
func TestMessagesArePacedWhereMemoryIsShort(t *testing.T) {
	atOnce := max(1, runtime.GOMAXPROCS(0)/2)
	for _, c := range []struct {
		short, exhausted bool
		want             time.Duration // for five messages that take a millisecond each, up to the end of the last one
	}{{false, false, time.Duration((5+atOnce-1)/atOnce) * time.Millisecond}, {true, false, 25 * time.Millisecond}, {true, true, 105 * time.Millisecond}} {
		synctest.Test(t, func(t *testing.T) {
			r := memoryRoom{working: newTurnsToRead()}
			r.short.Store(c.short)
			r.exhausted.Store(c.exhausted)
			began := time.Now()
			var all sync.WaitGroup
			for range 5 {
				all.Go(func() {
					defer r.paced(t.Context())()
					<-time.After(time.Millisecond)
				})
			}
			all.Wait()
			if took := time.Since(began); took != c.want {
				t.Errorf("short %v, exhausted %v: %v, want %v", c.short, c.exhausted, took, c.want)
			}
		})
	}
}

// Nobody is let in while garbage is made faster than it is collected, but for longer than a while nobody waits for that.
func TestTheCollectorIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var has atomic.Uint64
		has.Store(1050)
		r := memoryRoom{working: newTurnsToRead(), use: func() memoryUse { return memoryUse{has: has.Load()} }}
		r.limit.Store(1000)
		r.short.Store(true)
		r.lookClosely()
		began := time.Now()
		r.paced(t.Context())()
		if took := time.Since(began); took != longestWait {
			t.Errorf("%v until a message is worked on", took)
		}
		go func() {
			<-time.After(longestWait / 2)
			has.Store(1000)
			r.lookClosely()
		}()
		began = time.Now()
		r.settled(t.Context(), longestWait)
		if took := time.Since(began); took < longestWait/2 || took > longestWait/2+lookCloselyEvery {
			t.Errorf("%v until it is over", took)
		}
		over, cancel := context.WithCancel(t.Context())
		cancel()
		done := r.paced(t.Context())
		r.paced(over)() // nobody waits for a turn then
		done()
	})
}

// With next to no memory left those databases are served that were here before, and nobody else.
func TestDatabasesThatAreHereGoBeforeNewOnes(t *testing.T) {
	r := prepared(t, func(b *Broker) { lacksMemory(b, 94) })
	until(t, "it is noticed", r.overload.memory.exhausted.Load)
	here := netip.MustParseAddr("127.0.0.1")
	if why, _ := r.fullFor(here); why == "" {
		t.Error("there is room for a database that nobody knows")
	}
	r.databases.all.Store(&map[netip.Prefix]time.Time{netip.PrefixFrom(here, 32): {}})
	r.register("a", "sales")
	if why, _ := r.fullFor(here); why != "" {
		t.Error(why)
	}
	if reply, err := r.connection("127.0.0.1").ReadReply(); err == nil {
		t.Errorf("a client is answered: %T", reply)
	}
}
