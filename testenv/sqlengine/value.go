package sqlengine

// Value is one SQL value on its way in or out:
//
//	nil                NULL (an empty string is NULL as well)
//	string             CHAR, VARCHAR2, LONG, ROWID
//	Number             NUMBER as decimal text
//	[]byte             RAW
//	time.Time          DATE, TIMESTAMP, TIMESTAMP WITH TIME ZONE (only the last has a zone other than UTC)
//	float32, float64   BINARY_FLOAT, BINARY_DOUBLE
//	LOB                CLOB, BLOB
//	bool               BOOLEAN of PL/SQL binds
//
// As binds int, int64 and uint64 are taken too.
type Value = any

// Number is a NUMBER as decimal text, for instance "-12.5" or "1E+100": an optional sign, digits with an optional
// point, an optional exponent. The engine writes no exponent unless the plain form is longer than 40 digits.
type Number string

// LOB is the content of a CLOB (Character, UTF-8) or a BLOB.
type LOB struct {
	Character bool
	Data      []byte
}

// Type is what a column is described as.
type Type uint8

// The column types.
const (
	TypeVarchar Type = iota
	TypeChar
	TypeNumber
	TypeDate
	TypeTimestamp
	TypeTimestampTZ
	TypeRaw
	TypeCLOB
	TypeBLOB
	TypeLong
	TypeBinaryFloat
	TypeBinaryDouble
	TypeRowID
)

// Column describes one column of a result.
type Column struct {
	// Name is the column's alias or name as Oracle reports it: upper case unless quoted.
	Name string
	Type Type
	// Size is in bytes for RAW, in characters for VARCHAR2 and CHAR, 0 where the type has no size.
	Size int
	// Precision and Scale are those of NUMBER: 0 and -127 for a NUMBER without either. Scale is the fractional
	// seconds precision of a timestamp.
	Precision, Scale int
	Nullable         bool
}
