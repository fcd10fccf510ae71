package failover

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"servicebroker/servicetable"
)

func TestHalfOfAServiceStays(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := watch(t, nil)
		for _, name := range []string{"a", "b", "c", "d", "e"} {
			w.register(name, "s", "own-"+name)
		}
		for _, name := range []string{"a", "b", "c", "d"} {
			w.set("h-"+name, refuses)
		}
		pass(5 * time.Second)
		synctest.Wait()
		if n := len(strings.Fields(w.ejected())); n != 2 {
			t.Errorf("%d of 5 ejected: %s", n, w.ejected())
		}
		told := w.told()
		if spared := strings.Count(strings.Join(told, ","), "spared"); spared != 2 {
			t.Errorf("%d reported as spared: %v", spared, told)
		}
		back := strings.Fields(w.ejected())[0]
		w.set("h-"+back, nil)
		pass(20 * time.Second)
		synctest.Wait()
		if got := w.ejected(); len(strings.Fields(got)) != 2 || strings.Contains(got, back) {
			t.Errorf("after %s is back, ejected are %s", back, got)
		}
		for _, r := range w.table.Snapshot().Registrations() {
			if r.Instance == "e" || r.Instance == back {
				w.table.Drop(r.ID)
			}
		}
		w.settle()
		if got := w.ejected(); len(strings.Fields(got)) != 1 {
			t.Errorf("of 3 that are left, ejected are %q", got)
		}
	})
}

func TestLonelyHandlerSetsNoLimit(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := watch(t, nil)
		w.set("h-a", refuses)
		w.register("a", "own")
		pass(time.Second)
		synctest.Wait()
		w.wantEjected(t, "a")
		if found, err := w.table.Snapshot().Match(servicetable.Query{Service: "own"}); len(found) != 1 {
			t.Errorf("the only handler is no candidate any more: %v", err)
		}
	})
}

func TestMarksGoWithTheirHandler(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := watch(t, nil)
		a := w.register("a", "s")
		w.register("b", "s")
		w.set("h-a", refuses)
		w.met(a, errRefused())
		w.wantEjected(t, "a")
		w.table.Drop(a.Registration.ID)
		w.settle()
		if left := w.table.Snapshot().Marks("a@n/DEDICATED"); len(left) > 0 {
			t.Errorf("marks left of a handler that is gone: %v", left)
		}
		w.register("a", "s") // still down
		w.wantEjected(t, "a")
		w.stop()
		if left := w.table.Snapshot().Marks("a@n/DEDICATED"); len(left) > 0 {
			t.Errorf("marks left by a prober that ended: %v", left)
		}
	})
}

func TestReplacedRegistrationIsProbedAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := watch(t, func(p *Prober) { p.Interval = time.Minute })
		a := w.register("a", "s")
		w.register("b", "s")
		w.set("h-a", refuses)
		w.met(a, errRefused())
		pass(5 * time.Minute)
		replace := func() {
			w.mu.Lock()
			w.probes = nil
			w.mu.Unlock()
			r := *a.Registration
			r.ID += "+"
			w.table.Drop(a.Registration.ID)
			w.table.Apply(r)
			a.Registration = &r
			w.settle()
		}
		replace()
		w.wantEjected(t, "a") // a registration is no answer
		if n := w.probed("h-a"); n != 1 {
			t.Errorf("probed %d times after it registered again, want once", n)
		}
		w.set("h-a", nil)
		replace()
		w.wantEjected(t, "")
	})
}

func TestMaintenanceIsNotProbed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := watch(t, nil)
		a := w.register("a", "s")
		w.register("b", "s")
		w.table.Mark("a@n", servicetable.Mark{Kind: servicetable.Maintenance})
		w.settle()
		w.forget()
		w.set("h-a", refuses)
		w.met(a, errRefused())
		w.prober.Suspect(a, "test")
		pass(time.Minute)
		synctest.Wait()
		if n := w.probed("h-a"); n > 0 {
			t.Errorf("probed %d times in maintenance", n)
		}
		w.wantEjected(t, "")
		w.table.Unmark("a@n", servicetable.Maintenance)
		w.settle()
		w.wantEjected(t, "a")
	})
}

func TestPanicShareIsAPart(t *testing.T) {
	for share, want := range map[float64]float64{0: 0.5, -1: 0.5, 0.25: 0.25, 7: 1} {
		if got := (&Prober{PanicShare: share}).panicShare(); got != want {
			t.Errorf("share %v counts as %v, want %v", share, got, want)
		}
	}
}
