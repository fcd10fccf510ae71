package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"servicebroker/testenv/fuzzing"
)

// FuzzFreezing plays a script of writes, pauses, ends and resets on both sides of a session that is frozen
// and thawed again and again meanwhile, its state passed on as two generations of the broker do. Whatever
// the moment: each side has what the other sent, whole and in order, both are accounted for, and the
// inspector has seen each byte once.
func FuzzFreezing(f *testing.F) {
	for _, script := range [][]byte{
		{}, {0, 0, 0, 0, 200, 4, 0, 1, 0, 100, 4, 0, 2, 3},
		{1, 1, 0, 4, 0, 0, 255, 255, 1, 0, 255, 255, 4, 4, 6, 1, 4, 7, 1, 4, 2, 4, 3, 4},
		{2, 0, 0, 0, 1, 0, 4, 0, 1, 1, 4, 1, 0, 9, 2, 4, 1, 0, 9, 4, 3},
		{3, 1, 0, 0, 255, 255, 8, 5, 4, 4, 4, 4, 6, 3, 4, 4, 9},
	} {
		f.Add(script)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = listener.Close() })
	ways := []carrier{byGoroutines, byLoops(f)}
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) > 400 {
			return
		}
		s := fuzzing.Read(script)
		c := newFrozenSession(t, s, listener, ways)
		for step := 0; s.More() && step < 40 && !c.over; step++ {
			c.step()
		}
		c.end()
	})
}

// frozenSession is a session both of whose sides the test plays.
type frozenSession struct {
	*fuzzing.Script
	t      *testing.T
	link   *Link
	ways   []carrier
	ended  chan error
	sides  [2]*side // by the direction in which they write: client, server
	rough  bool     // a reset: bytes may have been lost
	over   bool
	seen   [2]*seenBytes
	limits bool
}

// seenBytes are those that the inspector was shown.
type seenBytes struct {
	mu    sync.Mutex
	bytes []byte
}

// side is one peer. What it writes and reads waits in its own goroutines.
type side struct {
	conn    *net.TCPConn
	writes  chan int // how many bytes next; closed: the half ends
	allowed chan int // how many bytes may be read next; closed: all
	wrote   []byte
	read    []byte
	err     error
	running sync.WaitGroup
}

func socketPair(t *testing.T, listener net.Listener, buffer int) (near, far *net.TCPConn) {
	far1, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Skip(err) // no port is free for the moment
	}
	near1, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	near, far = near1.(*net.TCPConn), far1.(*net.TCPConn)
	if buffer > 0 {
		for _, c := range []*net.TCPConn{near, far} {
			_, _ = c.SetReadBuffer(buffer), c.SetWriteBuffer(buffer)
		}
	}
	return near, far
}

// freely is a Limiter that lets all through, in its time.
type freely struct{}

func (freely) Free() bool { return false }

func (freely) WaitN(ctx context.Context, _ int) error { return context.Cause(ctx) }

func newFrozenSession(t *testing.T, s *fuzzing.Script, listener net.Listener, ways []carrier) *frozenSession {
	c := &frozenSession{Script: s, t: t, ways: ways, seen: [2]*seenBytes{{}, {}}}
	buffer := fuzzing.Pick(s, 0, 128<<10, 0, 256<<10)
	c.limits = s.Bool()
	client, atClient := socketPair(t, listener, buffer)
	server, atServer := socketPair(t, listener, buffer)
	c.sides = [2]*side{newSide(atClient, 1), newSide(atServer, 2)}
	c.carry(&Link{Client: client, Server: server})
	return c
}

// carry has a link run, in one of the ways there are.
func (c *frozenSession) carry(l *Link) {
	if c.limits {
		l.Limit = [2]Limiter{freely{}, freely{}}
	}
	l.Inspect(func(d Direction, b []byte) {
		c.seen[d].mu.Lock()
		defer c.seen[d].mu.Unlock()
		c.seen[d].bytes = append(c.seen[d].bytes, b...)
	})
	c.link, c.ended = l, make(chan error, 1)
	running := make(chan struct{})
	l.Running = func() { close(running) }
	ended := c.ended
	fuzzing.Pick(c.Script, c.ways...)(l, func(err error) { ended <- err })
	<-running
}

