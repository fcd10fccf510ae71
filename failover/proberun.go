package failover

import (
	"container/heap"
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"servicebroker/servicetable"
)

// Run probes until ctx ends, and returns when all its probes have. The marks it set are then taken off.
func (p *Prober) Run(ctx context.Context) {
	wake := p.begin()
	var probes sync.WaitGroup
	timer := time.NewTimer(0)
	defer timer.Stop()
	var known *servicetable.Snapshot
	var superseded <-chan struct{}
	var again time.Time // when the table may be read again
	for ctx.Err() == nil {
		now := time.Now()
		if s := p.Snapshot(); s != known && !now.Before(again) {
			p.sync(s, now)
			known, superseded = s, s.Superseded()
			again = time.Now().Add(max(syncSpacing, 20*time.Since(now)))
		} else if s != known {
			superseded = nil
		}
		p.settle()
		due := p.launch(ctx, &probes)
		if superseded == nil {
			due = min(due, time.Until(again))
		}
		timer.Reset(due)
		select {
		case <-ctx.Done():
		case <-wake:
		case <-superseded:
		case <-timer.C:
		}
	}
	probes.Wait()
	p.finish()
}

const (
	// syncSpacing is the least time between two readings of the table: load reports make many versions of it.
	syncSpacing = 20 * time.Millisecond
	// probeSpacing is the least time between two probes of one address.
	probeSpacing = 100 * time.Millisecond
	// spreadStep is how far apart the first probes of addresses that appear together are.
	spreadStep = 2 * time.Millisecond
)

func (p *Prober) begin() (wake <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state.running = true
	p.state.prepare()
	return p.state.wake
}

func (p *Prober) finish() {
	p.mu.Lock()
	var do []action
	for _, h := range p.state.hands {
		if h.ejected {
			do = append(do, action{kind: actUnmark, hand: h})
		}
	}
	for _, t := range p.state.targets {
		t.finished()
	}
	p.state = probeState{}
	p.mu.Unlock()
	p.perform(do)
}

// launch starts the probes that are due, as far as there are workers, and returns how long it is until the next one is.
func (p *Prober) launch(ctx context.Context, probes *sync.WaitGroup) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	s := &p.state
	for len(s.queue) > 0 {
		t := s.queue[0]
		if now.Before(t.due) {
			return t.due.Sub(now)
		}
		if s.busy >= 2*p.workers() || s.busy >= p.workers() && !t.awaited() {
			break // one that returns wakes us
		}
		heap.Pop(&s.queue)
		if t.stale != nil && now.Sub(t.since) >= p.staleTimeout() {
			p.drop(t, true, fmt.Sprintf("it has not registered again within %v", p.staleTimeout()))
			continue
		}
		if t.candidate.Handler == nil {
			p.drop(t, false, "it registered no address to ask at")
			continue
		}
		t.running, t.begun = true, now
		s.busy++
		candidate, seq, deep := t.candidate, t.seq, t.stale != nil
		probes.Go(func() { p.probe(ctx, t, candidate, seq, deep) })
	}
	if s.unsettled {
		return 0
	}
	return time.Hour
}

