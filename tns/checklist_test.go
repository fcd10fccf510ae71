package tns

import (
	"bytes"
	"errors"
	"net"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"
)

// connectAt is a CONNECT whose connect data begins at offset.
func connectAt(offset uint16, data string) []byte {
	c := NewConnect([]byte(data))
	c.Version, c.Offset = 310, offset
	c.Extra = make([]byte, int(offset)-wholeFields(int(offset)))
	return encode(c)
}

// checklist is tns.md 14, those rules that this package keeps; names, addresses, rules
// and time limits are its users'.
var checklist = []struct {
	rule string
	keep func(t *testing.T)
}{
	{"reading: 16-bit lengths until ACCEPT of 315 or more has been sent", func(t *testing.T) {
		client := NewConnect([]byte("(CONNECT_DATA=(SID=x))"))
		w := &wire{in: bytes.NewReader(append(encode(client), Data{Payload: []byte("x")}.AppendTo(nil, true)...))}
		c := NewConn(w)
		connect, err := c.ReadConnect()
		if err != nil {
			t.Fatal(err)
		}
		accept := AnswerConnect(connect, 319, nil)
		if err := c.Send(accept); err != nil {
			t.Fatal(err)
		}
		c.SetVersion(accept.Version)
		if err := c.Send(Data{Flags: DataEOF}); err != nil {
			t.Fatal(err)
		}
		if b := w.out.Bytes(); b[0] != 0 || b[1] != 45 || !bytes.Equal(b[45:], []byte{0, 0, 0, 10, 6, 0, 0, 0, 0, 0x40}) {
			t.Fatalf("%x", b)
		}
		if p, err := c.ReadPacket(); err != nil || string(p.Body) != "\x00\x00x" {
			t.Fatal(p, err)
		}
	}},
	{"reading: lengths below 8, a CONNECT below 34", func(t *testing.T) {
		for length := range 34 {
			b := connectAt(34, "")
			b[1] = byte(length)
			_, err := reading(b).ReadConnect()
			mustFail(t, err, ErrMalformed)
			b[4] = byte(TypeData)
			if _, err := reading(b).ReadPacket(); (err == nil) != (length >= 8) {
				t.Errorf("DATA of %d bytes: %v", length, err)
			}
		}
		if _, err := reading(connectAt(34, "")).ReadConnect(); err != nil {
			t.Fatal(err)
		}
	}},
	{"reading: connect data by its offset and length, offsets 34 to 74 and more", func(t *testing.T) {
		for _, offset := range []uint16{34, 36, 50, 58, 60, 70, 72, 74, 75, 90, 1000, 65000} {
			c, err := reading(connectAt(offset, "(CONNECT_DATA=(SID=x))")).ReadConnect()
			if err != nil || string(c.Data) != "(CONNECT_DATA=(SID=x))" || c.Offset != offset {
				t.Errorf("offset %d: %v, %v", offset, c, err)
			}
		}
	}},
	{"reading: data from any number of packets up to the announced length, flags ignored", func(t *testing.T) {
		data := bytes.Repeat([]byte("d"), 65535)
		head := encode(NewConnect(data))[:connectSize318]
		for _, sdu := range []int{11, 512, 8192, 0} {
			c, err := reading(head, AppendData(nil, 0xffff, data, sdu, false)).ReadConnect()
			if err != nil || !bytes.Equal(c.Data, data) {
				t.Errorf("packets of %d: %v", sdu, err)
			}
		}
	}},
	{"reading: a cap of 64 KiB", func(t *testing.T) {
		head := encode(NewConnect(make([]byte, 66000&0xffff)))[:connectSize318]
		_, err := reading(head, AppendData(nil, 0, make([]byte, 66000), 8192, false)).ReadConnect()
		mustFail(t, err, ErrOutOfStep)
	}},
	{"reading: one time limit over CONNECT and data, then REFUSE 12525", timeLimitThenRefuse},
	{"reading: several CONNECTs on one connection, each a call, so that they can be counted", func(t *testing.T) {
		c := reading(connectAt(58, "one"), connectAt(70, "two"), encode(NewConnect([]byte("three"))))
		for _, want := range []string{"one", "two", "three"} {
			if got, err := c.ReadConnect(); err != nil || string(got.Data) != want {
				t.Fatal(got, err)
			}
		}
	}},
	{"reading: errors, which are logged, carry no connect data", func(t *testing.T) {
		b := encode(NewConnect([]byte("(DESCRIPTION=(SECURITY=(MY_WALLET_DIRECTORY=/secret)))")))
		b[25]++
		_, err := reading(b).ReadConnect()
		if err == nil || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "736563726574") {
			t.Fatal(err)
		}
	}},
	{"answering: before ACCEPT only ACCEPT, REFUSE, REDIRECT, RESEND", func(t *testing.T) {
		for typ := Type(1); typ <= typeHighest; typ++ {
			_, err := reading(encode(Packet{Type: typ, Body: make([]byte, 40)})).ReadReply()
			if answer := typ == TypeAccept || typ == TypeRefuse || typ == TypeRedirect || typ == TypeResend; answer == errors.Is(err, ErrUnexpected) {
				t.Errorf("%v: %v", typ, err)
			}
		}
	}},
	{"answering: the one form of REFUSE", func(t *testing.T) {
		b := encode(NewRefuse(CodeUnknownService, 318767104))
		form := regexp.MustCompile(`^\x22\x00\x00[\x00-\xe6]\(DESCRIPTION=\(TMP=\)\(VSNNUM=318767104\)\(ERR=12514\)\(ERROR_STACK=\(ERROR=\(CODE=12514\)\(EMFI=4\)\)\)\)$`)
		if !form.Match(b[headerSize:]) {
			t.Fatalf("%q", b)
		}
	}},
	{"answering: after a reply drain, then close", func(t *testing.T) {
		c := &closing{wire: wire{in: iotest.OneByteReader(bytes.NewReader(make([]byte, 8192)))}}
		conn := NewConn(c)
		if err := conn.Send(NewRefuse(CodeUnknownService, 0)); err != nil {
			t.Fatal(err)
		}
		conn.CloseAfterReply(2 * time.Second)
		if c.discarded != 8192 || !c.closed {
			t.Fatalf("%+v", c)
		}
	}},
	{"redirecting: 10-byte REDIRECT with flag 0x02, one DATA with 0x0040, one write, at most 8192", func(t *testing.T) {
		w := &wire{}
		c := NewConn(w)
		if err := c.Send(&Redirect{Address: redirectAddress, ConnectData: redirectData}); err != nil || w.writes != 1 {
			t.Fatal(err, w.writes)
		}
		b := w.out.Bytes()
		mustEqual(t, b[:20], hexBytes(t, "000a000005020000 0079 0083000006000000 0040"))
		mustFail(t, c.Send(&Redirect{ConnectData: strings.Repeat("x", 8192)}), ErrTooLong)
	}},
	{"redirecting: flag 0x04 tells who was redirected", func(t *testing.T) {
		for _, redirected := range []bool{false, true} {
			c, err := reading(encode(NewConnect(nil).ForRelay([]byte("x"), redirected))).ReadConnect()
			if err != nil || c.HeaderFlags&FlagRedirected != 0 != redirected {
				t.Fatal(c, err)
			}
		}
	}},
	{"accepting: version, size, offset and length exact", func(t *testing.T) {
		for theirs := uint16(300); theirs <= 330; theirs++ {
			for ours := uint16(300); ours <= 319; ours++ {
				a := AnswerConnect(&Connect{Version: theirs, Lowest: 305, SDU: 8192, TDU: 8192}, ours, []byte("data"))
				if version := min(theirs, ours); version < 305 {
					if a != nil {
						t.Fatalf("%d and %d: %d", theirs, ours, a.Version)
					}
					continue
				} else if a == nil || a.Version != version {
					t.Fatalf("%d and %d: %v", theirs, ours, a)
				}
				b := encode(a)
				if size := a.size(); len(b) != size+4 || int(b[1]) != size+4 || int(b[21]) != size || b[19] != 4 {
					t.Fatalf("%d and %d: %x", theirs, ours, b)
				}
			}
		}
	}},
	{"accepting: SDU the lower of both within 512 and 2 MiB, TDU at least SDU", func(t *testing.T) {
		for _, asked := range []uint32{0, 1, 511, 512, 2048, 8191, 8192, 8193, 65535, 2 << 20, 1<<32 - 1} {
			for _, version := range []uint16{310, 319} {
				c := NewConnect(nil)
				c.Version, c.SDU32, c.SDU = version, asked, uint16(min(asked, 0xffff))
				a := AnswerConnect(c, 319, nil)
				if a.SDU < 512 || a.SDU > 8192 || asked >= 512 && a.SDU > asked || a.TDU < a.SDU {
					t.Errorf("asked %d: SDU %d, TDU %d", asked, a.SDU, a.TDU)
				}
			}
		}
	}},
	{"accepting: accept data of more than 230 bytes in a following DATA", func(t *testing.T) {
		for length, packet := range map[int]byte{230: 32 + 230 - 256, 231: 32} {
			a := AnswerConnect(&Connect{Version: 310, Lowest: 300}, 319, make([]byte, length))
			if b := encode(a); b[1] != packet {
				t.Errorf("%d bytes: packet of %x", length, b[:2])
			}
		}
	}},
	{"administration: ping is answered by a REFUSE with ERR=0 and ALIAS", func(t *testing.T) {
		if r := PingReply("LISTENER"); r.Text != pingAnswer || r.Err() != nil {
			t.Fatal(r)
		}
	}},
	{"relaying: the edits of 11.3 and nothing else", func(t *testing.T) {
		c := fullConnect("(CONNECT_DATA=(SID=x))")
		c.Options, c.Flags2 = 0x0e41, 0xffffffff
		before, after := encode(c), encode(c.ForRelay(c.Data, true))
		for i := range before {
			if before[i] != after[i] && i != 5 && i != 12 && i != 73 {
				t.Errorf("byte %d was changed", i)
			}
		}
		if after[5] != 4 || after[12] != 0x08 || after[13] != 0x41 || after[73] != 0xfe {
			t.Fatalf("%x", after)
		}
	}},
	{"relaying: an instance's REDIRECT and RESEND are replies, not errors", func(t *testing.T) {
		for _, m := range []Message{&Redirect{Address: "a"}, &Resend{}, &Resend{TLS: true}} {
			if got, err := reading(encode(m)).ReadReply(); err != nil || !bytes.Equal(encode(got), encode(m)) {
				t.Fatal(got, err)
			}
		}
	}},
}

