package failover

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// wantHeld checks whether a connect for a service gets a place, which is given up at once.
func (h *hall) wantHeld(t *testing.T, service string, want error) {
	t.Helper()
	p, err := h.Enter(h.request(service, "c"))
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", service, err, want)
	}
	if p != nil {
		p.Leave(false)
	}
}

// Names meet with and without domain as they do in the table.
func TestRememberedNames(t *testing.T) {
	for _, c := range []struct {
		departed, asked string
		want            error
	}{
		{"sales2", "sales2", nil},
		{"Sales2.World", "SALES2.world", nil},
		{"sales2.world", "sales2", nil},
		{"sales2", "sales2.world", nil},
		{"sales2.world", "sales2.example", ErrNotHeld},
		{"sales2", "sales3", ErrNotHeld},
		{".world", ".world", nil},
		{"\xc4B", "\xc4b", nil},
		{"\xc4b", "\xd6b", ErrNotHeld},
		{"", "", nil},
		{"sales2", "", ErrNotHeld},
	} {
		inBubble(t, HoldSettings{}, func(t *testing.T, h *hall) {
			h.Departed(c.departed)
			h.wantHeld(t, c.asked, c.want)
			h.Seen(c.departed)
			h.wantHeld(t, c.asked, c.want)
			pass(time.Hour)
			h.wantHeld(t, c.asked, c.want)
		})
	}
}

func TestMemoryEnds(t *testing.T) {
	inBubble(t, HoldSettings{Memory: time.Minute}, func(t *testing.T, h *hall) {
		pass(30 * time.Second)
		h.Departed("hr", "erp.world")
		pass(30 * time.Second)
		h.wantHeld(t, "sales", nil)
		pass(time.Second)
		h.wantHeld(t, "sales", ErrNotHeld)
		h.wantHeld(t, "hr", nil)
		h.wantHeld(t, "erp", nil)
		h.wantHeld(t, "never", ErrNotHeld)
		held := h.enter(t, h.request("hr", "c"))
		pass(30 * time.Second)
		h.wantHeld(t, "hr", ErrNotHeld)
		h.wantHeld(t, "erp", ErrNotHeld)
		held.Leave(false)
		synctest.Wait()
		if m := &h.memory; len(m.names) != 0 || len(m.domains) != 0 || m.departures.Len() != 0 {
			t.Errorf("still remembered: %v, %v, %d", m.names, m.domains, m.departures.Len())
		}
	})
}

func TestMemoryIsBounded(t *testing.T) {
	var h Holder
	for i := range maxDeparted + 10 {
		h.Departed(fmt.Sprintf("s%d.world", i))
	}
	if n := len(h.memory.names); n != maxDeparted || len(h.memory.domains) != n {
		t.Errorf("%d names remembered, %d without domain", n, len(h.memory.domains))
	}
	if _, err := h.Enter(HoldRequest{Service: "s9"}); !errors.Is(err, ErrNotHeld) {
		t.Errorf("the longest gone: %v", err)
	}
	p, err := h.Enter(HoldRequest{Service: "s10"})
	if err != nil {
		t.Fatal(err)
	}
	p.Leave(false)
}

// A service that is in the table, but whose dials fail, is worth waiting for as long as one that is gone.
func TestDialsFailForTooLong(t *testing.T) {
	inBubble(t, HoldSettings{}, func(t *testing.T, h *hall) {
		h.Seen("sales")
		retry := h.request("sales", "c")
		retry.Retry = time.Second
		enter := func(want error) {
			t.Helper()
			p, err := h.Enter(retry)
			if !errors.Is(err, want) {
				t.Errorf("%v, want %v", err, want)
			}
			if p != nil {
				p.Leave(false)
			}
		}
		failFor := func(seconds int) {
			for range seconds / 10 {
				enter(nil)
				pass(10 * time.Second)
			}
		}
		failFor(310)
		for range 100 { // refused ones count as well: it goes on failing
			enter(ErrNotHeld)
			pass(10 * time.Second)
		}
		h.Reached("SALES")
		enter(nil)
		pass(time.Hour) // nobody asks: it may have been back meanwhile
		enter(nil)
		failFor(310)
		enter(ErrNotHeld)
		h.Departed("sales")
		h.Seen("sales")
		failFor(310)
		enter(ErrNotHeld)
		if n := h.failing.Load(); n != 1 {
			t.Errorf("%d services failing", n)
		}
		h.Departed("sales")
		pass(time.Hour)
		if n := h.failing.Load(); n != 0 {
			t.Errorf("%d services failing once all is forgotten", n)
		}
		h.Reached("sales")
	})
}

