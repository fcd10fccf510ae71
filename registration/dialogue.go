package registration

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"servicebroker/descriptor"
	"servicebroker/registration/nsgr"
	"servicebroker/servicetable"
	"servicebroker/tns"
)

// dialogue is one registrant's connection after it was admitted.
type dialogue struct {
	server *Server
	log    *slog.Logger
	conn   *tns.Conn // what the registrant sends
	reply  func(payload []byte) error
	sdu    int // of what reply sends
	peer   netip.AddrPort

	reading reading
	socket  socket // nil: it cannot move

	collector nsgr.Collector
	known     nsgr.Representation
	framed    bool                      // a whole message has come: the time limit is over
	current   servicetable.Registration // all that was said so far; without an instance until something was
	shown     servicetable.Registration // what Apply was last told
	cause     string                    // how the connection ended
	byWord    bool                      // the database said so
	moved     bool                      // another process goes on with it
	own       map[string]bool           // handlers at our own addresses that were reported already

	undecodable int
	pace        bucket // messages, so that no registrant keeps us busy
	dumps       bucket // messages logged in hex, so that none fills the disk
}

// How fast a registrant may talk. Databases send a message a minute or less;
// who sends more than messageRate a second is read more slowly, never cut off.
const (
	messageRate  = 50
	messageBurst = 200
	dumpBurst    = 8
	dumpRate     = 1.0 / 60
	dumpBytes    = 8 << 10 // of one message; real ones are a few kilobytes
)

func (s *Server) newDialogue(ctx context.Context, conn *tns.Conn, connect *tns.Connect, peer netip.AddrPort) *dialogue {
	d := s.emptyDialogue(conn, peer)
	d.current = servicetable.Registration{ID: s.newID(peer), Peer: peer.Addr(), PeerDN: subjectOf(conn.NetConn()), LoadSource: sourceOf(connect)}
	d.current.Network = servicetable.NetworkOf(ctx)
	if a := conn.NetConn().LocalAddr(); a != nil {
		d.current.ArrivedOn = a.String()
	}
	return d
}

func (s *Server) emptyDialogue(conn *tns.Conn, peer netip.AddrPort) *dialogue {
	return &dialogue{server: s, conn: conn, peer: peer, log: s.log().With("peer", peer.String()), own: map[string]bool{},
		pace: bucket{rate: messageRate, burst: messageBurst}, dumps: bucket{rate: dumpRate, burst: dumpBurst}}
}

// answersBy has answers sent in packets of at most sdu bytes on the connection itself, on which the dialogue can move as well.
func (d *dialogue) answersBy(sdu int) {
	d.sdu = sdu
	d.socket, _ = d.conn.NetConn().(socket)
	d.reply = func(payload []byte) error {
		return sendWithin(d.conn, sendTime, inPackets{payload: payload, sdu: sdu})
	}
}

// sourceOf tells a database from our agent by the program name in its CONNECT.
func sourceOf(connect *tns.Connect) string {
	n, err := descriptor.Parse(string(connect.Data))
	if err == nil && descriptor.ConnectData(n).Text("CID", "PROGRAM") == AgentProgram {
		return "agent"
	}
	return "registration"
}

// errEnded is the end of a dialogue by the registrant's own word.
var errEnded = errors.New("the database ended it")

// listen reads messages until the connection ends, and returns why it did.
func (d *dialogue) listen(ctx context.Context) error {
	d.reading.until(time.Now().Add(or(d.server.FirstMessageTimeout, defaultFirstMessage)))
	return d.read(ctx)
}

// read is listen with what is left of the time limit. Whoever wants the dialogue to move gets it between two reads.
func (d *dialogue) read(ctx context.Context) error {
	d.reading.on(d.conn.NetConn())
	for {
		if asked := d.reading.take(); asked != nil && d.move(asked) {
			return errMoved
		}
		if err := d.messages(ctx, true); err != nil {
			return err
		}
		if d.reading.interrupted() {
			continue
		}
		p, err := d.conn.ReadPacket()
		if err == nil {
			err = d.packet(ctx, p)
		}
		if err != nil && !d.reading.interruptedBy(err) {
			return err
		}
	}
}

// packet takes one packet.
func (d *dialogue) packet(ctx context.Context, p tns.Packet) error {
	switch p.Type {
	case tns.TypeData:
		var data tns.Data
		if err := data.Decode(p); err != nil {
			return err
		}
		d.collector.Add(data.Payload)
		if data.Flags&tns.DataEOF == 0 {
			return d.messages(ctx, true)
		}
		if err := d.messages(ctx, false); err != nil {
			return err
		}
		return errEnded
	case tns.TypeNull, tns.TypeMarker, tns.TypeAttention, tns.TypeControl:
		return nil // nothing a registrant says in these concerns us
	case tns.TypeAbort:
		return errEnded
	}
	return fmt.Errorf("%w: %v from a registrant", tns.ErrUnexpected, p.Type)
}

