package limits

import "sync"

// Count limits how many there are at a time. The zero value has no limit.
type Count struct {
	mu      sync.Mutex
	most    int
	now     int
	peak    int
	refused uint64
}

// Configure sets how many there may be, 0 for no limit. It turns nobody out.
func (c *Count) Configure(most int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.most = most
}

// Take counts one more, if there is room.
func (c *Count) Take() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.most > 0 && c.now >= c.most {
		c.refused++
		return false
	}
	c.now++
	c.peak = max(c.peak, c.now)
	return true
}

// Force counts one more, room or not.
func (c *Count) Force() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now++
	c.peak = max(c.peak, c.now)
}

// Full tells whether Take would say no.
func (c *Count) Full() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.most > 0 && c.now >= c.most
}

// Release counts one less.
func (c *Count) Release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now--
}

// Counted is what a Count knows.
type Counted struct {
	Most    int // 0: no limit
	Now     int
	Peak    int
	Refused uint64
}

// Counts tells how many there are.
func (c *Count) Counts() Counted {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Counted{Most: c.most, Now: c.now, Peak: c.peak, Refused: c.refused}
}
