package engine

import (
	"io"
	"net"
	"time"
)

// past is a deadline that interrupts whoever reads or writes.
var past = time.Unix(1, 0)

// birth is where the times of sessions count from, by a clock that nobody sets: setting the system's moves no limit.
var birth = time.Now()

// steadyNow is now, nanoseconds since birth.
func steadyNow() int64 { return int64(time.Since(birth)) }

// steady turns a time of day, also another process's, into nanoseconds since birth.
func steady(t time.Time) int64 { return steadyNow() + int64(time.Until(t)) }

// timeOfDay is the inverse of steady, for people and other processes; zero for 0, which is never.
func timeOfDay(steady int64) time.Time {
	if steady == 0 {
		return time.Time{}
	}
	return time.Now().Add(time.Duration(steady - steadyNow()))
}

// A write that may be stuck is tried again twice, since what got through meanwhile shows
// only the second time: the system wakes no writer for a little room.
const (
	nudges    = 2
	nudgeTime = 10 * time.Millisecond
)

// wind sets the clock to the next limit that may be over; callers hold mu. Limits are
// looked after by one timer a session, not by deadlines of reads: so they hold while both
// sides only write too, and cost nothing while bytes move.
func (l *Link) wind() {
	left, _, why := l.limit()
	if why == nil || !l.running {
		return
	}
	if l.clock == nil {
		l.clock = time.AfterFunc(left, l.strike)
		return
	}
	l.clock.Reset(left)
}

// strike ends the session, or the half that is left of it, if a limit is over.
func (l *Link) strike() {
	l.mu.Lock()
	if !l.running || l.freeze.Load() {
		l.mu.Unlock()
		return
	}
	left, d, why := l.limit()
	if why == nil || left > 0 {
		l.nudged = 0
		l.wind()
		l.mu.Unlock()
		return
	}
	if why != ErrExpired && l.nudge() {
		l.clock.Reset(nudgeTime)
		l.mu.Unlock()
		return
	}
	if why == io.EOF {
		if f := &l.flows[d]; !f.writing.Load() {
			l.endSilent(d)
			l.clock.Reset(time.Second) // it may be about to write what it has read
			l.mu.Unlock()
			return
		}
		why = ErrHalfOpen
	}
	l.mu.Unlock()
	l.Close(why)
}

// endSilent ends a half that has been open by itself for too long.
func (l *Link) endSilent(d Direction) {
	if l.carried != nil {
		l.carried.endHalf(d)
		return
	}
	l.flows[d].silent.Store(true)
	source, _ := l.ends(d)
	_ = source.SetReadDeadline(past)
}

// nudge has those that write try again, so that they tell whether anything of it got through,
// unless they have been asked. Not under TLS: a write that was interrupted cannot go on there.
func (l *Link) nudge() (asked bool) {
	if l.nudged == nudges {
		return false
	}
	for d := range l.flows {
		if !l.flows[d].writing.Load() {
			continue
		}
		if l.carried != nil {
			l.carried.retry()
			asked = true
			continue
		}
		_, destination := l.ends(Direction(d))
		if _, plain := destination.(filer); plain {
			_ = destination.SetWriteDeadline(past)
			asked = true
		}
	}
	l.nudged++
	return asked
}

// limit tells which limit is the next to be over, and in how long: ErrExpired, ErrIdle, or io.EOF
// for the direction that is open by itself; nil for none.
func (l *Link) limit() (left time.Duration, d Direction, why error) {
	now := steadyNow()
	earlier := func(since int64, timeout time.Duration, cause error) {
		if in := time.Duration(since-now) + timeout; why == nil || in < left {
			left, why = max(in, 0), cause
		}
	}
	last := l.lastActivity()
	for i := range l.flows {
		if l.flows[i].paced.Load() { // our own doing is no silence
			last = now
		}
	}
	if l.SessionTimeout > 0 {
		earlier(l.began.Load(), l.SessionTimeout, ErrExpired)
	}
	if l.IdleTimeout > 0 {
		earlier(last, l.IdleTimeout, ErrIdle)
	}
	for i := range l.flows {
		other := &l.flows[1-i]
		if !other.ended() || l.flows[i].ended() {
			continue
		}
		timeout := l.HalfOpenTimeout
		if timeout == 0 {
			timeout = DefaultHalfOpenTimeout
		}
		d = Direction(i)
		earlier(max(last, other.end.Load()), timeout, io.EOF)
	}
	return left, d, why
}

// interrupt wakes everybody who reads or writes; callers hold mu.
func (l *Link) interrupt() {
	if l.carried != nil {
		l.carried.interrupt()
		return
	}
	for _, c := range []net.Conn{l.Client, l.Server} {
		_ = c.SetDeadline(past)
	}
}
