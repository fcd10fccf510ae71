package registration

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"servicebroker/registration/nsgr"
	"servicebroker/servicetable"
	"servicebroker/testenv/fuzzing"
	"servicebroker/tns"
)

// FuzzConversations plays a script of registrants, good and bad, an upstream listener and the clock against a
// registration server, over connections in memory. After each step the table is what a model of it says; in
// the end everybody is done and nothing is left.
func FuzzConversations(f *testing.F) {
	for _, script := range [][]byte{
		{}, {0, 0, 0, 0, 0, 0},
		{0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 2, 0, 1, 2, 2, 0, 2, 1, 6, 0},
		{0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 2, 0, 0, 0, 2, 1, 0, 0, 3, 0, 9, 5, 2, 0, 0, 0, 2},
		{1, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 0, 2, 0, 0, 0, 11, 0, 3, 1},
		{2, 1, 1, 0, 0, 0, 0, 10, 0, 3, 0, 2, 0, 0, 0, 10, 0, 4, 9, 4},
		{0, 2, 0, 0, 0, 0, 0, 4, 0, 40, 1, 2, 3, 4, 5, 9, 6},
	} {
		f.Add(script)
	}
	recorded := [][]byte{recording(f, "sid_4"), recording(f, "constructed-32le"), recording(f, "constructed-64be")}
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) > 4096 {
			return
		}
		synctest.Test(t, func(t *testing.T) {
			c := newConversation(t, fuzzing.Read(script), recorded)
			for step := 0; c.More() && step < 200; step++ {
				c.step()
			}
			c.end()
		})
	})
}

const mostDatabases = 5

// conversation is one script, and who plays in it.
type conversation struct {
	*fuzzing.Script
	t        *testing.T
	server   *Server
	recorded [][]byte
	upstream bool

	ctx     context.Context
	stop    context.CancelFunc
	stopped bool
	serving sync.WaitGroup
	busy    atomic.Int32

	databases []*database
	mu        sync.Mutex // guards what follows
	table     map[servicetable.ID]servicetable.Registration
	gone      map[servicetable.ID]bool
	lost      int
	wrong     []string
	listeners []*upstreamEnd
	events    map[EventKind]int
}

// database is a registrant, and what the table should know by it.
type database struct {
	n          int
	near, far  *fuzzing.Conn
	script     []byte // bytes on their way, for which there was no room yet
	received   []byte
	passed     []byte // what it has said behind its CONNECT, as bytes
	large      bool
	accepted   bool
	wild       bool // it has said what is no dialogue
	over       bool // it ended, or was ended
	collector  nsgr.Collector
	known      nsgr.Representation
	model      servicetable.Registration
	registered bool
}

// upstreamEnd is the upstream listener's side of a connection.
type upstreamEnd struct {
	near, far *fuzzing.Conn
	received  []byte
	sent      []byte
	connect   int // bytes of received that are the CONNECT
}

func newConversation(t *testing.T, script *fuzzing.Script, recorded [][]byte) *conversation {
	c := &conversation{
		Script: script, t: t, recorded: recorded, table: map[servicetable.ID]servicetable.Registration{}, gone: map[servicetable.ID]bool{}, events: map[EventKind]int{},
	}
	c.ctx, c.stop = context.WithCancel(t.Context())
	c.server = &Server{
		Apply: c.apply, Drop: func(id servicetable.ID) { c.drop(id, false) }, Lost: func(id servicetable.ID) { c.drop(id, true) },
		Admit:            &Admission{Invited: []string{"10.0.0.0/24"}, Interfaces: func() ([]netip.Prefix, error) { return nil, nil }},
		Answer:           fuzzing.Pick(script, AnswerNone, AnswerIDs, AnswerMirror),
		MaxRegistrations: 4, MaxPerPeer: 3,
		Own:    func(host string, port int) bool { return host == "broker" },
		Report: func(e Event) { c.mu.Lock(); defer c.mu.Unlock(); c.events[e.Kind]++ },
		DialUpstream: func(ctx context.Context, _ string) (net.Conn, error) {
			c.mu.Lock()
			defer c.mu.Unlock()
			if len(c.listeners) == 16 {
				return nil, syscall.ECONNREFUSED
			}
			near, far := fuzzing.Pipe(fmt.Sprintf("192.0.2.1:%d", 30000+len(c.listeners)), "198.51.100.1:1521", []int{1 << 16, 100}[len(c.listeners)%2], 0)
			c.listeners = append(c.listeners, &upstreamEnd{near: near, far: far})
			return near, nil
		},
	}
	if c.upstream = c.Below(3) == 1; c.upstream {
		c.server.Upstream = "upstream:1521"
	}
	return c
}

