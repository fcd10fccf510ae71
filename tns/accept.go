package tns

import (
	"encoding/binary"
	"fmt"
)

// Flags 2 of ACCEPT, besides Flags2OOBCheck (tns.md 6).
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

// Layout of an ACCEPT (tns.md 6).
const (
	acceptSize300    = 32 // size without accept data below version 315
	acceptSize315    = 41
	acceptSize318    = 45
	acceptSizeFull   = 61 // with a connection id
	connectionIDSize = 16

	smallTDU = 0x7fff // what real listeners answer below version 315
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
	// them; 0 means all of Version's (32, 41 or 45 bytes), and ConnectionID if given.
	// What is sent as offset results from these fields and Extra.
	Offset uint16
	// Data is the accept data; none for a database session.
	Data []byte
	// Trailer is what follows the accept data inside the packet: a session id.
	Trailer []byte
	// Inline keeps accept data of more than 230 bytes in the packet itself, as the
	// listener sent it; else it follows in DATA packets.
	Inline bool
}

// AnswerConnect is the ACCEPT for a CONNECT (tns.md 14, Accepting): the version is the
// lower of both sides', the SDU the lower of the client's and 8192 but at least 512,
// native network services and out-of-band breaks are off, and data is the accept data.
// It is nil if the client's lowest version is above what results, or that is below
// 300; Send answers ErrVersion to nil, so that the caller can refuse.
func AnswerConnect(c *Connect, version uint16, data []byte) *Accept {
	version = min(version, c.Version, VersionHighest)
	if version < c.Lowest || version < VersionLowest {
		return nil
	}
	sdu, tdu := uint32(c.SDU), uint32(min(c.TDU, smallTDU))
	if version >= VersionLargeSDU {
		if c.size() >= 62 && c.SDU32 > 0 { // the large SDU field is there
			sdu = c.SDU32
		}
		tdu = 0
	}
	sdu = min(max(sdu, MinSDU), DefaultSDU)
	return &Accept{
		Version: version,
		Options: OptionDontCare,
		SDU:     sdu,
		TDU:     max(sdu, tdu),
		One:     [2]byte{1, 0},
		Flags0:  AcceptFlags0NoNA,
		Flags1:  AcceptFlags1NoNA,
		Data:    data,
	}
}

// AppendTo appends the ACCEPT and, if its data is longer than 230 bytes, the DATA
// packets that carry it; those have the lengths of the version just accepted
// (tns.md 10.3). An ACCEPT that its 16-bit lengths cannot hold appends nothing; Send
// refuses it with ErrTooLong.
func (a *Accept) AppendTo(dst []byte, _ bool) []byte {
	if a.check(false) != nil {
		return dst
	}
	large := a.Version >= VersionLargeSDU
	sdu, tdu := a.SDU16, a.TDU16
	if !large {
		sdu, tdu = uint16(min(a.SDU, 0xffff)), uint16(min(a.TDU, 0xffff))
	}
	fields := acceptFields(a.Version, a.size())
	offset := fields + len(a.Extra)
	inline := (a.Inline || len(a.Data) <= inlineLimit) && offset+len(a.Data)+len(a.Trailer) <= maxSmallPacket

	dst, start := beginPacket(dst, TypeAccept, a.HeaderFlags)
	for _, v := range [...]uint16{a.Version, a.Options, sdu, tdu} {
		dst = binary.BigEndian.AppendUint16(dst, v)
	}
	dst = append(dst, a.One[0], a.One[1])
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(a.Data)))
	dst = binary.BigEndian.AppendUint16(dst, uint16(offset))
	dst = append(dst, a.Flags0, a.Flags1)
	dst = append(dst, a.Reconnect[:]...)
	optional := a.packOptional()
	dst = append(dst, optional[:fields-acceptSize300]...)
	dst = append(dst, a.Extra...)
	if inline {
		dst = append(dst, a.Data...)
		return endPacket(append(dst, a.Trailer...), start, false)
	}
	dst = endPacket(append(dst, a.Trailer...), start, false)
	return AppendData(dst, 0, a.Data, textPacketSize, large)
}

// check tells whether there is an ACCEPT and the 16-bit lengths can hold it.
func (a *Accept) check(bool) error {
	if a == nil {
		return fmt.Errorf("%w: the client's lowest version is above ours, or its own is below %d; refuse it", ErrVersion, VersionLowest)
	}
	if len(a.Data) > maxConnectData || acceptFields(a.Version, a.size())+len(a.Extra)+len(a.Trailer) > maxSmallPacket {
		return &FrameError{Type: TypeAccept, Err: ErrTooLong,
			Problem: "lengths have 16 bits here; send long text as DATA after the ACCEPT"}
	}
	return nil
}

