package failover

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestVerify(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := watch(t, nil)
		a := w.register("a", "s")
		w.forget()
		begun := time.Now()
		if err := w.prober.Verify(t.Context(), a); err != nil || w.probed("h-a") > 0 || time.Since(begun) > 0 {
			t.Errorf("seen alive just now: %v, %d probes", err, w.probed("h-a"))
		}
		if at, ok := w.prober.LastAlive(a); !ok || time.Since(at) > time.Second {
			t.Errorf("last alive %v %v", at, ok)
		}
		if _, ok := w.prober.LastAlive(candidate("other")); ok {
			t.Error("a handler never seen was alive")
		}
		w.set("h-a", refuses)
		pass(6 * time.Second)
		if err := w.prober.Verify(t.Context(), a); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("dead: %v", err)
		}
	})
}

func TestVerifySharesOneProbe(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := watch(t, func(p *Prober) { p.Interval = 0 })
		a := w.register("a", "s")
		w.set("h-a", func(ctx context.Context) error {
			pass(time.Second)
			return answer{false} // somebody is there
		})
		var all sync.WaitGroup
		begun := time.Now()
		for range 100 {
			all.Go(func() {
				if err := w.prober.Verify(t.Context(), a); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if n, took := w.probed("h-a"), time.Since(begun); n != 1 || took != time.Second {
			t.Errorf("%d probes in %v, want 1 in 1 s", n, took)
		}
	})
}

func TestVerifyNeverWaitsLongerThanTimeout(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := watch(t, func(p *Prober) { p.Interval, p.Workers = time.Hour, 1 })
		block := make(chan struct{})
		stuck := func(context.Context) error { <-block; return nil }
		for i := range 4 {
			w.set(fmt.Sprintf("h-i%d", i), stuck)
		}
		var all sync.WaitGroup
		for i := range 4 {
			c := candidate(fmt.Sprintf("i%d", i))
			all.Go(func() {
				begun := time.Now()
				err := w.prober.Verify(t.Context(), c)
				if took := time.Since(begun); took != 2*time.Second || !errors.Is(err, ErrNoAnswer) {
					t.Errorf("%v after %v", err, took)
				}
			})
		}
		all.Wait()
		gone, cancel := context.WithCancelCause(t.Context())
		cancel(errors.New("the client hung up"))
		if err := w.prober.Verify(gone, candidate("i9")); err == nil || err.Error() != "the client hung up" {
			t.Errorf("for a client that is gone: %v", err)
		}
		close(block)
		w.stop()
		if err := w.prober.Verify(t.Context(), candidate("i9")); !errors.Is(err, ErrNotProbing) {
			t.Errorf("after the end: %v", err)
		}
	})
}

// Where clients connect by themselves, what this broker never reached is neither ejected nor kept from them.
func TestAsymmetricReachability(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := watch(t, func(p *Prober) { p.Redirecting = func() bool { return true } })
		w.set("h-a", silent)
		a := w.register("a", "s")
		b := w.register("b", "s")
		w.register("c", "s")
		pass(30 * time.Second)
		w.wantEjected(t, "")
		for range 2 {
			if err := w.prober.Verify(t.Context(), a); err != nil {
				t.Errorf("never reached: %v", err)
			}
			pass(5 * time.Second)
		}
		w.set("h-b", silent)
		pass(10 * time.Second)
		synctest.Wait()
		w.wantEjected(t, "b")
		if w.prober.Verify(t.Context(), b) == nil {
			t.Error("reached before, and dead now")
		}
	})
}

func TestSuspicionIsCoalesced(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := watch(t, func(p *Prober) { p.Interval = time.Hour })
		a := w.register("a", "s")
		pass(time.Second)
		w.forget()
		for range 1000 {
			w.prober.Suspect(a, "test")
			w.prober.Suspect(candidate("not in the table"), "test")
			pass(time.Millisecond)
		}
		if n := w.probed(""); n < 5 || n > 11 {
			t.Errorf("%d probes in a second, want about 10", n)
		}
	})
}

func TestOnDemandOnly(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := watch(t, func(p *Prober) { p.Interval = 0 })
		a := w.register("a", "s")
		w.register("b", "s")
		pass(time.Hour)
		if n := w.probed(""); n > 0 {
			t.Errorf("%d probes though nobody asked", n)
		}
		w.prober.Suspect(a, "a client came back")
		synctest.Wait()
		if n := w.probed("h-a"); n != 1 {
			t.Errorf("%d probes on suspicion", n)
		}
		w.set("h-a", refuses)
		w.met(a, errRefused())
		w.wantEjected(t, "a")
		pass(time.Minute)
		w.set("h-a", nil)
		pass(20 * time.Second)
		synctest.Wait()
		w.wantEjected(t, "")
		w.forget()
		pass(time.Hour)
		if n := w.probed(""); n > 0 {
			t.Errorf("%d probes after it is back", n)
		}
	})
}
