package ttc

// Field versions at which layouts change (ttc.md 5.4).
const (
	fieldVersion12_2     = 8  // a field more per column and bind, five in execute
	fieldVersion12_2Ext1 = 9  // two more in execute
	fieldVersion18_1     = 11 // version call, packing of the version number
	fieldVersion20_1     = 14 // end of call
	fieldVersion23_1     = 17 // domains of columns
	fieldVersionToken    = 18 // a token after every sequence number
	fieldVersion23_1Ext3 = 20 // annotations
	fieldVersion23_4     = 24 // vectors
)

// Dialect is what two sides agreed on: it decides the layout of nearly every
// later message. It is made of the server's capabilities and the client's
// DataTypes message by Negotiate and does not change afterwards.
type Dialect struct {
	// FieldVersion is the lower one of both sides.
	FieldVersion byte
	// CLRText: characters of calls (SQL text, names) are CLR; else raw bytes
	// of the announced length.
	CLRText bool
	// RawScale: small signed integers are one raw byte; else they have a
	// variable length. They are the scale of a column of type NUMBER, timestamp
	// or interval, and the NULL flag that LOB operations return.
	RawScale bool
	// EndOfResponse: the client asked for a last byte 29 on answers. It takes
	// the ACCEPT's consent too.
	EndOfResponse bool
	// ImplicitPool: the client understands that its session was released
	// without its asking.
	ImplicitPool bool
	// InBandNotification: the client claims to understand CONTROL packets
	// between answers; one driver does so wrongly (ttc.md 13.5).
	InBandNotification bool
	// MaxString is the longest VARCHAR2 or RAW that is not sent as a LONG:
	// 4000 or 32767.
	MaxString int
}

// Fallback is the dialect before negotiation: all that is said in it has the
// same layout everywhere.
func Fallback() Dialect { return Dialect{CLRText: true, MaxString: 4000} }

// HasVersion18 reports whether version numbers are packed as since 18c.
func (d Dialect) HasVersion18() bool { return d.FieldVersion >= fieldVersion18_1 }

// longBind reports whether a bind of a SQL statement comes after all others in
// its row (ttc.md 6.1).
func (d Dialect) longBind(b Bind) bool {
	switch b.Type {
	case TypeLong, TypeLongRaw, TypeLongVarchar, TypeLongVarRaw:
		return true
	}
	return uint64(b.Size) > uint64(d.MaxString) && !b.Type.isLOB()
}