// ended notes why the connection ended. It returns an error if it should not
// have and nothing was registered that could be reported dead.
func (d *dialogue) ended(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, errMoved):
	case ctx.Err() != nil:
		d.cause = "the broker ended it"
	case errors.Is(err, errEnded):
		d.cause, d.byWord = err.Error(), true
	case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed), errors.Is(err, io.ErrClosedPipe):
		d.cause = "connection closed"
	case errors.Is(err, os.ErrDeadlineExceeded) && !d.framed:
		d.cause = fmt.Sprintf("no whole message within %v", or(d.server.FirstMessageTimeout, defaultFirstMessage))
		d.log.Warn("registrant dropped", "cause", d.cause, "bytes", d.collector.Pending(),
			"remedy", "if it is a database, look whether a firewall or the network holds its message back")
	default:
		d.cause = err.Error()
		if d.shown.Instance == "" {
			return fmt.Errorf("registrant at %s: %w", d.peer, err)
		}
	}
	return nil
}

// messages takes those that are whole. Where it may be interrupted, it leaves the others for later as soon as it is.
func (d *dialogue) messages(ctx context.Context, interruptible bool) error {
	for !interruptible || !d.reading.interrupted() {
		message, ok := d.collector.Next()
		if !ok {
			return nil
		}
		if err := d.pace.wait(ctx); err != nil {
			return err
		}
		if !d.framed && len(message) >= nsgr.MinMessage {
			d.framed = true
			d.server.spoke(d)
			d.reading.until(time.Time{})
		}
		d.message(ctx, message)
	}
	return nil
}

// message takes one whole message. One that is not understood changes nothing
// and ends nothing (nsgr.md 6, rule 7).
func (d *dialogue) message(ctx context.Context, message []byte) {
	m, next, change, err := d.understand(ctx, message)
	if err != nil {
		d.misunderstood(message, err)
		return
	}
	d.log.Debug("registration message", "summary", m.Summary(), "notes", strings.Join(change.Notes, "; "))
	if hasUnknownRecord(m) && d.dumps.take() {
		d.log.Info("registration message has a record of an unknown kind; please report it", "summary", m.Summary(), "hex", hexOf(message))
	}
	d.publish(next, change)
	d.answerTo(m)
}

// understand reads a message, when it is its turn, and tells what the database says by it altogether.
func (d *dialogue) understand(ctx context.Context, message []byte) (m *nsgr.Message, next servicetable.Registration, change Change, err error) {
	if d.server.Paced != nil {
		defer d.server.Paced(ctx)() // not while it is applied, which may have to wait for names to be looked up
	}
	if m, err = nsgr.Decode(message, d.known); err != nil {
		return nil, next, change, err
	}
	d.known = m.Representation
	next, change, err = Fold(d.current, m)
	return m, next, change, err
}

func hasUnknownRecord(m *nsgr.Message) bool {
	for i := range m.Records {
		if m.Records[i].Raw != nil {
			return true
		}
	}
	return false
}

// misunderstood logs a message in full, as far as there is room for it: such
// logs are the samples by which the protocol becomes known (nsgr.md 10, rule 2).
func (d *dialogue) misunderstood(message []byte, err error) {
	d.undecodable++
	d.server.report(Event{Kind: Undecodable, Registration: d.registered(), Peer: d.peer, Cause: err.Error()})
	if d.dumps.take() {
		d.log.Warn("registration message not understood and left out; please report it", "cause", err.Error(),
			"count", d.undecodable, "bytes", len(message), "hex", hexOf(message))
	}
}

func hexOf(message []byte) string {
	if len(message) > dumpBytes {
		return hex.EncodeToString(message[:dumpBytes]) + "…"
	}
	return hex.EncodeToString(message)
}

// registered is what the table holds of this connection, nil if nothing.
func (d *dialogue) registered() *servicetable.Registration {
	if d.shown.Instance == "" {
		return nil
	}
	shown := d.shown
	return &shown
}

