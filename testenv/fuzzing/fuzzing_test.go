package fuzzing

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/nettest"
	"pgregory.net/rapid"
)

const here, there = "192.0.2.1:1521", "198.51.100.7:40000"

// The standard's own checks of a connection.
func TestConnIsAConnection(t *testing.T) {
	nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
		a, b := Pipe(there, here, 4096, 0)
		return a, b, func() { a.Close(); b.Close() }, nil
	})
}

func TestHalfCloseAndReset(t *testing.T) {
	client, server := Pipe(there, here, 100, 3)
	if _, err := client.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	_ = client.CloseWrite()
	b := make([]byte, 10)
	if n, err := server.Read(b); n != 3 || err != nil {
		t.Fatalf("%d %v", n, err)
	}
	if rest, err := io.ReadAll(server); string(rest) != "lo" || err != nil {
		t.Fatalf("%q %v", rest, err)
	}
	if _, err := client.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("a write after the end: %v", err)
	}
	if _, err := server.Write([]byte("late")); err != nil {
		t.Fatal(err)
	}
	_ = client.Close() // with bytes unread
	if _, err := server.Read(b); !errors.Is(err, syscall.ECONNRESET) || !errors.Is(server.Over(), syscall.ECONNRESET) {
		t.Errorf("after a close with unread bytes: %v", err)
	}
	if _, err := server.Write(b); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a write to a reset connection: %v", err)
	}
	if !client.Closed() || server.Closed() {
		t.Error("the wrong end is closed")
	}
	if client.RemoteAddr().String() != here || server.RemoteAddr().String() != there {
		t.Errorf("%v and %v", client.RemoteAddr(), server.RemoteAddr())
	}
}

func TestScriptedPeersNeverWait(t *testing.T) {
	client, server := Pipe(there, here, 4, 0)
	if n := client.Offer([]byte("abcdef")); n != 4 {
		t.Errorf("%d bytes fit", n)
	}
	if got := server.Take(3); string(got) != "abc" {
		t.Errorf("%q", got)
	}
	if got := server.Take(3); string(got) != "d" || server.Over() != nil {
		t.Errorf("%q, %v", got, server.Over())
	}
	_ = client.CloseWrite()
	if client.Offer([]byte("x")) != 0 || server.Over() != io.EOF {
		t.Error("it goes on after its end")
	}
}

// A bubble's time passes while somebody waits.
func TestDeadlinesInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := Pipe(there, here, 4, 0)
		began := time.Now()
		_ = server.SetReadDeadline(began.Add(time.Hour))
		if _, err := server.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != time.Hour {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		_ = server.SetReadDeadline(time.Time{})
		go func() {
			<-time.After(time.Minute)
			client.Reset()
		}()
		if _, err := server.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Error(err)
		}
		_ = server.Close()
	})
}

func TestScripts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		input := rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "input")
		kept := bytes.Clone(input)
		s := Read(input)
		for s.More() {
			before := len(s.rest)
			if n := Pick(s, 1, 300, 70_000); n > 1 {
				if got := s.Below(min(n, 1<<16)); got < 0 || got >= n {
					t.Fatalf("%d of %d", got, n)
				}
			}
			if got := s.Bytes(10); len(got) > 10 {
				t.Fatalf("%d bytes", len(got))
			}
			if len(s.rest) >= before {
				t.Fatal("it does not get on")
			}
		}
		if s.Below(7) != 0 || s.Bool() || len(s.Bytes(9)) != 0 {
			t.Fatal("more than there is")
		}
		for _, text := range []string{Text(Read(input)), File(Read(input)), string(Packet(Read(input), false)), string(Packet(Read(input), true))} {
			if len(text) > 64<<10 {
				t.Fatalf("%d bytes of %d", len(text), len(input))
			}
		}
		if n := len(Repeated(Read(input), 4096)); n > 4096 {
			t.Fatalf("%d bytes", n)
		}
		if !bytes.Equal(input, kept) {
			t.Fatal("the input was changed")
		}
	})
}

// Without choices the grammar writes something plain, and with some something that has to do with them.
func TestGrammar(t *testing.T) {
	if got := Text(Read(nil)); got != "(DESCRIPTION=sales)" {
		t.Error(got)
	}
	if got := Text(Read([]byte{0, 2, 0, 2, 0, 3, 0, 0, 0, 0, 0, 4})); !strings.HasPrefix(got, "(CONNECT_DATA=(SERVICE_NAME=") {
		t.Error(got)
	}
	if got := string(Repeated(Read([]byte{0, 0, 0, 0, 0, 0, 0, 0, 1, 1}), 9)); got != "(((())))"+")" && !strings.HasPrefix(got, "((((") {
		t.Error(got)
	}
	if p := Packet(Read([]byte{4}), true); len(p) < 8 || p[4] != 6 {
		t.Errorf("%x", p)
	}
}

func TestBoundedFindsWhatCostsTooMuch(t *testing.T) {
	kept := make([][]byte, 0, 10)
	for name, c := range map[string]struct {
		f    func()
		over bool
	}{
		"little": {func() { kept = append(kept[:0], make([]byte, 1000)) }, false},
		"memory": {func() { kept = append(kept[:0], make([]byte, 8<<20)) }, true},
		"time": {func() {
			for end := processor() + 20*time.Millisecond; processor() < end; {
			}
		}, true},
	} {
		seen := &watched{TB: t}
		done := make(chan struct{})
		go func() {
			defer close(done)
			bounded(seen, 100, baseMemory, 10*time.Millisecond, c.f)
		}()
		<-done
		if seen.failed != c.over {
			t.Errorf("%s: failed %v", name, seen.failed)
		}
	}
}

func TestBoundedByFindsWhatGoesOverItAgain(t *testing.T) {
	spend := func(d time.Duration) func() {
		return func() {
			for end := processor() + d; processor() < end; {
			}
		}
	}
	for name, c := range map[string]struct {
		whole, f time.Duration
		over     bool
	}{
		"little":     {0, baseTime / 10, false},
		"in measure": {baseTime / 10, baseTime, false},
		"too much":   {baseTime / 10, 2*baseTime + timesWhole*baseTime/10, true},
	} {
		seen := &watched{TB: t}
		BoundedBy(seen, spend(c.whole), spend(c.f))
		if seen.failed != c.over {
			t.Errorf("%s: failed %v", name, seen.failed)
		}
	}
}

// watched is a test of which is noted that it failed.
type watched struct {
	testing.TB
	failed bool
}

func (w *watched) Helper()               {}
func (w *watched) Fatalf(string, ...any) { w.failed = true }
