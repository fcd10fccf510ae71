package loadbalance

import (
	"fmt"
	"testing"

	"servicebroker/servicetable"
)

func BenchmarkOrder(b *testing.B) {
	for _, n := range []int{2, 8, 64} {
		b.Run(fmt.Sprintf("%dcandidates", n), func(b *testing.B) {
			var all []servicetable.Candidate
			for i := range n {
				all = append(all, instance(fmt.Sprintf("i%d", i), uint32(i%5), 100).candidate())
			}
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
