package ttc

// Bits of Bind.Flags and Bind.Continuation.
const (
	BindIndicators byte = 0x01
	BindArray      byte = 0x40 // a PL/SQL table: each value is a count and so many values
	BindRepeated   byte = 0x80 // same name as an earlier bind, so no value of its own is sent

	LOBPrefetch uint64 = 0x2000000
)

// maxBinds is the most binds or columns a statement may have.
const maxBinds = 65535

// Bind describes one bind variable, or one column in the form the client wants
// it (a define). The layout is the same (ttc.md 6.1).
type Bind struct {
	Type         Type
	Flags        byte
	Size         uint32 // bytes
	Elements     uint32 // most elements of a PL/SQL table
	Continuation uint64 // LOBPrefetch among others
	TypeID       []byte // of object types
	Version      uint16
	Charset      uint16
	Form         byte   // FormImplicit or FormNational
	Prefetch     uint32 // how much of a LOB to send at once; characters of a string
}

func (b *Bind) decode(r *Reader, d Dialect) {
	*b = Bind{Type: Type(r.Byte()), Flags: r.Byte()}
	r.Byte() // precision
	if b.Type.scaled() && !d.RawScale {
		r.SB2()
	} else {
		r.Byte()
	}
	b.Size = r.UB4()
	b.Elements = r.UB4()
	b.Continuation = r.UB8()
	b.TypeID = r.DLC()
	b.Version = r.UB2()
	b.Charset = r.UB2()
	b.Form = r.Byte()
	b.Prefetch = r.UB4()
	if d.FieldVersion >= fieldVersion12_2 {
		r.UB4()
	}
}

func (b *Bind) appendTo(dst []byte, d Dialect) []byte {
	dst = append(dst, byte(b.Type), b.Flags, 0, 0)
	dst = appendUB(dst, uint64(b.Size))
	dst = appendUB(dst, uint64(b.Elements))
	dst = appendUB(dst, b.Continuation)
	dst = appendDLC(dst, b.TypeID)
	dst = appendUB(dst, uint64(b.Version))
	dst = appendUB(dst, uint64(b.Charset))
	dst = append(dst, b.Form)
	dst = appendUB(dst, uint64(b.Prefetch))
	if d.FieldVersion >= fieldVersion12_2 {
		dst = append(dst, 0)
	}
	return dst
}

func (r *Reader) binds(n int, d Dialect) []Bind {
	var binds []Bind
	for range n {
		var b Bind
		b.decode(r, d)
		if r.err != nil {
			return nil
		}
		binds = append(binds, b)
	}
	return binds
}

// BindRow is how the values of one row of binds travel: which binds have one
// and in which order.
type BindRow struct {
	Binds []Bind
	// PLSQL: the statement is a block; long values then keep their place.
	PLSQL bool
	// Omit tells of binds without a value: those that RETURNING fills, or on a
	// re-execute those that are only OUT. Nil omits none.
	Omit func(index int) bool
}

// Value is the value of a bind as it travelled; what it means, the bind's type
// says. Elements is set instead for a PL/SQL table.
type Value struct {
	Bytes    []byte
	Elements [][]byte
}

// order calls visit for every bind with a value: long ones of SQL statements
// last.
func (b *BindRow) order(d Dialect, visit func(index int, bind *Bind)) {
	for _, long := range []bool{false, true} {
		for i := range b.Binds {
			bind := &b.Binds[i]
			if bind.Flags&BindRepeated != 0 || b.Omit != nil && b.Omit(i) {
				continue
			}
			if (!b.PLSQL && d.longBind(*bind)) == long {
				visit(i, bind)
			}
		}
	}
}

// Empty reports whether no bind has a value, in which case no rows are sent.
func (b *BindRow) Empty() bool {
	empty := true
	b.order(Dialect{}, func(int, *Bind) { empty = false })
	return empty
}

// Decode reads one row with its message code. Binds without a value of their
// own get the zero Value.
func (b *BindRow) Decode(r *Reader, d Dialect) []Value {
	r.expect(MessageRow)
	values := make([]Value, len(b.Binds))
	b.order(d, func(i int, bind *Bind) {
		if r.err == nil {
			values[i] = r.bindValue(bind)
		}
	})
	return values
}

// AppendTo appends one row with its message code.
func (b *BindRow) AppendTo(dst []byte, d Dialect, values []Value) []byte {
	dst = append(dst, byte(MessageRow))
	b.order(d, func(i int, bind *Bind) {
		if bind.Flags&BindArray == 0 {
			dst = appendBindValue(dst, bind, values[i].Bytes)
			return
		}
		dst = appendCount(dst, len(values[i].Elements))
		for _, element := range values[i].Elements {
			dst = appendBindValue(dst, bind, element)
		}
	})
	return dst
}

func (r *Reader) bindValue(bind *Bind) Value {
	if bind.Flags&BindArray == 0 {
		return Value{Bytes: r.oneBindValue(bind)}
	}
	elements := [][]byte{}
	for range r.Count(1 << 20) {
		if r.err != nil {
			return Value{}
		}
		elements = append(elements, r.oneBindValue(bind))
	}
	return Value{Elements: elements}
}

func (r *Reader) oneBindValue(bind *Bind) []byte {
	switch t := bind.Type.Base(); {
	case t.isLOB():
		return r.DLC() // the locator
	case t == TypeCursor:
		// Zero for a new cursor, else one and the cursor's number.
		if r.UB4() == 0 {
			return nil
		}
		return appendUB(nil, uint64(r.UB4()))
	case t == TypeBoolean:
		return r.boolean()
	default:
		return r.CLR()
	}
}

// boolean reads a BOOLEAN; its NULL has a form of its own.
func (r *Reader) boolean() []byte {
	if r.Peek() == escapeLength {
		r.Skip(2)
		return nil
	}
	return r.CLR()
}

func appendBindValue(dst []byte, bind *Bind, value []byte) []byte {
	switch t := bind.Type.Base(); {
	case t.isLOB():
		return appendDLC(dst, value)
	case t == TypeCursor:
		if len(value) == 0 {
			return append(dst, 1, 0)
		}
		return append(append(dst, 1, 1), value...)
	case t == TypeBoolean && len(value) == 0:
		return append(dst, escapeLength, 1)
	default:
		return AppendCLR(dst, value)
	}
}
