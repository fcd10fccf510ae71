package engine

import (
	"io"
	"net"
	"time"
)

// wake is a deadline that interrupts whoever reads or writes.
var wake = time.Unix(1, 0)

// A write that may be stuck is interrupted twice, since what it got through meanwhile shows
// only the second time: the system wakes no writer for a little room.
const (
	nudges    = 2
	nudgeTime = 10 * time.Millisecond
)

// wind sets the clock to the next limit that may be over; callers hold mu. Limits are
// looked after by one timer a session, not by deadlines of reads: so they hold while both
// sides only write too, and cost nothing while bytes move.
func (l *Link) wind() {
	deadline, _, why := l.limit()
	if why == nil || !l.running {
		return
	}
	left := max(time.Until(deadline), 0)
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
	deadline, d, why := l.limit()
	if why == nil || time.Until(deadline) > 0 {
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
	_ = source.SetReadDeadline(wake)
}

// nudge interrupts those that write, so that they tell whether anything of it got through,
// unless they have been asked. Not under TLS: a write that was interrupted cannot go on there.
func (l *Link) nudge() (asked bool) {
	if l.nudged == nudges || l.carried != nil { // a loop notices progress by itself
		return false
	}
	for d := range l.flows {
		_, destination := l.ends(Direction(d))
		if _, plain := destination.(filer); plain && l.flows[d].writing.Load() {
			_ = destination.SetWriteDeadline(wake)
			asked = true
		}
	}
	l.nudged++
	return asked
}

// limit tells which limit is the next to be over, and when: ErrExpired, ErrIdle, or io.EOF
// for the direction that is open by itself; nil for none.
func (l *Link) limit() (deadline time.Time, d Direction, why error) {
	earlier := func(t time.Time, cause error) {
		if why == nil || t.Before(deadline) {
			deadline, why = t, cause
		}
	}
	last := l.lastActivity()
	for i := range l.flows {
		if l.flows[i].paced.Load() { // our own doing is no silence
			last = time.Now()
		}
	}
	if l.SessionTimeout > 0 {
		earlier(unixTime(l.began.Load()).Add(l.SessionTimeout), ErrExpired)
	}
	if l.IdleTimeout > 0 {
		earlier(last.Add(l.IdleTimeout), ErrIdle)
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
		since := last
		if end := other.endTime(); end.After(since) {
			since = end
		}
		d = Direction(i)
		earlier(since.Add(timeout), io.EOF)
	}
	return deadline, d, why
}

// interrupt wakes everybody who reads or writes; callers hold mu.
func (l *Link) interrupt() {
	if l.carried != nil {
		l.carried.interrupt()
		return
	}
	for _, c := range []net.Conn{l.Client, l.Server} {
		_ = c.SetDeadline(wake)
	}
}
