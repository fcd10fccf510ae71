package packettrace

import (
	"fmt"
	"sync"
	"time"

	"servicebroker/tns"
)

// How much of a packet's payload a trace shows.
const (
	briefPayload = 4 // by default: flags and what kind of message it is, and nothing of what is in it
	dataPayload  = 16 << 10
	plainPayload = 2 // the flags, which are never hidden
)

// settled is the age at which a session has had its login, if that was not seen.
const settled = 10 * time.Second

// dialogue shows packets of a dialogue before a session, whole, with the secrets of
// descriptors hidden.
type dialogue struct {
	write     func(string)
	us, peer  string
	mu        sync.Mutex
	sent, got textMask
}

// seen takes what tns.Conn.Seen tells.
func (d *dialogue) seen(sent bool, b []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	mask, who := &d.got, d.peer+" > "+d.us
	if sent {
		mask, who = &d.sent, d.us+" > "+d.peer
	}
	for len(b) > 0 {
		one := b
		if len(b) >= headerSize {
			n := lengthOf(b, false)
			if n == 0 {
				n = lengthOf(b, true)
			}
			if n >= headerSize && n < len(b) {
				one = b[:n]
			}
		}
		p := packet{at: time.Now(), who: who, length: len(one)}
		copy(p.header[:], one)
		p.shown = append(p.shown, one[min(headerSize, len(one)):]...)
		mask.hide(p.shown[dataFlags(one):])
		p.shown = p.shown[:min(len(p.shown), dataPayload)]
		d.write(p.text())
		b = b[len(one):]
	}
}

// dataFlags is how many bytes a packet has before its text: those of DATA may come in the
// middle of one (tns.md 1.4).
func dataFlags(packet []byte) int {
	if len(packet) >= headerSize+plainPayload && tns.Type(packet[4]) == tns.TypeData {
		return plainPayload
	}
	return 0
}

// session shows packets of a session, both ways.
type session struct {
	write func(string)
	data  bool // payload is shown once the login is over
	large bool // lengths have 32 bits

	mu      sync.Mutex
	login   bool      // it is not over
	settles time.Time // when it surely is, for a session whose begin was not seen; else zero
	ways    [2]way
}

// way is one direction of a session.
type way struct {
	who    string
	inStep bool // a packet began where one was expected to
	header []byte
	packet packet // being read
	left   int    // bytes of it to come
	hidden bool   // the rest of this message, up to the answer
	find   search // what is sensitive
	ended  search // what ends the login
}

// newSession begins to look at a session between a client and an instance.
func newSession(write func(string), s Session, data bool) *session {
	one := &session{write: write, data: data, large: s.Version >= tns.VersionLargeSDU, login: true}
	fromBegin := time.Since(s.Started) < time.Second
	if !fromBegin {
		one.settles = s.Started.Add(settled)
	}
	name := fmt.Sprintf("session %d ", s.ID)
	one.ways[0].who = name + s.Client.String() + " > " + s.Server
	one.ways[1].who = name + s.Server + " > " + s.Client.String()
	for i := range one.ways {
		one.ways[i].find = search{texts: sensitive, longest: longestSensitive}
		one.ways[i].ended = search{texts: loggedIn, longest: longestLoggedIn}
		one.ways[i].inStep = fromBegin
	}
	return one
}

// bytes takes what went to the instance, or to the client.
func (s *session) bytes(toClient bool, b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := &s.ways[0]
	if toClient {
		w = &s.ways[1]
	}
	for len(b) > 0 {
		switch {
		case w.left > 0:
			n := min(w.left, len(b))
			s.payload(w, toClient, b[:n])
			b = b[n:]
			if w.left -= n; w.left == 0 {
				s.write(w.packet.text())
			}
		case len(w.header) == 0 && !w.inStep && !s.plausible(b):
			s.write(fmt.Sprintf("%s %s %d bytes in the middle of a packet", time.Now().Local().Format(timeForm), w.who, len(b)))
			return
		default:
			n := min(headerSize-len(w.header), len(b))
			w.header = append(w.header, b[:n]...)
			b = b[n:]
			if len(w.header) == headerSize {
				s.begin(w, toClient)
			}
		}
	}
}

// plausible tells whether a packet may begin with b.
func (s *session) plausible(b []byte) bool {
	if len(b) < headerSize {
		return false
	}
	n, kind := lengthOf(b, s.large), tns.Type(b[4])
	checksum := s.large || b[2] == 0 && b[3] == 0
	return n >= headerSize && n <= tns.MaxSDU+headerSize && checksum && b[6] == 0 && b[7] == 0 && b[5]&^0x2f == 0 &&
		(kind == tns.TypeData || kind == tns.TypeMarker || kind == tns.TypeControl || kind == tns.TypeDataDescriptor || kind == tns.TypeNull)
}

// begin reads a header.
func (s *session) begin(w *way, toClient bool) {
	if !s.settles.IsZero() && !time.Now().Before(s.settles) {
		s.login = false
	}
	w.packet = packet{at: time.Now(), who: w.who, length: lengthOf(w.header, s.large), withheld: s.withheld()}
	copy(w.packet.header[:], w.header)
	w.inStep = s.plausible(w.header)
	w.header = w.header[:0]
	s.ways[1-index(toClient)].hidden = false // the other side has been answered
	if !w.inStep {
		w.packet.length = headerSize
		s.write(w.packet.text() + "\n  no packet of this version: what follows is not shown until one begins")
		return
	}
	if w.left = w.packet.length - headerSize; w.left == 0 {
		s.write(w.packet.text())
	}
}

func index(toClient bool) int {
	if toClient {
		return 1
	}
	return 0
}

func (s *session) withheld() string {
	switch {
	case !s.data:
		return ""
	case s.login:
		return ", not shown before the login is over"
	}
	return ", not shown"
}

// payload takes a piece of a packet and keeps what may be shown of it.
func (s *session) payload(w *way, toClient bool, b []byte) {
	most := briefPayload
	if s.data && !s.login {
		most = dataPayload
	}
	if keep := min(most-len(w.packet.shown), len(b)); keep > 0 {
		w.packet.shown = append(w.packet.shown, b[:keep]...)
	}
	if !s.data {
		return
	}
	s.conceal(w, b)
	if toClient && s.login && w.ended.find(b) >= 0 {
		s.login = false // from the next packet on
		w.hidden = true
	}
}

// conceal hides what is sensitive among the bytes shown of the piece b, the last ones taken.
func (s *session) conceal(w *way, b []byte) {
	at := w.find.find(b)
	if w.hidden {
		at = 0
	}
	if at < 0 {
		return
	}
	w.hidden = true
	taken := w.packet.length - headerSize - w.left // before b
	if from := max(taken+at, plainPayload); from < len(w.packet.shown) {
		stars(w.packet.shown[from:])
	}
}
