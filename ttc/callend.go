package ttc

import "fmt"

// Bits of the end-of-call status (ttc.md 6.6).
const (
	StatusTransaction uint32 = 0x0002 // a transaction is open
	StatusPlannedDown uint32 = 0x0800 // drop this connection when it is given back
	StatusReleased    uint32 = 0x8000 // the session was released: all cursors are void
	statusAlways      uint32 = 0x0001
)

// CodeNoDataFound ends a query: no error to the client, but no more rows.
const CodeNoDataFound = 1403

// warningCompiled is the bit that says a program was stored with errors.
const warningCompiled byte = 0x20

// BatchError is the failure of one row of array DML.
type BatchError struct {
	Code uint16
	Row  uint32
	Text string
}

// CallEnd ends the answer to a call, with an error or without (ttc.md 6.6).
type CallEnd struct {
	Status   uint32
	Sequence uint16
	Code     uint32 // 0, or the number after ORA-
	Text     string // the whole message with its ORA number; only with a Code
	Cursor   uint16
	Position int16 // byte offset of the error in the statement; 0 unknown
	Rows     uint64
	RowID    RowID
	Compiled bool // a program was stored, with errors
	Call     byte // sequence number of the call that is answered
	Batch    []BatchError
}

// AppendTo appends the message with its code.
func (m *CallEnd) AppendTo(dst []byte, d Dialect) []byte {
	dst = append(dst, byte(MessageCallEnd))
	dst = appendUB(dst, uint64(m.Status|statusAlways))
	dst = appendUB(dst, uint64(m.Sequence))
	dst = appendUB(dst, min(m.Rows, 1<<32-1))
	dst = appendUB(dst, uint64(uint16(m.Code)))
	dst = append(dst, 0, 0) // array element errors
	dst = appendUB(dst, uint64(m.Cursor))
	dst = appendSB(dst, int64(m.Position))
	dst = append(dst, 0, 0, 0, 0, 0) // SQL type, fatal, flags, cursor options, UPI
	dst = append(dst, warningCompiled*byte(boolNumber(m.Compiled)))
	dst = m.RowID.appendTo(dst)
	dst = append(dst, 0, 0, m.Call, 0) // OS error, statement, call number, padding
	dst = appendUB(dst, min(m.Rows, 1<<32-1))
	dst = append(dst, 0) // logical rowid
	dst = m.appendBatch(dst)
	dst = appendUB(dst, uint64(m.Code))
	dst = appendUB(dst, m.Rows)
	if d.FieldVersion >= fieldVersion20_1 {
		dst = append(dst, 0, 0)
	}
	if m.Code != 0 {
		dst = AppendCLR(dst, []byte(m.Text))
	}
	return dst
}

// appendBatch appends three arrays: codes, row numbers and messages.
func (m *CallEnd) appendBatch(dst []byte) []byte {
	n := len(m.Batch)
	codes, rows := make([][]byte, n), make([][]byte, n)
	for i, e := range m.Batch {
		codes[i] = appendUB(nil, uint64(e.Code))
		rows[i] = appendUB(nil, uint64(e.Row))
	}
	dst = appendPacked(dst, codes)
	dst = appendPacked(dst, rows)
	dst = appendCount(dst, n)
	if n == 0 {
		return dst
	}
	dst = append(dst, longLength)
	for _, e := range m.Batch {
		dst = appendCount(dst, len(e.Text))
		dst = AppendCLR(dst, []byte(e.Text))
		dst = append(dst, 0, 0)
	}
	return dst
}

// appendPacked appends an array of integers: their number, and all of them in
// one CLR, whose chunks hold one each if it is long.
func appendPacked(dst []byte, elements [][]byte) []byte {
	dst = appendCount(dst, len(elements))
	total := 0
	for _, e := range elements {
		total += len(e)
	}
	switch {
	case total == 0:
		return dst
	case total <= maxShortLength:
		dst = append(dst, byte(total))
		for _, e := range elements {
			dst = append(dst, e...)
		}
		return dst
	}
	dst = append(dst, longLength)
	for _, e := range elements {
		dst = append(appendCount(dst, len(e)), e...)
	}
	return append(dst, 0)
}

