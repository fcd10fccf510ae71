package failover

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"servicebroker/servicetable"
)

// Prober keeps knowing which handlers answer: it probes all of them, once for each address, takes in what clients'
// connects meet, and marks those that do not answer as ejected until they do. Set the fields before Run; Snapshot and
// Probe are needed, the others have defaults. The methods may be called from any goroutine and, Verify apart, never
// block.
//
// At most PanicShare of the handlers of a service are ejected at a time, whether a probe or a client's connect met the
// failure: where most seem dead, it is rather this broker that is cut off. Those beyond that stay in rotation until
// others are back; the Dialer, which remembers failures by itself, still tries them last. A service with a single
// handler sets no limit, since an ejected handler is used where there is no other.
type Prober struct {
	// Snapshot returns the table as it is now.
	Snapshot func() *servicetable.Snapshot
	// Probe asks the handler of c whether it answers. A light probe does as little as shows that somebody is there: an
	// error that has a method MoveOn() bool, as for Dial, is an answer all the same. A deep one asks the instance to
	// accept a client of c's service and leaves at once; it is nil if the instance may still take clients. Probe must
	// return soon after its context ends, and is called by many goroutines at a time.
	Probe func(ctx context.Context, c servicetable.Candidate, deep bool) error
	// Mark and Unmark set and take off a mark by handler key; Drop removes a registration. nil does nothing. These,
	// Report and Gone are called by the goroutine of Run, one after the other in the order in which things happened.
	Mark   func(key string, m servicetable.Mark)
	Unmark func(key string, k servicetable.MarkKind)
	Drop   func(r servicetable.ID, cause string)
	// Interval is how often an address is probed; 0 probes only those that somebody asks for or that have failed.
	// Shorter finds a silent host sooner; each probe costs a connection.
	Interval time.Duration
	// Timeout bounds one probe, 0 is 2 s. It is never longer than Interval, so that a silent host is ejected within two
	// of them.
	Timeout time.Duration
	// StaleTimeout is how long an instance whose registration is gone is kept while it answers; 0 is 90 s.
	StaleTimeout time.Duration
	// PanicShare is the part of a service's handlers that may be ejected at a time; 0 is 0.5.
	PanicShare float64
	// Workers is how many probes may be under way at a time; 0 is 64. As many again may be if somebody waits for them.
	Workers int
	// Redirecting reports whether clients connect to handlers by themselves; nil is never. They may reach what this
	// broker cannot, so a handler that it has never seen alive is then neither ejected nor kept from them. It must not
	// call the Prober.
	Redirecting func() bool
	// Report is told what was found out. nil is silent.
	Report func(ProbeEvent)
	// Gone is told of each stale instance that was dropped: answered is false if it no longer answers at all, so that
	// the sessions it had are dead. nil is silent.
	Gone func(r *servicetable.Registration, answered bool, cause string)
	// Probed is told of each probe and its outcome, by many goroutines at a time. nil is silent.
	Probed func(c servicetable.Candidate, deep bool, took time.Duration, err error)
	// WhyStale words why a stale instance is in the table, for events; nil or "": its registration ended.
	WhyStale func(*servicetable.Registration) string
	// Log is silent if nil.
	Log *slog.Logger

	mu      sync.Mutex
	state   probeState
	mistake mistakes
}

// mistakes switch parts of a Prober off, so that tests can show that they would notice.
type mistakes struct {
	believeOldProbes bool // the outcome of a probe counts though something newer is known
	noPanic          bool // any number may be ejected
	leaveMarks       bool // marks stay when their handler leaves the table
	restoreOnReplace bool // a new registration lifts an ejection without an answer
	probeMaintained  bool // instances in maintenance are probed
}

// ProbeEvent is something that a Prober found out.
type ProbeEvent struct {
	Kind         ProbeEventKind
	Registration *servicetable.Registration // of the instance, as it was last seen
	Handler      string                     // name of the handler; "" where the event is about the whole instance
	Key          string                     // of the handler or instance
	Cause        string                     // for people
	At           time.Time
}

// ProbeEventKind is what a ProbeEvent tells of.
type ProbeEventKind uint8

// The kinds of ProbeEvent.
const (
	HandlerEjected  ProbeEventKind = iota // it does not answer
	HandlerRestored                       // it answers again
	HandlerSpared                         // it does not answer, but neither do too many others of a service
	InstanceStale                         // its registration is gone, and it is probed from now on
	InstanceGone                          // it was dropped
)

// String returns the word for k: ejected, restored, spared, stale or gone.
func (k ProbeEventKind) String() string {
	switch k {
	case HandlerRestored:
		return "restored"
	case HandlerSpared:
		return "spared"
	case InstanceStale:
		return "stale"
	case InstanceGone:
		return "gone"
	}
	return "ejected"
}

