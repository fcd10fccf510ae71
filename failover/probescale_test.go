package failover

import (
	"fmt"
	"testing"
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
