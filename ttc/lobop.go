package ttc

// LOBOperation says what FunctionLOB does (ttc.md 9).
type LOBOperation uint32

// The operations.
const (
	LOBLength     LOBOperation = 0x1
	LOBRead       LOBOperation = 0x2
	LOBCopy       LOBOperation = 0x4
	LOBErase      LOBOperation = 0x10
	LOBTrim       LOBOperation = 0x20
	LOBWrite      LOBOperation = 0x40
	LOBAppend     LOBOperation = 0x80
	LOBFileExists LOBOperation = 0x800
	LOBCreateTemp LOBOperation = 0x110
	LOBFreeTemp   LOBOperation = 0x111
	LOBChunkSize  LOBOperation = 0x4000
	LOBOpen       LOBOperation = 0x8000
	LOBClose      LOBOperation = 0x10000
	LOBIsOpen     LOBOperation = 0x11000
	LOBArray      LOBOperation = 0x80000 // with LOBFreeTemp: many locators
)

// maxLocator bounds a locator. Real ones are around a hundred bytes, empty ones
// of clients forty; an array of them may be long.
const (
	maxLocator      = 1 << 16
	maxLocatorArray = 1 << 24
)

// LOBCall is the body of FunctionLOB.
type LOBCall struct {
	Operation         LOBOperation
	Source            []byte // locator; for LOBFreeTemp with LOBArray all of them
	Destination       []byte
	DestinationLength uint32
	SourceOffset      uint64 // counted from 1; a character set form for LOBCreateTemp
	DestinationOffset uint64 // a type for LOBCreateTemp
	HasCharset        bool
	Charset           uint16
	WantNull          bool // the answer is to say whether the LOB is NULL, or open
	SCN               []uint32
	HasAmount         bool
	Amount            uint64 // characters or bytes; a length or mode for some operations
	Data              []byte // for LOBWrite
}

// Decode reads what follows the header.
func (m *LOBCall) Decode(r *Reader, _ Dialect) {
	*m = LOBCall{}
	hasSource := r.Byte() != 0
	source := r.Count(maxLocatorArray)
	hasDestination := r.Byte() != 0
	m.DestinationLength = r.UB4()
	r.UB4() // short offsets
	r.UB4()
	m.HasCharset = r.Byte() != 0
	r.Byte() // short amount
	m.WantNull = r.Byte() != 0
	m.Operation = LOBOperation(r.UB4())
	hasSCN := r.Byte() != 0
	scn := r.Count(64)
	m.SourceOffset, m.DestinationOffset = r.UB8(), r.UB8()
	m.HasAmount = r.Byte() != 0
	// Three pairs of pointer and length, for arrays, none of them in use.
	r.Skip(6)
	if hasSource {
		m.Source = r.Bytes(source)
	}
	if hasDestination {
		if m.DestinationLength > maxLocator {
			r.malformed("locator of %d bytes", m.DestinationLength)
		}
		m.Destination = r.Bytes(int(m.DestinationLength))
	}
	if m.HasCharset {
		m.Charset = uint16(r.UB4())
	}
	for i := 0; hasSCN && i < scn; i++ {
		m.SCN = append(m.SCN, r.UB4())
	}
	m.decodeEnd(r)
}

// decodeEnd reads data and amount. Drivers differ in their order: some send
// the amount of a write before the data, which its message code gives away.
func (m *LOBCall) decodeEnd(r *Reader) {
	write := m.Operation == LOBWrite
	if write && r.Peek() == byte(MessageLOBData) {
		r.Byte()
		m.Data = r.CLR()
		write = false
	}
	if m.HasAmount {
		m.Amount = r.UB8()
	}
	if write {
		r.expect(MessageLOBData)
		m.Data = r.CLR()
	}
}

// AppendTo appends the body.
func (m *LOBCall) AppendTo(dst []byte, _ Dialect) []byte {
	dst = appendPointer(dst, len(m.Source) > 0)
	dst = appendCount(dst, len(m.Source))
	dst = appendPointer(dst, len(m.Destination) > 0)
	dst = appendUB(dst, uint64(m.DestinationLength))
	dst = append(dst, 0, 0)
	dst = appendPointer(dst, m.HasCharset)
	dst = append(dst, 0)
	dst = appendPointer(dst, m.WantNull)
	dst = appendUB(dst, uint64(m.Operation))
	dst = appendPointer(dst, len(m.SCN) > 0)
	dst = appendCount(dst, len(m.SCN))
	dst = appendUB(dst, m.SourceOffset)
	dst = appendUB(dst, m.DestinationOffset)
	dst = appendPointer(dst, m.HasAmount)
	dst = appendZeros(dst, 6)
	dst = append(dst, m.Source...)
	dst = append(dst, m.Destination...)
	if m.HasCharset {
		dst = appendUB(dst, uint64(m.Charset))
	}
	for _, n := range m.SCN {
		dst = appendUB(dst, uint64(n))
	}
	if m.HasAmount {
		dst = appendUB(dst, m.Amount)
	}
	if m.Operation == LOBWrite {
		dst = append(dst, byte(MessageLOBData))
		dst = AppendCLR(dst, m.Data)
	}
	return dst
}

// LOBReply is the answer to FunctionLOB, before the CallEnd: the data read, if
// any, and what changed of the call's own fields.
type LOBReply struct {
	Data        []byte
	HasData     bool
	Source      []byte // as long as the call's, whose place it takes
	Destination []byte
	Charset     uint16
	Amount      uint64
	Null        bool // or open
}

// AppendTo appends the messages with their codes. Which fields it has, call
// decides.
func (m *LOBReply) AppendTo(dst []byte, call *LOBCall, d Dialect) []byte {
	if m.HasData {
		dst = append(dst, byte(MessageLOBData))
		dst = AppendCLR(dst, m.Data)
	}
	dst = append(dst, byte(MessageParameters))
	dst = append(dst, m.Source...)
	if len(call.Destination) > 0 {
		dst = append(dst, m.Destination...)
	}
	if call.HasCharset {
		dst = appendUB(dst, uint64(m.Charset))
	}
	if call.HasAmount {
		dst = appendUB(dst, m.Amount)
	}
	switch {
	case call.WantNull && d.RawScale:
		dst = appendPointer(dst, m.Null)
	case call.WantNull:
		dst = appendUB(dst, boolNumber(m.Null))
	}
	return dst
}

// Decode reads the messages with their codes.
func (m *LOBReply) Decode(r *Reader, call *LOBCall, d Dialect) {
	*m = LOBReply{}
	if r.Peek() == byte(MessageLOBData) {
		r.Byte()
		m.HasData = true
		m.Data = r.CLR()
	}
	r.expect(MessageParameters)
	m.Source = r.Bytes(len(call.Source))
	if len(call.Destination) > 0 {
		m.Destination = r.Bytes(len(call.Destination))
	}
	if call.HasCharset {
		m.Charset = r.UB2()
	}
	if call.HasAmount {
		m.Amount = r.UB8()
	}
	switch {
	case call.WantNull && d.RawScale:
		m.Null = r.Byte() != 0
	case call.WantNull:
		m.Null = r.UB2() != 0
	}
}
