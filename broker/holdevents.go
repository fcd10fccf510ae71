package broker

import (
	"fmt"
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
			s.over = nil
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
		h.finish(service, s)
	}
}
