package fuzzing

import (
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// Conn is one end of a connection in memory. It behaves as one of TCP does where net.Pipe does not: writes
// go through while there is room, a half can end by itself, a close with unread bytes or after SetLinger(0)
// is a reset for the other end, and what was read in one go need not have been written so. All of its
// waiting is such that a bubble of testing/synctest sees it.
type Conn struct {
	link          *link
	in, out       *half
	local, remote net.Addr
	linger        int // as SetLinger was told; -1 if it was not

	reading, writing deadline
}

// link is what both ends share; its lock guards all of both.
type link struct {
	mu      sync.Mutex
	changed *sync.Cond
}

// half is one direction.
type half struct {
	buffer []byte
	room   int  // most bytes that may wait in buffer
	most   int  // bytes that one read gives; 0: all there are
	ended  bool // the writer has said that nothing follows
	gone   bool // the reader is closed
	reset  bool // the connection is broken for whoever reads or writes
	taken  uint64
}

// deadline is a time after which waiting ends.
type deadline struct {
	over  bool
	timer *time.Timer
}

// Pipe makes a connection between two addresses, "ip:port" each. room is how many bytes are under way at
// most in either direction, at least 1, and piece how many one read gives at most, 0: as many as there are.
func Pipe(client, server string, room, piece int) (atClient, atServer *Conn) {
	l := &link{}
	l.changed = sync.NewCond(&l.mu)
	up, down := &half{room: room, most: piece}, &half{room: room, most: piece}
	a, b := tcpAddr(client), tcpAddr(server)
	return &Conn{link: l, in: down, out: up, local: a, remote: b, linger: -1}, &Conn{link: l, in: up, out: down, local: b, remote: a, linger: -1}
}

func tcpAddr(text string) net.Addr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(text)) }

// opError is an error as the network's connections have it.
func (c *Conn) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Source: c.local, Addr: c.remote, Err: err}
}

// Read waits for bytes, the end or a deadline.
func (c *Conn) Read(p []byte) (int, error) {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	for {
		h := c.in
		switch {
		case h.gone:
			return 0, c.opError("read", net.ErrClosed)
		case c.reading.over:
			return 0, c.opError("read", os.ErrDeadlineExceeded)
		case len(p) == 0:
			return 0, nil
		case len(h.buffer) > 0:
			n := min(len(p), len(h.buffer))
			if h.most > 0 {
				n = min(n, h.most)
			}
			copy(p, h.buffer[:n])
			h.buffer = h.buffer[n:]
			h.taken += uint64(n)
			c.link.changed.Broadcast()
			return n, nil
		case h.reset:
			return 0, c.opError("read", syscall.ECONNRESET)
		case h.ended:
			return 0, io.EOF
		}
		c.link.changed.Wait()
	}
}

// Write waits until all of p is under way.
func (c *Conn) Write(p []byte) (n int, err error) {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	for {
		h := c.out
		switch {
		case c.in.gone:
			return n, c.opError("write", net.ErrClosed)
		case c.writing.over:
			return n, c.opError("write", os.ErrDeadlineExceeded)
		case h.reset:
			return n, c.opError("write", syscall.ECONNRESET)
		case h.ended, h.gone:
			return n, c.opError("write", syscall.EPIPE)
		case len(p) == n:
			return n, nil
		case len(h.buffer) < h.room:
			m := min(h.room-len(h.buffer), len(p)-n)
			h.buffer = append(h.buffer, p[n:n+m]...)
			n += m
			c.link.changed.Broadcast()
			continue
		}
		c.link.changed.Wait()
	}
}

// Close ends both halves. Unread bytes, or a linger of 0, make it a reset.
func (c *Conn) Close() error {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	if c.in.gone {
		return c.opError("close", net.ErrClosed)
	}
	if c.linger == 0 || len(c.in.buffer) > 0 {
		c.in.reset, c.out.reset = true, true
	}
	c.in.gone, c.in.buffer, c.out.ended = true, nil, true
	for _, d := range []*deadline{&c.reading, &c.writing} {
		if d.timer != nil {
			d.timer.Stop()
		}
	}
	c.link.changed.Broadcast()
	return nil
}

// CloseWrite ends the half that this end writes.
func (c *Conn) CloseWrite() error {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	if c.in.gone {
		return c.opError("close", net.ErrClosed)
	}
	c.out.ended = true
	c.link.changed.Broadcast()
	return nil
}

// SetLinger makes the next Close a reset if it is 0.
func (c *Conn) SetLinger(seconds int) error {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	c.linger = seconds
	return nil
}

// Reset is Close with a linger of 0.
func (c *Conn) Reset() {
	_ = c.SetLinger(0)
	_ = c.Close()
}

// Closed tells whether this end has been closed.
func (c *Conn) Closed() bool {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	return c.in.gone
}

// Stuffed reports whether the other end can write no more before something is read at this one.
func (c *Conn) Stuffed() bool {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	return len(c.in.buffer) >= c.in.room
}

// LocalAddr is the address of this end.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr is the address of the other.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline is SetReadDeadline and SetWriteDeadline.
func (c *Conn) SetDeadline(t time.Time) error {
	_ = c.SetReadDeadline(t)
	return c.SetWriteDeadline(t)
}

// SetReadDeadline bounds reads, those that wait already too.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.bound(&c.reading, t) }

// SetWriteDeadline bounds writes likewise.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.bound(&c.writing, t) }

func (c *Conn) bound(d *deadline, t time.Time) error {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	if c.in.gone {
		return c.opError("set", net.ErrClosed)
	}
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	left := time.Until(t)
	d.over = !t.IsZero() && left <= 0
	if !t.IsZero() && left > 0 {
		var own *time.Timer
		own = time.AfterFunc(left, func() {
			c.link.mu.Lock()
			defer c.link.mu.Unlock()
			if d.timer == own { // and no other deadline has been set meanwhile
				d.over = true
				c.link.changed.Broadcast()
			}
		})
		d.timer = own
	}
	c.link.changed.Broadcast()
	return nil
}
