package main

import (
	"context"
	"slices"
	"sync"
	"time"

	"servicebroker/testenv/drivers"
	"servicebroker/testenv/stage"
)

// stalls are the times in which this machine was slow by itself: in which not even a timer ran, or a connect straight to a
// database that nothing disturbs took long. What times out then counts as the machine's.
type stalls struct {
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu     sync.Mutex
	all    []stall
	direct []time.Duration // of all connects straight to that database
	recent int             // where those begin that were not asked for
}

type stall struct {
	from, until time.Time
	took        time.Duration
}

// How often it is looked, what is noted, and for how long a machine may be slow before that is its own fault.
const (
	stallTick   = 20 * time.Millisecond
	directEvery = time.Second
	stallNoted  = 300 * time.Millisecond
	unfair      = 3 * time.Second
	still       = 8 * time.Second
)

// watchStalls looks until end, by a database of its own.
func watchStalls(control *stage.Database) *stalls {
	ctx, cancel := context.WithCancel(context.Background())
	s := &stalls{cancel: cancel}
	s.running.Go(func() {
		for before := time.Now(); ctx.Err() == nil; before = time.Now() {
			pause(ctx, stallTick)
			s.note(before.Add(stallTick), time.Now())
		}
	})
	s.running.Go(func() {
		target := "(DESCRIPTION=" + patient + "(ADDRESS=(PROTOCOL=tcp)(HOST=127.0.0.1)(PORT=" + portOf(control.Address) + "))(CONNECT_DATA=(SERVICE_NAME=control)))"
		for ; ctx.Err() == nil; pause(ctx, directEvery) {
			began := time.Now()
			if _, err := (drivers.GoOra{}).Run(ctx, []drivers.Step{{Do: drivers.Connect, On: "c", User: stage.User, Password: stage.Password, Target: target}, {Do: drivers.Close, On: "c"}}, nil); err == nil {
				s.note(began, time.Now())
				s.mu.Lock()
				s.direct = append(s.direct, time.Since(began))
				s.mu.Unlock()
			}
		}
	})
	return s
}

func (s *stalls) note(from, until time.Time) {
	if took := until.Sub(from); took > stallNoted {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.all = append(s.all, stall{from, until, took})
	}
}

// excuse tells whether the machine was so slow between two times that a failure is its own: time-outs where it was slow, and
// whatever it is where it was still, since brokers have times of their own that were up then.
func (s *stalls) excuse(from, until time.Time, failure string) bool {
	bound := still
	if timedOut(failure) {
		bound = unfair
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.all, func(one stall) bool { return one.took > bound && one.until.After(from) && one.from.Before(until) })
}

// slowness is how long half of the direct connects took at most since it was asked last.
func (s *stalls) slowness() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	some := slices.Sorted(slices.Values(s.direct[s.recent:]))
	s.recent = len(s.direct)
	if len(some) == 0 {
		return unfair // none came to its end
	}
	return some[len(some)/2]
}

// end stops looking, and returns how long direct connects took.
func (s *stalls) end() *tally {
	s.cancel()
	s.running.Wait()
	return &tally{count: len(s.direct), took: s.direct}
}
