package tns

import (
	"encoding/binary"
	"fmt"
)

// cursor reads a packet's body field by field. It owns all bounds: a read past the
// end sets the error, gives zero, and so does every read after it.
type cursor struct {
	packet Packet
	off    int // next byte of packet.Body
	err    error
}

// take gives the next n bytes without copying them; nil once the body is exhausted.
func (c *cursor) take(n int, field string) []byte {
	if c.err != nil {
		return nil
	}
	if n < 0 || n > len(c.packet.Body)-c.off {
		c.err = frameError(ErrMalformed, c.packet, "ends before its %s at byte %d; the sender is broken or the packet was cut",
			field, headerSize+c.off)
		return nil
	}
	b := c.packet.Body[c.off : c.off+n : c.off+n]
	c.off += n
	return b
}

func (c *cursor) u8(field string) byte {
	if b := c.take(1, field); b != nil {
		return b[0]
	}
	return 0
}

func (c *cursor) u16(field string) uint16 {
	if b := c.take(2, field); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (c *cursor) u32(field string) uint32 {
	if b := c.take(4, field); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

// copyTo fills dst.
func (c *cursor) copyTo(dst []byte, field string) {
	copy(dst, c.take(len(dst), field))
}

// rest gives what has not been read.
func (c *cursor) rest() []byte {
	return c.take(len(c.packet.Body)-c.off, "rest")
}

// fail sets the error unless there is one.
func (c *cursor) fail(format string, args ...any) {
	if c.err == nil {
		c.err = frameError(ErrMalformed, c.packet, "%s", fmt.Sprintf(format, args...))
	}
}

// clone copies b; nil for nothing, so that a decoded value equals the literal it was
// encoded from.
func clone(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return append([]byte(nil), b...)
}