func (c *conversation) apply(r servicetable.Registration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone[r.ID] {
		c.wrong = append(c.wrong, fmt.Sprintf("%s is applied after its end", r.ID))
	}
	for _, h := range r.Handlers {
		for _, at := range h.Services {
			if at < 0 || at >= len(r.Services) {
				c.wrong = append(c.wrong, fmt.Sprintf("handler %q serves service %d of %d", h.Name, at, len(r.Services)))
			}
		}
		if h.Host == "broker" {
			c.wrong = append(c.wrong, "a handler is here")
		}
	}
	c.table[r.ID] = r
}

func (c *conversation) drop(id servicetable.ID, lost bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.table[id]; !known {
		c.wrong = append(c.wrong, fmt.Sprintf("%s is dropped and was never there", id))
	}
	delete(c.table, id)
	if lost {
		c.gone[id] = true // by its link; after a withdrawal it may register again
		c.lost++
	}
}

func (c *conversation) step() {
	what := c.Byte()
	switch what & 0x0f {
	case 0, 1:
		c.newDatabase()
	case 2, 3:
		c.with(func(d *database) { c.says(d, c.message(d)) })
	case 4:
		c.with(func(d *database) { d.wild = true; d.push(fuzzing.Packet(c.Script, d.large)) })
	case 5:
		c.with(func(d *database) { c.says(d, c.Bytes(60)) })
	case 6:
		c.with(func(d *database) { // a part of a packet, the rest of which follows or not
			m := fuzzing.Pick(c.Script, c.recorded...)
			d.wild = true
			d.push(tns.AppendData(nil, 0, m[:c.Below(len(m))], 1+c.Below(8192), d.large))
		})
	case 7:
		c.with(func(d *database) { d.hears(c.Below(3000)) })
	case 8:
		c.with(func(d *database) { d.ends(c.Below(3)) })
	case 9:
		c.pass(fuzzing.Pick(c.Script, time.Millisecond, time.Second, 3*time.Second, 6*time.Second, 11*time.Second, time.Minute, time.Hour))
	case 10, 11:
		c.listens()
	case 12:
		c.with(func(d *database) { // a last word
			if d.accepted && !d.wild {
				d.push(tns.AppendData(nil, tns.DataEOF, nil, 2048, d.large))
				d.over = true
			}
		})
	case 13:
		_ = c.server.SetAdmission(&Admission{Invited: []string{fuzzing.Pick(c.Script, "10.0.0.0/24", "10.0.0.1", "*")}, Interfaces: func() ([]netip.Prefix, error) { return nil, nil }})
	case 14:
		c.with(func(d *database) { d.wild = true; d.push(c.Bytes(60)) })
	case 15:
		if c.Below(8) == 7 {
			c.stop()
			c.stopped = true
		}
	}
	if what&0x80 == 0 {
		c.settle()
		c.compare()
	}
}

func (c *conversation) newDatabase() {
	if len(c.databases) == mostDatabases || c.stopped {
		return
	}
	d := &database{n: len(c.databases)}
	from := fuzzing.Pick(c.Script, "10.0.0.1", "10.0.0.1", "127.0.0.1", "10.0.1.1")
	d.near, d.far = fuzzing.Pipe(fmt.Sprintf("%s:%d", from, 40000+d.n), "192.0.2.1:1521", fuzzing.Pick(c.Script, 1<<16, 3000, 64), fuzzing.Pick(c.Script, 0, 1, 13))
	version := fuzzing.Pick[uint16](c.Script, 313, 319, 314, 315, 300)
	connect := &tns.Connect{Version: version, Lowest: 300, SDU: fuzzing.Pick[uint16](c.Script, 2048, 8192, 512, 0), TDU: 0x7fff, One: [2]byte{1, 0}, Offset: 58, Data: []byte(plainConnect)}
	if version >= 315 {
		connect.Offset = 0
	}
	d.large = min(version, tns.VersionHighest) >= tns.VersionLargeSDU
	c.databases = append(c.databases, d)
	packets := connect.AppendTo(nil, false)
	d.push(packets)
	d.passed = nil
	c.serving.Go(func() {
		defer d.far.Close()
		conn := tns.NewConn(d.far)
		_ = d.far.SetReadDeadline(time.Now().Add(time.Minute))
		asked, err := conn.ReadConnect()
		if err != nil {
			return
		}
		c.busy.Add(1)
		defer c.busy.Add(-1)
		_ = d.far.SetDeadline(time.Time{})
		_ = c.server.Serve(c.ctx, conn, asked)
	})
}

// push sends bytes, now or as soon as there is room.
func (d *database) push(b []byte) {
	d.passed = append(d.passed, b...)
	d.script = append(d.script, b...)
	d.flush()
}

func (d *database) flush() bool {
	n := d.near.Offer(d.script)
	d.script = d.script[n:]
	return n > 0
}

