package stage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Answer is how a listener answered a CONNECT, by the type of its packet (tns.md 1.1).
type Answer byte

// The answers that end the dialogue of a connect.
const (
	NoAnswer   Answer = 0
	Accepted   Answer = 2
	Refused    Answer = 4
	Redirected Answer = 5
)

func (a Answer) String() string {
	switch a {
	case NoAnswer:
		return "no answer"
	case Accepted:
		return "ACCEPT"
	case Refused:
		return "REFUSE"
	case Redirected:
		return "REDIRECT"
	}
	return "another packet"
}

// Sighting is what a Tap saw of one connection.
type Sighting struct {
	Door     netip.Addr // the loopback address to which the client connected
	Client   string     // address and port from which the broker is dialled
	Began    time.Time  // the client connected
	Answer   Answer     // what the broker said in the end
	Answered time.Time  // zero: not yet
	Text     string     // of a REFUSE or REDIRECT
	Ended    time.Time  // zero: not yet
}

// Tap stands between clients and a broker and notes when each CONNECT was answered, and how. It listens on all of
// 127.0.0.0/8: clients that each go to an address of their own are told apart by it.
type Tap struct {
	Address  string // where clients connect
	Port     int    // the same on every other loopback address
	target   string
	listener *net.TCPListener
	deaf     chan struct{} // closed when the listener is
	running  sync.WaitGroup

	mu    sync.Mutex
	seen  []*Sighting
	conns map[net.Conn]bool
	thaw  chan struct{} // closed: bytes go through
}

// StartTap starts a tap in front of an address. Close ends it.
func StartTap(target string) (*Tap, error) {
	free, err := FreeAddress() // which nobody else gets while it is given up for a while
	if err != nil {
		return nil, err
	}
	_, own, _ := net.SplitHostPort(free)
	l, err := net.Listen("tcp4", net.JoinHostPort("0.0.0.0", own))
	if err != nil {
		return nil, err
	}
	port := l.Addr().(*net.TCPAddr).Port
	t := &Tap{Address: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), Port: port, target: target, conns: map[net.Conn]bool{}, thaw: make(chan struct{})}
	close(t.thaw)
	t.listen(l.(*net.TCPListener))
	return t, nil
}

func (t *Tap) listen(l *net.TCPListener) {
	t.listener, t.deaf = l, make(chan struct{})
	t.running.Go(func() {
		defer close(t.deaf)
		defer l.Close()
		for {
			client, err := l.AcceptTCP()
			switch {
			case err == nil:
				came := time.Now()
				t.running.Go(func() { t.carry(client, came) })
			case errors.Is(err, os.ErrDeadlineExceeded) && somebodyWaits(l): // who came before the deadline, however busy the machine is
				_ = l.SetDeadline(time.Now().Add(quiet))
			default:
				return
			}
		}
	})
}

// quiet is how long those who have come are taken in before it is looked whether any are left.
const quiet = time.Millisecond

// somebodyWaits tells whether a connection has come that was not taken in.
func somebodyWaits(l *net.TCPListener) bool {
	raw, err := l.SyscallConn()
	if err != nil {
		return false
	}
	waits := false
	err = raw.Control(func(fd uintptr) {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
		waits = n > 0 || err == unix.EINTR
	})
	return waits && err == nil
}

// Refuse takes in those who have come and has the system refuse everyone from then on, as if what is behind had ended,
// until Reopen. Whoever was let in is carried as before.
func (t *Tap) Refuse() {
	_ = t.listener.SetDeadline(time.Now().Add(quiet))
	<-t.deaf
}

// Reopen ends Refuse.
func (t *Tap) Reopen() error {
	l, err := net.Listen("tcp4", net.JoinHostPort("0.0.0.0", strconv.Itoa(t.Port)))
	if err == nil {
		t.listen(l.(*net.TCPListener))
	}
	return err
}

// Close ends the tap and all that goes through it.
func (t *Tap) Close() {
	_ = t.listener.Close()
	t.Cut()
	t.Thaw()
	t.running.Wait()
}

// Cut breaks all connections, as the crash of a client does.
func (t *Tap) Cut() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for c := range t.conns {
		_ = c.(*net.TCPConn).SetLinger(0)
		_ = c.Close()
	}
}

// Freeze holds all bytes back, until Thaw.
func (t *Tap) Freeze() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if closed(t.thaw) {
		t.thaw = make(chan struct{})
	}
}