// probe is the goroutine of one probe.
func (p *Prober) probe(ctx context.Context, t *target, c servicetable.Candidate, seq uint64, deep bool) {
	begun := time.Now()
	limited, cancel := context.WithTimeoutCause(ctx, p.timeout(), noAnswer(p.timeout()))
	defer cancel()
	err := p.Probe(limited, c, deep)
	if err != nil && limited.Err() != nil {
		err = because(context.Cause(limited), err)
	}
	if p.Probed != nil {
		p.Probed(c, deep, time.Since(begun), err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state.busy--
	t.running = false
	if ctx.Err() == nil {
		p.take(t, seq, err)
	}
	t.finished()
	p.poke()
}

// take takes in the outcome of a probe that began when seq was all that was known of t.
func (p *Prober) take(t *target, seq uint64, err error) {
	now := time.Now()
	if p.state.targets[t.key] != t {
		return // it left the table meanwhile
	}
	answered := isAnswer(err)
	if t.seq != seq && !p.mistake.believeOldProbes {
		// What was learnt meanwhile is newer than the question. Where they differ, the question is asked again.
		if p.schedule(t, now); t.down == answered {
			p.hurry(t, now)
		}
		return
	}
	switch {
	case t.stale != nil && err == nil:
		t.sawAlive(now)
	case t.stale != nil:
		t.failedAt, t.err, t.down, t.downAt = now, err, true, now
		if isOurs(err) { // as a host that starts may be without a network for a while: nothing is known from that
			t.cause = "probe: " + err.Error()
			p.schedule(t, now)
			return
		}
		p.drop(t, !isBroken(err), "probe: "+err.Error()) // sessions are ended only where nothing answers
		return
	case answered:
		p.sawAlive(t, now)
	case lackedHere(err): // it was not asked
		t.failedAt, t.err = now, err
		p.schedule(t, now)
		return
	default:
		t.failedAt, t.err = now, err
		t.failures++
		cause := "probe: " + err.Error()
		if t.why != "" {
			cause += " (" + t.why + ")"
		}
		p.sawDead(t, now, cause)
	}
	t.why = ""
	p.schedule(t, now)
}

// schedule decides when t is probed next.
func (p *Prober) schedule(t *target, now time.Time) {
	var wait time.Duration
	switch {
	case t.stale != nil:
		wait = p.period()
		if left := t.since.Add(p.staleTimeout()).Sub(now); left < wait {
			p.enqueue(t, now.Add(left))
			return
		}
	case len(t.hands) == 0:
		return // only asked for
	case t.down:
		wait = min(time.Second, p.period()) << min(max(t.failures-1, 0), 10)
		wait = min(wait, 2*p.period())
	case p.Interval <= 0:
		return
	default:
		wait = p.Interval
	}
	// A little earlier than that, so that an address is never due at two intervals, and not all keep in step.
	due := t.begun.Add(time.Duration(float64(wait) * (0.85 + 0.1*rand.Float64())))
	if least := now.Add(probeSpacing); due.Before(least) {
		due = least
	}
	p.enqueue(t, due)
}

// hurry has t probed as soon as may be, unless only somebody who waits for it may ask for that.
func (p *Prober) hurry(t *target, now time.Time) {
	if t.running || t.stale == nil && len(t.hands) == 0 {
		return
	}
	due := t.begun.Add(probeSpacing)
	if due.Before(now) {
		due = now
	}
	if t.queued() && !due.Before(t.due) {
		return
	}
	p.enqueue(t, due)
	p.poke()
}

// await has t probed ahead of all others, and returns a channel that is closed when that is done.
func (p *Prober) await(t *target, now time.Time) <-chan struct{} {
	if t.done == nil {
		t.done = make(chan struct{})
	}
	if !t.running {
		p.enqueue(t, time.Time{}.Add(1))
		p.poke()
	}
	return t.done
}

func (p *Prober) enqueue(t *target, due time.Time) {
	t.due = due
	if t.queued() {
		heap.Fix(&p.state.queue, t.place-1)
		return
	}
	heap.Push(&p.state.queue, t)
}

// poke wakes Run.
func (p *Prober) poke() {
	select {
	case p.state.wake <- struct{}{}:
	default:
	}
}

// dueQueue is a heap of targets by when they are due.
type dueQueue []*target

func (q dueQueue) Len() int           { return len(q) }
func (q dueQueue) Less(i, j int) bool { return q[i].due.Before(q[j].due) }

func (q dueQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].place, q[j].place = i+1, j+1
}

// Push is for the heap alone.
func (q *dueQueue) Push(x any) {
	t := x.(*target)
	*q = append(*q, t)
	t.place = len(*q)
}

// Pop is for the heap alone.
func (q *dueQueue) Pop() any {
	last := len(*q) - 1
	t := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	t.place = 0
	return t
}
