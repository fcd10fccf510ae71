package tns

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// bytesOf draws up to n bytes; none is nil, as decoders give it.
func bytesOf(n int) *rapid.Generator[[]byte] {
	return rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, n), clone)
}

// id16 draws a connection id or a session id, or none.
func id16(t *rapid.T, label string) []byte {
	if !rapid.Bool().Draw(t, label+" given") {
		return nil
	}
	return rapid.SliceOfN(rapid.Byte(), connectionIDSize, connectionIDSize).Draw(t, label)
}

func drawConnect(t *rapid.T) *Connect {
	u16, u32 := rapid.Uint16(), rapid.Uint32()
	offset := rapid.IntRange(connectFixedSize, 120).Draw(t, "offset")
	// What the layout does not have stays zero: unpack from as many bytes as exist.
	var optional [connectSize318 - connectFixedSize]byte
	fields := wholeFields(offset)
	copy(optional[:], rapid.SliceOfN(rapid.Byte(), fields-connectFixedSize, fields-connectFixedSize).Draw(t, "optional"))
	c := &Connect{
		HeaderFlags: rapid.Byte().Draw(t, "header flags"), Version: u16.Draw(t, "version"), Lowest: u16.Draw(t, "lowest"), Options: u16.Draw(t, "options"),
		SDU: u16.Draw(t, "SDU"), TDU: u16.Draw(t, "TDU"), NTCharacteristics: u16.Draw(t, "NT"), LineTurnaround: u16.Draw(t, "turnaround"),
		One: [2]byte{rapid.Byte().Draw(t, "one"), 1}, MaxReceive: u32.Draw(t, "max receive"),
		Flags0: rapid.Byte().Draw(t, "flags 0"), Flags1: rapid.Byte().Draw(t, "flags 1"), Offset: uint16(offset),
	}
	c.unpackOptional(&optional)
	c.Extra = clone(rapid.SliceOfN(rapid.Byte(), offset-fields, offset-fields).Draw(t, "extra"))
	c.Data = bytesOf(20000).Draw(t, "data")
	return c
}

func drawAccept(t *rapid.T) *Accept {
	u16 := rapid.Uint16()
	version := rapid.OneOf(rapid.Uint16Range(300, 320), u16).Draw(t, "version")
	offset := rapid.IntRange(acceptSize300, 80).Draw(t, "offset")
	fields := acceptFields(version, offset)
	var optional [acceptSizeFull - acceptSize300]byte
	copy(optional[:], rapid.SliceOfN(rapid.Byte(), fields-acceptSize300, fields-acceptSize300).Draw(t, "optional"))
	a := &Accept{
		HeaderFlags: rapid.Byte().Draw(t, "header flags") &^ FlagSessionID, Version: version, Options: u16.Draw(t, "options"),
		SDU16: u16.Draw(t, "SDU16"), TDU16: u16.Draw(t, "TDU16"),
		Flags0: rapid.Byte().Draw(t, "flags 0"), Flags1: rapid.Byte().Draw(t, "flags 1"), Offset: uint16(offset),
	}
	a.unpackOptional(&optional, fields)
	a.Extra = clone(rapid.SliceOfN(rapid.Byte(), offset-fields, offset-fields).Draw(t, "extra"))
	a.Data = bytesOf(20000).Draw(t, "data")
	a.Trailer = id16(t, "session id")
	if a.Trailer != nil {
		a.HeaderFlags |= FlagSessionID
	}
	return a
}

// text draws printable text without NULs.
func text(n int) *rapid.Generator[string] {
	return rapid.StringOfN(rapid.RuneFrom([]rune("(ABC=abc123)\" \t\n")), 0, n, n)
}

func drawControl(t *rapid.T) *Control {
	if rapid.Bool().Draw(t, "reset") {
		return &Control{Command: ControlResetOOB}
	}
	c := &Control{Command: ControlInBand, Facility: rapid.Uint32().Draw(t, "facility"), Error: uint32(CodeMessage), Text: text(100).Draw(t, "text")}
	c.Second = uint32(len(c.Text))
	return c
}

