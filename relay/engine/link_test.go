package engine

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tcpPair returns both ends of one loopback TCP connection.
func tcpPair(t testing.TB) (near, far *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dialled := make(chan net.Conn, 1)
	go func() {
		c, _ := net.Dial("tcp", l.Addr().String())
		dialled <- c
	}()
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c := <-dialled
	if c == nil {
		t.Fatal("loopback dial failed")
	}
	t.Cleanup(func() { c.Close(); accepted.Close() })
	return c.(*net.TCPConn), accepted.(*net.TCPConn)
}

// session is a running link over TCP with the two peers the test plays.
type session struct {
	*Link
	client, server *net.TCPConn
	by             carrier
	ended          chan error
}

// A carrier runs a link, and tells done what came of it.
type carrier func(l *Link, done func(error))

// told is an Owner.
type told func(error)

func (f told) Over(err error) { f(err) }

// by are loops as a carrier.
func by(loops *Loops) carrier {
	return func(l *Link, done func(error)) { loops.Carry(l, told(done)) }
}

func byGoroutines(l *Link, done func(error)) {
	go func() { done(l.Run(context.Background())) }()
}

// byLoops carries links by loops that end with the test.
func byLoops(t testing.TB) carrier {
	loops := &Loops{}
	t.Cleanup(loops.Close)
	return by(loops)
}

// eachWay runs a test with each carrier.
func eachWay(t *testing.T, test func(t *testing.T, by carrier)) {
	t.Run("by goroutines", func(t *testing.T) { test(t, byGoroutines) })
	t.Run("by loops", func(t *testing.T) { test(t, byLoops(t)) })
}

func start(t testing.TB, by carrier, prepare func(*Link)) *session {
	t.Helper()
	client, linkClient := tcpPair(t)
	linkServer, server := tcpPair(t)
	s := &session{Link: &Link{Client: linkClient, Server: linkServer}, client: client, server: server, by: by, ended: make(chan error, 1)}
	if prepare != nil {
		prepare(s.Link)
	}
	by(s.Link, func(err error) { s.ended <- err })
	return s
}

func (s *session) exchange(t testing.TB, text string) {
	t.Helper()
	for _, way := range []struct{ from, to net.Conn }{{s.client, s.server}, {s.server, s.client}} {
		if _, err := io.WriteString(way.from, text); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(text))
		if _, err := io.ReadFull(way.to, got); err != nil || string(got) != text {
			t.Fatalf("got %q, %v; want %q", got, err, text)
		}
	}
}

func (s *session) hangUp(t testing.TB) {
	t.Helper()
	s.client.Close()
	s.server.Close()
	if err := <-s.ended; err != nil && !isReset(err) {
		t.Fatalf("Run: %v", err)
	}
}

func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

func TestBytesArriveUnchangedBothWaysAtOnce(t *testing.T) {
	eachWay(t, func(t *testing.T, by carrier) {
		s := start(t, by, nil)
		up, down := make([]byte, 3<<20), make([]byte, 5<<20)
		rand.Read(up)
		rand.Read(down)
		var all sync.WaitGroup
		send := func(c *net.TCPConn, b []byte) { _, _ = c.Write(b); _ = c.CloseWrite() }
		var gotUp, gotDown []byte
		all.Go(func() { send(s.client, up) })
		all.Go(func() { send(s.server, down) })
		all.Go(func() { gotUp, _ = io.ReadAll(s.server) })
		all.Go(func() { gotDown, _ = io.ReadAll(s.client) })
		all.Wait()
		if !bytes.Equal(gotUp, up) || !bytes.Equal(gotDown, down) {
			t.Fatalf("bytes changed on their way: %d of %d up, %d of %d down", len(gotUp), len(up), len(gotDown), len(down))
		}
		if err := <-s.ended; err != nil {
			t.Fatalf("Run = %v, want nil after both halves ended", err)
		}
		st := s.Stats()
		if st.ToServer != uint64(len(up)) || st.ToClient != uint64(len(down)) {
			t.Errorf("accounted %d up, %d down; want %d, %d", st.ToServer, st.ToClient, len(up), len(down))
		}
		if st.LastToServer.IsZero() || st.LastToClient.IsZero() {
			t.Error("no time of last activity")
		}
	})
}

