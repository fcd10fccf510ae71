package tcp

import (
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Conn is a TCP connection, to be used as a *net.TCPConn is. All methods may be called from any goroutine.
type Conn struct {
	file atomic.Pointer[os.File] // in Go's poller; nil until somebody has to wait

	writing         sync.Mutex // what one Write writes is not broken up by another's
	mu              sync.Mutex // guards what follows, and the descriptor while there is no file
	fd              int        // -1 once it is closed, or the file's
	over            bool
	readBy, writeBy time.Time

	local  atomic.Pointer[net.TCPAddr] // nil: nobody has asked yet
	peer   atomic.Pointer[net.TCPAddr] // likewise
	remote netip.AddrPort
}

// newConn takes over a descriptor that does not block.
func newConn(fd int, local *net.TCPAddr, remote netip.AddrPort) *Conn {
	c := &Conn{fd: fd, remote: remote}
	c.local.Store(local)
	return c
}

// Read reads what there is, or waits for it.
func (c *Conn) Read(b []byte) (int, error) {
	f := c.file.Load()
	if f == nil {
		n, err := c.now(b, &c.readBy, Receive)
		if err != errAgain {
			return c.result(b, n, err)
		}
		if f, err = c.park(); err != nil {
			return 0, c.failure("read", err)
		}
	}
	n, err := f.Read(b)
	if err != nil && err != io.EOF {
		err = c.failure("read", err)
	}
	return n, err
}

// ReadNow reads what there is, and reports whether there was anything, without waiting. The end is io.EOF, as for Read.
func (c *Conn) ReadNow(b []byte) (n int, there bool, err error) {
	n, err = c.now(b, &c.readBy, Receive)
	if err == errAgain {
		return 0, false, nil
	}
	n, err = c.result(b, n, err)
	return n, err == nil, err
}

// Wait waits until something is there to be read, the end included, or the time for that is over.
func (c *Conn) Wait() error {
	f, err := c.park()
	if err != nil {
		return c.failure("read", err)
	}
	raw, err := f.SyscallConn()
	if err == nil {
		err = raw.Read(func(fd uintptr) bool { return is(int(fd), unix.POLLIN) })
	}
	if err != nil {
		return c.failure("read", c.closedOr(err))
	}
	return nil
}

// closedOr is net.ErrClosed for a connection that is closed, else err.
func (c *Conn) closedOr(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return net.ErrClosed
	}
	return err
}

// Write writes all of b, and waits where there is no room.
func (c *Conn) Write(b []byte) (int, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	written := 0
	f := c.file.Load()
	for f == nil && written < len(b) {
		n, err := c.now(b[written:], &c.writeBy, Send)
		written += n
		if err == errAgain {
			f, err = c.park()
		}
		if err != nil {
			return written, c.failure("write", err)
		}
	}
	if written == len(b) {
		return written, nil
	}
	n, err := f.Write(b[written:])
	if err != nil {
		err = c.failure("write", err)
	}
	return written + n, err
}

// errAgain says that one has to wait.
const errAgain = unix.EAGAIN

// now makes one call that does not wait; errAgain: that would.
func (c *Conn) now(b []byte, by *time.Time, call func(int, []byte) (int, syscall.Errno)) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.file.Load()
	switch {
	case c.over:
		return 0, net.ErrClosed
	case !by.IsZero() && !time.Now().Before(*by):
		return 0, os.ErrDeadlineExceeded
	case len(b) == 0:
		return 0, nil
	}
	var n int
	var errno syscall.Errno
	if f == nil {
		n, errno = call(c.fd, b)
	} else if err := control(f, func(fd int) error { n, errno = call(fd, b); return nil }); err != nil {
		return 0, err
	}
	if errno != 0 {
		return 0, errno
	}
	return n, nil
}

// result is what Read returns that read n bytes into b.
func (c *Conn) result(b []byte, n int, err error) (int, error) {
	switch {
	case err != nil:
		return n, c.failure("read", err)
	case n == 0 && len(b) > 0:
		return 0, io.EOF
	}
	return n, nil
}

// park enters the connection in Go's poller.
func (c *Conn) park() (*os.File, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f := c.file.Load(); f != nil {
		return f, nil
	}
	if c.over {
		return nil, net.ErrClosed
	}
	f := os.NewFile(uintptr(c.fd), "tcp")
	if err := f.SetReadDeadline(c.readBy); err != nil { // there is no room for it in the poller
		_ = f.Close()
		c.fd, c.over = -1, true
		return nil, err
	}
	_ = f.SetWriteDeadline(c.writeBy)
	c.fd = -1
	c.file.Store(f)
	return f, nil
}

// Close closes the connection. Whoever reads or writes then finds it closed.
func (c *Conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return c.failure("close", net.ErrClosed)
	}
	c.over = true
	if f := c.file.Load(); f != nil {
		return f.Close()
	}
	err := Close(c.fd)
	c.fd = -1
	return err
}

