package registration

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"time"

	"servicebroker/registration/nsgr"
	"servicebroker/servicetable"
)

// MovedFormat is the version of MovedRegistration. What a reader may ignore needs no new one; what it may not is named in Needs.
const MovedFormat = 1

// MovedRegistration is a registrant's dialogue between two reads, with which another process goes on. Its socket is passed
// beside it.
type MovedRegistration struct {
	Format int
	Needs  []string `json:",omitempty"` // what a reader must know to go on rightly

	ID      servicetable.ID
	Peer    netip.AddrPort
	Version uint16 // of Oracle Net, as agreed
	SDU     int    // of what is sent to the registrant
	Unread  []byte // came from the socket, and was not taken as packets yet
	Partial []byte // payload that is no whole message yet

	Representation nsgr.Representation
	Framed         bool      // a whole message has come: there is no time limit any more
	Limit          time.Time // else until then
	Said           servicetable.Registration
	Shown          servicetable.Registration // of that, what was handed to Apply; without an instance if nothing was
	Own            []string                  `json:",omitempty"` // handlers at the broker's own addresses that were reported
	Undecodable    int                       `json:",omitempty"`
	Pace, Dumps    MovedPace
}

// MovedPace is how much of a rate's burst was used when.
type MovedPace struct {
	Used float64
	At   time.Time
}

// Offer hands a dialogue to another process together with its socket, and returns nil once that goes on with it; with any
// error it goes on here. The files are closed after it has returned.
type Offer func(m *MovedRegistration, files []*os.File) error

// relocation is the wish to move one dialogue.
type relocation struct {
	offer Offer
	done  chan<- outcome // has room for it; nil: nobody wants to know
}

// outcome is what became of a relocation.
type outcome uint8

const (
	ended outcome = iota // the dialogue was over before
	moved
	stayed
)

// errMoved ends a dialogue that another process goes on with.
var errMoved = errors.New("moved to another process")

// Move offers every registrant's dialogue, each between two reads, which may be in the middle of a message, and returns when
// all have been answered for or ctx ends: how many moved, and how many stayed, since they cannot move (those that go through an
// upstream listener or over TLS or another wrapper of their socket) or were declined. offer is called from many goroutines at a
// time. Of those that move, nobody here is told that they are over. Those that begin later are offered as soon as they
// have been accepted, with a context that never ends.
func (s *Server) Move(ctx context.Context, offer func(context.Context, *MovedRegistration, []*os.File) error) (numMoved, numStayed int) {
	now := func(m *MovedRegistration, files []*os.File) error { return offer(ctx, m, files) }
	forever := context.WithoutCancel(ctx)
	s.mu.Lock()
	s.later = func(m *MovedRegistration, files []*os.File) error { return offer(forever, m, files) }
	all := make([]*dialogue, 0, len(s.dialogues))
	for d := range s.dialogues {
		all = append(all, d)
	}
	s.mu.Unlock()

	done := make(chan outcome, len(all))
	wishes := map[*dialogue]*relocation{}
	for _, d := range all {
		wish := &relocation{offer: now, done: done}
		if d.socket == nil {
			numStayed++
		} else if d.reading.ask(wish) {
			wishes[d] = wish
		}
	}
	withdraw := ctx.Done()
	for left := len(wishes); left > 0; {
		select {
		case result := <-done:
			left--
			switch result {
			case moved:
				numMoved++
			case stayed:
				numStayed++
			}
		case <-withdraw:
			withdraw = nil // what is offered already ends by itself, since its context has
			for d, wish := range wishes {
				if d.reading.withdraw(wish) {
					left--
					numStayed++
				}
			}
		}
	}
	return numMoved, numStayed
}

// Keep undoes what Move says about those that begin later: they stay.
func (s *Server) Keep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.later = nil
}

// socket is a connection that another process can go on with.
type socket interface {
	net.Conn
	File() (*os.File, error)
}

// enter notes a dialogue that can be asked to move, and asks it at once where all are to. What it returns ends that.
func (s *Server) enter(d *dialogue) (leave func()) {
	s.mu.Lock()
	if s.dialogues == nil {
		s.dialogues, s.wordless = map[*dialogue]bool{}, map[*dialogue]time.Time{}
	}
	s.dialogues[d] = true
	if !d.framed {
		s.wordless[d] = time.Now()
	}
	later := s.later
	s.mu.Unlock()
	if later != nil && d.socket != nil {
		d.reading.ask(&relocation{offer: later})
	}
	return func() {
		s.mu.Lock()
		delete(s.dialogues, d)
		delete(s.wordless, d)
		s.mu.Unlock()
		d.reading.end().answer(ended)
	}
}

func (r *relocation) answer(o outcome) {
	if r != nil && r.done != nil {
		r.done <- o
	}
}

// move offers d, and reports whether another process goes on with it.
func (d *dialogue) move(r *relocation) bool {
	err := d.offerTo(r.offer)
	if err != nil {
		d.log.Debug("registration does not move", "instance", d.shown.Instance, "cause", err.Error())
		r.answer(stayed)
		return false
	}
	d.moved = true
	d.log.Debug("registration goes on in another process", "instance", d.shown.Instance)
	r.answer(moved)
	return true
}

func (d *dialogue) offerTo(offer Offer) error {
	file, err := d.socket.File()
	if err != nil {
		return err
	}
	defer file.Close()
	return offer(d.state(), []*os.File{file})
}

// state is d as another process needs it.
func (d *dialogue) state() *MovedRegistration {
	m := &MovedRegistration{
		Format: MovedFormat, ID: d.current.ID, Peer: d.peer, Version: d.conn.Version(), SDU: d.sdu,
		Unread: d.conn.Unread(), Partial: d.collector.Unread(),
		Representation: d.known, Framed: d.framed, Limit: d.reading.limitNow(), Said: d.current, Shown: d.shown, Undecodable: d.undecodable,
		Pace: MovedPace{d.pace.used, d.pace.at}, Dumps: MovedPace{d.dumps.used, d.dumps.at},
	}
	for name := range d.own {
		m.Own = append(m.Own, name)
	}
	return m
}
