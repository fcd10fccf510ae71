package broker

import (
	"testing"
	"time"
)

// Thousands that say nothing take little, and keep nobody out.
func TestSilentConnectionsAreCheap(t *testing.T) {
	const crowd = 1000
	r := start(t, func(c *Config) { c.InboundTimeout = time.Hour }) // else the first go before the last have come
	r.register("a", "sales")
	heap, stacks := memory()
	for range crowd {
		r.connection("127.0.0.2")
	}
	until(t, "all are there", func() bool { now, _ := r.limiting.silent.Counts(); return now == crowd })
	var h, s float64
	if !inTime(func() bool { // once what else was under way when they came is over
		heapThen, stacksThen := memory()
		h, s = (float64(heapThen)-float64(heap))/crowd, (float64(stacksThen)-float64(stacks))/crowd
		return h+s/stackFactor <= 8<<10
	}) {
		t.Errorf("each takes %.0f bytes", h+s/stackFactor)
	}
	t.Logf("each silent connection: %.0f B of heap, %.0f B of stack, its other end included", h, s)
	var took time.Duration
	if !inTime(func() bool {
		began := time.Now()
		r.session("sales")
		took = time.Since(began)
		return took <= soon
	}) {
		t.Errorf("a connect beside them took %v", took)
	}
}
