package tns

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

// allowed are the errors that input alone can cause.
func allowed(err error) bool {
	for _, sentinel := range []error{ErrNotConnect, ErrMalformed, ErrTooLong, ErrOutOfStep, ErrUnexpected, io.EOF, io.ErrUnexpectedEOF} {
		if errors.Is(err, sentinel) {
			return true
		}
	}
	return false
}

// fuzzBody checks one decoder on a body: it never panics, fails only as documented, and
// what it accepts is written and read again the same.
func fuzzBody(f *testing.F, typ Type) {
	for _, g := range golden {
		if b := hexBytes(f, g.bytes); Type(b[4]) == typ {
			f.Add(b[5], b[headerSize:])
		}
	}
	if typ == TypeAccept { // as long as any, and without the fields that later versions have
		full := make([]byte, maxSmallPacket-headerSize)
		copy(full, hexBytes(f, "013f 0001 2000 2000 0100 0000 0020"))
		f.Add(byte(0), full)
	}
	f.Add(byte(0), []byte{})
	f.Add(byte(0xff), bytes.Repeat([]byte{0xff}, 100))
	f.Fuzz(func(t *testing.T, flags byte, body []byte) {
		if len(body) > maxSmallPacket-headerSize {
			return
		}
		p := Packet{Type: typ, Flags: flags, Body: body}
		before := bytes.Clone(body)
		m, following, err := decode(p)
		if !bytes.Equal(body, before) {
			t.Fatal("the body was written to")
		}
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		if following < 0 || following > 0xffff {
			t.Fatalf("following %d", following)
		}
		if following > 0 {
			return // the stream targets go on from here
		}
		again, following, err := decode(firstPacket(t, m))
		if err != nil {
			t.Fatalf("written again: following %d, %v", following, err)
		}
		if following == 0 && typ != TypeRedirect {
			sameButOffset(t, m, again)
		}
	})
}

// firstPacket writes m and frames its first packet.
func firstPacket(t *testing.T, m Message) Packet {
	p, err := reading(encode(m)).ReadPacket()
	if err != nil {
		if _, redirect := m.(*Redirect); redirect {
			return Packet{Type: TypeRedirect, Body: []byte{0, 1}} // longer than we send
		}
		t.Fatal(err)
	}
	return p
}

// sameButOffset compares; an ACCEPT whose offset was repaired has it now.
func sameButOffset(t *testing.T, m, again Message) {
	if a, ok := m.(*Accept); ok && a.Offset == 0 {
		a.Offset = again.(*Accept).Offset
	}
	if diff := cmp.Diff(m, again); diff != "" {
		t.Fatal(diff)
	}
}

func FuzzConnect(f *testing.F)  { fuzzBody(f, TypeConnect) }
func FuzzAccept(f *testing.F)   { fuzzBody(f, TypeAccept) }
func FuzzRefuse(f *testing.F)   { fuzzBody(f, TypeRefuse) }
func FuzzRedirect(f *testing.F) { fuzzBody(f, TypeRedirect) }
func FuzzResend(f *testing.F)   { fuzzBody(f, TypeResend) }
func FuzzData(f *testing.F)     { fuzzBody(f, TypeData) }
func FuzzMarker(f *testing.F)   { fuzzBody(f, TypeMarker) }
func FuzzControl(f *testing.F)  { fuzzBody(f, TypeControl) }

// streams is a corpus of whole dialogues.
func streams(f *testing.F) {
	for _, g := range golden {
		f.Add(hexBytes(f, g.bytes))
	}
	for _, m := range []Message{
		NewConnect(bytes.Repeat([]byte("x"), 300)), NewConnect(bytes.Repeat([]byte("x"), 20000)),
		&Accept{Version: 310, Data: make([]byte, 300)}, &Accept{Version: 319, Data: make([]byte, 9000)},
		&Redirect{Address: redirectAddress, ConnectData: redirectData}, NewRefuse(CodeBadDescriptor, 1),
	} {
		f.Add(append(encode(m), "more"...))
	}
	f.Add([]byte("GET / HTTP/1.1\r\nHost: broker\r\n\r\n"))
	f.Add(hexBytes(f, "000c000004000000 22 00 0005 000f000006000000 0000 0102030405"))
}

// FuzzReadConnect feeds strangers' bytes: however they are cut, the answer is the same,
// in bounded memory, and an accepted CONNECT is written and read again the same.
func FuzzReadConnect(f *testing.F) {
	streams(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		c := reading(b)
		got, err := c.ReadConnect()
		slow, slowErr := NewConn(&wire{in: iotest.OneByteReader(bytes.NewReader(b))}).ReadConnect()
		if (err == nil) != (slowErr == nil) || err != nil && err.Error() != slowErr.Error() {
			t.Fatalf("%v, byte by byte %v", err, slowErr)
		}
		if limit := max(firstBuffer, 2*len(b)); len(c.in) > limit {
			t.Fatalf("a buffer of %d for %d bytes", len(c.in), len(b))
		}
		if err != nil {
			if !allowed(err) {
				t.Fatal(err)
			}
			return
		}
		if diff := cmp.Diff(got, slow); diff != "" {
			t.Fatal(diff)
		}
		again, err := reading(encode(got)).ReadConnect()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(got, again); diff != "" {
			t.Fatal(diff)
		}
	})
}

// FuzzReadReply is the same for what listeners answer.
func FuzzReadReply(f *testing.F) {
	streams(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		c := reading(b)
		got, err := c.ReadReply()
		if limit := max(firstBuffer, 2*len(b)); len(c.in) > limit {
			t.Fatalf("a buffer of %d for %d bytes", len(c.in), len(b))
		}
		if err != nil {
			if !allowed(err) {
				t.Fatal(err)
			}
			return
		}
		if NewConn(&wire{}).Send(got) != nil {
			return // longer than we would send
		}
		again, err := reading(encode(got)).ReadReply()
		if err != nil {
			t.Fatal(err)
		}
		sameButOffset(t, got, again)
	})
}

// FuzzReadPacket reads sessions in either length format to their end.
func FuzzReadPacket(f *testing.F) {
	for _, large := range []bool{false, true} {
		b, _ := stream(large)
		f.Add(b[:3000], large)
		f.Add([]byte{0xff, 0xff, 0xff, 0xff, 6, 0, 0, 0}, large)
	}
	f.Fuzz(func(t *testing.T, b []byte, large bool) {
		c := reading(b)
		if large {
			c.SetVersion(VersionHighest)
		}
		for total := 0; ; {
			p, err := c.ReadPacket()
			if err != nil {
				if !allowed(err) {
					t.Fatal(err)
				}
				return
			}
			if _, _, err := decode(p); err != nil && !allowed(err) {
				t.Fatal(err)
			}
			if total += headerSize + len(p.Body); total > len(b) {
				t.Fatalf("%d bytes of packets from %d", total, len(b))
			}
		}
	})
}

// FuzzRefuseCode scans texts: it ends, and finds what NewRefuse wrote.
func FuzzRefuseCode(f *testing.F) {
	f.Add(refuse21c)
	f.Add("( ERR = 1 )((((ERR=")
	f.Fuzz(func(t *testing.T, text string) {
		code, found := (&Refuse{Text: text}).ErrorCode()
		if !found && code != 0 || code < 0 {
			t.Fatalf("%d, %v", code, found)
		}
		if found {
			if got := NewRefuse(code, 0).Code(); got != code {
				t.Fatalf("%d became %d", code, got)
			}
		}
	})
}
