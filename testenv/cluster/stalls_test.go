package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"servicebroker/testenv/stage"
)

// stalls are the times in which this machine let nothing run, or its disk took nothing, as far as this process can tell. What a
// broker is late by then is not its own.
type stalls struct {
	mu  sync.Mutex
	all []span
}

type span struct{ from, until time.Time }

// How often it is looked, and what is noted: a timer that comes so late, a write that takes so long.
const (
	stallTick = 10 * time.Millisecond
	stallCPU  = 30 * time.Millisecond
	stallDisk = 60 * time.Millisecond
)

// watchStalls looks until the test ends, at the disk of a folder too.
func watchStalls(t testing.TB, folder string) *stalls {
	t.Helper()
	file, err := os.Create(filepath.Join(folder, "stalls"))
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	s := &stalls{}
	var running sync.WaitGroup
	running.Go(func() {
		for due := time.Now().Add(stallTick); stage.Pause(ctx, stallTick) == nil; due = time.Now().Add(stallTick) {
			s.note(due, time.Now(), stallCPU)
		}
	})
	running.Go(func() {
		for stage.Pause(ctx, 10*stallTick) == nil {
			began := time.Now()
			if _, err := file.WriteAt([]byte(began.String()), 0); err == nil {
				err = file.Sync()
				if err == nil {
					s.note(began, time.Now(), stallDisk)
				}
			}
		}
	})
	t.Cleanup(func() { cancel(); running.Wait(); _ = file.Close() })
	return s
}

func (s *stalls) note(from, until time.Time, least time.Duration) {
	if until.Sub(from) < least {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, span{from, until})
}

// within is how long there were any between two times.
func (s *stalls) within(from, until time.Time) (sum time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.SortFunc(s.all, func(a, b span) int { return a.from.Compare(b.from) })
	for _, one := range s.all { // those that overlap count once
		if one.from.After(from) {
			from = one.from
		}
		end := one.until
		if end.After(until) {
			end = until
		}
		if end.After(from) {
			sum += end.Sub(from)
			from = end
		}
	}
	return sum
}

func (s *stalls) String() string {
	all := s.within(time.Time{}, time.Now())
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Sprintf("the machine stalled %d times, for %v", len(s.all), all.Round(time.Millisecond))
}

func TestStallsThatOverlapCountOnce(t *testing.T) {
	began := time.Now()
	at := func(seconds int) time.Time { return began.Add(time.Duration(seconds) * time.Second) }
	s := &stalls{}
	s.note(at(10), at(20), time.Second)
	s.note(at(5), at(12), time.Second)
	s.note(at(11), at(13), time.Second)
	s.note(at(30), at(31), 2*time.Second) // too short to be noted
	s.note(at(40), at(50), time.Second)
	for _, c := range []struct{ from, until, want int }{{0, 100, 25}, {0, 5, 0}, {6, 7, 1}, {0, 11, 6}, {15, 45, 10}, {20, 40, 0}, {50, 60, 0}} {
		if got := s.within(at(c.from), at(c.until)); got != time.Duration(c.want)*time.Second {
			t.Errorf("from %d to %d: %v, want %ds", c.from, c.until, got, c.want)
		}
	}
}
