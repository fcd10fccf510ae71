package tns

import "encoding/binary"

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

// Offset of the connect data of a CONNECT by version (tns.md 1.2).
const (
	connectFixedSize  = 34 // all versions
	connectSize300    = 58 // below 315
	connectSize315    = 70
	connectSize318    = 74
	maxConnectData    = 0xffff // what its 16-bit length can say
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
	// Offset of the connect data decides which fields exist. 0 means the layout of
	// Version. Sent is the offset that results from the fields and Extra.
	Offset uint16
	// Data is the connect data: a descriptor, at most 65,535 bytes.
	Data []byte
}

// connectField is a field beyond those of every version.
type connectField struct {
	end   int // offset of the first byte after it
	value func(*Connect) any
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

var _ = binary.BigEndian

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
// packets that carry it (tns.md 1.3).
func (c *Connect) AppendTo(dst []byte, _ bool) []byte { return dst }

// Decode reads a CONNECT. following is the length of connect data that comes in DATA
// packets after it; 0 if Data is complete.
func (c *Connect) Decode(p Packet) (following int, err error) {
	*c = Connect{}
	return 0, wantType(p, TypeConnect)
}
