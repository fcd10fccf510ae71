package engine

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
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
	go func() { s.ended <- l.Run(context.Background()) }()
}

func TestFreezeAndThawLoseNothing(t *testing.T) {
	s := start(t, func(l *Link) { l.Accepted = Accepted{Version: 319, SDU: 8192} })
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
}

// A peer that does not read makes the engine block in a write; what it could not
// write must travel with the frozen session.
func TestFreezeInTheMiddleOfAWrite(t *testing.T) {
	s := start(t, nil)
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
}

func TestFreezeRemembersAnEndedHalf(t *testing.T) {
	s := start(t, nil)
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
	s := start(b, nil)
	message, answer := make([]byte, 512), make([]byte, 512)
	go func() {
		buffer := make([]byte, 512)
		for {
			if _, err := io.ReadFull(s.server, buffer); err != nil {
				return
			}
			if _, err := s.server.Write(buffer); err != nil {
				return
			}
		}
	}()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.client.Write(message); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(s.client, answer); err != nil {
			b.Fatal(err)
		}
	}
	s.hangUp(b)
}
