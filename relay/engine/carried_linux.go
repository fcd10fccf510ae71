package engine

import (
	"fmt"
	"net"
	"os"
	"syscall"

	"servicebroker/tcp"
)

// carried is a session as its loop knows it. Side 0 is the client's, side 1 the server's: so
// a Direction is also the side that it reads from.
//
// The kernel is asked when the session begins to tell of all that arrives at its sockets, and of room
// on one when there first was none. It tells of each change once: so what it told is remembered here
// until it has been acted on.
type carried struct {
	link     *Link
	loop     *loop
	owner    Owner
	fd       [2]int
	lent     [2][]byte // what pending bytes are kept in, by Direction; nil: nothing that is given back
	pipes    [2]*pipe  // what is pending in the kernel, by Direction; nil: nothing
	slot     int32     // -1 before the loop has it; guarded by the loop's mu until then, as is over
	round    int32
	roomy    [2]bool  // the kernel has been asked to tell of room on a side
	readable [2]bool  // there may be more to read of a side
	closing  [2]bool  // it is to be read to its end: that has come, an error, or something urgent, at which reads stop short
	spent    [2]bool  // all has been read of a side
	held     [2]bool  // by a Limiter, by Direction
	kept     [2]int   // bytes that the kernel kept for the destination of a Direction when that was last stuck
	credit   [2]uint8 // for being bulk, by Direction
	queued   bool     // in the loop's list of those that gave way
	over     bool
}

// What the kernel is to tell of a socket. It tells of errors unasked.
const wanted = syscall.EPOLLIN | syscall.EPOLLRDHUP | syscall.EPOLLPRI | edgeTriggered

const edgeTriggered = 1 << 31 // syscall.EPOLLET is a negative number

// A direction may be read so often before others have their turn.
const turns = 4

// begin makes the session one of the loop's, from any goroutine. A session that has nothing to move yet does not even
// wake the loop.
func (c *carried) begin() {
	first := commandFinish
	for d := range c.fd {
		if !c.link.shown {
			c.link.look(Direction(d), c.link.flows[d].pending)
		}
	}
	waiting := c.link.Ended != [2]bool{} || c.hasPending(ToServer) || c.hasPending(ToClient)
	err := c.loop.enter(c)
	switch {
	case err != nil:
		c.cause(err)
	case c.link.doomed():
	case waiting:
		first = commandMove
	default:
		return
	}
	c.loop.post(command{kind: first, session: c})
}

// watch has the kernel tell of a side's events.
func (c *carried) watch(operation int, side Direction, events uint32) error {
	event := syscall.EpollEvent{Events: events, Fd: c.slot<<1 | int32(side), Pad: c.round}
	if errno := control(c.loop.epoll, operation, c.fd[side], &event); errno != 0 {
		return fmt.Errorf("the system cannot watch the session's connections: %w", errno)
	}
	return nil
}

// moveBoth moves what it can of both directions.
func (c *carried) moveBoth(now int64) {
	for d := range Direction(2) {
		if !c.over {
			c.move(d, now)
		}
	}
}

// stuck notes that a direction's destination takes no more for now. What it has received since that was last noted is progress,
// though too little for the kernel to take more.
func (c *carried) stuck(d Direction, now int64) {
	f, kept := &c.link.flows[d], tcp.Unacknowledged(c.fd[1-d])
	if f.writing.Load() && kept < c.kept[d] {
		f.last.Store(now)
	}
	c.kept[d] = kept
	f.writing.Store(true)
	c.awaitRoom(1 - d)
}

// awaitRoom has the kernel tell when a side takes bytes again.
func (c *carried) awaitRoom(side Direction) {
	if c.roomy[side] {
		return
	}
	c.roomy[side] = true
	if err := c.watch(syscall.EPOLL_CTL_MOD, side, wanted|syscall.EPOLLOUT); err != nil {
		c.cause(err)
		c.finish()
	}
}

// event notes what the kernel tells of a side, and moves what it lets move.
func (c *carried) event(side Direction, told uint32, now int64) {
	const ending = syscall.EPOLLRDHUP | syscall.EPOLLHUP | syscall.EPOLLERR | syscall.EPOLLPRI
	if told&(syscall.EPOLLIN|ending) != 0 {
		c.readable[side] = true
		c.closing[side] = c.closing[side] || told&ending != 0
		c.move(side, now)
	}
	if told&(syscall.EPOLLOUT|ending) != 0 && !c.over && c.hasPending(1-side) {
		c.move(1-side, now)
	}
	if told&syscall.EPOLLERR != 0 && !c.over { // and nobody reads there, or not far enough to find it
		c.broken(side)
	}
}

