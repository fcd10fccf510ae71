package registration

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"servicebroker/registration/nsgr"
	"servicebroker/tns"
)

// ErrNotUnderstood is a MovedRegistration that cannot be gone on with: it must stay where it is.
var ErrNotUnderstood = errors.New("this moved registration is not understood")

// Resumed is a dialogue that another process began. Either Serve or Close must be called.
type Resumed struct {
	dialogue *dialogue
	leave    func()
}

// Resume takes over what another process offers. Nothing is read before Serve is called, so that the offer can be accepted in
// between; until then Close gives it back. The files remain the caller's. The registrant is not judged again: it was
// admitted, and its connection counts among those of its address even where there are too many now.
func (s *Server) Resume(m *MovedRegistration, files []*os.File) (*Resumed, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	if len(files) != 1 {
		return nil, fmt.Errorf("%w: it comes with %d files, not with its socket", ErrNotUnderstood, len(files))
	}
	raw, err := net.FileConn(files[0])
	if err != nil {
		return nil, fmt.Errorf("%w: its socket: %w", ErrNotUnderstood, err)
	}
	r := &Resumed{dialogue: s.resumed(m, raw)}
	s.mu.Lock()
	s.takePlace(m.Peer.Addr())
	s.mu.Unlock()
	r.leave = s.enter(r.dialogue)
	return r, nil
}

// Bounds of what is believed.
const (
	mostUnread  = tns.MaxSDU + 64<<10
	mostPartial = nsgr.MaxMessage + tns.MaxSDU
)

func (m *MovedRegistration) check() error {
	wrong := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrNotUnderstood, fmt.Sprintf(format, args...))
	}
	rep := m.Representation
	switch {
	case m.Format != MovedFormat:
		return wrong("it is in format %d, and this version knows %d", m.Format, MovedFormat)
	case len(m.Needs) > 0:
		return wrong("it needs %.40q, which this version does not know", m.Needs[0])
	case m.ID == "" || m.Said.ID != m.ID || m.Shown.Instance != "" && m.Shown.ID != m.ID:
		return wrong("its IDs are %.80q, %.80q and %.80q", m.ID, m.Said.ID, m.Shown.ID)
	case m.Version < tns.VersionLowest || m.Version > tns.VersionHighest:
		return wrong("version %d of Oracle Net", m.Version)
	case m.SDU < tns.MinSDU || m.SDU > tns.MaxSDU:
		return wrong("an SDU of %d", m.SDU)
	case len(m.Unread) > mostUnread || len(m.Partial) > mostPartial:
		return wrong("%d and %d bytes that were not taken", len(m.Unread), len(m.Partial))
	case rep != nsgr.Representation{} && (rep.PointerSize != 4 && rep.PointerSize != 8 || rep.LongSize != 4 && rep.LongSize != 8):
		return wrong("a sender with pointers of %d bytes and longs of %d", rep.PointerSize, rep.LongSize)
	case m.Undecodable < 0 || !m.Pace.sane() || !m.Dumps.sane():
		return wrong("its counters")
	}
	return nil
}

func (p MovedPace) sane() bool { return p.Used >= 0 && p.Used <= messageBurst }

// resumed makes the dialogue that m was.
func (s *Server) resumed(m *MovedRegistration, raw net.Conn) *dialogue {
	conn := tns.NewConn(raw)
	conn.TakeOver(m.Version, m.Unread)
	d := s.emptyDialogue(conn, m.Peer)
	d.known, d.framed, d.current, d.shown, d.undecodable = m.Representation, m.Framed, m.Said, m.Shown, m.Undecodable
	d.pace.used, d.pace.at, d.dumps.used, d.dumps.at = m.Pace.Used, m.Pace.At, m.Dumps.Used, m.Dumps.At
	for _, name := range m.Own {
		d.own[name] = true
	}
	d.collector.Add(m.Partial)
	if !m.Framed && m.Limit.IsZero() {
		m.Limit = time.Now().Add(or(s.FirstMessageTimeout, defaultFirstMessage))
	}
	d.reading.until(m.Limit)
	d.answersBy(m.SDU)
	return d
}

// Conn is the registrant's connection.
func (r *Resumed) Conn() net.Conn { return r.dialogue.conn.NetConn() }

// Close gives up what was not served: whoever offered it goes on.
func (r *Resumed) Close() {
	r.leave()
	r.dialogue.server.vacate(r.dialogue.peer.Addr())
	_ = r.Conn().Close()
}

// Serve goes on with the dialogue until its connection ends or ctx does, as Server.Serve does. What the registrant had registered is handed to
// Adopt first.
func (r *Resumed) Serve(ctx context.Context) error {
	d, raw := r.dialogue, r.Conn()
	defer raw.Close()
	stop := closeOnDone(ctx, raw)
	defer stop()
	defer d.server.vacate(d.peer.Addr())
	defer d.end()
	defer r.leave()
	d.log.Debug("registration goes on here", "instance", d.shown.Instance)
	if d.shown.Instance != "" {
		d.adopt()
	}
	return d.ended(ctx, d.read(ctx))
}

// adopt hands on what was registered before it came here.
func (d *dialogue) adopt() {
	switch s := d.server; {
	case s.Adopt != nil:
		s.Adopt(d.handedOver())
	case s.Apply != nil:
		s.Apply(d.handedOver())
	}
}
