package ttc

import "bytes"

const (
	dataTypesCLRText = 0x02 // in Flags

	representationUniversal = 1
	representationOracle    = 10

	// maxRepresentations bounds the list of types; drivers send some three
	// hundred.
	maxRepresentations = 4096
)

// Representation says in what form values of a type travel.
type Representation struct {
	Type, As uint16 // As 0: not supported, and no more fields follow
	Form     uint16
}

// DataTypes is the client's second message and, echoed, the server's answer
// (ttc.md 5.2). The whole of it decides the Dialect; two clients that send the
// same bytes speak the same one.
type DataTypes struct {
	CharsetIn, CharsetOut uint16
	Flags                 byte
	Capabilities
	TimeZone        []byte // 11 bytes, if the run-time capabilities say so
	ZoneFile        uint32 // if the compile-time capabilities say so
	NationalCharset uint16 // one driver sends it, nothing announces it
	Types           []Representation
}

// NewDataTypes is the message of a thin driver of the current kind.
func NewDataTypes(caps Capabilities) *DataTypes {
	m := &DataTypes{
		CharsetIn: CharsetUTF8, CharsetOut: CharsetUTF8, Flags: 0x01 | dataTypesCLRText, Capabilities: caps.clone(),
	}
	if at(caps.Runtime, runtimeCompatibility)&runtimeTimeZone != 0 {
		m.TimeZone = utcZone()
	}
	for _, t := range []Type{
		TypeVarchar, TypeNumber, TypeLong, TypeRowID, TypeDate, TypeRaw, TypeLongRaw, TypeChar, TypeBinaryFloat,
		TypeBinaryDouble, TypeCursor, TypeCLOB, TypeBLOB, TypeTimestamp, TypeTimestampTZ, TypeTimestampLTZ,
	} {
		m.Types = append(m.Types, Representation{uint16(t), uint16(t), representationUniversal})
	}
	m.Types = append(m.Types, Representation{uint16(TypeSB1), uint16(TypeSB1), representationOracle})
	return m
}

// utcZone is the session time zone +00:00 as these messages carry it.
func utcZone() []byte {
	return []byte{0x80, 0, 0, 0, 60, 60, 60, 0x80, 0, 0, 0}
}

// Representation tells how the client wants values of a type, 0 if it does not
// say.
func (m *DataTypes) Representation(t Type) uint16 {
	for _, rep := range m.Types {
		if rep.Type == uint16(t) {
			return rep.Form
		}
	}
	return 0
}

func (m *DataTypes) hasTimeZone() bool {
	return at(m.Runtime, runtimeCompatibility)&runtimeTimeZone != 0
}

func (m *DataTypes) hasZoneFile() bool {
	return m.hasTimeZone() && at(m.Compile, capTTC3)&capZoneFile != 0
}

// Decode reads what follows the message code of a client's message.
func (m *DataTypes) Decode(r *Reader) {
	*m = DataTypes{CharsetIn: r.Uint16LE(), CharsetOut: r.Uint16LE(), Flags: r.Byte()}
	m.Compile = bytes.Clone(r.Bytes(int(r.Byte())))
	m.Runtime = bytes.Clone(r.Bytes(int(r.Byte())))
	if m.hasTimeZone() {
		m.TimeZone = bytes.Clone(r.Bytes(11))
	}
	if m.hasZoneFile() {
		m.ZoneFile = uint32(r.Uint16())<<16 | uint32(r.Uint16())
	}
	// Every list begins with type 1, whose first byte is zero; a character set
	// in little-endian order does not (ttc.md 5.2).
	if r.Peek() != 0 && r.err == nil {
		m.NationalCharset = r.Uint16LE()
	}
	m.Types = r.representations()
}

func (r *Reader) representations() []Representation {
	var types []Representation
	for {
		rep := Representation{Type: r.Uint16()}
		if rep.Type == 0 || r.err != nil {
			return types
		}
		if len(types) == maxRepresentations {
			r.malformed("more than %d data types", maxRepresentations)
			return nil
		}
		if rep.As = r.Uint16(); rep.As != 0 {
			rep.Form = r.Uint16()
			r.Skip(2)
		}
		types = append(types, rep)
	}
}

// AppendTo appends a client's message with its code.
func (m *DataTypes) AppendTo(dst []byte) []byte {
	dst = append(dst, byte(MessageDataTypes))
	dst = appendUint16LE(dst, m.CharsetIn)
	dst = appendUint16LE(dst, m.CharsetOut)
	dst = append(dst, m.Flags, byte(len(m.Compile)))
	dst = append(dst, m.Compile...)
	dst = append(dst, byte(len(m.Runtime)))
	dst = append(dst, m.Runtime...)
	dst = m.appendZone(dst, m.TimeZone)
	if m.NationalCharset != 0 {
		dst = appendUint16LE(dst, m.NationalCharset)
	}
	return m.appendTypes(dst)
}

func (m *DataTypes) appendZone(dst, zone []byte) []byte {
	if m.hasTimeZone() {
		dst = append(dst, zone...)
	}
	if m.hasZoneFile() {
		dst = appendUint16(dst, uint16(m.ZoneFile>>16))
		dst = appendUint16(dst, uint16(m.ZoneFile))
	}
	return dst
}

func (m *DataTypes) appendTypes(dst []byte) []byte {
	for _, rep := range m.Types {
		dst = appendUint16(dst, rep.Type)
		dst = appendUint16(dst, rep.As)
		if rep.As != 0 {
			dst = appendUint16(dst, rep.Form)
			dst = appendUint16(dst, 0)
		}
	}
	return appendUint16(dst, 0)
}

// AppendReply appends the server's answer: the time zone UTC, if the client
// asked for one, and the client's own list.
func (m *DataTypes) AppendReply(dst []byte) []byte {
	dst = append(dst, byte(MessageDataTypes))
	dst = m.appendZone(dst, utcZone())
	return m.appendTypes(dst)
}

// DecodeReply reads what follows the message code of the server's answer to a
// client that sent m, and returns the list in it.
func (m *DataTypes) DecodeReply(r *Reader) []Representation {
	if m.hasTimeZone() {
		r.Skip(11)
	}
	if m.hasZoneFile() {
		r.Skip(4)
	}
	return r.representations()
}
