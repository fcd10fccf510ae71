package tns

// Reasons of a REFUSE as real listeners give them (tns.md 3).
const (
	UserReason   byte = 0x22
	SystemReason byte = 0x00
)

// Refuse ends a connect (tns.md 3).
type Refuse struct {
	UserReason, SystemReason byte
	Text                     string // a descriptor that holds ERR=; at most 230 bytes if every driver is to read it
}

// NewRefuse is the one form that every driver reads (tns.md 3.1): text inline, upper
// case, no blanks, no NUL, at most 230 bytes. vsnnum is our version number, 0 to hide it.
func NewRefuse(code Code, vsnnum uint32) *Refuse { return &Refuse{UserReason: UserReason} }

// PingReply answers COMMAND=ping (tns.md 10.2): a REFUSE whose ERR is 0.
func PingReply(alias string) *Refuse { return &Refuse{UserReason: UserReason} }

// Code is the ERR number of the text, 0 if there is none.
func (r *Refuse) Code() Code {
	code, _ := r.ErrorCode()
	return code
}

// ErrorCode is the ERR number of the text and whether there is one: ERR=0 answers a
// ping.
func (r *Refuse) ErrorCode() (code Code, found bool) { return 0, false }

// Err gives the refusal as an error, a *RefusedError; nil if its ERR is 0.
func (r *Refuse) Err() error {
	if code, found := r.ErrorCode(); found && code == 0 {
		return nil
	}
	return &RefusedError{Refuse: r}
}

// AppendTo appends the packet, its text inline whatever its length: no other form is
// read by python-oracledb.
func (r *Refuse) AppendTo(dst []byte, _ bool) []byte { return dst }

// Decode reads a REFUSE. following is the length of text that comes in DATA packets
// after it; 0 if Text is complete.
func (r *Refuse) Decode(p Packet) (following int, err error) {
	*r = Refuse{}
	return 0, wantType(p, TypeRefuse)
}
