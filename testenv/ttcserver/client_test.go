package ttcserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"servicebroker/testenv/sqlengine"
	"servicebroker/tns"
	"servicebroker/ttc"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// patience bounds every wait of these tests; none should come near it.
const patience = 30 * time.Second

// world is a server over an engine with two users, and what it said of the
// conversations that ended.
type world struct {
	t      testing.TB
	server *Server
	engine *sqlengine.Engine
	ends   chan error
}

func newWorld(t testing.TB, change func(*Server)) *world {
	t.Helper()
	engine, err := sqlengine.Open("")
	if err != nil {
		t.Fatal(err)
	}
	verifiers := map[string]ttc.Verifier{"SCOTT": ttc.NewVerifier12c("tiger"), "APP": ttc.NewVerifier11g("app"), "mixed": ttc.NewVerifier12c("x")}
	w := &world{t: t, engine: engine, ends: make(chan error, 1000)}
	w.server = &Server{
		Authenticate: func(user string) (ttc.Verifier, bool) { v, ok := verifiers[user]; return v, ok },
		NewSession: func(_ context.Context, l Login) (*sqlengine.Session, error) {
			return engine.NewSession(sqlengine.Identity{
				User: l.User, ProxyUser: l.ProxyUser, Schema: l.User, Service: l.Service, Program: l.Program,
				Machine: l.Machine, OSUser: l.OSUser, Terminal: l.Terminal, SessionID: l.SessionID, Serial: l.Serial,
			}, false)
		},
		Identity: Identity{Instance: "test1", Host: "testhost"},
	}
	if change != nil {
		change(w.server)
	}
	t.Cleanup(func() {
		if err := w.server.Close(); err != nil {
			t.Errorf("closing the idle sessions: %v", err)
		}
		if err := engine.Close(); err != nil {
			t.Errorf("closing the engine: %v", err)
		}
	})
	return w
}

// serve starts a conversation and returns the client's end of its connection.
func (w *world) serve(ctx context.Context, login Login) net.Conn {
	w.t.Helper()
	ours, theirs := connPair(w.t)
	ours.SetDeadline(time.Now().Add(patience))
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn := tns.NewConn(theirs)
		connect, err := conn.ReadConnect()
		if err == nil {
			err = w.server.Serve(ctx, conn, connect, login)
		}
		theirs.Close()
		w.ends <- err
	}()
	w.t.Cleanup(func() {
		ours.Close()
		<-done
	})
	return ours
}

