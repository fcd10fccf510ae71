package nsgr

import (
	"encoding/binary"
)

// cursor goes over the fields of a message in wire order and either reads each
// into the variable it is handed or appends its value. So one description of a
// structure serves both directions. It alone knows the bounds; the first error
// sticks, and from then on nothing moves.
type cursor struct {
	reading bool
	rep     Representation
	order   binary.ByteOrder
	buf     []byte // read from, or written so far
	off     int    // next byte to read
	record  int    // for errors; -1 outside records
	item    string // for errors
	index   int    // of the node, for errors; used if ≥ 0 and record ≥ 0
	err     error
}

func (c *cursor) use(r Representation) { c.rep, c.order = r, r.order() }

// fail keeps the first error and where it happened.
func (c *cursor) fail(err error) {
	if c.err != nil {
		return
	}
	offset := c.off
	if !c.reading {
		offset = len(c.buf)
	}
	c.err = &Error{Item: c.place(), Offset: offset, Record: c.record, Err: err}
}

// left is the number of bytes that can still be read.
func (c *cursor) left() int { return len(c.buf) - c.off }

// take returns the next n bytes: to be read, or zeros to be filled in. It
// returns nil once there is an error.
func (c *cursor) take(n int) []byte {
	if c.err != nil {
		return nil
	}
	if !c.reading {
		start := len(c.buf)
		c.buf = append(c.buf, make([]byte, n)...)
		return c.buf[start:]
	}
	if n < 0 || n > c.left() {
		c.fail(ErrTruncated)
		return nil
	}
	b := c.buf[c.off : c.off+n : c.off+n]
	c.off += n
	return b
}

func (c *cursor) u16(v *uint16) {
	b := c.take(2)
	switch {
	case b == nil:
	case c.reading:
		*v = c.order.Uint16(b)
	default:
		c.order.PutUint16(b, *v)
	}
}

func (c *cursor) u32(v *uint32) {
	b := c.take(4)
	switch {
	case b == nil:
	case c.reading:
		*v = c.order.Uint32(b)
	default:
		c.order.PutUint32(b, *v)
	}
}

// pad is the four bytes by which a 64-bit sender's compiler moves the next
// pointer to a multiple of 8. A 32-bit sender has none.
func (c *cursor) pad(v *uint32) {
	if c.rep.PointerSize == 8 {
		c.u32(v)
	}
}

func (c *cursor) pointer(v *uint64) {
	if c.rep.PointerSize == 4 {
		narrow := uint32(*v)
		if !c.reading && uint64(narrow) != *v {
			c.fail(ErrInconsistent) // a 64-bit token, cut, could become null
		}
		c.u32(&narrow)
		if c.reading {
			*v = uint64(narrow)
		}
		return
	}
	b := c.take(8)
	switch {
	case b == nil:
	case c.reading:
		*v = c.order.Uint64(b)
	default:
		c.order.PutUint64(b, *v)
	}
}

// bytes is a run of n bytes; when writing, n is len(*v).
func (c *cursor) bytes(v *[]byte, n int) {
	if b := c.take(n); c.reading {
		*v = b
	} else {
		copy(b, *v)
	}
}

// text is the length and pointer of t, as they stand in a structure.
func (c *cursor) text(t *Text) {
	c.length(&t.Length, t.Pointer, len(t.Bytes))
	c.pad(&t.Pad)
	c.pointer(&t.Pointer)
}

// length is the length of something a pointer points at. What is there decides
// when writing, so that an edited text needs no second edit of its length.
func (c *cursor) length(v *uint32, pointer uint64, actual int) {
	if c.reading || pointer == 0 {
		c.u32(v)
		return
	}
	n := uint32(actual)
	c.u32(&n)
}

// content is the bytes of t, which follow the structure.
func (c *cursor) content(t *Text) { c.referent(&t.Bytes, t.Length, t.Pointer) }

// referent is the n bytes that pointer points at; null means absent, whatever
// the length (nsgr.md 6, rule 5).
func (c *cursor) referent(v *[]byte, n uint32, pointer uint64) {
	switch {
	case pointer == 0:
		if !c.reading && len(*v) != 0 {
			c.fail(ErrInconsistent)
		}
	case c.reading && n > MaxText, len(*v) > MaxText:
		c.fail(ErrTextTooLong)
	case c.reading:
		c.bytes(v, int(n))
	default:
		c.bytes(v, len(*v))
	}
}
