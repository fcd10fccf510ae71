package failover

import (
	"cmp"
	"slices"
	"time"
)

// HeldEntry is one held connect, for people.
type HeldEntry struct {
	Service, Queue, Client, Ref, Cause string
	Since, Until                       time.Time
	Position                           int // 1 has waited longest of its line; 0 is trying right now

	arrival uint64
}

// HoldCounters count since the Holder's first use, save HeldNow.
type HoldCounters struct {
	Held      uint64 // connects that got a place
	Released  uint64 // times that one was let go
	Connected uint64 // those served in the end
	Failed    uint64 // those refused for good after they had been let go
	Expired   uint64 // those whose time was up
	Left      uint64 // clients that went away while they waited
	Stopped   uint64 // those told that the broker stops
	Moved     uint64 // those that wait on in another Holder
	Full      uint64 // connects not held for want of room
	WouldHold uint64 // connects that a dry run did not hold
	HeldNow   int    // places taken
}

// HoldEvent says that connects for a service began to wait, or that none does any more.
type HoldEvent struct {
	Time    time.Time
	Began   bool   // else ended
	Service string // as first asked for
	Cause   string // of the first of them

	// The rest is set at the end.
	Took                                             time.Duration // since the beginning
	Connected, Failed, Expired, Left, Stopped, Moved int
}

// Counters returns the counters as of now.
func (h *Holder) Counters() HoldCounters {
	h.lock()
	defer h.unlock()
	c := h.counters
	c.HeldNow = int(h.occupied.Load())
	return c
}

// Held lists who is held, by queue, then position.
func (h *Holder) Held() []HeldEntry {
	entries := h.entries()
	slices.SortFunc(entries, func(a, b HeldEntry) int {
		return cmp.Or(cmp.Compare(a.Queue, b.Queue), cmp.Compare(a.Position, b.Position), a.Since.Compare(b.Since), cmp.Compare(a.arrival, b.arrival))
	})
	position := 0
	for i := range entries {
		e := &entries[i]
		if i == 0 || e.Queue != entries[i-1].Queue {
			position = 0
		}
		if e.Position > 0 {
			position++
			e.Position = position
		}
	}
	return entries
}

// entries lists who is held, in no order; Position is 1 for all that wait.
func (h *Holder) entries() []HeldEntry {
	h.lock()
	defer h.unlock()
	entries := make([]HeldEntry, 0, h.occupied.Load())
	for _, l := range h.lines {
		for _, p := range l.trying.items {
			entries = append(entries, h.entry(p, 0))
		}
		for _, p := range slices.Concat(l.waiting.items, l.passed.items) {
			entries = append(entries, h.entry(p, 1))
		}
	}
	return entries
}

func (h *Holder) entry(p *Place, position int) HeldEntry {
	return HeldEntry{
		Service: p.asked, Queue: p.line.queue, Client: p.client, Ref: p.ref, Cause: p.cause,
		Since: h.time(p.since), Until: h.time(p.until), Position: position, arrival: p.arrival,
	}
}

// beginSpell notes that p is the first to wait for its service.
func (h *Holder) beginSpell(p *Place) {
	p.service.spell = HoldEvent{Time: h.time(p.since), Began: true, Service: p.asked, Cause: p.cause}
	h.event(p.service.spell)
}

// endSpell notes that nobody waits for s any more.
func (h *Holder) endSpell(s *heldService) {
	e := s.spell
	now := h.time(h.now())
	e.Began, e.Time, e.Took = false, now, now.Sub(e.Time)
	h.event(e)
	s.spell = HoldEvent{}
}

func (h *Holder) event(e HoldEvent) {
	if h.Report != nil {
		h.events = append(h.events, e)
	}
}

// report tells of the events so far, in order, with the Holder unlocked.
func (h *Holder) report() {
	h.told.Lock()
	defer h.told.Unlock()
	h.mu.Lock()
	events := h.events
	h.events = nil
	h.mu.Unlock()
	for _, e := range events {
		h.Report(e)
	}
}

// instantOf is the instant of a time, which may be before the Holder's first.
func (h *Holder) instantOf(t time.Time) instant { return t.Sub(h.started) + 1 }

// time returns when an instant was, or will be.
func (h *Holder) time(at instant) time.Time { return h.started.Add(at - 1) }
