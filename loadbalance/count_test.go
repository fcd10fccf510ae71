package loadbalance

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestLeft(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		age := rapid.Float64Range(0, 1e14).Draw(t, "age")
		tau := rapid.Float64Range(shortestTau, longestTau).Draw(t, "tau")
		got, want := left(age, tau), math.Exp(-age/tau)
		if math.Abs(got-want) > 1e-6*want+1e-300 {
			t.Errorf("e^(-%g/%g) = %g, want %g", age, tau, got, want)
		}
	})
	for _, age := range []float64{math.Inf(1), math.NaN(), 1e300} {
		if got := left(age, 1); got != 0 {
			t.Errorf("of age %g there is %g left", age, got)
		}
	}
	if got := left(0, 1); got != 1 {
		t.Errorf("of age 0 there is %g left", got)
	}
}

// However redirects and reports follow each other, what fades is what is left of each one by its own age.
func TestFadingIsTheSumOfWhatIsLeft(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const tau = 30e9
		var f fading
		var fresh, all []instant
		now := instant(1e18)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now += instant(rapid.IntRange(0, 20e9).Draw(t, "passed"))
			if rapid.IntRange(0, 9).Draw(t, "report") == 0 {
				f.report(now, 0)
				fresh = nil
				continue
			}
			f.add(now, tau, 0)
			fresh, all = append(fresh, now), append(all, now)
		}
		sum := func(of []instant) (s float64) {
			for _, when := range of {
				s += math.Exp(-when.since(now) / tau)
			}
			return s
		}
		part := f.left(now, tau)
		if got, want := f.fresh*part, sum(fresh); math.Abs(got-want) > 1e-4 {
			t.Errorf("%g since the report, want %g", got, want)
		}
		if got, want := f.all*part, sum(all); math.Abs(got-want) > 1e-4 {
			t.Errorf("%g of all, want %g", got, want)
		}
	})
}

// Redirects of the last moment before a report are not in it.
func TestLatestRedirectsSurviveAReport(t *testing.T) {
	const connect, tau = float64(200 * time.Millisecond), 1e12
	begin := instant(1e18)
	for _, c := range []struct {
		after time.Duration // of ten redirects
		least float64
		most  float64
	}{
		{0, 10, 10}, {100 * time.Millisecond, 9, 10}, {200 * time.Millisecond, 9, 10},
		{300 * time.Millisecond, 4, 6}, {400 * time.Millisecond, 0, 0.1}, {time.Minute, 0, 0},
	} {
		var f fading
		for range 10 {
			f.add(begin, tau, connect)
		}
		if got := f.report(begin+instant(c.after), connect); got < c.least || got > c.most {
			t.Errorf("%g survive a report %v later, want %g to %g", got, c.after, c.least, c.most)
		}
	}
}

func TestRecall(t *testing.T) {
	var c count
	c.redirect(1e18, 1e10, 1e8)
	c.recall()
	c.recall()
	if c.redirected != 0 || c.faded.fresh != 0 || c.faded.all != 0 || c.faded.latest != 0 {
		t.Errorf("after recalling one redirect twice: %+v", c)
	}
}

// A steady stream of sessions of one length is recognised by reports and connects alone.
func TestTauByLittlesLaw(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		length := rapid.Float64Range(0.5, 1000).Draw(t, "seconds")
		rate := rapid.Float64Range(0.5, 50).Draw(t, "connects a second")
		var f flow
		for i := range 20 {
			f.report(instant(1e18+float64(i)*60e9), rate*length, rate*60, i == 0)
		}
		if got := tau(f.sessions, f.connects, unknownTau) / 1e9; math.Abs(got-length) > length*0.01 {
			t.Errorf("%g s, want %g s", got, length)
		}
	})
}

func TestTauAtTheEnds(t *testing.T) {
	for _, c := range []struct{ sessions, connects, want float64 }{
		{0, 0, 7}, {1e9, 0, longestTau}, {0, 5, shortestTau}, {1e30, 1, longestTau}, {60e9, 2, 30e9},
	} {
		if got := tau(c.sessions, c.connects, 7); got != c.want {
			t.Errorf("tau(%g, %g) = %g, want %g", c.sessions, c.connects, got, c.want)
		}
	}
}

// The time between two registrations of an instance, say over a weekend, is not the length of its sessions.
func TestRestartIsNoFlow(t *testing.T) {
	var f flow
	f.report(1e18, 50, 0, true)
	f.report(2e18, 50, 3, true)
	if f.sessions != 0 || f.connects != 0 {
		t.Errorf("across a restart: %+v", f)
	}
}
