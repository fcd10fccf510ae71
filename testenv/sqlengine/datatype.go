package sqlengine

// A kind is what an expression yields, and how it lies in SQLite.
type kind uint8

const (
	kindUnknown kind = iota // a bind that is NULL, or something nothing is known of
	kindNull
	kindVarchar
	kindChar
	kindLong
	kindCLOB
	kindRowID
	kindNumber
	kindInteger // a NUMBER that SQLite computed: stored as INTEGER
	kindFloat
	kindDouble
	kindDate
	kindTimestamp
	kindTimestampTZ
	kindInterval
	kindRaw
	kindBLOB
	kindBool
)

// A kindGroup is a set of kinds whose values compare with each other.
type kindGroup uint8

const (
	groupUnknown kindGroup = iota
	groupText
	groupNumber
	groupTime
	groupInterval
	groupRaw
	groupBool
)

func (k kind) group() kindGroup {
	switch k {
	case kindVarchar, kindChar, kindLong, kindCLOB, kindRowID:
		return groupText
	case kindNumber, kindInteger, kindFloat, kindDouble:
		return groupNumber
	case kindDate, kindTimestamp, kindTimestampTZ:
		return groupTime
	case kindInterval:
		return groupInterval
	case kindRaw, kindBLOB:
		return groupRaw
	case kindBool:
		return groupBool
	}
	return groupUnknown
}

// A datatype is a column's declared type, or what is known of an expression's.
type datatype struct {
	Kind      kind
	Size      int  `json:",omitempty"` // characters or bytes; 0 unknown
	Bytes     bool `json:",omitempty"` // VARCHAR2(n BYTE), the default
	Precision int  `json:",omitempty"`
	Scale     int  `json:",omitempty"`
	Local     bool `json:",omitempty"` // TIMESTAMP WITH LOCAL TIME ZONE
	NotNull   bool `json:",omitempty"`
}

// noScale is the scale of a NUMBER declared without one.
const noScale = -127

// Sizes that types have without saying.
const (
	maxVarchar      = 32767 // extended strings
	usualVarchar    = 4000
	usualRaw        = 2000
	maxRaw          = 32767
	numberPrecision = 38
)

func ofKind(k kind) datatype {
	t := datatype{Kind: k}
	switch k {
	case kindNumber, kindInteger:
		t.Scale = noScale
	case kindTimestamp, kindTimestampTZ:
		t.Scale = 6
	}
	return t
}

func textOf(size int) datatype { return datatype{Kind: kindVarchar, Size: min(size, maxVarchar)} }

// column describes a result column of this type.
func (t datatype) column(name string) Column {
	c := Column{Name: name, Nullable: !t.NotNull}
	switch t.Kind {
	case kindNumber, kindInteger:
		c.Type, c.Precision, c.Scale = TypeNumber, t.Precision, t.Scale
	case kindFloat:
		c.Type = TypeBinaryFloat
	case kindDouble:
		c.Type = TypeBinaryDouble
	case kindDate:
		c.Type = TypeDate
	case kindTimestamp:
		c.Type, c.Scale = TypeTimestamp, t.Scale
	case kindTimestampTZ:
		c.Type, c.Scale = TypeTimestampTZ, t.Scale
	case kindRaw:
		c.Type, c.Size = TypeRaw, orDefault(t.Size, usualRaw)
	case kindCLOB:
		c.Type = TypeCLOB
	case kindBLOB:
		c.Type = TypeBLOB
	case kindLong:
		c.Type = TypeLong
	case kindRowID:
		c.Type, c.Size = TypeRowID, rowIDLength
	case kindChar:
		c.Type, c.Size = TypeChar, orDefault(t.Size, 1)
	case kindNull:
		c.Type, c.Size = TypeVarchar, 1
	case kindInterval:
		c.Type, c.Size = TypeVarchar, 30
	default:
		c.Type, c.Size = TypeVarchar, orDefault(t.Size, usualVarchar)
	}
	return c
}

func orDefault(n, otherwise int) int {
	if n == 0 {
		return otherwise
	}
	return n
}

// unify is the type of an expression that yields one or the other, as CASE or UNION do.
func unify(a, b datatype) datatype {
	switch {
	case a.Kind == kindNull || a.Kind == kindUnknown:
		b.NotNull = false
		return b
	case b.Kind == kindNull || b.Kind == kindUnknown:
		a.NotNull = false
		return a
	}
	out := a
	out.NotNull = a.NotNull && b.NotNull
	switch {
	case a.Kind == b.Kind && a.Kind == kindNumber && (a.Precision != b.Precision || a.Scale != b.Scale):
		out.Precision, out.Scale = 0, noScale
	case a.Kind == b.Kind:
		out.Size, out.Scale = max(a.Size, b.Size), max(a.Scale, b.Scale)
		if a.Kind == kindChar && a.Size != b.Size {
			out.Kind = kindVarchar
		}
	case a.Kind.group() != b.Kind.group():
	case a.Kind.group() == groupText:
		out.Kind, out.Size = kindVarchar, max(a.Size, b.Size)
		if a.Kind == kindCLOB || b.Kind == kindCLOB {
			out.Kind = kindCLOB
		}
	case a.Kind.group() == groupNumber:
		out = ofKind(kindNumber)
		if a.Kind == kindDouble || b.Kind == kindDouble || a.Kind == kindFloat || b.Kind == kindFloat {
			out.Kind = kindDouble
		}
	case a.Kind.group() == groupTime:
		out.Kind, out.Scale = max(a.Kind, b.Kind), max(a.Scale, b.Scale)
	}
	return out
}
