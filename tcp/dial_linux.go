package tcp

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Dial opens a connection to a numeric address, and sets keep-alive on it. It ends with ctx, and at the time of ctx's
// deadline.
func Dial(ctx context.Context, to netip.AddrPort, keepAlive net.KeepAliveConfig) (net.Conn, error) {
	to = netip.AddrPortFrom(to.Addr().Unmap(), to.Port())
	for {
		c, err := dial(ctx, to, keepAlive)
		if err != nil {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(to), Err: err}
		}
		if local := c.LocalAddr().(*net.TCPAddr); local.AddrPort().Port() != to.Port() || local.AddrPort().Addr().Unmap().WithZone("") != to.Addr().WithZone("") {
			return c, nil
		}
		_ = c.Close() // it met itself: nobody listens there, and the system chose that very port for us
	}
}

func dial(ctx context.Context, to netip.AddrPort, keepAlive net.KeepAliveConfig) (*Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	family := unix.AF_INET6
	if to.Addr().Is4() {
		family = unix.AF_INET
	}
	fd, err := socket(family)
	if err != nil {
		return nil, err
	}
	c := newConn(fd, nil, to)
	err = errors.Join(setInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1), setKeepAlive(fd, keepAlive))
	if err == nil {
		err = c.connect(ctx, fd, to)
	}
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

func (c *Conn) connect(ctx context.Context, fd int, to netip.AddrPort) error {
	errno := connect(fd, to)
	switch {
	case errno == 0:
		return nil
	case errno != unix.EINPROGRESS && errno != unix.EINTR:
		return os.NewSyscallError("connect", errno)
	case is(fd, unix.POLLOUT): // as it is at once on the same host
		return connected(fd)
	}
	f, err := c.park()
	if err != nil {
		return err
	}
	if deadline, limited := ctx.Deadline(); limited {
		_ = f.SetWriteDeadline(deadline)
		defer f.SetWriteDeadline(time.Time{})
	}
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = f.SetWriteDeadline(time.Unix(1, 0)) })
	err = raw.Write(func(fd uintptr) bool { return is(int(fd), unix.POLLOUT) })
	switch {
	case !stop(): // it has been given a deadline in the past, or will be: nobody could write to it
		return context.Cause(ctx)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return os.ErrDeadlineExceeded
	case err != nil:
		return err
	}
	return control(f, connected)
}

// connected tells what became of a connection.
func connected(fd int) error {
	code, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	switch {
	case err != nil:
		return os.NewSyscallError("getsockopt", err)
	case code != 0:
		return os.NewSyscallError("connect", syscall.Errno(code))
	}
	return nil
}
