package relay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"servicebroker/descriptor"
	"servicebroker/journal"
	"servicebroker/servicetable"
	"servicebroker/tns"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a relay with instances the test plays.
type world struct {
	*Server
	t         *testing.T
	table     servicetable.Table
	mu        sync.Mutex
	listeners map[string]func(*tns.Conn, *tns.Connect) // by host:port
	asked     []string                                 // host:port dialled, in order
	running   sync.WaitGroup
	released  int
	settled   []string
	tcp       bool // clients and instances are at TCP sockets
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, listeners: map[string]func(*tns.Conn, *tns.Connect){}}
	w.Server = &Server{
		Snapshot: w.table.Snapshot,
		Order:    func(_ Placing, c []servicetable.Candidate) Reservation { return &inOrder{w, c} },
		Foresee:  func(_ Placing, c []servicetable.Candidate) []journal.Candidate { return (&inOrder{w, c}).Verdicts() },
		Journal:  &journal.Journal{},
		Dial:     dialInOrder,
		Connect:  w.connect,
		VSNNUM:   318767104,
	}
	w.Closed = w.running.Done
	t.Cleanup(w.Close)
	t.Cleanup(w.running.Wait)
	return w
}

// serve serves a client to the end of its session.
func (w *world) serve(ctx context.Context, conn *tns.Conn, connect *tns.Connect, arrival Arrival) {
	w.Serve(ctx, conn, connect, w.waitedFor(arrival))
}

// waitedFor has the session waited for that comes of a connect.
func (w *world) waitedFor(arrival Arrival) Arrival {
	arrival.Carried = func() { w.running.Add(1) }
	return arrival
}

// carry lets a session go on that has come from another process.
func (w *world) carry(a *Adopted) {
	w.running.Add(1)
	a.Carry()
}

// inOrder is a reservation that keeps the candidates as they come.
type inOrder struct {
	w     *world
	route []servicetable.Candidate
}

func (r *inOrder) Route() []servicetable.Candidate { return r.route }
func (r *inOrder) Settle(c servicetable.Candidate) {
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	r.w.settled = append(r.w.settled, c.Registration.Instance)
}
func (r *inOrder) Release() {
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	r.w.released++
}

func (r *inOrder) Kind(bool)      {}
func (r *inOrder) Policy() string { return "inorder" }

func (r *inOrder) Verdicts() []journal.Candidate {
	var all []journal.Candidate
	for _, c := range r.route {
		all = append(all, journal.Candidate{Key: c.Registration.HandlerKey(c.Handler)})
	}
	return all
}

// mode has all connects redirected or relayed.
func (w *world) mode(m Mode) {
	w.Treatment = func(string) Treatment { return Treatment{Mode: m} }
}

func free() error { return nil }

func dialInOrder(ctx context.Context, route []servicetable.Candidate, attempt Attempt) (*ServerConnection, servicetable.Candidate, error) {
	var all []error
	for _, c := range route {
		server, err := attempt(ctx, c, free)
		if err == nil {
			return server, c, nil
		}
		all = append(all, err)
		var m interface{ MoveOn() bool }
		if errors.As(err, &m) && !m.MoveOn() {
			break
		}
	}
	return nil, servicetable.Candidate{}, errors.Join(all...)
}

// connect hands the relay one end of a pipe whose other end the listener at that
// address serves; nobody there is a refused connection.
func (w *world) connect(_ context.Context, to Destination) (net.Conn, error) {
	address := to.Dial()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, address)
	serve := w.listeners[address]
	if serve == nil {
		return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	}
	near, far := net.Pipe()
	w.running.Go(func() {
		defer far.Close()
		conn := tns.NewConn(far)
		connect, err := conn.ReadConnect()
		if err != nil {
			return
		}
		serve(conn, connect)
	})
	return near, nil
}

