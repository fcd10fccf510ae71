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

// unlink ends the registration connection of c, as a broker would take it.
func (w *plant) unlink(c servicetable.Candidate) (stale bool) {
	if stale = w.prober.Lost(c.Registration); !stale {
		w.table.Drop(c.Registration.ID)
	} else {
		r := *c.Registration
		r.Stale = true
		w.table.Apply(r)
	}
	w.settle()
	return stale
}

func TestNeverReachedIsNotKept(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := watch(t, nil)
		w.set("h-a", refuses)
		if w.unlink(w.register("a", "s")) {
			t.Error("kept though it never answered")
		}
		w = watch(t, func(p *Prober) { p.Interval = 0 })
		a := w.register("a", "s")
		w.met(a, nil)
		pass(91 * time.Second)
		if w.unlink(a) {
			t.Error("kept though it did not answer lately")
		}
	})
}

func TestStaleInstanceIsKeptWhileItAnswers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := watch(t, nil)
		a := w.register("a", "s")
		w.forget()
		if !w.unlink(a) {
			t.Fatal("not kept though it answered just now")
		}
		if n := w.probed("deep a"); n != 1 {
			t.Errorf("%d deep probes at once, want 1", n)
		}
		pass(60 * time.Second)
		if n := w.probed("deep a"); n < 12 || n > 15 {
			t.Errorf("%d deep probes in a minute, want one every 5 s", n)
		}
		if n := w.probed("h-a"); n > 0 {
			t.Errorf("%d light probes of a stale instance", n)
		}
		w.wantEvents(t, "stale a@n")
		pass(31 * time.Second)
		synctest.Wait()
		w.wantEvents(t, "lost a@n true, gone a@n")
		if n := len(w.table.Snapshot().Registrations()); n > 0 {
			t.Errorf("still there after StaleTimeout")
		}
	})
}

func TestStaleInstanceThatFailsIsDropped(t *testing.T) {
	for _, c := range []struct {
		err      error
		answered bool
	}{
		{errRefused(), false},
		{noAnswer(time.Second), false},
		{fmt.Errorf("listener says: %w", answer{true}), true},
		{fmt.Errorf("%w: %w", answer{true}, context.DeadlineExceeded), false},
	} {
		bubble(t, func(t *testing.T) {
			w := watch(t, nil)
			a := w.register("a", "s")
			w.unlink(a)
			w.mu.Lock()
			w.deeply["a"] = c.err
			w.mu.Unlock()
			pass(5 * time.Second)
			synctest.Wait()
			w.wantEvents(t, fmt.Sprintf("stale a@n, lost a@n %v, gone a@n", c.answered))
			if n := len(w.table.Snapshot().Registrations()); n > 0 {
				t.Errorf("%v: still there", c.err)
			}
		})
	}
}

func TestConnectsDecideAboutStaleInstances(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := watch(t, func(p *Prober) { p.Interval = time.Minute })
		a := w.register("a", "s")
		w.unlink(a)
		pass(time.Second)
		w.forget()
		if err := w.prober.Verify(t.Context(), a); err != nil {
			t.Errorf("a stale instance that answered a second ago: %v", err)
		}
		w.mu.Lock()
		w.deeply["a"] = errRefused()
		w.mu.Unlock()
		w.met(a, errRefused())
		pass(time.Second)
		synctest.Wait()
		w.wantEvents(t, "stale a@n, lost a@n false, gone a@n")
	})
}

func TestStaleInstanceThatComesBackIsLeftAlone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := watch(t, nil)
		a := w.register("a", "s")
		w.unlink(a)
		w.mu.Lock()
		w.deeply["a"] = errRefused()
		w.mu.Unlock()
		w.table.Apply(*a.Registration) // the very registration, live again
		pass(20 * time.Second)
		synctest.Wait()
		w.wantEvents(t, "stale a@n")
		if n := len(w.table.Snapshot().Registrations()); n != 1 {
			t.Errorf("%d registrations, want the live one", n)
		}
	})
}

func TestDeepProbeAsksForWhatTookConnects(t *testing.T) {
	r := servicetable.Registration{Services: []servicetable.Service{
		{Name: "blocked"},
		{Name: "xdb", Flags: servicetable.FlagUnblocked | servicetable.FlagDispatchersOnly},
		{Name: "sales", Flags: servicetable.FlagUnblocked},
	}, Handlers: []servicetable.Handler{
		{Name: "D000", Kind: servicetable.Dispatcher, Port: 1, Services: []int{1, 2}},
		{Name: "NOWHERE", Services: []int{2}},
		{Name: "DEDICATED", Port: 2, Services: []int{0, 2, 7}},
	}}
	if c := deepCandidate(&r); c.Service.Name != "sales" || c.Handler.Name != "DEDICATED" {
		t.Errorf("%s at %s", c.Service.Name, c.Handler.Name)
	}
	r.Services = r.Services[:1]
	if c := deepCandidate(&r); c.Service.Name != "blocked" {
		t.Errorf("%s", c.Service.Name)
	}
	r.Handlers = nil
	if c := deepCandidate(&r); c.Handler != nil {
		t.Error("a handler out of nowhere")
	}
}

