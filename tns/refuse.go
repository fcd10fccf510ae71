package tns

import (
	"encoding/binary"
	"strconv"
	"strings"
)

// Reasons of a REFUSE as real listeners give them (tns.md 3).
const (
	UserReason   byte = 0x22
	SystemReason byte = 0x00
)

// refuseFixedSize is where the text of a REFUSE begins.
const refuseFixedSize = headerSize + 4

// maxAlias keeps the answer to a ping within the 230 bytes that every driver reads.
const maxAlias = 64

// Refuse ends a connect (tns.md 3).
type Refuse struct {
	UserReason, SystemReason byte
	Text                     string // a descriptor that holds ERR=; at most 230 bytes if every driver is to read it
}

// NewRefuse is the one form that every driver reads (tns.md 3.1): text inline, upper
// case, no blanks, no NUL, at most 230 bytes. vsnnum is our version number, 0 to hide
// it (VersionNumber).
func NewRefuse(code Code, vsnnum uint32) *Refuse {
	number := strconv.Itoa(int(code))
	text := "(DESCRIPTION=(TMP=)(VSNNUM=" + strconv.FormatUint(uint64(vsnnum), 10) + ")(ERR=" + number + ")"
	switch code {
	case CodeNone:
	case CodeBadDescriptor: // real listeners add why the text was not understood
		text += "(ERROR_STACK=(ERROR=(CODE=" + number + ")(EMFI=4))(ERROR=(CODE=303)(EMFI=1)))"
	default:
		text += "(ERROR_STACK=(ERROR=(CODE=" + number + ")(EMFI=4)))"
	}
	return &Refuse{UserReason: UserReason, SystemReason: SystemReason, Text: text + ")"}
}

// WithRef adds a reference by which the refusal's explanation is found, (REF=…), if it is
// made of letters and digits and every driver can still read the text.
func (r *Refuse) WithRef(ref string) *Refuse {
	const most = 230
	text, whole := strings.CutSuffix(r.Text, ")")
	text += "(REF=" + ref + "))"
	if ref == "" || !whole || len(text) > most || strings.IndexFunc(ref, func(c rune) bool { return !isNameRune(c) }) >= 0 {
		return r
	}
	return &Refuse{UserReason: r.UserReason, SystemReason: r.SystemReason, Text: text}
}

// PingReply answers COMMAND=ping (tns.md 10.2): a REFUSE whose ERR is 0. Of alias, the
// listener's name, only letters, digits and "_-.$#" are sent, 64 at most.
func PingReply(alias string) *Refuse {
	alias = strings.Map(func(r rune) rune {
		if isNameRune(r) {
			return r
		}
		return -1
	}, alias)
	return &Refuse{UserReason: UserReason, SystemReason: SystemReason,
		Text: "(DESCRIPTION=(TMP=)(VSNNUM=0)(ERR=0)(ALIAS=" + alias[:min(len(alias), maxAlias)] + "))"}
}

func isNameRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_-.$#", r)
}

// Code is the ERR number of the text, 0 if there is none.
func (r *Refuse) Code() Code {
	code, _ := r.ErrorCode()
	return code
}

// ErrorCode is the ERR number of the text and whether there is one: ERR=0 answers a
// ping. Case, blanks, NULs and what stands around (ERR=n) do not matter.
func (r *Refuse) ErrorCode() (code Code, found bool) {
	text := r.Text
	for {
		_, after, more := strings.Cut(text, "(")
		if !more {
			return 0, false
		}
		if n, ok := scanErr(after); ok {
			return Code(n), true
		}
		text = after
	}
}

// scanErr reads "ERR = n )", case and blanks being free.
func scanErr(text string) (n int, ok bool) {
	text = skipBlanks(text)
	if len(text) < 3 || !strings.EqualFold(text[:3], "ERR") {
		return 0, false
	}
	text, ok = strings.CutPrefix(skipBlanks(text[3:]), "=")
	if !ok {
		return 0, false
	}
	text = skipBlanks(text)
	digits := 0
	for digits < len(text) && text[digits] >= '0' && text[digits] <= '9' {
		digits++
	}
	if rest := skipBlanks(text[digits:]); rest != "" && rest[0] != ')' {
		return 0, false
	}
	n, err := strconv.Atoi(text[:digits])
	return n, err == nil
}

func skipBlanks(s string) string { return strings.TrimLeft(s, " \t\r\n\x00") }

// Err gives the refusal as an error, a *RefusedError; nil if its ERR is 0.
func (r *Refuse) Err() error {
	if code, found := r.ErrorCode(); found && code == CodeNone {
		return nil
	}
	return &RefusedError{Refuse: r}
}

// AppendTo appends the packet, its text inline whatever its length: no other form is
// read by python-oracledb (tns.md 3.1). A text that does not fit appends nothing; Send
// refuses it with ErrTooLong.
func (r *Refuse) AppendTo(dst []byte, _ bool) []byte {
	if r.check(false) != nil {
		return dst
	}
	dst, start := beginPacket(dst, TypeRefuse, 0)
	dst = append(dst, r.UserReason, r.SystemReason)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(r.Text)))
	return endPacket(append(dst, r.Text...), start, false)
}

// check tells whether the 16-bit lengths can hold the REFUSE.
func (r *Refuse) check(bool) error {
	if refuseFixedSize+len(r.Text) > maxSmallPacket {
		return &FrameError{Type: TypeRefuse, Err: ErrTooLong, Problem: "the text does not fit; keep it within 230 bytes"}
	}
	return nil
}

// Decode reads a REFUSE. following is the length of text that comes in DATA packets
// after it; 0 if Text is complete. NULs at the end of the text are dropped.
func (r *Refuse) Decode(p Packet) (following int, err error) {
	*r = Refuse{}
	if err := wantType(p, TypeRefuse); err != nil {
		return 0, err
	}
	in := cursor{packet: p}
	r.UserReason, r.SystemReason = in.u8("user reason"), in.u8("system reason")
	length := int(in.u16("text length"))
	switch text := in.rest(); {
	case len(text) == 0:
		following = length
	case length == 0: // an announcement forgotten; the text still tells the reason
		r.setText(text)
	case len(text) >= length:
		r.setText(text[:length])
	default:
		in.fail("announces a text of %d bytes and has %d; the listener is broken", length, len(text))
	}
	return following, in.err
}

// setText takes the text as it came over the wire.
func (r *Refuse) setText(b []byte) { r.Text = strings.TrimRight(string(b), "\x00") }
