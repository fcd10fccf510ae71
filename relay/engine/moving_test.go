package engine

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"hash"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"
)

// moving is a link that is frozen and thawed again and again, as by upgrade after upgrade.
type moving struct {
	t              *testing.T
	client, server *net.TCPConn // the peers
	by             carrier
	prepare        func(*Link)

	link  *Link
	ended chan error // of the last run
	moves int
}

func startMoving(t *testing.T, by carrier, prepare func(*Link)) *moving {
	t.Helper()
	client, linkClient := tcpPair(t)
	linkServer, server := tcpPair(t)
	m := &moving{t: t, client: client, server: server, by: by, prepare: prepare, ended: make(chan error, 1)}
	m.run(&Link{Client: linkClient, Server: linkServer, Accepted: Accepted{Version: 319, SDU: 8192}})
	return m
}

func (m *moving) run(l *Link) {
	if m.prepare != nil {
		m.prepare(l)
	}
	m.link = l
	m.by(l, func(err error) {
		if !errors.Is(err, ErrFrozen) {
			m.ended <- err
		}
	})
}

// move takes the session to a new link by way of text and duplicated descriptors. It
// reports whether there is still a session.
func (m *moving) move() bool {
	frozen, err := m.link.Freeze(context.Background())
	if errors.Is(err, ErrNotRunning) { // not yet, or over
		select {
		case err := <-m.ended:
			m.ended <- err
			return false
		default:
			return true
		}
	}
	if err != nil {
		return false // it has ended meanwhile
	}
	text, err := json.Marshal(frozen.State)
	if err != nil {
		m.t.Error(err)
		return false
	}
	successor := &Frozen{Client: duplicate(m.t, frozen.Client), Server: duplicate(m.t, frozen.Server)}
	if err := json.Unmarshal(text, &successor.State); err != nil {
		m.t.Error(err)
		return false
	}
	l, err := Thaw(successor)
	if err != nil {
		m.t.Error(err)
		return false
	}
	m.moves++
	m.run(l)
	return true
}

// duplicate is what the kernel does with a descriptor that is sent to another process.
func duplicate(t *testing.T, f *os.File) *os.File {
	defer f.Close()
	raw, err := f.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var copied int
	if cerr := raw.Control(func(fd uintptr) { copied, err = syscall.Dup(int(fd)) }); cerr != nil || err != nil {
		t.Fatal(cerr, err)
	}
	syscall.CloseOnExec(copied)
	return os.NewFile(uintptr(copied), f.Name())
}

// talk sends size random bytes in pieces of any length, and ends its half.
func talk(t *testing.T, c *net.TCPConn, size int, seed uint64) [sha256.Size]byte {
	random, sum := rand.New(rand.NewPCG(seed, 1)), sha256.New()
	piece := make([]byte, 96<<10)
	for size > 0 {
		n := min(size, 1+random.IntN(1<<random.IntN(17)))
		for i := range piece[:n] {
			piece[i] = byte(random.Uint32())
		}
		sum.Write(piece[:n])
		if _, err := c.Write(piece[:n]); err != nil {
			t.Errorf("write: %v", err)
			break
		}
		size -= n
	}
	if err := c.CloseWrite(); err != nil {
		t.Errorf("end of a half: %v", err)
	}
	return [sha256.Size]byte(sum.Sum(nil))
}

// listen reads to the end in pieces of any length; a slow one lets the sender wait now and then.
func listen(t *testing.T, c *net.TCPConn, slow bool, seed uint64) [sha256.Size]byte {
	random := rand.New(rand.NewPCG(seed, 2))
	var sum hash.Hash = sha256.New()
	piece := make([]byte, 64<<10)
	for {
		n, err := c.Read(piece[:1+random.IntN(1<<random.IntN(16))])
		sum.Write(piece[:n])
		if errors.Is(err, io.EOF) {
			return [sha256.Size]byte(sum.Sum(nil))
		}
		if err != nil {
			t.Errorf("read: %v", err)
			return [sha256.Size]byte{}
		}
		if slow && random.IntN(50) == 0 {
			<-time.After(time.Millisecond)
		}
	}
}

// paced lets so many bytes a second pass, as a bandwidth does.
type paced struct{ perSecond int }

func (paced) Free() bool { return false }

