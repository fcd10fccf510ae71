package tns

import (
	"encoding/binary"
	"fmt"
)

// Service options of CONNECT and ACCEPT (tns.md 1.2).
const (
	OptionDontCare         uint16 = 0x0001
	OptionHalfDuplex       uint16 = 0x0002
	OptionFullDuplex       uint16 = 0x0004
	OptionHeaderChecksum   uint16 = 0x0008
	OptionPacketChecksum   uint16 = 0x0010
	OptionBrokenNotify     uint16 = 0x0020
	OptionVectoredIO       uint16 = 0x0040
	OptionOSAuth           uint16 = 0x0080
	OptionSendAttention    uint16 = 0x0200
	OptionReceiveAttention uint16 = 0x0400
	OptionNoAttention      uint16 = 0x0800
	OptionRaw              uint16 = 0x1000
)

// Connect flags 0 and 1, about native network services, NA (tns.md 1.2).
const (
	NAWanted        byte = 0x01
	NAInterchange   byte = 0x02 // a relay is involved
	NADisabled      byte = 0x04
	NANotLinked     byte = 0x08
	NARequired      byte = 0x10
	NAAuthLinked    byte = 0x20
	NARenegotiation byte = 0x80 // can repeat the TLS handshake on RESEND
)

// Flags2OOBCheck in flags 2 of CONNECT: can do the out-of-band check; of ACCEPT: do
// it (tns.md 1.2, 6, 6.3).
const Flags2OOBCheck uint32 = 0x00000001

// Layout of a CONNECT (tns.md 1.2).
const (
	connectFixedSize = 34 // fields that every client sends end here
	connectSize300   = 58 // connect data offset below version 315
	connectSize315   = 70
	connectSize318   = 74

	maxConnectData = 0xffff // what its 16-bit length can say

	oobOptions        = OptionSendAttention | OptionReceiveAttention
	ntCharacteristics = 0x4f98 // what go-ora, python-oracledb and JDBC send
)

// Connect is a client's request (tns.md 1.2). Numbers in brackets are offsets in the
// packet. A field exists only when Offset is at or beyond its end; what does not exist
// is zero here, and is not sent.
type Connect struct {
	HeaderFlags       byte   // FlagRedirected
	Version           uint16 // [8] wanted
	Lowest            uint16 // [10] lowest acceptable
	Options           uint16 // [12]
	SDU               uint16 // [14] bytes; SDU32 counts if it exists
	TDU               uint16 // [16] bytes
	NTCharacteristics uint16 // [18]
	LineTurnaround    uint16 // [20]
	One               [2]byte
	MaxReceive        uint32 // [28] bytes of connect data the sender can receive
	Flags0, Flags1    byte   // [32] [33]

	TraceItem1, TraceItem2 uint32  // [34] [38]
	TraceID                [8]byte // [42]
	LocalTimeout           uint16  // [50]
	LocalTick              uint16  // [52]
	ReconnectLength        uint16  // [54]
	ReconnectOffset        uint16  // [56]
	SDU32, TDU32           uint32  // [58] [62] bytes
	Compression            uint32  // [66] compression flags in its upper half
	Flags2                 uint32  // [70] Flags2OOBCheck

	// Extra is what stands between the last field that is known and whole, and the
	// connect data.
	Extra []byte
	// Offset of the connect data decides which fields exist; 0 means those of Version.
	// What is sent as offset results from these fields and Extra.
	Offset uint16
	// Data is the connect data: a descriptor, at most 65,535 bytes.
	Data []byte
}

// NewConnect is what we send on our own behalf, as an agent or for a ping: versions
// 300 to 319, SDU 8192, no native network services, no out-of-band breaks.
func NewConnect(data []byte) *Connect {
	return &Connect{
		Version:           VersionHighest,
		Lowest:            VersionLowest,
		Options:           OptionDontCare,
		SDU:               DefaultSDU,
		TDU:               0xffff,
		NTCharacteristics: ntCharacteristics,
		One:               [2]byte{0, 1},
		Flags0:            NADisabled | NANotLinked,
		Flags1:            NADisabled | NANotLinked,
		SDU32:             DefaultSDU,
		TDU32:             DefaultSDU,
		Offset:            connectSize318,
		Data:              data,
	}
}

// ForRelay is the CONNECT a relay passes on (tns.md 6.3, 11.3): a copy with other
// connect data, without the out-of-band check that a user-space relay cannot carry,
// and marked redirected if it follows a REDIRECT.
func (c *Connect) ForRelay(data []byte, redirected bool) *Connect {
	forward := *c
	forward.Options &^= oobOptions
	forward.Flags2 &^= Flags2OOBCheck
	forward.Extra = clone(c.Extra)
	forward.Data = data
	if redirected {
		forward.HeaderFlags |= FlagRedirected
	}
	return &forward
}

