package limits

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// What was not used is kept for so long at most, and waits shorter than shortestSleep are
// left to the next piece.
const bandwidthBurst = 100 * time.Millisecond

// Bandwidth is how many bytes a second pass, one way, for all that share it. Pieces pass in
// the order in which they are asked for, and nobody asks for a second one before its first
// has passed: so turns go round among the sessions. The zero value has no limit.
type Bandwidth struct {
	limited   atomic.Bool // there is a limit
	mu        sync.Mutex
	perSecond int64
	until     time.Time     // what was let pass takes until then
	changed   chan struct{} // closed when the limit changes; nil while nobody waits
	waiting   int
	bytes     uint64 // that passed under a limit
}

// Configure sets the limit, 0 for none. Those who wait are judged anew.
func (b *Bandwidth) Configure(perSecond int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.perSecond == perSecond {
		return
	}
	b.perSecond, b.until = perSecond, time.Time{}
	b.limited.Store(perSecond > 0)
	if b.changed != nil {
		close(b.changed)
		b.changed = nil
	}
}

// Free reports that there is no limit, and costs next to nothing.
func (b *Bandwidth) Free() bool { return !b.limited.Load() }

// BandwidthCounts is what a Bandwidth knows.
type BandwidthCounts struct {
	PerSecond int64
	Waiting   int    // pieces that wait now
	Bytes     uint64 // that passed while there was a limit
}

// Counts tells what passed.
func (b *Bandwidth) Counts() BandwidthCounts {
	b.mu.Lock()
	defer b.mu.Unlock()
	return BandwidthCounts{b.perSecond, b.waiting, b.bytes}
}

// reserve takes n bytes and returns how long to wait before they may pass, and what tells
// that this is no longer true.
func (b *Bandwidth) reserve(n int) (time.Duration, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.perSecond == 0 {
		return 0, nil
	}
	now := time.Now()
	if earliest := now.Add(-bandwidthBurst); b.until.Before(earliest) {
		b.until = earliest
	}
	b.until = b.until.Add(time.Duration(float64(n) / float64(b.perSecond) * float64(time.Second)))
	b.bytes += uint64(n)
	wait := b.until.Sub(now)
	if wait < shortestSleep {
		return 0, nil
	}
	if b.changed == nil {
		b.changed = make(chan struct{})
	}
	b.waiting++
	return wait, b.changed
}

func (b *Bandwidth) done() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting--
}

// WaitN blocks until n bytes may pass. It returns the cause of ctx if that ends first.
func (b *Bandwidth) WaitN(ctx context.Context, n int) error {
	for {
		wait, changed := b.reserve(n)
		if wait == 0 {
			return nil
		}
		again, err := b.sleep(ctx, wait, changed)
		if err != nil || !again {
			return err
		}
	}
}

// sleep reports whether the limit changed meanwhile.
func (b *Bandwidth) sleep(ctx context.Context, wait time.Duration, changed <-chan struct{}) (again bool, err error) {
	defer b.done()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return false, nil
	case <-changed:
		return true, nil
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
}
