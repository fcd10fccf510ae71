package relay

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"servicebroker/journal"
	"servicebroker/limits"
	"servicebroker/tns"
)

// Arrival is how a client came to be served.
type Arrival struct {
	Turns  []limits.Wait // it waits for these before anything else
	Before *Before       // what another process has done for it; nil: nothing
	// Depart offers the client to another process, with those bytes from its connection that are to be read again.
	// nil: it was taken. It must not give up before that is known, unless this process ends. A nil Depart: it stays.
	Depart func(before *Before, read []byte) error
	// Carried is told that the connection has become a session's, of whose end Server.Closed is told; may be nil.
	Carried func()
	// Part closes the connection when its client has had time to read the last message, at the latest after limit, and does
	// not wait for that; nil: the dialogue waits.
	Part func(conn *tns.Conn, limit time.Duration)
}

// Before is what a process has done for a client that has no answer yet. A field that is not known is passed over.
type Before struct {
	Ref      string            `json:"ref"`
	Began    time.Time         `json:"began"`
	Waited   time.Duration     `json:"waited_ns,omitempty"`
	Held     time.Time         `json:"held,omitzero"`     // since when it stands in a line
	Left     time.Time         `json:"left"`              // when that was so
	Through  []limits.Kind     `json:"through,omitempty"` // what has a rate that it is through
	Attempts []journal.Attempt `json:"attempts,omitempty"`
}

// departing are the clients that wait, and whether another process is to have them.
type departing struct {
	round   atomic.Uint64 // of offers, which a client gets one in each; 0: nobody departs
	last    atomic.Uint64 // round
	mu      sync.Mutex
	waiting map[*dialogue]*sync.WaitGroup // with whoever waits until it has been offered; nil: nobody
}

// errDeparted ends a dialogue that another process goes on with.
var errDeparted = errors.New("another process goes on with it")

// Depart has those clients offered to another process that wait for what they ask for, and, before they are served, all
// that have no answer yet. It returns once each has been offered that waits now. Who waits for a turn, or for an
// instance's answer, is offered when it has come if that does not make it a session.
func (s *Server) Depart() {
	leave := &s.departing
	leave.round.Store(leave.last.Add(1))
	var offered sync.WaitGroup
	var all []*dialogue
	leave.mu.Lock()
	for d := range leave.waiting {
		offered.Add(1)
		leave.waiting[d] = &offered
		all = append(all, d)
	}
	leave.mu.Unlock()
	slices.SortFunc(all, func(a, b *dialogue) int { return a.held.Compare(b.held) })
	for _, d := range all {
		d.bell.ring()
	}
	offered.Wait() // as soon as its goroutine runs, or it is over
}

// awaits notes that d waits, and can be asked to depart until it is called what is returned.
func (s *Server) awaits(d *dialogue) (over func()) {
	if d.arrival.Depart == nil {
		return func() {}
	}
	leave := &s.departing
	leave.mu.Lock()
	defer leave.mu.Unlock()
	if leave.waiting == nil {
		leave.waiting = map[*dialogue]*sync.WaitGroup{}
	}
	leave.waiting[d] = nil
	return func() {
		leave.answer(d)
		leave.mu.Lock()
		defer leave.mu.Unlock()
		delete(leave.waiting, d)
	}
}

// answer tells whoever waits for it that d has been offered, or cannot be.
func (l *departing) answer(d *dialogue) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if offered := l.waiting[d]; offered != nil {
		l.waiting[d] = nil
		offered.Done()
	}
}

// departs offers d where all are to go, once, and tells whether another process has it.
func (s *Server) departs(d *dialogue) bool {
	round := s.departing.round.Load()
	if round == 0 || round == d.offered || d.arrival.Depart == nil {
		return false
	}
	var err error
	apart(func() { err = d.arrival.Depart(d.soFar(), d.unread()) })
	d.offered = round
	s.departing.answer(d)
	if err == nil && d.place != nil {
		d.place.Move()
		d.place = nil
	}
	return err == nil
}

// soFar is what has been done for d.
func (d *dialogue) soFar() *Before {
	b := &Before{Ref: d.ref, Began: d.began, Waited: d.waited, Held: d.held, Left: time.Now(), Attempts: d.tried}
	if d.record != nil {
		b.Ref, b.Attempts = d.record.Ref, d.record.Attempts
	}
	b.Attempts = b.Attempts[:min(len(b.Attempts), mostTried)]
	if !d.waits.IsZero() {
		b.Waited += time.Since(d.waits)
	}
	for _, kind := range []limits.Kind{limits.OfRule, limits.OfService, limits.OfTenant, limits.OfAll} {
		if d.through[kindIndex(kind)] {
			b.Through = append(b.Through, kind)
		}
	}
	return b
}

// unread is what a process has to read that begins with d anew.
func (d *dialogue) unread() []byte {
	if d.hello != nil {
		return slices.Concat(d.hello, d.conn.Unread())
	}
	return append(d.connect.AppendTo(nil, false), d.conn.Unread()...)
}

// goOn begins where another process was with d.
func (d *dialogue) goOn(b *Before) {
	d.began, d.waited, d.held = b.Began, max(b.Waited, 0), b.Held
	if !b.Held.IsZero() && !b.Left.IsZero() { // on its way it waited, too
		d.waited += max(0, time.Since(b.Left))
	}
	for _, kind := range b.Through {
		d.through[kindIndex(kind)] = true
	}
}
