package engine

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Loops carries the sessions whose connections are both plain TCP: a goroutine for each
// processor waits for all of them at once, and a session that is idle holds two descriptors
// and its Link, but neither a goroutine nor a buffer. The zero value is ready for use.
type Loops struct {
	once  sync.Once
	err   error // why there are none
	loops []*loop
	next  atomic.Uint32
	wg    sync.WaitGroup // loops, sessions carried by goroutines, and those told of an end
}

// Close ends the loops once all their sessions are over, and waits for that. Nothing may be
// started any more.
func (p *Loops) Close() {
	p.once.Do(func() { p.err = net.ErrClosed })
	for _, l := range p.loops {
		l.post(command{kind: commandLeave})
	}
	p.wg.Wait()
}

func (p *Loops) start() {
	for range runtime.GOMAXPROCS(0) {
		l, err := newLoop(&p.wg)
		if err != nil {
			p.err = err
			return
		}
		p.loops = append(p.loops, l)
		p.wg.Go(l.run)
	}
}

// take makes one of the loops carry the session, or says why it cannot; the session is then
// as it was.
func (p *Loops) take(l *Link, done func(error)) error {
	c, err := detach(l)
	if err != nil {
		return err
	}
	p.once.Do(p.start)
	if p.err == nil {
		c.done, c.loop = done, p.loops[int(p.next.Add(1))%len(p.loops)]
		err = c.own(l)
	}
	if err = errors.Join(p.err, err); err != nil {
		c.shut(false)
		return err
	}
	l.begin()
	c.loop.post(command{kind: commandAdd, of: c})
	return nil
}

// A loop waits for the sockets of many sessions and moves what arrives there. All of a
// session's sockets, interests and pending bytes belong to its loop's goroutine; others
// ask it by posting commands.
type loop struct {
	epoll  *os.File // within Go's own poller, so that no thread is blocked by the wait
	fd     int      // of epoll
	wake   int      // an event descriptor, readable while there are commands
	owner  *sync.WaitGroup
	buffer []byte

	slots []*carried // by the number that the kernel knows a session by
	free  []int32
	round int32 // so that no event that is late meets another session

	mu       sync.Mutex
	commands []command
	asleep   bool // whoever posts must wake it
}

type commandKind uint8

const (
	commandAdd     commandKind = iota // a session begins
	commandFinish                     // a session has been given a cause to end, or is frozen
	commandPass                       // what a Limiter held back may pass
	commandEndHalf                    // a half has been silent for too long
	commandLeave                      // the loop itself ends
)

type command struct {
	kind commandKind
	d    Direction
	of   *carried
}

// carried is a session as its loop knows it. Side 0 is the client's, side 1 the server's: so
// a Direction is also the side that it reads from.
type carried struct {
	link  *Link
	loop  *loop
	done  func(error)
	fd    [2]int
	asked [2]uint32 // what the kernel was asked to tell of each side
	known [2]bool   // the kernel knows the socket
	spent [2]bool   // all has been read of a side
	held  [2]bool   // by a Limiter, by Direction
	lent  [2][]byte // what pending bytes are kept in, by Direction
	slot  int32     // -1 before and after
	round int32
	over  bool
}

// wakeSlot is the kernel's number for the wake descriptor.
const wakeSlot = -1

// A session may be read so often before others have their turn.
const turns = 8

func newLoop(owner *sync.WaitGroup) (*loop, error) {
	epoll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	wake, err := eventDescriptor()
	if err != nil {
		_ = syscall.Close(epoll)
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	event := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: wakeSlot}
	err = errors.Join(syscall.SetNonblock(epoll, true), syscall.EpollCtl(epoll, syscall.EPOLL_CTL_ADD, wake, &event))
	if err != nil {
		_, _ = syscall.Close(epoll), syscall.Close(wake)
		return nil, fmt.Errorf("epoll: %w", err)
	}
	return &loop{epoll: os.NewFile(uintptr(epoll), "epoll"), fd: epoll, wake: wake, owner: owner, buffer: make([]byte, LoopChunkSize), asleep: true}, nil
}

// post gives the loop something to do.
func (l *loop) post(c command) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.commands = append(l.commands, c)
	if l.asleep {
		l.asleep = false
		_, _ = syscall.Write(l.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	}
}

// run moves bytes until the loop is told to leave.
func (l *loop) run() {
	defer l.close()
	raw, err := l.epoll.SyscallConn()
	if err != nil {
		panic("engine: the poller's own descriptor: " + err.Error()) // it is a file that was just made
	}
	events := make([]syscall.EpollEvent, 256)
	for {
		n := 0
		err := raw.Read(func(fd uintptr) bool {
			n = poll(fd, events)
			return n > 0
		})
		if err != nil {
			panic("engine: waiting for sockets: " + err.Error())
		}
		now := time.Now().UnixNano()
		woken := false
		for i := range events[:n] {
			if events[i].Fd == wakeSlot {
				woken = true
				continue
			}
			l.event(&events[i], now)
		}
		if woken && l.obey(now) {
			return
		}
	}
}