func (p paced) WaitN(ctx context.Context, n int) error {
	select {
	case <-time.After(time.Duration(n) * time.Second / time.Duration(p.perSecond)):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func TestNoByteIsLostHoweverOftenASessionMoves(t *testing.T) {
	eachWay(t, func(t *testing.T, by carrier) {
		for name, c := range map[string]struct {
			up, down int
			slow     bool
			prepare  func(*Link)
		}{
			"fast both ways":          {6 << 20, 8 << 20, false, nil},
			"slow readers":            {8 << 20, 8 << 20, true, nil},
			"much one way":            {1, 12 << 20, false, nil},
			"under a bandwidth":       {1 << 20, 1 << 20, false, func(l *Link) { l.Limit = [2]Limiter{paced{4 << 20}, paced{4 << 20}} }},
			"with limits that strike": {8 << 20, 8 << 20, true, func(l *Link) { l.IdleTimeout, l.SessionTimeout = time.Second, time.Hour }},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				m := startMoving(t, by, c.prepare)
				var all sync.WaitGroup
				var sent, got [2][sha256.Size]byte
				all.Go(func() { sent[ToServer] = talk(t, m.client, c.up, 1) })
				all.Go(func() { sent[ToClient] = talk(t, m.server, c.down, 2) })
				all.Go(func() { got[ToServer] = listen(t, m.server, c.slow, 3) })
				all.Go(func() { got[ToClient] = listen(t, m.client, c.slow, 4) })
				random := rand.New(rand.NewPCG(5, 5))
				for m.move() {
					if random.IntN(3) > 0 {
						<-time.After(time.Duration(random.IntN(1000)) * time.Microsecond)
					}
				}
				all.Wait()
				if sent != got {
					t.Error("what arrived is not what was sent")
				}
				if err := <-m.ended; err != nil {
					t.Errorf("Run = %v after both halves ended", err)
				}
				if st := m.link.Stats(); st.ToServer != uint64(c.up) || st.ToClient != uint64(c.down) {
					t.Errorf("accounted %d and %d bytes, want %d and %d", st.ToServer, st.ToClient, c.up, c.down)
				}
				if m.moves == 0 {
					t.Error("it was never moved")
				}
				t.Logf("moved %d times", m.moves)
			})
		}
	})
}

// A reset that comes while the session is between two processes reaches the other side.
func TestAResetInTheMiddleOfAMoveIsPassedOn(t *testing.T) {
	eachWay(t, func(t *testing.T, by carrier) {
		for _, d := range []Direction{ToServer, ToClient} {
			m := startMoving(t, by, nil)
			if _, err := m.client.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(m.server, make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			frozen, err := m.link.Freeze(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			resets, notices := m.client, m.server
			if d == ToClient {
				resets, notices = m.server, m.client
			}
			_ = resets.SetLinger(0)
			_ = resets.Close()
			l, err := Thaw(frozen)
			if err != nil {
				t.Fatal(err)
			}
			m.run(l)
			if _, err := notices.Read(make([]byte, 1)); !isReset(err) {
				t.Errorf("%v: the other side sees %v, want a reset", d, err)
			}
			if err := <-m.ended; !isReset(err) {
				t.Errorf("Run = %v", err)
			}
		}
	})
}

// neverLets is a Limiter whose turn never comes.
type neverLets struct{ asked chan int }

func (neverLets) Free() bool { return false }

func (n neverLets) WaitN(ctx context.Context, bytes int) error {
	n.asked <- bytes
	<-ctx.Done()
	return context.Cause(ctx)
}

func TestFreezeWhileALimiterLetsNothingPass(t *testing.T) {
	eachWay(t, func(t *testing.T, by carrier) {
		limiter := neverLets{make(chan int, 1)}
		s := start(t, by, func(l *Link) { l.Limit[ToServer] = limiter })
		if _, err := io.WriteString(s.client, "waits for its turn"); err != nil {
			t.Fatal(err)
		}
		read := <-limiter.asked
		f, err := s.Freeze(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := <-s.ended; !errors.Is(err, ErrFrozen) {
			t.Fatalf("Run = %v", err)
		}
		if want := "waits for its turn"[:read]; string(f.Pending[ToServer]) != want {
			t.Errorf("pending %q, want %q", f.Pending[ToServer], want)
		}
		thaw(t, s, f)
		got := make([]byte, len("waits for its turn"))
		if _, err := io.ReadFull(s.server, got); err != nil || string(got) != "waits for its turn" {
			t.Errorf("got %q, %v", got, err)
		}
		s.hangUp(t)
	})
}

func TestLimitsHoldWhileBothSidesOnlyWrite(t *testing.T) {
	eachWay(t, func(t *testing.T, by carrier) {
		for name, c := range map[string]struct {
			prepare func(*Link)
			want    error
		}{
			"idle":    {func(l *Link) { l.IdleTimeout = 300 * time.Millisecond }, ErrIdle},
			"expired": {func(l *Link) { l.SessionTimeout = 800 * time.Millisecond }, ErrExpired},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s := start(t, by, c.prepare)
				var both sync.WaitGroup
				both.Go(func() { fillQuietly(s.client) })
				both.Go(func() { fillQuietly(s.server) })
				if err := <-s.ended; !errors.Is(err, c.want) {
					t.Errorf("Run = %v, want %v", err, c.want)
				}
				both.Wait()
			})
		}
	})
}

// fillQuietly sends until the other side takes no more for good, or breaks.
func fillQuietly(from *net.TCPConn) {
	for {
		if _, err := from.Write(make([]byte, 1<<20)); err != nil {
			return
		}
	}
}

func TestHalfOpenEndsThoughTheOtherSideReadsNothing(t *testing.T) {
	eachWay(t, func(t *testing.T, by carrier) {
		s := start(t, by, func(l *Link) { l.HalfOpenTimeout = 300 * time.Millisecond })
		_ = s.client.CloseWrite()
		if _, err := io.ReadAll(s.server); err != nil {
			t.Fatal(err)
		}
		go fillQuietly(s.server)
		if err := <-s.ended; !errors.Is(err, ErrHalfOpen) {
			t.Errorf("Run = %v, want ErrHalfOpen", err)
		}
	})
}

// Somebody who reads slowly is not idle, however long one write takes, and however much the system keeps of it.
func TestASlowReaderIsNotIdle(t *testing.T) {
	for name, window := range map[string]struct{ receive, send, piece int }{
		"less than one chunk is kept": {4 << 10, 4 << 10, 1 << 10},
		"much is kept":                {16 << 10, 512 << 10, 2 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			eachWay(t, func(t *testing.T, by carrier) {
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				defer l.Close()
				dialer := net.Dialer{Control: func(_, _ string, c syscall.RawConn) (err error) {
					_ = c.Control(func(fd uintptr) {
						err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, window.receive)
					})
					return err
				}}
				client, err := dialer.Dial("tcp", l.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				linkClient, err := l.Accept()
				if err != nil {
					t.Fatal(err)
				}
				_ = linkClient.(*net.TCPConn).SetWriteBuffer(window.send)
				linkServer, server := tcpPair(t)
				link := &Link{Client: linkClient, Server: linkServer, IdleTimeout: 500 * time.Millisecond}
				ended := make(chan error, 1)
				by(link, func(err error) { ended <- err })
				go fillQuietly(server)
				piece := make([]byte, window.piece)
				for began := time.Now(); time.Since(began) < 2*time.Second; {
					if _, err := client.Read(piece); err != nil {
						t.Fatalf("after %v: %v", time.Since(began), err)
					}
					<-time.After(20 * time.Millisecond)
				}
				client.Close()
				if err := <-ended; !isReset(err) {
					t.Errorf("Run = %v", err)
				}
			})
		})
	}
}