func (d *database) hears(n int) bool {
	before := len(d.received)
	d.received = append(d.received, d.near.Take(n)...)
	if !d.accepted && len(d.received) >= 8 {
		reply, err := tns.NewConn(&readOnly{rest: d.received}).ReadReply()
		_, d.accepted = reply.(*tns.Accept)
		d.over = d.over || err == nil && !d.accepted
	}
	return len(d.received) > before
}

func (d *database) ends(how int) {
	d.over = true
	switch how {
	case 0:
		_ = d.near.CloseWrite()
	case 1:
		_ = d.near.Close()
	case 2:
		d.near.Reset()
	}
}

// readOnly is a connection of which only the reading is left.
type readOnly struct {
	net.Conn
	rest []byte
}

func (r *readOnly) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		return 0, io.ErrUnexpectedEOF
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// message is one that a database could send.
func (c *conversation) message(d *database) []byte {
	switch c.Below(4) {
	case 0, 1:
		r := sales(fmt.Sprintf("i%d", c.Below(3)), uint32(c.Below(9)))
		r.GUID[0] = byte(1 + c.Below(2))
		if c.Bool() {
			r.Services = append(r.Services, servicetable.Service{Name: "hr", Flags: uint32(c.Below(16)), Delta: 1})
			r.Handlers[0].Services = []int{1, 0}
		}
		r.Handlers[0].Host = fuzzing.Pick(c.Script, "db1", "broker", "")
		m, err := ToMessage(r, nsgr.Representation{})
		if err != nil {
			return nil
		}
		b, err := m.AppendTo(nil)
		if err != nil {
			c.t.Fatal(err)
		}
		return b
	case 2:
		return fuzzing.Pick(c.Script, c.recorded...)
	}
	m := bytes.Clone(fuzzing.Pick(c.Script, c.recorded...)) // damaged where it does not break the stream
	m[28+c.Below(len(m)-28)] ^= byte(c.Below(256))
	return m
}

// says sends a message in packets, and has the model take it.
func (c *conversation) says(d *database, message []byte) {
	d.hears(1 << 16)
	if d.over || !d.accepted || len(message) == 0 {
		return
	}
	for size := 1 + c.Below(8192); len(message) > 0; {
		n := min(size, len(message))
		d.push(tns.AppendData(nil, 0, message[:n], 32767, d.large))
		d.collector.Add(message[:n])
		message = message[n:]
		for m, ok := d.collector.Next(); ok; m, ok = d.collector.Next() {
			d.take(m)
		}
	}
}

// take is what a message does to what the table should have.
func (d *database) take(message []byte) {
	m, err := nsgr.Decode(message, d.known)
	if err != nil {
		return
	}
	d.known = m.Representation
	next, change, err := Fold(d.model, m)
	if err != nil {
		return
	}
	d.model, d.registered = next, change.Kind != ChangeWithdrawn
}

func (c *conversation) with(do func(*database)) {
	if len(c.databases) > 0 {
		do(c.databases[c.Below(len(c.databases))])
	}
}

func (c *conversation) settle() {
	for range 200 {
		synctest.Wait()
		moved := false
		for _, d := range c.databases {
			moved = d.flush() || moved
		}
		if !moved {
			return
		}
	}
}

func (c *conversation) pass(d time.Duration) {
	for range 8 {
		<-time.After(d / 8)
		c.settle()
	}
}

// listens has the upstream listener do something.
func (c *conversation) listens() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.listeners) == 0 {
		return
	}
	l := c.listeners[c.Below(len(c.listeners))]
	l.hears()
	switch c.Below(6) {
	case 0, 1:
		if l.connect > 0 && len(l.sent) == 0 {
			connect, _ := tns.NewConn(&readOnly{rest: l.received}).ReadConnect()
			if accept := tns.AnswerConnect(connect, tns.VersionHighest, nil); accept != nil {
				l.says(accept.AppendTo(nil, false))
			}
		}
	case 2:
		if len(l.sent) == 0 {
			l.says(tns.NewRefuse(tns.CodeRegistrationRejected, 0).AppendTo(nil, false))
		}
	case 3:
		l.says(c.Bytes(30))
	case 4:
		if len(l.sent) == 0 {
			l.says(tns.Resend{}.AppendTo(nil, false))
			l.connect = 0
		}
	case 5:
		_ = l.far.Close()
	}
}

func (l *upstreamEnd) hears() {
	l.received = append(l.received, l.far.Take(1<<20)...)
	if l.connect == 0 {
		from := &readOnly{rest: l.received}
		conn := tns.NewConn(from)
		if _, err := conn.ReadConnect(); err == nil {
			l.connect = len(l.received) - len(from.rest) - len(conn.Unread())
		}
	}
}

func (l *upstreamEnd) says(b []byte) { l.sent = append(l.sent, b[:l.far.Offer(b)]...) }
