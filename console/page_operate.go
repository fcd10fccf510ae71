package console

import (
	"time"

	"servicebroker/journal"
)

// How many of each the first page lists; elsewhere are all.
const (
	pageEvents   = 12
	pageRefusals = 8
	pageHeldMost = 8
)

// pageNews is what the first page tells besides services: what needs a decision, what operators want, what happened.
type pageNews struct {
	Held        HeldList
	HeldConnect []pageHeld
	Quarantine  []pageQuarantine
	Intents     []pageIntent
	Peers       []pagePeer
	Brokers     int // that share the load
	Refusals    []pageConnect
	Events      []pageEvent
	Journal     bool // events and explanations are kept
}

type pageHeld struct{ Service, Waiting, Longest string }

type pageQuarantine struct {
	QuarantineEntry
	When string
}

type pageIntent struct {
	IntentView
	Wants, About, Set, How string
	Total, Gone            int // sessions, for the bar; Total is 0 where none are waited for
}

type pageEvent struct {
	journal.Event
	When, About, Why string
	Tone             string // good, bad or ""
}

func (v seen) news(now time.Time) pageNews {
	n := pageNews{Journal: v.Server.Journal != nil}
	if v.Server.Held != nil {
		n.Held = heldList(v.held(), "", pageHeldMost)
		for _, h := range n.Held.Services[:min(len(n.Held.Services), pageHeldMost)] {
			n.HeldConnect = append(n.HeldConnect, pageHeld{h.Service, Plural(h.Waiting, "connect"), span(now.Sub(h.Oldest))})
		}
	}
	if v.Server.Quarantine != nil {
		for _, q := range v.quarantine() {
			n.Quarantine = append(n.Quarantine, pageQuarantine{q, ago(q.Since, now)})
		}
	}
	n.Peers, n.Brokers = v.pagePeers(now)
	for _, one := range v.intents() {
		n.Intents = append(n.Intents, newPageIntent(one, now))
	}
	if v.Server.Journal != nil {
		n.Refusals = pageConnects(v.find(journal.FindQuery{Outcome: journal.Refuse, Limit: pageRefusals}), now)
		events := v.listEvents(journal.Filter{Limit: pageEvents})
		for i := range events { // the newest first
			n.Events = append(n.Events, newPageEvent(events[len(events)-1-i], now))
		}
	}
	return n
}

func newPageIntent(v IntentView, now time.Time) pageIntent {
	p := pageIntent{IntentView: v, Wants: kindText(v.Intent), About: targetText(v.Target), Set: ago(v.Created, now), How: progressText(v, now)}
	if start := max(v.Progress.SessionsAtStart, v.Progress.SessionsLeft); waitsForSessions(v) && start > 0 {
		p.Total, p.Gone = start, start-v.Progress.SessionsLeft
	}
	return p
}

func newPageEvent(e journal.Event, now time.Time) pageEvent {
	p := pageEvent{Event: e, When: ago(e.Time, now), Tone: eventTone(e.Kind), Why: e.Cause}
	for _, word := range []string{e.Service, instanceText(e)} {
		if word != "" && p.About != "" {
			p.About += " on "
		}
		p.About += word
	}
	if e.Detail != "" && e.Detail != e.Cause {
		if p.Why != "" {
			p.Why += "; "
		}
		p.Why += e.Detail
	}
	return p
}

func instanceText(e journal.Event) string {
	if e.Instance == "" || e.Host == "" {
		return e.Instance + e.Host
	}
	return e.Instance + "@" + e.Host
}

// eventTone tells whether an event is for better or worse.
func eventTone(k journal.Kind) string {
	switch k {
	case journal.Registered, journal.ServiceUp, journal.Restored, journal.HoldEnded, journal.Drained, journal.Approved, journal.Started, journal.PeerUp, journal.PeerAgrees:
		return "good"
	case journal.Died, journal.ServiceDown, journal.Ejected, journal.SessionsLost, journal.Quarantined, journal.Rejected, journal.Undecodable, journal.PeerDown:
		return "bad"
	}
	return ""
}
