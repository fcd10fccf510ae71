package broker

import (
	"net"
	"runtime"
	"testing"
	"time"

	"servicebroker/servicetable"
	"servicebroker/tns"
)

// memory is what the heap, the stacks and what belongs to both take, in bytes.
func memory() (heap, stacks uint64) {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc, m.StackInuse
}

// A connect that waits costs at most 8 kB, the client's side within this test included.
func TestHeldConnectsAreCheap(t *testing.T) {
	const first, clients, most = 200, 1000, 8 << 10
	r := start(t, func(c *Config) { c.HoldTimeout = time.Minute })
	r.register("sales1", "sales")()
	r.await(func(s *servicetable.Snapshot) bool { return len(s.Services()) == 0 })
	connect := tns.NewConnect([]byte("(DESCRIPTION=(ADDRESS=(PROTOCOL=tcp)(HOST=127.0.0.1)(PORT=1521))(CONNECT_DATA=(SERVICE_NAME=sales)"+
		"(CID=(PROGRAM=JDBC Thin Client)(HOST=__jdbc__)(USER=root))(CONNECTION_ID=6bFzuVzcT1mSq8dUpMTX2g==)))")).AppendTo(nil, false)
	wait := func(n int) {
		for range n {
			c, err := net.Dial("tcp", r.Addresses()[0])
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
			if _, err := c.Write(connect); err != nil {
				t.Fatal(err)
			}
		}
	}
	wait(first) // the runtime makes new stacks as large as those that it found in use on average: let it find these
	r.heldIs(first)
	heap, stacks := memory()
	wait(clients)
	r.heldIs(first + clients)
	heapHeld, stacksHeld := memory()
	h, s := float64(heapHeld-heap)/clients, float64(stacksHeld-stacks)/clients
	t.Logf("each held connect: %.0f B of heap, %.0f B of stack", h, s)
	if h+s/stackFactor > most {
		t.Errorf("each takes %.0f bytes, more than %d", h+s/stackFactor, most)
	}
}
