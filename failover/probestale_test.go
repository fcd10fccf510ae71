package failover

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"
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
		{errors.New("whatever it said, somebody is there"), true},
		{fmt.Errorf("reading: %w", io.EOF), false},
		{&net.DNSError{Name: "gone", IsNotFound: true}, false},
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

// A host that has no network yet, or no descriptors, learns nothing about its instances.
func TestAStaleInstanceIsKeptWhileThisHostIsAtFault(t *testing.T) {
	for _, ours := range []error{
		&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ENETUNREACH)},
		&net.OpError{Op: "dial", Err: os.NewSyscallError("socket", syscall.EMFILE)},
		&net.DNSError{Name: "n", Err: "server misbehaving", IsTemporary: true},
	} {
		bubble(t, func(t *testing.T) {
			w := watch(t, nil)
			a := w.register("a", "s")
			w.unlink(a)
			w.mu.Lock()
			w.deeply["a"] = ours
			w.mu.Unlock()
			pass(60 * time.Second)
			synctest.Wait()
			if n := len(w.table.Snapshot().Registrations()); n != 1 {
				t.Errorf("%v: dropped", ours)
			}
			if err := w.prober.Verify(t.Context(), a); err == nil {
				t.Errorf("%v: taken for alive", ours)
			}
			w.mu.Lock()
			w.deeply["a"] = errRefused()
			w.mu.Unlock()
			pass(5 * time.Second)
			synctest.Wait()
			w.wantEvents(t, "stale a@n, lost a@n false, gone a@n")
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

// Whoever knows why an instance is stale has the say, in the log too.
func TestWhyAnInstanceIsStale(t *testing.T) {
	for why, want := range map[string]string{"": "it is not registered any more", "known from disk": "known from disk"} {
		synctest.Test(t, func(t *testing.T) {
			var log bytes.Buffer
			told := ""
			w := watch(t, func(p *Prober) {
				p.Log = slog.New(slog.NewTextHandler(&log, nil))
				p.WhyStale = func(*servicetable.Registration) string { return why }
				p.Report = func(e ProbeEvent) { told = e.Cause }
			})
			one := w.register("a", "sales")
			stale := *one.Registration
			stale.Stale = true
			w.table.Apply(stale)
			w.settle()
			w.stop()
			if told != want || !strings.Contains(log.String(), `cause="`+want+`"`) {
				t.Errorf("told %q, logged %s, want %q", told, log.String(), want)
			}
		})
	}
}
