package engine

import (
	"sync"
	"syscall"
	"unsafe"
)

// LoopChunkSize is the most bytes a loop moves by one read.
const LoopChunkSize = 64 << 10

// These calls never block, so the scheduler need not hear of them.

// poll returns how many events there are now.
func poll(epoll uintptr, events []syscall.EpollEvent) int {
	for {
		n, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, epoll, uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), 0, 0, 0)
		switch errno {
		case 0:
			return int(n)
		case syscall.EINTR:
		default:
			return 0
		}
	}
}

// receive reads what there is on a socket.
func receive(fd int, b []byte) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), syscall.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			return int(n), 0
		case syscall.EINTR:
		default:
			return 0, errno
		}
	}
}

// send writes as much as a socket takes.
func send(fd int, b []byte) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall6(syscall.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL, 0, 0)
		switch errno {
		case 0:
			return int(n), 0
		case syscall.EINTR:
		default:
			return 0, errno
		}
	}
}

// eventDescriptor makes an event descriptor.
func eventDescriptor() (int, error) {
	fd, _, errno := syscall.RawSyscall(syscall.SYS_EVENTFD2, 0, syscall.O_CLOEXEC|syscall.O_NONBLOCK, 0)
	if errno != 0 {
		return -1, errno
	}
	return int(fd), nil
}

// dup makes another descriptor of the same file.
func dup(fd uintptr) (int, error) {
	other, _, errno := syscall.RawSyscall(syscall.SYS_FCNTL, fd, syscall.F_DUPFD_CLOEXEC, 0)
	if errno != 0 {
		return -1, errno
	}
	return int(other), nil
}

// What is pending is kept in a buffer that is given back, unless it is small.
const smallPending = 4 << 10

var chunks = sync.Pool{New: func() any { return new([LoopChunkSize]byte) }}

// borrow returns room for n bytes, none of it used.
func borrow(n int) []byte {
	if n <= smallPending {
		return make([]byte, 0, n)
	}
	return chunks.Get().(*[LoopChunkSize]byte)[:0]
}

// giveBack ends a borrow.
func giveBack(b []byte) {
	if cap(b) == LoopChunkSize {
		chunks.Put((*[LoopChunkSize]byte)(b[:LoopChunkSize]))
	}
}
