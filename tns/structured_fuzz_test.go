package tns

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"servicebroker/testenv/fuzzing"
)

// built makes a message of the script's choice, as far as it can be sent.
func built(s *fuzzing.Script) Message {
	number := func() uint32 { return fuzzing.Numbers()[s.Below(len(fuzzing.Numbers()))] }
	text := func() string {
		if s.Bool() {
			return fuzzing.Text(s)
		}
		return string(bytes.Repeat([]byte{'x'}, s.Below(1<<15)))
	}
	switch s.Below(7) {
	case 0:
		c := NewConnect([]byte(text()))
		c.Version, c.Lowest, c.Options = uint16(number()), uint16(number()), uint16(number())
		c.HeaderFlags, c.SDU, c.SDU32 = byte(number()), uint16(number()), number()
		c.Offset, c.Extra = fuzzing.Pick[uint16](s, 0, 34, 58, 70, 74), s.Bytes(20)
		copy(c.TraceID[:], s.Bytes(8))
		return c
	case 1:
		c := NewConnect(nil)
		c.Version = fuzzing.Pick[uint16](s, 300, 312, 314, 315, 318, 319)
		a := AnswerConnect(c, fuzzing.Pick[uint16](s, 300, 314, 315, 318, 319), s.Bytes(200))
		a.HeaderFlags, a.Inline = byte(s.Below(4)), s.Bool()
		if s.Bool() {
			a.Data = bytes.Repeat([]byte{7}, s.Below(3000))
		}
		return a
	case 2:
		return &Refuse{UserReason: byte(number()), SystemReason: byte(number()), Text: strings.TrimRight(text(), "\x00")} // those at its end are dropped
	case 3:
		plain := func() string { return strings.ReplaceAll(text(), "\x00", "") } // it separates the two
		return &Redirect{Address: plain(), ConnectData: plain()}
	case 4:
		return Resend{TLS: s.Bool()}
	case 5:
		return Data{Flags: uint16(number()), Payload: s.Bytes(200)}
	}
	return NewRefuse(Code(number()), number())
}

// FuzzMessages sends messages made of words and limits, and reads them: whole, byte by byte and cut off. What
// is read is what was sent; of a message that is not whole nothing is read.
func FuzzMessages(f *testing.F) {
	for kind := range byte(7) {
		f.Add([]byte{kind, 0, 9, 9, 9, 9, 9, 9, 0, 1, 1, 0, 0, 0, 0, 0, 0}, uint16(10), kind&1 == 0)
	}
	f.Fuzz(func(t *testing.T, script []byte, cut uint16, asConnect bool) {
		s := fuzzing.Read(script)
		m := built(s)
		if NewConn(&wire{}).Send(m) != nil {
			return // longer than can be sent
		}
		sent := encode(m)
		read := func(r io.Reader) (Message, error) {
			c := NewConn(&wire{in: r})
			if asConnect {
				m, err := c.ReadConnect()
				if err != nil {
					return nil, err
				}
				return m, nil
			}
			return c.ReadReply()
		}
		got, err := read(bytes.NewReader(sent))
		slow, slowErr := read(iotest.OneByteReader(bytes.NewReader(sent)))
		if (err == nil) != (slowErr == nil) || err != nil && err.Error() != slowErr.Error() {
			t.Fatalf("%v, byte by byte %v", err, slowErr)
		}
		if _, connect := m.(*Connect); err != nil {
			if !allowed(err) || connect && asConnect && !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrTooLong) && !errors.Is(err, ErrNotConnect) {
				t.Fatalf("%T: %v", m, err)
			}
			return
		}
		if diff := cmp.Diff(got, slow); diff != "" {
			t.Fatal(diff)
		}
		if again := encode(got); !bytes.Equal(again, sent) {
			t.Fatalf("%T\nsent    %x\nwritten %x", got, sent, again)
		}
		if n := int(cut) % len(sent); n < len(sent) {
			if got, err := read(bytes.NewReader(sent[:n])); err == nil {
				t.Fatalf("%T: the first %d bytes of %d are read as %+v", m, n, len(sent), got)
			}
		}
	})
}

// FuzzStreams reads packets right and wrong, one after the other: however they are cut, the same comes of
// them, within the bounds of memory and time.
func FuzzStreams(f *testing.F) {
	f.Add([]byte{0, 0, 0, 3, 4, 1, 2, 3}, false, uint8(0))
	f.Add([]byte{1, 0, 2, 0, 0, 4, 4, 4, 0, 1, 2}, true, uint8(1))
	f.Add([]byte{4, 0, 0, 4, 4, 4, 0, 1, 2}, true, uint8(2))
	f.Fuzz(func(t *testing.T, script []byte, large bool, how uint8) {
		var stream []byte
		for s := fuzzing.Read(script); s.More() && len(stream) < 1<<16; {
			stream = append(stream, fuzzing.Packet(s, large)...)
		}
		read := func(r io.Reader) (all [][]byte, err error) {
			c := NewConn(&wire{in: r})
			if large {
				c.SetVersion(VersionHighest)
			}
			for err == nil {
				var m Message
				switch how % 3 {
				case 0:
					var p Packet
					if p, err = c.ReadPacket(); err == nil {
						all = append(all, append([]byte{byte(p.Type), p.Flags}, p.Body...))
					}
					continue
				case 1:
					m, err = c.ReadReply()
				case 2:
					m, err = c.ReadConnect()
				}
				if refuse, over := m.(*Refuse); over && err == nil { // its text may be in a DATA packet that counts if it is there already (tns.md 3.1)
					return append(all, []byte{refuse.UserReason, refuse.SystemReason}), io.EOF
				}
				if err == nil {
					all = append(all, encode(m))
				}
			}
			return all, err
		}
		var whole [][]byte
		var err error
		fuzzing.Bounded(t, len(stream), func() { whole, err = read(bytes.NewReader(stream)) })
		pieces, slowErr := read(iotest.HalfReader(bytes.NewReader(stream)))
		if diff := cmp.Diff(whole, pieces); diff != "" || err.Error() != slowErr.Error() {
			t.Fatalf("%v, in pieces %v: %s", err, slowErr, diff)
		}
		if !allowed(err) {
			t.Fatal(err)
		}
	})
}