// move moves what it can of a direction: until there is no more, the other side takes no more, or
// it is time for others.
func (c *carried) move(d Direction, now int64) {
	for left := turns; left > 0; left-- {
		switch {
		case c.held[d] || !c.flush(d, now):
			return
		case c.spent[d]:
			c.pastEnd(d, now)
			return
		case !c.readable[d]:
			return
		case c.bulk(d):
			if !c.pour(d, now) {
				return
			}
			left = 0
		case !c.read(d, now):
			return
		}
	}
	if c.readable[d] && !c.queued {
		c.queued = true
		c.loop.again = append(c.loop.again, c)
	}
}

// flush sends what is pending, and reports whether all of it is gone.
func (c *carried) flush(d Direction, now int64) bool {
	if c.pipes[d] != nil {
		return c.drain(d, now)
	}
	f := &c.link.flows[d]
	if len(f.pending) == 0 {
		return true
	}
	n, errno := tcp.Send(c.fd[1-d], f.pending)
	if errno != 0 && errno != syscall.EAGAIN {
		c.fail(1-d, "write", errno)
		return false
	}
	if n > 0 {
		f.last.Store(now)
		f.pending = f.pending[n:]
	}
	if len(f.pending) > 0 {
		c.stuck(d, now)
		return false
	}
	giveBack(c.lent[d])
	f.pending, c.lent[d] = nil, nil
	f.writing.Store(false)
	return true
}

// read moves what one read gives, and reports whether there is more to do.
func (c *carried) read(d Direction, now int64) bool {
	f, buffer := &c.link.flows[d], c.loop.buffer
	limited := c.link.limited(d)
	if limited {
		buffer = buffer[:ChunkSize]
	}
	n, errno := tcp.Receive(c.fd[d], buffer)
	switch {
	case errno == syscall.EAGAIN:
		c.readable[d] = false
		return false
	case errno != 0:
		c.fail(d, "read", errno)
		return false
	case n == 0:
		c.end(d, now)
		return false
	}
	c.readable[d] = n == len(buffer) || c.closing[d] // else that was all: of more the kernel will tell
	c.judge(d, n == loopChunk)
	f.last.Store(now)
	f.bytes.Add(uint64(n))
	c.link.look(d, buffer[:n])
	if limited {
		c.hold(d, buffer[:n])
		return false
	}
	sent, errno := tcp.Send(c.fd[1-d], buffer[:n])
	switch {
	case errno != 0 && errno != syscall.EAGAIN:
		c.fail(1-d, "write", errno)
		return false
	case sent < n:
		c.keep(d, buffer[sent:n])
		c.stuck(d, now)
		return false
	}
	return true
}

// keep keeps b, which is in the loop's buffer, for later.
func (c *carried) keep(d Direction, b []byte) {
	if len(b) <= smallPending {
		c.link.flows[d].pending = append([]byte(nil), b...)
		return
	}
	c.link.flows[d].pending, c.lent[d] = b, c.loop.buffer
	c.loop.buffer = borrow()
}

// hold keeps b until the direction's Limiter lets it pass.
func (c *carried) hold(d Direction, b []byte) {
	n := len(b)
	c.keep(d, b)
	c.held[d] = true
	c.loop.running.Go(func() {
		err := c.link.pace(d, n)
		switch {
		case err == nil:
			c.loop.post(command{kind: commandPass, d: d, session: c})
		case !c.link.freeze.Load():
			c.link.Close(err)
		}
	})
}

// end is the end of what can be read of a side.
func (c *carried) end(d Direction, now int64) {
	c.spent[d] = true
	if !c.hasPending(d) {
		c.pastEnd(d, now)
	}
}

// hasPending tells whether there is something to be sent in a direction.
func (c *carried) hasPending(d Direction) bool {
	return len(c.link.flows[d].pending) > 0 || c.pipes[d] != nil
}

// pastEnd passes the end of a half on, once all before it has been.
func (c *carried) pastEnd(d Direction, now int64) {
	f := &c.link.flows[d]
	if f.ended() && c.link.flows[1-d].ended() {
		c.finish()
		return
	}
	if f.ended() {
		return
	}
	f.end.Store(now)
	_ = syscall.Shutdown(c.fd[1-d], syscall.SHUT_WR)
	if c.link.flows[1-d].ended() {
		c.finish()
		return
	}
	c.link.mu.Lock()
	c.link.wind() // the other half now has a limit of its own
	c.link.mu.Unlock()
}