// ErrNotProbing says that a Prober could not verify anything because it does not run.
var ErrNotProbing = errors.New("probes are not running; start the prober before connects are verified")

// Observe takes in what came of an attempt to connect. An answer lifts an ejection; a refused or unreachable connection
// ejects the handler at once and has it probed, and so does silence unless it answered somebody else meanwhile;
// whatever else went wrong has it probed.
func (p *Prober) Observe(a Attempt) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.targetOf(&a.Candidate)
	if t == nil {
		return
	}
	now := time.Now()
	found := evidenceOf(a)
	if found == seenSilent {
		found = seenDead
		if t.aliveAt.After(now.Add(-a.Took)) {
			found = seenDoubtful
		}
	}
	if deep := p.staleOf(&a.Candidate); deep != nil && (found == seenDead || found == seenDoubtful) {
		p.hurry(deep, now)
	} else if deep != nil && found == seenAlive {
		deep.sawAlive(now)
	}
	switch found {
	case seenAlive:
		p.sawAlive(t, now)
	case seenDead:
		p.sawDead(t, now, "connect: "+a.Err.Error())
		p.hurry(t, now)
	case seenDoubtful:
		p.hurry(t, now)
	}
}

// Suspect has the handler of c probed now, because of why; it returns at once. However often it is called, an address is
// probed at most ten times a second.
func (p *Prober) Suspect(c servicetable.Candidate, why string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if t := p.targetOf(&c); t != nil {
		t.why = why
		p.hurry(t, now)
	}
	if t := p.staleOf(&c); t != nil {
		p.hurry(t, now)
	}
}

// Verify returns nil if the handler of c has been seen alive within Interval. Otherwise it has it probed, together with
// others who ask, and returns what came of it within Timeout. Where Redirecting, a handler that this broker has never
// reached passes once a probe has failed. The error is ErrNotProbing where a probe is needed that does not happen by itself
// yet: Run was not called, or has not seen that an instance is stale.
func (p *Prober) Verify(ctx context.Context, c servicetable.Candidate) error {
	begun := time.Now()
	p.mu.Lock()
	t := p.staleOf(&c)
	if t == nil && c.Registration != nil && c.Registration.Stale {
		p.mu.Unlock()
		return ErrNotProbing
	}
	if t == nil {
		t = p.targetOf(&c)
	}
	if t == nil || t.freshly(begun, p.period()) {
		p.mu.Unlock()
		return nil
	}
	if begun.Sub(t.failedAt) < p.period()/5 {
		defer p.mu.Unlock()
		return p.verdict(t, begun)
	}
	if !p.state.running {
		p.mu.Unlock()
		return ErrNotProbing
	}
	done := p.await(t, begun)
	p.mu.Unlock()

	patience := time.NewTimer(p.timeout())
	defer patience.Stop()
	select {
	case <-done:
	case <-patience.C:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.verdict(t, begun)
}

// LastAlive tells when the handler of c last answered a probe or a connect, false if never.
func (p *Prober) LastAlive(c servicetable.Candidate) (time.Time, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.state.targets[addressOf(c.Handler)]
	if t == nil || t.aliveAt.IsZero() {
		return time.Time{}, false
	}
	return t.aliveAt, true
}

// Lost reports whether r, whose registration connection ended, is to be kept as stale: it is if one of its handlers
// answered within StaleTimeout. Once the table shows it as stale, it is probed in depth at once and then every
// Interval, and dropped as soon as that fails, unless by something that is of this host.
func (p *Prober) Lost(r *servicetable.Registration) (stale bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	since := time.Now().Add(-p.staleTimeout())
	for i := range r.Handlers {
		if t := p.state.targets[addressOf(&r.Handlers[i])]; t != nil && t.aliveAt.After(since) {
			return true
		}
	}
	return false
}

// ondemandPeriod stands for Interval where that is 0.
const ondemandPeriod = 5 * time.Second

func (p *Prober) period() time.Duration       { return orDefault(p.Interval, ondemandPeriod) }
func (p *Prober) timeout() time.Duration      { return min(orDefault(p.Timeout, 2*time.Second), p.period()) }
func (p *Prober) staleTimeout() time.Duration { return orDefault(p.StaleTimeout, 90*time.Second) }
func (p *Prober) workers() int                { return orDefault(p.Workers, 64) }

func (p *Prober) panicShare() float64 {
	switch {
	case p.mistake.noPanic:
		return 1
	case p.PanicShare <= 0:
		return 0.5
	}
	return min(p.PanicShare, 1)
}
