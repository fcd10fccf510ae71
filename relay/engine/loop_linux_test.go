package engine

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A message costs no memory, whatever the broker counts and limits of it; nor do those that fill a small buffer.
func TestMessagesCostNoMemory(t *testing.T) {
	eachWay(t, func(t *testing.T, by carrier) {
		for _, size := range []int{512, smallChunk} {
			s := start(t, by, func(l *Link) { l.Limit = [2]Limiter{free{}, free{}}; l.IdleTimeout = time.Hour })
			b := make([]byte, size)
			trip := func() {
				if _, err := s.client.Write(b); err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadFull(s.server, b); err != nil {
					t.Fatal(err)
				}
			}
			trip()
			if n := testing.AllocsPerRun(1000, trip); n != 0 {
				t.Errorf("a message of %d bytes costs %v allocations", size, n)
			}
			s.hangUp(t)
		}
	})
}

// Where there is no room for loops, a session is carried all the same, and one that comes later by a loop.
func TestLoopsBeginOnceThereIsRoom(t *testing.T) {
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	loops := &Loops{}
	defer loops.Close()
	first := start(t, func(l *Link, ended func(error)) {
		none := before
		none.Cur = 0
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none); err != nil {
			t.Fatal(err)
		}
		by(loops)(l, ended)
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
			t.Fatal(err)
		}
	}, nil)
	first.exchange(t, "hello")
	if first.carried != nil {
		t.Error("a loop carries it")
	}
	second := start(t, by(loops), nil)
	second.exchange(t, "hello")
	if second.carried == nil {
		t.Error("no loop carries who comes later")
	}
	first.hangUp(t)
	second.hangUp(t)
}

// free is a Limiter that sets no limit.
type free struct{ Limiter }

func (free) Free() bool { return true }

// Sessions that are there and do nothing have neither goroutines nor buffers.
func TestIdleSessionsHoldNoGoroutine(t *testing.T) {
	loops := &Loops{}
	defer loops.Close()
	s := start(t, by(loops), nil)
	s.exchange(t, "hello")
	if s.Client != nil || s.Server != nil || s.carried == nil {
		t.Error("it is carried by goroutines")
	}
	for d := range s.flows {
		if s.flows[d].pending != nil || s.carried.lent[d] != nil {
			t.Error("it holds a buffer")
		}
	}
	s.hangUp(t)
}

// What the kernel tells late of one session is none of that which has come in its place.
func TestLateEventsMeetNobodyElse(t *testing.T) {
	var ended sync.WaitGroup
	l, err := newLoop(&ended)
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	session := func() *carried {
		_, client := tcpPair(t)
		server, _ := tcpPair(t)
		c, err := detach(&Link{Client: client, Server: server})
		if err != nil {
			t.Fatal(err)
		}
		c.loop, c.owner = l, told(func(error) {})
		if err := c.claim(c.link); err != nil {
			t.Fatal(err)
		}
		c.link.begin()
		c.begin()
		return c
	}
	first := session()
	late := syscall.EpollEvent{Events: syscall.EPOLLIN | syscall.EPOLLHUP | syscall.EPOLLERR, Fd: first.slot << 1, Pad: first.round}
	first.cause(os.ErrClosed)
	first.finish()
	l.event(&late, 2) // nobody is there
	second := session()
	if second.slot != first.slot || second.round == first.round {
		t.Fatalf("slots %d and %d, rounds %d and %d", first.slot, second.slot, first.round, second.round)
	}
	l.event(&late, 3)
	if second.readable[0] || second.closing[0] || second.over {
		t.Errorf("the second one was told %+v", second)
	}
	second.finish()
	ended.Wait()
}

// A stream that never pauses leaves the others of its loop their turns.
func TestABulkStreamLeavesOthersTheirTurns(t *testing.T) {
	by := byLoops(t)
	var streams []*session
	for range 8 { // so that some are in the loop of the other
		s := start(t, by, nil)
		streams = append(streams, s)
		go func() { _, _ = io.Copy(io.Discard, s.server) }()
		go func() {
			for b := make([]byte, 1<<20); ; {
				if _, err := s.client.Write(b); err != nil {
					return
				}
			}
		}()
	}
	other := start(t, by, nil)
	for range 20 {
		other.exchange(t, "still here")
	}
	for _, s := range streams {
		if s.Stats().ToServer == 0 {
			t.Error("a stream stands still")
		}
		s.Close(os.ErrClosed)
		<-s.ended
	}
	other.hangUp(t)
}

// Many sessions are opened, used, frozen, ended and reset at random, all at once. Each says
// what only it can say, and hears nothing else.
func TestManySessionsAtRandom(t *testing.T) {
	eachWay(t, func(t *testing.T, by carrier) {
		var all sync.WaitGroup
		until := time.Now().Add(time.Second)
		for n := range 16 {
			all.Go(func() {
				for random := rand.New(rand.NewPCG(uint64(n), 1)); time.Now().Before(until); {
					if err := oneAtRandom(t, by, random); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		all.Wait()
	})
}

// oneAtRandom is the life of one session.
func oneAtRandom(t *testing.T, by carrier, random *rand.Rand) error {
	client, linkClient := looped(t)
	linkServer, server := looped(t)
	defer client.Close()
	defer server.Close()
	ended := make(chan error, 1)
	l := &Link{Client: linkClient, Server: linkServer}
	carry := func() {
		running := make(chan struct{})
		l.Running = func() { close(running) }
		by(l, func(err error) { ended <- err })
		<-running
	}
	carry()
	for range random.IntN(6) {
		b := make([]byte, 1+random.IntN(200<<10))
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		from, to := client, server
		if random.IntN(2) == 0 {
			from, to = server, client
		}
		sent := make(chan error, 1)
		go func() {
			_, err := from.Write(b)
			sent <- err
		}()
		if random.IntN(3) == 0 { // in the middle of it
			frozen, err := l.Freeze(t.Context())
			if err != nil {
				return err
			}
			if err := <-ended; !errors.Is(err, ErrFrozen) {
				return err
			}
			if l, err = Thaw(frozen); err != nil {
				return err
			}
			carry()
		}
		got := make([]byte, len(b))
		if _, err := io.ReadFull(to, got); err != nil {
			return err
		}
		if err := <-sent; err != nil {
			return err
		}
		if !bytes.Equal(got, b) {
			return errors.New("bytes changed on their way")
		}
	}
	switch random.IntN(4) {
	case 0:
		l.Close(os.ErrClosed)
	case 1:
		_ = client.SetLinger(0)
		client.Close()
	case 2:
		_ = server.CloseWrite()
		client.Close()
	case 3:
		_ = client.CloseWrite()
		if rest, err := io.ReadAll(server); err != nil || len(rest) > 0 {
			return errors.Join(err, errors.New("bytes after the last"))
		}
		server.Close()
	}
	err := <-ended
	if err != nil && !errors.Is(err, os.ErrClosed) && !isReset(err) {
		return err
	}
	return nil
}

// looped is tcpPair for those that are many: they are closed by whoever asks for them.
func looped(t *testing.T) (near, far *net.TCPConn) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	a, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return c.(*net.TCPConn), a.(*net.TCPConn)
}
