package engine

import (
	"sync"
	"syscall"
	"unsafe"
)

// loopChunk is the most bytes a loop copies at a time. Twice of it moves hardly more, half of it less.
const loopChunk = 64 << 10

// These calls never block, so the scheduler need not hear of them; wait does, and it hears.

// poll returns how many events there are now.
func poll(epoll int, events []syscall.EpollEvent) int {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, uintptr(epoll), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), 0, 0, 0)
	if errno != 0 {
		return 0
	}
	return int(n)
}

// wait returns once there are events, or sooner.
func wait(epoll int, events []syscall.EpollEvent) int {
	n, err := syscall.EpollWait(epoll, events, -1)
	if err != nil && err != syscall.EINTR {
		panic("engine: waiting for sockets: " + err.Error()) // it can do nothing else
	}
	return max(n, 0)
}

// control changes what an epoll descriptor tells of another.
func control(epoll, operation, fd int, event *syscall.EpollEvent) syscall.Errno {
	_, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_CTL, uintptr(epoll), uintptr(operation), uintptr(fd), uintptr(unsafe.Pointer(event)), 0, 0)
	return errno
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

// What is pending is kept in the buffer that it was read into, unless it is small.
const smallPending = 4 << 10

var chunks = sync.Pool{New: func() any { return new([loopChunk]byte) }}

// borrow returns loopChunk bytes.
func borrow() []byte { return chunks.Get().(*[loopChunk]byte)[:] }

// giveBack ends a borrow; nil is none.
func giveBack(b []byte) {
	if b != nil {
		chunks.Put((*[loopChunk]byte)(b))
	}
}
