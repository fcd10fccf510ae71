package loadbalance

import (
	"time"

	"servicebroker/servicetable"
)

// tally holds the counts of one instance.
type tally struct {
	key  instanceKey
	hash uint64 // of key

	id         servicetable.ID // of the registration that reported last
	loadAt     time.Time       // of the report in force, as the registration has it
	reportedAt instant         // the same; 0: there is none
	reported   int             // its sessions: no more than these can have ended since
	interval   float64         // nanoseconds between its reports, as far as known
	appearedAt time.Time       // when the registration that was looked at last had appeared
	newSince   instant         // when the instance appeared, where that was after the broker itself began; else 0
	seenAt     instant

	members  int // of groups, that point here
	whole    count
	services map[string]*count // by name as registered
	handlers map[string]*count // by name
}

type instanceKey struct{ instance, host string }

// Bounds of the learnt interval between reports: two messages in a row are not two reports, and an instance that has
// been silent for hours has not taught that it always will be.
const (
	shortestInterval = float64(5 * time.Second)
	longestInterval  = float64(10 * time.Minute)
	outdatedAfter    = 3 // intervals
)

// learn takes note of the time between two reports. Longer ones are believed sooner than shorter ones, since to take a
// good report for outdated costs more than to use one a little longer.
func (t *tally) learn(passed float64) {
	passed = clamp(passed, shortestInterval, longestInterval)
	if passed > t.interval {
		t.interval += (passed - t.interval) / 2
	} else {
		t.interval += (passed - t.interval) / 4
	}
}

// report takes in the report that r brings, if it is newer than the one in force.
func (t *tally) report(r *servicetable.Registration, c *chance, terms reportTerms) {
	if !t.newer(r.LoadAt, c.clock) {
		return
	}
	when := c.noted(r.LoadAt)
	terms.restarted = t.id != r.ID
	if passed := t.reportedAt.since(when); t.reportedAt != 0 && passed > 0 && !terms.restarted {
		t.learn(passed)
	}
	t.id, t.loadAt, t.reportedAt, t.reported = r.ID, r.LoadAt, when, int(r.Load)
	t.whole.report(when, float64(r.Load), terms)
	for i := range r.Services {
		if c := t.services[r.Services[i].Name]; c != nil {
			c.report(when, float64(r.Services[i].Goodness)/delta(&r.Services[i]), terms)
		}
	}
	for i := range r.Handlers {
		if c := t.handlers[r.Handlers[i].Name]; c != nil {
			c.report(when, float64(r.Handlers[i].Load), terms)
		}
	}
}

// newer reports whether a report of that time is newer than the one in force, or that one lies ahead of what the clock shows: it came
// from a process whose clock was ahead, and who waited for its time would hear of nothing until then.
func (t *tally) newer(loadAt, clock time.Time) bool {
	return !loadAt.IsZero() && (loadAt.After(t.loadAt) || t.loadAt.After(clock) && !loadAt.Equal(t.loadAt))
}

// delta is what a connect adds to the goodness of s.
func delta(s *servicetable.Service) float64 { return float64(max(s.Delta, 1)) }

// appear notes since when the instance has been there: since it registered, unless that is no news, because it was
// there a moment before or because it is the broker that is new. An instance is not measured against others that
// registered anew only because the broker was restarted. Each registration is looked at once: of one that lies ahead of the clock, and
// counts as of now, it would be another time again and again.
func (t *tally) appear(r *servicetable.Registration, c *chance, began instant, slowStart float64) {
	if r.RegisteredAt.Equal(t.appearedAt) {
		return
	}
	t.appearedAt = r.RegisteredAt
	registered := c.noted(r.RegisteredAt)
	switch {
	case registered == 0 || began.since(registered) < slowStart:
	case t.seenAt != 0 && t.seenAt.since(registered) < lapse:
	case registered > t.newSince:
		t.newSince = registered
	}
}

// lapse is how long an instance may have been out of sight and yet count as not having been away.
const lapse = float64(10 * time.Second)

// place is where one connect counts: at an instance, at a service there, at a handler there.
type place struct {
	tally                   *tally
	whole, service, handler *count
}

func (p *place) pend(n int) {
	p.whole.pending += n
	p.service.pending += n
	p.handler.pending += n
}

func (p *place) redirect(now instant, tau, connectTime float64) {
	p.whole.redirect(now, tau, connectTime)
	p.service.redirect(now, tau, connectTime)
	p.handler.redirect(now, tau, connectTime)
}

func (p *place) recall() {
	p.whole.recall()
	p.service.recall()
	p.handler.recall()
}

func (p *place) begin() {
	for _, c := range [...]*count{p.whole, p.service, p.handler} {
		c.open, c.began, c.relayed = c.open+1, c.began+1, c.relayed+1
	}
}

// end counts a relayed session that ended. Sessions that an instance took with it when it died end after it has
// reported anew, without them: more cannot end than it reported.
func (p *place) end() {
	for _, c := range [...]*count{p.whole, p.service, p.handler} {
		c.open, c.relayed = max(c.open-1, 0), max(c.relayed-1, -p.tally.reported)
	}
}

// tallies finds the tally of an instance.
type tallies map[instanceKey]*tally

func (all tallies) of(r *servicetable.Registration) *tally {
	key := instanceKey{r.Instance, r.Host}
	t := all[key]
	if t == nil {
		t = &tally{key: key, hash: hashOf(r.Instance, r.Host), services: map[string]*count{}, handlers: map[string]*count{}}
		all[key] = t
	}
	return t
}

// place returns where connects to c count.
func (t *tally) place(c *servicetable.Candidate) place {
	return place{tally: t, whole: &t.whole, service: t.service(c.Service), handler: t.handler(c.Handler)}
}

func (t *tally) service(s *servicetable.Service) *count {
	c := t.services[s.Name]
	if c == nil {
		c = &count{}
		c.flow.report(t.reportedAt, float64(s.Goodness)/delta(s), 0, true)
		t.services[s.Name] = c
	}
	return c
}

func (t *tally) handler(h *servicetable.Handler) *count {
	c := t.handlers[h.Name]
	if c == nil {
		c = &count{}
		c.flow.report(t.reportedAt, float64(h.Load), 0, true)
		t.handlers[h.Name] = c
	}
	return c
}

// prune forgets counts that nobody uses, and t itself if none is left.
func (all tallies) prune(t *tally) {
	pruneCounts(t.services)
	pruneCounts(t.handlers)
	if t.members == 0 && t.whole.idle() && all[t.key] == t {
		delete(all, t.key)
	}
}

func pruneCounts(counts map[string]*count) {
	for name, c := range counts {
		if c.idle() {
			delete(counts, name)
		}
	}
}

// hashOf hashes words, FNV-1a.
func hashOf(words ...string) uint64 {
	h := uint64(14695981039346656037)
	for _, word := range words {
		for i := range len(word) {
			h = (h ^ uint64(word[i])) * 1099511628211
		}
		h *= 1099511628211 // a word ends here
	}
	return h
}

// mixed spreads the bits of h, so that hashes of similar words are unlike each other (the finalizer of SplitMix64).
func mixed(h uint64) uint64 {
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}
