package fuzzing

import (
	"io"
	"syscall"
)

// What a peer does that a script plays: it never waits, so that the script goes on.

// Offer writes as much of p as there is room for, and returns how much that was.
func (c *Conn) Offer(p []byte) int {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	h := c.out
	if c.in.gone || h.reset || h.ended || h.gone {
		return 0
	}
	n := min(max(h.room-len(h.buffer), 0), len(p))
	h.buffer = append(h.buffer, p[:n]...)
	c.link.changed.Broadcast()
	return n
}

// Take reads at most that many bytes of those that are there.
func (c *Conn) Take(most int) []byte {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	h := c.in
	n := min(most, len(h.buffer))
	p := append([]byte(nil), h.buffer[:n]...)
	h.buffer = h.buffer[n:]
	h.taken += uint64(n)
	c.link.changed.Broadcast()
	return p
}

// Over tells what the next read would find once all bytes are taken: io.EOF, ECONNRESET, or nil while the
// other end may still write.
func (c *Conn) Over() error {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	switch {
	case c.in.reset:
		return syscall.ECONNRESET
	case c.in.ended:
		return io.EOF
	}
	return nil
}