func TestHalfCloseLeavesTheOtherHalfOpen(t *testing.T) {
	eachWay(t, func(t *testing.T, by carrier) {
		s := start(t, by, nil)
		_ = s.client.CloseWrite()
		if b, err := io.ReadAll(s.server); err != nil || len(b) != 0 {
			t.Fatalf("server read %q, %v; want a clean end", b, err)
		}
		if _, err := io.WriteString(s.server, "late answer"); err != nil {
			t.Fatal(err)
		}
		_ = s.server.CloseWrite()
		if b, err := io.ReadAll(s.client); err != nil || string(b) != "late answer" {
			t.Fatalf("client read %q, %v", b, err)
		}
		if err := <-s.ended; err != nil {
			t.Fatalf("Run = %v", err)
		}
	})
}

func TestResetIsPassedOn(t *testing.T) {
	eachWay(t, func(t *testing.T, by carrier) {
		s := start(t, by, nil)
		s.exchange(t, "hello")
		_ = s.server.SetLinger(0)
		s.server.Close()
		if _, err := s.client.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("client read: %v, want a reset", err)
		}
		if err := <-s.ended; !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("Run = %v, want the reset", err)
		}
	})
}

func TestPendingBytesGoFirst(t *testing.T) {
	eachWay(t, func(t *testing.T, by carrier) {
		s := start(t, by, func(l *Link) {
			l.Pending[ToServer] = []byte("read with the CONNECT")
			l.Pending[ToClient] = []byte("read with the ACCEPT")
		})
		for _, want := range []struct {
			at   net.Conn
			text string
		}{{s.server, "read with the CONNECT"}, {s.client, "read with the ACCEPT"}} {
			got := make([]byte, len(want.text))
			if _, err := io.ReadFull(want.at, got); err != nil || string(got) != want.text {
				t.Errorf("got %q, %v; want %q", got, err, want.text)
			}
		}
		s.exchange(t, "then the rest")
		s.hangUp(t)
	})
}

func TestInspectorAndLimiterSeeEveryByte(t *testing.T) {
	eachWay(t, func(t *testing.T, by carrier) {
		var mu sync.Mutex
		seen := map[Direction]string{}
		paced := &countingLimiter{}
		s := start(t, by, func(l *Link) {
			l.Limit[ToServer] = paced
			l.Pending[ToServer] = []byte("early ")
			l.Inspect(func(d Direction, b []byte) {
				mu.Lock()
				defer mu.Unlock()
				seen[d] += string(b)
			})
		})
		if _, err := io.ReadFull(s.server, make([]byte, len("early "))); err != nil {
			t.Fatal(err)
		}
		s.exchange(t, "select 1 from dual")
		s.hangUp(t)
		if seen[ToServer] != "early select 1 from dual" || seen[ToClient] != "select 1 from dual" {
			t.Errorf("inspector saw %q", seen)
		}
		if paced.asked != len("select 1 from dual") {
			t.Errorf("limiter was asked for %d bytes", paced.asked)
		}
	})
}

// TestAnInspectorComesAndGoes while the session runs.
func TestAnInspectorComesAndGoes(t *testing.T) {
	eachWay(t, func(t *testing.T, by carrier) {
		s := start(t, by, nil)
		s.exchange(t, "before")
		seen := make(chan string, 9)
		s.Inspect(func(_ Direction, b []byte) { seen <- string(b) })
		s.exchange(t, "while")
		s.Inspect(nil)
		s.exchange(t, "after")
		s.hangUp(t)
		if len(seen) != 2 || <-seen != "while" || <-seen != "while" {
			t.Errorf("inspector saw %d chunks and not what it was there for", len(seen))
		}
	})
}

type countingLimiter struct{ asked int }

func (c *countingLimiter) Free() bool { return false }

func (c *countingLimiter) WaitN(_ context.Context, n int) error { c.asked += n; return nil }

func TestCloseEndsASessionWithItsCause(t *testing.T) {
	eachWay(t, func(t *testing.T, by carrier) {
		cause := errors.New("operator ended the session")
		s := start(t, by, nil)
		s.exchange(t, "x")
		s.Close(cause)
		if err := <-s.ended; !errors.Is(err, cause) {
			t.Errorf("Run = %v, want %v", err, cause)
		}
		if _, err := s.client.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("client read: %v, want a reset", err)
		}
	})
}

