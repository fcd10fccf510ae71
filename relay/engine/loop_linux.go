package engine

import (
	"fmt"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Loops carries the sessions whose connections are both plain TCP: a thread for each
// processor waits for all of them at once, and a session that is idle holds two descriptors
// and its Link, but neither a goroutine nor a buffer. The zero value is ready for use.
type Loops struct {
	loops    atomic.Pointer[[]*loop] // nil before the first session, and after Close
	starting sync.Mutex
	closed   bool // guarded by starting
	next     atomic.Uint32
	wg       sync.WaitGroup // loops, sessions carried by goroutines, and those told of an end
	share    processors
}

// Close ends the loops, and waits for that; all their sessions must be over. Nothing may be
// started any more.
func (p *Loops) Close() {
	p.starting.Lock()
	p.closed = true
	if loops := p.loops.Swap(nil); loops != nil {
		for _, l := range *loops {
			l.post(command{kind: commandLeave})
		}
	}
	p.starting.Unlock()
	p.share.close()
	p.wg.Wait()
	p.share.giveBack()
}

// started returns the loops. Where the system has no room for them, whoever comes next tries again.
func (p *Loops) started() ([]*loop, error) {
	if loops := p.loops.Load(); loops != nil {
		return *loops, nil
	}
	p.starting.Lock()
	defer p.starting.Unlock()
	if p.closed {
		return nil, net.ErrClosed
	}
	if loops := p.loops.Load(); loops != nil {
		return *loops, nil
	}
	loops, err := p.start()
	if err == nil {
		p.loops.Store(&loops)
	}
	return loops, err
}

// start makes a loop for each processor, and one more for the scheduler with it.
func (p *Loops) start() (loops []*loop, err error) {
	for range runtime.GOMAXPROCS(0) {
		l, err := newLoop(&p.wg)
		if err != nil {
			for _, made := range loops {
				made.close()
			}
			return nil, err
		}
		loops = append(loops, l)
	}
	for _, l := range loops {
		p.wg.Go(l.run)
	}
	p.share.take(len(loops))
	p.wg.Go(func() { p.share.follow(time.Minute) })
	return loops, nil
}

// take makes one of the loops carry the session, or says why it cannot; the session is then
// as it was.
func (p *Loops) take(l *Link, owner Owner) error {
	if !movable(l.Client) || !movable(l.Server) {
		return ErrNotMovable
	}
	loops, err := p.started()
	if err != nil {
		return err
	}
	c, err := detach(l)
	if err != nil {
		return err
	}
	c.owner, c.loop = owner, loops[int(p.next.Add(1))%len(loops)]
	if err := c.claim(l); err != nil {
		c.shut(true)
		return err
	}
	l.begin()
	c.begin()
	return nil
}

// A loop waits for the sockets of many sessions and moves what arrives there. All of a
// session's sockets, readiness and pending bytes belong to its loop's goroutine; others
// ask it by posting commands.
//
// It sleeps in the kernel, on a thread: nested in Go's own poller, each wake-up passes through
// the scheduler as well, which makes a fifth fewer round trips of it, and twice the latency of
// the slowest.
type loop struct {
	epoll   int
	wake    int             // an event descriptor, readable while there are commands
	running *sync.WaitGroup // with the goroutines that sessions begin
	buffer  []byte          // loopChunk bytes for what is being moved
	pipes   []*pipe         // empty ones, for what is much
	copies  bool            // the system does not splice sockets
	again   []*carried      // have more to move and gave way to others

	mu       sync.Mutex
	commands []command
	asleep   bool       // whoever posts must wake it
	slots    []*carried // by the number that the kernel knows a session by
	free     []int32
	round    int32 // so that no event that is late meets another session
}

type commandKind uint8

const (
	commandMove    commandKind = iota // a session begins with bytes that are pending or a half that has ended, or is to try again to send
	commandFinish                     // a session has been given a cause to end, or is frozen
	commandPass                       // what a Limiter held back may pass
	commandEndHalf                    // a half has been silent for too long
	commandLeave                      // the loop itself ends
)

type command struct {
	kind    commandKind
	d       Direction
	session *carried
}

// wakeSlot is the kernel's number for the wake descriptor.
const wakeSlot = -1

// eventsAtOnce is how much is asked of the kernel at a time.
const eventsAtOnce = 256

func newLoop(running *sync.WaitGroup) (*loop, error) {
	epoll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	wake, err := eventDescriptor()
	if err != nil {
		_ = syscall.Close(epoll)
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	err = syscall.EpollCtl(epoll, syscall.EPOLL_CTL_ADD, wake, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: wakeSlot})
	if err != nil {
		_, _ = syscall.Close(epoll), syscall.Close(wake)
		return nil, fmt.Errorf("epoll: %w", err)
	}
	return &loop{epoll: epoll, wake: wake, running: running, buffer: borrow(), asleep: true}, nil
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
	events := make([]syscall.EpollEvent, eventsAtOnce)
	yields := 0
	for {
		n := poll(l.epoll, events) // what came meanwhile is found without sleeping
		if n > 0 || len(l.again) > 0 {
			yields = 0
		} else if yields++; yields > mostYields || !othersRan() {
			n, yields = wait(l.epoll, events), 0
		}
		now := steadyNow()
		woken := false
		for i := range events[:n] {
			if events[i].Fd == wakeSlot {
				woken = true
				continue
			}
			l.event(&events[i], now)
		}
		l.goOn(now)
		if woken && l.obey(now) {
			return
		}
	}
}

// othersRan lets other goroutines go first, and reports whether there were any. A thread that sleeps in the kernel takes along its
// place among those that run goroutines, until the runtime's monitor finds that out; so a loop sleeps only where there is nothing else to do.
func othersRan() bool {
	before := time.Now()
	runtime.Gosched()
	return time.Since(before) > yieldAlone
}

const (
	yieldAlone = 2 * time.Microsecond // more than it takes to yield to nobody
	mostYields = 100                  // in a row: then a loop sleeps, whatever yielding takes here
)

func (l *loop) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asleep = false // whoever is late finds nothing to wake
	_, _ = syscall.Close(l.epoll), syscall.Close(l.wake)
	giveBack(l.buffer)
	for _, p := range l.pipes {
		p.close()
	}
}

