package ttc

import "bytes"

// describeToken is the length of what a describe begins with: 16 bytes that
// identify the statement and a date.
const describeToken = 23

// noScale is the scale of a NUMBER declared without one.
const noScale = -127

// Column describes one column of a query (ttc.md 6.2).
type Column struct {
	Name      string
	Type      Type
	Precision int8
	Scale     int8 // -127 for a NUMBER without one; digits of the second of timestamps
	// Size is in bytes. Zero tells some drivers that the column is always
	// NULL, so that they read no value.
	Size uint32
	// Characters is the size of a character column in characters.
	Characters uint32
	Charset    uint16
	Form       byte
	Nullable   bool
}

func (c *Column) appendTo(dst []byte, d Dialect, position int) []byte {
	dst = append(dst, byte(c.Type), 0, byte(c.Precision))
	if c.Type.scaled() && !d.RawScale {
		dst = appendSB(dst, int64(c.Scale))
	} else {
		dst = append(dst, byte(c.Scale))
	}
	dst = appendUB(dst, uint64(c.Size))
	dst = append(dst, 0, 0, 0, 0) // elements, continuation, type id, version
	dst = appendUB(dst, uint64(c.Charset))
	dst = append(dst, c.Form)
	dst = appendUB(dst, uint64(c.Characters))
	if d.FieldVersion >= fieldVersion12_2 {
		dst = append(dst, 0)
	}
	dst = appendPointer(dst, c.Nullable)
	dst = append(dst, byte(min(len(c.Name), maxShortLength)))
	dst = appendDLCText(dst, c.Name)
	dst = append(dst, 0, 0) // schema and name of an object type
	dst = appendCount(dst, position)
	dst = append(dst, 0) // flags
	if d.FieldVersion >= fieldVersion23_1 {
		dst = append(dst, 0, 0) // domain
	}
	if d.FieldVersion >= fieldVersion23_1Ext3 {
		dst = append(dst, 0) // annotations
	}
	if d.FieldVersion >= fieldVersion23_4 {
		dst = append(dst, 0, 0, 0) // vector
	}
	return dst
}

func (c *Column) decode(r *Reader, d Dialect) {
	*c = Column{Type: Type(r.Byte())}
	r.Byte()
	c.Precision = int8(r.Byte())
	if c.Type.scaled() && !d.RawScale {
		c.Scale = int8(r.SB2())
	} else {
		c.Scale = int8(r.Byte())
	}
	c.Size = r.UB4()
	r.UB4()
	r.UB8()
	r.DLC()
	r.UB2()
	c.Charset = r.UB2()
	c.Form = r.Byte()
	c.Characters = r.UB4()
	if d.FieldVersion >= fieldVersion12_2 {
		r.UB4()
	}
	c.Nullable = r.Byte() != 0
	r.Byte()
	c.Name = string(r.DLC())
	r.DLC()
	r.DLC()
	r.UB2()
	r.UB4()
	if d.FieldVersion >= fieldVersion23_1 {
		r.DLC()
		r.DLC()
	}
	if d.FieldVersion >= fieldVersion23_1Ext3 && r.UB4() != 0 {
		r.malformed("annotations are not supported")
	}
	if d.FieldVersion >= fieldVersion23_4 {
		r.UB4()
		r.Skip(2)
	}
}

// Describe tells the columns of a query.
type Describe struct {
	Token   []byte // at most 23 bytes, means nothing
	Columns []Column
}

// AppendTo appends the message with its code.
func (m *Describe) AppendTo(dst []byte, d Dialect) []byte {
	dst = append(dst, byte(MessageDescribe))
	token := make([]byte, describeToken)
	copy(token, m.Token)
	dst = AppendCLR(dst, token)
	return m.AppendColumns(dst, d)
}

// AppendColumns appends the message without its code and its token, as it
// describes a REF CURSOR.
func (m *Describe) AppendColumns(dst []byte, d Dialect) []byte {
	size := 0
	for _, c := range m.Columns {
		size += int(c.Size)
	}
	dst = appendCount(dst, size)
	dst = appendCount(dst, len(m.Columns))
	if len(m.Columns) > 0 {
		dst = append(dst, 1)
	}
	for i := range m.Columns {
		dst = m.Columns[i].appendTo(dst, d, i+1)
	}
	dst = append(dst, 0) // date
	for _, n := range []uint64{0, 0x1FE8, 2, 2} {
		dst = appendUB(dst, n)
	}
	return append(dst, 0) // key of the result cache
}

// Decode reads what follows the message code.
func (m *Describe) Decode(r *Reader, d Dialect) {
	token := bytes.Clone(r.CLR())
	m.DecodeColumns(r, d)
	m.Token = token
}

// DecodeColumns reads what AppendColumns appends.
func (m *Describe) DecodeColumns(r *Reader, d Dialect) {
	*m = Describe{}
	r.UB4()
	n := r.Count(maxBinds)
	if n > 0 {
		r.Byte()
	}
	for range n {
		var c Column
		c.decode(r, d)
		if r.err != nil {
			return
		}
		m.Columns = append(m.Columns, c)
	}
	r.DLC()
	for range 4 {
		r.UB4()
	}
	r.DLC()
}