// broken looks whether a side is, of which the kernel tells although nobody reads there.
func (c *carried) broken(side Direction) {
	code, err := syscall.GetsockoptInt(c.fd[side], syscall.SOL_SOCKET, syscall.SO_ERROR)
	if err == nil && code != 0 {
		c.fail(side, "read", syscall.Errno(code))
	}
}

// fail ends the session by what happened to one of its sides.
func (c *carried) fail(side Direction, operation string, errno syscall.Errno) {
	of := "client"
	if side == ToClient {
		of = "instance"
	}
	c.cause(fmt.Errorf("%s: %w", of, os.NewSyscallError(operation, errno)))
	c.finish()
}

// cause notes why the session does not end by itself, unless that is known.
func (c *carried) cause(err error) {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	if c.link.err == nil {
		c.link.err = err
	}
}

// finish takes the session from the loop: it is over, or goes elsewhere.
func (c *carried) finish() {
	c.loop.leave(c)
	frozen := c.link.freeze.Load()
	for d, fd := range c.fd {
		if frozen { // the sockets live on; whoever waits for settle may have closed these descriptors of theirs by then
			_ = control(c.loop.epoll, syscall.EPOLL_CTL_DEL, fd, nil)
		} else {
			giveBack(c.lent[d])
		}
	}
	c.unplug(frozen)
	outcome := c.link.settle()
	c.loop.running.Go(func() { c.owner.Over(outcome) })
}

// interrupt asks a session's loop to look at it again: it has been given a cause to end, or is
// frozen.
func (c *carried) interrupt() { c.loop.post(command{kind: commandFinish, session: c}) }

// retry asks for another look at what is pending: the kernel tells of room only where there is much of it.
func (c *carried) retry() { c.loop.post(command{kind: commandMove, session: c}) }

// endHalf asks for the end of a half that has been silent for too long.
func (c *carried) endHalf(d Direction) { c.loop.post(command{kind: commandEndHalf, d: d, session: c}) }

// shut closes both sockets, with a reset if the session did not end by itself. The kernel forgets
// what it was asked about them.
func (c *carried) shut(reset bool) {
	for _, fd := range c.fd {
		switch {
		case fd < 0:
		case reset:
			_ = tcp.Reset(fd)
		default:
			_ = tcp.Close(fd)
		}
	}
}

// files gives both sockets away.
func (c *carried) files() (client, server *os.File) {
	return os.NewFile(uintptr(c.fd[0]), "client"), os.NewFile(uintptr(c.fd[1]), "instance")
}

// detach makes descriptors of both sockets that Go's poller knows nothing of: a socket's own where it never entered it,
// else another. Other descriptors come first, since there may be no room for them: then both connections are as they were.
func detach(l *Link) (*carried, error) {
	c := &l.room
	*c = carried{link: l, slot: -1, fd: [2]int{-1, -1}, spent: l.Ended}
	connections := [2]net.Conn{l.Client, l.Server}
	for side, of := range connections {
		if own, ok := of.(*tcp.Conn); ok && !own.Parked() {
			continue
		}
		var err error
		if c.fd[side], err = descriptor(of); err != nil {
			c.shut(false)
			return nil, err
		}
	}
	for side, of := range connections {
		if own, ok := of.(*tcp.Conn); ok && c.fd[side] < 0 {
			c.fd[side], _ = own.Detach() // -1 if it is closed: then the link has a cause to end
		}
	}
	return c, nil
}

// claim makes its sockets the link's only ones, unless that has been ended.
func (c *carried) claim(l *Link) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return l.err
	}
	l.carried = c
	_, _ = l.Client.Close(), l.Server.Close()
	l.Client, l.Server = nil, nil
	return nil
}

// movable tells whether a connection is a socket and nothing more.
func movable(c net.Conn) bool {
	_, ok := c.(syscall.Conn)
	return ok
}

// descriptor is one of our own for a connection's socket.
func descriptor(c net.Conn) (fd int, err error) {
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		return -1, err
	}
	if cerr := raw.Control(func(socket uintptr) { fd, err = dup(socket) }); cerr != nil {
		return -1, cerr
	}
	return fd, err
}
