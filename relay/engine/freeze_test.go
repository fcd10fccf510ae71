package engine

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// thaw continues a frozen session as another process would.
func thaw(t *testing.T, s *session, f *Frozen) {
	t.Helper()
	l, err := Thaw(f)
	if err != nil {
		t.Fatal(err)
	}
	s.Link = l
	s.by(l, func(err error) { s.ended <- err })
}

func TestFreezeAndThawLoseNothing(t *testing.T) {
	eachWay(t, func(t *testing.T, by carrier) {
		s := start(t, by, func(l *Link) { l.Accepted = Accepted{Version: 319, SDU: 8192} })
		for range 20 {
			s.exchange(t, "before")
			f, err := s.Freeze(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := <-s.ended; !errors.Is(err, ErrFrozen) {
				t.Fatalf("Run = %v, want ErrFrozen", err)
			}
			if f.Accepted.Version != 319 || f.Accepted.SDU != 8192 {
				t.Fatalf("accepted %+v", f.Accepted)
			}
			if _, err := io.WriteString(s.client, "sent while frozen"); err != nil {
				t.Fatal(err)
			}
			thaw(t, s, f)
			got := make([]byte, len("sent while frozen"))
			if _, err := io.ReadFull(s.server, got); err != nil || string(got) != "sent while frozen" {
				t.Fatalf("got %q, %v", got, err)
			}
		}
		s.exchange(t, "after")
		if want := uint64(20*(len("before")+len("sent while frozen")) + len("after")); s.Stats().ToServer != want {
			t.Errorf("accounted %d bytes to the server, want %d", s.Stats().ToServer, want)
		}
		s.hangUp(t)
	})
}

// A peer that does not read makes the engine block in a write; what it could not
// write must travel with the frozen session.
func TestFreezeInTheMiddleOfAWrite(t *testing.T) {
	eachWay(t, func(t *testing.T, by carrier) {
		s := start(t, by, nil)
		sent := make([]byte, 16<<20)
		rand.Read(sent)
		written := make(chan error, 1)
		go func() {
			_, err := s.client.Write(sent)
			_ = s.client.CloseWrite()
			written <- err
		}()
		for s.Stats().ToServer < 1<<20 { // until the socket buffers towards the server are filling up
			if _, err := s.server.Write([]byte{0}); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(s.client, make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
		}
		f, err := s.Freeze(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		<-s.ended
		thaw(t, s, f)
		got, err := io.ReadAll(s.server)
		if err != nil || !bytes.Equal(got, sent) {
			t.Fatalf("server read %d of %d bytes, %v", len(got), len(sent), err)
		}
		if err := <-written; err != nil {
			t.Fatal(err)
		}
		s.hangUp(t)
	})
}

func TestFreezeRemembersAnEndedHalf(t *testing.T) {
	eachWay(t, func(t *testing.T, by carrier) {
		s := start(t, by, nil)
		_ = s.client.CloseWrite()
		if _, err := io.ReadAll(s.server); err != nil {
			t.Fatal(err)
		}
		f, err := s.Freeze(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		<-s.ended
		if !f.Ended[ToServer] || f.Ended[ToClient] {
			t.Fatalf("ended halves %v", f.Ended)
		}
		thaw(t, s, f)
		if _, err := io.WriteString(s.server, "bye"); err != nil {
			t.Fatal(err)
		}
		_ = s.server.CloseWrite()
		if b, err := io.ReadAll(s.client); err != nil || string(b) != "bye" {
			t.Fatalf("client read %q, %v", b, err)
		}
		if err := <-s.ended; err != nil {
			t.Fatalf("Run = %v", err)
		}
	})
}

func TestFreezeRefusals(t *testing.T) {
	a, b := net.Pipe()
	if _, err := (&Link{Client: a, Server: b}).Freeze(t.Context()); !errors.Is(err, ErrNotMovable) {
		t.Errorf("in-memory connections: %v", err)
	}
	near, far := tcpPair(t)
	if _, err := (&Link{Client: near, Server: far}).Freeze(t.Context()); err == nil {
		t.Error("a session that is not running was frozen")
	}
	_, _ = near.Close(), far.Close()
	if _, err := (&Link{Client: near, Server: far}).Freeze(t.Context()); !errors.Is(err, ErrNotRunning) {
		t.Errorf("a session that is over: %v", err)
	}
}

func BenchmarkRoundTrip512(b *testing.B) {
	b.Run("by goroutines", func(b *testing.B) { roundTrips(b, byGoroutines, 1) })
	b.Run("by loops", func(b *testing.B) { roundTrips(b, byLoops(b), 1) })
	b.Run("64 by goroutines", func(b *testing.B) { roundTrips(b, byGoroutines, 64) })
	b.Run("64 by loops", func(b *testing.B) { roundTrips(b, byLoops(b), 64) })
}

// roundTrips sends messages and waits for their echoes over so many sessions at a time.
func roundTrips(b *testing.B, by carrier, sessions int) {
	b.ReportAllocs()
	var left atomic.Int64
	left.Store(int64(b.N))
	var peers sync.WaitGroup
	all := make([]*session, sessions)
	for i := range all {
		s := start(b, by, nil)
		all[i] = s
		go func() {
			_, _ = io.CopyBuffer(struct{ io.Writer }{s.server}, struct{ io.Reader }{s.server}, make([]byte, 512))
		}()
	}
	b.ResetTimer()
	for _, s := range all {
		peers.Go(func() {
			message := make([]byte, 512)
			for left.Add(-1) >= 0 {
				if _, err := s.client.Write(message); err != nil {
					b.Error(err)
					return
				}
				if _, err := io.ReadFull(s.client, message); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	peers.Wait()
	b.StopTimer()
	for _, s := range all {
		s.hangUp(b)
	}
}
