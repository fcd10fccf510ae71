package broker

import (
	"net"
	"sync"
)

// phase says what a connection is about.
type phase uint8

const (
	phaseReading      phase = iota // its CONNECT is not complete
	phaseClient                    // a client's dialogue
	phaseRegistration              // a database's
)

// openConnection is one of them.
type openConnection struct {
	phase
	arrival *arrival // whose request is being read
}

// openConnections are the connections that have been accepted and not ended. Of those that are
// sessions the relay knows more than their number.
type openConnections struct {
	mu       sync.Mutex
	all      map[net.Conn]openConnection // but sessions
	sessions int
	waiting  chan struct{} // closed when nobody is left for whom it is; nil: nobody waits
	wanted   func() int    // counts those
}

// enter notes a connection, or that it has come to another phase.
func (o *openConnections) enter(c net.Conn, p phase) { o.note(c, openConnection{phase: p}) }

// read notes a connection of which the request is to be read.
func (o *openConnections) read(a *arrival) { o.note(a.raw, openConnection{phaseReading, a}) }

func (o *openConnections) note(c net.Conn, one openConnection) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.all == nil {
		o.all = map[net.Conn]openConnection{}
	}
	o.all[c] = one
	o.wake()
}

// reading lists those of which the request is being read.
func (o *openConnections) reading() []*arrival {
	o.mu.Lock()
	defer o.mu.Unlock()
	var all []*arrival
	for _, one := range o.all {
		if one.arrival != nil {
			all = append(all, one.arrival)
		}
	}
	return all
}

func (o *openConnections) leave(c net.Conn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.all, c)
	o.wake()
}

// carried notes that a connection is a session's from now on.
func (o *openConnections) carried(c net.Conn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.all, c)
	o.sessions++
	o.wake()
}

// closed notes the end of a session.
func (o *openConnections) closed() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sessions--
	o.wake()
}

func (o *openConnections) wake() {
	if o.waiting != nil && o.wanted() == 0 {
		close(o.waiting)
		o.waiting = nil
	}
}

// count counts connections by phase.
func (o *openConnections) count() map[string]int {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := map[phase]int{}
	for _, one := range o.all {
		n[one.phase]++
	}
	return map[string]int{"reading": n[phaseReading], "client": n[phaseClient] + o.sessions, "registration": n[phaseRegistration]}
}

// clients counts those that are or may become clients; callers hold mu.
func (o *openConnections) clients() int {
	n := o.sessions
	for _, one := range o.all {
		if one.phase != phaseRegistration {
			n++
		}
	}
	return n
}

// none returns how many clients there are, and a channel that is closed once there are none, nor
// registrations if they count. One caller at a time.
func (o *openConnections) none(registrations bool) (int, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.waiting, o.wanted = make(chan struct{}), o.clients
	if registrations {
		o.wanted = o.everything
	}
	waiting, n := o.waiting, o.wanted()
	o.wake()
	return n, waiting
}

// atMost returns a channel that is closed once no more than so many connections are open. As with none, one caller at a time.
func (o *openConnections) atMost(most int) <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.waiting, o.wanted = make(chan struct{}), func() int { return max(o.everything()-most, 0) }
	waiting := o.waiting
	o.wake()
	return waiting
}

// size counts them all.
func (o *openConnections) size() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.everything()
}

// everything is size for callers that hold mu.
func (o *openConnections) everything() int { return len(o.all) + o.sessions }

// close ends all connections that are in one of the phases, none of which sessions are in.
func (o *openConnections) close(phases ...phase) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for c, one := range o.all {
		for _, ending := range phases {
			if one.phase == ending {
				_ = c.Close()
			}
		}
	}
}
