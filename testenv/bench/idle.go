package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"syscall"
	"time"

	"servicebroker/testenv/stage"
)

const (
	idleSessions = 5000
	wokenAtOnce  = 100
	warmSessions = 100
	settling     = 2 * time.Second // after the last packet, before memory is looked at
	wakes        = 5               // with other sessions each time, of which the slowest counts
)

// idle measures a fresh process of the peer: how much memory and how many descriptors each of many sessions costs that have
// carried a packet each way and are idle then; and how long it takes until all answer of some that are woken at once.
func idle(ctx context.Context, l *lab, p *peer, _ time.Duration) (f figures, err error) {
	if p, err = l.start(ctx, p.name, nil); err != nil {
		return nil, err
	}
	defer p.stop()
	if err := usedSessions(p, warmSessions, func([]session) error { return nil }); err != nil {
		return nil, fmt.Errorf("warming: %w", err)
	}
	if err := stage.Pause(ctx, settling); err != nil {
		return nil, err
	}
	before, filesBefore, err := p.process.usage()
	if err != nil {
		return nil, err
	}
	f = figures{}
	return f, usedSessions(p, idleSessions, func(all []session) error {
		if err := stage.Pause(ctx, settling); err != nil {
			return err
		}
		after, filesAfter, err := p.process.usage()
		if err != nil {
			return err
		}
		f["kB"] = float64(after-before) / idleSessions
		f["files"] = float64(filesAfter-filesBefore) / idleSessions
		for n := range wakes {
			var some []session
			for i := n; len(some) < wokenAtOnce; i += idleSessions / wokenAtOnce {
				some = append(some, all[i])
			}
			took, err := wake(some)
			if err != nil {
				return err
			}
			f["woken"] = max(f["woken"], took.Seconds()*1000)
		}
		return nil
	})
}

// usedSessions opens sessions, sends a packet there and back on each, and has them looked at before they are closed.
func usedSessions(p *peer, n int, look func([]session) error) error {
	to, err := sockaddr(p.address)
	if err != nil {
		return err
	}
	all, err := openSessions(n, to, p.connects.packet)
	if err != nil {
		return err
	}
	defer closeAll(all)
	packet, into := message(echoing, messageSize), make([]byte, messageSize)
	for i, s := range all {
		if err := s.roundTrip(packet, into); err != nil {
			return fmt.Errorf("session %d of %d: %w", i+1, n, err)
		}
	}
	return look(all)
}

// wake sends a packet on each session and returns how long it took from the first of them to the last answer.
func wake(some []session) (time.Duration, error) {
	p, err := newPoller()
	if err != nil {
		return 0, err
	}
	defer p.close()
	missing := map[int]int{} // bytes, by descriptor
	for _, s := range some {
		if err := p.add(int(s), syscall.EPOLLIN); err != nil {
			return 0, fmt.Errorf("epoll: %w", err)
		}
		defer func() { _ = p.remove(int(s)) }()
		missing[int(s)] = messageSize
	}
	packet, into := message(echoing, messageSize), make([]byte, messageSize)
	runtime.GC() // not while it is measured
	began := time.Now()
	for _, s := range some {
		if _, err := write(int(s), packet); err != nil {
			return 0, fmt.Errorf("wake: %w", err)
		}
	}
	for len(missing) > 0 {
		events, err := p.wait(patience)
		if err != nil || len(events) == 0 {
			return 0, fmt.Errorf("%d of %d that were woken do not answer: %w", len(missing), len(some), errors.Join(err, syscall.ETIMEDOUT))
		}
		for _, e := range events {
			n, err := session(e.Fd).Read(into)
			if err != nil {
				return 0, fmt.Errorf("woken: %w", err)
			}
			if missing[int(e.Fd)] -= n; missing[int(e.Fd)] <= 0 {
				delete(missing, int(e.Fd))
			}
		}
	}
	return time.Since(began), nil
}