// Those behind others in a line that leads nowhere do not keep it alive for ever.
func TestLineThatLeadsNowhereEnds(t *testing.T) {
	inBubble(t, HoldSettings{}, func(t *testing.T, h *hall) {
		h.Seen("sales")
		begun := time.Now()
		for time.Since(begun) < 20*time.Minute {
			r := h.request("sales", "c")
			if !h.Waiting("sales") {
				r.Retry = time.Second
			}
			p, err := h.Enter(r)
			if err != nil {
				break
			}
			h.going.Go(func() {
				for p.Await(t.Context()) == nil && p.Again("refused", time.Second) == Waiting {
					continue
				}
				p.Leave(false)
			})
			pass(5 * time.Second)
		}
		if took := time.Since(begun); took < 300*time.Second || took > 340*time.Second {
			t.Errorf("clients are made to wait for %v, want the memory's 300 s and what waits then", took)
		}
		pass(time.Minute)
		if h.Waiting("sales") {
			t.Error("still a line")
		}
	})
}

func TestOff(t *testing.T) {
	inBubble(t, HoldSettings{Timeout: -1}, func(t *testing.T, h *hall) {
		h.wantHeld(t, "sales", ErrNotHeld)
		r := h.request("sales", "c")
		r.Limit = time.Second
		h.enter(t, r).Leave(false)
		h.Configure(HoldSettings{})
		r.Limit = -1
		if _, err := h.Enter(r); !errors.Is(err, ErrNotHeld) || !strings.Contains(err.Error(), `"sales": not held: holding is off`) {
			t.Error(err)
		}
		h.Configure(HoldSettings{Memory: -1})
		h.wantHeld(t, "sales", ErrNotHeld)
		h.Configure(HoldSettings{Max: -1})
		h.Departed("sales")
		h.wantHeld(t, "sales", ErrHoldFull)
	})
}

// A service that a probe reached is worth waiting for though the table never had it ready, under any name that clients
// use for it.
func TestLately(t *testing.T) {
	inBubble(t, HoldSettings{}, func(t *testing.T, h *hall) {
		for i := range 100 {
			h.Lately(fmt.Sprintf("erp.d%d", i))
		}
		h.wantHeld(t, "erp", nil)
		h.Lately("SALES.world")
		if n := len(h.memory.names); n != 3 {
			t.Errorf("%d names remembered, want sales, hr and erp", n)
		}
		pass(200 * time.Second)
		h.Lately("sales")
		pass(200 * time.Second)
		h.wantHeld(t, "sales", nil)
		h.wantHeld(t, "erp", ErrNotHeld)
		h.Seen("sales")
		pass(time.Hour)
		h.Lately("sales")
		h.wantHeld(t, "sales", nil)
		pass(time.Hour)
		h.wantHeld(t, "sales", nil)
	})
}

// Asking whether a connect would be held leaves no trace.
func TestWould(t *testing.T) {
	inBubble(t, HoldSettings{Max: 1}, func(t *testing.T, h *hall) {
		r := h.request("erp", "c")
		if err := h.Would(r); !errors.Is(err, ErrNotHeld) {
			t.Error(err)
		}
		r.Wanted, r.Retry = true, time.Second
		if err := h.Would(r); err != nil {
			t.Error(err)
		}
		h.enter(t, h.request("sales", "c"))
		if err := h.Would(r); !errors.Is(err, ErrHoldFull) {
			t.Error(err)
		}
		if c := h.Counters(); c.Full != 0 || c.Held != 1 || len(h.memory.names) != 2 || h.failing.Load() != 0 {
			t.Errorf("%+v, %d names", c, len(h.memory.names))
		}
	})
}

// What an operator holds needs no memory, and is held in a dry run too.
func TestWanted(t *testing.T) {
	inBubble(t, HoldSettings{DryRun: true, Max: 10, ServiceShare: 0.2}, func(t *testing.T, h *hall) {
		r := h.request("erp.a", "c")
		r.Wanted = true
		h.enter(t, r)
		r.Service = "erp.b"
		h.enter(t, r)
		r.Service = "erp.c"
		if _, err := h.Enter(r); !errors.Is(err, ErrHoldFull) {
			t.Errorf("with ever new domains: %v", err)
		}
		h.Seen("erp")
		r = h.request("erp", "c")
		h.wantHeld(t, "erp", ErrHoldDryRun)
		r.Queue = "erp.a" // somebody is in this line
		h.Configure(HoldSettings{DryRun: true})
		h.enter(t, r)
	})
}

func TestDryRun(t *testing.T) {
	inBubble(t, HoldSettings{DryRun: true}, func(t *testing.T, h *hall) {
		h.wantHeld(t, "sales", ErrHoldDryRun)
		h.wantHeld(t, "sales.world", ErrHoldDryRun)
		h.wantHeld(t, "never", ErrNotHeld)
		if diff := cmp.Diff(HoldCounters{WouldHold: 2}, h.Counters()); diff != "" {
			t.Error(diff)
		}
		h.Configure(HoldSettings{})
		h.wantHeld(t, "sales", nil)
	})
}

