package main

import (
	"errors"
	"fmt"
	"io"
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
	when := windowOf(lasting)
	var mu sync.Mutex
	return inLoops(n, func(slots int) (*latencies, error) {
		mu.Lock()
		mine := all[:slots]
		all = all[slots:]
		mu.Unlock()
		return exchange(mine, when)
	})
}

// exchange is one goroutine's part of the round trips.
func exchange(mine []session, when window) (*latencies, error) {
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
	found := new(latencies)
	for {
		events, err := p.wait(50 * time.Millisecond)
		if err != nil {
			return nil, fmt.Errorf("epoll: %w", err)
		}
		now := time.Now()
		for _, e := range events {
			s := states[int(e.Fd)]
			n, err := session(e.Fd).Read(into)
			if errors.Is(err, syscall.EAGAIN) {
				continue
			}
			if err != nil {
				return nil, err
			}
			if s.got += n; s.got < messageSize {
				continue
			}
			now = time.Now()
			found.done(when, s.sent, now)
			if err := send(int(e.Fd), s); err != nil {
				return nil, fmt.Errorf("send: %w", err)
			}
		}
		if found.enough(when, now) {
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
	var sources []io.Reader
	for _, s := range all {
		if _, err := write(int(s), ask); err != nil {
			return 0, fmt.Errorf("ask for bulk: %w", err)
		}
		sources = append(sources, s)
	}
	return receive(sources, lasting)
}

// receive reads from all sources at once and returns MB/s.
func receive(sources []io.Reader, lasting time.Duration) (float64, error) {
	var received atomic.Int64
	var over atomic.Bool
	var running sync.WaitGroup
	failed := make([]error, len(sources))
	for i, s := range sources {
		running.Go(func() {
			into := make([]byte, 256<<10)
			for !over.Load() && failed[i] == nil {
				var n int
				n, failed[i] = s.Read(into)
				received.Add(int64(n))
			}
		})
	}
	timer := time.NewTimer(lasting / warming)
	<-timer.C
	before, began := received.Load(), time.Now()
	for received.Load() == before && time.Since(began) < patience || time.Since(began) < lasting {
		timer.Reset(lasting)
		<-timer.C
	}
	amount, took := received.Load()-before, time.Since(began)
	over.Store(true)
	running.Wait()
	return float64(amount) / 1e6 / took.Seconds(), errors.Join(failed...)
}

// Read reads what is there, as io.Reader has it.
func (s session) Read(into []byte) (int, error) {
	n, err := read(int(s), into)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("a session ended: %w", errors.Join(err, errClosed))
	}
	return n, nil
}
