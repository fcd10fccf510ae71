package tns

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
)

const (
	// firstBuffer is the read buffer a connection begins with: nearly every CONNECT
	// fits, so that one read and no growth is the rule.
	firstBuffer = 1024

	// keepSendBuffer is the largest send buffer kept between two Sends. One of firstBuffer is lent for each.
	keepSendBuffer = 64 << 10

	// maxEmptyReads is how often a read may give neither bytes nor an error.
	maxEmptyReads = 100
)

// Conn frames packets on a connection. One goroutine may read while another sends;
// SetVersion must be called when neither does. It starts no goroutine, and leaves
// deadlines to its user: a ReadPacket that ended at one can be repeated, nothing is lost.
type Conn struct {
	// MaxPacket is the largest packet read once SetVersion was called, in bytes,
	// header included; 0 means 2 MiB and a header. Before, it is 65,535.
	MaxPacket int
	// MaxConnectData is the longest connect data ReadConnect gathers, in bytes; 0
	// means 65,535, which is all that can be announced.
	MaxConnectData int
	// Seen is told of each packet, whole, header and all, once it was read or before it is
	// sent; nil: nobody is. It must not wait, and neither keep nor change the bytes. What is
	// sent in one go comes in one call for each message, which may be several packets.
	Seen func(sent bool, packet []byte)

	conn       net.Conn
	version    uint16
	versionSet bool
	large      bool

	in   []byte // read buffer; in[r:w] has been read and not consumed
	r, w int
	out  []byte             // send buffer
	lent *[firstBuffer]byte // what in began as, of buffers; nil: nothing
}

// NewConn frames packets on c, with 16-bit lengths until SetVersion. Nothing else may
// read from c until Buffered has been taken over.
func NewConn(c net.Conn) *Conn { return &Conn{conn: c} }

// NetConn is the connection underneath.
func (c *Conn) NetConn() net.Conn { return c.conn }

// Version is what SetVersion was told, 0 before.
func (c *Conn) Version() uint16 { return c.version }

// SetVersion switches to the lengths of version v, both ways; call it once an ACCEPT
// of that version has been sent or received (tns.md 1.1).
func (c *Conn) SetVersion(v uint16) {
	c.version, c.versionSet, c.large = v, true, v >= VersionLargeSDU
}

// Buffered hands over the bytes that have been read from the connection and not been
// consumed; they are the caller's, and Conn forgets them.
func (c *Conn) Buffered() []byte {
	b := c.in[c.r:c.w:c.w]
	c.in, c.r, c.w = nil, 0, 0
	c.lent = nil // and never given back: the last packet's Body may be in it, too
	if len(b) == 0 {
		return nil // and no whole buffer behind nothing
	}
	return b
}

// ReadPacket reads one packet. Its Body is valid until the next read, or Watch. The error is
// io.EOF if the connection ended between packets, io.ErrUnexpectedEOF inside one.
func (c *Conn) ReadPacket() (Packet, error) {
	h, err := c.peekHeader(c.large)
	if err != nil {
		return Packet{}, err
	}
	if err := c.judge(h, c.large); err != nil {
		return Packet{}, err
	}
	return c.takePacket(h)
}

// maxUnasked is how many bytes a peer may send that Watch was waiting on.
const maxUnasked = 1024

// Watch waits until the peer sends something, its side ends, or the read deadline is
// over, and keeps what it sent for the next read. It holds no buffer while it waits. A
// peer that goes on sending is stopped with ErrUnexpected.
func (c *Conn) Watch() error {
	c.holdNothing()
	if c.w-c.r >= maxUnasked {
		return fmt.Errorf("%w: %d bytes before their time", ErrUnexpected, c.w-c.r)
	}
	if of, ok := c.conn.(patient); ok {
		return c.watch(of)
	}
	var one [1]byte
	n, err := c.conn.Read(one[:])
	if n > 0 {
		c.in, c.r = append(c.in[c.r:c.w:c.w], one[0]), 0
		c.w = len(c.in)
	}
	return err
}

