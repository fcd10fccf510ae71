package broker

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"servicebroker/console"
	"servicebroker/discovery"
)

// mirrors are the copies of the table that this broker keeps elsewhere. All are added before
// [Broker.Run] is called; after that the list does not change.
type mirrors struct {
	list []*mirror
	stop context.CancelFunc
	all  sync.WaitGroup
}

// mirror is one copy, and what the broker has to know of it.
type mirror struct {
	name        string // "dns"
	destination string // for people: "zone db.example.com at 0.0.0.0:53"
	run         func(context.Context)
	status      func() discovery.Status
	notes       func() []string // what else people should know; nil: nothing
	// withdraw takes the copy back, or leaves it if another broker keeps the same; nil: there is
	// nothing to take back. It is called once run has returned, when the broker ends for good.
	withdraw func(context.Context) error
	synced   syncCounts
}

// syncCounts are of Syncs, by outcome.
type syncCounts struct {
	good, failed, standby atomic.Uint64
}

// note is a discovery.Mirror's Synced.
func (c *syncCounts) note(_ time.Duration, err error) {
	switch {
	case err == nil:
		c.good.Add(1)
	case errors.Is(err, discovery.ErrStandby):
		c.standby.Add(1)
	default:
		c.failed.Add(1)
	}
}

// add has a copy kept from when the broker runs.
func (m *mirrors) add(one *mirror) { m.list = append(m.list, one) }

// start begins to keep all copies.
func (m *mirrors) start() {
	ctx, cancel := context.WithCancel(context.Background())
	m.stop = cancel
	for _, one := range m.list {
		m.all.Go(func() { one.run(ctx) })
	}
}

// withdrawWithin bounds how long the end of a broker waits for what is kept elsewhere.
const withdrawWithin = 5 * time.Second

// endMirrors keeps the copies no longer, and takes back what would mislead once the broker is gone.
// It may be called without start.
func (b *Broker) endMirrors(withdraw bool) {
	m := &b.mirrors
	if m.stop == nil {
		return
	}
	m.stop()
	m.all.Wait()
	if !withdraw {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), withdrawWithin)
	defer cancel()
	var working sync.WaitGroup
	for _, one := range m.list {
		if one.withdraw == nil {
			continue
		}
		working.Go(func() {
			if err := one.withdraw(ctx); err != nil {
				b.log.Warn("a mirror could not be withdrawn: it shows the table as it was", "mirror", one.name, "destination", one.destination, "cause", err.Error())
			}
		})
	}
	working.Wait()
}

// mirrorState says in a word how a copy is.
func mirrorState(s discovery.Status) string {
	switch {
	case s.Standby:
		return console.MirrorStandby
	case s.Error != "":
		return console.MirrorFailing
	case s.LastSuccess.IsZero():
		return console.MirrorStarting
	case s.Lag > 0:
		return console.MirrorBehind
	}
	return console.MirrorCurrent
}

// mirrorViews shows all copies in the words of the API.
func (b *Broker) mirrorViews() []console.MirrorView {
	views := make([]console.MirrorView, len(b.mirrors.list))
	for i, m := range b.mirrors.list {
		s := m.status()
		views[i] = console.MirrorView{
			Name: m.name, Destination: m.destination, State: mirrorState(s), Version: s.Version, Applied: s.Applied, Lag: s.Lag, Writer: s.Writer,
			Syncs: s.Syncs, Failures: s.Failures, Error: s.Error, LastError: timeOrNil(s.LastError), LastSuccess: timeOrNil(s.LastSuccess), Notes: []string{},
		}
		if m.notes != nil {
			views[i].Notes = append(views[i].Notes, m.notes()...)
		}
	}
	slices.SortStableFunc(views, func(a, b console.MirrorView) int { return cmp.Compare(a.Name, b.Name) })
	return views
}

func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// sampleMirrors tells how far copies are.
func (s *sampler) sampleMirrors(out sink) {
	stored, _, _ := s.storedNow()
	out.put("stored_instances", float64(stored))
	for _, m := range s.mirrors.list {
		status := m.status()
		out.put("mirror_lag_versions", float64(status.Lag), m.name)
		out.put("mirror_failures", float64(status.Failures), m.name)
		if !status.Standby { // another broker's success is its own to tell
			last := 0.0
			if !status.LastSuccess.IsZero() {
				last = seconds(status.LastSuccess)
			}
			out.put("mirror_last_success_timestamp_seconds", last, m.name)
		}
		out.put("mirror_syncs_total", float64(m.synced.good.Load()), m.name, "good")
		out.put("mirror_syncs_total", float64(m.synced.failed.Load()), m.name, "failed")
		out.put("mirror_syncs_total", float64(m.synced.standby.Load()), m.name, "standby")
	}
}
