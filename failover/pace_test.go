package failover

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"servicebroker/servicetable"
)

// committed makes an attempt ask for leave before it does anything.
func committed(does func(context.Context, servicetable.Candidate) error) func(context.Context, servicetable.Candidate, func() error) (string, error) {
	return func(ctx context.Context, c servicetable.Candidate, commit func() error) (string, error) {
		if err := commit(); err != nil {
			return "", err
		}
		return c.Registration.Instance, does(ctx, c)
	}
}

// timed answers for each instance after so long; for ever if below 0.
func timed(takes map[string]time.Duration) func(context.Context, servicetable.Candidate) error {
	return func(ctx context.Context, c servicetable.Candidate) error {
		d := takes[c.Registration.Instance]
		return lasts(ctx, d, d < 0)
	}
}

// dialled runs one Dial and returns who answered, after how long.
func dialled(t *testing.T, d *Dialer, route string, takes map[string]time.Duration) (string, time.Duration) {
	t.Helper()
	begun := time.Now()
	got, _, err := Dial(t.Context(), d, routeOf(route), committed(timed(takes)))
	if err != nil {
		t.Errorf("%s: %v", route, err)
	}
	return got, time.Since(begun)
}

func TestSilentInstanceCostsTheHedgeDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen []Attempt
		d := Dialer{Observe: func(a Attempt) { seen = append(seen, a) }}
		if got, took := dialled(t, &d, "a b", map[string]time.Duration{"a": -1, "b": 20 * time.Millisecond}); got != "b" || took != maxHedge+20*time.Millisecond {
			t.Errorf("%s after %v", got, took)
		}
		if len(seen) != 2 || !seen[0].Hedged || !errors.Is(seen[0].Err, ErrHedged) || !seen[0].Committed || seen[0].Took != maxHedge || !seen[1].Answered {
			t.Errorf("observed %+v", seen)
		}
		if got, took := dialled(t, &d, "a b", map[string]time.Duration{"a": -1, "b": 0}); got != "b" || took != 0 {
			t.Errorf("the next client got %s after %v", got, took)
		}
	})
}

func TestHedgeDelayIsLearnt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d Dialer
		for _, c := range []struct{ takes, least, most time.Duration }{
			{20 * time.Millisecond, minHedge, minHedge},
			{60 * time.Millisecond, minHedge, 200 * time.Millisecond},
			{300 * time.Millisecond, 300 * time.Millisecond, maxHedge},
			{2 * time.Second, maxHedge, maxHedge},
			{5 * time.Millisecond, minHedge, maxHedge},
		} {
			for range 20 {
				dialled(t, &d, "a", map[string]time.Duration{"a": c.takes})
			}
			a := candidate("a")
			if got := d.hedge(&a); got < c.least || got > c.most {
				t.Errorf("accepting takes %v, and the delay is %v, want %v to %v", c.takes, got, c.least, c.most)
			}
		}
		if a := candidate("unknown"); d.hedge(&a) != maxHedge {
			t.Errorf("of an unknown handler %v", d.hedge(&a))
		}
	})
}

// apart lets the i-th of a crowd begin at a moment of its own: where many timers of a bubble that start goroutines are due at
// the same one, the detector of races sometimes breaks.
func apart(i int) { pass(time.Duration(i+1) * time.Microsecond) }

// Where all are slow, only as many sessions are begun in vain as the budget allows, and each success earns a tenth.
func TestSlowClusterIsNotHammered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := map[string]time.Duration{"a": 2 * time.Second, "b": 2 * time.Second}
		var mu sync.Mutex
		hedged := 0
		d := Dialer{Hedge: 100 * time.Millisecond, Backoff: time.Nanosecond, MaxBackoff: time.Nanosecond, Observe: func(a Attempt) {
			mu.Lock()
			defer mu.Unlock()
			if a.Hedged {
				hedged++
			}
		}}
		early := 0 // before anybody succeeded
		time.AfterFunc(1900*time.Millisecond, func() { mu.Lock(); early = hedged; mu.Unlock() })
		burst := func(n int) int {
			hedged = 0
			var all sync.WaitGroup
			for i := range n {
				all.Go(func() { apart(i); dialled(t, &d, "a b", slow) })
			}
			all.Wait()
			return hedged
		}
		const crowd = 60
		if n := burst(crowd); early != budgetSize || n > budgetSize+crowd*budgetEarned {
			t.Errorf("%d of %d hedged at first and %d in all, want %d and at most %v", early, crowd, n, budgetSize, budgetSize+crowd*budgetEarned)
		}
		d.budget.spent = budgetSize
		if n := burst(45); n > 5 {
			t.Errorf("%d of 45 hedged with nothing left", n)
		}
	})
}

