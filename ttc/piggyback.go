package ttc

// Cursors is the body of FunctionCloseCursors and FunctionCancelCursors.
type Cursors struct{ IDs []uint32 }

// Decode reads what follows the header.
func (m *Cursors) Decode(r *Reader, _ Dialect) {
	*m = Cursors{}
	r.Byte()
	for range r.Count(1 << 20) {
		m.IDs = append(m.IDs, r.UB4())
		if r.err != nil {
			return
		}
	}
}

// AppendTo appends the body.
func (m *Cursors) AppendTo(dst []byte, _ Dialect) []byte {
	dst = append(dst, 1)
	dst = appendCount(dst, len(m.IDs))
	for _, id := range m.IDs {
		dst = appendUB(dst, uint64(id))
	}
	return dst
}

// EndToEnd is the body of FunctionEndToEnd: what the client tells of itself
// while it works. Nil leaves an attribute as it is; an empty text clears it.
type EndToEnd struct {
	ClientID, Module, Action, ClientInfo, Operation *string
}

// endToEndBits say which attributes change.
const (
	endToEndAction     uint32 = 0x10
	endToEndModule     uint32 = 0x8
	endToEndClientInfo uint32 = 0x100
	endToEndClientID   uint32 = 0x1
	endToEndOperation  uint32 = 0x200
)

// Decode reads what follows the header: first which texts there are and how
// long they are, then the texts (ttc.md 6).
func (m *EndToEnd) Decode(r *Reader, d Dialect) {
	*m = EndToEnd{}
	r.Skip(2)
	r.UB4()
	var sizes [9]uint32
	var there [9]bool
	field := func(i int) { there[i], sizes[i] = r.Byte() != 0, r.UB4() }
	for i := range 4 { // client id, module, action, ECID
		field(i)
	}
	r.Byte()
	r.UB4()
	for i := 4; i < 8; i++ { // client info, two unused, operation
		field(i)
	}
	targets := map[int]**string{0: &m.ClientID, 1: &m.Module, 2: &m.Action, 4: &m.ClientInfo, 7: &m.Operation}
	for i := range 8 {
		if !there[i] {
			continue
		}
		text := string(r.Text(sizes[i], d))
		if target := targets[i]; target != nil {
			*target = &text
		}
	}
}

// AppendTo appends the body.
func (m *EndToEnd) AppendTo(dst []byte, d Dialect) []byte {
	texts := []*string{m.ClientID, m.Module, m.Action, nil, m.ClientInfo, nil, nil, m.Operation}
	bits := []uint32{endToEndClientID, endToEndModule, endToEndAction, 0, endToEndClientInfo, 0, 0, endToEndOperation}
	flags := uint32(0)
	for i, text := range texts {
		if text != nil {
			flags |= bits[i]
		}
	}
	dst = append(dst, 0, 0)
	dst = appendUB(dst, uint64(flags))
	for i, text := range texts {
		if i == 4 {
			dst = append(dst, 0, 0)
		}
		dst = appendPointer(dst, text != nil)
		if text == nil {
			dst = append(dst, 0)
			continue
		}
		dst = appendCount(dst, len(*text))
	}
	for _, text := range texts {
		if text != nil {
			dst = appendText(dst, []byte(*text), d)
		}
	}
	return dst
}

// SetSchema is the body of FunctionSetSchema.
type SetSchema struct{ Schema string }

// Decode reads what follows the header.
func (m *SetSchema) Decode(r *Reader, d Dialect) {
	r.Byte()
	*m = SetSchema{Schema: string(r.Text(r.UB4(), d))}
}

// AppendTo appends the body.
func (m *SetSchema) AppendTo(dst []byte, d Dialect) []byte {
	dst = append(dst, 1)
	dst = appendCount(dst, len(m.Schema))
	return appendText(dst, []byte(m.Schema), d)
}

// KeyValues is the body of FunctionKeyValues: an application context.
type KeyValues struct {
	Namespace string
	Flags     uint16
	Pairs     []Pair
}

