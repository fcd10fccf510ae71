package nsgr

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

const (
	lengthSize   = 4
	lastFragment = 1 << 31 // in a record marker (nsgr.md 3.4)
	maxPad       = 3       // bytes that may follow the content of a record (nsgr.md 6, rule 6)
)

// Decode reads one whole message, which starts with its length. known is the
// representation of an earlier message on the same connection, for messages
// that carry no descriptor; the zero value if there was none. The result
// shares no memory with message. The error, if any, is an *[Error].
func Decode(message []byte, known Representation) (*Message, error) {
	c := cursor{reading: true, buf: message, record: -1, index: -1, item: "message length"}
	length := c.take(lengthSize)
	if length == nil {
		return nil, c.err
	}
	announced := int64(binary.BigEndian.Uint32(length))
	switch {
	case announced < MinMessage || announced > MaxMessage:
		c.fail(fmt.Errorf("%w: %d, not %d to %d", ErrLength, announced, MinMessage, MaxMessage))
	case announced > int64(len(message)):
		c.fail(ErrTruncated)
	case announced < int64(len(message)):
		c.fail(ErrTrailing)
	}
	if c.err != nil {
		return nil, c.err
	}
	c.buf = bytes.Clone(message)
	m := &Message{Representation: known}
	m.readDescriptor(&c)
	m.readRecords(&c)
	if c.err != nil {
		return nil, c.err
	}
	return m, nil
}

func (m *Message) readDescriptor(c *cursor) {
	c.item = "representation descriptor"
	rest := c.buf[c.off:]
	if !hasDescriptor(rest, m.Representation) {
		if !m.Representation.valid() {
			c.fail(ErrNoDescriptor)
			return
		}
		c.use(m.Representation)
		return
	}
	m.Descriptor = c.take(int(rest[0]))
	if m.Descriptor == nil {
		return
	}
	r, err := parseDescriptor(m.Descriptor)
	if err != nil {
		c.fail(err)
		return
	}
	m.Representation = r
	c.use(r)
}

func (m *Message) readRecords(c *cursor) {
	graphs := 0
	for c.err == nil && c.left() > 0 {
		content, fragments := readFragments(c)
		if c.err != nil {
			return
		}
		r, err := decodeRecord(content, m.Representation, len(m.Records))
		if err != nil {
			c.err = err
			return
		}
		r.Fragments = fragments
		m.Records = append(m.Records, r)
		if r.isGraph() {
			graphs++
		}
	}
	c.item = "records"
	switch {
	case graphs == 0:
		c.fail(ErrNoCall)
	case graphs > 1:
		c.fail(ErrTwoCalls)
	}
}

// readFragments joins the pieces of one record: only the last has bit 31 set.
func readFragments(c *cursor) (content []byte, fragments []uint32) {
	for {
		var marker uint32
		c.item = "record marker"
		c.u32(&marker)
		c.item = "record"
		n := marker &^ lastFragment
		piece := c.take(int(n))
		if c.err != nil {
			return nil, nil
		}
		last := marker&lastFragment != 0
		if last && fragments == nil {
			return piece, nil
		}
		content = append(content, piece...)
		fragments = append(fragments, n)
		if last {
			return content, fragments
		}
	}
}

func decodeRecord(content []byte, rep Representation, index int) (Record, error) {
	c := cursor{reading: true, buf: content, record: index, index: -1}
	c.use(rep)
	var r Record
	r.walk(&c)
	if r.Raw == nil && c.err == nil {
		if c.left() > maxPad {
			c.fail(fmt.Errorf("%w: %d after the last item", ErrTrailing, c.left()))
		}
		c.bytes(&r.Pad, c.left())
	}
	return r, c.err
}

// walk reads or writes the content of a record but for its padding.
func (r *Record) walk(c *cursor) {
	c.item = "record header"
	c.u32((*uint32)(&r.Kind))
	if c.err != nil {
		return
	}
	switch {
	case r.Kind == KindInterface:
		r.walkHeader(c)
		r.walkInterface(c)
	case r.isGraph():
		r.walkHeader(c)
		g := graph{cursor: c, nodes: r.Graph}
		if c.err == nil {
			g.walk()
		}
		r.Graph = g.nodes
	case c.reading:
		r.Raw = []byte{}
		c.bytes(&r.Raw, c.left())
	default:
		c.bytes(&r.Raw, len(r.Raw))
	}
}

// walkHeader is what kinds 2 and 5 have in common (nsgr.md 3.5, 3.6).
func (r *Record) walkHeader(c *cursor) {
	c.u32(&r.Word)
	c.pointer(&r.Handle)
}

// walkInterface is nsgr.md 3.5. The fields are packed.
func (r *Record) walkInterface(c *cursor) {
	c.item = "interface"
	if c.reading {
		r.Interface = new(Interface)
	} else if r.Interface == nil {
		c.fail(ErrInconsistent)
		return
	}
	in := r.Interface
	length := uint32(len(in.Name))
	c.u16(&in.Half)
	c.u32(&length)
	if length > MaxText {
		c.fail(ErrTextTooLong)
	}
	c.bytes(&in.Name, int(length))
	if c.reading && c.err == nil && string(in.Name) != InterfaceID {
		c.fail(fmt.Errorf("%w: %.60q", ErrInterface, in.Name))
	}
	c.u16(&in.H1)
	c.u16(&in.H2)
	c.u16(&in.H3)
	c.u16(&in.H4)
	c.u32(&in.Word)
}