func newSide(conn *net.TCPConn, who byte) *side {
	writes, allowed := make(chan int, 100), make(chan int, 100)
	s := &side{conn: conn, writes: writes, allowed: allowed}
	s.running.Go(func() {
		for n := range writes {
			b := make([]byte, n)
			for i := range b {
				at := len(s.wrote) + i
				b[i] = byte(at) ^ byte(at>>8)*31 ^ byte(at>>16) ^ who
			}
			n, err := conn.Write(b)
			s.wrote = append(s.wrote, b[:n]...)
			if err != nil {
				return
			}
		}
		_ = conn.CloseWrite()
	})
	s.running.Go(func() {
		for n := range allowed {
			b := make([]byte, n)
			n, err := conn.Read(b)
			s.read = append(s.read, b[:n]...)
			if err != nil {
				s.err = err
				return
			}
		}
		rest, err := io.ReadAll(conn)
		s.read, s.err = append(s.read, rest...), err
	})
	return s
}

func (c *frozenSession) step() {
	one := c.sides[c.Below(2)]
	switch c.Below(10) {
	case 0, 1, 2:
		if one.writes != nil {
			one.writes <- 1 + c.Below(1<<16)
		}
	case 3:
		if one.writes != nil {
			close(one.writes)
			one.writes = nil
		}
	case 4, 5:
		c.freeze(1)
	case 6, 7:
		if one.allowed != nil {
			one.allowed <- 1 + c.Below(1<<16)
		}
	case 8:
		c.freeze(1 + c.Below(4))
	case 9:
		if c.Below(8) == 7 {
			c.rough, c.over = true, true
			_ = one.conn.SetLinger(0)
			_ = one.conn.Close()
		}
	}
}

// freeze passes the session on, some times in a row.
func (c *frozenSession) freeze(times int) {
	for range times {
		frozen, err := c.link.Freeze(context.Background())
		if errors.Is(err, ErrNotRunning) {
			c.over = true
			return
		}
		if err != nil {
			c.t.Fatal(err)
		}
		if err := <-c.ended; !errors.Is(err, ErrFrozen) {
			c.t.Fatalf("Run = %v, want ErrFrozen", err)
		}
		passed, err := json.Marshal(frozen.State)
		if err != nil {
			c.t.Fatal(err)
		}
		frozen.State = State{}
		if err := json.Unmarshal(passed, &frozen.State); err != nil {
			c.t.Fatal(err)
		}
		next, err := Thaw(frozen)
		if err != nil {
			c.t.Fatal(err)
		}
		c.carry(next)
	}
}

// end has both sides finish, and checks what came of it.
func (c *frozenSession) end() {
	for _, s := range c.sides {
		if s.writes != nil {
			close(s.writes)
		}
		close(s.allowed)
	}
	select {
	case err := <-c.ended:
		if err != nil && !c.rough {
			c.t.Errorf("Run = %v", err)
		}
	case <-time.After(patience()):
		c.t.Errorf("it does not end: %+v", c.link.Stats())
		c.link.Close(io.ErrNoProgress)
		<-c.ended
	}
	for _, s := range c.sides {
		s.running.Wait()
		_ = s.conn.SetLinger(0)
		_ = s.conn.Close()
	}
	stats := c.link.Stats()
	c.compare("server", c.sides[0].wrote, c.sides[1].read, c.seen[ToServer].bytes, stats.ToServer)
	c.compare("client", c.sides[1].wrote, c.sides[0].read, c.seen[ToClient].bytes, stats.ToClient)
}

// patience is how long a session may take to end: the fuzzer takes what lasts for 10 s to hang, and a crowded
// machine that runs tests has more time.
func patience() time.Duration {
	if worker := flag.Lookup("test.fuzzworker"); worker != nil && worker.Value.String() == "true" {
		return 8 * time.Second
	}
	return time.Minute
}

func (c *frozenSession) compare(to string, wrote, read, seen []byte, counted uint64) {
	if !bytes.HasPrefix(wrote, read) || !bytes.HasPrefix(wrote, seen) && !bytes.HasPrefix(seen, wrote) {
		c.t.Errorf("to the %s %d bytes were sent, %d others arrived, %d were seen", to, len(wrote), len(read), len(seen))
	}
	if !c.rough && (len(read) != len(wrote) || len(seen) != len(wrote) || counted != uint64(len(wrote))) {
		c.t.Errorf("to the %s %d bytes were sent, %d arrived, %d were seen, %d are accounted for", to, len(wrote), len(read), len(seen), counted)
	}
}
