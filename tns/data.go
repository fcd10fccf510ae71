package tns

import "encoding/binary"

// Data flags (tns.md 1.4, ttc.md 3).
const (
	DataMore          uint16 = 0x0020 // more of this message follows; old clients only
	DataEOF           uint16 = 0x0040 // end of file; last packet of a REDIRECT's text or of an administrative reply
	DataCompressed    uint16 = 0x0400
	DataEndOfRequest  uint16 = 0x0800
	DataBeginPipeline uint16 = 0x1000
	DataEndOfResponse uint16 = 0x2000
	DataTLSRestart    uint16 = 0x8000 // repeat the TLS handshake

	// lastPacketFlags tell something about the end of a payload.
	lastPacketFlags = DataEOF | DataEndOfRequest | DataEndOfResponse
)

// Data carries a payload. DataEOF with an empty payload closes a session.
type Data struct {
	Flags   uint16
	Payload []byte
}

// AppendTo appends one packet, or as many as a 16-bit length requires.
func (d Data) AppendTo(dst []byte, large bool) []byte {
	return AppendData(dst, d.Flags, d.Payload, 0, large)
}

// Decode reads a DATA packet. Payload is a part of p.Body, not a copy.
func (d *Data) Decode(p Packet) error {
	*d = Data{}
	if err := wantType(p, TypeData); err != nil {
		return err
	}
	c := cursor{packet: p}
	d.Flags = c.u16("data flags")
	if payload := c.rest(); len(payload) > 0 {
		d.Payload = payload
	}
	return c.err
}

// AppendData appends payload as DATA packets of at most sdu bytes each, header
// included; sdu 0 means as large as the length field allows. Flags that tell of an
// end (DataEOF, DataEndOfRequest, DataEndOfResponse) are set on the last packet only,
// DataBeginPipeline on the first only, others on every packet. An empty payload makes
// one packet of 10 bytes.
func AppendData(dst []byte, flags uint16, payload []byte, sdu int, large bool) []byte {
	room := dataRoom(sdu, large)
	first := flags
	for {
		part, now := payload, first
		if len(part) > room {
			part, now = part[:room], first&^lastPacketFlags
		}
		payload = payload[len(part):]
		var start int
		dst, start = beginPacket(dst, TypeData, 0)
		dst = binary.BigEndian.AppendUint16(dst, now)
		dst = endPacket(append(dst, part...), start, large)
		if len(payload) == 0 {
			return dst
		}
		first = flags &^ DataBeginPipeline
	}
}

// dataRoom is the payload of a DATA packet of sdu bytes.
func dataRoom(sdu int, large bool) int {
	limit := MaxSDU
	if !large {
		limit = maxSmallPacket
	}
	if sdu <= 0 || sdu > limit {
		sdu = limit
	}
	return max(sdu-dataHeaderSize, 1)
}
