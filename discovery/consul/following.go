package consul

import (
	"cmp"
	"context"
	"math/rand/v2"
	"time"

	"github.com/hashicorp/consul/api"
)

// following is a blocking query that goes on.
type following struct {
	*Client
	wait time.Duration // of one query; 0: 1 minute
	// ask asks once; seen is told of each answer, changed or not. lost says that Consul is not the same as before: its index went
	// backwards, as after a restore or a new start.
	ask  func(*api.QueryOptions) (*api.QueryMeta, error)
	seen func(lost bool)
	fail func(error)
}

// longestAway bounds how long it takes to notice that Consul is back.
const longestAway = 5 * time.Second

// run follows until ctx ends. After a fault it does not wait for an index that a new Consul may reach in days.
func (f *following) run(ctx context.Context) {
	var index, last uint64 // to wait for, 0 for nothing; and as seen
	turn := queries()
	failures := 0
	for turn.wait(ctx) {
		wait := cmp.Or(f.wait, time.Minute)
		bounded, cancel := context.WithTimeout(ctx, wait+wait/16+f.timeout())
		q := &api.QueryOptions{WaitIndex: index, WaitTime: wait}
		q.Namespace, q.Partition = f.scope(bounded)
		meta, err := f.ask(q.WithContext(bounded))
		cancel()
		if err != nil {
			index = 0
			failures++
			if f.fail != nil && ctx.Err() == nil {
				f.fail(explain(err))
			}
			if !pause(ctx, min(250*time.Millisecond<<min(failures, 7), longestAway)) {
				return
			}
			continue
		}
		lost := meta.LastIndex < last
		if (lost || failures > 0) && f.Back != nil {
			f.Back()
		}
		failures, index, last = 0, meta.LastIndex, meta.LastIndex
		if lost {
			index = 0
		}
		f.seen(lost)
		if index == 0 && !pause(ctx, time.Second) { // nothing to wait for: no busy loop
			return
		}
	}
}

// spacing keeps what is done again and again apart: on average by a time, though some may come in a row.
type spacing struct {
	apart time.Duration
	row   int // how many that are late may be made up for
	due   time.Time
}

// queries are those that wait at Consul. They may be answered at once again and again: where there is much else in Consul, or where it
// does not do what it is asked.
func queries() *spacing { return &spacing{apart: 100 * time.Millisecond, row: 10} }

// wait returns once it is time; false if ctx ended.
func (s *spacing) wait(ctx context.Context) bool {
	now := time.Now()
	if early := now.Add(-time.Duration(s.row) * s.apart); s.due.Before(early) {
		s.due = early
	}
	s.due = s.due.Add(s.apart)
	return after(ctx, s.due.Sub(now))
}

// pause waits between three quarters of d and all of it, so that brokers do not come all at once; false if ctx ended.
func pause(ctx context.Context, d time.Duration) bool { return after(ctx, d-rand.N(d/4+1)) }

// after waits; false if ctx ended.
func after(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