// Send writes the messages, all in one Write, with the lengths of the version set.
// What its lengths cannot hold is refused with ErrTooLong, and nothing is written.
func (c *Conn) Send(messages ...Message) error {
	out := c.out[:0]
	if out == nil {
		lent := buffers.Get().(*[firstBuffer]byte)
		defer func() {
			spoil(lent)
			buffers.Put(lent)
		}()
		out = lent[:0]
	}
	for _, m := range messages {
		if bounded, ok := m.(interface{ check(large bool) error }); ok {
			if err := bounded.check(c.large); err != nil {
				return err
			}
		}
		begin := len(out)
		out = m.AppendTo(out, c.large)
		if c.Seen != nil {
			c.Seen(true, out[begin:])
		}
	}
	if cap(out) > firstBuffer && cap(out) <= keepSendBuffer {
		c.out = out
	}
	if len(out) == 0 {
		return nil
	}
	_, err := c.conn.Write(out)
	return err
}

// header is what a packet's first 8 bytes say, unchecked.
type header struct {
	raw    [headerSize]byte
	length uint32 // of the whole packet
}

func (h header) packetType() Type { return Type(h.raw[4]) }

// fail builds the error about a packet of which only the header is known.
func (h header) fail(sentinel error, format string, args ...any) error {
	return &FrameError{Type: h.packetType(), Length: int(h.length), Problem: fmt.Sprintf(format, args...), Err: sentinel}
}

// peekHeader waits for a header and reads it without consuming it.
func (c *Conn) peekHeader(large bool) (h header, err error) {
	if err := c.fill(headerSize); err != nil {
		return header{}, err
	}
	copy(h.raw[:], c.in[c.r:])
	if large {
		h.length = binary.BigEndian.Uint32(h.raw[:])
	} else {
		h.length = uint32(binary.BigEndian.Uint16(h.raw[:]))
	}
	return h, nil
}

// judge refuses an implausible header before anything is read on its account.
func (c *Conn) judge(h header, large bool) error {
	switch t := h.packetType(); {
	case t == 0 || t > typeHighest:
		return h.fail(ErrMalformed, "no such type (header %x); the sender is out of step or no Oracle Net peer", h.raw)
	case h.length < headerSize:
		return h.fail(ErrMalformed, "a length of %d is less than the header's own 8 (header %x); the sender is out of step, or uses lengths of another version",
			h.length, h.raw)
	case uint64(h.length) > uint64(c.limit(large)):
		return h.fail(ErrTooLong, "the limit is %d (header %x); the sender is out of step, or MaxPacket is too low", c.limit(large), h.raw)
	}
	return nil
}

// limit is the largest packet accepted now.
func (c *Conn) limit(large bool) int {
	switch {
	case c.versionSet && c.MaxPacket > 0:
		return c.MaxPacket
	case large || c.versionSet:
		return MaxSDU + headerSize
	}
	return maxSmallPacket
}

// takePacket waits for the whole packet and consumes it.
func (c *Conn) takePacket(h header) (Packet, error) {
	length := int(h.length)
	if err := c.fill(length); err != nil {
		return Packet{}, err
	}
	if c.Seen != nil {
		c.Seen(false, c.in[c.r:c.r+length])
	}
	body := c.in[c.r+headerSize : c.r+length : c.r+length]
	c.r += length
	return Packet{Type: h.packetType(), Flags: h.raw[5], Body: body}, nil
}

// fill reads until n bytes are buffered. io.EOF means that none is.
func (c *Conn) fill(n int) error {
	if c.r == c.w {
		c.r, c.w = 0, 0
	}
	for empty := 0; c.w-c.r < n; {
		c.makeRoom(n)
		m, err := c.conn.Read(c.in[c.w:])
		c.w += m
		switch {
		case m > 0:
			empty = 0
		case errors.Is(err, io.EOF) && c.w > c.r:
			return io.ErrUnexpectedEOF
		case err != nil:
			return err
		default:
			if empty++; empty > maxEmptyReads {
				return io.ErrNoProgress
			}
		}
	}
	return nil
}

// makeRoom makes room for at least one more byte of the n that are to follow r. The
// buffer grows as bytes arrive, never to what a header merely announces.
func (c *Conn) makeRoom(n int) {
	if c.w < len(c.in) && c.r+n <= len(c.in) {
		return
	}
	to := c.in
	if c.w-c.r == len(c.in) {
		to = c.bigger(n)
	} else if c.r == 0 {
		return
	}
	c.w = copy(to, c.in[c.r:c.w])
	c.in, c.r = to, 0
}
