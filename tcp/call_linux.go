package tcp

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls below never block, so the scheduler need not hear of them; else its monitor would take the processor of
// whoever is in the middle of one, thousands of times a second.

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

// Unacknowledged is how many bytes the system keeps for a socket's peer, which has not received them; 0 if that is not known.
func Unacknowledged(fd int) int {
	var n int32
	if _, _, errno := syscall.RawSyscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCOUTQ, uintptr(unsafe.Pointer(&n))); errno != 0 {
		return 0
	}
	return int(n)
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

// Close closes a descriptor.
func Close(fd int) error {
	if _, _, errno := syscall.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0); errno != 0 {
		return errno
	}
	return nil
}

// Reset closes a socket, and throws away what is under way.
func Reset(fd int) error {
	_ = setLinger(fd, unix.Linger{Onoff: 1})
	return Close(fd)
}

func setLinger(fd int, l unix.Linger) error {
	return set(fd, unix.SOL_SOCKET, unix.SO_LINGER, unsafe.Pointer(&l), unsafe.Sizeof(l))
}

func setInt(fd, level, option, value int) error {
	v := int32(value)
	return set(fd, level, option, unsafe.Pointer(&v), unsafe.Sizeof(v))
}

func set(fd, level, option int, value unsafe.Pointer, size uintptr) error {
	_, _, errno := syscall.RawSyscall6(unix.SYS_SETSOCKOPT, uintptr(fd), uintptr(level), uintptr(option), uintptr(value), size, 0)
	if errno != 0 {
		return os.NewSyscallError("setsockopt", errno)
	}
	return nil
}

// socket makes one that does not block.
func socket(family int) (int, error) {
	fd, _, errno := syscall.RawSyscall(unix.SYS_SOCKET, uintptr(family), unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if errno != 0 {
		return -1, os.NewSyscallError("socket", errno)
	}
	return int(fd), nil
}

// connect begins to connect a socket.
func connect(fd int, to netip.AddrPort) syscall.Errno {
	var sa unix.RawSockaddrAny
	size := putAddrPort(&sa, to)
	_, _, errno := syscall.RawSyscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&sa)), size)
	return errno
}

// localOf is a socket's own address.
func localOf(fd int) (netip.AddrPort, error) {
	var sa unix.RawSockaddrAny
	size := uint32(unix.SizeofSockaddrAny)
	if _, _, errno := syscall.RawSyscall(unix.SYS_GETSOCKNAME, uintptr(fd), uintptr(unsafe.Pointer(&sa)), uintptr(unsafe.Pointer(&size))); errno != 0 {
		return netip.AddrPort{}, errno
	}
	return rawAddrPort(&sa), nil
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

// putAddrPort writes an address as the system has it, and returns its size.
func putAddrPort(sa *unix.RawSockaddrAny, a netip.AddrPort) uintptr {
	if a.Addr().Is4() {
		in := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
		*in = unix.RawSockaddrInet4{Family: unix.AF_INET, Port: swapped(a.Port()), Addr: a.Addr().As4()}
		return unix.SizeofSockaddrInet4
	}
	in := (*unix.RawSockaddrInet6)(unsafe.Pointer(sa))
	*in = unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: swapped(a.Port()), Addr: a.Addr().As16(), Scope_id: zoneNumber(a.Addr().Zone())}
	return unix.SizeofSockaddrInet6
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
		setInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, on),
		setInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, int(c.Idle/time.Second)),
		setInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, int(c.Interval/time.Second)),
		setInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPCNT, c.Count),
	)
}