func TestASessionTimeoutGoesOnOverMoves(t *testing.T) {
	eachWay(t, func(t *testing.T, by carrier) {
		limit := func(l *Link) { l.SessionTimeout = 400 * time.Millisecond }
		began := time.Now()
		m := startMoving(t, by, limit)
		for m.move() {
			<-time.After(20 * time.Millisecond)
		}
		if err := <-m.ended; !errors.Is(err, ErrExpired) {
			t.Errorf("Run = %v", err)
		}
		if took := time.Since(began); took < 400*time.Millisecond || took > 3*time.Second {
			t.Errorf("ended after %v with %d moves", took, m.moves)
		}
	})
}

func TestAnIdleTimeoutGoesOnOverMoves(t *testing.T) {
	eachWay(t, func(t *testing.T, by carrier) {
		m := startMoving(t, by, func(l *Link) { l.IdleTimeout = 400 * time.Millisecond })
		for m.move() {
			<-time.After(20 * time.Millisecond)
		}
		if err := <-m.ended; !errors.Is(err, ErrIdle) {
			t.Errorf("Run = %v after %d moves", err, m.moves)
		}
	})
}

// Whoever ends a session while it is being frozen ends it, or finds it frozen; never both.
func TestCloseAgainstFreeze(t *testing.T) {
	eachWay(t, func(t *testing.T, by carrier) {
		ended := errors.New("ended")
		for range 200 {
			s := start(t, by, nil)
			s.exchange(t, "x")
			var both sync.WaitGroup
			var frozen *Frozen
			var err error
			both.Go(func() { frozen, err = s.Freeze(t.Context()) })
			both.Go(func() { s.Close(ended) })
			both.Wait()
			run := <-s.ended
			switch {
			case err == nil && !errors.Is(run, ErrFrozen), err != nil && !errors.Is(run, ended):
				t.Fatalf("Freeze: %v, Run: %v", err, run)
			case err != nil:
				continue
			}
			thaw(t, s, frozen)
			s.exchange(t, "still there")
			s.hangUp(t)
		}
	})
}

func TestFreezeAfterItsContextLeavesTheSessionAlone(t *testing.T) {
	eachWay(t, func(t *testing.T, by carrier) {
		s := start(t, by, nil)
		s.exchange(t, "x")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s.Freeze(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Freeze = %v", err)
		}
		s.exchange(t, "goes on")
		s.hangUp(t)
	})
}

func BenchmarkFreezeAndThaw(b *testing.B) {
	s := start(b, byLoops(b), nil)
	s.exchange(b, "x")
	for b.Loop() {
		f, err := s.Freeze(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		<-s.ended
		l, err := Thaw(f)
		if err != nil {
			b.Fatal(err)
		}
		s.Link = l
		s.by(l, func(err error) { s.ended <- err })
		s.exchange(b, "x")
	}
	s.hangUp(b)
}