// Thaw lets bytes through again.
func (t *Tap) Thaw() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !closed(t.thaw) {
		close(t.thaw)
	}
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// awaitThaw returns once bytes may pass.
func (t *Tap) awaitThaw() {
	t.mu.Lock()
	thaw := t.thaw
	t.mu.Unlock()
	<-thaw
}

// Sightings returns what was seen so far, in the order in which clients came.
func (t *Tap) Sightings() []Sighting {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]Sighting, len(t.seen))
	for i, s := range t.seen {
		all[i] = *s
	}
	return all
}

// Forget drops what was seen of connections that had ended by a time.
func (t *Tap) Forget(by time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.seen = slices.DeleteFunc(t.seen, func(s *Sighting) bool { return !s.Ended.IsZero() && s.Ended.Before(by) })
}

func (t *Tap) hold(c net.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.conns[c] = true
}

func (t *Tap) drop(c net.Conn) {
	_ = c.Close()
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.conns, c)
}

func (t *Tap) carry(client net.Conn, came time.Time) {
	t.hold(client)
	defer t.drop(client)
	door := client.LocalAddr().(*net.TCPAddr).AddrPort().Addr()
	if !door.IsLoopback() {
		return
	}
	s := &Sighting{Door: door, Began: came}
	t.mu.Lock()
	t.seen = append(t.seen, s)
	t.mu.Unlock()
	defer t.note(func() { s.Ended = time.Now() })
	server, err := net.Dial("tcp", t.target)
	if err != nil {
		return
	}
	t.hold(server)
	defer t.drop(server)
	t.note(func() { s.Client = server.LocalAddr().String() })
	back := make(chan struct{})
	go func() { // ends when the server's half does, for which carry waits
		defer close(back)
		t.copyHalf(client, server, &answerReader{note: t.note, s: s})
	}()
	t.copyHalf(server, client, io.Discard)
	<-back
}

// note changes a sighting.
func (t *Tap) note(change func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	change()
}

// copyHalf copies until the source ends and passes the end on, a reset as a reset.
func (t *Tap) copyHalf(to, from net.Conn, watch io.Writer) {
	buffer := make([]byte, 16<<10)
	for {
		n, err := from.Read(buffer)
		t.awaitThaw()
		if n > 0 {
			_, _ = watch.Write(buffer[:n])
			if _, err := to.Write(buffer[:n]); err != nil {
				break
			}
		}
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, os.ErrClosed) && !errors.Is(err, net.ErrClosed) {
				_ = to.(*net.TCPConn).SetLinger(0)
				_ = to.Close()
			}
			break
		}
	}
	_ = to.(*net.TCPConn).CloseWrite()
}

// maxWatched bounds what is kept of an answer.
const maxWatched = 16 << 10

// answerReader looks at the packets of a broker until one answers the CONNECT.
type answerReader struct {
	note func(func())
	s    *Sighting
	kept []byte
	done bool
}

const (
	packetHeader = 8
	typeData     = 6
)

func (a *answerReader) Write(p []byte) (int, error) {
	if a.done {
		return len(p), nil
	}
	a.kept = append(a.kept, p...)
	for len(a.kept) >= packetHeader && !a.done {
		length, kind := int(binary.BigEndian.Uint16(a.kept)), a.kept[4]
		answered := !a.s.Answered.IsZero() // a REDIRECT whose text is still to come
		if !answered && (kind == byte(Accepted) || kind == byte(Refused) || kind == byte(Redirected)) {
			a.note(func() { a.s.Answer, a.s.Answered = Answer(kind), time.Now() })
		}
		if kind == byte(Accepted) {
			a.done = true
			break
		}
		if length < packetHeader || len(a.kept) < length {
			break
		}
		body := a.kept[packetHeader:length]
		switch {
		case kind == byte(Refused):
			a.note(func() { a.s.Text = textBehind(body, 4) })
			a.done = true
		case kind == byte(Redirected) && len(body) > 2:
			a.note(func() { a.s.Text = textBehind(body, 2) })
			a.done = true
		case kind == typeData && answered:
			a.note(func() { a.s.Text = textBehind(body, 2) })
			a.done = true
		}
		a.kept = a.kept[length:]
	}
	a.done = a.done || len(a.kept) > maxWatched
	if a.done {
		a.kept = nil
	}
	return len(p), nil
}

// textBehind is the text behind so many bytes of a packet's body, up to a NUL.
func textBehind(body []byte, skip int) string {
	text, _, _ := bytes.Cut(body[min(skip, len(body)):], []byte{0})
	return string(text)
}
