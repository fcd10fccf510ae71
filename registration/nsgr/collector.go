package nsgr

import "encoding/binary"

// keepBuffer is how large a buffer a Collector keeps while it holds nothing.
const keepBuffer = 64 << 10

// Collector cuts a stream of DATA payloads into messages, however they are
// split: a message over many packets, many messages in one. Memory is bounded
// by [MaxMessage] plus one payload. The zero value is ready.
type Collector struct {
	buf []byte
	off int // what lies before it has been handed out
}

// Add takes the payload of one DATA packet.
func (c *Collector) Add(payload []byte) {
	if c.off > 0 {
		rest := copy(c.buf, c.buf[c.off:])
		c.buf, c.off = c.buf[:rest], 0
	}
	if len(c.buf) == 0 && cap(c.buf) > keepBuffer {
		c.buf = nil
	}
	c.buf = append(c.buf, payload...)
}

// Next returns the next whole message, and false if more payload is needed
// first. Bytes that cannot start a message, since they announce an impossible
// length, are returned up to the end of the last payload: [Decode] refuses
// them, and the next payload is taken as the start of a message again. The
// result is valid until the next Add.
func (c *Collector) Next() ([]byte, bool) {
	rest := c.buf[c.off:]
	if len(rest) < lengthSize {
		return nil, false
	}
	n := int64(binary.BigEndian.Uint32(rest))
	switch {
	case n < MinMessage || n > MaxMessage:
		n = int64(len(rest))
	case n > int64(len(rest)):
		return nil, false
	}
	c.off += int(n)
	return rest[:n:n], true
}

// Pending is the number of bytes of a message that is not whole yet.
func (c *Collector) Pending() int { return len(c.buf) - c.off }

// Unread returns a copy of what Next has not returned yet. A Collector to which it is added continues where this one is.
func (c *Collector) Unread() []byte { return append([]byte(nil), c.buf[c.off:]...) }