func TestContextEndsASession(t *testing.T) {
	client, linkClient := tcpPair(t)
	linkServer, server := tcpPair(t)
	ctx, cancel := context.WithCancelCause(context.Background())
	stopping := errors.New("stopping")
	ended := make(chan error, 1)
	go func() { ended <- (&Link{Client: linkClient, Server: linkServer}).Run(ctx) }()
	cancel(stopping)
	if err := <-ended; !errors.Is(err, stopping) {
		t.Errorf("Run = %v", err)
	}
	client.Close()
	server.Close()
}

// pipes runs a link over in-memory pipes inside a bubble, where time is ours.
func pipes(t *testing.T, prepare func(*Link)) (client, server net.Conn, ended chan error) {
	t.Helper()
	client, linkClient := net.Pipe()
	linkServer, server := net.Pipe()
	l := &Link{Client: linkClient, Server: linkServer}
	prepare(l)
	ended = make(chan error, 1)
	go func() { ended <- l.Run(t.Context()) }()
	return client, server, ended
}

func TestTimeouts(t *testing.T) {
	for _, c := range []struct {
		name    string
		prepare func(*Link)
		talk    time.Duration // a byte each way so often
		want    error
		after   time.Duration
	}{
		{"idle", func(l *Link) { l.IdleTimeout = time.Minute }, 0, ErrIdle, time.Minute},
		{"old however busy", func(l *Link) { l.SessionTimeout = time.Hour; l.IdleTimeout = time.Minute }, 30 * time.Second, ErrExpired, time.Hour},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				client, server, ended := pipes(t, c.prepare)
				over := make(chan struct{})
				go func() {
					for c.talk > 0 {
						if _, err := client.Write([]byte{1}); err != nil {
							return
						}
						select {
						case <-time.After(c.talk):
						case <-over:
							return
						}
					}
				}()
				go func() { _, _ = io.Copy(io.Discard, server) }()
				if err := <-ended; !errors.Is(err, c.want) {
					t.Errorf("Run = %v, want %v", err, c.want)
				}
				if took := time.Since(began); took != c.after {
					t.Errorf("ended after %v, want %v", took, c.after)
				}
				close(over)
				client.Close()
				server.Close()
			})
		})
	}
}

func TestActivityOneWayKeepsASessionAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server, ended := pipes(t, func(l *Link) { l.IdleTimeout = time.Minute })
		began := time.Now()
		go func() {
			for range 10 {
				<-time.After(40 * time.Second)
				_, _ = server.Write([]byte{1})
			}
		}()
		go func() { _, _ = io.Copy(io.Discard, client) }()
		if err := <-ended; !errors.Is(err, ErrIdle) {
			t.Errorf("Run = %v", err)
		}
		if took := time.Since(began); took != 400*time.Second+time.Minute {
			t.Errorf("ended after %v: activity to the client did not count for the other direction", took)
		}
		client.Close()
		server.Close()
	})
}

func TestHalfOpenSessionEndsInTheEnd(t *testing.T) {
	eachWay(t, func(t *testing.T, by carrier) {
		s := start(t, by, func(l *Link) { l.HalfOpenTimeout = 10 * time.Millisecond })
		_ = s.server.CloseWrite()
		if _, err := io.ReadAll(s.client); err != nil {
			t.Fatal(err)
		}
		if err := <-s.ended; err != nil { // the client never ends its half
			t.Errorf("Run = %v", err)
		}
		if b, err := io.ReadAll(s.server); err != nil || len(b) != 0 {
			t.Errorf("server read %q, %v; want a clean end", b, err)
		}
	})
}

func TestQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, linkClient := net.Pipe()
		linkServer, server := net.Pipe()
		l := &Link{Client: linkClient, Server: linkServer}
		ended := make(chan error, 1)
		go func() { ended <- l.Run(t.Context()) }()
		synctest.Wait()
		<-time.After(time.Second)
		if !l.Quiet(time.Second) || l.Quiet(2*time.Second) {
			t.Error("a session that never spoke is quiet since it began")
		}
		go func() { _, _ = client.Write([]byte{1}) }()
		_, _ = server.Read(make([]byte, 1))
		synctest.Wait()
		if l.Quiet(time.Millisecond) {
			t.Error("a session that just spoke is not quiet")
		}
		client.Close()
		server.Close()
		<-ended
	})
}
