package loadbalance

import (
	"strings"
	"testing"
	"time"
	"unsafe"

	"servicebroker/servicetable"
)

// host has a clock that can be set.
type host struct {
	began time.Time
	ran   time.Duration
	set   time.Duration // by how much the clock was
}

// clock is what time.Now returns there: setting the clock moves the time of day, and not the monotonic reading.
func (h *host) clock() time.Time {
	now := h.began.Add(h.ran)
	shown := now
	*(*uint64)(unsafe.Pointer(&shown)) += uint64(h.set/time.Second) << 30 // seconds of the day, above 30 bits of nanoseconds
	if shown.Sub(now) != 0 || shown.Round(0).Sub(now.Round(0)) != h.set {
		panic("a time.Time is not laid out as it was: set its time of day otherwise")
	}
	return shown
}

// written is what another process reads of a time.
func written(t time.Time) time.Time { return t.Round(0).UTC() }

func newHost() (*host, *Balancer) {
	h := &host{began: time.Now()}
	b := &Balancer{Random: seeded(4), Now: h.clock}
	b.Configure(Settings{})
	return h, b
}

// change is how many sessions are counted at an instance beyond its report, once a decision has been made.
func change(b *Balancer, key string, all []servicetable.Candidate) int {
	b.Order(Ask{}, all).Release()
	return b.tallies[instanceKey{key, "h"}].whole.change()
}

func TestReportsCountOnceTheClockIsSetBack(t *testing.T) {
	for _, set := range []time.Duration{0, -2 * time.Hour, 2 * time.Hour} {
		h, b := newHost()
		one, other := instance("one", 0, 100), instance("other", 0, 100)
		one.r.LoadAt, other.r.LoadAt = h.clock(), h.clock()
		for range 10 {
			connect(b, candidates(one, other))
		}
		h.ran, h.set = time.Minute, set
		one.r.Load, one.r.LoadAt = 5, h.clock()
		if got := change(b, "one", candidates(one, other)); got != 0 {
			t.Errorf("the clock set by %v: beyond the report, which has them, %d sessions are counted", set, got)
		}
		if got := change(b, "other", candidates(one, other)); got != 5 {
			t.Errorf("the clock set by %v: %d sessions are counted where none reported, want 5", set, got)
		}
	}
}

func TestRedirectsFadeThoughTheClockIsSetBack(t *testing.T) {
	h, b := newHost()
	one := instance("one", 0, 100)
	one.r.LoadAt = h.clock()
	connectAs := func() { b.Order(Ask{Redirect: true}, candidates(one)).Settle(one.candidate()) }
	connectAs()
	h.ran, h.set = 2*time.Duration(unknownTau), -2*time.Hour
	connectAs()
	if all := b.tallies[instanceKey{"one", "h"}].whole.faded.all; all < 1.13 || all > 1.14 {
		t.Errorf("of two redirects, the first of which was twice the mean length of a session ago, there are %.3f left", all)
	}
}

func TestSlowStartEndsThoughTheClockIsSetBack(t *testing.T) {
	h, b := newHost()
	h.ran = time.Hour
	old, fresh := instance("old", 0, 1000), instance("new", 0, 1000)
	old.r.RegisteredAt = h.began
	fresh.r.RegisteredAt = h.clock()
	h.set = -2 * time.Hour
	for _, c := range []struct{ passed, least, most float64 }{{0, 0.03, 0.07}, {30, 0.31, 0.36}, {60, 0.48, 0.52}} {
		h.ran = time.Hour + time.Duration(c.passed)*time.Second
		old.r.LoadAt, fresh.r.LoadAt = h.clock(), h.clock()
		if got := share(b, Sessions, candidates(old, fresh)); got < c.least || got > c.most {
			t.Errorf("%v s after it came it gets %.3f of all", c.passed, got)
		}
	}
}

// What a process noted while its clock was ahead holds up nothing in the one that goes on with it.
func TestTimesAheadFromAnotherProcess(t *testing.T) {
	h, b := newHost()
	h.ran = time.Hour
	ahead := written(h.clock().Add(2 * time.Hour))
	old, fresh := instance("old", 0, 1000), instance("new", 0, 1000)
	old.r.RegisteredAt, old.r.LoadAt = h.began, h.clock()
	fresh.r.RegisteredAt, fresh.r.LoadAt = ahead, ahead
	if got := share(b, Sessions, candidates(old, fresh)); got > 0.08 {
		t.Errorf("an instance that is new gets %.3f of all at once", got)
	}
	for range 3 {
		connect(b, candidates(fresh))
	}
	h.ran += 10 * time.Second
	fresh.r.Load, fresh.r.LoadAt = 3, h.clock()
	if got := change(b, "new", candidates(fresh)); got != 0 {
		t.Errorf("beyond the report, which has them, %d sessions are counted", got)
	}
	for range 5 { // nobody asks for it for a while, again and again
		h.ran += time.Minute
		old.r.Load, old.r.LoadAt, fresh.r.LoadAt = 3, h.clock(), h.clock()
		if got := share(b, Sessions, candidates(old, fresh)); got < 0.48 || got > 0.52 {
			t.Errorf("%v after it came it gets %.3f of all", h.ran-time.Hour, got)
		}
	}
}

// A report that another process noted is as old as the clock says by now, not as it said when this process began.
func TestReportsOfAnotherProcessOnceTheClockIsRight(t *testing.T) {
	h, b := newHost()
	h.set = -2 * time.Hour
	for range 3 {
		h.ran += time.Minute
		one, other := instance("one", 20, 100), instance("other", 10, 100)
		one.r.LoadAt, other.r.LoadAt = written(h.clock()), written(h.clock())
		r := b.Order(Ask{Policy: Sessions}, candidates(one, other))
		if got := names(r.Route()); got != "other one" || strings.Contains(r.Policy(), "no report") {
			t.Errorf("%s by %s", got, r.Policy())
		}
		r.Release()
	}
}
