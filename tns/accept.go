package tns

// Flags 2 of ACCEPT (tns.md 6).
const (
	Flags2PollAndCheck  uint32 = 0x01000000
	Flags2EndOfResponse uint32 = 0x02000000 // end of request and response, from version 319 on
	Flags2FastAuth      uint32 = 0x10000000
)

// Flag bytes of an ACCEPT after which no driver asks for native network services
// (ttc.md 3).
const (
	AcceptFlags0NoNA byte = 0x45
	AcceptFlags1NoNA byte = 0x00
)

// Accept starts a session on the socket it comes on (tns.md 6). Numbers in brackets
// are offsets in the packet.
type Accept struct {
	HeaderFlags byte   // FlagSessionID
	Version     uint16 // [8] chosen
	Options     uint16 // [10] chosen
	SDU, TDU    uint32 // bytes; [32] [36] from version 315 on, below it [12] [14]
	One         [2]byte
	Flags0      byte // [22]
	Flags1      byte // [23]

	Reconnect    [8]byte // [24] timeout, tick, reconnect address length and offset: zero
	SDU16, TDU16 uint16  // [12] [14] from version 315 on, where they do not count and may be 0
	Compression  byte    // [40] from version 315 on: 0x80 on, 0x40 auto, scheme in 0x3c
	Flags2       uint32  // [41] from version 318 on

	// ConnectionID [45] is 16 bytes, or absent; from version 319 on.
	ConnectionID []byte
	// Extra is what stands between the last known field and the accept data.
	Extra []byte
	// Offset of the accept data decides which fields exist, as far as Version has
	// them. 0 means all of Version's (32, 41 or 45 bytes), and ConnectionID if given.
	Offset uint16
	// Data is the accept data; none for a database session.
	Data []byte
	// Trailer is what follows the accept data inside the packet: a session id.
	Trailer []byte
}

// AnswerConnect is the ACCEPT for a CONNECT (tns.md 14, Accepting): the version is the
// lower of both sides', the SDU the lower of the client's and 8192, native network
// services and out-of-band breaks off, data the accept data. It is nil if the client's
// lowest version is above what results; Send answers ErrVersion to that, so that the
// caller can refuse.
func AnswerConnect(c *Connect, version uint16, data []byte) *Accept { return nil }

// AppendTo appends the ACCEPT and, if its data is longer than 230 bytes, the DATA
// packets that carry it; those have the lengths of the version just accepted.
func (a *Accept) AppendTo(dst []byte, _ bool) []byte { return dst }

// Decode reads an ACCEPT. following is the length of accept data that comes in DATA
// packets after it; 0 if Data is complete.
func (a *Accept) Decode(p Packet) (following int, err error) {
	*a = Accept{}
	return 0, wantType(p, TypeAccept)
}
