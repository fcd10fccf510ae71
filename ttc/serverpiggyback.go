package ttc

// ServerPiggyback is what a server tells of the session before its answer
// proper (ttc.md 6.7).
type ServerPiggyback byte

// The kinds that clients may meet.
const (
	PiggybackOSProcess     ServerPiggyback = 2
	PiggybackSessionReturn ServerPiggyback = 4
	PiggybackSessionSync   ServerPiggyback = 5
)

// Keywords of session properties.
const (
	KeywordLanguage      = 16
	KeywordTimeZone      = 163
	KeywordCurrentSchema = 168
	KeywordEdition       = 172
)

// SessionReturn tells a pooled client which session it has got. Changed makes
// it forget its cursors (ttc.md 13.2).
type SessionReturn struct {
	Changed   bool
	SessionID uint32
	Serial    uint16
}

const sessionChanged = 4

// AppendTo appends the message with its code.
func (m *SessionReturn) AppendTo(dst []byte, _ Dialect) []byte {
	dst = append(dst, byte(MessageServerPiggyback), byte(PiggybackSessionReturn))
	dst = append(dst, 0, 0, 0) // no pairs: clients disagree on their layout
	dst = appendUB(dst, sessionChanged*boolNumber(m.Changed))
	dst = appendUB(dst, uint64(m.SessionID))
	return appendUB(dst, uint64(m.Serial))
}

func (m *SessionReturn) decode(r *Reader) {
	r.UB2()
	r.Byte()
	if r.UB2() != 0 {
		r.malformed("session return with pairs")
	}
	*m = SessionReturn{Changed: r.UB4()&sessionChanged != 0, SessionID: r.UB4(), Serial: r.UB2()}
}

// Property is one property of the session by its keyword's number. The
// current schema and the edition are texts, all others values.
type Property struct {
	Keyword uint16
	Text    string
	Value   string
}

// SessionSync tells properties of the session that clients keep.
type SessionSync struct{ Properties []Property }

// AppendTo appends the message with its code.
func (m *SessionSync) AppendTo(dst []byte, _ Dialect) []byte {
	dst = append(dst, byte(MessageServerPiggyback), byte(PiggybackSessionSync))
	dst = append(dst, 1, 1, 0x10)
	dst = appendCount(dst, len(m.Properties))
	dst = append(dst, 1)
	for _, p := range m.Properties {
		dst = appendDLCText(dst, p.Text)
		dst = appendDLCText(dst, p.Value)
		dst = appendUB(dst, uint64(p.Keyword))
	}
	return append(dst, 0)
}

func (m *SessionSync) decode(r *Reader) {
	*m = SessionSync{}
	r.UB2()
	r.Byte()
	n := int(r.UB2())
	r.Byte()
	for range n {
		p := Property{Text: string(r.DLC()), Value: string(r.DLC())}
		p.Keyword = r.UB2()
		m.Properties = append(m.Properties, p)
		if r.err != nil {
			return
		}
	}
	r.UB4()
}

// DecodeServerPiggyback reads what follows MessageServerPiggyback: a
// *SessionReturn or *SessionSync, or nil for an operating system process.
func DecodeServerPiggyback(r *Reader) any {
	switch kind := ServerPiggyback(r.Byte()); kind {
	case PiggybackSessionReturn:
		m := new(SessionReturn)
		m.decode(r)
		return m
	case PiggybackSessionSync:
		m := new(SessionSync)
		m.decode(r)
		return m
	case PiggybackOSProcess:
		r.UB2()
		r.CLR()
	default:
		if r.err == nil {
			r.malformed("server piggyback %d", kind)
		}
	}
	return nil
}
