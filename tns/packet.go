package tns

import (
	"encoding/binary"
	"fmt"
)

// Type is the packet type, byte 4 of every header (tns.md 1.1).
type Type byte

// The packet types.
const (
	TypeConnect        Type = 1  // client to listener: where it wants to go
	TypeAccept         Type = 2  // the session starts on this socket
	TypeAck            Type = 3  // not used between today's peers
	TypeRefuse         Type = 4  // no, with a text that holds ERR=
	TypeRedirect       Type = 5  // dial this address instead
	TypeData           Type = 6  // everything else, from connect data to SQL
	TypeNull           Type = 7  // keep-alive of old versions
	TypeAbort          Type = 9  // the peer gives the session up
	TypeResend         Type = 11 // send the CONNECT again
	TypeMarker         Type = 12 // break, reset, interrupt
	TypeAttention      Type = 13 // out-of-band notice
	TypeControl        Type = 14 // in-band notice
	TypeDataDescriptor Type = 15 // announces data of more than one packet
	typeHighest        Type = 19
)

// String gives the type's name as Oracle Net writes it.
func (t Type) String() string {
	switch t {
	case TypeConnect:
		return "CONNECT"
	case TypeAccept:
		return "ACCEPT"
	case TypeAck:
		return "ACK"
	case TypeRefuse:
		return "REFUSE"
	case TypeRedirect:
		return "REDIRECT"
	case TypeData:
		return "DATA"
	case TypeNull:
		return "NULL"
	case TypeAbort:
		return "ABORT"
	case TypeResend:
		return "RESEND"
	case TypeMarker:
		return "MARKER"
	case TypeAttention:
		return "ATTENTION"
	case TypeControl:
		return "CONTROL"
	case TypeDataDescriptor:
		return "DATA DESCRIPTOR"
	}
	return fmt.Sprintf("type %d", byte(t))
}

// Versions of the protocol (tns.md 1.2, 6).
const (
	VersionLowest       uint16 = 300 // the lowest anyone asks for
	VersionLargeSDU     uint16 = 315 // from here on lengths have 32 bits after ACCEPT
	VersionConnectFlags uint16 = 318 // from here on CONNECT and ACCEPT carry flags 2
	VersionHighest      uint16 = 319 // the highest this package knows
)

// Header flags, byte 5 of the header (tns.md 1.1).
const (
	FlagSessionID    byte = 0x01 // on ACCEPT: a session id is given
	FlagRedirectText byte = 0x02 // on REDIRECT: the text is address, NUL, connect data
	FlagRedirected   byte = 0x04 // on CONNECT: this client was redirected here
	FlagTLSRestart   byte = 0x08 // on RESEND: repeat the TLS handshake first
	FlagLargeSDU     byte = 0x20 // on any: the length field is the large one
)

// Sizes that both directions share (tns.md 1.1, 1.3).
const (
	headerSize     = 8
	dataHeaderSize = headerSize + 2

	// inlineLimit is the longest connect or accept data that travels inside its
	// own packet; longer data follows in DATA packets (tns.md 1.3, 10.3).
	inlineLimit = 230

	// maxSmallPacket is what a 16-bit length can say.
	maxSmallPacket = 0xffff

	// textPacketSize is the size of the DATA packets that long connect data is cut
	// into: every peer accepts it, go-oracledb nothing larger (tns.md 1.3, 13).
	textPacketSize = 8192
)

// Bounds of the session data unit, in bytes (tns.md 6.1).
const (
	MinSDU     = 512
	MaxSDU     = 2 << 20
	DefaultSDU = 8192
)

// Packet is one packet as it was framed.
type Packet struct {
	Type  Type
	Flags byte   // header flags
	Body  []byte // what follows the 8-byte header
}

// Message is something that can be sent: one packet, or a few that belong together.
type Message interface {
	// AppendTo appends the whole packet or packets to dst. large selects 32-bit
	// lengths, in use once an ACCEPT of version 315 or more has passed; messages
	// that come before the ACCEPT ignore it.
	AppendTo(dst []byte, large bool) []byte
}

// AppendTo appends the packet unchanged: what a relay that looks at single packets
// passes on.
func (p Packet) AppendTo(dst []byte, large bool) []byte {
	dst, start := beginPacket(dst, p.Type, p.Flags)
	return endPacket(append(dst, p.Body...), start, large)
}

// check tells whether the length field can hold the packet.
func (p Packet) check(large bool) error {
	if !large && headerSize+len(p.Body) > maxSmallPacket {
		return frameError(ErrTooLong, p, "lengths have 16 bits here; cut the payload with AppendData")
	}
	return nil
}

// beginPacket appends a header whose length endPacket fills in.
func beginPacket(dst []byte, t Type, flags byte) (out []byte, start int) {
	return append(dst, 0, 0, 0, 0, byte(t), flags, 0, 0), len(dst)
}

// endPacket writes the length of the packet that began at start (tns.md 1.1).
func endPacket(dst []byte, start int, large bool) []byte {
	length := len(dst) - start
	if large {
		binary.BigEndian.PutUint32(dst[start:], uint32(length))
	} else {
		binary.BigEndian.PutUint16(dst[start:], uint16(length))
	}
	return dst
}
