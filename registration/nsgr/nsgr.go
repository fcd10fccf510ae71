// Package nsgr reads and writes the message by which an Oracle database
// registers itself with a listener (COMMAND=service_register_NSGR).
//
// A message is a big-endian length, a descriptor of the sender's native types,
// and records. The record that matters holds a linked list of nodes (instance,
// services, listening endpoints, handlers), dumped as the sender's C structures
// in the order of a first-in first-out queue (nsgr.md 4.1). Pointers in it are
// the sender's own addresses: opaque tokens, of which only null and non-null
// count.
//
// A decoded [Message] keeps every byte that has no meaning here (tokens,
// padding, fragment lengths), so that encoding it again gives the same bytes.
// [New] makes a message from its meaning alone, with fresh tokens.
package nsgr

import (
	"errors"
	"fmt"
)

// Limits of one message. They bound memory and time whatever a sender writes;
// they are wider than nsgr.md 6 proposes, since an instance with two hundred
// services and fifty handlers already needs ten thousand slots.
const (
	MinMessage = 0x40    // bytes, the length field included
	MaxMessage = 4 << 20 // bytes, the length field included
	MaxNodes   = 65536   // nodes in a message
	MaxSlots   = 65536   // service array slots in a message, all handlers together
	MaxText    = 64 << 10
)

// InterfaceID is the name in record 1 of every message seen (nsgr.md 3.5).
const InterfaceID = "BEC76C2CC136-5F9F-E034-0003BA1374B3"

// What can be wrong with a message. A message with any of these is to be
// dropped whole: after one wrong length everything later is wrong (nsgr.md 6,
// rule 7).
var (
	ErrLength        = errors.New("message length out of bounds")
	ErrTruncated     = errors.New("ends in the middle of a field")
	ErrTrailing      = errors.New("bytes are left over")
	ErrDescriptor    = errors.New("representation not supported")
	ErrNoDescriptor  = errors.New("no representation descriptor, here or in an earlier message")
	ErrInterface     = errors.New("record names another interface")
	ErrNoCall        = errors.New("no record with a node list")
	ErrTwoCalls      = errors.New("more than one record with a node list")
	ErrUnknownNode   = errors.New("data of an unknown kind of node")
	ErrUnknownLayout = errors.New("a field whose layout is not known is in use")
	ErrTooMany       = errors.New("too many items")
	ErrTextTooLong   = errors.New("text too long")
	ErrInconsistent  = errors.New("message cannot be written as it is")
)

// Error says where in a message decoding or encoding stopped.
type Error struct {
	Item   string // what was being read or written, such as "node 3: handler"
	Offset int    // bytes from the start of the message or, if Record ≥ 0, of that record's content
	Record int    // index of the record, -1 outside records
	Err    error
}

func (e *Error) Error() string {
	if e.Record < 0 {
		return fmt.Sprintf("nsgr: %s at byte %d: %v", e.Item, e.Offset, e.Err)
	}
	return fmt.Sprintf("nsgr: %s at byte %d of record %d: %v", e.Item, e.Offset, e.Record+1, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }
