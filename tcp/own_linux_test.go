package tcp

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func isRefused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }

// shortListener has room for one connection that nobody has accepted.
func shortListener() (net.Listener, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), "listener")
	defer file.Close()
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(fd, 0)); err != nil {
		return nil, err
	}
	return net.FileListener(file)
}

func TestWhatIsSetOnConnections(t *testing.T) {
	near, far := pair(t)
	option := func(c net.Conn, level, name int) (v int) {
		_ = c.(*Conn).control("get", func(fd int) (err error) { v, err = unix.GetsockoptInt(fd, level, name); return err })
		return v
	}
	for _, c := range []net.Conn{near, far} {
		if option(c, unix.IPPROTO_TCP, unix.TCP_NODELAY) == 0 {
			t.Errorf("%v waits with small packets", c.LocalAddr())
		}
	}
	if idle := option(near, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE); option(near, unix.SOL_SOCKET, unix.SO_KEEPALIVE) == 0 || idle != int(keepAlive.Idle/time.Second) {
		t.Errorf("keep-alive after %d s", idle)
	}
}

func TestADetachedDescriptorIsTheConnection(t *testing.T) {
	for _, waits := range []bool{false, true} {
		near, far := pair(t)
		if waits {
			_ = near.SetReadDeadline(time.Now().Add(time.Millisecond))
			_, _ = near.Read(make([]byte, 1))
		}
		fd, err := near.(*Conn).Detach()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := near.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Write after Detach: %v", err)
		}
		if _, err := unix.Write(fd, []byte("y")); err != nil {
			t.Error(err)
		}
		b := make([]byte, 2)
		if n, err := far.Read(b); string(b[:n]) != "y" || err != nil {
			t.Errorf("read %q, %v", b[:n], err)
		}
		_ = unix.Close(fd)
		if n, err := far.Read(b); n != 0 || err == nil {
			t.Errorf("read %q, %v of a connection whose only descriptor is closed", b[:n], err)
		}
	}
}

func TestReadingNeedsNoPollerWhereSomethingIsThere(t *testing.T) {
	near, far := pair(t)
	_, _ = near.Write([]byte("x"))
	if _, err := far.Read(make([]byte, 1)); err != nil || far.(*Conn).file.Load() != nil {
		t.Errorf("a byte that is there: %v", err)
	}
}

func TestWaitingWithoutReading(t *testing.T) {
	near, far := pair(t)
	c, b := far.(*Conn), make([]byte, 8)
	if _, there, err := c.ReadNow(b); there || err != nil {
		t.Fatalf("ReadNow of nothing: %v, %v", there, err)
	}
	_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
	if err := c.Wait(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("Wait for nothing: %v", err)
	}
	_ = c.SetReadDeadline(time.Time{})
	for range 3 {
		var sent sync.WaitGroup
		sent.Go(func() { _, _ = near.Write([]byte("x")) })
		if err := c.Wait(); err != nil {
			t.Fatal(err)
		}
		if n, there, err := c.ReadNow(b); n != 1 || !there || err != nil {
			t.Fatalf("ReadNow of a byte: %d, %v, %v", n, there, err)
		}
		sent.Wait()
	}
	_ = near.Close()
	if err := c.Wait(); err != nil {
		t.Fatalf("Wait for the end: %v", err)
	}
	if _, _, err := c.ReadNow(b); err != io.EOF {
		t.Fatalf("ReadNow of the end: %v", err)
	}
}
