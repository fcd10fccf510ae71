package main

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"syscall"
	"time"

	"servicebroker/tns"
)

// connects is a load of connects: TCP connect, CONNECT, the answer, close by a reset.
type connects struct {
	target string
	packet []byte
	want   tns.Type
	// follow is where a redirected client goes, with which packet; "" where the first answer is all.
	follow       string
	followPacket []byte
	// rate is how many are begun in a second, whatever becomes of those before; 0: the next as soon as one is over.
	rate float64
}

// warming is the part of a measurement's time that comes first and does not count.
const warming = 5 // a fifth

// run keeps n connects under way.
func (c *connects) run(n int, lasting time.Duration) (*latencies, error) {
	when := windowOf(lasting)
	return inLoops(n, func(slots int) (*latencies, error) {
		l, err := c.loop(when)
		if err != nil {
			return nil, err
		}
		defer l.close()
		return l.run(slots)
	})
}

// inLoops shares n slots among as many loops as there are cores and joins what they found.
func inLoops(n int, run func(slots int) (*latencies, error)) (*latencies, error) {
	loops := min(n, runtime.NumCPU())
	all := make([]*latencies, loops)
	failed := make([]error, loops)
	var running sync.WaitGroup
	for i := range loops {
		running.Go(func() { all[i], failed[i] = run((n + loops - 1 - i) / loops) })
	}
	running.Wait()
	return join(all...), errors.Join(failed...)
}

// connectLoop is one goroutine's part of the connects.
type connectLoop struct {
	*connects
	first, second *syscall.SockaddrInet4
	poller        *poller
	slots         map[int]*slot // by descriptor
	when          window
	found         latencies
}

// slot is one connect after the other.
type slot struct {
	began    time.Time
	followed bool
	sent     bool
	got      int
	answer   [1024]byte
}

func (c *connects) loop(when window) (*connectLoop, error) {
	l := &connectLoop{connects: c, slots: map[int]*slot{}, when: when}
	var err error
	if l.first, err = sockaddr(c.target); err != nil {
		return nil, err
	}
	if c.follow != "" {
		if l.second, err = sockaddr(c.follow); err != nil {
			return nil, err
		}
	}
	l.poller, err = newPoller()
	return l, err
}

func (l *connectLoop) close() {
	for fd := range l.slots {
		syscall.Close(fd)
	}
	l.poller.close()
}

func (l *connectLoop) run(slots int) (*latencies, error) {
	began, wait := time.Now(), 50*time.Millisecond
	if l.rate > 0 {
		slots, wait = 0, time.Millisecond
	}
	for range slots {
		l.begin(new(slot))
	}
	for n := 0; ; {
		for ; float64(n) < time.Since(began).Seconds()*l.rate; n++ {
			l.begin(new(slot))
		}
		events, err := l.poller.wait(wait)
		if err != nil {
			return nil, fmt.Errorf("epoll: %w", err)
		}
		for _, e := range events {
			if err := l.proceed(int(e.Fd), e.Events); err != nil {
				return nil, err
			}
		}
		now := time.Now()
		if l.found.enough(l.when, now) {
			l.countHung(now)
			return &l.found, nil
		}
		if l.found.failed > mostFailures {
			return nil, fmt.Errorf("too many connects to %s fail: %w", l.target, l.found.why)
		}
	}
}

// mostFailures ends a measurement that measures nothing.
const mostFailures = 1000

// begin starts a connect.
func (l *connectLoop) begin(s *slot) {
	s.began, s.followed = time.Now(), false
	l.dial(s, l.first, l.packet)
}

// dial starts one TCP connect and sends the packet as soon as it can be sent, which over the loopback is at once. A slot whose
// dial fails counts it and tries again.
func (l *connectLoop) dial(s *slot, to *syscall.SockaddrInet4, packet []byte) {
	s.sent, s.got = false, 0
	for {
		fd, err := l.tryDial(s, to, packet)
		if err == nil {
			l.slots[fd] = s
			return
		}
		if l.found.fail(err); l.found.failed > mostFailures {
			return
		}
		s.began = time.Now()
	}
}

func (l *connectLoop) tryDial(s *slot, to *syscall.SockaddrInet4, packet []byte) (int, error) {
	fd, err := socket(syscall.SOCK_NONBLOCK)
	if err != nil {
		return -1, err
	}
	if err = syscall.Connect(fd, to); err == syscall.EINPROGRESS {
		err = nil
	}
	events := uint32(syscall.EPOLLIN)
	if err == nil {
		if _, err = write(fd, packet); err == syscall.EAGAIN {
			events, err = syscall.EPOLLOUT, nil
		} else {
			s.sent = true
		}
	}
	if err == nil {
		err = l.poller.add(fd, events)
	}
	if err != nil {
		syscall.Close(fd)
		return -1, fmt.Errorf("connect to port %d: %w", to.Port, err)
	}
	return fd, nil
}

// proceed does what a connect's socket is ready for.
func (l *connectLoop) proceed(fd int, events uint32) error {
	s := l.slots[fd]
	if !s.sent {
		packet := l.packet
		if s.followed {
			packet = l.followPacket
		}
		if _, err := write(fd, packet); err != nil {
			l.again(fd, s, err)
			return nil
		}
		s.sent = true
		return l.poller.change(fd, syscall.EPOLLIN)
	}
	n, err := read(fd, s.answer[s.got:])
	switch {
	case err == syscall.EAGAIN:
		return nil
	case err != nil || n <= 0:
		l.again(fd, s, errors.Join(err, errClosed))
		return nil
	}
	s.got += n
	kind := answered(s.answer[:s.got])
	switch want := l.wanted(s); {
	case kind == 0:
	case kind != want:
		l.again(fd, s, answerError(s.answer[:s.got]))
	case l.second != nil && !s.followed:
		l.forget(fd)
		s.followed = true
		l.dial(s, l.second, l.followPacket)
	default:
		l.again(fd, s, nil)
	}
	return nil
}

// wanted is the answer that is right now.
func (l *connectLoop) wanted(s *slot) tns.Type {
	if s.followed {
		return tns.TypeAccept
	}
	return l.want
}

func (l *connectLoop) forget(fd int) {
	delete(l.slots, fd)
	syscall.Close(fd)
}

// again counts a connect that is over and starts the next.
func (l *connectLoop) again(fd int, s *slot, failed error) {
	now := time.Now()
	l.forget(fd)
	if failed != nil {
		l.found.fail(failed)
	} else {
		l.found.done(l.when, s.began, now)
	}
	if l.rate == 0 {
		l.begin(s)
	}
}

// countHung counts those as failed for whom no answer comes.
func (l *connectLoop) countHung(now time.Time) {
	for _, s := range l.slots {
		if waited := now.Sub(s.began); waited > time.Second {
			l.found.fail(fmt.Errorf("no answer after %v", waited))
		}
	}
}
