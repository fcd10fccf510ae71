package failover

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"servicebroker/servicetable"
)

// Clients connect 50 times a second to instances of which one stops answering, in each of the ways in which that can
// happen. None of them fails, none waits for longer than the hedge delay, and the instance is soon out of rotation.
func TestClientsDoNotNoticeAnInstanceThatStops(t *testing.T) {
	for _, c := range []struct {
		name    string
		how     func(ctx context.Context, commit func() error) error
		wait    time.Duration // of a client, beyond what the others take
		ejected time.Duration // after the first client met it
	}{
		{"refuses connections", func(context.Context, func() error) error { return errRefused() }, 0, 0},
		{"takes no connection", func(ctx context.Context, _ func() error) error { return silent(ctx) }, maxHedge, maxHedge + 2*time.Second},
		{"is frozen", func(ctx context.Context, commit func() error) error { _ = commit(); return silent(ctx) }, maxHedge, maxHedge + 2*time.Second},
	} {
		for instances := 2; instances <= 4; instances++ {
			t.Run(fmt.Sprint(c.name, " of ", instances), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					s := newStorm(t, instances)
					s.connect(5 * time.Second)
					slowest := s.slowest()
					s.fail(c.how)
					s.connect(2 * s.plant.prober.Interval)
					if got := s.slowest(); got > slowest+c.wait {
						t.Errorf("a client waited %v, want at most %v", got, slowest+c.wait)
					}
					s.plant.wantEjected(t, "a")
					if took := s.ejectedAt.Sub(s.firstMet); took > c.ejected+100*time.Millisecond {
						t.Errorf("ejected %v after the first client met it, want %v", took, c.ejected)
					}
					s.fail(nil)
					s.connect(2*s.plant.prober.Interval + 2*time.Second)
					s.plant.wantEjected(t, "")
				})
			})
		}
	}
}

// storm is a stream of clients that find their way by a table, a dialer and a prober.
type storm struct {
	t      *testing.T
	plant  *plant
	dialer *Dialer

	mu        sync.Mutex
	how       func(context.Context, func() error) error // what instance a does; nil: answers
	took      []time.Duration
	firstMet  time.Time
	ejectedAt time.Time
	turn      int
}

func newStorm(t *testing.T, instances int) *storm {
	s := &storm{t: t}
	s.plant = watch(t, func(p *Prober) {
		report := p.Report
		p.Report = func(e ProbeEvent) {
			report(e)
			if e.Kind == HandlerEjected {
				s.ejectedAt = e.At
			}
		}
	})
	s.dialer = &Dialer{Observe: s.plant.prober.Observe}
	for i := range instances {
		s.plant.register(string(rune('a'+i)), "s")
	}
	return s
}

// fail makes instance a do as it is told, towards clients and probes.
func (s *storm) fail(how func(context.Context, func() error) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.how, s.firstMet, s.took = how, time.Time{}, nil
	if how == nil {
		s.plant.set("h-a", nil)
		return
	}
	s.plant.set("h-a", func(ctx context.Context) error { return how(ctx, func() error { return nil }) })
}

// connect lets clients come for so long, and waits for the last one.
func (s *storm) connect(during time.Duration) {
	var clients sync.WaitGroup
	for range int(during / (20 * time.Millisecond)) {
		clients.Go(s.client)
		pass(20 * time.Millisecond)
	}
	clients.Wait()
	synctest.Wait()
}

func (s *storm) client() {
	route, err := s.plant.table.Snapshot().Match(servicetable.Query{Service: "s"})
	if err != nil {
		s.t.Error(err)
		return
	}
	s.mu.Lock()
	s.turn++
	at := s.turn % len(route)
	s.mu.Unlock()
	route = slices.Concat(route[at:], route[:at])
	begun := time.Now()
	_, _, err = Dial(s.t.Context(), s.dialer, route, s.attempt)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.took = append(s.took, time.Since(begun)); err != nil {
		s.t.Error(err)
	}
}

func (s *storm) attempt(ctx context.Context, c servicetable.Candidate, commit func() error) (int, error) {
	s.mu.Lock()
	how := s.how
	if c.Registration.Instance != "a" {
		how = nil
	} else if how != nil && s.firstMet.IsZero() {
		s.firstMet = time.Now()
	}
	s.mu.Unlock()
	if how != nil {
		return 0, how(ctx, commit)
	}
	if err := lasts(ctx, time.Millisecond, false); err != nil {
		return 0, err
	}
	if err := commit(); err != nil {
		return 0, err
	}
	return 0, lasts(ctx, 30*time.Millisecond, false)
}

func (s *storm) slowest() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Max(s.took)
}
