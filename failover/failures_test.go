package failover

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"servicebroker/servicetable"
)

// dial is a Dial whose outcome the test does not look at.
func (w *world) dial(t *testing.T, d *Dialer, route []servicetable.Candidate) {
	t.Helper()
	_, _, _ = Dial(t.Context(), d, route, w.attempt)
}

// pass lets time go by in a bubble.
func pass(d time.Duration) {
	if d > 0 { // see CONTRIBUTING.md, "Time in tests"
		<-time.After(d)
	}
}

func TestWhatFailedIsTriedLast(t *testing.T) {
	for name, does := range map[string]func(context.Context) error{
		"refused": refuses,
		"silent":  silent,
		"hung up": func(context.Context) error { return fmt.Errorf("reading: %w", io.EOF) },
		"other":   func(context.Context) error { return fmt.Errorf("something else") },
		"answer on a broken wire": func(context.Context) error {
			return fmt.Errorf("%w: %w", answer{true}, errRefused())
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := world{does: map[string]func(context.Context) error{"a": does}}
			var d Dialer
			w.dial(t, &d, routeOf("a b c"))
			w.wantTried(t, "a b")
			w.dial(t, &d, routeOf("a b c"))
			w.wantTried(t, "b")
			w.dial(t, &d, routeOf("a"))
			w.wantTried(t, "a")
			if t.Failed() {
				t.Log("the failure was:", name)
			}
		})
	}
}

func TestAnswersAreNotHeldAgainstAnInstance(t *testing.T) {
	w := world{does: map[string]func(context.Context) error{"a": answers(true)}}
	var d Dialer
	w.dial(t, &d, routeOf("a b"))
	w.dial(t, &d, routeOf("a b"))
	w.wantTried(t, "a b a b")
}

func TestSuccessForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := world{does: map[string]func(context.Context) error{"a": refuses}}
		var d Dialer
		w.dial(t, &d, routeOf("a b"))
		w.does = nil
		w.dial(t, &d, routeOf("a"))
		w.tried = nil
		w.dial(t, &d, routeOf("a b"))
		w.wantTried(t, "a")
		if n := len(d.failures.recent); n != 0 {
			t.Errorf("%d failures remembered", n)
		}
	})
}

func TestNewRegistrationForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := world{does: map[string]func(context.Context) error{"a": refuses}}
		for name, change := range map[string]func(*servicetable.Registration){
			"another connection":  func(r *servicetable.Registration) { r.ID = "another" },
			"registered at later": func(r *servicetable.Registration) { r.RegisteredAt = r.RegisteredAt.Add(time.Second) },
		} {
			var d Dialer
			w.dial(t, &d, routeOf("a b"))
			w.tried = nil
			again := routeOf("a b")
			change(again[0].Registration)
			w.dial(t, &d, again)
			w.wantTried(t, "a b")
			if t.Failed() {
				t.Fatal(name)
			}
		}
		var d Dialer
		w.dial(t, &d, routeOf("a b"))
		w.tried = nil
		report := routeOf("a b")
		report[0].Registration.LoadAt = time.Now()
		w.dial(t, &d, report)
		w.wantTried(t, "b")
	})
}

// The time for which a failure is held against a handler doubles up to a maximum, and starts anew after a quiet time.
func TestBackoffDoubles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := world{does: map[string]func(context.Context) error{"a": refuses}}
		d := Dialer{Backoff: time.Second, MaxBackoff: 5 * time.Second}
		avoided := func() time.Duration {
			begun := time.Now()
			for {
				w.tried = nil
				w.dial(t, &d, routeOf("a b"))
				if slices.Equal(w.tried, []string{"a", "b"}) {
					return time.Since(begun)
				}
				pass(100 * time.Millisecond)
			}
		}
		var waits []time.Duration
		for range 5 {
			waits = append(waits, avoided())
		}
		if want := []time.Duration{0, time.Second, 2 * time.Second, 4 * time.Second, 5 * time.Second}; !slices.Equal(waits, want) {
			t.Errorf("tried in its turn after %v, want %v", waits, want)
		}
		pass(time.Minute)
		waits = nil
		for range 3 {
			waits = append(waits, avoided())
		}
		if want := []time.Duration{0, time.Second, 2 * time.Second}; !slices.Equal(waits, want) {
			t.Errorf("after a quiet minute %v, want %v", waits, want)
		}
	})
}

// When its time is over, one connect tries a silent host; the others do not wait for it.
func TestOneConnectAtATimeTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := world{does: map[string]func(context.Context) error{"a": silent}}
		var d Dialer
		w.dial(t, &d, routeOf("a b"))
		pass(2 * time.Second)
		var mu sync.Mutex
		slow := 0
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				apart(i)
				begun := time.Now()
				_, _, err := Dial(t.Context(), &d, routeOf("a b"), func(ctx context.Context, c servicetable.Candidate, _ func() error) (int, error) {
					if c.Registration.Instance == "a" {
						return 0, silent(ctx)
					}
					return 0, nil
				})
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Error(err)
				}
				if time.Since(begun) > 0 {
					slow++
				}
			})
		}
		wg.Wait()
		if slow != 1 {
			t.Errorf("%d of 50 connects waited for the silent host, want 1", slow)
		}
	})
}

func TestMemoryOfFailuresIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d Dialer
		fail := func(from, n int) {
			for i := range n {
				c := candidate(fmt.Sprintf("i%d", from+i))
				_, _, _ = Dial(t.Context(), &d, []servicetable.Candidate{c}, func(context.Context, servicetable.Candidate, func() error) (int, error) { return 0, errRefused() })
			}
		}
		fail(0, failuresLimit+100)
		if n := len(d.failures.recent); n != failuresLimit {
			t.Errorf("%d failures remembered, want %d", n, failuresLimit)
		}
		pass(time.Hour)
		fail(failuresLimit+100, 1)
		if n := len(d.failures.recent); n != 1 {
			t.Errorf("%d failures remembered after an hour, want the latest only", n)
		}
	})
}

func TestNilDialerRemembersNothing(t *testing.T) {
	w := world{does: map[string]func(context.Context) error{"a": refuses}}
	w.dial(t, nil, routeOf("a b"))
	w.dial(t, nil, routeOf("a b"))
	w.wantTried(t, "a b a b")
}

func TestCandidateWithoutParts(t *testing.T) {
	var d Dialer
	bare := []servicetable.Candidate{{}}
	_, _, err := Dial(t.Context(), &d, bare, func(context.Context, servicetable.Candidate, func() error) (int, error) { return 0, errRefused() })
	if err == nil {
		t.Error("no error")
	}
	got, _, err := Dial(t.Context(), &d, bare, func(context.Context, servicetable.Candidate, func() error) (int, error) { return 7, nil })
	if got != 7 || err != nil {
		t.Errorf("%d, %v", got, err)
	}
}