// Decode reads what follows the message code.
func (m *CallEnd) Decode(r *Reader, d Dialect) {
	*m = CallEnd{Status: r.UB4(), Sequence: r.UB2()}
	r.UB4()
	r.UB2()
	r.UB2()
	r.UB2()
	m.Cursor = r.UB2()
	m.Position = r.SB2()
	r.Skip(5)
	m.Compiled = r.Byte()&warningCompiled != 0
	m.RowID.decode(r)
	r.UB4()
	r.Byte()
	m.Call = r.Byte()
	r.UB2()
	r.UB4()
	r.CLR()
	m.decodeBatch(r)
	m.Code = r.UB4()
	m.Rows = r.UB8()
	if d.FieldVersion >= fieldVersion20_1 {
		r.UB4()
		r.UB4()
	}
	if m.Code != 0 {
		m.Text = string(r.CLR())
	}
}

func (m *CallEnd) decodeBatch(r *Reader) {
	codes := r.batchArray(int(r.UB2()))
	rows := r.batchArray(r.Count(maxBinds))
	for i := range codes {
		e := BatchError{Code: uint16(codes[i])}
		if i < len(rows) {
			e.Row = rows[i]
		}
		m.Batch = append(m.Batch, e)
	}
	n := int(r.UB2())
	if n > 0 {
		r.Byte()
	}
	for i := range n {
		r.UB2()
		text := string(r.CLR())
		r.Skip(2)
		if r.err != nil {
			return
		}
		if i < len(m.Batch) {
			m.Batch[i].Text = text
		}
	}
}

func (r *Reader) batchArray(n int) []uint32 {
	if n == 0 {
		return nil
	}
	chunked := r.Byte() == longLength
	var values []uint32
	for range n {
		if chunked {
			r.UB4()
		}
		values = append(values, r.UB4())
		if r.err != nil {
			return nil
		}
	}
	if chunked {
		r.Byte()
	}
	return values
}

// Err is the failure as an error, nil if there is none.
func (m *CallEnd) Err() error {
	if m.Code == 0 || m.Code == CodeNoDataFound {
		return nil
	}
	return fmt.Errorf("%s", m.Text)
}

// Status ends the answer to a call that cannot fail.
type Status struct {
	Status   uint32
	Sequence uint16
}

// AppendTo appends the message with its code.
func (m *Status) AppendTo(dst []byte, _ Dialect) []byte {
	dst = append(dst, byte(MessageStatus))
	dst = appendUB(dst, uint64(m.Status|statusAlways))
	return appendUB(dst, uint64(m.Sequence))
}

// Decode reads what follows the message code.
func (m *Status) Decode(r *Reader) { *m = Status{Status: r.UB4(), Sequence: r.UB2()} }

// Warning goes before the end of an answer.
type Warning struct {
	Code uint16
	Text string
}

// AppendTo appends the message with its code.
func (m *Warning) AppendTo(dst []byte, _ Dialect) []byte {
	dst = append(dst, byte(MessageWarning))
	dst = appendUB(dst, uint64(m.Code))
	dst = appendCount(dst, len(m.Text))
	dst = append(dst, 0)
	if m.Code != 0 && m.Text != "" {
		dst = AppendCLR(dst, []byte(m.Text))
	}
	return dst
}

// Decode reads what follows the message code.
func (m *Warning) Decode(r *Reader) {
	*m = Warning{Code: r.UB2()}
	length := r.UB2()
	r.UB2()
	if m.Code != 0 && length > 0 {
		m.Text = string(r.CLR())
	}
}

// AppendToken appends the message that says which call of a pipeline is
// answered.
func AppendToken(dst []byte, token uint64) []byte {
	return appendUB(append(dst, byte(MessageToken)), token)
}
