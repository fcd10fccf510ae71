package loadbalance

import (
	"fmt"
	"math"
	"testing"
	"time"

	"servicebroker/servicetable"
)

// rig is a few instances whose sessions are really there, in virtual time: they report, and sessions end.
type rig struct {
	now       time.Time
	balancer  *Balancer
	ask       Ask
	instances []built
	sessions  [][]time.Time // when those of each instance end
	open      [][]*Reservation
	got       []int // connects each was given
}

// newRig returns a rig of idle instances with such maxima, reported just now.
func newRig(ask Ask, maxima ...uint32) *rig {
	w := &rig{now: reported(), ask: ask}
	w.balancer = &Balancer{Random: seeded(11), Now: func() time.Time { return w.now }}
	for i, m := range maxima {
		w.instances = append(w.instances, instance(fmt.Sprintf("i%d", i), 0, m).goodness(0, 1))
	}
	w.sessions, w.open = make([][]time.Time, len(maxima)), make([][]*Reservation, len(maxima))
	w.got = make([]int, len(maxima))
	return w
}

func (w *rig) candidates() []servicetable.Candidate { return candidates(w.instances...) }

// connect lets one client connect, for so long.
func (w *rig) connect(length time.Duration) int {
	r := w.balancer.Order(w.ask, w.candidates())
	first := r.Route()[0]
	r.Settle(first)
	var i int
	fmt.Sscanf(first.Registration.Instance, "i%d", &i)
	w.got[i]++
	w.sessions[i] = append(w.sessions[i], w.now.Add(length))
	w.open[i] = append(w.open[i], r)
	return i
}

// pass lets time go by, and sessions end: all are of one length, so that those begun first end first.
func (w *rig) pass(d time.Duration) {
	w.now = w.now.Add(d)
	for i := range w.sessions {
		for len(w.sessions[i]) > 0 && !w.sessions[i][0].After(w.now) {
			if !w.ask.Redirect {
				w.open[i][0].Release()
			}
			w.sessions[i], w.open[i] = w.sessions[i][1:], w.open[i][1:]
		}
	}
}

func (w *rig) report(i int) {
	n := uint32(len(w.sessions[i]))
	w.instances[i].r.Load, w.instances[i].r.LoadAt = n, w.now
	w.instances[i].s.Goodness = n
}

// 10,000 connects on two instances, with reports every 60 s: each gets the share that the policy promises, in every part
// of the way.
func TestShares(t *testing.T) {
	for _, c := range []struct {
		policy  Policy
		maxima  []uint32
		promise float64 // share of the second
		within  float64
	}{
		{Adaptive, []uint32{1000, 1000}, 0.5, 0.01},
		{Adaptive, []uint32{1000, 3000}, 0.75, 0.01},
		{Sessions, []uint32{1000, 1000}, 0.5, 0.01},
		{Sessions, []uint32{1000, 3000}, 0.75, 0.01},
		{RoundRobin, []uint32{1000, 1000}, 0.5, 0.001},
		{RoundRobin, []uint32{1000, 3000}, 0.75, 0.001},
		{Random, []uint32{1000, 1000}, 0.5, 0.02},
		{Random, []uint32{1000, 3000}, 0.75, 0.02},
		// By sessions alone, since with CLB_GOAL=LONG goodness is a number of sessions; never minus what ended, so that it
		// leans to whoever reported last.
		{Goodness, []uint32{1000, 1000}, 0.5, 0.05},
		{Goodness, []uint32{1000, 3000}, 0.5, 0.05},
	} {
		for _, redirect := range []bool{true, false} {
			within := c.within
			if c.policy == Sessions && redirect {
				within = 0.07 // what was sent and has ended counts until the next report
			}
			w := newRig(Ask{Policy: c.policy, Redirect: redirect}, c.maxima...)
			const connects = 10_000
			for n := range connects { // five a second
				if w.pass(200 * time.Millisecond); n%300 == 0 {
					w.report(0)
				}
				if n%300 == 150 {
					w.report(1)
				}
				w.connect(40 * time.Second)
			}
			if share := float64(w.got[1]) / connects; math.Abs(share-c.promise) > within {
				t.Errorf("%v of %v, redirect %v: share %.3f, want %.3f ± %.3f", c.policy, c.maxima, redirect, share, c.promise, within)
			}
		}
	}
}