// Parked tells whether somebody had to wait, and entered the connection in Go's poller.
func (c *Conn) Parked() bool { return c.file.Load() != nil }

// Detach gives the descriptor away and leaves the connection as Close does. It cannot where the connection is
// parked, or closed.
func (c *Conn) Detach() (fd int, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over || c.file.Load() != nil {
		return -1, false
	}
	fd, c.fd, c.over = c.fd, -1, true
	return fd, true
}

// control calls f with the connection's descriptor, which stays open meanwhile.
func (c *Conn) control(operation string, f func(fd int) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var err error
	switch file := c.file.Load(); {
	case c.over:
		err = net.ErrClosed
	case file != nil:
		err = control(file, f)
	default:
		err = f(c.fd)
	}
	if err != nil {
		return c.failure(operation, err)
	}
	return nil
}

func control(file *os.File, f func(fd int) error) error {
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = f(int(fd)) }); err != nil {
		return err
	}
	return failed
}

// SyscallConn grants the use of the descriptor by Control alone.
func (c *Conn) SyscallConn() (syscall.RawConn, error) { return raw{c}, nil }

type raw struct{ c *Conn }

func (r raw) Control(f func(fd uintptr)) error {
	return r.c.control("control", func(fd int) error {
		f(uintptr(fd))
		return nil
	})
}

func (raw) Read(func(uintptr) bool) error  { return syscall.EINVAL }
func (raw) Write(func(uintptr) bool) error { return syscall.EINVAL }

// CloseWrite ends the side that is written.
func (c *Conn) CloseWrite() error {
	return c.control("close", func(fd int) error { return unix.Shutdown(fd, unix.SHUT_WR) })
}

// SetLinger is that of a *net.TCPConn.
func (c *Conn) SetLinger(seconds int) error {
	l := unix.Linger{Linger: int32(max(seconds, 0))}
	if seconds >= 0 {
		l.Onoff = 1
	}
	return c.control("set", func(fd int) error { return setLinger(fd, l) })
}

// SetKeepAliveConfig is that of a *net.TCPConn; all of config is set.
func (c *Conn) SetKeepAliveConfig(config net.KeepAliveConfig) error {
	return c.control("set", func(fd int) error { return setKeepAlive(fd, config) })
}

// File is a copy of the connection's descriptor, as that of a *net.TCPConn.
func (c *Conn) File() (file *os.File, err error) {
	err = c.control("file", func(fd int) error {
		own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		if err == nil {
			file = os.NewFile(uintptr(own), "tcp")
		}
		return err
	})
	return file, err
}

// SetDeadline sets when reads and writes fail with os.ErrDeadlineExceeded; the zero time is never.
func (c *Conn) SetDeadline(t time.Time) error {
	return c.deadline(func() { c.readBy, c.writeBy = t, t }, func(f *os.File) error { return f.SetDeadline(t) })
}

// SetReadDeadline is SetDeadline for reads.
func (c *Conn) SetReadDeadline(t time.Time) error {
	return c.deadline(func() { c.readBy = t }, func(f *os.File) error { return f.SetReadDeadline(t) })
}

// SetWriteDeadline is SetDeadline for writes.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	return c.deadline(func() { c.writeBy = t }, func(f *os.File) error { return f.SetWriteDeadline(t) })
}

func (c *Conn) deadline(note func(), set func(*os.File) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return c.failure("set", net.ErrClosed)
	}
	note()
	if f := c.file.Load(); f != nil {
		return set(f)
	}
	return nil
}

// RemoteAddr is the peer's address, a *net.TCPAddr.
func (c *Conn) RemoteAddr() net.Addr {
	at := c.peer.Load()
	if at == nil {
		at = net.TCPAddrFromAddrPort(c.remote)
		c.peer.Store(at)
	}
	return at
}

// LocalAddr is our own address, a *net.TCPAddr.
func (c *Conn) LocalAddr() net.Addr {
	if known := c.local.Load(); known != nil {
		return known
	}
	at := new(net.TCPAddr)
	_ = c.control("getsockname", func(fd int) error {
		local, err := localOf(fd)
		if err == nil {
			at = net.TCPAddrFromAddrPort(local)
			c.local.Store(at)
		}
		return err
	})
	return at
}

// failure is an error as those of package net are.
func (c *Conn) failure(operation string, err error) error {
	if inner, ok := err.(*os.PathError); ok {
		err = inner.Err
	}
	switch e := err.(type) {
	case syscall.Errno:
		err = os.NewSyscallError(operation, e)
	default:
		if err == os.ErrClosed {
			err = net.ErrClosed
		}
	}
	failed := &net.OpError{Op: operation, Net: "tcp", Addr: c.RemoteAddr(), Err: err}
	if local := c.local.Load(); local != nil {
		failed.Source = local
	}
	return failed
}
