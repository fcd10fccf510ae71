package broker

import (
	"context"
	"time"

	"servicebroker/console"
)

// cutTime is for a predecessor to end once it was told to cut what it has.
const cutTime = 5 * time.Second

// endPredecessor tells a predecessor that still drains to end.
func (b *Broker) endPredecessor(wish console.ShutdownRequest) {
	p := b.process.Before
	if p == nil || p.hasEnded() {
		return
	}
	if wish.Generation == 0 { // this one ends as well
		wish = p.within(wish, b.settings().config.DrainTimeout, time.Now())
	}
	wish.Generation = 0 // whoever reads it is meant
	if limit, set := wish.Limit(); set {
		until := time.Now().Add(limit)
		p.allowed.Store(&until)
	}
	ctx, cancel := context.WithTimeout(context.Background(), endTime)
	defer cancel()
	if err := p.channel.Send(ctx, recordShutdown, wish); err != nil && !p.hasEnded() {
		b.log.Warn("the generation before cannot be told to end", "pid", p.hello.PID, "cause", err.Error())
	}
}

// within is a wish without a time of its own as a predecessor should read it: what it keeps has no longer than what began
// later, and no longer than it had anyway.
func (p *Predecessor) within(wish console.ShutdownRequest, limit time.Duration, now time.Time) console.ShutdownRequest {
	if _, set := wish.Limit(); set || limit == 0 {
		return wish
	}
	if l := p.left.Load(); l != nil && !l.Until.IsZero() && l.Until.Before(now.Add(limit)) {
		return wish
	}
	seconds := limit.Seconds()
	return console.ShutdownRequest{Timeout: &seconds}
}

// awaitPredecessor returns once the predecessor has ended, which was told to. Whatever is cut here is cut there; one that does
// not even end then is left.
func (b *Broker) awaitPredecessor(abort context.Context) {
	p := b.process.Before
	if p == nil || p.hasEnded() {
		return
	}
	began := time.Now()
	b.log.Info("waiting for the generation before to end its sessions", "left", p.leftover(began))
	for p.waitFor(abort, b.asked, p.patience(began), b.endPredecessor) {
		if p.hasEnded() {
			return
		}
		if bound := p.patience(began); !bound.IsZero() && !bound.After(time.Now()) {
			break
		}
	}
	b.cutPredecessor()
}

// waitFor waits for a predecessor until a time, unless that is zero, or for a wish, of which it tells; false if all is to be cut.
func (p *Predecessor) waitFor(abort context.Context, wishes <-chan console.ShutdownRequest, until time.Time, wished func(console.ShutdownRequest)) bool {
	var overdue <-chan time.Time
	if !until.IsZero() {
		timer := time.NewTimer(time.Until(until))
		defer timer.Stop()
		overdue = timer.C
	}
	select {
	case <-p.ended:
	case <-overdue:
	case r := <-wishes:
		wished(r)
		limit, set := r.Limit()
		return !set || limit > 0
	case <-abort.Done():
		return false
	}
	return true
}

// patience is until when a predecessor, for which somebody has waited since a time, may take by what it told last; zero: there
// is no bound.
func (p *Predecessor) patience(since time.Time) time.Time {
	l, until := p.left.Load(), p.allowed.Load() // which it may not have heard
	switch {
	case until == nil && l == nil:
		return since.Add(moveTime)
	case until == nil && l.Until.IsZero():
		return time.Time{}
	case until == nil:
		until = &l.Until
	}
	if until.Before(since) {
		until = &since
	}
	return until.Add(cutTime)
}

// cutPredecessor lets a predecessor cut what it has, and waits a little for that.
func (b *Broker) cutPredecessor() {
	p := b.process.Before
	b.endPredecessor(console.ShutdownRequest{Abort: true})
	wait := time.NewTimer(cutTime)
	defer wait.Stop()
	select {
	case <-p.ended:
	case <-wait.C:
		b.log.Error("the generation before does not end and is left alone", "generation", p.hello.Generation, "pid", p.hello.PID, "remedy", "kill it by its process number")
	}
}
