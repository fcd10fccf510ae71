package loadbalance

import (
	"math"
	"time"
)

// instant is a time in nanoseconds since 1970, by the clock as it was when the process began; it is what decisions reckon with. 0 is
// no time.
type instant int64

// origin is where instants are reckoned from: by the monotonic clock, so that they follow each other whatever the system's clock is
// set to.
var origin = time.Now()

// at returns the instant of what the Balancer's clock shows.
func at(t time.Time) instant { return instant(origin.UnixNano()) + instant(t.Sub(origin)) }

// since returns the nanoseconds from i to now, none if i lies ahead.
func (i instant) since(now instant) float64 { return max(float64(now-i), 0) }

// count is what this broker did to an instance, to one service there, or to one handler there.
type count struct {
	users int // seats that point here

	pending int // connects under way; no report can contain them yet
	open    int // relayed sessions that last
	had     int // how many of those the report in force contains

	// Since the report in force:
	relayed    int // relayed sessions begun less those ended: below zero when older ones ended
	began      int // relayed sessions begun
	redirected int // clients sent there

	faded fading
	flow  flow // what was reported, and what all brokers must have given out
	seen  flow // the same of the sessions that this broker relays

	recoveredAt instant // when it began to take connects again, as told by Balancer.Note
}

// handed is how many connects were given out since the report, whatever became of them.
func (c *count) handed() int { return c.pending + c.began + c.redirected }

// change is how many sessions more there are since the report, as far as this broker saw.
func (c *count) change() int { return c.pending + c.relayed + c.redirected }

// idle reports whether nothing is lost if c is forgotten.
func (c *count) idle() bool { return c.users == 0 && c.pending == 0 && c.open == 0 }

// report begins anew: what was counted since the report before is in the one of time when, which tells of so many
// sessions, or came to nothing.
func (c *count) report(when instant, reported float64, terms reportTerms) {
	c.flow.report(when, reported, float64(c.began+c.redirected)*terms.brokers, terms.restarted)
	c.seen.report(when, float64(c.open), float64(c.began), false)
	c.relayed, c.began, c.had = 0, 0, min(c.open, int(reported))
	c.redirected = int(c.faded.report(when, terms.connectTime) + 0.5)
}

// reportTerms are what a report is taken in by.
type reportTerms struct {
	brokers     float64
	connectTime float64 // nanoseconds
	restarted   bool    // it is the first of another registration than the one before
}

// redirect counts a client that was sent there, and fades what was counted earlier. tau is the mean length of a
// session in nanoseconds.
func (c *count) redirect(now instant, tau, connectTime float64) {
	c.redirected++
	c.faded.add(now, tau, connectTime)
}

// recall takes back the latest redirect: it did not come about.
func (c *count) recall() {
	c.redirected = max(c.redirected-1, 0)
	c.faded.recall()
}

// fading counts redirects whose sessions nobody sees end: each counts for less as time goes by, e^(-age/tau), which
// is the chance that its session still lasts if lengths are exponential. Both sums are as of one time, so that they
// need one exponential to bring them up to date.
type fading struct {
	asOf  instant
	fresh float64 // redirects since the report
	all   float64 // all redirects

	// The latest redirects, in two buckets of one connect time each: a report cannot contain them.
	bucketAt     instant
	latest, last float64
}

func (f *fading) add(now instant, tau, connectTime float64) {
	left := f.left(now, tau)
	f.asOf, f.fresh, f.all = now, f.fresh*left+1, f.all*left+1
	switch age := f.bucketAt.since(now); {
	case age < connectTime:
	case age < 2*connectTime:
		f.bucketAt, f.last, f.latest = f.bucketAt+instant(connectTime), f.latest, 0
	default:
		f.bucketAt, f.last, f.latest = now, 0, 0
	}
	f.latest++
}

// left is the part of the sums that is left at time now.
func (f *fading) left(now instant, tau float64) float64 { return left(f.asOf.since(now), tau) }

func (f *fading) recall() {
	f.fresh, f.all, f.latest = max(f.fresh-1, 0), max(f.all-1, 0), max(f.latest-1, 0)
}

// report forgets the redirects that the report of that time contains, and returns how many it does not.
func (f *fading) report(when instant, connectTime float64) float64 {
	survive := 0.0
	if connectTime > 0 {
		age := f.bucketAt.since(when) / connectTime
		survive = f.latest*clamp(2-age, 0, 1) + f.last*clamp(1-age, 0, 1)
	}
	f.fresh = min(survive, f.fresh)
	return f.fresh
}

// left is e^(-age/tau), to seven digits: a decision takes it of each candidate, and this is thrice as fast as
// math.Exp. It is 2^-n, put together as the floating point number that it is, times 2^-f by a polynomial.
func left(age, tau float64) float64 {
	x := age / tau * math.Log2E
	if !(x < 1000) {
		return 0
	}
	n := int(x)
	f := x - float64(n)
	fraction := 1 + f*(-0.6931431346411127+f*(0.2401789562776269+f*(-0.05529811967633108+f*(0.009209180357193507-f*0.0009468770291075401))))
	return math.Float64frombits(uint64(1023-n)<<52) * fraction
}

func clamp(v, low, high float64) float64 { return min(max(v, low), high) }

// flow is what Little's law needs: sessions reported, added up over time, and connects given out in the same time.
// Their quotient is the mean length of a session. What is longer ago than flowMemory counts for little.
type flow struct {
	reportedAt instant
	reported   float64
	sessions   float64 // sessions × nanoseconds
	connects   float64
}

const flowMemory = float64(10 * time.Minute)

func (f *flow) report(when instant, reported, connects float64, restarted bool) {
	if passed := f.reportedAt.since(when); f.reportedAt != 0 && passed > 0 && !restarted {
		left := left(passed, flowMemory)
		f.sessions = f.sessions*left + (f.reported+reported)/2*passed
		f.connects = f.connects*left + connects
	}
	f.reportedAt, f.reported = when, reported
}

func (f *flow) add(o *flow) {
	f.sessions += o.sessions
	f.connects += o.connects
}

// Bounds of the mean length of a session, and what it is taken for as long as nothing is known.
const (
	shortestTau = float64(200 * time.Millisecond)
	longestTau  = float64(time.Hour)
	unknownTau  = float64(time.Minute)
)

// tau is the mean length of a session in nanoseconds, by what several flows together show; otherwise where they show
// nothing.
func tau(sessions, connects, otherwise float64) float64 {
	switch {
	case connects > 0:
		return clamp(sessions/connects, shortestTau, longestTau)
	case sessions > 0:
		return longestTau
	}
	return otherwise
}
