package ttc

// Parameters is what an execute or fetch returns besides rows (ttc.md 6.4).
type Parameters struct {
	SCN       uint64
	Cursor    uint32
	RowCounts []uint64 // nil unless they were asked for
}

// AppendTo appends the message with its code. A client that asked for row
// counts expects their number even if there are none.
func (m *Parameters) AppendTo(dst []byte, _ Dialect) []byte {
	dst = append(dst, byte(MessageParameters))
	dst = appendCount(dst, 6)
	dst = appendUB(dst, m.SCN&(1<<32-1))
	dst = appendUB(dst, m.SCN>>32)
	dst = appendUB(dst, uint64(m.Cursor))
	dst = append(dst, 0, 0, 0)
	dst = append(dst, 0, 0, 0) // transaction, keyword pairs, registration
	if m.RowCounts == nil {
		return dst
	}
	dst = appendCount(dst, len(m.RowCounts))
	for _, n := range m.RowCounts {
		dst = appendUB(dst, n)
	}
	return dst
}

// Decode reads what follows the message code; rowCounts says whether the call
// asked for them.
func (m *Parameters) Decode(r *Reader, rowCounts bool) {
	*m = Parameters{}
	for i := range int(r.UB2()) {
		n := uint64(r.UB4())
		switch i {
		case 0:
			m.SCN |= n
		case 1:
			m.SCN |= n << 32
		case 2:
			m.Cursor = uint32(n)
		}
		if r.err != nil {
			return
		}
	}
	r.Skip(int(r.UB2()))
	r.nPairs(int(r.UB2()))
	r.Skip(int(r.UB2()))
	if !rowCounts {
		return
	}
	m.RowCounts = []uint64{}
	for range r.Count(1 << 24) {
		m.RowCounts = append(m.RowCounts, r.UB8())
		if r.err != nil {
			return
		}
	}
}

// Version is the answer to FunctionVersion, followed by a Status.
type Version struct {
	Banner string
	Number uint32
}

// AppendTo appends the message with its code.
func (m *Version) AppendTo(dst []byte, d Dialect) []byte {
	dst = append(dst, byte(MessageParameters))
	dst = appendCount(dst, len(m.Banner))
	dst = appendText(dst, []byte(m.Banner), d)
	return appendUB(dst, uint64(m.Number))
}

// Decode reads what follows the message code.
func (m *Version) Decode(r *Reader, d Dialect) {
	*m = Version{Banner: string(r.Text(uint32(r.UB2()), d))}
	m.Number = r.UB4()
}

// VersionCall is the body of FunctionVersion.
type VersionCall struct{}

// Decode reads what follows the header.
func (m *VersionCall) Decode(r *Reader, d Dialect) {
	r.Byte()
	r.UB4()
	r.Skip(2)
	if d.FieldVersion >= fieldVersion18_1 {
		r.UB4()
	}
}

// AppendTo appends the body.
func (m *VersionCall) AppendTo(dst []byte, d Dialect) []byte {
	dst = append(dst, 1, 2, 1, 0, 1, 1)
	if d.FieldVersion >= fieldVersion18_1 {
		dst = append(dst, 1, 1)
	}
	return dst
}