// instance registers one instance of the services, and what answers at its
// address, instance:1521.
func (w *world) instance(name string, serve func(*tns.Conn, *tns.Connect), services ...string) {
	r := servicetable.Registration{ID: servicetable.ID(name), Instance: name, Host: name + ".host"}
	h := servicetable.Handler{Name: "DEDICATED", Protocol: "TCP", Host: name, Port: 1521}
	for i, s := range services {
		r.Services = append(r.Services, servicetable.Service{Name: s, Flags: servicetable.FlagUnblocked, Delta: 1})
		h.Services = append(h.Services, i)
	}
	r.Handlers = []servicetable.Handler{h}
	w.table.Apply(r)
	w.listeners[name+":1521"] = serve
}

// client opens a connect for the descriptor and returns the client's side.
func (w *world) client(text string) *tns.Conn {
	return w.clientWith(tns.NewConnect([]byte(text)))
}

// dial opens a connection on which a CONNECT is served.
func (w *world) dial() *tns.Conn {
	near, far := net.Pipe()
	if w.tcp {
		near, far = tcpPair(w.t)
	}
	w.t.Cleanup(func() { near.Close() })
	w.running.Go(func() {
		conn := tns.NewConn(far)
		received, err := conn.ReadConnect()
		if err != nil {
			w.t.Errorf("CONNECT: %v", err)
			far.Close()
			return
		}
		w.serve(w.t.Context(), conn, received, Arrival{})
	})
	return tns.NewConn(near)
}

func (w *world) clientWith(connect *tns.Connect) *tns.Conn {
	conn := w.dial()
	if err := conn.Send(connect); err != nil {
		w.t.Fatalf("sending CONNECT: %v", err)
	}
	return conn
}

// reply reads the broker's answer and hangs up.
func (w *world) reply(conn *tns.Conn) tns.Message {
	w.t.Helper()
	m, err := conn.ReadReply()
	if err != nil {
		w.t.Fatalf("reading the reply: %v", err)
	}
	if _, ok := m.(*tns.Accept); !ok {
		conn.NetConn().Close()
	}
	return m
}

func (w *world) wantCode(text string, code tns.Code) {
	w.t.Helper()
	m := w.reply(w.client(text))
	refuse, ok := m.(*tns.Refuse)
	if !ok || refuse.Code() != code {
		w.t.Errorf("%s\n answered %T %v, want a refusal with %v", text, m, m, code)
		return
	}
	want := fmt.Sprintf("(DESCRIPTION=(TMP=)(VSNNUM=318767104)(ERR=%d)(ERROR_STACK=(ERROR=(CODE=%d)(EMFI=4)", code, code)
	if !strings.HasPrefix(refuse.Text, want) {
		w.t.Errorf("refusal %q, want it to begin with %q", refuse.Text, want)
	}
}

// asksOf returns the descriptor an instance was sent.
func asksOf(t *testing.T, connect *tns.Connect) *descriptor.Node {
	t.Helper()
	n, err := descriptor.Parse(string(connect.Data))
	if err != nil {
		t.Errorf("instance was sent %q: %v", connect.Data, err)
		return &descriptor.Node{}
	}
	return n
}

// accepts answers with an ACCEPT and echoes what comes until the client ends.
func accepts(conn *tns.Conn, connect *tns.Connect) {
	accept := tns.AnswerConnect(connect, 318, nil)
	if conn.Send(accept) != nil {
		return
	}
	buffer := make([]byte, 1024)
	for {
		n, err := conn.NetConn().Read(buffer)
		if err != nil {
			return
		}
		if _, err := conn.NetConn().Write(buffer[:n]); err != nil {
			return
		}
	}
}

func refuses(code tns.Code) func(*tns.Conn, *tns.Connect) {
	return func(conn *tns.Conn, _ *tns.Connect) { _ = conn.Send(tns.NewRefuse(code, 0)) }
}

func parse(t *testing.T, text string) *descriptor.Node {
	t.Helper()
	n, err := descriptor.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func addr(text string) netip.Addr { return netip.MustParseAddr(text) }

const sales = "(DESCRIPTION=(ADDRESS=(PROTOCOL=tcp)(HOST=broker)(PORT=1521))(CONNECT_DATA=(SERVICE_NAME=sales)(CID=(PROGRAM=app)(HOST=c1)(USER=u))))"