// connPair is a TCP connection within this process: with buffers and
// half-close, as real ones have.
func connPair(t testing.TB) (client, server net.Conn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if client, err = net.Dial("tcp", listener.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if server, err = listener.Accept(); err != nil {
		t.Fatal(err)
	}
	return client, server
}

// client is a driver as the tests script it.
type client struct {
	t       testing.TB
	raw     net.Conn
	conn    *tns.Conn
	accept  *tns.Accept
	in      *ttc.Reader
	dialect ttc.Dialect
	caps    ttc.Capabilities
	reply   ttc.AuthReply // of phase two
}

// errMarker is a marker met where an answer was read.
type errMarker byte

func (e errMarker) Error() string { return fmt.Sprintf("marker %d", byte(e)) }

// connect gets a conversation up to its ACCEPT.
func (w *world) connect(ctx context.Context, login Login, version uint16) *client {
	w.t.Helper()
	c := &client{t: w.t, raw: w.serve(ctx, login), caps: ttc.ClientCapabilities(24, true)}
	c.conn = tns.NewConn(c.raw)
	request := tns.NewConnect([]byte("(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=sales)))"))
	request.Version = version
	request.Lowest = min(request.Lowest, version)
	if err := c.conn.Send(request); err != nil {
		w.t.Fatal(err)
	}
	reply, err := c.conn.ReadReply()
	if err != nil {
		w.t.Fatal(err)
	}
	accept, ok := reply.(*tns.Accept)
	if !ok {
		w.t.Fatalf("got a %T, want an ACCEPT", reply)
	}
	c.accept = accept
	c.conn.SetVersion(accept.Version)
	c.in = ttc.NewStreamReader(c.nextPiece)
	return c
}

func (c *client) nextPiece() ([]byte, error) {
	for {
		_ = c.raw.SetDeadline(time.Now().Add(patience)) // a long answer takes its time on a machine that is busy
		packet, err := c.conn.ReadPacket()
		if err != nil {
			return nil, err
		}
		switch packet.Type {
		case tns.TypeData:
			var data tns.Data
			if err := data.Decode(packet); err != nil {
				return nil, err
			}
			if len(packet.Body)+8 > int(c.accept.SDU) {
				return nil, fmt.Errorf("packet of %d bytes, agreed were %d", len(packet.Body)+8, c.accept.SDU)
			}
			return append([]byte(nil), data.Payload...), nil
		case tns.TypeMarker:
			var marker tns.Marker
			if err := marker.Decode(packet); err != nil {
				return nil, err
			}
			return nil, errMarker(marker.Value)
		default:
			return nil, fmt.Errorf("unexpected %v", packet.Type)
		}
	}
}

// send sends a request cut into packets of the agreed size.
func (c *client) send(payload []byte) {
	c.t.Helper()
	if err := c.conn.Send(packets{payload: payload, sdu: int(c.accept.SDU)}); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) marker(value byte) {
	c.t.Helper()
	if err := c.conn.Send(tns.Marker{Kind: 1, Value: value}); err != nil {
		c.t.Fatal(err)
	}
}

// negotiate exchanges capabilities.
func (c *client) negotiate() {
	c.t.Helper()
	c.send((&ttc.Protocol{Versions: []byte{6}, Driver: "test driver"}).AppendTo(nil))
	c.in.Byte()
	var reply ttc.ProtocolReply
	reply.Decode(c.in)
	types := ttc.NewDataTypes(c.caps)
	c.send(types.AppendTo(nil))
	c.in.Byte()
	types.DecodeReply(c.in)
	if err := c.in.Err(); err != nil {
		c.t.Fatalf("negotiation: %v", err)
	}
	c.agree(reply.Capabilities, types)
}

func (c *client) agree(server ttc.Capabilities, types *ttc.DataTypes) {
	c.dialect = ttc.Negotiate(server, types)
	c.dialect.EndOfResponse = c.dialect.EndOfResponse && c.accept.Flags2&tns.Flags2EndOfResponse != 0
}

// login runs both phases and returns the end of the call that decided.
func (c *client) login(user, password string, more ...ttc.Pair) ttc.CallEnd {
	c.t.Helper()
	one := ttc.Auth{User: user, Mode: ttc.AuthLogon, Pairs: []ttc.Pair{
		{Key: ttc.KeyProgram, Value: "tester"}, {Key: ttc.KeyMachine, Value: "here"}, {Key: ttc.KeyOSUser, Value: "me"},
	}}
	c.send(ttc.AppendCall(nil, c.dialect, ttc.FunctionAuthOne, &one))
	challenge, end := c.authReply()
	if end.Code != 0 {
		return end
	}
	return c.phaseTwo(user, password, &challenge, more)
}

func (c *client) phaseTwo(user, password string, challenge *ttc.AuthReply, more []ttc.Pair) ttc.CallEnd {
	c.t.Helper()
	pairs, verify, err := ttc.AnswerChallenge(password, challenge)
	if err != nil {
		c.t.Fatal(err)
	}
	two := ttc.Auth{User: user, Mode: ttc.AuthLogon | ttc.AuthWithPassword, Pairs: append(pairs, more...)}
	c.send(ttc.AppendCall(nil, c.dialect, ttc.FunctionAuthTwo, &two))
	reply, end := c.authReply()
	if end.Code == 0 {
		if err := verify(reply.Value(ttc.KeyServerResponse)); err != nil {
			c.t.Fatalf("the server does not prove itself: %v", err)
		}
		c.reply = reply
	}
	return end
}

func (c *client) authReply() (reply ttc.AuthReply, end ttc.CallEnd) {
	c.t.Helper()
	c.in.Begin()
	for {
		switch code := ttc.MessageCode(c.in.Byte()); code {
		case ttc.MessageParameters:
			reply.Decode(c.in)
		case ttc.MessageServerPiggyback:
			ttc.DecodeServerPiggyback(c.in)
		case ttc.MessageCallEnd:
			end.Decode(c.in, c.dialect)
			c.ended()
			return reply, end
		default:
			c.t.Fatalf("message %d in a login, error %v", code, c.in.Err())
		}
	}
}

// ended checks what must follow the last message of an answer: the byte that
// ends it, if that was agreed on, and nothing else.
func (c *client) ended() {
	c.t.Helper()
	if c.dialect.EndOfResponse {
		if code := ttc.MessageCode(c.in.Byte()); code != ttc.MessageEndOfResponse {
			c.t.Errorf("an answer ends in message %d", code)
		}
	}
	if c.in.Err() != nil || c.in.Buffered() != 0 {
		c.t.Fatalf("at the end of an answer: error %v, %d bytes left", c.in.Err(), c.in.Buffered())
	}
}

// dial logs in as SCOTT with everything as usual.
func (w *world) dial(login Login) *client {
	w.t.Helper()
	c := w.connect(context.Background(), login, 318)
	c.negotiate()
	if end := c.login("scott", "tiger"); end.Code != 0 {
		w.t.Fatalf("login: %s", end.Text)
	}
	return c
}

// end waits for a conversation's end and returns its error.
func (w *world) end() error {
	w.t.Helper()
	select {
	case err := <-w.ends:
		return err
	case <-time.After(patience):
		w.t.Fatal("the conversation does not end")
		return nil
	}
}

// gone checks that the server closed the connection.
func (c *client) gone() {
	c.t.Helper()
	if _, err := c.conn.ReadPacket(); !errors.Is(err, io.EOF) {
		if os.IsTimeout(err) || err == nil {
			c.t.Errorf("the connection is still open: %v", err)
		}
	}
}
