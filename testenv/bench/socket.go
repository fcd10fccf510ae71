package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"servicebroker/tns"
)

// The load generator and the backend use sockets and epoll without the runtime's poller, since what they cost is taken from the
// machine that they measure.

// sockaddr is an address for system calls.
func sockaddr(address string) (*syscall.SockaddrInet4, error) {
	at, err := netip.ParseAddrPort(address)
	if err != nil || !at.Addr().Is4() {
		return nil, fmt.Errorf("%s is no IPv4 address with a port: %v", address, err)
	}
	return &syscall.SockaddrInet4{Addr: at.Addr().As4(), Port: int(at.Port())}, nil
}

// socket is a new one whose close resets the connection, so that no port waits afterwards.
func socket(kind int) (int, error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|kind, 0)
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	if err := resetOnClose(fd); err != nil {
		syscall.Close(fd)
		return -1, err
	}
	return fd, nil
}

func resetOnClose(fd int) error {
	return syscall.SetsockoptLinger(fd, syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1})
}

// session is a connection with its ACCEPT, in blocking mode.
type session int

// patience is how long an answer may take that is not measured.
const patience = 10 * time.Second

// openSession connects and waits for the ACCEPT.
func openSession(to *syscall.SockaddrInet4, from [4]byte, packet []byte) (session, error) {
	fd, err := socket(0)
	if err != nil {
		return -1, err
	}
	s := session(fd)
	if err := s.open(to, from, packet); err != nil {
		s.close()
		return -1, err
	}
	return s, nil
}

func (s session) open(to *syscall.SockaddrInet4, from [4]byte, packet []byte) error {
	fd := int(s)
	wait := syscall.NsecToTimeval(int64(patience))
	if err := errors.Join(
		syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1),
		syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &wait),
		syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_SNDTIMEO, &wait)); err != nil {
		return err
	}
	if from != [4]byte{} {
		if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: from}); err != nil {
			return fmt.Errorf("bind to %v: %w", net.IP(from[:]), err)
		}
	}
	if err := connect(fd, to); err != nil {
		return fmt.Errorf("connect to port %d: %w", to.Port, err)
	}
	if _, err := write(fd, packet); err != nil {
		return fmt.Errorf("send CONNECT: %w", err)
	}
	var b [1024]byte
	n := 0
	for {
		more, err := s.Read(b[n:])
		if err != nil {
			return fmt.Errorf("no answer to CONNECT: %w", err)
		}
		n += more
		switch kind := answered(b[:n]); kind {
		case 0:
		case tns.TypeAccept:
			return nil
		default:
			return fmt.Errorf("answer to CONNECT: %w", answerError(b[:n]))
		}
	}
}

// The runtime interrupts system calls with signals of its own, and sockets with a time limit tell of that.

func connect(fd int, to *syscall.SockaddrInet4) error {
	for {
		switch err := syscall.Connect(fd, to); err {
		case syscall.EINTR, syscall.EALREADY:
		case syscall.EISCONN:
			return nil
		default:
			return err
		}
	}
}

func read(fd int, into []byte) (int, error) {
	for {
		if n, err := syscall.Read(fd, into); err != syscall.EINTR {
			return n, err
		}
	}
}

func write(fd int, b []byte) (int, error) {
	for {
		if n, err := syscall.Write(fd, b); err != syscall.EINTR {
			return n, err
		}
	}
}

var errClosed = errors.New("the connection was closed")

// answerError is an answer that was not hoped for.
func answerError(b []byte) error {
	size := int(binary.BigEndian.Uint16(b))
	return fmt.Errorf("packet of type %d: %.200q", b[4], b[8:max(8, size)])
}

// roundTrip sends a message and waits until as much came back.
func (s session) roundTrip(message, into []byte) error {
	if _, err := write(int(s), message); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	for n := 0; n < len(message); {
		more, err := s.Read(into)
		if err != nil {
			return fmt.Errorf("no echo: %w", err)
		}
		n += more
	}
	return nil
}

func (s session) close() { syscall.Close(int(s)) }

// openSessions opens as many one after the other; what is open when that fails is closed.
func openSessions(n int, to *syscall.SockaddrInet4, packet []byte) ([]session, error) {
	var all []session
	for range n {
		s, err := openSession(to, [4]byte{}, packet)
		if err != nil {
			closeAll(all)
			return nil, fmt.Errorf("session %d of %d: %w", len(all)+1, n, err)
		}
		all = append(all, s)
	}
	return all, nil
}

func closeAll(all []session) {
	for _, s := range all {
		s.close()
	}
}

// poller is an epoll instance.
type poller struct {
	fd     int
	events [128]syscall.EpollEvent
}

func newPoller() (*poller, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	return &poller{fd: fd}, nil
}

func (p *poller) add(fd int, events uint32) error {
	return syscall.EpollCtl(p.fd, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: events, Fd: int32(fd)})
}

func (p *poller) change(fd int, events uint32) error {
	return syscall.EpollCtl(p.fd, syscall.EPOLL_CTL_MOD, fd, &syscall.EpollEvent{Events: events, Fd: int32(fd)})
}

func (p *poller) remove(fd int) error {
	return syscall.EpollCtl(p.fd, syscall.EPOLL_CTL_DEL, fd, &syscall.EpollEvent{})
}

// wait returns what is ready; nothing after the time has passed. A negative time is for ever.
func (p *poller) wait(most time.Duration) ([]syscall.EpollEvent, error) {
	milliseconds := -1
	if most >= 0 {
		milliseconds = int(most.Milliseconds())
	}
	for {
		n, err := syscall.EpollWait(p.fd, p.events[:], milliseconds)
		if err == syscall.EINTR {
			continue
		}
		return p.events[:max(0, n)], err
	}
}

func (p *poller) close() { syscall.Close(p.fd) }