// publish hands on what the database says now.
func (d *dialogue) publish(next servicetable.Registration, change Change) {
	now := time.Now()
	if change.Kind == ChangeWithdrawn {
		d.cause = "the database withdrew it"
		d.drop(d.server.Drop)
		d.current = next
		d.current.RegisteredAt, d.cause = time.Time{}, ""
		return
	}
	if next.RegisteredAt.IsZero() {
		next.RegisteredAt = now
	}
	next.LoadAt = now
	kind, event := Updated, "registration updated"
	if d.shown.Instance == "" || d.shown.GUID != next.GUID {
		kind, event = Registered, "database registered"
	}
	before := d.shown
	d.current = next
	d.shown = d.withoutOwn(next)
	if d.server.Apply != nil {
		d.server.Apply(d.handedOver())
	}
	level := slog.LevelInfo
	switch {
	case len(change.Notes) > 0 && kind == Registered:
		level = slog.LevelWarn
	case kind == Updated && sameOffer(&before, &d.shown):
		level = slog.LevelDebug // new load figures alone: databases send them all the time
	}
	d.log.Log(context.Background(), level, event, d.attributes("notes", strings.Join(change.Notes, "; "))...)
	d.server.report(Event{Kind: kind, Registration: d.registered(), Peer: d.peer})
}

// handedOver is what is shown, with services of its own: the receiver puts marks on them.
func (d *dialogue) handedOver() servicetable.Registration {
	r := d.shown
	r.Services = slices.Clone(r.Services)
	return r
}

// sameOffer reports whether two registrations differ in their figures at most.
func sameOffer(a, b *servicetable.Registration) bool {
	return slices.EqualFunc(a.Services, b.Services, func(x, y servicetable.Service) bool {
		return x.Name == y.Name && x.Flags == y.Flags
	}) && slices.EqualFunc(a.Handlers, b.Handlers, func(x, y servicetable.Handler) bool {
		return x.Name == y.Name && x.Address == y.Address && slices.Equal(x.Services, y.Services)
	})
}

// attributes are what every line about a registration tells, and a last one if
// it says something.
func (d *dialogue) attributes(key, value string) []any {
	a := []any{"instance", d.shown.Instance, "host", d.shown.Host, "services", len(d.shown.Services),
		"handlers", len(d.shown.Handlers), "source", d.shown.LoadSource}
	if value != "" {
		a = append(a, key, value)
	}
	return a
}

// withoutOwn leaves out handlers at addresses on which we listen ourselves, since clients
// sent there would come back to us, and those that are not where they can be.
func (d *dialogue) withoutOwn(r servicetable.Registration) servicetable.Registration {
	var kept []servicetable.Handler
	for i := range r.Handlers {
		h := &r.Handlers[i]
		why := d.misplaced(h)
		if why == "" {
			kept = append(kept, *h)
			continue
		}
		if !d.own[h.Name] && len(d.own) < maxOwn {
			d.own[h.Name] = true
			d.log.Warn("handler left out: "+why, "instance", r.Instance, "handler", h.Name, "address", h.Address,
				"remedy", "set LOCAL_LISTENER on the database to the address of its own listener, and REMOTE_LISTENER to this broker")
			d.server.report(Event{Kind: LeftOut, Registration: &r, Peer: d.peer, Cause: why})
		}
	}
	r.Handlers = kept
	return r
}

// maxOwn bounds how many handlers of a registrant are told to be left out.
const maxOwn = 64

// misplaced tells why nobody is to be sent to a handler, "" if one may be.
func (d *dialogue) misplaced(h *servicetable.Handler) string {
	switch {
	case h.Port == 0:
		return ""
	case d.server.Own != nil && d.server.Own(h.Host, h.Port):
		return "its address is one of this broker's own"
	case d.server.Unfit != nil:
		return d.server.Unfit(d.peer.Addr(), h.Host)
	}
	return ""
}

// answerTo sends the guessed answer, if one is configured and no upstream answers.
func (d *dialogue) answerTo(m *nsgr.Message) {
	if d.server.Answer == AnswerNone || d.reply == nil {
		return
	}
	answer, err := m.Answer(d.server.Answer == AnswerMirror)
	var payload []byte
	if err == nil {
		payload, err = answer.AppendTo(nil)
	}
	if err == nil {
		err = d.reply(payload)
	}
	if err != nil {
		d.log.Warn("registration message not answered", "cause", err.Error())
	}
}

// end drops the registration, by whatever path the connection ended.
func (d *dialogue) end() {
	if d.moved {
		return
	}
	tell := d.server.Lost
	if d.byWord || tell == nil {
		tell = d.server.Drop
	}
	d.drop(tell)
	if d.undecodable > dumpBurst {
		d.log.Warn("registrant sent messages that were not understood", "count", d.undecodable)
	}
}

// drop tells that the registration is over.
func (d *dialogue) drop(tell func(servicetable.ID)) {
	if d.shown.Instance == "" {
		return
	}
	if tell != nil {
		tell(d.shown.ID)
	}
	d.log.Info("registration died", d.attributes("cause", d.cause)...)
	d.server.report(Event{Kind: Died, Registration: d.registered(), Peer: d.peer, Cause: d.cause})
	d.shown = servicetable.Registration{}
}
