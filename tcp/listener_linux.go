package tcp

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Listener accepts the connections of a *net.TCPListener, each as a *Conn. What is set on the socket holds for all that
// it accepts: keep-alive as it was set there, and no delay of small packets.
type Listener struct {
	*net.TCPListener
	file   *os.File // a copy, in Go's poller
	raw    syscall.RawConn
	closed atomic.Bool
	local  *net.TCPAddr // nil: that of each connection is its own
}

// NewListener takes over l.
func NewListener(l *net.TCPListener) (net.Listener, error) {
	file, err := l.File()
	if err != nil {
		return nil, err
	}
	raw, err := file.SyscallConn()
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NODELAY, 1) }); err != nil || failed != nil {
		_ = file.Close()
		return nil, errors.Join(err, failed)
	}
	own := &Listener{TCPListener: l, file: file, raw: raw}
	if at := l.Addr().(*net.TCPAddr); !at.IP.IsUnspecified() {
		own.local = at
	}
	return own, nil
}

// Accept waits for the next connection.
func (l *Listener) Accept() (net.Conn, error) {
	var c *Conn
	var errno syscall.Errno
	err := l.raw.Read(func(listener uintptr) bool {
		var fd int
		var peer netip.AddrPort
		fd, peer, errno = accept(int(listener))
		if errno == 0 {
			c = newConn(fd, l.local, peer)
		}
		return errno != unix.EAGAIN
	})
	switch {
	case c != nil: // also where the listener was closed meanwhile: nobody else has this connection
		return c, nil
	case l.closed.Load():
		err = net.ErrClosed
	case err == nil:
		err = os.NewSyscallError("accept4", errno)
	}
	return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.Addr(), Err: err}
}

// SetDeadline sets when Accept fails with os.ErrDeadlineExceeded.
func (l *Listener) SetDeadline(t time.Time) error { return l.file.SetReadDeadline(t) }

// Close ends listening, unless others have the socket too.
func (l *Listener) Close() error {
	if l.closed.Swap(true) {
		return net.ErrClosed
	}
	_ = l.file.Close()
	return l.TCPListener.Close()
}
