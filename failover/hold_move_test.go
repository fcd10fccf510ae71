package failover

import (
	"errors"
	"testing"
	"time"
)

// Who waited in another Holder stands where the time it waited puts it, and waits no longer than it would have there.
func TestPlacesOfAnotherHolder(t *testing.T) {
	inBubble(t, HoldSettings{Timeout: time.Minute}, func(t *testing.T, h *hall) {
		from := func(client string, waited time.Duration) *Place {
			r := h.request("sales", client)
			r.Since = time.Now().Add(-waited).Round(0) // without what only this process knows of it
			return h.enter(t, r)
		}
		last := h.enter(t, h.request("sales", "new"))
		second := from("second", 20*time.Second)
		late := from("too late", time.Minute)
		first := from("first", 30*time.Second)
		third := from("third", 10*time.Second)
		short := h.request("sales", "of little patience")
		short.Since, short.Limit = time.Now().Add(-4*time.Second), 5*time.Second
		impatient := h.enter(t, short)
		pass(time.Second)
		h.wantWoken(t, "too late", "of little patience")
		wantState(t, late, Expired)
		wantState(t, impatient, Expired)
		if e := h.Held()[0]; e.Client != "first" || e.Position != 1 || time.Since(e.Since) != 31*time.Second || time.Until(e.Until) != 29*time.Second {
			t.Errorf("first in line is %+v", e)
		}
		h.set("sales", true)
		h.wantWoken(t, "first")
		first.Leave(true)
		h.wantWoken(t, "second", "third")
		second.Leave(true)
		third.Leave(true)
		h.wantWoken(t, "new")
		wantState(t, last, Go)
	})
}

// What another Holder let wait is not asked again whether it may; that holding is off counts.
func TestPlacesOfAnotherHolderAreAdmitted(t *testing.T) {
	inBubble(t, HoldSettings{Max: 1, DryRun: true}, func(t *testing.T, h *hall) {
		r := h.request("never seen here", "c")
		r.Since = time.Now().Add(-time.Second)
		p, q := h.enter(t, r), h.enter(t, r)
		if c := h.Counters(); c.HeldNow != 2 || c.WouldHold != 0 {
			t.Errorf("%+v", c)
		}
		p.Move()
		q.Move()
		p.Leave(false)
		if c := h.Counters(); c.HeldNow != 0 || c.Moved != 2 || c.Left != 0 || len(h.lines) != 0 || len(h.memory.names) != 2 {
			t.Errorf("%+v, %d lines, %d names", c, len(h.lines), len(h.memory.names))
		}
		h.Configure(HoldSettings{Timeout: -1})
		if _, err := h.Enter(r); !errors.Is(err, ErrNotHeld) {
			t.Errorf("with holding off: %v", err)
		}
	})
}

// The memory of a service goes on from when it departed, whoever saw that.
func TestDepartedAWhileAgo(t *testing.T) {
	inBubble(t, HoldSettings{Memory: time.Minute}, func(t *testing.T, h *hall) {
		h.DepartedAt(time.Now().Add(-2*time.Minute), "erp")
		h.DepartedAt(time.Now().Add(-50*time.Second), "crm")
		h.DepartedAt(time.Now().Add(time.Hour), "future")
		h.wantHeld(t, "erp", ErrNotHeld)
		h.wantHeld(t, "crm", nil)
		pass(11 * time.Second)
		h.wantHeld(t, "crm", ErrNotHeld)
		pass(50 * time.Second)
		h.wantHeld(t, "future", ErrNotHeld)
	})
}
