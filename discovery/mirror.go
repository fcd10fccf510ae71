package discovery

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"servicebroker/servicetable"
)

// Destination is where a copy is kept.
type Destination[D any] interface {
	// Sync makes the copy equal to desired, whatever it is now; called again with the same, it changes nothing. It may take
	// long and fail half way: it is then called again. It must end soon once ctx does.
	Sync(ctx context.Context, desired D) error
}

// ErrStandby is what Sync returns, wrapped or not, while another broker keeps the copy. That is no fault, and asked again every
// Mirror.Standby.
var ErrStandby = errors.New("another broker keeps this copy")

// Mirror keeps one Destination equal to the table. Its fields are not to be changed once Run has been called.
type Mirror[D any] struct {
	Name        string // for people: "dns", "consul"
	Snapshot    func() *servicetable.Snapshot
	Desire      func(*servicetable.Snapshot) D // what the copy should be; must depend on nothing but the snapshot
	Equal       func(a, b D) bool              // nil: every new snapshot is different
	Destination Destination[D]
	// Nudge has something whenever Desire may come to something else although the table did not change; nil: it never does.
	Nudge <-chan struct{}
	// Doubt has something whenever the copy may not be what it was left as: it is made equal at once, even after a failure. nil: never.
	Doubt <-chan struct{}

	Settle   time.Duration // no change for so long: now; 0: 10 ms
	MaxDelay time.Duration // a change waits at most so long for others; 0: 50 ms
	Spacing  time.Duration // between two looks at the table, at least, and twice the time that Desire takes; 0: 50 ms
	Resync   time.Duration // a Sync although nothing changed; 0: 60 s
	Timeout  time.Duration // for one Sync; 0: 60 s
	Backoff  time.Duration // after the first failure, doubled with each further one; 0: 250 ms
	Longest  time.Duration // between two attempts; 0: 30 s
	Standby  time.Duration // before asking again whether another broker keeps the copy; 0: 1 s

	// Writer names the other broker that keeps the copy, "" if there is none at the moment; nil: that cannot be known.
	Writer func() string

	Log    *slog.Logger
	Synced func(took time.Duration, err error) // told of each Sync; may be nil

	mu     sync.Mutex // guards what follows
	status Status
}

// Status is how far a mirror has come.
type Status struct {
	Name        string
	Version     uint64    // of the table, now
	Applied     uint64    // of the table as it is in the copy
	Lag         uint64    // changes that the copy does not have; 0 while another broker keeps it, which does not say how far it is
	Standby     bool      // another broker keeps the copy
	Writer      string    // which one that is; "" if that is not known
	Error       string    // why the last Sync failed; "" if it did not
	Failures    int       // in a row
	LastError   time.Time // when a Sync failed last
	LastSuccess time.Time
	Syncs       uint64 // ever

	seen uint64 // version when another broker kept the copy last
}

// Status returns how far m has come. It may be called at any time.
func (m *Mirror[D]) Status() Status {
	version := m.Snapshot().Version()
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.status
	s.Name, s.Version = m.Name, version
	if !s.Standby {
		s.Lag = version - min(max(s.Applied, s.seen), version)
	}
	return s
}

// Run keeps the copy equal until ctx ends.
func (m *Mirror[D]) Run(ctx context.Context) {
	var w work[D]
	for {
		snapshot := m.settled(ctx, w.next)
		if snapshot == nil {
			return
		}
		pause := m.step(ctx, snapshot, &w)
		if !m.wait(ctx, snapshot, pause, &w) {
			return
		}
	}
}

// work is what Run remembers.
type work[D any] struct {
	applied D
	known   bool      // applied is what the copy is
	again   time.Time // when it is made so again although nothing changed
	next    time.Time // no Sync before
}

// pause is what to wait for after a step.
type pause struct {
	atMost    time.Duration
	forChange bool // or for a change, if that is sooner
}

// settled returns the newest snapshot once the table has been quiet for a while, or has not been for too long, and not before
// the given time; nil if ctx ended.
func (m *Mirror[D]) settled(ctx context.Context, notBefore time.Time) *servicetable.Snapshot {
	now := time.Now()
	deadline := now.Add(cmp.Or(m.MaxDelay, 50*time.Millisecond))
	if notBefore.After(deadline) {
		deadline = notBefore
	}
	for {
		snapshot := m.Snapshot()
		quiet := max(cmp.Or(m.Settle, 10*time.Millisecond), time.Until(notBefore))
		timer := time.NewTimer(min(quiet, time.Until(deadline)))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-snapshot.Superseded():
			timer.Stop()
			if time.Now().Before(deadline) {
				continue
			}
			return m.Snapshot()
		case <-timer.C:
			return m.Snapshot()
		}
	}
}

