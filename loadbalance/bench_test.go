package loadbalance

import (
	"fmt"
	"testing"
	"time"

	"servicebroker/servicetable"
)

// benchmarked are n candidates with loads that differ a little.
func benchmarked(n int) []servicetable.Candidate {
	var all []servicetable.Candidate
	for i := range n {
		c := instance(fmt.Sprintf("i%d", i), uint32(i%5), 100)
		c.r.LoadAt = time.Now()
		all = append(all, c.candidate())
	}
	return all
}

func BenchmarkOrder(b *testing.B) {
	for _, n := range []int{2, 8, 64} {
		b.Run(fmt.Sprintf("%dcandidates", n), func(b *testing.B) {
			all := benchmarked(n)
			var balancer Balancer
			b.ReportAllocs()
			for b.Loop() {
				r := balancer.Order(Ask{Query: servicetable.Query{Service: "s"}}, all)
				r.Settle(r.Route()[0])
				r.Release()
			}
		})
	}
}

// One decision over 64 candidates, the route in full, into a reservation of the caller's. The redirects stay counted:
// what fades has to be reckoned anew each time.
func BenchmarkOrder64(b *testing.B) {
	for _, policy := range []Policy{Adaptive, Goodness, Sessions, RoundRobin, Random} {
		for _, redirect := range []bool{true, false} {
			name := policy.String() + "/relay"
			if redirect {
				name = policy.String() + "/redirect"
			}
			b.Run(name, func(b *testing.B) {
				all := benchmarked(64)
				var balancer Balancer
				var r Reservation
				ask := Ask{Query: servicetable.Query{Service: "s"}, Policy: policy, Redirect: redirect}
				b.ReportAllocs()
				for b.Loop() {
					balancer.Reserve(&r, ask, all)
					if len(r.Route()) != 64 {
						b.Fatal("candidates are missing")
					}
					if redirect {
						r.Settle(all[0])
					} else {
						r.Release()
					}
				}
			})
		}
	}
}

func BenchmarkVerdicts(b *testing.B) {
	var balancer Balancer
	r := balancer.Order(Ask{Redirect: true}, benchmarked(16))
	defer r.Release()
	b.ReportAllocs()
	for b.Loop() {
		if len(r.Verdicts()) != 16 {
			b.Fatal("candidates are missing")
		}
	}
}

func BenchmarkOrderParallel(b *testing.B) {
	all := benchmarked(8)
	var balancer Balancer
	b.RunParallel(func(pb *testing.PB) {
		var r Reservation
		for pb.Next() {
			balancer.Reserve(&r, Ask{}, all)
			r.Release()
		}
	})
}
