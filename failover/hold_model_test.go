package failover

import (
	"sync"
	"time"
)

// guest is what the machine expects of one held connect.
type guest struct {
	*Place
	n     int // order of arrival
	line  *modelLine
	until time.Time
	retry time.Duration
	tried time.Time // zero: not in vain
	stray bool      // in vain while others were served

	waiting bool // as of the last check
	state   HoldState
	left    bool
	answers int // how often it must have been woken

	mu    sync.Mutex
	wakes int
	seq   int // of its last waking among all
	at    time.Time
}

func (g *guest) woken() (wakes, seq int, at time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.wakes, g.seq, g.at
}

func (g *guest) trying() bool { return !g.waiting && g.state == Go }

// modelLine is one line as it should be.
type modelLine struct {
	queue, service string
	window         int
	flowing        bool
	lastGo         time.Time
	failed         modelTry // zero: none in vain since one was served
	strayed        modelTry // of a stray
}

// modelTry is a try in vain.
type modelTry struct {
	at      time.Time
	retry   time.Duration
	changed bool // the table has, since then
}

// fail is what a line learns from a try in vain.
func (l *modelLine) fail(retry time.Duration) {
	l.window, l.flowing = 1, false
	l.failed = modelTry{at: time.Now(), retry: retry}
}

// failedBy is what a line learns from a try in vain by one of it.
func (l *modelLine) failedBy(g *guest, retry time.Duration) {
	known := g.stray
	g.stray, g.tried = l.flowing && !g.tried.IsZero(), time.Now()
	switch {
	case g.stray && known:
		l.strayed = modelTry{at: g.tried, retry: retry}
	case g.stray && l.window > 1:
		l.window--
		l.strayed = modelTry{at: g.tried, retry: retry}
	default:
		l.fail(retry)
	}
}

// last is the try in vain that says when head may go.
func (l *modelLine) last(head *guest) modelTry {
	if l.flowing && head.stray {
		return l.strayed
	}
	return l.failed
}

// retryOf returns after what time the head of a line tries again whatever the table says; 0 for never.
func (l *modelLine) retryOf(head *guest) time.Duration {
	if head.retry > 0 {
		return head.retry
	}
	return l.last(head).retry
}

// passed reports whether all others go before g.
func (l *modelLine) passed(g *guest) bool {
	if l.flowing {
		return g.stray
	}
	return !g.tried.IsZero()
}

// before reports whether a goes before b.
func (l *modelLine) before(a, b *guest) bool {
	switch pa, pb := l.passed(a), l.passed(b); {
	case pa != pb:
		return pb
	case pa && !a.tried.Equal(b.tried):
		return a.tried.Before(b.tried)
	}
	return a.n < b.n
}