// step does one Sync, if one is needed.
func (m *Mirror[D]) step(ctx context.Context, snapshot *servicetable.Snapshot, w *work[D]) pause {
	begun := time.Now()
	desired := m.Desire(snapshot)
	start := time.Now()
	w.next = start.Add(max(cmp.Or(m.Spacing, 50*time.Millisecond), 2*start.Sub(begun)))
	if left := w.again.Sub(start); w.known && left > 0 && m.Equal != nil && m.Equal(w.applied, desired) {
		m.mu.Lock()
		m.status.Applied = snapshot.Version()
		m.mu.Unlock()
		return pause{atMost: left, forChange: true}
	}
	bounded, cancel := context.WithTimeout(ctx, cmp.Or(m.Timeout, 60*time.Second))
	err := m.Destination.Sync(bounded, desired)
	cancel()
	failures := m.record(ctx, snapshot.Version(), start, err)
	if err == nil {
		resync := jitter(cmp.Or(m.Resync, 60*time.Second))
		w.applied, w.known, w.again = desired, true, time.Now().Add(resync)
		return pause{atMost: resync, forChange: true}
	}
	w.known = false // it may have come half way
	if errors.Is(err, ErrStandby) {
		return pause{atMost: jitter(cmp.Or(m.Standby, time.Second))}
	}
	return pause{atMost: jitter(m.backoff(failures))}
}

// record notes and logs what came of a Sync, and returns how many have failed in a row.
func (m *Mirror[D]) record(ctx context.Context, version uint64, start time.Time, err error) (failures int) {
	now := time.Now()
	if m.Synced != nil {
		m.Synced(now.Sub(start), err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	s := &m.status
	s.Syncs++
	before := *s
	s.Standby, s.Error, s.Writer = errors.Is(err, ErrStandby), "", ""
	switch {
	case err == nil:
		s.Applied, s.LastSuccess, s.Failures = version, now, 0
	case s.Standby:
		s.Failures, s.seen = 0, version
		if m.Writer != nil {
			s.Writer = m.Writer()
		}
	default:
		s.Error, s.LastError = err.Error(), now
		s.Failures++
	}
	if m.Log != nil && ctx.Err() == nil {
		m.tell(before, *s)
	}
	return s.Failures
}

// tell logs what has changed, and nothing that goes on as before.
func (m *Mirror[D]) tell(before, now Status) {
	switch {
	case now.Error != "" && now.Error != before.Error:
		m.Log.Warn("a mirror could not be brought up to date; routing does not depend on it, and it is tried again", "mirror", m.Name, "cause", now.Error)
	case now.Standby && m.Writer == nil && !before.Standby:
		m.Log.Info("another broker keeps this mirror", "mirror", m.Name)
	case now.Standby && now.Writer != "" && now.Writer != before.Writer: // while it is "", none does
		m.Log.Info("another broker keeps this mirror", "mirror", m.Name, "writer", now.Writer)
	case now.Error != "" || now.Standby: // as before
	case before.Standby:
		m.Log.Info("this broker keeps this mirror from now on", "mirror", m.Name, "version", now.Applied)
	case before.Failures > 0 && before.LastSuccess.IsZero():
		m.Log.Info("a mirror is up to date", "mirror", m.Name, "version", now.Applied)
	case before.Failures > 0:
		m.Log.Info("a mirror is up to date again", "mirror", m.Name, "version", now.Applied)
	}
}

func (m *Mirror[D]) backoff(failures int) time.Duration {
	first, longest := cmp.Or(m.Backoff, 250*time.Millisecond), cmp.Or(m.Longest, 30*time.Second)
	if doublings := failures - 1; doublings < 20 {
		return min(first<<max(doublings, 0), longest)
	}
	return longest
}

// jitter keeps several brokers from doing the same at the same time: between three quarters of d and all of it.
func jitter(d time.Duration) time.Duration { return d - rand.N(d/4+1) }

// wait returns once there is something to do, or false if ctx ended.
func (m *Mirror[D]) wait(ctx context.Context, snapshot *servicetable.Snapshot, p pause, w *work[D]) bool {
	var changed, nudged <-chan struct{}
	if p.forChange {
		changed, nudged = snapshot.Superseded(), m.Nudge
	}
	timer := time.NewTimer(p.atMost)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-changed:
	case <-nudged:
	case <-m.Doubt:
		w.known = false
	case <-timer.C:
	}
	return true
}
