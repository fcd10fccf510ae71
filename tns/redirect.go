package tns

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// maxRedirectText is the longest text that every driver takes: it must come in one DATA
// packet, and go-oracledb reads none above 8192 bytes (tns.md 4.1, 13).
const maxRedirectText = textPacketSize - dataHeaderSize

// Redirect sends a client elsewhere (tns.md 4).
type Redirect struct {
	Address     string // (ADDRESS=(PROTOCOL=TCP)(HOST=h)(PORT=n)), or a descriptor that holds one
	ConnectData string // what the client sends there; empty: its own connect data
}

// AppendTo appends the two packets that every driver takes (tns.md 4): the 10-byte
// REDIRECT with its flag, and one DATA with DataEOF. A text that does not fit appends
// nothing; Send refuses it with ErrTooLong.
func (r *Redirect) AppendTo(dst []byte, _ bool) []byte {
	if r.check(false) != nil {
		return dst
	}
	dst, start := beginPacket(dst, TypeRedirect, FlagRedirectText)
	dst = binary.BigEndian.AppendUint16(dst, uint16(r.textLength()))
	dst = endPacket(dst, start, false)

	dst, start = beginPacket(dst, TypeData, 0)
	dst = binary.BigEndian.AppendUint16(dst, DataEOF)
	dst = append(dst, r.Address...)
	dst = append(dst, 0)
	return endPacket(append(dst, r.ConnectData...), start, false)
}

// textLength counts address, NUL and connect data.
func (r *Redirect) textLength() int { return len(r.Address) + 1 + len(r.ConnectData) }

// check tells whether every driver can take the text.
func (r *Redirect) check(bool) error {
	if n := r.textLength(); n > maxRedirectText {
		return &FrameError{Type: TypeRedirect, Err: ErrTooLong,
			Problem: fmt.Sprintf("text of %d bytes, drivers take %d; shorten the descriptor or relay", n, maxRedirectText)}
	}
	return nil
}

// Decode reads a REDIRECT. following is the length of text that comes in DATA packets
// after it; 0 if Address and ConnectData are complete.
func (r *Redirect) Decode(p Packet) (following int, err error) {
	*r = Redirect{}
	if err := wantType(p, TypeRedirect); err != nil {
		return 0, err
	}
	in := cursor{packet: p}
	length := int(in.u16("text length"))
	text := in.rest()
	switch {
	case in.err != nil:
	case length == 0:
		in.fail("names no address; the listener is broken")
	case len(text) == 0:
		following = length
	case len(text) < length:
		in.fail("announces a text of %d bytes and has %d; the listener is broken", length, len(text))
	default:
		err = r.setText(text[:length], p)
	}
	if in.err != nil {
		err = in.err
	}
	return following, err
}

// setText splits the text of the REDIRECT p as it came over the wire, in any form of
// tns.md 4.1: an address alone, or address, NUL and connect data, with or without NULs
// behind. The flag that should tell the two apart is not always set, the NUL is always
// there.
func (r *Redirect) setText(b []byte, p Packet) error {
	address, connectData, _ := strings.Cut(string(b), "\x00")
	if strings.TrimSpace(address) == "" {
		return frameError(ErrMalformed, p, "names no address; the listener is broken")
	}
	r.Address, r.ConnectData = address, strings.Trim(connectData, "\x00")
	return nil
}