// Whatever can be written is read back the same, however it is cut on its way.
func TestRoundTripReplies(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var m Message
		switch rapid.IntRange(0, 3).Draw(t, "kind") {
		case 0:
			m = drawAccept(t)
		case 1:
			m = &Refuse{UserReason: rapid.Byte().Draw(t, "user"), SystemReason: rapid.Byte().Draw(t, "system"), Text: text(300).Draw(t, "text")}
		case 2:
			m = &Redirect{Address: "(ADDRESS=" + text(300).Draw(t, "address"), ConnectData: text(300).Draw(t, "data")}
		default:
			m = &Resend{TLS: rapid.Bool().Draw(t, "tls")}
		}
		c := NewConn(&wire{in: iotest.HalfReader(bytes.NewReader(encode(m)))})
		got, err := c.ReadReply()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(m, got); diff != "" {
			t.Fatal(diff)
		}
		if len(c.Buffered()) > 0 {
			t.Fatal("bytes left over")
		}
	})
}

func TestRoundTripConnect(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawConnect(t)
		b := encode(want)
		got, err := reading(b).ReadConnect()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
		if !bytes.Equal(encode(got), b) {
			t.Fatal("written again, it is something else")
		}
	})
}

func TestRoundTripSessionPackets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var sent []Message
		for range rapid.IntRange(1, 10).Draw(t, "packets") {
			switch rapid.IntRange(0, 2).Draw(t, "kind") {
			case 0:
				sent = append(sent, &Data{Flags: rapid.Uint16().Draw(t, "flags"), Payload: bytesOf(5000).Draw(t, "payload")})
			case 1:
				sent = append(sent, &Marker{Kind: rapid.Byte().Draw(t, "kind"), Value: rapid.Byte().Draw(t, "value")})
			default:
				sent = append(sent, drawControl(t))
			}
		}
		version := rapid.Uint16Range(300, 319).Draw(t, "version")
		out := &wire{}
		sender := NewConn(out)
		sender.SetVersion(version)
		if err := sender.Send(sent...); err != nil {
			t.Fatal(err)
		}
		receiver := NewConn(&wire{in: &out.out})
		receiver.SetVersion(version)
		for _, want := range sent {
			p, err := receiver.ReadPacket()
			if err != nil {
				t.Fatal(err)
			}
			got, _, err := decode(p)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatal(diff)
			}
		}
		if _, err := receiver.ReadPacket(); err != io.EOF {
			t.Fatal(err)
		}
	})
}

// Every proper prefix of a body is refused, but for those that are a message of their
// own: a DATA with less payload, and text cut off at its very beginning, which then is
// announced to follow.
func TestPrefixesRefused(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var m Message
		switch rapid.IntRange(0, 4).Draw(t, "kind") {
		case 0:
			c := drawConnect(t)
			c.Data = c.Data[:min(len(c.Data), inlineLimit)]
			m = c
		case 1:
			a := drawAccept(t)
			a.Data, a.Trailer = a.Data[:min(len(a.Data), inlineLimit)], nil
			m = a
		case 2:
			m = &Refuse{Text: "(" + text(300).Draw(t, "text")}
		case 3:
			m = &Marker{Kind: 1, Value: 2}
		default:
			m = drawControl(t)
		}
		b := encode(m)
		p := Packet{Type: Type(b[4]), Flags: b[5], Body: b[headerSize:]}
		if _, following, err := decode(p); err != nil || following != 0 {
			t.Fatal(following, err)
		}
		for n := range p.Body {
			_, following, err := decode(Packet{Type: p.Type, Flags: p.Flags, Body: p.Body[:n:n]})
			if err == nil && following == 0 {
				t.Fatalf("%T accepted when cut to %d of %d bytes", m, n, len(p.Body))
			}
			if err != nil && !errors.Is(err, ErrMalformed) {
				t.Fatal(err)
			}
		}
	})
}

// The number in a refusal is found whatever stands around it.
func TestRefuseCodeFound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		blank := rapid.StringOfN(rapid.RuneFrom([]rune(" \t\n\r\x00")), 0, 5, 5)
		name := rapid.SampledFrom([]string{"ERR", "err", "Err", "eRR"}).Draw(t, "name")
		want := Code(rapid.IntRange(0, 99999).Draw(t, "code"))
		noise := strings.ReplaceAll(text(50).Draw(t, "noise"), "(", "((")
		r := NewRefuse(want, 0)
		r.Text = noise + strings.Replace(r.Text, "(ERR=", "("+blank.Draw(t, "1")+name+blank.Draw(t, "2")+"="+blank.Draw(t, "3"), 1)
		if got, found := r.ErrorCode(); got != want || !found {
			t.Fatalf("%q: %d, %v; want %d", r.Text, got, found, want)
		}
	})
}
