package failover

import (
	"slices"
	"time"
)

const (
	// trialPause keeps a connect that tried in vain although the table promised otherwise from trying all the time.
	trialPause = 100 * time.Millisecond
	// trialPatience is how long a line waits for the outcome of those trying before it lets one more go.
	trialPatience = time.Second
	// retryPart is the part of Retry that must have passed before a change of the table brings the next try forward.
	retryPart = 10
)

// line is who waits for the same thing, in order of arrival.
//
// Those let go and not yet back count against window, which begins at 1: a scout. Each success widens it by 1, so that it
// doubles in the time of a connect; the first failure makes it 1 again. So a service that is not really back costs its line one
// try, not all of them.
//
// Who tried in vain lets all others go first, so that one that is refused for what it is itself keeps nobody else from finding
// out that the service is there. Once one is served, those passed over are back at their places. Who then fails again is a stray:
// as long as others are served it says nothing about the service, and it tries when nobody else waits.
type line struct {
	queue   string
	waiting ranked[*Place, byArrival]
	passed  ranked[*Place, byTurn] // those that tried in vain and wait behind all of waiting
	trying  ranked[*Place, byArrival]

	window  int     // how many may be trying at once
	flowing bool    // the latest outcome that counts was a success
	extra   int     // who joined while flowing: as many go beside the rate
	lastGo  instant // when one was last let go

	failed  vainTry // the latest; at 0 if one was served since
	strayed vainTry // the latest of a stray

	fit      bool // the head may go
	queued   bool // it is in the lines of a heldService
	unjudged bool // it is in Holder.unjudged
	dueAt    instant
	position int32 // in Holder.due
}

// vainTry is one that came to nothing.
type vainTry struct {
	at      instant
	retry   time.Duration // as in its HoldRequest or Again
	changes uint64        // Holder.changes then
}

// head returns who is next to try, nil if nobody waits.
func (l *line) head() *Place {
	p := l.waiting.first()
	for ; p != nil && p.tried != 0 && !l.flowing; p = l.waiting.first() { // rejoined, and then the service failed again
		l.waiting.remove(p)
		l.passed.push(p)
	}
	if p != nil {
		return p
	}
	return l.passed.first()
}

func (l *line) empty() bool { return l.waiting.len()+l.passed.len()+l.trying.len() == 0 }

// abandoned reports whether nobody is left but strays.
func (l *line) abandoned() bool {
	known := func(p *Place) bool { return !p.stray }
	return l.flowing && l.waiting.len() == 0 && !slices.ContainsFunc(l.trying.items, known)
}

// succeed takes in that one of the line was served.
func (l *line) succeed() {
	if !l.flowing {
		l.rejoin()
	}
	l.flowing, l.failed = true, vainTry{}
	l.window++
}

// rejoin puts those passed over back at their places, save the strays.
func (l *line) rejoin() {
	for _, p := range slices.Clone(l.passed.items) {
		if !p.stray {
			l.passed.remove(p)
			l.waiting.push(p)
		}
	}
}

// fail takes in that one of the line tried in vain.
func (l *line) fail(f vainTry) {
	l.flowing, l.window, l.extra = false, 1, 0
	l.failed = f
}

// failedBy takes in that p tried in vain, and judges which of the two it is that fails. A stray that is found out narrows the
// window by the one that a success has widened it, so that there are no more tries in vain than successes allow.
func (l *line) failedBy(p *Place, f vainTry) {
	known := p.stray
	p.stray, p.tried = l.flowing && p.tried != 0, f.at
	switch {
	case p.stray && known:
		l.strayed = f
	case p.stray && l.window > 1:
		l.window--
		l.strayed = f
	default:
		l.fail(f)
	}
}

// verdict says when the head of a line may go.
type verdict struct {
	now bool
	ask bool    // it may now if its Ready says so
	at  instant // else to be judged again then; 0 if only a change could tell
}

// judge decides about the head of l. It does not change anything.
//
// What one of the line found out counts for whoever is its head, so that a line whose heads go away one after the
// other does not try more often than one whose head stays.
func (l *line) judge(now instant, changes uint64) verdict {
	p, last := l.head(), l.failed
	if p == nil {
		return verdict{}
	}
	if l.flowing && l.waiting.len() == 0 {
		last = l.strayed
	}
	opens, pause, retry := instant(0), trialPause, last.retry
	if l.trying.len() >= l.window {
		opens = l.lastGo + trialPatience
	}
	if p.retry > 0 {
		retry = p.retry
	}
	if retry > 0 {
		pause = retry / retryPart
	}
	if last.at != 0 {
		opens = max(opens, last.at+pause)
	}
	switch due := last.at + retry; {
	case now < opens:
		return verdict{at: opens}
	case retry == 0:
		return verdict{ask: true}
	case last.at == 0, now >= due: // its own dial failed, but one was served since
		return verdict{now: true}
	default:
		return verdict{ask: changes != last.changes, at: due}
	}
}

type byArrival struct{}

func (byArrival) before(a, b *Place) bool {
	return a.since < b.since || a.since == b.since && a.arrival < b.arrival
}
func (byArrival) position(p *Place) *int32 { return &p.inLine }

// byTurn has those first whose last try is longest ago.
type byTurn struct{}

func (byTurn) before(a, b *Place) bool {
	return a.tried < b.tried || a.tried == b.tried && byArrival{}.before(a, b)
}
func (byTurn) position(p *Place) *int32 { return &p.inLine }

type byDeadline struct{}

func (byDeadline) before(a, b *Place) bool {
	return a.until < b.until || a.until == b.until && a.arrival < b.arrival
}
func (byDeadline) position(p *Place) *int32 { return &p.inDeadlines }

type byDue struct{}

func (byDue) before(a, b *line) bool  { return a.dueAt < b.dueAt }
func (byDue) position(l *line) *int32 { return &l.position }

// bucket grants so many a second, and up to 20 ms' worth at once so that a late timer costs nothing.
type bucket struct {
	left float64
	at   instant
}

// fill adds what has become due and returns how long until the next one is granted, 0 for now.
func (b *bucket) fill(now instant, rate float64) time.Duration {
	if rate < 0 {
		b.left, b.at = 1, now
		return 0
	}
	most := max(1, rate/50)
	if b.at == 0 {
		b.left = most
	} else {
		b.left = min(most, b.left+rate*(now-b.at).Seconds())
	}
	if b.at = now; b.left >= 1 {
		return 0
	}
	wait := (1 - b.left) / rate * float64(time.Second)
	return time.Duration(min(wait, float64(time.Hour))) + 1
}
