package tns

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// closing records what CloseAfterReply does.
type closing struct {
	wire
	halfClosed bool
	deadline   time.Time
	halfErr    error
	setErr     error
	discarded  int
}

func (c *closing) Read(b []byte) (int, error) {
	n, err := c.wire.Read(b)
	c.discarded += n
	return n, err
}
func (c *closing) CloseWrite() error             { c.halfClosed = true; return c.halfErr }
func (c *closing) SetDeadline(t time.Time) error { c.deadline = t; return c.setErr }

// tlsLike is a TLS connection as far as one can see.
type tlsLike struct{ closing }

func (c *tlsLike) ConnectionState() tls.ConnectionState { return tls.ConnectionState{} }

// wrapper hides a connection but says what it is.
type wrapper struct {
	closing
	inner net.Conn
}

func (w *wrapper) NetConn() net.Conn { return w.inner }

func TestCloseAfterReplyHalfCloses(t *testing.T) {
	c := &closing{wire: wire{in: bytes.NewReader(make([]byte, 10000))}}
	NewConn(c).CloseAfterReply(time.Second)
	if !c.halfClosed || !c.closed || c.discarded != 10000 || c.deadline.IsZero() {
		t.Fatalf("%+v", c)
	}
}

// Under TLS a half-close would cut drivers short (tns.md 3.2).
func TestCloseAfterReplyNotUnderTLS(t *testing.T) {
	c := &tlsLike{closing{wire: wire{in: bytes.NewReader(make([]byte, 8192))}}}
	NewConn(c).CloseAfterReply(time.Second)
	if c.halfClosed || !c.closed || c.discarded != 8192 {
		t.Fatalf("%+v", c)
	}
	w := &wrapper{inner: &tlsLike{}, closing: closing{wire: wire{in: bytes.NewReader(nil)}}}
	NewConn(w).CloseAfterReply(time.Second)
	if w.halfClosed || !w.closed {
		t.Fatalf("%+v", w)
	}
	w = &wrapper{inner: &wrapper{}, closing: closing{wire: wire{in: bytes.NewReader(nil)}}}
	NewConn(w).CloseAfterReply(time.Second)
	if !w.halfClosed || !w.closed {
		t.Fatalf("%+v", w)
	}
}

// A wrapper that wraps itself does not hold us.
func TestCloseAfterReplyCircularWrapper(t *testing.T) {
	w := &wrapper{closing: closing{wire: wire{in: bytes.NewReader(nil)}}}
	w.inner = w
	NewConn(w).CloseAfterReply(time.Second)
	if !w.closed {
		t.Fatal("not closed")
	}
}

func TestCloseAfterReplyAtOnce(t *testing.T) {
	for name, c := range map[string]*closing{
		"no limit":                {wire: wire{in: bytes.NewReader(make([]byte, 10))}},
		"connection already dead": {wire: wire{in: bytes.NewReader(make([]byte, 10))}, setErr: net.ErrClosed},
		"half-close fails":        {wire: wire{in: bytes.NewReader(make([]byte, 10))}, halfErr: net.ErrClosed},
	} {
		limit := time.Second
		if name == "no limit" {
			limit = 0
		}
		NewConn(c).CloseAfterReply(limit)
		if !c.closed || c.discarded != 0 {
			t.Errorf("%s: %+v", name, c)
		}
	}
}

// Someone who never stops sending is cut off.
func TestCloseAfterReplyBoundsBytes(t *testing.T) {
	c := &closing{wire: wire{in: &endless{one: make([]byte, 100)}}}
	NewConn(c).CloseAfterReply(time.Hour)
	if !c.closed || c.discarded < maxDiscard || c.discarded > maxDiscard+4096 {
		t.Fatalf("closed %v after %d bytes", c.closed, c.discarded)
	}
}

// Someone who neither sends nor closes is left after the limit.
func TestCloseAfterReplyBoundsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		began := time.Now()
		NewConn(ours).CloseAfterReply(1500 * time.Millisecond)
		if took := time.Since(began); took != 1500*time.Millisecond {
			t.Fatalf("took %v", took)
		}
		if _, err := theirs.Read(make([]byte, 1)); err != io.EOF {
			t.Fatal(err)
		}
	})
}

