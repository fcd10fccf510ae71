package ttc

// Type is the number of a data type on the wire.
type Type byte

// The types that drivers bind, define or are told of (ttc.md 8).
const (
	TypeVarchar         Type = 1
	TypeNumber          Type = 2
	TypeBinaryInteger   Type = 3
	TypeFloat           Type = 4
	TypeString          Type = 5 // zero-terminated
	TypeVarNum          Type = 6
	TypeLong            Type = 8
	TypeVarcharPrefixed Type = 9
	TypeRowID           Type = 11
	TypeDate            Type = 12
	TypeVarRaw          Type = 15
	TypeRaw             Type = 23
	TypeLongRaw         Type = 24
	TypeSB1             Type = 27
	TypeUnsigned        Type = 68
	TypeLongVarchar     Type = 94
	TypeLongVarRaw      Type = 95
	TypeChar            Type = 96
	TypeCharZ           Type = 97
	TypeBinaryFloat     Type = 100
	TypeBinaryDouble    Type = 101
	TypeCursor          Type = 102
	TypeRowIDDescriptor Type = 104
	TypeCLOB            Type = 112
	TypeBLOB            Type = 113
	TypeBFILE           Type = 114
	TypeResultSet       Type = 116
	TypeTimestamp       Type = 180
	TypeTimestampTZ     Type = 181
	TypeIntervalYM      Type = 182
	TypeIntervalDS      Type = 183
	TypeTimestampOld    Type = 187
	TypeTimestampTZOld  Type = 188
	TypeURowID          Type = 208
	TypeTimestampLTZ    Type = 231
	TypeTimestampLTZOld Type = 232
	TypeBoolean         Type = 252
)

// Base gives the type that has the same values on the wire and stands for the
// others: the several forms of character strings are TypeVarchar, and so on.
func (t Type) Base() Type {
	switch t {
	case TypeString, TypeVarcharPrefixed:
		return TypeVarchar
	case TypeCharZ:
		return TypeChar
	case TypeLongVarchar:
		return TypeLong
	case TypeVarRaw:
		return TypeRaw
	case TypeLongVarRaw:
		return TypeLongRaw
	case TypeBinaryInteger, TypeFloat, TypeVarNum, TypeUnsigned:
		return TypeNumber
	case TypeRowIDDescriptor:
		return TypeRowID
	case TypeResultSet:
		return TypeCursor
	case TypeTimestampOld:
		return TypeTimestamp
	case TypeTimestampTZOld:
		return TypeTimestampTZ
	case TypeTimestampLTZOld:
		return TypeTimestampLTZ
	}
	return t
}

func (t Type) isLOB() bool { return t == TypeCLOB || t == TypeBLOB || t == TypeBFILE }

func (t Type) isLong() bool { return t.Base() == TypeLong || t.Base() == TypeLongRaw }

// scaled reports whether the scale of a column of this type may be a
// variable-length integer (ttc.md 5.3).
func (t Type) scaled() bool {
	switch t {
	case TypeNumber, TypeTimestamp, TypeTimestampTZ, TypeTimestampLTZ, TypeIntervalDS,
		TypeTimestampOld, TypeTimestampTZOld, TypeTimestampLTZOld:
		return true
	}
	return false
}

// Character set forms and the character sets that go with them here.
const (
	FormNone     byte = 0
	FormImplicit byte = 1 // database character set: AL32UTF8
	FormNational byte = 2 // AL16UTF16

	CharsetUTF8  uint16 = 873
	CharsetUTF16 uint16 = 2000
)
