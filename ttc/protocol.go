package ttc

import "bytes"

// maxDriverName bounds the name a client opens with; real ones have about
// fifteen characters.
const maxDriverName = 256

// Protocol is the first message of a client (ttc.md 5.1).
type Protocol struct {
	Versions []byte // newest first, without the closing zero; 6 is 8.1 and later
	Driver   string // for instance "node-oracledb : 26.0.0"; the first hint of who is there
}

// Decode reads what follows the message code.
func (m *Protocol) Decode(r *Reader) {
	*m = Protocol{}
	for {
		version := r.Byte()
		if version == 0 || r.err != nil {
			break
		}
		if len(m.Versions) == 16 {
			r.malformed("more than %d protocol versions", len(m.Versions))
			break
		}
		m.Versions = append(m.Versions, version)
	}
	m.Driver = r.zeroTerminated(maxDriverName)
}

// AppendTo appends the message with its code.
func (m *Protocol) AppendTo(dst []byte) []byte {
	dst = append(dst, byte(MessageProtocol))
	dst = append(dst, m.Versions...)
	dst = append(dst, 0)
	dst = append(dst, m.Driver...)
	return append(dst, 0)
}

// zeroTerminated reads characters up to a zero byte.
func (r *Reader) zeroTerminated(most int) string {
	var text []byte
	for r.err == nil {
		b := r.Byte()
		if b == 0 {
			break
		}
		if len(text) == most {
			r.malformed("name of more than %d characters", most)
			break
		}
		text = append(text, b)
	}
	return string(text)
}

// ProtocolReply is the server's answer to Protocol.
type ProtocolReply struct {
	Version         byte   // 6
	Banner          string // under 48 bytes, or node-oracledb refuses it
	Charset         uint16
	Flags           byte
	NationalCharset uint16
	Capabilities
}

// NewProtocolReply answers with the capabilities given, AL32UTF8 and
// AL16UTF16.
func NewProtocolReply(caps Capabilities) *ProtocolReply {
	return &ProtocolReply{
		Version: 6, Banner: "x86_64/Linux 2.4.xx", Charset: CharsetUTF8, Flags: 1,
		NationalCharset: CharsetUTF16, Capabilities: caps,
	}
}

// AppendTo appends the message with its code.
func (m *ProtocolReply) AppendTo(dst []byte) []byte {
	dst = append(dst, byte(MessageProtocol), m.Version, 0)
	dst = append(dst, m.Banner...)
	dst = append(dst, 0)
	dst = appendUint16LE(dst, m.Charset)
	dst = append(dst, m.Flags)
	dst = appendUint16LE(dst, 0) // character set elements
	// Eleven bytes of which clients read 5 and 6, whose sum says how much
	// further the national character set is.
	dst = appendUint16(dst, 11)
	dst = appendZeros(dst, 9)
	dst = appendUint16(dst, m.NationalCharset)
	dst = AppendCLR(dst, m.Compile)
	return AppendCLR(dst, m.Runtime)
}

// Decode reads what follows the message code.
func (m *ProtocolReply) Decode(r *Reader) {
	*m = ProtocolReply{Version: r.Byte()}
	r.Byte()
	m.Banner = r.zeroTerminated(maxDriverName)
	m.Charset = r.Uint16LE()
	m.Flags = r.Byte()
	r.Skip(5 * int(r.Uint16LE()))
	fdo := r.Bytes(int(r.Uint16()))
	if len(fdo) > 6 {
		if at := 9 + int(fdo[5]) + int(fdo[6]); len(fdo) >= at+2 {
			m.NationalCharset = uint16(fdo[at])<<8 | uint16(fdo[at+1])
		}
	}
	m.Capabilities = Capabilities{Compile: bytes.Clone(r.CLR()), Runtime: bytes.Clone(r.CLR())}
}
