package broker

import (
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"time"

	"servicebroker/failover"
	"servicebroker/journal"
)

// holdEvents writes down that connects wait, and that none does any more. Clients that come and
// go while a service is away make one story, not one each: its end is told once nobody has
// waited for a while.
type holdEvents struct {
	tell func(journal.Event)

	mu     sync.Mutex
	spells map[string]*spell // by service
}

// spell is a time in which connects for a service waited.
type spell struct {
	began time.Time
	sum   failover.HoldEvent
	over  *time.Timer // tells the end; nil while somebody waits

	passed bool // by another process, and nobody has come from there yet
}

// quietFor is how long nobody has to have waited.
const quietFor = 2 * time.Second

func (h *holdEvents) note(e failover.HoldEvent) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.spells[e.Service]
	if e.Began {
		if s == nil {
			if h.spells == nil {
				h.spells = map[string]*spell{}
			}
			h.spells[e.Service] = &spell{began: e.Time}
			h.tell(journal.Event{Time: e.Time, Kind: journal.HoldBegan, Service: e.Service, EventType: "SERVICE", Cause: e.Cause})
		} else if s.over != nil {
			s.over.Stop()
			s.over, s.passed = nil, false
		}
		return
	}
	if s == nil {
		return
	}
	sum := &s.sum
	sum.Time, sum.Cause, sum.Service = e.Time, e.Cause, e.Service
	sum.Connected, sum.Failed, sum.Expired = sum.Connected+e.Connected, sum.Failed+e.Failed, sum.Expired+e.Expired
	sum.Left, sum.Stopped, sum.Moved = sum.Left+e.Left, sum.Stopped+e.Stopped, sum.Moved+e.Moved
	s.over = time.AfterFunc(quietFor, func() { h.end(e.Service, s) })
}

// end tells the end of a spell, unless it goes on.
func (h *holdEvents) end(service string, s *spell) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.spells[service] == s && s.over != nil {
		h.finish(service, s)
	}
}

func (h *holdEvents) finish(service string, s *spell) {
	delete(h.spells, service)
	e := &s.sum
	if e.Moved > 0 { // it goes on in another process, which tells the end
		return
	}
	h.tell(journal.Event{
		Time: e.Time, Kind: journal.HoldEnded, Service: service, EventType: "SERVICE", Cause: e.Cause,
		Detail: fmt.Sprintf("%d connected, %d failed, %d expired, %d left, after %v", e.Connected, e.Failed, e.Expired, e.Left, e.Time.Sub(s.began).Round(time.Millisecond)),
	})
}

// flush tells all ends at once; no more is noted afterwards.
func (h *holdEvents) flush() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for service, s := range h.spells {
		if s.over != nil {
			s.over.Stop()
		}
		if !s.passed {
			h.finish(service, s)
		}
	}
}

// spellPassed is a spell that goes on in a successor.
type spellPassed struct {
	Service string             `json:"service"`
	Began   time.Time          `json:"began"`
	Sum     failover.HoldEvent `json:"sum"`
}

// passedFor is how long a successor waits for those who are held to come to it.
const passedFor = 10 * time.Second

// giveHolds passes on for what connects are held, whose beginning has been told.
func (b *Broker) giveHolds() (any, []*os.File, error) {
	h := &b.holds
	h.mu.Lock()
	defer h.mu.Unlock()
	given := []spellPassed{}
	for service, s := range h.spells {
		if s.over == nil || s.passed {
			given = append(given, spellPassed{service, s.began, s.sum})
		}
	}
	return given, nil, nil
}

func (b *Broker) takeHolds(state json.RawMessage, _ []*os.File) error {
	var given []spellPassed
	if err := json.Unmarshal(state, &given); err != nil {
		return err
	}
	h := &b.holds
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.spells == nil {
		h.spells = map[string]*spell{}
	}
	for _, one := range given {
		s := &spell{began: one.Began, sum: one.Sum, passed: true}
		s.over = time.AfterFunc(passedFor, func() { h.forget(one.Service, s) })
		h.spells[one.Service] = s
	}
	return nil
}

// forget is for a spell of another process of which nobody came: that tells its end.
func (h *holdEvents) forget(service string, s *spell) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.spells[service] == s && s.passed {
		delete(h.spells, service)
	}
}
