package tcp

import (
	"errors"
	"net"
	"net/netip"
	"strconv"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls below never block, so the scheduler need not hear of them.

// Receive reads what there is on a socket.
func Receive(fd int, b []byte) (int, syscall.Errno) {
	return transfer(unix.SYS_RECVFROM, fd, b, unix.MSG_DONTWAIT)
}

// Send writes as much as a socket takes.
func Send(fd int, b []byte) (int, syscall.Errno) {
	return transfer(unix.SYS_SENDTO, fd, b, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
}

func transfer(call uintptr, fd int, b []byte, flags uintptr) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall6(call, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), flags, 0, 0)
		switch errno {
		case 0:
			return int(n), 0
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

// accept takes a connection that is there, with its peer's address.
func accept(listener int) (fd int, peer netip.AddrPort, errno syscall.Errno) {
	var sa unix.RawSockaddrAny
	for {
		size := uint32(unix.SizeofSockaddrAny)
		n, _, errno := syscall.RawSyscall6(unix.SYS_ACCEPT4, uintptr(listener), uintptr(unsafe.Pointer(&sa)), uintptr(unsafe.Pointer(&size)), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
		switch errno {
		case 0:
			return int(n), rawAddrPort(&sa), 0
		case unix.EINTR, unix.ECONNABORTED: // which was one that is gone
		default:
			return -1, netip.AddrPort{}, errno
		}
	}
}

// is tells whether a descriptor is readable or writable now, or is broken.
func is(fd int, events int16) bool {
	fds := [...]unix.PollFd{{Fd: int32(fd), Events: events}}
	n, err := unix.Poll(fds[:], 0)
	return err == nil && n == 1
}

func rawAddrPort(sa *unix.RawSockaddrAny) netip.AddrPort {
	switch sa.Addr.Family {
	case unix.AF_INET:
		in := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
		return netip.AddrPortFrom(netip.AddrFrom4(in.Addr), swapped(in.Port))
	case unix.AF_INET6:
		in := (*unix.RawSockaddrInet6)(unsafe.Pointer(sa))
		return inet6(in.Addr, in.Scope_id, swapped(in.Port))
	}
	return netip.AddrPort{}
}

// swapped is a port in the order of this machine.
func swapped(port uint16) uint16 {
	b := (*[2]byte)(unsafe.Pointer(&port))
	return uint16(b[0])<<8 | uint16(b[1])
}

func addrPort(sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return inet6(sa.Addr, sa.ZoneId, uint16(sa.Port))
	}
	return netip.AddrPort{}
}

// inet6 is an address of IPv6. zone is not 0 only for one that means something on a single link.
func inet6(addr [16]byte, zone uint32, port uint16) netip.AddrPort {
	at := netip.AddrFrom16(addr).Unmap()
	if zone != 0 {
		at = at.WithZone(zoneName(zone))
	}
	return netip.AddrPortFrom(at, port)
}

// zoneName is the name of an interface, or its number where it has none.
func zoneName(zone uint32) string {
	if at, err := net.InterfaceByIndex(int(zone)); err == nil {
		return at.Name
	}
	return strconv.FormatUint(uint64(zone), 10)
}

// zoneNumber is the number of an interface that is called by its name or number; 0 if there is none.
func zoneNumber(zone string) uint32 {
	if zone == "" {
		return 0
	}
	if at, err := net.InterfaceByName(zone); err == nil {
		return uint32(at.Index)
	}
	n, _ := strconv.ParseUint(zone, 10, 31)
	return uint32(n)
}

func setKeepAlive(fd int, c net.KeepAliveConfig) error {
	on := 0
	if c.Enable {
		on = 1
	}
	return errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, on),
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, int(c.Idle/time.Second)),
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, int(c.Interval/time.Second)),
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPCNT, c.Count),
	)
}