// A candidate that answers nobody while others answer is dead, not slow: that costs nothing of the budget.
func TestDeadInstanceIsHedgedWithoutBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := Dialer{Hedge: 200 * time.Millisecond}
		d.budget.spent = budgetSize
		takes := map[string]time.Duration{"a": -1, "b": 10 * time.Millisecond}
		var all sync.WaitGroup
		all.Go(func() { pass(50 * time.Millisecond); dialled(t, &d, "b", takes) })
		for i := range 100 {
			all.Go(func() {
				apart(i)
				if got, took := dialled(t, &d, "a b", takes); got != "b" || took > 215*time.Millisecond {
					t.Errorf("%s after %v", got, took)
				}
			})
		}
		all.Wait()
		if d.budget.spent > budgetSize {
			t.Errorf("spent %v", d.budget.spent)
		}
	})
}

// Without budget the next one gets its chance when there is some again, or the attempt is over.
func TestHedgeWaitsForBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		takes := map[string]time.Duration{"a": -1, "b": 10 * time.Millisecond}
		d := Dialer{Hedge: 100 * time.Millisecond}
		d.budget.spent = budgetSize
		if got, took := dialled(t, &d, "a b", takes); got != "b" || took != 3010*time.Millisecond {
			t.Errorf("%s after %v", got, took)
		}
		d = Dialer{Hedge: 100 * time.Millisecond}
		d.budget.spent = budgetSize
		time.AfterFunc(time.Second, func() {
			for range 100 {
				d.budget.earn()
			}
		})
		if got, took := dialled(t, &d, "a b", takes); got != "b" || took > 1200*time.Millisecond {
			t.Errorf("%s after %v", got, took)
		}
	})
}

// A slow candidate does not lose its leave to one that failed a moment ago.
func TestSlowIsBetterThanFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := Dialer{Hedge: 100 * time.Millisecond}
		takes := map[string]time.Duration{"frozen": -1, "slow": time.Second}
		failed := candidate("frozen")
		d.failures.add(&failed, time.Minute, time.Minute)
		if got, took := dialled(t, &d, "frozen slow", takes); got != "slow" || took != time.Second {
			t.Errorf("%s after %v", got, took)
		}
	})
}

// Nor does one that failed a moment ago stay last when it answers others and the leader does not; and one that lost its
// leave gets it back if who got it turns out to be dead.
func TestEvidenceBeatsMemory(t *testing.T) {
	for name, before := range map[string]func(*Dialer){
		"failed lately": func(d *Dialer) {
			b := candidate("b")
			d.failures.add(&b, time.Minute, time.Minute)
		},
		"lost its leave": func(*Dialer) {},
	} {
		synctest.Test(t, func(t *testing.T) {
			d := Dialer{Hedge: 100 * time.Millisecond}
			before(&d)
			begun, tries := time.Now(), 0
			time.AfterFunc(150*time.Millisecond, func() { dialled(t, &d, "b", nil) })
			got, _, err := Dial(t.Context(), &d, routeOf("b a"), committed(func(ctx context.Context, c servicetable.Candidate) error {
				if tries++; c.Registration.Instance == "a" || name == "lost its leave" && tries == 1 {
					return silent(ctx)
				}
				return nil
			}))
			if took := time.Since(begun); err != nil || got != "b" || took > 200*time.Millisecond {
				t.Errorf("%s: %s, %v after %v", name, got, err, took)
			}
		})
	}
}

// Transport connections race freely: a host that does not even answer SYN costs the delay and nothing of the budget.
func TestConnectionsRaceFreely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := Dialer{Hedge: 100 * time.Millisecond}
		d.budget.spent = budgetSize
		var mu sync.Mutex
		var tried []string
		begun := time.Now()
		got, _, err := Dial(t.Context(), &d, routeOf("a b c d"), func(ctx context.Context, c servicetable.Candidate, commit func() error) (string, error) {
			name := c.Registration.Instance
			mu.Lock()
			tried = append(tried, name)
			mu.Unlock()
			if name != "d" {
				return "", silent(ctx)
			}
			return name, commit()
		})
		if took := time.Since(begun); got != "d" || err != nil || took != 300*time.Millisecond || !slices.Equal(tried, []string{"a", "b", "c", "d"}) {
			t.Errorf("%s, %v after %v, tried %v", got, err, took, tried)
		}
	})
}

