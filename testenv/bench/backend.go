package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync"
	"syscall"
)

// serveBackend plays an instance that costs as little as one can: it answers each CONNECT by an ACCEPT, and then sends each
// packet back, or packets without end where the first asks for that.
func serveBackend(ctx context.Context, listen string) error {
	l, err := net.Listen("tcp4", listen)
	if err != nil {
		return err
	}
	defer l.Close()
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		return err
	}
	defer file.Close()
	listener := int(file.Fd())
	if err := syscall.SetNonblock(listener, true); err != nil {
		return err
	}
	fmt.Println("ready", l.Addr())
	b := &backend{listener: listener, accept: acceptPacket(), bulk: bulkPackets()}
	failed := make(chan error, runtime.NumCPU())
	for range runtime.NumCPU() {
		go func() { failed <- b.loop() }() // ends with the process
	}
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return nil
	}
}

// bulkPackets are as many as are sent at once.
func bulkPackets() []byte {
	var all []byte
	for range 16 {
		all = append(all, message(asking, bulkSize)...)
	}
	return all
}

type backend struct {
	listener     int
	accept, bulk []byte
	streams      sync.WaitGroup
}

// What a connection is at, by descriptor: no entry is one whose CONNECT is not whole yet.
type state byte

const (
	accepted state = iota + 1
	echoes
)

// epollExclusive wakes one of those who wait for a socket, not all.
const epollExclusive = 1 << 28

// loop serves connections until the process ends. There is one for each core.
func (b *backend) loop() error {
	p, err := newPoller()
	if err != nil {
		return err
	}
	defer p.close()
	if err := p.add(b.listener, syscall.EPOLLIN|epollExclusive); err != nil {
		return fmt.Errorf("epoll: %w", err)
	}
	c := &connections{poller: p, backend: b, states: map[int]state{}, unfinished: map[int][]byte{}, buffer: make([]byte, 64<<10)}
	for {
		events, err := p.wait(-1)
		if err != nil {
			return fmt.Errorf("epoll: %w", err)
		}
		for _, e := range events {
			if int(e.Fd) == b.listener {
				c.acceptAll()
			} else {
				c.serve(int(e.Fd))
			}
		}
	}
}

// connections are those of one loop.
type connections struct {
	*backend
	poller     *poller
	states     map[int]state
	unfinished map[int][]byte // CONNECTs of which there is only a part
	buffer     []byte
}

func (c *connections) acceptAll() {
	for {
		fd, _, err := syscall.Accept4(c.listener, syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC)
		if errors.Is(err, syscall.ECONNABORTED) {
			continue
		}
		if err != nil {
			return
		}
		_ = syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
		if c.poller.add(fd, syscall.EPOLLIN) != nil {
			syscall.Close(fd)
		}
	}
}

func (c *connections) serve(fd int) {
	n, err := read(fd, c.buffer)
	switch {
	case err == syscall.EAGAIN:
		return
	case err != nil || n == 0:
		if err == nil {
			_ = resetOnClose(fd) // so that no port of whoever was in between waits
		}
		c.end(fd)
		return
	}
	got := c.buffer[:n]
	switch c.states[fd] {
	case echoes:
		c.reply(fd, got)
	case accepted:
		if len(got) > dataHeader && got[dataHeader] == asking {
			c.stream(fd)
			return
		}
		c.states[fd] = echoes
		c.reply(fd, got)
	default:
		if earlier, found := c.unfinished[fd]; found {
			got = append(earlier, got...)
		}
		if !connectIsWhole(got) {
			c.unfinished[fd] = append([]byte(nil), got...)
			return
		}
		delete(c.unfinished, fd)
		c.states[fd] = accepted
		c.reply(fd, c.accept)
	}
}

// reply sends what fits into the socket's buffer, as small answers do.
func (c *connections) reply(fd int, answer []byte) {
	if n, err := write(fd, answer); err != nil || n < len(answer) {
		c.end(fd)
	}
}

func (c *connections) end(fd int) {
	delete(c.states, fd)
	delete(c.unfinished, fd)
	syscall.Close(fd)
}

// stream takes the connection out of the loop and sends without end.
func (c *connections) stream(fd int) {
	delete(c.states, fd)
	if c.poller.remove(fd) != nil || syscall.SetNonblock(fd, false) != nil {
		syscall.Close(fd)
		return
	}
	c.streams.Go(func() {
		defer syscall.Close(fd)
		for rest := c.bulk; ; {
			n, err := write(fd, rest)
			if err != nil {
				return
			}
			if rest = rest[n:]; len(rest) == 0 {
				rest = c.bulk
			}
		}
	})
}