// AppendTo appends the CONNECT and, if its data is longer than 230 bytes, the DATA
// packets that carry it (tns.md 1.3). A CONNECT that its 16-bit lengths cannot hold
// appends nothing; Send refuses it with ErrTooLong.
func (c *Connect) AppendTo(dst []byte, _ bool) []byte {
	if c.check(false) != nil {
		return dst
	}
	fields := wholeFields(c.size())
	offset := fields + len(c.Extra)
	inline := len(c.Data) <= inlineLimit && offset+len(c.Data) <= maxSmallPacket

	dst, start := beginPacket(dst, TypeConnect, c.HeaderFlags)
	for _, v := range [...]uint16{c.Version, c.Lowest, c.Options, c.SDU, c.TDU, c.NTCharacteristics, c.LineTurnaround} {
		dst = binary.BigEndian.AppendUint16(dst, v)
	}
	dst = append(dst, c.One[0], c.One[1])
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(c.Data)))
	dst = binary.BigEndian.AppendUint16(dst, uint16(offset))
	dst = binary.BigEndian.AppendUint32(dst, c.MaxReceive)
	dst = append(dst, c.Flags0, c.Flags1)
	optional := c.packOptional()
	dst = append(dst, optional[:fields-connectFixedSize]...)
	dst = append(dst, c.Extra...)
	if inline {
		return endPacket(append(dst, c.Data...), start, false)
	}
	return AppendData(endPacket(dst, start, false), 0, c.Data, textPacketSize, false)
}

// check tells whether the 16-bit lengths can hold the CONNECT.
func (c *Connect) check(bool) error {
	if len(c.Data) > maxConnectData {
		return &FrameError{Type: TypeConnect, Err: ErrTooLong,
			Problem: fmt.Sprintf("connect data of %d bytes, 65,535 can be announced; shorten the descriptor", len(c.Data))}
	}
	if offset := wholeFields(c.size()) + len(c.Extra); offset > maxSmallPacket {
		return &FrameError{Type: TypeConnect, Err: ErrTooLong,
			Problem: fmt.Sprintf("connect data would begin at byte %d, beyond the packet; drop Extra", offset)}
	}
	return nil
}

// Decode reads a CONNECT. following is the length of connect data that comes in DATA
// packets after it; 0 if Data is complete. Nothing in c refers to p.Body.
func (c *Connect) Decode(p Packet) (following int, err error) {
	*c = Connect{HeaderFlags: p.Flags}
	if err := wantType(p, TypeConnect); err != nil {
		return 0, err
	}
	in := cursor{packet: p}
	for _, v := range [...]*uint16{&c.Version, &c.Lowest, &c.Options, &c.SDU, &c.TDU, &c.NTCharacteristics, &c.LineTurnaround} {
		*v = in.u16("fixed fields")
	}
	in.copyTo(c.One[:], "byte order mark")
	length := int(in.u16("connect data length"))
	c.Offset = in.u16("connect data offset")
	c.MaxReceive = in.u32("maximum connect data")
	c.Flags0, c.Flags1 = in.u8("connect flags 0"), in.u8("connect flags 1")
	if offset := int(c.Offset); in.err == nil && (offset < connectFixedSize || offset > headerSize+len(p.Body)) {
		in.fail("connect data offset %d is outside %d to %d; the client is broken or probes us", offset, connectFixedSize, headerSize+len(p.Body))
	}
	fields := wholeFields(int(c.Offset))
	var optional [connectSize318 - connectFixedSize]byte
	in.copyTo(optional[:max(fields-connectFixedSize, 0)], "optional fields")
	c.unpackOptional(&optional)
	c.Extra = clone(in.take(int(c.Offset)-fields, "connect data"))
	switch data := in.rest(); {
	case len(data) == length:
		c.Data = clone(data)
	case len(data) == 0:
		following = length
	default:
		in.fail("announces %d bytes of connect data and has %d; the client is broken or probes us", length, len(data))
	}
	return following, in.err
}

// size is the offset up to which fields exist.
func (c *Connect) size() int {
	switch {
	case c.Offset >= connectFixedSize:
		return int(c.Offset)
	case c.Version >= VersionConnectFlags:
		return connectSize318
	case c.Version >= VersionLargeSDU:
		return connectSize315
	}
	return connectSize300
}

// wholeFields is the end of the last field that is whole before offset (tns.md 1.2).
func wholeFields(offset int) int {
	end := connectFixedSize
	for _, e := range [...]int{38, 42, 50, 52, 54, 56, connectSize300, 62, 66, connectSize315, connectSize318} {
		if e <= offset {
			end = e
		}
	}
	return end
}

// packOptional lays out bytes 34 to 73.
func (c *Connect) packOptional() (b [connectSize318 - connectFixedSize]byte) {
	be := binary.BigEndian
	be.PutUint32(b[0:], c.TraceItem1)
	be.PutUint32(b[4:], c.TraceItem2)
	copy(b[8:16], c.TraceID[:])
	be.PutUint16(b[16:], c.LocalTimeout)
	be.PutUint16(b[18:], c.LocalTick)
	be.PutUint16(b[20:], c.ReconnectLength)
	be.PutUint16(b[22:], c.ReconnectOffset)
	be.PutUint32(b[24:], c.SDU32)
	be.PutUint32(b[28:], c.TDU32)
	be.PutUint32(b[32:], c.Compression)
	be.PutUint32(b[36:], c.Flags2)
	return b
}

// unpackOptional reads bytes 34 to 73, absent ones being zero.
func (c *Connect) unpackOptional(b *[connectSize318 - connectFixedSize]byte) {
	be := binary.BigEndian
	c.TraceItem1 = be.Uint32(b[0:])
	c.TraceItem2 = be.Uint32(b[4:])
	copy(c.TraceID[:], b[8:16])
	c.LocalTimeout = be.Uint16(b[16:])
	c.LocalTick = be.Uint16(b[18:])
	c.ReconnectLength = be.Uint16(b[20:])
	c.ReconnectOffset = be.Uint16(b[22:])
	c.SDU32 = be.Uint32(b[24:])
	c.TDU32 = be.Uint32(b[28:])
	c.Compression = be.Uint32(b[32:])
	c.Flags2 = be.Uint32(b[36:])
}