// Waiting for leave counts neither against the attempt nor in what is learnt of it.
func TestWaitingForLeaveIsFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var took []time.Duration
		d := Dialer{Hedge: 100 * time.Millisecond, AttemptTimeout: time.Second, Observe: func(a Attempt) { took = append(took, a.Took) }}
		d.budget.spent = budgetSize + 1
		_, _, err := Dial(t.Context(), &d, routeOf("a b"), func(ctx context.Context, c servicetable.Candidate, commit func() error) (int, error) {
			if c.Registration.Instance == "a" { // connects late, then holds the leave until its time is over
				if err := lasts(ctx, 150*time.Millisecond, false); err != nil {
					return 0, err
				}
				_ = commit()
				return 0, silent(ctx)
			}
			if err := lasts(ctx, 400*time.Millisecond, false); err != nil {
				return 0, err
			}
			if err := commit(); err != nil {
				return 0, err
			}
			if err := commit(); err != nil {
				return 0, fmt.Errorf("asked twice: %w", err)
			}
			return 1, lasts(ctx, 500*time.Millisecond, false)
		})
		if err != nil || !slices.Equal(took, []time.Duration{time.Second, 900 * time.Millisecond}) {
			t.Errorf("%v, attempts took %v", err, took)
		}
	})
}

// The value of an attempt that did not ask for leave and comes too late is closed, not lost.
func TestLateValueIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		closed := 0
		d := Dialer{Hedge: 100 * time.Millisecond}
		got, _, err := Dial(t.Context(), &d, routeOf("a b"), func(ctx context.Context, c servicetable.Candidate, _ func() error) (*closable, error) {
			if c.Registration.Instance == "a" {
				<-ctx.Done()
			}
			return &closable{closed: &closed}, nil
		})
		if err != nil || got == nil || closed != 1 {
			t.Errorf("%v %v, %d closed", got, err, closed)
		}
	})
}

type closable struct{ closed *int }

func (c *closable) Close() error { *c.closed++; return nil }

func TestCauseTellsWhyAnAttemptWasCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var causes []error
		d := Dialer{Hedge: 100 * time.Millisecond}
		_, _, err := Dial(t.Context(), &d, routeOf("a b c"), func(ctx context.Context, c servicetable.Candidate, commit func() error) (int, error) {
			switch c.Registration.Instance {
			case "a":
				_ = commit()
				<-ctx.Done()
			case "b":
				<-ctx.Done()
			case "c":
				return 1, commit()
			}
			causes = append(causes, context.Cause(ctx))
			return 0, context.Cause(ctx)
		})
		if err != nil || len(causes) != 2 || !errors.Is(causes[0], ErrHedged) || !errors.Is(causes[1], ErrOvertaken) {
			t.Errorf("%v, causes %v", err, causes)
		}
	})
}

func TestAttemptKnowsItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, _ = Dial(t.Context(), &Dialer{AttemptTimeout: 2 * time.Second}, routeOf("a"), func(ctx context.Context, _ servicetable.Candidate, _ func() error) (int, error) {
			if at, ok := ctx.Deadline(); !ok || time.Until(at) != 2*time.Second {
				t.Errorf("deadline %v %v", at, ok)
			}
			return 0, nil
		})
	})
}

func TestMemoryOfPacesIsBounded(t *testing.T) {
	var p paces
	for i := range pacesLimit + 100 {
		c := candidate(fmt.Sprint(i))
		p.learn(&c, time.Millisecond)
	}
	if n := len(p.known); n != pacesLimit {
		t.Errorf("%d remembered, want %d", n, pacesLimit)
	}
}

func BenchmarkDial(b *testing.B) {
	route := routeOf("a b")
	var d Dialer
	attempt := func(_ context.Context, _ servicetable.Candidate, commit func() error) (*closable, error) {
		return nil, commit()
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := Dial(context.Background(), &d, route, attempt); err != nil {
			b.Fatal(err)
		}
	}
}
