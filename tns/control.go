package tns

import "encoding/binary"

// Control commands and facility (tns.md 1.5).
const (
	ControlInBand   uint16 = 8  // an error or a message for the session
	ControlResetOOB uint16 = 9  // the out-of-band check is done, or off
	FacilityORA     uint32 = 22 // Error is an ORA number; otherwise it is TNS's own
)

// controlFixedSize is where the text of a CONTROL begins.
const controlFixedSize = headerSize + 14

// Control is an in-band notice (tns.md 1.5, ttc.md 13.5).
type Control struct {
	Command  uint16
	Facility uint32 // absent for ControlResetOOB, as are the following
	Error    uint32 // 12572 the session is to end, 12573 a text follows
	Second   uint32 // a second error; for a text its length, filled in from Text
	Text     string
}

// inBand tells whether the fields after the command are there.
func (m *Control) inBand() bool { return m.Command != ControlResetOOB }

// AppendTo appends the packet: 10 bytes for ControlResetOOB, else 22 and the text.
func (m Control) AppendTo(dst []byte, large bool) []byte {
	dst, start := beginPacket(dst, TypeControl, 0)
	dst = binary.BigEndian.AppendUint16(dst, m.Command)
	if m.inBand() {
		second := m.Second
		if m.Text != "" {
			second = uint32(len(m.Text))
		}
		dst = binary.BigEndian.AppendUint32(dst, m.Facility)
		dst = binary.BigEndian.AppendUint32(dst, m.Error)
		dst = binary.BigEndian.AppendUint32(dst, second)
		dst = append(dst, m.Text...)
	}
	return endPacket(dst, start, large)
}

// check tells whether the length field can hold the text.
func (m Control) check(large bool) error {
	if !large && len(m.Text) > maxSmallPacket-controlFixedSize {
		return &FrameError{Type: TypeControl, Err: ErrTooLong, Problem: "lengths have 16 bits here; shorten the text"}
	}
	return nil
}

// Decode reads a CONTROL.
func (m *Control) Decode(p Packet) error {
	*m = Control{}
	if err := wantType(p, TypeControl); err != nil {
		return err
	}
	c := cursor{packet: p}
	m.Command = c.u16("command")
	if c.err == nil && m.inBand() {
		m.Facility = c.u32("facility")
		m.Error = c.u32("error")
		m.Second = c.u32("second error")
		m.Text = string(c.rest())
		hasText := m.Text != "" || Code(m.Error) == CodeMessage
		if hasText && uint64(m.Second) != uint64(len(m.Text)) {
			c.fail("announces a text of %d bytes and has %d; the sender is broken", m.Second, len(m.Text))
		}
	} else if len(c.rest()) != 0 {
		c.fail("has bytes after its command; the sender is broken")
	}
	return c.err
}
