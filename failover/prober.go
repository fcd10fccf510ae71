package failover

import (
	"context"
	"log/slog"
	"time"

	"servicebroker/servicetable"
)

// Prober keeps knowing which handlers answer. Set the fields before Run; Snapshot and Probe are needed, the others have defaults.
type Prober struct {
	// Snapshot returns the table as it is now.
	Snapshot func() *servicetable.Snapshot
	// Probe asks the handler of c whether it answers. A light probe does as little as shows that somebody is there; a
	// deep one asks the instance to accept a client of c's service and leaves at once. An error that has a method
	// MoveOn() bool is an answer all the same, as it is for Dial. Probe must return soon after its context ends.
	Probe func(ctx context.Context, c servicetable.Candidate, deep bool) error
	// Mark and Unmark set and take off a mark by handler key; Drop removes a registration. nil does nothing.
	Mark   func(key string, m servicetable.Mark)
	Unmark func(key string, k servicetable.MarkKind)
	Drop   func(servicetable.ID)
	// Interval is how often a handler is probed; 0 probes only those that are asked for or have failed.
	Interval time.Duration
	// Timeout bounds one probe, 0 is 2 s. It is never longer than Interval.
	Timeout time.Duration
	// StaleTimeout is how long an instance whose registration is gone is kept while it answers; 0 is 90 s.
	StaleTimeout time.Duration
	// PanicShare is the part of a service's handlers that may be ejected at a time; 0 is 0.5.
	PanicShare float64
	// Workers is how many probes may be under way at a time; 0 is 64.
	Workers int
	// Redirecting reports whether clients connect to handlers by themselves; nil is never.
	Redirecting func() bool
	// Report is told what was found out. nil is silent.
	Report func(ProbeEvent)
	// Gone is told of each instance that was dropped; nil is silent.
	Gone func(r *servicetable.Registration, answered bool, cause string)
	// Log is silent if nil.
	Log *slog.Logger
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
	HandlerSpared                         // it does not answer, but too many of its service do not
	InstanceStale                         // its registration is gone, and it is probed from now on
	InstanceGone                          // it was dropped
)

// Run probes until ctx ends.
func (p *Prober) Run(ctx context.Context) { <-ctx.Done() }

// Observe takes in what came of an attempt to connect.
func (p *Prober) Observe(a Attempt) {}

// Suspect has the handler of c probed now; it returns at once.
func (p *Prober) Suspect(c servicetable.Candidate, why string) {}

// Verify returns nil if the handler of c has been seen alive within Interval, else probes it.
func (p *Prober) Verify(ctx context.Context, c servicetable.Candidate) error { return nil }

// LastAlive tells when the handler of c was last seen alive.
func (p *Prober) LastAlive(c servicetable.Candidate) (time.Time, bool) { return time.Time{}, false }

// Lost reports whether r, whose registration connection ended, is to be kept as stale.
func (p *Prober) Lost(r *servicetable.Registration) (stale bool) { return false }
