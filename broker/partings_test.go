package broker

import (
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"servicebroker/tns"
)

// parted is a connection whose client is there until it is gone.
type parted struct {
	net.Conn
	mu     sync.Mutex
	gone   bool
	looks  int
	ended  time.Duration // after which its write side was
	closed time.Duration // likewise
	began  time.Time
}

func (c *parted) SetDeadline(time.Time) error { return nil }
func (c *parted) Wait() error                 { panic("nobody is to wait") }

func (c *parted) ReadNow([]byte) (int, bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.looks++
	if c.gone {
		return 0, false, io.EOF
	}
	return 0, false, nil
}

func (c *parted) CloseWrite() error {
	c.ended = time.Since(c.began)
	return nil
}

func (c *parted) Close() error {
	c.closed = time.Since(c.began)
	return nil
}

func (c *parted) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gone = true
}

// late is how long after its time something may come.
const late = firstLook<<longestLook + firstLook

// mostLooks is how often a connection may be looked at that stays as long as it may.
func mostLooks(limit time.Duration) int { return longestLook + 2 + int(limit/(firstLook<<longestLook)) }

// partFrom adds one; the channel is closed when it is over.
func partFrom(t *testing.T, p *partings, limit time.Duration) (*parted, <-chan struct{}) {
	c, over := &parted{began: time.Now()}, make(chan struct{})
	parting := tns.NewConn(c).Part()
	if parting == nil {
		t.Fatal("it cannot be parted from")
	}
	p.add(parting, limit, func() { close(over) })
	return c, over
}

func TestWhoIsGoneIsClosedAtTheFirstLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p partings
		for range 3 { // also once nobody was left
			c, over := partFrom(t, &p, time.Minute)
			c.leave()
			<-over
			if c.looks != 1 || c.ended != 0 || c.closed != firstLook {
				t.Errorf("%d looks, its write side ended after %v, closed after %v", c.looks, c.ended, c.closed)
			}
		}
	})
}

func TestWhoStaysIsToldAndLeftInTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p partings
		stays, stayed := partFrom(t, &p, lingerTimeout)
		<-time.After(time.Millisecond)
		goes, gone := partFrom(t, &p, lingerTimeout)
		short, over := partFrom(t, &p, 17*time.Millisecond)
		<-time.After(time.Second)
		goes.leave()
		<-over
		<-gone
		<-stayed
		for of, c := range map[string]*parted{"who stays": stays, "who goes": goes, "who has little time": short} {
			if c.ended < firstLook || c.ended > 2*firstLook || c.looks > mostLooks(lingerTimeout) {
				t.Errorf("%s: the write side ended after %v, %d looks", of, c.ended, c.looks)
			}
		}
		if stays.closed < lingerTimeout || stays.closed > lingerTimeout+late {
			t.Errorf("who stays is left after %v", stays.closed)
		}
		if goes.closed < time.Second || goes.closed > time.Second+late {
			t.Errorf("who goes after 1 s is closed after %v", goes.closed)
		}
		if short.closed < 17*time.Millisecond || short.closed > 17*time.Millisecond+late {
			t.Errorf("who has 17 ms is left after %v", short.closed)
		}
	})
}

// Whatever the limits, everybody is left in time, and nobody is looked at all the time.
func TestPartingsOfAllLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p partings
		var all sync.WaitGroup
		for limit := time.Millisecond; limit < time.Minute; limit = limit*3/2 + 1 {
			c, over := partFrom(t, &p, limit)
			all.Go(func() {
				<-over
				if c.closed < limit || c.closed > limit+late || c.looks > mostLooks(limit) {
					t.Errorf("with a limit of %v: left after %v, %d looks", limit, c.closed, c.looks)
				}
			})
		}
		all.Wait()
	})
}

func TestManyPartAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p partings
		var all sync.WaitGroup
		for i := range 2000 {
			all.Go(func() {
				c, over := partFrom(t, &p, time.Second)
				if i%2 == 0 {
					<-time.After(time.Duration(i+1) * 100 * time.Microsecond)
					c.leave()
				}
				<-over
			})
		}
		all.Wait()
		synctest.Wait()
		p.mu.Lock()
		defer p.mu.Unlock()
		for i, left := range p.seen {
			if len(left) > 0 {
				t.Errorf("%d are left after %d looks", len(left), i)
			}
		}
		if p.armed {
			t.Error("the timer is set for nobody")
		}
	})
}

// A look takes a few out of thousands.
func TestTakingTheFirstCopiesNoOthers(t *testing.T) {
	var p partings
	now := time.Now()
	for i := range 10_000 {
		p.put(0, []parting{{due: now.Add(time.Duration(i))}})
	}
	if n := testing.AllocsPerRun(1000, func() {
		now = now.Add(1)
		if taken := p.due(0, now); len(taken) == 0 || !taken[len(taken)-1].due.Equal(now) {
			t.Errorf("%d are taken", len(taken))
		}
	}); n > 0 {
		t.Errorf("%v allocations to take one", n)
	}
}