// Over real TCP the reply arrives although the client's bytes were never read.
func TestCloseAfterReplySavesTheReply(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	served := make(chan error, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			served <- err
			return
		}
		c := NewConn(conn)
		_, err = c.ReadConnect()
		if !errors.Is(err, ErrOutOfStep) {
			served <- err
			conn.Close()
			return
		}
		err = c.Send(NewRefuse(CodeBadDescriptor, 0))
		c.CloseAfterReply(10 * time.Second)
		served <- err
	}()
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// The descriptor of 1 MB that wraps: 16,960 bytes announced.
	head := encode(NewConnect(make([]byte, 1_000_000&0xffff)))[:connectSize318]
	if _, err := conn.Write(AppendData(head, 0, make([]byte, 1_000_000), 32768, false)); err != nil {
		t.Fatal(err)
	}
	m, err := NewConn(conn).ReadReply()
	if err != nil {
		t.Fatal(err)
	}
	if r, ok := m.(*Refuse); !ok || r.Code() != CodeBadDescriptor {
		t.Fatal(m)
	}
	conn.Close()
	if err := <-served; err != nil {
		t.Fatal(err)
	}
}

// nearby is a connection that need not be waited for.
type nearby struct {
	closing
	ahead int // bytes that are there
	over  bool
}

func (c *nearby) Wait() error { panic("nobody waits") }

func (c *nearby) ReadNow(b []byte) (n int, there bool, err error) {
	switch n = min(c.ahead, len(b)); {
	case n > 0:
		c.ahead -= n
		c.discarded += n
		return n, true, nil
	case c.over:
		return 0, false, io.EOF
	}
	return 0, false, nil
}

func TestPartEndsWithThePeer(t *testing.T) {
	c, scratch := &nearby{ahead: 10_000}, make([]byte, 512)
	p := NewConn(c).Part()
	for look := range 3 {
		if p.Over(scratch) || !c.halfClosed || c.discarded != 10_000 {
			t.Fatalf("look %d: %+v", look, c)
		}
	}
	c.ahead, c.over = 1000, true
	if !p.Over(scratch) || c.discarded != 11_000 || c.closed {
		t.Fatalf("%+v", c)
	}
	if p.Close(); !c.closed {
		t.Fatal("not closed")
	}
}

// A peer that is gone already need not be told of the end.
func TestPartFromWhoIsGone(t *testing.T) {
	c := &nearby{ahead: 10, over: true}
	if p := NewConn(c).Part(); !p.Over(make([]byte, 512)) || c.halfClosed || c.discarded != 10 {
		t.Fatalf("%+v", c)
	}
	c = &nearby{closing: closing{halfErr: net.ErrClosed}}
	if p := NewConn(c).Part(); !p.Over(make([]byte, 512)) {
		t.Fatalf("%+v", c)
	}
}

func TestPartBoundsBytes(t *testing.T) {
	c := &nearby{ahead: 1 << 30}
	if p := NewConn(c).Part(); !p.Over(make([]byte, 512)) || c.discarded < maxDiscard || c.discarded > maxDiscard+4096 {
		t.Fatalf("%d bytes", c.discarded)
	}
}

func TestPartIsForWhoNeedNotBeWaitedFor(t *testing.T) {
	for name, c := range map[string]net.Conn{
		"one that has to be waited for": &closing{}, "TLS": &sealedNearby{}, "one that is closed": &nearby{closing: closing{setErr: net.ErrClosed}},
	} {
		if NewConn(c).Part() != nil {
			t.Errorf("%s is parted from", name)
		}
	}
}

// sealedNearby is TLS that need not be waited for, which there is not.
type sealedNearby struct{ nearby }

func (c *sealedNearby) ConnectionState() tls.ConnectionState { return tls.ConnectionState{} }

// Buffers are given back, and what was read before has others.
func TestPartGivesBuffersBack(t *testing.T) {
	c := &nearby{closing: closing{wire: wire{in: bytes.NewReader(NewConnect([]byte("(CONNECT_DATA=)")).AppendTo(nil, false))}}}
	conn := NewConn(c)
	connect, err := conn.ReadConnect()
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Send(&Redirect{Address: "(ADDRESS=)"}); err != nil {
		t.Fatal(err)
	}
	in := conn.lent
	if in == nil {
		t.Fatal("nothing was lent")
	}
	if conn.Part() == nil || conn.lent != nil || conn.in != nil || conn.out != nil {
		t.Fatal("something is kept")
	}
	copy(in[:], "something else")
	if string(connect.Data) != "(CONNECT_DATA=)" {
		t.Errorf("%q", connect.Data)
	}
}
