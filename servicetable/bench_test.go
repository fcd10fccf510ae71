package servicetable

import (
	"fmt"
	"testing"
	"time"
)

// fleet returns registrations that offer 10,000 services on 8 instances each: so many databases of so many services.
func fleet(databases, services int) []Registration {
	const names = 10_000
	all := make([]Registration, databases)
	for d := range all {
		r := Registration{
			ID: ID(fmt.Sprintf("c%d", d)), Instance: fmt.Sprintf("inst%d", d), Host: fmt.Sprintf("db%d", d),
			Load: 1, Max: 247, NodeMax: 100, RegisteredAt: time.Unix(0, 0), LoadAt: time.Unix(0, 0),
		}
		h := Handler{Name: "DEDICATED", Kind: Dedicated, Protocol: "tcp", Host: r.Host, Port: 1521, Load: 5, Max: 149}
		for i := range services {
			r.Services = append(r.Services, Service{Name: benchName((d*services + i) % names), Flags: FlagUnblocked, Goodness: 1, Delta: 1})
			h.Services = append(h.Services, i)
		}
		r.Handlers = []Handler{h}
		all[d] = r
	}
	return all
}

func benchName(i int) string { return fmt.Sprintf("Service%05d.example.com", i) }

var fleets = []struct{ databases, services int }{{8, 10_000}, {4_000, 20}}

func forFleets(b *testing.B, bench func(*testing.B, *Table, []Registration)) {
	for _, f := range fleets {
		b.Run(fmt.Sprintf("%dx%d", f.databases, f.services), func(b *testing.B) {
			var t Table
			all := fleet(f.databases, f.services)
			for _, r := range all {
				t.Apply(r)
			}
			b.ReportAllocs()
			bench(b, &t, all)
		})
	}
}

func BenchmarkMatch(b *testing.B) {
	forFleets(b, func(b *testing.B, t *Table, _ []Registration) {
		queries := make([]Query, 4096)
		for i := range queries {
			queries[i].Service = benchName(i * 7919 % 10_000)
		}
		dst := make([]Candidate, 0, 8)
		s := t.Snapshot()
		i := 0
		for b.Loop() {
			found, err := s.AppendMatch(dst, queries[i%len(queries)])
			if err != nil || len(found) != 8 {
				b.Fatalf("%d candidates, %v", len(found), err)
			}
			i++
		}
	})
}

func BenchmarkMatchAlloc(b *testing.B) {
	forFleets(b, func(b *testing.B, t *Table, _ []Registration) {
		s := t.Snapshot()
		for b.Loop() {
			if _, err := s.Match(Query{Service: "service00042.example.com"}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkApplyLoad(b *testing.B) {
	forFleets(b, func(b *testing.B, t *Table, all []Registration) {
		i := 0
		for b.Loop() {
			r := &all[i%len(all)]
			r.Load++
			t.Apply(*r)
			i++
		}
	})
}

func BenchmarkApplyNewService(b *testing.B) {
	forFleets(b, func(b *testing.B, t *Table, all []Registration) {
		i := 0
		for b.Loop() {
			r := &all[i%len(all)]
			r.Services[0].Name = fmt.Sprintf("fresh%d", i)
			t.Apply(*r)
			i++
		}
	})
}

func BenchmarkDropAndRegister(b *testing.B) {
	forFleets(b, func(b *testing.B, t *Table, all []Registration) {
		i := 0
		for b.Loop() {
			r := all[i%len(all)]
			t.Drop(r.ID)
			t.Apply(r)
			i++
		}
	})
}

func BenchmarkServices(b *testing.B) {
	forFleets(b, func(b *testing.B, t *Table, _ []Registration) {
		s := t.Snapshot()
		for b.Loop() {
			s.Services()
		}
	})
}
