package tns

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// What a watched peer sends is not lost, and its end is noticed.
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer near.Close()
		c := NewConn(near)
		_ = near.SetReadDeadline(time.Now().Add(time.Second))
		if err := c.Watch(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("nothing came: %v", err)
		}
		_ = near.SetReadDeadline(time.Time{})
		packet := NewRefuse(CodeUnknownService, 0).AppendTo(nil, false)
		go func() { _, _ = far.Write(packet) }()
		for range 3 {
			if err := c.Watch(); err != nil {
				t.Fatal(err)
			}
		}
		p, err := c.ReadPacket()
		if err != nil || p.Type != TypeRefuse || len(p.Body) != len(packet)-headerSize {
			t.Fatalf("packet after watching: %v, %v", p, err)
		}
		far.Close()
		if err := c.Watch(); !errors.Is(err, io.EOF) {
			t.Fatalf("the peer's end: %v", err)
		}
	})
}

// A peer that floods is stopped, and takes no more memory than allowed.
func TestWatchFlood(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = far.Write(make([]byte, 1<<20))
	}()
	c := NewConn(near)
	var err error
	for n := 0; err == nil; n++ {
		if err = c.Watch(); n > maxUnasked {
			t.Fatal("still watching")
		}
	}
	if !errors.Is(err, ErrUnexpected) || len(c.Buffered()) > maxUnasked {
		t.Errorf("flood: %v", err)
	}
	far.Close()
	<-done
}
