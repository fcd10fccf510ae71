package main

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// roundTrips keeps a packet under way on each of n sessions, there and back.
func roundTrips(target string, packet []byte, n int, lasting time.Duration) (*latencies, error) {
	to, err := sockaddr(target)
	if err != nil {
		return nil, err
	}
	all, err := openSessions(n, to, packet)
	if err != nil {
		return nil, err
	}
	defer closeAll(all)
	began := time.Now()
	count, end := began.Add(lasting/warming), began.Add(lasting/warming+lasting)
	var mu sync.Mutex
	return inLoops(n, func(slots int) (*latencies, error) {
		mu.Lock()
		mine := all[:slots]
		all = all[slots:]
		mu.Unlock()
		return exchange(mine, count, end)
	})
}

// exchange is one goroutine's part of the round trips.
func exchange(mine []session, count, end time.Time) (*latencies, error) {
	p, err := newPoller()
	if err != nil {
		return nil, err
	}
	defer p.close()
	packet, into := message(echoing, messageSize), make([]byte, 4<<10)
	type under struct {
		sent time.Time
		got  int
	}
	states := map[int]*under{}
	send := func(fd int, s *under) error {
		s.sent, s.got = time.Now(), 0
		_, err := write(fd, packet)
		return err
	}
	for _, s := range mine {
		states[int(s)] = new(under)
		if err := errors.Join(syscall.SetNonblock(int(s), true), p.add(int(s), syscall.EPOLLIN), send(int(s), states[int(s)])); err != nil {
			return nil, fmt.Errorf("first packet: %w", err)
		}
	}
	found := &latencies{over: end.Sub(count)}
	for {
		events, err := p.wait(50 * time.Millisecond)
		if err != nil {
			return nil, fmt.Errorf("epoll: %w", err)
		}
		now := time.Now()
		for _, e := range events {
			s := states[int(e.Fd)]
			n, err := read(int(e.Fd), into)
			if err == syscall.EAGAIN {
				continue
			}
			if err != nil || n == 0 {
				return nil, fmt.Errorf("a session ended: %w", errors.Join(err, errClosed))
			}
			if s.got += n; s.got < messageSize {
				continue
			}
			now = time.Now()
			if now.After(count) && now.Before(end) {
				found.add(now.Sub(s.sent))
			}
			if err := send(int(e.Fd), s); err != nil {
				return nil, fmt.Errorf("send: %w", err)
			}
		}
		if now.After(end) {
			return found, nil
		}
	}
}

// bulk receives on n sessions as much as comes and returns MB/s.
func bulk(target string, packet []byte, n int, lasting time.Duration) (float64, error) {
	to, err := sockaddr(target)
	if err != nil {
		return 0, err
	}
	all, err := openSessions(n, to, packet)
	if err != nil {
		return 0, err
	}
	defer closeAll(all)
	ask := message(asking, messageSize)
	var received atomic.Int64
	var over atomic.Bool
	var running sync.WaitGroup
	failed := make([]error, n)
	for i, s := range all {
		running.Go(func() { failed[i] = s.receive(ask, &received, &over) })
	}
	timer := time.NewTimer(lasting / warming)
	<-timer.C
	before, began := received.Load(), time.Now()
	timer.Reset(lasting)
	<-timer.C
	amount, took := received.Load()-before, time.Since(began)
	over.Store(true)
	running.Wait()
	return float64(amount) / 1e6 / took.Seconds(), errors.Join(failed...)
}

// receive asks for bulk and counts what comes.
func (s session) receive(ask []byte, received *atomic.Int64, over *atomic.Bool) error {
	if _, err := write(int(s), ask); err != nil {
		return fmt.Errorf("ask for bulk: %w", err)
	}
	into := make([]byte, 256<<10)
	for !over.Load() {
		n, err := read(int(s), into)
		if err != nil || n == 0 {
			return fmt.Errorf("bulk ended: %w", errors.Join(err, errClosed))
		}
		received.Add(int64(n))
	}
	return nil
}
