package ttc

// Bits of a login's mode (ttc.md 7).
const (
	AuthLogon          uint32 = 0x1
	AuthChangePassword uint32 = 0x2
	AuthSYSDBA         uint32 = 0x20
	AuthSYSOPER        uint32 = 0x40
	AuthWithPassword   uint32 = 0x100
	AuthProxy          uint32 = 0x400
	AuthToken          uint32 = 0x20000000
)

// maxName bounds user and other names in calls; the database allows 128 bytes.
const maxName = 4096

// Keys of the pairs that a login exchanges (ttc.md 7).
const (
	KeyTerminal        = "AUTH_TERMINAL"
	KeyProgram         = "AUTH_PROGRAM_NM"
	KeyMachine         = "AUTH_MACHINE"
	KeyProcess         = "AUTH_PID"
	KeyOSUser          = "AUTH_SID"
	KeySessionKey      = "AUTH_SESSKEY"
	KeyVerifierData    = "AUTH_VFR_DATA"
	KeyCSKSalt         = "AUTH_PBKDF2_CSK_SALT"
	KeyVGenCount       = "AUTH_PBKDF2_VGEN_COUNT"
	KeySDerCount       = "AUTH_PBKDF2_SDER_COUNT"
	KeyPassword        = "AUTH_PASSWORD"
	KeyNewPassword     = "AUTH_NEWPASSWORD"
	KeySpeedyKey       = "AUTH_PBKDF2_SPEEDY_KEY"
	KeyServerResponse  = "AUTH_SVR_RESPONSE"
	KeyProxyClient     = "PROXY_CLIENT_NAME"
	KeyConnectionClass = "AUTH_KPPL_CONN_CLASS"
	KeyPurity          = "AUTH_KPPL_PURITY"
	KeyAlterSession    = "AUTH_ALTER_SESSION"
	KeyDriverName      = "SESSION_CLIENT_DRIVER_NAME"
	KeyVersionNumber   = "AUTH_VERSION_NO"
	KeySessionID       = "AUTH_SESSION_ID"
	KeySerial          = "AUTH_SERIAL_NUM"
	KeyToken           = "AUTH_TOKEN"
)

// Auth is the body of either phase of a login: FunctionAuthOne, which asks for
// the challenge, and FunctionAuthTwo, which answers it.
type Auth struct {
	User  string
	Mode  uint32
	Pairs []Pair
}

// Decode reads what follows the header.
func (m *Auth) Decode(r *Reader, d Dialect) {
	*m = Auth{}
	hasUser := r.Byte() != 0
	length := r.UB4()
	m.Mode = r.UB4()
	r.Byte()
	n := r.Count(maxPairs)
	r.Byte()
	r.Byte()
	if length > maxName {
		r.malformed("user name of %d bytes", length)
	}
	if hasUser {
		m.User = string(r.Text(length, d))
	}
	m.Pairs = r.nPairs(n)
}

// AppendTo appends the body.
func (m *Auth) AppendTo(dst []byte, d Dialect) []byte {
	dst = appendPointer(dst, m.User != "")
	dst = appendCount(dst, len(m.User))
	dst = appendUB(dst, uint64(m.Mode))
	dst = append(dst, 1)
	dst = appendCount(dst, len(m.Pairs))
	dst = append(dst, 1, 1)
	dst = appendText(dst, []byte(m.User), d)
	for _, p := range m.Pairs {
		dst = appendPair(dst, p)
	}
	return dst
}

// Value is the value of the first pair with a key, without a zero byte at its
// end; empty if there is none.
func (m *Auth) Value(key string) string { return pairValue(m.Pairs, key) }

func pairValue(pairs []Pair, key string) string {
	for _, p := range pairs {
		if p.Key == key {
			return trimNUL([]byte(p.Value))
		}
	}
	return ""
}

// AuthReply is what a server returns from either phase of a login.
type AuthReply struct{ Pairs []Pair }

// AppendTo appends the message with its code.
func (m *AuthReply) AppendTo(dst []byte, _ Dialect) []byte {
	dst = append(dst, byte(MessageParameters))
	dst = appendCount(dst, len(m.Pairs))
	for _, p := range m.Pairs {
		dst = appendPair(dst, p)
	}
	return dst
}

// Decode reads what follows the message code.
func (m *AuthReply) Decode(r *Reader) { m.Pairs = r.pairs() }

// Value is the value of the first pair with a key; empty if there is none.
func (m *AuthReply) Value(key string) string { return pairValue(m.Pairs, key) }

// Flags is the number beside the first pair with a key; 0 if there is none.
func (m *AuthReply) Flags(key string) uint32 {
	for _, p := range m.Pairs {
		if p.Key == key {
			return p.Flags
		}
	}
	return 0
}

// FastAuth is the message that carries the first three at once (ttc.md 5.5).
type FastAuth struct {
	Protocol     Protocol
	FieldVersion byte // the one that the login in here is written in
	DataTypes    DataTypes
	Header       Header
	Login        Auth
}

// Decode reads what follows the message code. Server is what the server would
// have answered to Protocol.
func (m *FastAuth) Decode(r *Reader, server Capabilities) Dialect {
	*m = FastAuth{}
	r.Skip(3) // version and two flags
	r.expect(MessageProtocol)
	m.Protocol.Decode(r)
	r.Skip(5) // character sets, of no use here
	m.FieldVersion = r.Byte()
	r.expect(MessageDataTypes)
	m.DataTypes.Decode(r)
	d := Negotiate(server, &m.DataTypes)
	login := d
	login.FieldVersion = m.FieldVersion
	r.expect(MessageFunction)
	m.Header.Decode(r, MessageFunction, login)
	m.Login.Decode(r, login)
	return d
}

func (r *Reader) expect(code MessageCode) {
	if got := MessageCode(r.Byte()); got != code && r.err == nil {
		r.malformed("message %d where %d is expected", got, code)
	}
}

// AppendTo appends the message with its code. The login is written as
// FunctionAuthOne.
func (m *FastAuth) AppendTo(dst []byte, d Dialect) []byte {
	dst = append(dst, byte(MessageFastAuth), 1, 1, 0)
	dst = m.Protocol.AppendTo(dst)
	dst = appendUint16(dst, 0)
	dst = append(dst, 0)
	dst = appendUint16(dst, 0)
	dst = append(dst, m.FieldVersion)
	dst = m.DataTypes.AppendTo(dst)
	d.FieldVersion = m.FieldVersion
	return AppendCall(dst, d, FunctionAuthOne, &m.Login)
}