// event has that session moved of which the kernel tells something new.
func (l *loop) event(e *syscall.EpollEvent, now int64) {
	if c := l.known(e.Fd>>1, e.Pad); c != nil {
		c.event(Direction(e.Fd&1), e.Events, now)
	}
}

// known is the session that has a slot in a round; nil: it has left.
func (l *loop) known(slot, round int32) *carried {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c := l.slots[slot]; c != nil && c.round == round {
		return c
	}
	return nil
}

// goOn has those moved a little further that gave way to others.
func (l *loop) goOn(now int64) {
	waited := len(l.again)
	for _, c := range l.again[:waited] {
		c.queued = false
		c.moveBoth(now)
	}
	rest := copy(l.again, l.again[waited:])
	clear(l.again[rest:])
	l.again = l.again[:rest]
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
		c := k.session
		switch {
		case k.kind == commandLeave:
			leave = true
		case c.over: // it ended meanwhile
		case k.kind == commandMove:
			c.moveBoth(now)
		case k.kind == commandFinish:
			c.finish()
		case k.kind == commandPass:
			c.held[k.d] = false
			c.move(k.d, now)
		case k.kind == commandEndHalf:
			c.end(k.d, now)
		}
	}
	return leave
}

// enter makes a session the loop's: it gets a slot, and the kernel tells the loop of its sockets.
func (l *loop) enter(c *carried) error {
	l.mu.Lock() // till both are known, since the loop may close them at the first that it hears
	defer l.mu.Unlock()
	if c.over {
		return nil
	}
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
	for side := range Direction(2) {
		if err := c.watch(syscall.EPOLL_CTL_ADD, side, wanted); err != nil {
			return err
		}
	}
	return nil
}

// leave takes a session's slot back, if it has one, and gives it none any more.
func (l *loop) leave(c *carried) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.over = true
	if c.slot >= 0 {
		l.slots[c.slot] = nil
		l.free = append(l.free, c.slot)
	}
}
