package broker

import "sync"

// crew runs functions on goroutines of which it keeps some: a stack that has grown for a connect need not grow for the
// next. The zero value is ready.
type crew struct {
	mu   sync.Mutex
	idle []chan func() // of those that wait for something to do, the last one first
	over bool
	all  sync.WaitGroup
}

// mostIdle bounds how many wait.
const mostIdle = 64

// run runs f on a goroutine of its own.
func (c *crew) run(f func()) {
	c.mu.Lock()
	if n := len(c.idle); n > 0 {
		next := c.idle[n-1]
		c.idle = c.idle[:n-1]
		c.mu.Unlock()
		next <- f
		return
	}
	c.mu.Unlock()
	c.all.Go(func() { c.work(f) })
}

func (c *crew) work(f func()) {
	next := make(chan func(), 1)
	for f != nil {
		f()
		if !c.rest(next) {
			return
		}
		f = <-next
	}
}

// rest enters one among those that wait, and reports whether there is room.
func (c *crew) rest(next chan func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over || len(c.idle) >= mostIdle {
		return false
	}
	c.idle = append(c.idle, next)
	return true
}

// end lets those go that wait, and waits for all.
func (c *crew) end() {
	c.mu.Lock()
	c.over = true
	for _, next := range c.idle {
		close(next)
	}
	c.idle = nil
	c.mu.Unlock()
	c.all.Wait()
}
