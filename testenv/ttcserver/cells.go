package ttcserver

import (
	"time"

	"servicebroker/testenv/sqlengine"
	"servicebroker/ttc"
)

// Sizes that columns are described with, where the engine's say nothing.
const (
	numberSize      = 22
	dateSize        = 7
	timestampSize   = 11
	timestampTZSize = 13
	lobSize         = 4000
	longSize        = 1<<31 - 1
	rowIDSize       = 18
	defaultTextSize = 4000 // characters
	maxTextSize     = 32767
	bytesPerChar    = 4

	// Two drivers define a VARCHAR2 of these sizes for a ROWID column, and read
	// a ROWID.
	rowIDDefineNode   = 3950
	rowIDDefinePython = 5267

	maxInline = 1 << 24 // of a LOB that goes with its row, whatever the client asks for
)

// describe gives a column of the engine as clients are told of it.
func describe(col sqlengine.Column) ttc.Column {
	out := ttc.Column{Name: col.Name, Nullable: col.Nullable}
	switch col.Type {
	case sqlengine.TypeNumber:
		out.Type, out.Size = ttc.TypeNumber, numberSize
		out.Precision, out.Scale = int8(col.Precision), int8(col.Scale)
	case sqlengine.TypeDate:
		out.Type, out.Size = ttc.TypeDate, dateSize
	case sqlengine.TypeTimestamp:
		out.Type, out.Size, out.Scale = ttc.TypeTimestamp, timestampSize, int8(col.Scale)
	case sqlengine.TypeTimestampTZ:
		out.Type, out.Size, out.Scale = ttc.TypeTimestampTZ, timestampTZSize, int8(col.Scale)
	case sqlengine.TypeRaw:
		out.Type, out.Size = ttc.TypeRaw, uint32(textSize(col.Size, maxTextSize))
	case sqlengine.TypeBLOB:
		out.Type, out.Size = ttc.TypeBLOB, lobSize
	case sqlengine.TypeBinaryFloat:
		out.Type, out.Size = ttc.TypeBinaryFloat, 4
	case sqlengine.TypeBinaryDouble:
		out.Type, out.Size = ttc.TypeBinaryDouble, 8
	case sqlengine.TypeRowID:
		out.Type, out.Size = ttc.TypeRowID, rowIDSize
	default:
		describeText(&out, col)
	}
	return out
}

func describeText(out *ttc.Column, col sqlengine.Column) {
	out.Charset, out.Form = ttc.CharsetUTF8, ttc.FormImplicit
	switch col.Type {
	case sqlengine.TypeCLOB:
		out.Type, out.Size = ttc.TypeCLOB, lobSize
		return
	case sqlengine.TypeLong:
		out.Type, out.Size = ttc.TypeLong, longSize
		return
	case sqlengine.TypeChar:
		out.Type = ttc.TypeChar
	default:
		out.Type = ttc.TypeVarchar
	}
	out.Characters = uint32(textSize(col.Size, maxTextSize))
	out.Size = min(out.Characters*bytesPerChar, maxTextSize)
}

// textSize makes a size one that is not zero, which would mean "always NULL".
func textSize(size, most int) int {
	if size <= 0 {
		return defaultTextSize
	}
	return min(size, most)
}

// cell is how values of one column go to the client: as described, or as the
// client defined it.
type cell struct {
	ttc.Cell
	// undefined: the column is a LOB or LONG and the client did not say yet in
	// which form it wants it, so that no rows may go with the first answer.
	undefined bool
}

func cellOf(col ttc.Column) cell {
	c := cell{Cell: ttc.Cell{Type: col.Type, Form: col.Form}}
	switch col.Type {
	case ttc.TypeCLOB, ttc.TypeBLOB, ttc.TypeLong:
		c.undefined = true
	}
	return c
}

// after gives the cell of a column that was of another type when the client
// was told of it last: clients then take a LOB like the text or bytes it was.
func (c cell) after(before ttc.Type) cell {
	switch {
	case c.Type == ttc.TypeCLOB && (before == ttc.TypeVarchar || before == ttc.TypeChar || before == ttc.TypeLong):
		return cell{Cell: ttc.Cell{Type: ttc.TypeLong, Form: c.Form}}
	case c.Type == ttc.TypeBLOB && (before == ttc.TypeRaw || before == ttc.TypeLongRaw):
		return cell{Cell: ttc.Cell{Type: ttc.TypeLongRaw}}
	}
	return c
}