// A stale instance that has nowhere to be asked at cannot be kept.
func TestStaleWithoutHandlerIsDropped(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := watch(t, nil)
		w.table.Apply(servicetable.Registration{ID: "x", Instance: "x", Host: "n", Stale: true})
		w.settle()
		w.wantEvents(t, "stale x@n, lost x@n false, gone x@n")
	})
}

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
		if err := w.prober.Verify(t.Context(), a); err == nil || !errors.Is(err, errRefused().(interface{ Unwrap() error }).Unwrap()) {
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

func TestOneProbeForEachAddress(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := watch(t, func(p *Prober) { p.PanicShare = 1 })
		const n = 3000
		for i := range n {
			r := servicetable.Registration{ID: servicetable.ID(fmt.Sprint("r", i)), Instance: fmt.Sprint("i", i), Host: "n"}
			r.Services = []servicetable.Service{{Name: "s", Flags: servicetable.FlagUnblocked}}
			r.Handlers = []servicetable.Handler{{Name: "DEDICATED", Protocol: "TCP", Host: fmt.Sprint("Host", i%3), Port: 1521, Services: []int{0}}}
			w.table.Apply(r)
		}
		w.settle()
		w.forget()
		pass(10 * time.Second)
		synctest.Wait()
		if total := len(w.probes); total < 6 || total > 9 {
			t.Errorf("%d probes of 3 addresses in 10 s, want 6 to 9", total)
		}
		if targets := len(w.prober.state.targets); targets != 3 {
			t.Errorf("%d targets", targets)
		}
	})
}

// The first probes of many addresses are spread, and no more run at a time than there are workers.
func TestProbesAreSpreadAndBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var mu sync.Mutex
		var at []time.Duration
		now, most := 0, 0
		begun := time.Now()
		w := watch(t, func(p *Prober) {
			p.Workers = 20
			p.Probe = func(context.Context, servicetable.Candidate, bool) error {
				mu.Lock()
				at = append(at, time.Since(begun))
				now++
				most = max(most, now)
				mu.Unlock()
				pass(30 * time.Millisecond)
				mu.Lock()
				now--
				mu.Unlock()
				return nil
			}
		})
		const n = 2000
		r := servicetable.Registration{ID: "r", Instance: "i", Host: "n", Services: []servicetable.Service{{Name: "s", Flags: servicetable.FlagUnblocked}}}
		for i := range n {
			r.Handlers = append(r.Handlers, servicetable.Handler{Name: fmt.Sprint("D", i), Protocol: "tcp", Host: "h", Port: 1000 + i, Services: []int{0}})
		}
		w.table.Apply(r)
		pass(60 * time.Second)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if most > 20 {
			t.Errorf("%d probes at a time, want at most 20", most)
		}
		if per := float64(len(at)) / n / 12; per < 0.95 || per > 1.25 {
			t.Errorf("%.2f probes for each address and interval", per)
		}
		busiest := 0
		for second := range 60 {
			from := slices.IndexFunc(at, func(d time.Duration) bool { return d >= time.Duration(second)*time.Second })
			to := slices.IndexFunc(at, func(d time.Duration) bool { return d >= time.Duration(second+1)*time.Second })
			if from >= 0 && to >= 0 {
				busiest = max(busiest, to-from)
			}
		}
		if busiest > n/3 {
			t.Errorf("%d probes in one second of 5", busiest)
		}
	})
}

func TestOnDemandOnly(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := watch(t, func(p *Prober) { p.Interval = 0 })
		a := w.register("a", "s")
		w.register("b", "s")
		pass(time.Hour)
		if n := len(w.probes); n > 0 {
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
		if n := len(w.probes); n > 0 {
			t.Errorf("%d probes after it is back", n)
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
		if n := len(w.probes); n < 5 || n > 11 {
			t.Errorf("%d probes in a second, want about 10", n)
		}
	})
}

func TestEjectedAreProbedWithBackoff(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := watch(t, nil)
		a := w.register("a", "s")
		w.register("b", "s")
		w.set("h-a", refuses)
		w.met(a, errRefused())
		w.forget()
		pass(time.Minute)
		if n := w.probed("h-a"); n < 7 || n > 11 {
			t.Errorf("%d probes in the first minute, want them 1, 2, 4, 8 s apart and then 10 s", n)
		}
	})
}

func TestBlockedIsProbedAndNotEjected(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := watch(t, nil)
		w.set("h-a", answers(true)) // the listener refuses, so it is there
		a := w.register("a", "s")
		r := *a.Registration
		r.Services = []servicetable.Service{{Name: "s"}}
		w.table.Apply(r)
		w.register("b", "s")
		w.forget()
		pass(time.Minute)
		synctest.Wait()
		if w.probed("h-a") < 11 {
			t.Errorf("%d probes of a blocked instance", w.probed("h-a"))
		}
		w.wantEjected(t, "")
	})
}

func TestStrangersAreForgotten(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := watch(t, nil)
		for i := range strangersLimit + 10 {
			w.prober.Observe(Attempt{Candidate: candidate(fmt.Sprint(i)), Answered: true, Committed: true})
		}
		if n := len(w.prober.state.targets); n != strangersLimit {
			t.Errorf("%d targets", n)
		}
		pass(2 * time.Minute)
		w.register("a", "s")
		if n := len(w.prober.state.targets); n != 1 {
			t.Errorf("%d targets left", n)
		}
		w.table.Drop("c1")
		w.settle()
		pass(2 * time.Minute)
		w.register("b", "s")
		if n, left := len(w.prober.state.targets), w.prober.state.strangers; n != 1 || left != 0 {
			t.Errorf("%d targets and %d strangers left", n, left)
		}
	})
}
