package tns

// Resend asks for the CONNECT and its data once more, on the same socket (tns.md 5).
type Resend struct {
	TLS bool // both sides run a new full TLS handshake first
}

// AppendTo appends the 8-byte packet.
func (r Resend) AppendTo(dst []byte, _ bool) []byte {
	var flags byte
	if r.TLS {
		flags = FlagTLSRestart
	}
	dst, start := beginPacket(dst, TypeResend, flags)
	return endPacket(dst, start, false)
}

// Decode reads a RESEND. Anything after the header is an error.
func (r *Resend) Decode(p Packet) error {
	*r = Resend{}
	if err := wantType(p, TypeResend); err != nil {
		return err
	}
	if len(p.Body) != 0 {
		return frameError(ErrMalformed, p, "a RESEND is its header alone; the peer is no listener we know")
	}
	r.TLS = p.Flags&FlagTLSRestart != 0
	return nil
}
