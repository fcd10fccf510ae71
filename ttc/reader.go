package ttc

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrTruncated says that a message ends before its last field does.
var ErrTruncated = errors.New("ttc: message ends too early")

// ErrMalformed is wrapped by every error about content, as opposed to length.
var ErrMalformed = errors.New("ttc: malformed message")

// DefaultLimit bounds one message, with all its bind values, unless
// Reader.Limit says otherwise.
const DefaultLimit = 1 << 30

// nullLength and longLength are the special first bytes of a CLR; escapeLength
// introduces the NULL of a BOOLEAN (ttc.md 4).
const (
	maxShortLength = 252
	escapeLength   = 0xFD
	longLength     = 0xFE
	nullLength     = 0xFF
)

// Reader reads the primitive encodings of ttc.md 4. The first failure sticks:
// every later read gives zero and Err tells why, so that decoders check once.
type Reader struct {
	// Limit bounds the bytes of one message; 0 means DefaultLimit.
	Limit int

	piece []byte // what is at hand and unread
	used  int    // bytes read since Begin
	next  func() ([]byte, error)
	err   error
}

// NewReader reads a message that is wholly at hand. Byte slices it returns
// may alias message.
func NewReader(message []byte) *Reader { return &Reader{piece: message} }

// NewStreamReader reads messages that arrive in pieces. Next gives the next
// piece, which the reader keeps; its error ends the reading.
func NewStreamReader(next func() ([]byte, error)) *Reader { return &Reader{next: next} }

// Begin starts a new message: the limit counts from here, and a failure of the
// message before is forgotten.
func (r *Reader) Begin() { r.used, r.err = 0, nil }

// Discard forgets the rest of the piece at hand and any failure, to start
// afresh with the next piece.
func (r *Reader) Discard() {
	r.piece = nil
	r.Begin()
}

// Err is the first failure since Begin: ErrTruncated, one that wraps
// ErrMalformed, or what the function for the next piece returned.
func (r *Reader) Err() error { return r.err }

// Buffered is the number of unread bytes at hand.
func (r *Reader) Buffered() int { return len(r.piece) }

// malformed makes the reader fail because of content.
func (r *Reader) malformed(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
	}
}

// fill makes at least one unread byte available, fetching a piece if need be.
func (r *Reader) fill() bool {
	for len(r.piece) == 0 {
		if r.err != nil {
			return false
		}
		if r.next == nil {
			r.err = ErrTruncated
			return false
		}
		piece, err := r.next()
		if err != nil {
			r.err = err
			return false
		}
		r.piece = piece
	}
	return r.err == nil
}

func (r *Reader) limit() int {
	if r.Limit > 0 {
		return r.Limit
	}
	return DefaultLimit
}

// take gives the next bytes, at most n and at least one, or nil on failure.
func (r *Reader) take(n int) []byte {
	if n <= 0 || !r.fill() {
		return nil
	}
	n = min(n, len(r.piece))
	if n > r.limit()-r.used {
		r.malformed("longer than %d bytes", r.limit())
		return nil
	}
	taken := r.piece[:n:n]
	r.piece = r.piece[n:]
	r.used += n
	return taken
}

// Byte reads one byte.
func (r *Reader) Byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

// Peek gives the next byte without consuming it, fetching a piece if need be.
func (r *Reader) Peek() byte {
	if !r.fill() {
		return 0
	}
	return r.piece[0]
}

// Bytes reads exactly n bytes. What it allocates grows with what arrives, not
// with n.
func (r *Reader) Bytes(n int) []byte {
	if n < 0 {
		r.malformed("negative length %d", n)
	}
	if n <= 0 || r.err != nil {
		return nil
	}
	first := r.take(n)
	if len(first) == n || first == nil {
		return first
	}
	all := append(make([]byte, 0, min(n, 2*len(first))), first...)
	for len(all) < n {
		part := r.take(n - len(all))
		if part == nil {
			return nil
		}
		all = append(all, part...)
	}
	return all
}

// Skip reads n bytes and drops them.
func (r *Reader) Skip(n int) {
	if n < 0 {
		r.malformed("negative length %d", n)
	}
	for n > 0 && r.err == nil {
		n -= len(r.take(n))
	}
}

// Uint16 reads two bytes, most significant first.
func (r *Reader) Uint16() uint16 {
	if b := r.Bytes(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

// Uint16LE reads two bytes, least significant first.
func (r *Reader) Uint16LE() uint16 {
	if b := r.Bytes(2); b != nil {
		return binary.LittleEndian.Uint16(b)
	}
	return 0
}

// number reads a variable-length integer of at most size bytes.
func (r *Reader) number(size int) (magnitude uint64, negative bool) {
	length := r.Byte()
	negative = length&0x80 != 0
	n := int(length & 0x7F)
	if n > size {
		r.malformed("integer of %d bytes where at most %d are allowed", n, size)
		return 0, false
	}
	for _, b := range r.Bytes(n) {
		magnitude = magnitude<<8 | uint64(b)
	}
	return magnitude, negative
}

// unsigned reads an unsigned variable-length integer. Some drivers write -1
// for "as many as possible"; it gives the largest value, as it would with a
// fixed width.
func (r *Reader) unsigned(size int) uint64 {
	magnitude, negative := r.number(size)
	if negative {
		magnitude = -magnitude
	}
	if size < 8 {
		magnitude &= 1<<(8*size) - 1
	}
	return magnitude
}

// UB2 reads a variable-length integer of at most two bytes.
func (r *Reader) UB2() uint16 { return uint16(r.unsigned(2)) }

// UB4 reads a variable-length integer of at most four bytes.
func (r *Reader) UB4() uint32 { return uint32(r.unsigned(4)) }

// UB8 reads a variable-length integer of at most eight bytes.
func (r *Reader) UB8() uint64 { return r.unsigned(8) }

// SB2 reads a signed variable-length integer of at most two bytes.
func (r *Reader) SB2() int16 { return int16(r.signed(2)) }

// SB4 reads a signed variable-length integer of at most four bytes.
func (r *Reader) SB4() int32 { return int32(r.signed(4)) }

// SB8 reads a signed variable-length integer of at most eight bytes.
func (r *Reader) SB8() int64 { return r.signed(8) }

func (r *Reader) signed(size int) int64 {
	magnitude, negative := r.number(size)
	if magnitude > 1<<(8*size-1)-1 {
		r.malformed("integer out of range")
		return 0
	}
	if negative {
		return -int64(magnitude)
	}
	return int64(magnitude)
}

// Count reads a ub4 that announces a number of things of at least one byte
// each, and refuses more than most.
func (r *Reader) Count(most int) int {
	n := r.UB4()
	if uint64(n) > uint64(most) {
		r.malformed("%d elements where at most %d are allowed", n, most)
		return 0
	}
	return int(n)
}