// Decode reads what follows the header.
func (m *KeyValues) Decode(r *Reader, d Dialect) {
	*m = KeyValues{}
	r.Byte()
	length := r.UB4()
	r.Byte()
	n := r.Count(maxPairs)
	m.Flags = r.UB2()
	r.Byte()
	m.Namespace = string(r.Text(length, d))
	m.Pairs = r.nPairs(n)
}

// AppendTo appends the body.
func (m *KeyValues) AppendTo(dst []byte, d Dialect) []byte {
	dst = append(dst, 1)
	dst = appendCount(dst, len(m.Namespace))
	dst = appendPointer(dst, len(m.Pairs) > 0)
	dst = appendCount(dst, len(m.Pairs))
	dst = appendUB(dst, uint64(m.Flags))
	dst = append(dst, 0)
	dst = appendText(dst, []byte(m.Namespace), d)
	for _, p := range m.Pairs {
		dst = appendPair(dst, p)
	}
	return dst
}

// SessionState is the body of FunctionSessionState: an explicit begin or end
// of a request.
type SessionState struct{ State uint64 }

// The states.
const (
	StateRequestBegin uint64 = 0x44
	StateRequestEnd   uint64 = 0x48
)

// Decode reads what follows the header.
func (m *SessionState) Decode(r *Reader, _ Dialect) { m.State = r.UB8() }

// AppendTo appends the body.
func (m *SessionState) AppendTo(dst []byte, _ Dialect) []byte { return appendUB(dst, m.State) }

// AlterSession is the body of FunctionAlterSession: values for keys.
type AlterSession struct{ Pairs []Pair }

// Decode reads what follows the header.
func (m *AlterSession) Decode(r *Reader, _ Dialect) {
	r.UB4()
	r.Byte()
	m.Pairs = r.pairs()
}

// AppendTo appends the body.
func (m *AlterSession) AppendTo(dst []byte, _ Dialect) []byte {
	dst = append(dst, 0, 1)
	dst = appendCount(dst, len(m.Pairs))
	for _, p := range m.Pairs {
		dst = appendPair(dst, p)
	}
	return dst
}

// EndUserSecurity is the body of FunctionEndUserSecurity.
type EndUserSecurity struct{ Pairs []KeyTextBinary }

// KeyTextBinary is a key with a text or a binary value.
type KeyTextBinary struct {
	Flags  uint32
	Key    string
	Text   string
	Binary []byte
}

// Decode reads what follows the header.
func (m *EndUserSecurity) Decode(r *Reader, _ Dialect) {
	m.Pairs = nil
	r.UB4()
	r.Byte()
	for range r.Count(maxPairs) {
		p := KeyTextBinary{Flags: r.UB4(), Key: string(r.DLC()), Text: string(r.DLC()), Binary: r.DLC()}
		if r.err != nil {
			return
		}
		m.Pairs = append(m.Pairs, p)
	}
}

// AppendTo appends the body.
func (m *EndUserSecurity) AppendTo(dst []byte, _ Dialect) []byte {
	dst = append(dst, 0, 1)
	dst = appendCount(dst, len(m.Pairs))
	for _, p := range m.Pairs {
		dst = appendUB(dst, uint64(p.Flags))
		dst = appendDLCText(dst, p.Key)
		dst = appendDLCText(dst, p.Text)
		dst = appendDLC(dst, p.Binary)
	}
	return dst
}

// SessionRelease is the body of FunctionSessionRelease, a one-way call: a
// pooled client gives its session back (ttc.md 13.2).
type SessionRelease struct {
	Tag  string
	Mode uint32 // ReleaseDeauthenticate
}

// ReleaseDeauthenticate is the mode in which a client outside a pool leaves.
const ReleaseDeauthenticate uint32 = 2

// Decode reads what follows the header.
func (m *SessionRelease) Decode(r *Reader, d Dialect) {
	r.Byte()
	length := r.UB4()
	*m = SessionRelease{Mode: r.UB4()}
	m.Tag = string(r.Text(length, d))
}

// AppendTo appends the body.
func (m *SessionRelease) AppendTo(dst []byte, d Dialect) []byte {
	dst = appendPointer(dst, m.Tag != "")
	dst = appendCount(dst, len(m.Tag))
	dst = appendUB(dst, uint64(m.Mode))
	return appendText(dst, []byte(m.Tag), d)
}