func TestBounds(t *testing.T) {
	inBubble(t, HoldSettings{Max: 10, ServiceShare: 0.7}, func(t *testing.T, h *hall) {
		sales := h.crowd(t, "sales", 7)
		_, err := h.Enter(h.request("SALES.world", "c"))
		if want := `service "SALES.world": too many connects are held: 7 of at most 10, 7 of them of at most 7 for this service; see MAX_HELD`; err == nil || err.Error() != want {
			t.Errorf("\n got %v\nwant %s", err, want)
		}
		h.crowd(t, "hr", 3)
		h.wantHeld(t, "hr", ErrHoldFull)
		sales[3].Leave(false)
		h.wantHeld(t, "hr", nil)
		h.wantHeld(t, "sales", nil)
		if c := h.Counters(); c.Full != 2 {
			t.Errorf("%+v", c)
		}
		h.Configure(HoldSettings{Max: 2})
		if n := len(h.Held()); n != 9 {
			t.Errorf("%d held after fewer are allowed, want those there to stay", n)
		}
		h.wantHeld(t, "hr", ErrHoldFull)
	})
}

// Services that share places take them from each other and from nobody else.
func TestSharesOfPlaces(t *testing.T) {
	inBubble(t, HoldSettings{Max: 10, ServiceShare: 1}, func(t *testing.T, h *hall) {
		enter := func(service, share string) (*Place, error) {
			r := h.request(service, "c")
			r.Shares[1] = HoldShare{Name: share, Max: 2, See: "MAX_HELD"}
			return h.Enter(r)
		}
		first, err := enter("sales", "one")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := enter("hr", "one"); err != nil {
			t.Fatal(err)
		}
		if _, err := enter("sales", "one"); !errors.Is(err, ErrHoldFull) || !strings.Contains(err.Error(), "2 of at most 2 of one; see MAX_HELD") {
			t.Errorf("a third: %v", err)
		}
		if _, err := enter("sales", "other"); err != nil {
			t.Errorf("of others: %v", err)
		}
		first.Leave(false)
		if _, err := enter("hr", "one"); err != nil {
			t.Errorf("after one left: %v", err)
		}
	})
}

func TestHeldList(t *testing.T) {
	inBubble(t, HoldSettings{}, func(t *testing.T, h *hall) {
		r := h.request("hr.world", "10.0.0.9:4711")
		r.Queue, r.Ref, r.Limit = "hr", "ABCDEFGH", 5*time.Second
		begun := time.Now()
		h.enter(t, r)
		places := h.crowd(t, "sales", 4)
		h.set("sales", true)
		synctest.Wait()
		places[2].Leave(false)
		until := begun.Add(30 * time.Second)
		want := []HeldEntry{
			{Service: "hr.world", Queue: "hr", Client: "10.0.0.9:4711", Ref: "ABCDEFGH", Cause: "gone", Since: begun, Until: begun.Add(5 * time.Second), Position: 1},
			{Service: "sales", Queue: "sales", Client: "c0", Cause: "gone", Since: begun, Until: until},
			{Service: "sales", Queue: "sales", Client: "c1", Cause: "gone", Since: begun, Until: until, Position: 1},
			{Service: "sales", Queue: "sales", Client: "c3", Cause: "gone", Since: begun, Until: until, Position: 2},
		}
		if diff := cmp.Diff(want, h.Held(), cmpopts.IgnoreUnexported(HeldEntry{})); diff != "" {
			t.Error(diff)
		}
	})
}

func TestEventsAndCounters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events := make(chan HoldEvent, 100)
		h := newHall(t, HoldSettings{Timeout: 10 * time.Second})
		h.Report = func(e HoldEvent) { events <- e } // before first use: nobody has been held yet
		begun := time.Now()
		places := h.crowd(t, "sales", 5)
		if e := <-events; e != (HoldEvent{Time: begun, Began: true, Service: "sales", Cause: "gone"}) {
			t.Errorf("%+v", e)
		}
		places[0].Leave(false)
		h.set("sales", true)
		served(t, places[1:3])
		synctest.Wait()
		places[3].Leave(false)
		h.set("sales", false)
		synctest.Wait()
		places[4].Again("", 0)
		pass(10 * time.Second)
		synctest.Wait()
		if diff := cmp.Diff(HoldCounters{Held: 5, Released: 4, Connected: 2, Failed: 1, Expired: 1, Left: 1, HeldNow: 1}, h.Counters()); diff != "" {
			t.Error(diff)
		}
		if len(events) > 0 {
			t.Error("ended while one is left")
		}
		places[4].Leave(false)
		want := HoldEvent{Time: time.Now(), Service: "sales", Cause: "gone", Took: 10 * time.Second, Connected: 2, Failed: 1, Expired: 1, Left: 1}
		if e := <-events; e != want {
			t.Errorf("\n got %+v\nwant %+v", e, want)
		}
	})
}

func TestHoldStateNames(t *testing.T) {
	got := fmt.Sprint(Waiting, Go, Expired, Stopped, HoldState(9))
	if want := "waiting go expired stopped unknown"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