// define gives the form a client asks for.
func define(b ttc.Bind) cell {
	return cell{Cell: ttc.Cell{
		Type: b.Type, Form: b.Form, Prefetch: b.Continuation&ttc.LOBPrefetch != 0, Inline: min(b.Prefetch, maxInline),
	}}
}

// encoder turns values into the bytes of cells. Its scratch space is used
// again and again.
type encoder struct {
	lobs      *lobStore
	temporary bool // LOBs are the client's own, as those of OUT binds are
	scratch   []byte
}

// appendValue appends the value of a column.
func (e *encoder) appendValue(dst []byte, c *cell, v sqlengine.Value) ([]byte, error) {
	base := c.Type.Base()
	if base == ttc.TypeCLOB || base == ttc.TypeBLOB {
		return c.AppendLOB(dst, e.locate(c, v)), nil
	}
	raw, err := e.raw(base, c.Form, v)
	if err != nil {
		return dst, err
	}
	return c.Append(dst, raw), nil
}

// locate stores a LOB's value and gives what the client gets instead.
func (e *encoder) locate(c *cell, v sqlengine.Value) ttc.LOBCell {
	if v == nil {
		return ttc.LOBCell{}
	}
	l := &lob{character: c.Type.Base() == ttc.TypeCLOB, temporary: e.temporary}
	if l.character {
		l.data = []byte(asText(v))
	} else {
		l.data, _ = asBytes(v)
	}
	locator := e.lobs.add(l)
	if l.character && c.Form == ttc.FormNational {
		locator[locatorCharset] |= storedUTF16
	}
	value := ttc.LOBCell{Locator: locator, Length: l.length(), Chunk: lobChunk}
	if c.Prefetch && c.Inline > 0 {
		value.Data, _ = l.read(0, uint64(c.Inline), c.Form == ttc.FormNational)
	}
	return value
}

// raw gives the bytes of a value as a type that is no LOB; nil for NULL. They
// are good until the next call.
func (e *encoder) raw(base ttc.Type, form byte, v sqlengine.Value) ([]byte, error) {
	if v == nil {
		return nil, nil
	}
	var err error
	dst := e.scratch[:0]
	switch base {
	case ttc.TypeNumber:
		dst, err = appendNumber(dst, v)
	case ttc.TypeVarchar, ttc.TypeChar, ttc.TypeLong, ttc.TypeRowID, ttc.TypeURowID:
		dst = ttc.AppendCharacters(dst, asText(v), form)
	case ttc.TypeDate, ttc.TypeTimestamp, ttc.TypeTimestampTZ, ttc.TypeTimestampLTZ:
		dst, err = appendTime(dst, base, v)
	case ttc.TypeRaw, ttc.TypeLongRaw:
		return asBytes(v)
	case ttc.TypeBinaryFloat, ttc.TypeBinaryDouble:
		var f float64
		if f, err = asFloat(v); base == ttc.TypeBinaryFloat {
			dst = ttc.AppendBinaryFloat(dst, float32(f))
		} else {
			dst = ttc.AppendBinaryDouble(dst, f)
		}
	case ttc.TypeBoolean:
		if truth, _ := v.(bool); truth {
			dst = append(dst, 1, 1)
		} else {
			dst = append(dst, 0)
		}
	default:
		err = errInconsistent(v, "another type")
	}
	e.scratch = dst
	return dst, err
}

func appendNumber(dst []byte, v sqlengine.Value) ([]byte, error) {
	text, err := asNumber(v)
	if err != nil {
		return dst, err
	}
	if dst, err = ttc.AppendNumber(dst, text); err != nil {
		return dst, &sqlengine.Error{Code: 1722, Text: "invalid number"}
	}
	return dst, nil
}

func appendTime(dst []byte, base ttc.Type, v sqlengine.Value) ([]byte, error) {
	t, ok := v.(time.Time)
	if !ok {
		return dst, errInconsistent(v, "DATE")
	}
	switch base {
	case ttc.TypeDate:
		return ttc.AppendDate(dst, t), nil
	case ttc.TypeTimestampTZ:
		return ttc.AppendTimestampTZ(dst, t), nil
	}
	return ttc.AppendTimestamp(dst, t), nil
}
