package tns

// Marker values (tns.md 1.5).
const (
	MarkerBreak     byte = 1
	MarkerReset     byte = 2
	MarkerInterrupt byte = 3
)

// Marker interrupts a call or answers an interruption (tns.md 1.5, ttc.md 10).
type Marker struct {
	Kind  byte // 0, 1 or 2; drivers send 1
	Value byte // MarkerBreak, MarkerReset or MarkerInterrupt
}

// AppendTo appends the packet of exactly 11 bytes, on which go-ora insists.
func (m Marker) AppendTo(dst []byte, large bool) []byte {
	dst, start := beginPacket(dst, TypeMarker, 0)
	return endPacket(append(dst, m.Kind, 0, m.Value), start, large)
}

// Decode reads a MARKER of 11 bytes.
func (m *Marker) Decode(p Packet) error {
	*m = Marker{}
	if err := wantType(p, TypeMarker); err != nil {
		return err
	}
	if len(p.Body) != 3 {
		return frameError(ErrMalformed, p, "a MARKER has 11 bytes; the sender is broken")
	}
	m.Kind, m.Value = p.Body[0], p.Body[2]
	return nil
}
