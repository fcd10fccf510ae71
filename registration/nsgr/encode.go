package nsgr

import (
	"encoding/binary"
	"fmt"
)

// AppendTo appends the message in wire form, length first. A decoded message
// gives the bytes it was decoded from. It fails with [ErrInconsistent] where
// pointers and what they point at do not agree, and with [ErrLength],
// [ErrTooMany] or [ErrTextTooLong] where no receiver of this package's limits
// could read the result; dst is then returned as it was.
func (m *Message) AppendTo(dst []byte) ([]byte, error) {
	if !m.Representation.valid() {
		return dst, fmt.Errorf("nsgr: %w: pointer size %d", ErrDescriptor, m.Representation.PointerSize)
	}
	start := len(dst)
	out := append(dst, 0, 0, 0, 0)
	out = append(out, m.Descriptor...)
	for i := range m.Records {
		c := cursor{rep: m.Representation, record: i, index: -1}
		c.use(m.Representation)
		m.Records[i].walk(&c)
		c.bytes(&m.Records[i].Pad, len(m.Records[i].Pad))
		if c.err != nil {
			return dst, c.err
		}
		out = appendFragments(out, c.buf, &m.Records[i], c.order)
	}
	length := len(out) - start
	if length < MinMessage || length > MaxMessage {
		return dst, fmt.Errorf("nsgr: %w: %d, not %d to %d", ErrLength, length, MinMessage, MaxMessage)
	}
	binary.BigEndian.PutUint32(out[start:], uint32(length))
	return out, nil
}

// appendFragments writes content behind record markers: in the pieces it was
// received in if they still fit, else in one.
func appendFragments(dst, content []byte, r *Record, order binary.ByteOrder) []byte {
	pieces := r.Fragments
	total := uint64(0)
	for _, n := range pieces {
		total += uint64(n)
	}
	if len(pieces) == 0 || total != uint64(len(content)) {
		pieces = []uint32{uint32(len(content))}
	}
	for i, n := range pieces {
		marker := n
		if i == len(pieces)-1 {
			marker |= lastFragment
		}
		dst = append(dst, 0, 0, 0, 0)
		order.PutUint32(dst[len(dst)-4:], marker)
		dst = append(dst, content[:n]...)
		content = content[n:]
	}
	return dst
}
