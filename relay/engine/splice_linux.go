package engine

import (
	"syscall"

	"servicebroker/tcp"
)

// A direction that has filled bulkReads reads is bulk: what it moves need not pass through this
// process, which takes two thirds of the processor time of copying it there and back. Shorter messages
// would gain nothing.
const (
	bulkReads  = 4
	mostCredit = 2 * bulkReads // so that a pause or two do not end it
)

// pipeSize is how much passes through a pipe at a time, bytes: with less it costs half as much again. A system where pipes are
// short has them hold less.
const pipeSize = 1 << 20

// sparePipes is how many empty pipes a loop keeps: more than it needs, unless sides are slow to take what is for them.
const sparePipes = 4

// A pipe holds what passes from socket to socket in the kernel.
type pipe struct {
	out, in int // descriptors: read from, and written to
	held    int // bytes in it
}

// Flags of splice(2).
const (
	spliceMove     = 1
	spliceNonblock = 2
)

// pipe is an empty one; nil where there is none to be had.
func (l *loop) pipe() *pipe {
	if n := len(l.pipes); n > 0 {
		p := l.pipes[n-1]
		l.pipes = l.pipes[:n-1]
		return p
	}
	var fds [2]int
	if l.copies || syscall.Pipe2(fds[:], syscall.O_CLOEXEC|syscall.O_NONBLOCK) != nil {
		return nil
	}
	_, _, _ = syscall.RawSyscall(syscall.SYS_FCNTL, uintptr(fds[1]), syscall.F_SETPIPE_SZ, pipeSize)
	return &pipe{out: fds[0], in: fds[1]}
}

// release takes a pipe back, to be used again if it is empty.
func (l *loop) release(p *pipe) {
	if p.held == 0 && len(l.pipes) < sparePipes {
		l.pipes = append(l.pipes, p)
		return
	}
	p.close()
}

func (p *pipe) close() { _, _ = tcp.Close(p.out), tcp.Close(p.in) }

// fill takes what a socket has, as far as there is room; 0 is its end.
func (p *pipe) fill(socket int) (int, syscall.Errno) {
	n, errno := splice(socket, p.in, pipeSize)
	p.held += n
	return n, errno
}

// drain gives a socket what it takes.
func (p *pipe) drain(socket int) (drained int, errno syscall.Errno) {
	for p.held > 0 && errno == 0 {
		var n int
		if n, errno = splice(p.out, socket, p.held); n == 0 && errno == 0 {
			errno = syscall.EIO // which it never was: it holds something
		}
		p.held -= n
		drained += n
	}
	return drained, errno
}

// empty takes all that the pipe holds.
func (p *pipe) empty() []byte {
	b := make([]byte, p.held)
	got := 0
	for got < len(b) {
		n, err := syscall.Read(p.out, b[got:])
		if n <= 0 && err != syscall.EINTR {
			break
		}
		got += max(n, 0)
	}
	p.held -= got
	return b[:got]
}

func splice(from, to, most int) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall6(syscall.SYS_SPLICE, uintptr(from), 0, uintptr(to), 0, uintptr(most), spliceMove|spliceNonblock)
		switch errno {
		case 0:
			return int(n), 0
		case syscall.EINTR:
		default:
			return 0, errno
		}
	}
}

// bulk tells whether a direction's bytes may pass in the kernel: many of them come, and nobody has to see or count them before.
func (c *carried) bulk(d Direction) bool {
	return c.credit[d] >= bulkReads && !c.closing[d] && !c.loop.copies && !c.link.limited(d) && c.link.inspect.Load() == nil
}

// judge notes how much one read of a direction has brought.
func (c *carried) judge(d Direction, much bool) {
	switch {
	case much && c.credit[d] < mostCredit:
		c.credit[d]++
	case !much && c.credit[d] > 0:
		c.credit[d]--
	}
}

// pour is read through a pipe, which is the session's as long as there is something in it. Where there is none, what comes
// is copied for a while; where the system does not splice, from now on.
func (c *carried) pour(d Direction, now int64) bool {
	p := c.loop.pipe()
	if p == nil {
		c.credit[d] = 0
		return true
	}
	n, errno := p.fill(c.fd[d])
	if n == 0 {
		c.loop.release(p)
	}
	switch errno {
	case 0:
	case syscall.EAGAIN:
		c.readable[d] = false
		return false
	case syscall.EINVAL, syscall.ENOSYS, syscall.EPERM:
		c.loop.copies = true
		return true
	default:
		c.fail(d, "read", errno)
		return false
	}
	if n == 0 {
		c.end(d, now)
		return false
	}
	c.judge(d, n >= loopChunk)
	f := &c.link.flows[d]
	f.last.Store(now)
	f.bytes.Add(uint64(n))
	c.pipes[d] = p
	return c.drain(d, now)
}

// drain sends what is in a direction's pipe, and reports whether all of it is gone.
func (c *carried) drain(d Direction, now int64) bool {
	f, p := &c.link.flows[d], c.pipes[d]
	n, errno := p.drain(c.fd[1-d])
	if n > 0 {
		f.last.Store(now)
	}
	switch {
	case p.held == 0:
		c.pipes[d] = nil
		c.loop.release(p)
		f.writing.Store(false)
		return true
	case errno == syscall.EAGAIN:
		c.stuck(d, now)
	default:
		c.fail(1-d, "write", errno)
	}
	return false
}

// unplug takes what is in the session's pipes out of them if it is to go on elsewhere, and gives them back.
func (c *carried) unplug(goesOn bool) {
	for d, p := range c.pipes {
		if p == nil {
			continue
		}
		if goesOn {
			c.link.flows[d].pending = p.empty()
		}
		c.loop.release(p)
		c.pipes[d] = nil
	}
}
