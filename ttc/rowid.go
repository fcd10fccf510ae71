package ttc

import (
	"fmt"
	"strings"
)

// rowIDDigits are the digits to base 64 that ROWIDs are written with.
const rowIDDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

// rowIDLength is the length of a ROWID as text: six digits of the object,
// three of the file, six of the block, three of the row.
const rowIDLength = 18

// RowID says where a row is. The zero value is none.
type RowID struct {
	Object uint32
	File   uint16
	Block  uint32
	Row    uint16
}

// ParseRowID reads a ROWID written as text.
func ParseRowID(text string) (RowID, error) {
	if len(text) != rowIDLength {
		return RowID{}, fmt.Errorf("%w: ROWID %.40q", ErrMalformed, text)
	}
	var parts [4]uint64
	at := 0
	for i, width := range []int{6, 3, 6, 3} {
		for range width {
			digit := strings.IndexByte(rowIDDigits, text[at])
			if digit < 0 {
				return RowID{}, fmt.Errorf("%w: ROWID %.40q", ErrMalformed, text)
			}
			parts[i] = parts[i]<<6 | uint64(digit)
			at++
		}
	}
	if parts[0] > 1<<32-1 || parts[1] > 1<<16-1 || parts[2] > 1<<32-1 || parts[3] > 1<<16-1 {
		return RowID{}, fmt.Errorf("%w: ROWID %.40q", ErrMalformed, text)
	}
	return RowID{uint32(parts[0]), uint16(parts[1]), uint32(parts[2]), uint16(parts[3])}, nil
}

// String writes the ROWID as text; empty for none.
func (id RowID) String() string {
	if id == (RowID{}) {
		return ""
	}
	text := make([]byte, 0, rowIDLength)
	for _, part := range []struct {
		value uint64
		width int
	}{{uint64(id.Object), 6}, {uint64(id.File), 3}, {uint64(id.Block), 6}, {uint64(id.Row), 3}} {
		for i := part.width - 1; i >= 0; i-- {
			text = append(text, rowIDDigits[part.value>>(6*i)&63])
		}
	}
	return string(text)
}

func (id RowID) appendTo(dst []byte) []byte {
	dst = appendUB(dst, uint64(id.Object))
	dst = appendUB(dst, uint64(id.File))
	dst = append(dst, 0)
	dst = appendUB(dst, uint64(id.Block))
	return appendUB(dst, uint64(id.Row))
}

func (id *RowID) decode(r *Reader) {
	*id = RowID{Object: r.UB4(), File: r.UB2()}
	r.Byte()
	id.Block = r.UB4()
	id.Row = r.UB2()
}

// appendRowID appends a column's ROWID, given as text. What is no ROWID
// becomes NULL.
func appendRowID(dst, text []byte) []byte {
	id, err := ParseRowID(string(text))
	if err != nil {
		return append(dst, 0)
	}
	return id.appendTo(append(dst, 14))
}

func decodeRowID(r *Reader) []byte {
	if length := r.Byte(); length == 0 || length == nullLength {
		return nil
	}
	var id RowID
	id.decode(r)
	return []byte(id.String())
}
