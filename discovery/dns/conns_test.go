package dns

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"servicebroker/servicetable"
)

// dialFrom connects to a server from an address of loopback.
func dialFrom(t *testing.T, from, to string) *wire.Conn {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 5 * time.Second}
	conn, err := dialer.DialContext(t.Context(), "tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &wire.Conn{Conn: conn}
}

// exchange asks over a connection that is there.
func exchange(c *wire.Conn) error {
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	if err := c.WriteMsg(question("sales.db.example", wire.TypeA)); err != nil {
		return err
	}
	got, err := c.ReadMsg()
	if err == nil && len(got.Answer) != 1 {
		err = fmt.Errorf("answer is %v", got)
	}
	return err
}

func TestOneNetworkShutsNobodyOut(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := newBounded(l, 8)
	defer b.Close()
	accept := func(from string) (client, server net.Conn) {
		client = dialFrom(t, from, l.Addr().String())
		server, err := b.Accept()
		if err != nil {
			t.Fatal(err)
		}
		return client, server
	}
	is := func(c net.Conn, open bool) {
		t.Helper()
		limit := 20 * time.Second
		if open {
			limit = 50 * time.Millisecond
		}
		_ = c.SetReadDeadline(time.Now().Add(limit))
		_, err := c.Read(make([]byte, 1))
		if closed := errors.Is(err, io.EOF); closed == open {
			t.Errorf("a connection ends with %v", err)
		}
	}
	other, _ := accept("127.0.1.1")
	var greedy, theirs []net.Conn
	for range 7 {
		c, s := accept("127.0.0.1")
		greedy, theirs = append(greedy, c), append(theirs, s)
	}
	if _, err := greedy[0].Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := theirs[0].Read(make([]byte, 1)); err != nil { // the first one has spoken since
		t.Fatal(err)
	}
	more, _ := accept("127.0.0.2") // the same network
	another, _ := accept("127.0.2.1")
	is(other, true)
	is(more, true)
	is(another, true)
	is(greedy[0], true)
	is(greedy[1], false)
	is(greedy[2], false)
	is(greedy[3], true)
	b.closeAll()
	is(other, false)
	is(greedy[3], false)
	if len(b.held) > 0 {
		t.Errorf("%d connections are still held", len(b.held))
	}
}

// outOfDescriptors is a listener on a system that has none left, for a while.
type outOfDescriptors struct {
	net.Listener
	failures int
}

func (o *outOfDescriptors) Accept() (net.Conn, error) {
	if o.failures > 0 {
		o.failures--
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return nil, net.ErrClosed
}

func TestDescriptorsThatAreMissingAreWaitedFor(t *testing.T) {
	here, there := net.Pipe()
	defer there.Close()
	b := newBounded(&outOfDescriptors{failures: 2}, 8)
	b.hold(&remote{here, tcpAddr})
	start := time.Now()
	if _, err := b.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("error: %v", err)
	}
	if took := time.Since(start); took < 2*breath {
		t.Errorf("it was tried again after %v", took)
	}
	if _, err := there.Read(make([]byte, 1)); !errors.Is(err, io.EOF) || len(b.held) > 0 {
		t.Errorf("what is held makes no room: %v", err)
	}
}

// remote is a connection from an address.
type remote struct {
	net.Conn
	from net.Addr
}

func (r *remote) RemoteAddr() net.Addr { return r.from }

// A client that asks and does not read holds up neither others nor the end.
func TestWhoDoesNotReadIsNotWaitedFor(t *testing.T) {
	var all []servicetable.Registration
	for i := range maxRecords {
		all = append(all, instance(fmt.Sprintf("big%d", i), fmt.Sprintf("10.2.0.%d", i+1), "big"))
	}
	w := newWorld(t, &Server{}, append(all, instance("s1", "10.1.0.1", "sales"))...)
	ctx, cancel := context.WithCancel(t.Context())
	sockets, err := Listen(ctx, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := sockets.TCP.Addr().String()
	done := make(chan error, 1)
	go func() { done <- w.server.Run(ctx, sockets) }()

	deaf := dialFrom(t, "127.0.0.1", at)
	for written := 0; ; written++ { // until the server cannot write and so reads no more
		if err := deaf.SetWriteDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if err := deaf.WriteMsg(question("big.db.example", wire.TypeTXT)); err != nil {
			break
		}
		if written == 1_000_000 {
			t.Fatal("whatever is asked is answered, though nobody reads")
		}
	}
	if err := exchange(dialFrom(t, "127.0.0.1", at)); err != nil {
		t.Errorf("another one: %v", err)
	}
	start := time.Now()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took > stopWithin+2*time.Second {
		t.Errorf("the server ended after %v", took)
	}
}

func TestQuestionsInOneStreamAreAnsweredAll(t *testing.T) {
	w := newWorld(t, &Server{}, instance("s1", "10.1.0.1", "sales"))
	w.listen(t, "127.0.0.1:0")
	c := dialFrom(t, "127.0.0.1", w.addr)
	asked := map[uint16]bool{}
	var stream []byte
	for i := range 200 {
		m := question("sales.db.example", wire.TypeA)
		m.Id = uint16(i)
		packed, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		asked[m.Id] = true
		stream = append(append(stream, byte(len(packed)>>8), byte(len(packed))), packed...)
	}
	if _, err := c.Conn.Write(stream); err != nil {
		t.Fatal(err)
	}
	for range 200 {
		got, err := c.ReadMsg()
		if err != nil || len(got.Answer) != 1 || !asked[got.Id] {
			t.Fatalf("%v, %v", got, err)
		}
		delete(asked, got.Id)
	}
	if err := exchange(c); err != nil {
		t.Errorf("one more: %v", err)
	}
}

// What cannot be read is told so, in no more bytes than came; an answer is never answered.
func TestGarbageOverTheNetwork(t *testing.T) {
	counted := make(chan int, 100)
	w := newWorld(t, &Server{Answered: func(_ uint16, rcode int) { counted <- rcode }}, instance("s1", "10.1.0.1", "sales"))
	w.listen(t, "127.0.0.1:0")
	conn, err := net.Dial("udp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	header := "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
	for name, packet := range map[string]string{
		"a loop of pointers": header + "\xc0\x0c\x00\x01\x00\x01", "half a question": header + "\x05sal", "a label of 64": header + "\x40" + strings.Repeat("a", 64) + "\x00\x00\x01\x00\x01",
		"a question that is not there": header, "an OPT that ends early": header[:11] + "\x01\x05sales\x02db\x07example\x00\x00\x01\x00\x01\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x04\x00\x0a\x00\xff",
	} {
		buf := make([]byte, 4096)
		_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
		for _, send := range []string{"\x12", packet[:2] + "\x81" + packet[3:], packet} { // the first two are answered by nothing
			if _, err := conn.Write([]byte(send)); err != nil {
				t.Fatal(err)
			}
		}
		n, err := conn.Read(buf)
		if err != nil || n < 12 || n > len(packet) || buf[0] != 0x12 || buf[2]&0x80 == 0 || buf[3]&15 != wire.RcodeFormatError {
			t.Errorf("%s: % x, %v", name, buf[:n], err)
		}
		if rcode := <-counted; rcode != wire.RcodeFormatError {
			t.Errorf("%s is counted as %d", name, rcode)
		}
	}
}
