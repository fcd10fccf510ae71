package ttc

// Bits of Execute.Options (ttc.md 6.1).
const (
	OptionParse      uint32 = 0x1
	OptionBind       uint32 = 0x8
	OptionDefine     uint32 = 0x10
	OptionExecute    uint32 = 0x20
	OptionFetch      uint32 = 0x40
	OptionCommit     uint32 = 0x100
	OptionIOVector   uint32 = 0x400 // the answer is to tell each bind's direction
	OptionNotPLSQL   uint32 = 0x8000
	OptionDescribe   uint32 = 0x20000
	OptionBatchError uint32 = 0x80000

	// ReexecuteCommit is the commit bit of Reexecute.Options2.
	ReexecuteCommit uint32 = 0x1
)

// Bits of Execute.Flags.
const (
	ExecuteScrollable       uint32 = 0x2
	ExecuteNoCancelAtEOF    uint32 = 0x80
	ExecuteRowCounts        uint32 = 0x4000
	ExecuteImplicitResults  uint32 = 0x8000
	ExecuteNoImplicitReturn uint32 = 0x200000
)

// executeVector is the number of integers that follow the SQL text.
const executeVector = 13

// Execute is the body of FunctionExecute up to the bind rows, whose number
// and shape only the statement tells: parse, execute, define or fetch, in any
// combination.
type Execute struct {
	Options      uint32
	Cursor       uint32 // 0 for a new one
	SQL          []byte
	PrefetchRows uint32
	MaxLong      uint32
	RowCounts    bool // answer with the row count of every iteration
	Binds        []Bind
	Defines      []Bind

	Iterations  uint32 // rows of binds for DML; rows to fetch for queries of some drivers
	IsQuery     bool   // what the client thinks of the statement
	Flags       uint32
	Orientation uint32
	Position    uint32
}

// Wanted is how many rows of a query are to be sent at once. Drivers disagree
// on where they say so.
func (m *Execute) Wanted() uint32 {
	if m.PrefetchRows > 0 {
		return m.PrefetchRows
	}
	if m.Options&OptionFetch != 0 {
		return m.Iterations
	}
	return 0
}

// Decode reads what follows the header, but for the bind rows.
func (m *Execute) Decode(r *Reader, d Dialect) {
	*m = Execute{Options: r.UB4(), Cursor: r.UB4()}
	r.Byte() // pointer to the cursor; drivers disagree on when to set it
	length := r.UB4()
	r.Byte()
	if vector := r.UB4(); vector != executeVector && r.err == nil {
		r.malformed("execute with %d options", vector)
	}
	r.Skip(2)
	r.UB4() // prefetch buffer, in bytes
	m.PrefetchRows = r.UB4()
	m.MaxLong = r.UB4()
	r.Byte()
	binds := r.Count(maxBinds)
	r.Skip(5)
	r.Byte()
	defines := r.Count(maxBinds)
	m.skipRegistration(r, d)
	m.SQL = r.Text(length, d)
	m.vector(r)
	if m.Options&OptionDefine != 0 {
		m.Defines = r.binds(defines, d)
		return
	}
	m.Binds = r.binds(binds, d)
}

// skipRegistration reads the fields between the counts and the SQL text.
func (m *Execute) skipRegistration(r *Reader, d Dialect) {
	r.UB4()
	r.Skip(3)
	r.UB4()
	r.Byte()
	r.UB4()
	r.UB4()
	m.RowCounts = r.Byte() != 0
	r.UB4()
	r.Byte()
	if d.FieldVersion >= fieldVersion12_2 {
		r.Byte()
		r.UB4()
		r.Byte()
		r.UB4()
		r.Byte()
	}
	if d.FieldVersion >= fieldVersion12_2Ext1 {
		r.Byte()
		r.UB4()
	}
}

func (m *Execute) vector(r *Reader) {
	var v [executeVector]uint32
	for i := range v {
		v[i] = r.UB4()
	}
	m.Iterations, m.IsQuery, m.Flags = v[1], v[7] != 0, v[9]
	m.Orientation, m.Position = v[10], v[11]
}

// AppendTo appends the body, without bind rows.
func (m *Execute) AppendTo(dst []byte, d Dialect) []byte {
	dst = appendUB(dst, uint64(m.Options))
	dst = appendUB(dst, uint64(m.Cursor))
	dst = appendPointer(dst, m.Cursor == 0)
	dst = appendCount(dst, len(m.SQL))
	dst = append(dst, 1)
	dst = appendCount(dst, executeVector)
	dst = appendZeros(dst, 3)
	dst = appendUB(dst, uint64(m.PrefetchRows))
	dst = appendUB(dst, uint64(m.MaxLong))
	dst = appendPointer(dst, len(m.Binds) > 0)
	dst = appendCount(dst, len(m.Binds))
	dst = appendZeros(dst, 5)
	dst = appendPointer(dst, len(m.Defines) > 0)
	dst = appendCount(dst, len(m.Defines))
	dst = append(dst, 0, 0, 1, 0, 0, 0, 0, 0)
	dst = appendPointer(dst, m.RowCounts)
	dst = appendUB(dst, uint64(m.Iterations)*boolNumber(m.RowCounts))
	dst = appendPointer(dst, m.RowCounts)
	if d.FieldVersion >= fieldVersion12_2 {
		dst = appendZeros(dst, 5)
	}
	if d.FieldVersion >= fieldVersion12_2Ext1 {
		dst = appendZeros(dst, 2)
	}
	dst = appendText(dst, m.SQL, d)
	dst = m.appendVector(dst)
	columns := m.Binds
	if m.Options&OptionDefine != 0 {
		columns = m.Defines
	}
	for i := range columns {
		dst = columns[i].appendTo(dst, d)
	}
	return dst
}

func (m *Execute) appendVector(dst []byte) []byte {
	v := [executeVector]uint32{
		0: m.Options & OptionParse, 1: m.Iterations, 7: uint32(boolNumber(m.IsQuery)), 9: m.Flags,
		10: m.Orientation, 11: m.Position,
	}
	for _, n := range v {
		dst = appendUB(dst, uint64(n))
	}
	return dst
}

func boolNumber(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// Reexecute is the body of FunctionReexecute and FunctionReexecuteFetch, up to
// the bind rows: an execute of a cursor whose binds are described already.
type Reexecute struct {
	Cursor     uint32
	Iterations uint32 // rows of binds, or rows to fetch
	Options1   uint32
	Options2   uint32 // ReexecuteCommit
}

// Decode reads what follows the header.
func (m *Reexecute) Decode(r *Reader, _ Dialect) {
	*m = Reexecute{Cursor: r.UB4(), Iterations: r.UB4(), Options1: r.UB4(), Options2: r.UB4()}
}

// AppendTo appends the body.
func (m *Reexecute) AppendTo(dst []byte, _ Dialect) []byte {
	for _, n := range []uint32{m.Cursor, m.Iterations, m.Options1, m.Options2} {
		dst = appendUB(dst, uint64(n))
	}
	return dst
}

// Fetch is the body of FunctionFetch.
type Fetch struct{ Cursor, Rows uint32 }

// Decode reads what follows the header.
func (m *Fetch) Decode(r *Reader, _ Dialect) { *m = Fetch{Cursor: r.UB4(), Rows: r.UB4()} }

// AppendTo appends the body.
func (m *Fetch) AppendTo(dst []byte, _ Dialect) []byte {
	return appendUB(appendUB(dst, uint64(m.Cursor)), uint64(m.Rows))
}
