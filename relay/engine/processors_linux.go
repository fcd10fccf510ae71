package engine

import (
	"os"
	"runtime"
	"sync"
	"time"
)

// processors are those that the scheduler has for loops, besides those for all others. While a loop waits it
// occupies one, which the runtime's monitor would take away, and it would get back, thousands of times a second
// where none is left for others.
//
// Who sets how many there are, as here, is not given others by the runtime where the limits of a container are
// changed. So they are looked up here.
type processors struct {
	mu       sync.Mutex
	extra    int
	standard int // how many the runtime would have by itself; 0: the environment says how many
	closing  chan struct{}
}

// take adds one for each of so many loops.
func (p *processors) take(loops int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.extra, p.closing = loops, make(chan struct{})
	before := runtime.GOMAXPROCS(0)
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.SetDefaultGOMAXPROCS()
		p.standard = runtime.GOMAXPROCS(0)
	}
	runtime.GOMAXPROCS(before + loops)
}

// follow looks every so often whether the container has others, until close.
func (p *processors) follow(every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			p.adjust()
		case <-p.closing:
			return
		}
	}
}

// adjust gives the scheduler as many more or fewer as the runtime would by itself. It stops the world twice, for a moment.
func (p *processors) adjust() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.standard == 0 {
		return
	}
	before := runtime.GOMAXPROCS(0)
	runtime.SetDefaultGOMAXPROCS()
	standard := runtime.GOMAXPROCS(0)
	runtime.GOMAXPROCS(max(1, before+standard-p.standard))
	p.standard = standard
}

// close ends follow.
func (p *processors) close() {
	if p.closing != nil {
		close(p.closing)
	}
}

// giveBack undoes take.
func (p *processors) giveBack() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.extra > 0 {
		runtime.GOMAXPROCS(max(1, runtime.GOMAXPROCS(0)-p.extra))
	}
	p.extra, p.standard = 0, 0
}
