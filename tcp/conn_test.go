package tcp

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/nettest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var keepAlive = net.KeepAliveConfig{Enable: true, Idle: time.Minute, Interval: 10 * time.Second, Count: 6}

func listen(t testing.TB, address string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	own, err := NewListener(l.(*net.TCPListener))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = own.Close() })
	return own
}

// pair returns both ends of a connection, of which the first has dialled.
func pair(t testing.TB) (near, far net.Conn) {
	t.Helper()
	l := listen(t, "127.0.0.1:0")
	near, err := Dial(context.Background(), l.Addr().(*net.TCPAddr).AddrPort(), keepAlive)
	if err != nil {
		t.Fatal(err)
	}
	if far, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = near.Close(), far.Close() })
	return near, far
}

func TestConnIsAConn(t *testing.T) {
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, nil, nil, err
		}
		own, err := NewListener(l.(*net.TCPListener))
		if err != nil {
			return nil, nil, nil, err
		}
		if c1, err = Dial(context.Background(), l.Addr().(*net.TCPAddr).AddrPort(), keepAlive); err != nil {
			return nil, nil, nil, err
		}
		c2, err = own.Accept()
		return c1, c2, func() { _, _, _ = c1.Close(), c2.Close(), own.Close() }, err
	})
}

func TestAddresses(t *testing.T) {
	for _, at := range []string{"127.0.0.1:0", "0.0.0.0:0", "[::]:0", "[::1]:0"} {
		l := listen(t, at)
		to := l.Addr().(*net.TCPAddr).AddrPort()
		if to.Addr().IsUnspecified() {
			to = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), to.Port())
		}
		near, err := Dial(t.Context(), to, keepAlive)
		if err != nil {
			t.Fatal(err)
		}
		far, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if near.LocalAddr().String() != far.RemoteAddr().String() || near.RemoteAddr().String() != far.LocalAddr().String() || near.RemoteAddr().String() != to.String() {
			t.Errorf("listening on %s: one end has %v and %v, the other %v and %v", at, near.LocalAddr(), near.RemoteAddr(), far.LocalAddr(), far.RemoteAddr())
		}
		_, _ = near.Close(), far.Close()
	}
}

func TestNobodyListens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	to := l.Addr().(*net.TCPAddr).AddrPort()
	_ = l.Close()
	var failed *net.OpError
	if _, err := Dial(t.Context(), to, keepAlive); !errors.As(err, &failed) || failed.Op != "dial" || !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("Dial of nobody: %v", err)
	}
}

func TestAcceptEndsAtItsDeadlineAndGoesOn(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	limited := l.(interface{ SetDeadline(time.Time) error })
	_ = limited.SetDeadline(time.Unix(1, 0))
	if _, err := l.Accept(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("Accept past its deadline: %v", err)
	}
	_ = limited.SetDeadline(time.Time{})
	var closed sync.WaitGroup
	closed.Go(func() {
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept of a closed listener: %v", err)
		}
	})
	_ = l.Close()
	closed.Wait()
}

func TestAReadPastItsDeadlineCanBeRepeated(t *testing.T) {
	near, far := pair(t)
	b := make([]byte, 8)
	_ = near.SetReadDeadline(time.Unix(1, 0))
	if _, err := near.Read(b); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("Read past its deadline: %v", err)
	}
	_ = near.SetReadDeadline(time.Now().Add(time.Millisecond)) // which it has to wait for
	if _, err := near.Read(b); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("Read up to its deadline: %v", err)
	}
	_ = near.SetReadDeadline(time.Time{})
	_, _ = far.Write([]byte("there"))
	if n, err := near.Read(b); string(b[:n]) != "there" || err != nil {
		t.Fatalf("read %q, %v", b[:n], err)
	}
}

func TestWhoeverWaitsFindsItClosed(t *testing.T) {
	near, _ := pair(t)
	var over sync.WaitGroup
	over.Go(func() {
		if _, err := near.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Read of a closed connection: %v", err)
		}
	})
	_ = near.Close()
	over.Wait()
	if _, err := near.Write([]byte{1}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Write to a closed connection: %v", err)
	}
	if err := near.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a second Close: %v", err)
	}
	if err := near.SetDeadline(time.Now()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("SetDeadline of a closed connection: %v", err)
	}
}

func TestMoreIsWrittenThanTheSystemKeeps(t *testing.T) {
	near, far := pair(t)
	const size = 16 << 20
	var both sync.WaitGroup
	both.Go(func() {
		if n, err := near.Write(make([]byte, size)); n != size || err != nil {
			t.Errorf("wrote %d, %v", n, err)
		}
		_ = near.(interface{ CloseWrite() error }).CloseWrite()
	})
	if n, err := io.Copy(io.Discard, far); n != size || err != nil {
		t.Errorf("read %d, %v", n, err)
	}
	both.Wait()
}

func TestACopyOfTheDescriptorIsTheSameConnection(t *testing.T) {
	for _, waits := range []bool{false, true} {
		near, far := pair(t)
		if waits {
			_ = near.SetReadDeadline(time.Now().Add(time.Millisecond))
			_, _ = near.Read(make([]byte, 1))
		}
		file, err := near.(interface{ File() (*os.File, error) }).File()
		if err != nil {
			t.Fatal(err)
		}
		_ = near.Close()
		again, err := net.FileConn(file)
		_ = file.Close()
		if err != nil {
			t.Fatal(err)
		}
		_, _ = again.Write([]byte("x"))
		b := make([]byte, 1)
		if _, err := io.ReadFull(far, b); err != nil {
			t.Error(err)
		}
		_ = again.Close()
	}
}

func TestReadingIntoNothingIsNotTheEnd(t *testing.T) {
	near, far := pair(t)
	_, _ = near.Write([]byte("x"))
	if n, err := far.Read(nil); n != 0 || err != nil {
		t.Errorf("Read into nothing: %d, %v", n, err)
	}
	b := make([]byte, 2)
	if n, err := far.Read(b); string(b[:n]) != "x" || err != nil {
		t.Errorf("read %q, %v", b[:n], err)
	}
}

func TestWhatIsWrittenAtATimeStaysWhole(t *testing.T) {
	near, far := pair(t)
	const writers, size = 4, 8 << 20
	var all sync.WaitGroup
	for i := range writers {
		all.Go(func() {
			if _, err := near.Write(bytes.Repeat([]byte{byte(i)}, size)); err != nil {
				t.Error(err)
			}
		})
	}
	whole := make([]byte, size)
	for range writers {
		if _, err := io.ReadFull(far, whole); err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(whole, whole[:1]); n != size {
			t.Errorf("what one wrote is broken up after %d of %d bytes", n, size)
		}
	}
	all.Wait()
}

func TestAConnectionThatWasAcceptedIsNotLostToClose(t *testing.T) {
	for range 200 {
		l := listen(t, "127.0.0.1:0")
		var accepting sync.WaitGroup
		var far net.Conn
		accepting.Go(func() { far, _ = l.Accept() })
		near, err := Dial(t.Context(), l.Addr().(*net.TCPAddr).AddrPort(), keepAlive)
		if err != nil {
			t.Fatal(err)
		}
		_ = l.Close()
		accepting.Wait()
		_ = near.SetReadDeadline(time.Now().Add(10 * time.Second))
		if far != nil {
			_ = far.Close()
		}
		if _, err := near.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal("a connection was accepted, and then forgotten")
		}
		_ = near.Close()
	}
}
