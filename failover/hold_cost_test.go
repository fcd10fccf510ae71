package failover

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// What a held connect costs here is a few hundred bytes; its open connection costs far more.
func TestBytesPerPlace(t *testing.T) {
	const n = 10_000
	for _, c := range []struct {
		name  string
		queue func(int) string
		most  uint64
	}{
		{"one line", func(int) string { return "sales" }, 250},
		{"a line each", func(i int) string { return fmt.Sprint("sales|", i) }, 600},
	} {
		var h Holder
		h.Configure(HoldSettings{Max: n, ServiceShare: 1})
		h.Departed("sales")
		r := HoldRequest{Service: "sales", Wake: func() {}, Ready: func() bool { return false }}
		queues, places := make([]string, n), make([]*Place, n)
		for i := range queues {
			queues[i] = c.queue(i)
		}
		before := heapInUse()
		for i := range places {
			r.Queue = queues[i]
			p, err := h.Enter(r)
			if err != nil {
				t.Fatal(err)
			}
			places[i] = p
		}
		each := (heapInUse() - before) / n
		runtime.KeepAlive(queues)
		t.Logf("%s: %d bytes a place", c.name, each)
		if each > c.most {
			t.Errorf("%s: %d bytes a place, want at most %d", c.name, each, c.most)
		}
		for _, p := range places {
			p.Leave(false)
		}
	}
}

func heapInUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// Where nobody is held, a connect that asks does not even lock.
func TestAskingCostsNothing(t *testing.T) {
	var h Holder
	h.Seen("sales")
	if n := testing.AllocsPerRun(100, func() { h.Waiting("sales"); h.Reached("sales") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkWaitingNobody(b *testing.B) {
	var h Holder
	for b.Loop() {
		h.Waiting("sales")
		h.Reached("sales")
	}
}

// BenchmarkEnterLeave is one more client that comes and goes behind 10,000.
func BenchmarkEnterLeave(b *testing.B) {
	var h Holder
	h.Configure(HoldSettings{Max: 20_000, ServiceShare: 1})
	h.Departed("sales")
	r := HoldRequest{Service: "sales", Queue: "sales", Wake: func() {}}
	for range 10_000 {
		if _, err := h.Enter(r); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		p, err := h.Enter(r)
		if err != nil {
			b.Fatal(err)
		}
		p.Leave(false)
	}
}

// BenchmarkPass10000 holds, lets go and serves 10,000 clients in ten lines.
func BenchmarkPass10000(b *testing.B) {
	for b.Loop() {
		var h Holder
		h.Configure(HoldSettings{Max: 10_000, ServiceShare: 1, Rate: -1})
		h.Departed("sales")
		ctx, cancel := context.WithCancel(b.Context())
		var run, served sync.WaitGroup
		run.Go(func() { h.Run(ctx, nil) })
		served.Add(10_000)
		var back atomic.Bool
		for i := range 10_000 {
			woken := make(chan struct{}, 1)
			p, err := h.Enter(HoldRequest{
				Service: "sales", Queue: fmt.Sprint(i % 10), Ready: back.Load, Retry: time.Millisecond,
				Wake: func() { woken <- struct{}{} },
			})
			if err != nil {
				b.Fatal(err)
			}
			go func() {
				<-woken
				p.Leave(true)
				served.Done()
			}()
		}
		served.Wait()
		cancel()
		run.Wait()
	}
}

// Many clients at once, on real time: each is answered, nobody is left behind.
func TestHoldInParallel(t *testing.T) {
	var h Holder
	h.Report = func(HoldEvent) {}
	h.Configure(HoldSettings{Timeout: 300 * time.Millisecond, Rate: -1})
	h.Seen("sales", "hr")
	ctx, cancel := context.WithCancel(t.Context())
	table := make(chan chan struct{}, 1)
	table <- make(chan struct{})
	changed := func() <-chan struct{} {
		c := <-table
		table <- c
		return c
	}
	var back atomic.Bool
	var run, clients sync.WaitGroup
	run.Go(func() { h.Run(ctx, changed) })
	run.Go(func() {
		for ctx.Err() == nil {
			back.Store(!back.Load())
			c := <-table
			close(c)
			table <- make(chan struct{})
			pass(time.Millisecond)
		}
	})
	var answered atomic.Int64
	for i := range 400 {
		clients.Go(func() {
			for range 5 {
				if wander(t, &h, fmt.Sprint("line ", i%7), &back) {
					answered.Add(1)
				}
			}
		})
	}
	for i := range 200 {
		_, _ = h.Held(), h.Counters()
		h.Configure(HoldSettings{Timeout: time.Duration(200+i) * time.Millisecond, Rate: -1})
		h.Departed("hr")
		h.Seen("hr")
		pass(time.Millisecond)
	}
	clients.Wait()
	cancel()
	run.Wait()
	if c := h.Counters(); c.HeldNow != 0 || len(h.lines) != 0 || c.Held != uint64(answered.Load()) {
		t.Errorf("%d answered; left behind %+v, %d lines", answered.Load(), c, len(h.lines))
	}
}

// wander is one client that is held, tries, fails, tries again or goes away; false if it was not held at all.
func wander(t *testing.T, h *Holder, queue string, back *atomic.Bool) bool {
	woken := make(chan struct{}, 1)
	p, err := h.Enter(HoldRequest{
		Service: []string{"sales", "hr"}[rand.N(2)], Queue: queue, Ready: back.Load, Retry: time.Duration(rand.N(2)) * time.Millisecond,
		Wake: func() { woken <- struct{}{} }, // blocks, and the test with it, if it is called twice
	})
	if err != nil {
		t.Error(err)
		return false
	}
	gone := time.After(time.Duration(rand.N(600)) * time.Millisecond)
	for {
		select {
		case <-gone:
			p.Leave(false)
			return true
		case <-woken:
		}
		if p.State() != Go || rand.N(3) == 0 {
			p.Leave(true)
			return true
		}
		if p.Again("in vain", time.Duration(rand.N(2))*time.Millisecond) != Waiting {
			p.Leave(false)
			return true
		}
	}
}
