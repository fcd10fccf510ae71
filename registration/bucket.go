package registration

import (
	"context"
	"time"
)

// bucket lets through burst things at once and rate a second in the long run.
type bucket struct {
	rate, burst float64
	used        float64
	at          time.Time
}

// take lets one thing through, or returns false.
func (b *bucket) take() bool {
	b.leak(time.Now())
	if b.used+1 > b.burst {
		return false
	}
	b.used++
	return true
}

// wait lets one thing through as soon as the rate allows.
func (b *bucket) wait(ctx context.Context) error {
	if b.take() {
		return nil
	}
	timer := time.NewTimer(time.Duration((b.used + 1 - b.burst) / b.rate * float64(time.Second)))
	defer timer.Stop()
	select {
	case <-timer.C:
		b.leak(time.Now())
		b.used++
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (b *bucket) leak(now time.Time) {
	if !b.at.IsZero() {
		passed := max(0, now.Sub(b.at)) // what comes from another process has no more than the time of day, which may be set back
		b.used = max(0, b.used-passed.Seconds()*b.rate)
	}
	b.at = now
}