func (l *loop) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asleep = false // whoever is late finds nothing to wake
	_, _ = l.epoll.Close(), syscall.Close(l.wake)
}

// event moves what the kernel says can be moved.
func (l *loop) event(e *syscall.EpollEvent, now int64) {
	c := l.slots[e.Fd>>1]
	if c == nil || c.round != e.Pad {
		return
	}
	side := Direction(e.Fd & 1)
	if e.Events&syscall.EPOLLOUT != 0 {
		c.flush(1-side, now)
	}
	switch {
	case c.over:
	case c.asked[side]&syscall.EPOLLIN != 0 && e.Events&^syscall.EPOLLOUT != 0:
		c.read(side, now)
	case e.Events&(syscall.EPOLLERR|syscall.EPOLLHUP) != 0:
		c.broken(side)
	}
}

// obey does what was posted, and reports whether the loop is to leave.
func (l *loop) obey(now int64) (leave bool) {
	var count [8]byte
	_, _ = syscall.Read(l.wake, count[:])
	l.mu.Lock()
	commands := l.commands
	l.commands, l.asleep = nil, true
	l.mu.Unlock()
	for _, k := range commands {
		c := k.of
		switch {
		case k.kind == commandLeave:
			leave = true
		case c.over: // it ended meanwhile
		case k.kind == commandAdd:
			c.begin(now)
		case k.kind == commandFinish:
			c.finish()
		case k.kind == commandPass:
			c.held[k.d] = false
			c.flush(k.d, now)
		case k.kind == commandEndHalf:
			c.end(k.d, now)
		}
	}
	return leave
}

// begin makes the session one of the loop's.
func (c *carried) begin(now int64) {
	l := c.loop
	if n := len(l.free); n > 0 {
		c.slot = l.free[n-1]
		l.free = l.free[:n-1]
	} else {
		c.slot = int32(len(l.slots))
		l.slots = append(l.slots, nil)
	}
	l.round++
	c.round = l.round
	l.slots[c.slot] = c
	if c.link.ended() {
		c.finish()
		return
	}
	for d := range c.fd {
		f := &c.link.flows[d]
		c.spent[d] = f.ended()
		if !c.link.shown {
			c.link.look(Direction(d), f.pending)
		}
	}
	for d := range c.fd {
		if !c.over {
			c.flush(Direction(d), now)
		}
	}
}

// read moves what has arrived on a side, until there is no more of it, the other side takes
// no more, or it is time for others.
func (c *carried) read(d Direction, now int64) {
	f, buffer := &c.link.flows[d], c.loop.buffer
	limited := c.link.limited(d)
	if limited || c.link.inspect.Load() != nil {
		buffer = buffer[:ChunkSize]
	}
	for range turns {
		n, errno := receive(c.fd[d], buffer)
		switch {
		case errno == syscall.EAGAIN:
			return
		case errno != 0:
			c.fail(d, "read", errno)
			return
		case n == 0:
			c.end(d, now)
			return
		}
		f.last.Store(now)
		f.bytes.Add(uint64(n))
		c.link.look(d, buffer[:n])
		if limited {
			c.hold(d, buffer[:n])
			return
		}
		if !c.write(d, buffer[:n]) || n < len(buffer) {
			return
		}
	}
}

// write sends b and keeps what is not taken; it reports whether all was.
func (c *carried) write(d Direction, b []byte) bool {
	n, errno := send(c.fd[1-d], b)
	switch {
	case errno != 0 && errno != syscall.EAGAIN:
		c.fail(1-d, "write", errno)
		return false
	case n == len(b):
		return true
	}
	c.keep(d, b[n:])
	c.link.flows[d].writing.Store(true)
	c.ask()
	return false
}

// keep keeps what cannot be sent now.
func (c *carried) keep(d Direction, b []byte) {
	c.lent[d] = append(borrow(len(b)), b...)
	c.link.flows[d].pending = c.lent[d]
}

// flush sends what is pending, and lets more be read once that is gone.
func (c *carried) flush(d Direction, now int64) {
	f := &c.link.flows[d]
	if len(f.pending) > 0 && !c.held[d] {
		n, errno := send(c.fd[1-d], f.pending)
		if errno != 0 && errno != syscall.EAGAIN {
			c.fail(1-d, "write", errno)
			return
		}
		if n > 0 {
			f.last.Store(now)
			f.pending = f.pending[n:]
		}
		f.writing.Store(len(f.pending) > 0)
	}
	if len(f.pending) == 0 {
		giveBack(c.lent[d])
		f.pending, c.lent[d] = nil, nil
		if c.spent[d] {
			c.pastEnd(d, now)
		}
	}
	if !c.over {
		c.ask()
	}
}

// hold keeps b until the direction's Limiter lets it pass.
func (c *carried) hold(d Direction, b []byte) {
	c.keep(d, b)
	c.held[d] = true
	c.ask()
	n := len(b)
	c.loop.owner.Go(func() {
		err := c.link.pace(d, n)
		switch {
		case err == nil:
			c.loop.post(command{kind: commandPass, d: d, of: c})
		case !c.link.freeze.Load():
			c.link.Close(err)
		}
	})
}