// An instance that reports is not where everybody goes from then on: of the next connects it gets a few more than its share
// at most.
func TestNoHerdAfterAReport(t *testing.T) {
	for _, redirect := range []bool{true, false} {
		w := newRig(Ask{Redirect: redirect}, 1000, 1000)
		worst := 0
		for n := range 12_000 {
			if w.pass(200 * time.Millisecond); n%600 == 0 {
				w.report(0)
			}
			if n%600 != 300 {
				w.connect(20 * time.Second)
				continue
			}
			w.report(1)
			before := w.got[1]
			for range 30 {
				w.connect(20 * time.Second)
				w.pass(200 * time.Millisecond)
			}
			if n > 3000 {
				worst = max(worst, w.got[1]-before)
			}
		}
		if worst > 22 {
			t.Errorf("redirect %v: %d of 30 connects after its report went to an instance of two", redirect, worst)
		}
	}
}

// A storm of connects between two reports spreads by capacity, even if nobody reports.
func TestStormSpreads(t *testing.T) {
	for _, policy := range []Policy{Adaptive, Sessions, RoundRobin, Goodness} {
		for _, redirect := range []bool{true, false} {
			w := newRig(Ask{Policy: policy, Redirect: redirect}, 10_000, 10_000, 10_000, 10_000)
			for range 10_000 {
				w.connect(time.Hour)
				w.pass(100 * time.Microsecond)
			}
			for i, n := range w.got {
				if n < 2450 || n > 2550 {
					t.Errorf("%v, redirect %v: instance %d got %d of 10,000, want a quarter", policy, redirect, i, n)
				}
			}
		}
	}
}

// Without any report, redirects go round by capacity, and relayed sessions where the fewest of our own are.
func TestWithoutReports(t *testing.T) {
	for _, redirect := range []bool{true, false} {
		w := newRig(Ask{Redirect: redirect}, 100, 300)
		w.pass(time.Hour)
		want := Adaptive.String() + ": no report is young enough, so least sessions of our own by capacity"
		if redirect {
			want = Adaptive.String() + ": no report is young enough, so round robin by capacity"
		}
		r := w.balancer.Order(w.ask, w.candidates())
		if got := r.Policy(); got != want {
			t.Errorf("policy %q, want %q", got, want)
		}
		r.Release()
		for range 1000 {
			w.connect(time.Hour)
			w.pass(time.Second)
		}
		if n := w.got[1]; n < 745 || n > 755 {
			t.Errorf("redirect %v: %d of 1000, want three quarters", redirect, n)
		}
	}
	w := newRig(Ask{}, 100, 100)
	w.pass(time.Hour)
	for range 100 {
		w.connect(time.Hour)
	}
	for _, r := range w.open[0][:40] {
		r.Release()
	}
	before := w.got[0]
	for range 40 {
		w.connect(time.Hour)
	}
	if got := w.got[0] - before; got != 40 {
		t.Errorf("%d of 40 connects went where 40 sessions had ended", got)
	}
}

// One instance that stopped reporting is neither shunned nor overrun.
func TestOneWithoutReports(t *testing.T) {
	for _, redirect := range []bool{true, false} {
		w := newRig(Ask{Redirect: redirect}, 1000, 1000)
		for n := range 10_000 {
			if w.pass(200 * time.Millisecond); n%300 == 0 {
				w.report(0)
			}
			w.connect(40 * time.Second)
		}
		if n := w.got[1]; n < 4300 || n > 5700 {
			t.Errorf("redirect %v: the silent one of two got %d of 10,000", redirect, n)
		}
	}
}
