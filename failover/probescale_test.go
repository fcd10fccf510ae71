package failover

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"servicebroker/servicetable"
)

// crowd is a table with n instances of one handler and two services each, all at addresses of their own.
func crowd(n int) *servicetable.Table {
	var table servicetable.Table
	for i := range n {
		r := servicetable.Registration{ID: servicetable.ID(fmt.Sprint("r", i)), Instance: fmt.Sprint("i", i), Host: "n", RegisteredAt: time.Unix(1, 0)}
		r.Services = []servicetable.Service{{Name: fmt.Sprint("s", i/4), Flags: servicetable.FlagUnblocked}, {Name: "common", Flags: servicetable.FlagUnblocked}}
		r.Handlers = []servicetable.Handler{{Name: "DEDICATED", Protocol: "tcp", Host: fmt.Sprint("h", i), Port: 1521, Services: []int{0, 1}}}
		table.Apply(r)
	}
	return &table
}

// BenchmarkSync is what each reading of a table of 5,000 handlers costs.
func BenchmarkSync(b *testing.B) {
	table := crowd(5000)
	p := &Prober{Snapshot: table.Snapshot, Interval: 5 * time.Second}
	p.begin()
	now := time.Now()
	p.sync(table.Snapshot(), now)
	p.settle()
	b.ReportAllocs()
	for b.Loop() {
		p.sync(table.Snapshot(), now)
		p.settle()
	}
}

// BenchmarkObserve is what each connect costs.
func BenchmarkObserve(b *testing.B) {
	table := crowd(5000)
	p := &Prober{Snapshot: table.Snapshot, Interval: 5 * time.Second}
	p.begin()
	p.sync(table.Snapshot(), time.Now())
	found, err := table.Snapshot().Match(servicetable.Query{Service: "s7"})
	if err != nil {
		b.Fatal(err)
	}
	a := Attempt{Candidate: found[0], Committed: true, Answered: true}
	b.ReportAllocs()
	for b.Loop() {
		p.Observe(a)
	}
}

// BenchmarkEjection is what it costs to eject half of 2,000 handlers at a time, marks included.
func BenchmarkEjection(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		table := crowd(2000)
		p := &Prober{Snapshot: table.Snapshot, Mark: func(key string, m servicetable.Mark) { table.Mark(key, m) }}
		p.begin()
		now := time.Now()
		p.sync(table.Snapshot(), now)
		for _, t := range p.state.targets {
			p.sawDead(t, now, "test")
		}
		b.StartTimer()
		p.settle()
	}
}

func TestOneProbeForEachAddress(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := watch(t, func(p *Prober) { p.PanicShare = 1 })
		const n = 3000
		for i := range n {
			r := servicetable.Registration{ID: servicetable.ID(fmt.Sprint("r", i)), Instance: fmt.Sprint("i", i), Host: "n"}
			r.Services = []servicetable.Service{{Name: "s", Flags: servicetable.FlagUnblocked}}
			r.Handlers = []servicetable.Handler{{Name: "DEDICATED", Protocol: "TCP", Host: fmt.Sprint("Host", i%3), Port: 1521, Services: []int{0}}}
			w.table.Apply(r)
		}
		w.settle()
		w.forget()
		pass(10 * time.Second)
		synctest.Wait()
		if total := w.probed(""); total < 6 || total > 9 {
			t.Errorf("%d probes of 3 addresses in 10 s, want 6 to 9", total)
		}
		if targets := len(w.prober.state.targets); targets != 3 {
			t.Errorf("%d targets", targets)
		}
	})
}

// The first probes of many addresses are spread, and no more run at a time than there are workers.
func TestProbesAreSpreadAndBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var mu sync.Mutex
		var at []time.Duration
		now, most := 0, 0
		begun := time.Now()
		w := watch(t, func(p *Prober) {
			p.Workers = 20
			p.Probe = func(context.Context, servicetable.Candidate, bool) error {
				mu.Lock()
				at = append(at, time.Since(begun))
				now++
				most = max(most, now)
				mu.Unlock()
				pass(30 * time.Millisecond)
				mu.Lock()
				now--
				mu.Unlock()
				return nil
			}
		})
		const n = 2000
		r := servicetable.Registration{ID: "r", Instance: "i", Host: "n", Services: []servicetable.Service{{Name: "s", Flags: servicetable.FlagUnblocked}}}
		for i := range n {
			r.Handlers = append(r.Handlers, servicetable.Handler{Name: fmt.Sprint("D", i), Protocol: "tcp", Host: "h", Port: 1000 + i, Services: []int{0}})
		}
		w.table.Apply(r)
		pass(60 * time.Second)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if most > 20 {
			t.Errorf("%d probes at a time, want at most 20", most)
		}
		if per := float64(len(at)) / n / 12; per < 0.95 || per > 1.25 {
			t.Errorf("%.2f probes for each address and interval", per)
		}
		busiest := 0
		for second := range 60 {
			from := slices.IndexFunc(at, func(d time.Duration) bool { return d >= time.Duration(second)*time.Second })
			to := slices.IndexFunc(at, func(d time.Duration) bool { return d >= time.Duration(second+1)*time.Second })
			if from >= 0 && to >= 0 {
				busiest = max(busiest, to-from)
			}
		}
		if busiest > n/3 {
			t.Errorf("%d probes in one second of 5", busiest)
		}
	})
}

func TestEjectedAreProbedWithBackoff(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := watch(t, nil)
		a := w.register("a", "s")
		w.register("b", "s")
		w.set("h-a", refuses)
		w.met(a, errRefused())
		w.forget()
		pass(time.Minute)
		if n := w.probed("h-a"); n < 7 || n > 11 {
			t.Errorf("%d probes in the first minute, want them 1, 2, 4, 8 s apart and then 10 s", n)
		}
	})
}

func TestStrangersAreForgotten(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := watch(t, nil)
		for i := range strangersLimit + 10 {
			w.prober.Observe(Attempt{Candidate: candidate(fmt.Sprint(i)), Answered: true, Committed: true})
		}
		if n := len(w.prober.state.targets); n != strangersLimit {
			t.Errorf("%d targets", n)
		}
		pass(2 * time.Minute)
		w.register("a", "s")
		if n := len(w.prober.state.targets); n != 1 {
			t.Errorf("%d targets left", n)
		}
		w.table.Drop("c1")
		w.settle()
		pass(2 * time.Minute)
		w.register("b", "s")
		if n, left := len(w.prober.state.targets), w.prober.state.strangers; n != 1 || left != 0 {
			t.Errorf("%d targets and %d strangers left", n, left)
		}
	})
}