func TestChecklist(t *testing.T) {
	for _, c := range checklist {
		t.Run(c.rule, c.keep)
	}
}

// timeLimitThenRefuse stops a client after each byte of its request; the deadline ends
// the wait, and the connection still carries the refusal.
func timeLimitThenRefuse(t *testing.T) {
	request := encode(NewConnect(bytes.Repeat([]byte("d"), 240)))
	for n := range request {
		synctest.Test(t, func(t *testing.T) {
			ours, theirs := net.Pipe()
			defer ours.Close()
			defer theirs.Close()
			refused := make(chan error, 1)
			go func() {
				theirs.Write(request[:n])
				m, err := NewConn(theirs).ReadReply()
				if r, ok := m.(*Refuse); ok {
					err = r.Err()
				}
				refused <- err
			}()
			ours.SetReadDeadline(time.Now().Add(60 * time.Second))
			c := NewConn(ours)
			if _, err := c.ReadConnect(); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatal(err)
			}
			if err := c.Send(NewRefuse(CodeInboundTimeout, 0)); err != nil {
				t.Fatal(err)
			}
			if r := (*RefusedError)(nil); !errors.As(<-refused, &r) || r.Refuse.Code() != CodeInboundTimeout {
				t.Fatal("the refusal did not arrive")
			}
		})
	}
}
