package broker

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

func TestCrewRunsAllAndLetsGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c crew
		var ran atomic.Int32
		for range 3 {
			var under sync.WaitGroup
			gate := make(chan struct{})
			for range 2 * mostIdle { // all at a time, so that none waits for another
				under.Add(1)
				c.run(func() {
					defer under.Done()
					<-gate
					ran.Add(1)
				})
			}
			close(gate)
			under.Wait()
			synctest.Wait()
			if n := len(c.idle); n != mostIdle {
				t.Errorf("%d wait for more, want %d", n, mostIdle)
			}
		}
		c.end() // synctest finds those that are left
		c.run(func() { ran.Add(1) })
		c.end()
		if got := ran.Load(); got != 6*mostIdle+1 {
			t.Errorf("%d ran, want %d", got, 6*mostIdle+1)
		}
	})
}
