package loadbalance

import (
	"time"

	"servicebroker/servicetable"
)

// count is what this broker did to something since the report that is in force.
type count struct {
	pending int // connects under way; no report can contain them yet
	change  int // sessions begun less sessions ended since the report; below zero when older ones ended
}

func (c *count) own() int { return c.pending + c.change }

// tally holds the counts of one instance.
type tally struct {
	key        instanceKey
	reportedAt time.Time // of the report in force
	reported   int       // its sessions: no more than these can have ended since
	usedAt     time.Time

	whole    count
	services map[string]*count // by name as registered
	handlers map[string]*count // by name

	known []*servicetable.Registration // under which tallies finds this tally quickly
}

type instanceKey struct{ instance, host string }

// report takes note of the report that r brings: what was counted since the one before is in it, or void.
func (t *tally) report(r *servicetable.Registration) {
	if !r.LoadAt.After(t.reportedAt) {
		return
	}
	t.reportedAt, t.reported = r.LoadAt, int(r.Load)
	t.whole.change = 0
	forget(t.services)
	forget(t.handlers)
}

// forget voids the changes, and drops the counts that are left with nothing.
func forget(counts map[string]*count) {
	for name, c := range counts {
		if c.change = 0; c.pending == 0 {
			delete(counts, name)
		}
	}
}

func (t *tally) figures(c *servicetable.Candidate) figures {
	return figures{
		candidate: c,
		tally:     t,
		whole:     t.whole.own(),
		service:   ownOf(t.services, c.Service.Name),
		handler:   ownOf(t.handlers, c.Handler.Name),
	}
}

func ownOf(counts map[string]*count, name string) int {
	if c := counts[name]; c != nil {
		return c.own()
	}
	return 0
}

// place is where one connect counts.
type place struct {
	tally            *tally
	service, handler string
}

// counts calls f for each count that a connect at p belongs to.
func (p place) counts(f func(*count)) {
	f(&p.tally.whole)
	f(named(p.tally.services, p.service))
	f(named(p.tally.handlers, p.handler))
}

func named(counts map[string]*count, name string) *count {
	c := counts[name]
	if c == nil {
		c = &count{}
		counts[name] = c
	}
	return c
}

func (p place) addPending(n int) {
	p.counts(func(c *count) { c.pending += n })
}

// addChange counts n sessions begun or ended. Sessions that an instance took with it when it died end after it has
// reported anew, without them: more cannot end than it reported.
func (p place) addChange(n int) {
	p.counts(func(c *count) { c.change = max(c.change+n, -p.tally.reported) })
}

// tallies finds the tally of an instance, and forgets instances that are not asked for any more.
type tallies struct {
	byKey   map[instanceKey]*tally
	known   map[*servicetable.Registration]*tally // the same, without hashing names
	sweptAt time.Time
}

const (
	idleLimit     = 15 * time.Minute // an instance not among the candidates of any connect for so long is forgotten
	sweepInterval = time.Minute
	knownLimit    = 4 // registrations of one instance remembered at a time
)

// of returns the tally of the instance of r, with the report that r brings taken in.
func (all *tallies) of(r *servicetable.Registration, now time.Time) *tally {
	t := all.known[r]
	if t == nil {
		t = all.meet(r, now)
	}
	t.usedAt = now
	return t
}

// meet is of for a registration not seen before.
func (all *tallies) meet(r *servicetable.Registration, now time.Time) *tally {
	if all.byKey == nil {
		all.byKey, all.known = map[instanceKey]*tally{}, map[*servicetable.Registration]*tally{}
	}
	if now.Sub(all.sweptAt) >= sweepInterval {
		all.sweep(now)
	}
	key := instanceKey{r.Instance, r.Host}
	t := all.byKey[key]
	if t == nil {
		t = &tally{key: key, services: map[string]*count{}, handlers: map[string]*count{}, reportedAt: r.LoadAt, reported: int(r.Load)}
		all.byKey[key] = t
	}
	t.report(r)
	all.remember(t, r)
	return t
}

// remember finds t by r from now on, in place of the registration that r replaces or of the oldest.
func (all *tallies) remember(t *tally, r *servicetable.Registration) {
	all.known[r] = t
	for i, old := range t.known {
		if old.ID == r.ID {
			delete(all.known, old)
			t.known[i] = r
			return
		}
	}
	if len(t.known) == knownLimit {
		delete(all.known, t.known[0])
		t.known = append(t.known[:0], t.known[1:]...)
	}
	t.known = append(t.known, r)
}

func (all *tallies) sweep(now time.Time) {
	all.sweptAt = now
	for key, t := range all.byKey {
		if now.Sub(t.usedAt) < idleLimit {
			continue
		}
		delete(all.byKey, key)
		for _, r := range t.known {
			delete(all.known, r)
		}
	}
}

func (all *tallies) place(c *servicetable.Candidate, now time.Time) place {
	return place{tally: all.of(c.Registration, now), service: c.Service.Name, handler: c.Handler.Name}
}
