package broker

import (
	"strings"
	"sync"
	"time"

	"servicebroker/servicetable"
)

// departures remembers instances that stopped to offer a service lately.
type departures struct {
	mu  sync.Mutex
	all []departure // oldest first
}

type departure struct {
	at           time.Time
	registration *servicetable.Registration // as it was
}

// maxDepartures bounds what is remembered.
const maxDepartures = 1000

// note remembers r for so long.
func (d *departures) note(r *servicetable.Registration, memory time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	for len(d.all) > 0 && (len(d.all) >= maxDepartures || now.Sub(d.all[0].at) > memory) {
		d.all = d.all[1:]
	}
	if memory > 0 {
		d.all = append(d.all, departure{now, r})
	}
}

// lately returns what could have served q within the time for which it is worth waiting.
func (b *Broker) lately(q servicetable.Query) []servicetable.Candidate {
	b.departed.mu.Lock()
	defer b.departed.mu.Unlock()
	var found []servicetable.Candidate
	since := time.Now().Add(-b.settings().config.HoldMemory)
	for _, one := range b.departed.all {
		r := one.registration
		if one.at.Before(since) || q.Instance != "" && !strings.EqualFold(q.Instance, r.Instance) {
			continue
		}
		for i := range r.Handlers {
			for _, at := range r.Handlers[i].Services {
				if at >= 0 && at < len(r.Services) && meant(q, r, &r.Services[at]) {
					found = append(found, servicetable.Candidate{Registration: r, Service: &r.Services[at], Handler: &r.Handlers[i]})
				}
			}
		}
	}
	return found
}

// meant tells whether a query could mean a service of r, with or without domain.
func meant(q servicetable.Query, r *servicetable.Registration, s *servicetable.Service) bool {
	if q.Service == "" {
		return strings.EqualFold(q.SID, r.Instance)
	}
	asked, _, _ := strings.Cut(q.Service, ".")
	offered, _, _ := strings.Cut(s.Name, ".")
	return strings.EqualFold(q.Service, s.Name) || strings.EqualFold(asked, offered) && (asked == q.Service || offered == s.Name)
}
