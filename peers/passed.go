package peers

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"servicebroker/moment"
)

// Passed is what is known of a peer that is alive, for a Watcher that goes on where another one was. It is kept in JSON: fields
// that a reader does not know are ignored.
type Passed struct {
	API        string     `json:"api"`
	At         netip.Addr `json:"at"` // from which it answered last
	Name       string     `json:"name"`
	ID         string     `json:"id"`
	Version    string     `json:"version"`
	Generation int        `json:"generation"`
	Started    time.Time  `json:"started"`
	Since      time.Time  `json:"since"`
	Differs    time.Time  `json:"differs"` // since when its table does; zero where it does not
	Told       bool       `json:"told"`    // of that
}

// Pass tells what is known of the peers that are alive.
func (w *Watcher) Pass() []Passed {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := []Passed{}
	for _, p := range w.peers {
		if s := &p.state; s.Alive && p.counts() {
			all = append(all, Passed{s.API, p.at, s.Name, s.ID, s.Version, s.Generation, s.Started, s.Since, s.DiffersSince, p.told})
		}
	}
	return all
}

// GoOn takes peers for alive that another Watcher passed on: what that has told is no news. Call it before Run.
func (w *Watcher) GoOn(all []Passed) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, one := range all[:min(len(all), mostPeers)] {
		if CheckAPI(one.API) == nil && cmp.Or(moment.InUTC("started", &one.Started), moment.InUTC("since", &one.Since), moment.InUTC("differs", &one.Differs)) == nil {
			w.passed = append(w.passed, one)
		}
	}
}

// resumed is what is known of a peer that is looked at from now on. The lock is held.
func (w *Watcher) resumed(p *peer) {
	at := slices.IndexFunc(w.passed, func(one Passed) bool { return one.API == p.state.API })
	if at < 0 {
		return
	}
	one, s := w.passed[at], &p.state
	w.passed = slices.Delete(w.passed, at, at+1)
	s.Alive, s.Known, s.Since, s.Name, s.ID, s.Version = true, true, one.Since, printable(one.Name), one.ID, printable(one.Version)
	p.at, s.Generation, s.Started, s.DiffersSince, p.told = one.At, one.Generation, one.Started, one.Differs, one.Told
}

// miss tells of those passed on that are no peers here.
func (w *Watcher) miss() {
	w.mu.Lock()
	missed := w.passed
	w.passed = nil
	w.mu.Unlock()
	for _, one := range missed {
		w.report(Event{Went, State{API: one.API, Name: printable(one.Name), Cause: noPeerAnyMore}})
	}
}