// Decode reads an ACCEPT. following is the length of accept data that comes in DATA
// packets after it; 0 if Data is complete. An offset inside the fixed fields, at which
// no driver looks, is taken as Version's own. Nothing in a refers to p.Body.
func (a *Accept) Decode(p Packet) (following int, err error) {
	*a = Accept{HeaderFlags: p.Flags}
	if err := wantType(p, TypeAccept); err != nil {
		return 0, err
	}
	in := cursor{packet: p}
	a.Version, a.Options = in.u16("version"), in.u16("options")
	a.SDU16, a.TDU16 = in.u16("SDU"), in.u16("TDU")
	in.copyTo(a.One[:], "byte order mark")
	length := int(in.u16("accept data length"))
	a.Offset = in.u16("accept data offset")
	a.Flags0, a.Flags1 = in.u8("flags 0"), in.u8("flags 1")
	in.copyTo(a.Reconnect[:], "reconnect address")
	if a.Offset < acceptSize300 {
		a.Offset = 0
	}
	offset := a.size()
	if in.err == nil && offset > headerSize+len(p.Body) {
		in.fail("accept data offset %d is past its end; the listener is broken", offset)
	}
	fields := acceptFields(a.Version, offset)
	var optional [acceptSizeFull - acceptSize300]byte
	in.copyTo(optional[:fields-acceptSize300], "optional fields")
	a.unpackOptional(&optional, fields)
	a.Extra = clone(in.take(offset-fields, "accept data"))
	following = a.splitData(&in, length)
	return following, in.err
}

// splitData takes the accept data and the session id behind it; it returns the length
// of accept data that is not in the packet.
func (a *Accept) splitData(in *cursor, length int) (following int) {
	rest := in.rest()
	withID := a.HeaderFlags&FlagSessionID != 0 && len(rest) == connectionIDSize
	switch {
	case length <= len(rest):
		a.Data, a.Trailer = clone(rest[:length]), clone(rest[length:])
		a.Inline = length > inlineLimit
	case len(rest) == 0 || withID:
		a.Trailer = clone(rest)
		return length
	default:
		in.fail("announces %d bytes of accept data and has %d; the listener is broken", length, len(rest))
	}
	return 0
}

// size is the offset up to which fields exist.
func (a *Accept) size() int {
	switch {
	case a.Offset >= acceptSize300:
		return int(a.Offset)
	case a.Version >= VersionHighest && len(a.ConnectionID) > 0:
		return acceptSizeFull
	case a.Version >= VersionConnectFlags:
		return acceptSize318
	case a.Version >= VersionLargeSDU:
		return acceptSize315
	}
	return acceptSize300
}

// acceptFields is the end of the last field that version has and that is whole before
// offset (tns.md 6).
func acceptFields(version uint16, offset int) int {
	end := acceptSize300
	for _, f := range [...]struct {
		end   int
		since uint16
	}{
		{36, VersionLargeSDU}, {40, VersionLargeSDU}, {acceptSize315, VersionLargeSDU},
		{acceptSize318, VersionConnectFlags}, {acceptSizeFull, VersionHighest},
	} {
		if version >= f.since && f.end <= offset {
			end = f.end
		}
	}
	return end
}

// packOptional lays out bytes 32 to 60.
func (a *Accept) packOptional() (b [acceptSizeFull - acceptSize300]byte) {
	be := binary.BigEndian
	be.PutUint32(b[0:], a.SDU)
	be.PutUint32(b[4:], a.TDU)
	b[8] = a.Compression
	be.PutUint32(b[9:], a.Flags2)
	copy(b[13:], a.ConnectionID)
	return b
}

// unpackOptional reads bytes 32 to 60, those from fields on being absent.
func (a *Accept) unpackOptional(b *[acceptSizeFull - acceptSize300]byte, fields int) {
	be := binary.BigEndian
	a.SDU, a.TDU = be.Uint32(b[0:]), be.Uint32(b[4:])
	a.Compression = b[8]
	a.Flags2 = be.Uint32(b[9:])
	if fields >= acceptSizeFull {
		a.ConnectionID = clone(b[13:])
	}
	if a.Version < VersionLargeSDU {
		a.SDU, a.TDU = uint32(a.SDU16), uint32(a.TDU16)
		a.SDU16, a.TDU16 = 0, 0
	}
}
