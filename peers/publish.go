package peers

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"servicebroker/servicetable"
)

// Paths under which a broker tells others of its table.
const (
	TablePath  = "/api/v1/table"        // a Summary; ?digest= and ?wait= wait for another one, ?rows=true has rows and settings
	OffersPath = "/api/v1/table/offers" // an Answer; ?service= or ?sid= says of what
)

// Publisher tells other brokers of this one's table: of its own alone, whatever its peers may have. Set the fields before it is
// used; Snapshot and Self are needed.
type Publisher struct {
	// Snapshot returns the table as it is now.
	Snapshot func() *servicetable.Snapshot
	// Self fills in what is not of the table, and Settings.
	Self func() Summary
	// Stored tells of a stale registration whether it is known from disk alone; nil: none is.
	Stored func(*servicetable.Registration) bool
	// Stopping ends those that wait for a change; nil: nothing does.
	Stopping <-chan struct{}
	// Pause is between two looks at the whole table; 0: a second. Shorter tells others sooner, and costs a look at the whole
	// table each time that it changed.
	Pause time.Duration
	Log   *slog.Logger // nil is silent

	ledger ledger
}

// longestWait is how long somebody may wait for a change, well within what servers give an answer.
const longestWait = 20 * time.Second

// entry is what the table has now, or had a moment ago.
func (p *Publisher) entry() (*entry, time.Duration) {
	p.ledger.mu.Lock()
	if p.ledger.Pause = p.Pause; p.Pause == 0 {
		p.ledger.Pause = time.Second
	}
	p.ledger.mu.Unlock()
	return p.ledger.look(p.Snapshot(), p.Stored)
}

// ServeHTTP answers requests for TablePath and OffersPath.
func (p *Publisher) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == OffersPath {
		p.answer(w, p.Offers(r.URL.Query()))
		return
	}
	q := r.URL.Query()
	wait, _ := time.ParseDuration(q.Get("wait"))
	p.await(r, q.Get("digest"), min(wait, longestWait))
	p.answer(w, p.Summary(q.Get("rows") == "true"))
}

func (p *Publisher) answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(body); err != nil && p.Log != nil {
		p.Log.Debug("a peer went away while it was answered", "cause", err.Error())
	}
}

// Summary tells of the table as it is, or was a moment ago.
func (p *Publisher) Summary(rows bool) *Summary {
	e, _ := p.entry()
	s := p.Self()
	s.Format, s.Time, s.TableVersion, s.Digest, s.Services, s.Instances = Format, time.Now(), e.version, e.digest, e.services, len(e.rows)
	if !rows {
		s.Settings = nil
		return &s
	}
	grown := time.Since(e.at).Milliseconds() // since the ages were reckoned
	s.Rows = slices.Clone(e.rows)
	for i := range s.Rows {
		if age := s.Rows[i].LoadAge; age != nil {
			now := *age + grown
			s.Rows[i].LoadAge = &now
		}
	}
	return &s
}

// await returns once the table has another digest, or after the time given.
func (p *Publisher) await(r *http.Request, digest string, atMost time.Duration) {
	if digest == "" || atMost <= 0 {
		return
	}
	over := time.NewTimer(atMost)
	defer over.Stop()
	for {
		change := p.Snapshot().Superseded()
		e, again := p.entry()
		if e.digest != digest {
			return
		}
		var look <-chan time.Time
		if again > 0 { // it has changed already, and it is too early to look
			timer := time.NewTimer(again)
			defer timer.Stop()
			change, look = nil, timer.C
		}
		select {
		case <-change:
		case <-look:
		case <-over.C:
			return
		case <-p.Stopping:
			return
		case <-r.Context().Done():
			return
		}
	}
}

// Offers is what this broker's own clients would be given of what is asked for.
func (p *Publisher) Offers(q url.Values) *Answer {
	self := p.Self()
	a := &Answer{Format: Format, ID: self.ID, Name: self.Name}
	asked := servicetable.Query{Service: q.Get("service"), SID: q.Get("sid")}
	candidates, err := p.Snapshot().Match(asked)
	if err != nil {
		return a
	}
	size := 0
	given := map[servicetable.ID]bool{}
	for i := range candidates {
		c := &candidates[i]
		if given[c.Registration.ID] || c.Status != servicetable.Ready || len(given) == maxOffers {
			continue
		}
		given[c.Registration.ID] = true
		text, err := json.Marshal(told(c))
		if err != nil {
			continue
		}
		if size += len(text); size > maxAnswer/2 {
			break
		}
		a.Registrations = append(a.Registrations, text)
	}
	return a
}

// mostTold is of how many services of an instance others are told besides the one they asked for.
const mostTold = 32

// told is what others are to know of the registration of c: what the database said, and nothing of what this broker thinks of it.
func told(c *servicetable.Candidate) servicetable.Registration {
	r := *c.Registration
	r.Marks, r.Database, r.Tier, r.Zone, r.Endpoints = nil, "", 0, "", nil
	r.Services, r.Handlers = nil, slices.Clone(r.Handlers)
	place := map[int]int{} // of services kept, by where they were
	for i := range c.Registration.Services {
		s := c.Registration.Services[i]
		if &c.Registration.Services[i] != c.Service && !strings.EqualFold(s.Name, c.Service.Name) && len(c.Registration.Services) > mostTold {
			continue
		}
		s.Marks, s.Weight = nil, servicetable.Weight{}
		place[i] = len(r.Services)
		r.Services = append(r.Services, s)
	}
	for i := range r.Handlers {
		var kept []int
		for _, at := range r.Handlers[i].Services {
			if to, is := place[at]; is {
				kept = append(kept, to)
			}
		}
		r.Handlers[i].Services = kept
	}
	return r
}
