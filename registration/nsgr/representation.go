package nsgr

import (
	"encoding/binary"
	"fmt"
)

// Representation is what counts of the way a sender stores its native types.
// The zero value stands for none.
type Representation struct {
	PointerSize int // 4 or 8
	LongSize    int // of C's long; the node list never uses it
	BigEndian   bool
}

// The senders known from captures or expected (nsgr.md 3.3).
var (
	linux64   = Representation{PointerSize: 8, LongSize: 8}
	windows64 = Representation{PointerSize: 8, LongSize: 4}
	linux32   = Representation{PointerSize: 4, LongSize: 4}
	unix64    = Representation{PointerSize: 8, LongSize: 8, BigEndian: true}
)

// Linux64 is a 64-bit little-endian Unix sender, the default of [New].
func Linux64() Representation { return linux64 }

// Windows64 is a 64-bit Windows sender.
func Windows64() Representation { return windows64 }

// Linux32 is a 32-bit little-endian Unix sender.
func Linux32() Representation { return linux32 }

// Unix64BigEndian is a 64-bit big-endian Unix sender.
func Unix64BigEndian() Representation { return unix64 }

// String names the representation, such as "64-bit little-endian".
func (r Representation) String() string {
	order := "little"
	if r.BigEndian {
		order = "big"
	}
	return fmt.Sprintf("%d-bit %s-endian", 8*r.PointerSize, order)
}

func (r Representation) valid() bool { return r.PointerSize == 4 || r.PointerSize == 8 }

func (r Representation) order() binary.ByteOrder {
	if r.BigEndian {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

// Where the fields of a descriptor stand (nsgr.md 3.3).
const (
	descriptorMin   = 0x18
	descriptorMax   = 0x40
	descriptorBits  = 8  // second byte: bits in a byte
	descriptorSizes = 6  // seven size bytes: short, int, long, two words, float, double
	descriptorOrder = 13 // orders of the same, one for both words, size/2 bytes each
)

// hasDescriptor tells whether rest, what follows the message length, starts
// with a descriptor (nsgr.md 6, rule 2). Where the sender's representation is
// known already it may be a record marker instead, in which a length of 0x820
// bytes looks the same but for its fourth byte.
func hasDescriptor(rest []byte, known Representation) bool {
	if len(rest) < 4 || rest[0]%4 != 0 || rest[0] < descriptorMin || rest[0] > descriptorMax || rest[1] != descriptorBits {
		return false
	}
	return !known.valid() || rest[3]&0x7f != 0
}

// parseDescriptor reads a descriptor whose length has been checked against the
// bytes at hand. Every size is a low nibble, so no order can be longer than 7
// bytes; the cursor bounds them all.
func parseDescriptor(descriptor []byte) (Representation, error) {
	c := cursor{reading: true, buf: descriptor, record: -1, item: "representation descriptor"}
	c.take(descriptorSizes)
	sizes := c.take(descriptorOrder - descriptorSizes)
	if c.err != nil {
		return Representation{}, fmt.Errorf("%w: too short", ErrDescriptor)
	}
	size := func(i int) int { return int(sizes[i] & 0x0f) }
	short := c.take(size(0) / 2)
	integer := c.take(size(1) / 2)
	c.take(size(2) / 2)
	word := c.take(size(4) / 2)
	if c.err != nil {
		return Representation{}, fmt.Errorf("%w: too short", ErrDescriptor)
	}
	r := Representation{PointerSize: size(4), LongSize: size(2)}
	if !r.valid() || size(0) != 2 || size(1) != 4 {
		return Representation{}, fmt.Errorf("%w: short, int and pointer have %d, %d and %d bytes; only 2, 4 and 4 or 8 are known",
			ErrDescriptor, size(0), size(1), size(4))
	}
	r.BigEndian = string(integer) == string(appendOrder(nil, 4, true))
	for _, field := range [][]byte{short, integer, word} {
		if string(field) != string(appendOrder(nil, 2*len(field), r.BigEndian)) {
			return Representation{}, fmt.Errorf("%w: byte order % x is neither little- nor big-endian throughout", ErrDescriptor, field)
		}
	}
	return r, nil
}

// Descriptor returns the representation descriptor of such a sender.
func (r Representation) Descriptor() []byte {
	wide := byte(0x78) // 8 bytes, aligned to 8
	if r.PointerSize == 4 && !r.BigEndian {
		wide = 0x38 // aligned to 4, as i386 has it
	}
	word, long := sizeByte(r.PointerSize), sizeByte(r.LongSize)
	d := []byte{0, descriptorBits, 0xff, 0x03, 0x01, 0x00, 0x12, 0x34, long, word, word, 0x34, wide}
	for _, size := range []int{2, 4, r.LongSize, r.PointerSize, 4, 8} {
		d = appendOrder(d, size, r.BigEndian)
	}
	d = append(d, 0, wide)
	d = appendOrder(d, 8, r.BigEndian)
	for len(d)%4 != 0 {
		d = append(d, 0)
	}
	d[0] = byte(len(d))
	return d
}

// sizeByte writes a naturally aligned size: alignment - 1 in the high nibble.
func sizeByte(size int) byte { return byte((size-1)<<4 | size) }

// appendOrder writes the byte order of a type of size bytes: for each byte on
// the wire its significance, one nibble each, low nibble first.
func appendOrder(dst []byte, size int, bigEndian bool) []byte {
	for i := 0; i < size; i += 2 {
		first, second := i, i+1
		if bigEndian {
			first, second = size-1-i, size-2-i
		}
		dst = append(dst, byte(second<<4|first))
	}
	return dst
}