// end is the end of what can be read of a side.
func (c *carried) end(d Direction, now int64) {
	c.spent[d] = true
	if len(c.link.flows[d].pending) == 0 {
		c.pastEnd(d, now)
	}
	if !c.over {
		c.ask()
	}
}

// pastEnd passes the end of a half on, once all before it has been.
func (c *carried) pastEnd(d Direction, now int64) {
	if f := &c.link.flows[d]; !f.ended() {
		f.end.Store(now)
	}
	_ = syscall.Shutdown(c.fd[1-d], syscall.SHUT_WR)
	if c.link.flows[1-d].ended() {
		c.finish()
		return
	}
	c.link.mu.Lock()
	c.link.wind() // the other half now has a limit of its own
	c.link.mu.Unlock()
}

// broken looks why the kernel tells of a side although nothing was asked of it: it is broken,
// or has only ended whole and is asked about again once somebody wants to know.
func (c *carried) broken(side Direction) {
	code, err := syscall.GetsockoptInt(c.fd[side], syscall.SOL_SOCKET, syscall.SO_ERROR)
	if err == nil && code != 0 {
		c.fail(side, "read", syscall.Errno(code))
		return
	}
	if c.asked[side] == 0 {
		c.control(syscall.EPOLL_CTL_DEL, side, 0)
		c.known[side] = false
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

// ended tells whether the session has been given a cause to end.
func (l *Link) ended() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err != nil
}

// cause notes why the session does not end by itself, unless that is known.
func (c *carried) cause(err error) {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	if c.link.err == nil {
		c.link.err = err
	}
}

// ask tells the kernel what to tell of both sides: readable where nothing of that direction
// is pending, writable where something is.
func (c *carried) ask() {
	for side := range Direction(2) {
		var want uint32
		if !c.spent[side] && len(c.link.flows[side].pending) == 0 {
			want |= syscall.EPOLLIN
		}
		if len(c.link.flows[1-side].pending) > 0 && !c.held[1-side] {
			want |= syscall.EPOLLOUT
		}
		switch {
		case !c.known[side] && want != 0:
			c.control(syscall.EPOLL_CTL_ADD, side, want)
			c.known[side] = true
		case c.known[side] && want != c.asked[side]:
			c.control(syscall.EPOLL_CTL_MOD, side, want)
		}
		c.asked[side] = want
	}
}

func (c *carried) control(operation int, side Direction, events uint32) {
	event := syscall.EpollEvent{Events: events, Fd: c.slot<<1 | int32(side), Pad: c.round}
	err := syscall.EpollCtl(c.loop.fd, operation, c.fd[side], &event)
	if err != nil && !c.over { // the system has no room for it
		c.cause(fmt.Errorf("the system cannot watch the session's connections: %w", err))
		c.loop.post(command{kind: commandFinish, of: c})
	}
}

// finish takes the session from the loop: it is over, or goes elsewhere.
func (c *carried) finish() {
	c.over = true
	for side := range Direction(2) {
		if c.known[side] {
			c.control(syscall.EPOLL_CTL_DEL, side, 0)
		}
	}
	if c.slot >= 0 {
		c.loop.slots[c.slot] = nil
		c.loop.free = append(c.loop.free, c.slot)
	}
	outcome := c.link.settle()
	c.loop.owner.Go(func() { c.done(outcome) })
}

// interrupt asks a session's loop to look at it again: it has been given a cause to end, or is
// frozen.
func (c *carried) interrupt() { c.loop.post(command{kind: commandFinish, of: c}) }

// endHalf asks for the end of a half that has been silent for too long.
func (c *carried) endHalf(d Direction) { c.loop.post(command{kind: commandEndHalf, d: d, of: c}) }

// shut closes both sockets, with a reset if the session did not end by itself.
func (c *carried) shut(reset bool) {
	for _, fd := range c.fd {
		if reset {
			_ = syscall.SetsockoptLinger(fd, syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1})
		}
		_ = syscall.Close(fd)
	}
}

// files gives both sockets away.
func (c *carried) files() (client, server *os.File) {
	return os.NewFile(uintptr(c.fd[0]), "client"), os.NewFile(uintptr(c.fd[1]), "instance")
}

// detach makes descriptors of both sockets that Go's poller knows nothing of.
func detach(l *Link) (*carried, error) {
	c := &carried{link: l, slot: -1}
	var err error
	if c.fd[0], err = descriptor(l.Client); err != nil {
		return nil, err
	}
	if c.fd[1], err = descriptor(l.Server); err != nil {
		_ = syscall.Close(c.fd[0])
		return nil, err
	}
	return c, nil
}

// own makes them the link's only ones, unless that has been ended.
func (c *carried) own(l *Link) error {
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

// descriptor is one of our own for a connection's socket.
func descriptor(c net.Conn) (fd int, err error) {
	s, ok := c.(syscall.Conn)
	if !ok {
		return -1, ErrNotMovable
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return -1, err
	}
	cerr := raw.Control(func(socket uintptr) { fd, err = dup(socket) })
	return fd, errors.Join(cerr, err)
}
