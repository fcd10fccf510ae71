package tns

import (
	"errors"
	"fmt"
)

// What a caller decides on. Every FrameError wraps one of them.
var (
	// ErrNotConnect: the first packet is no CONNECT; most often the peer does not
	// speak Oracle Net at all.
	ErrNotConnect = errors.New("not an Oracle Net CONNECT")
	// ErrMalformed: a packet contradicts itself (lengths, offsets, missing fields).
	ErrMalformed = errors.New("malformed packet")
	// ErrTooLong: a length is above the limit that holds here.
	ErrTooLong = errors.New("too long")
	// ErrOutOfStep: more data came than was announced, so that the end of the
	// message is not known; a descriptor of more than 64 KiB does this (tns.md 1.3).
	ErrOutOfStep = errors.New("stream out of step")
	// ErrUnexpected: a packet of a legal type that has no place here.
	ErrUnexpected = errors.New("unexpected packet")
	// ErrVersion: the two sides share no version.
	ErrVersion = errors.New("no version in common")
	// ErrTooManyResends: the listener asks for the CONNECT again and again.
	ErrTooManyResends = errors.New("too many RESENDs")
	// ErrNoRestart: a new TLS handshake was asked for on a connection that cannot run one.
	ErrNoRestart = errors.New("a connection that cannot restart TLS")
)

// FrameError says which packet is wrong, and how. It wraps a sentinel.
type FrameError struct {
	Type    Type   // the packet's type as its header has it
	Length  int    // its length as its header has it, 0 if not known
	Problem string // what is wrong and what to do about it
	Err     error  // one of the sentinels of this package
}

// Error names the packet, the problem and the remedy.
func (e *FrameError) Error() string {
	if e.Length > 0 {
		return fmt.Sprintf("%v: %v packet of %d bytes: %s", e.Err, e.Type, e.Length, e.Problem)
	}
	return fmt.Sprintf("%v: %v packet: %s", e.Err, e.Type, e.Problem)
}

// Unwrap gives the sentinel.
func (e *FrameError) Unwrap() error { return e.Err }

// frameError builds a FrameError about p.
func frameError(sentinel error, p Packet, format string, args ...any) error {
	return &FrameError{Type: p.Type, Length: headerSize + len(p.Body), Problem: fmt.Sprintf(format, args...), Err: sentinel}
}

// wantType refuses a packet that is of another type than its decoder's.
func wantType(p Packet, t Type) error {
	if p.Type != t {
		return frameError(ErrUnexpected, p, "a %v was expected; check what the peer is", t)
	}
	return nil
}

// RefusedError is a REFUSE seen as an error.
type RefusedError struct{ Refuse *Refuse }

// Error gives code, meaning and the text the peer sent.
func (e *RefusedError) Error() string {
	code, found := e.Refuse.ErrorCode()
	if !found {
		return fmt.Sprintf("refused without a code: %q", e.Refuse.Text)
	}
	if meaning := code.Meaning(); meaning != "" {
		return fmt.Sprintf("refused with %v, %s: %q", code, meaning, e.Refuse.Text)
	}
	return fmt.Sprintf("refused with %v: %q", code, e.Refuse.Text)
}
