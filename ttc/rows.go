package ttc

// RowHeader announces rows (ttc.md 6.3).
type RowHeader struct {
	// Columns is how many each row has. When a cursor is run again, one driver
	// takes the number from here.
	Columns   int
	Requested uint32
	// Vector has a bit for each column of the first row: clear says that its
	// value is that of the row before, and is not sent. Nil: all are sent.
	Vector []byte
}

// AppendTo appends the message with its code.
func (m *RowHeader) AppendTo(dst []byte, _ Dialect) []byte {
	dst = append(dst, byte(MessageRowHeader), 0x22)
	dst = appendCount(dst, m.Columns%256)
	dst = appendCount(dst, m.Columns/256)
	dst = appendUB(dst, uint64(m.Requested))
	dst = append(dst, 0) // buffer length
	dst = appendDLC(dst, m.Vector)
	return append(dst, 0) // row header id
}

// Decode reads what follows the message code.
func (m *RowHeader) Decode(r *Reader) {
	r.Byte()
	*m = RowHeader{Columns: int(r.UB2()) + 256*r.Count(maxBinds/256), Requested: r.UB4()}
	r.UB2()
	m.Vector = r.DLC()
	r.DLC()
}

// Cell is how a column's values travel: as what type, with what attached. It
// is the column's own type until the client defines another.
type Cell struct {
	Type     Type
	Form     byte
	Prefetch bool   // LOBs carry their length and chunk size
	Inline   uint32 // with Prefetch: how many of its first characters or bytes, too
	Null     bool   // described with size 0: no value is sent
}

// LOBCell is the value of a LOB column: its locator and, where asked for, what
// its length is.
type LOBCell struct {
	Locator []byte // nil is NULL
	Length  uint64 // characters of a CLOB, bytes of a BLOB
	Chunk   uint32
	Data    []byte // its beginning, if the cell's Inline asks for it
}

// AppendLOB appends the value of a LOB column (ttc.md 9).
func (c Cell) AppendLOB(dst []byte, lob LOBCell) []byte {
	if len(lob.Locator) == 0 {
		return append(dst, 0)
	}
	dst = appendCount(dst, len(lob.Locator))
	if c.Prefetch {
		dst = appendUB(dst, lob.Length)
		dst = appendUB(dst, uint64(lob.Chunk))
		dst = c.appendInline(dst, lob.Data)
	}
	return AppendCLR(dst, lob.Locator)
}

// appendInline appends the beginning of a LOB; before it, for characters, that
// they are in the session's character set, and their form.
func (c Cell) appendInline(dst, data []byte) []byte {
	if c.Inline == 0 {
		return dst
	}
	if c.Type == TypeCLOB {
		dst = append(dst, 0, c.Form)
	}
	return AppendCLR(dst, data)
}

// DecodeLOB reads the value of a LOB column.
func (c Cell) DecodeLOB(r *Reader) LOBCell {
	var lob LOBCell
	if r.UB4() == 0 {
		return lob
	}
	if c.Prefetch {
		lob.Length = r.UB8()
		lob.Chunk = r.UB4()
	}
	if c.Prefetch && c.Inline > 0 {
		if c.Type == TypeCLOB {
			if r.Byte() == 1 {
				r.UB2() // another character set
			}
			r.Byte()
		}
		lob.Data = r.CLR()
	}
	lob.Locator = r.CLR()
	return lob
}

// Append appends the value of a column that is not a LOB: already in the form
// of its type, nil for NULL.
func (c Cell) Append(dst, value []byte) []byte {
	switch {
	case c.Null:
		return dst
	case c.Type == TypeRowID:
		return appendRowID(dst, value)
	}
	dst = AppendCLR(dst, value)
	return c.appendLongTrailer(dst, value)
}

// appendLongTrailer appends the two integers that follow a LONG value: the
// indicator and the return code.
func (c Cell) appendLongTrailer(dst, value []byte) []byte {
	if !c.Type.isLong() {
		return dst
	}
	if len(value) == 0 {
		return appendUB(appendSB(dst, -1), 1405)
	}
	return append(dst, 0, 0)
}

// Decode reads the value of a column that is not a LOB.
func (c Cell) Decode(r *Reader) []byte {
	switch {
	case c.Null:
		return nil
	case c.Type == TypeRowID:
		return decodeRowID(r)
	}
	value := r.CLR()
	if c.Type.isLong() {
		r.SB4()
		r.UB4()
	}
	return value
}

// Direction is what a statement does to a bind.
type Direction byte

// The directions.
const (
	DirectionOut   Direction = 16
	DirectionIn    Direction = 32
	DirectionInOut Direction = 48
)

// IOVector tells the direction of each bind of a block (ttc.md 6.5).
type IOVector struct{ Directions []Direction }

// AppendTo appends the message with its code.
func (m *IOVector) AppendTo(dst []byte, _ Dialect) []byte {
	dst = append(dst, byte(MessageIOVector), 0)
	dst = appendCount(dst, len(m.Directions)%256)
	dst = appendCount(dst, len(m.Directions)/256)
	dst = appendUB(dst, 1)
	dst = appendZeros(dst, 3)
	for _, direction := range m.Directions {
		dst = append(dst, byte(direction))
	}
	return dst
}

// Decode reads what follows the message code.
func (m *IOVector) Decode(r *Reader) {
	*m = IOVector{}
	r.Byte()
	n := int(r.UB2()) + 256*r.Count(maxBinds/256)
	r.UB4()
	r.UB2()
	r.Skip(int(r.UB2()))
	r.Skip(int(r.UB2()))
	for _, b := range r.Bytes(n) {
		m.Directions = append(m.Directions, Direction(b))
	}
}

// OutValue is the value of an OUT bind on its way to the client.
type OutValue struct {
	Cell  Cell
	Bytes []byte
	LOB   LOBCell // if the cell is of a LOB type
	Array bool
	// Elements are the values of a PL/SQL table, if Array is set.
	Elements [][]byte
}

// AppendTo appends the value with its actual length, zero for "as sent".
func (v OutValue) AppendTo(dst []byte) []byte {
	if !v.Array {
		return append(v.one(dst, v.Bytes), 0)
	}
	dst = appendCount(dst, len(v.Elements))
	for _, element := range v.Elements {
		dst = append(v.one(dst, element), 0)
	}
	return dst
}

func (v OutValue) one(dst, value []byte) []byte {
	switch t := v.Cell.Type.Base(); {
	case t.isLOB():
		return v.Cell.AppendLOB(dst, v.LOB)
	case t == TypeCursor:
		return append(dst, value...)
	case t == TypeBoolean && len(value) == 0:
		return append(dst, 0)
	}
	return AppendCLR(dst, value)
}

// AppendReturning appends what RETURNING gave for one bind: how many rows, and
// their values (ttc.md 6.5).
func AppendReturning(dst []byte, values []OutValue) []byte {
	dst = appendCount(dst, len(values))
	for _, v := range values {
		dst = v.AppendTo(dst)
	}
	return dst
}
