package tns

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestWhatIsReadOutlivesItsBuffer has other bytes put into the buffer from which something was read, as its next user does.
func TestWhatIsReadOutlivesItsBuffer(t *testing.T) {
	connect := NewConnect([]byte("(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=s)))"))
	connect.Extra = []byte{1, 2, 3, 4}
	long := NewConnect([]byte("(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=" + strings.Repeat("s", inlineLimit) + ")))"))
	accept := AnswerConnect(connect, VersionHighest, []byte("accept data"))
	for name, one := range map[string]struct {
		sent Message
		read func(*Conn) (any, error)
	}{
		"CONNECT":       {connect, func(c *Conn) (any, error) { return c.ReadConnect() }},
		"a long one":    {long, func(c *Conn) (any, error) { return c.ReadConnect() }},
		"ACCEPT":        {accept, func(c *Conn) (any, error) { return c.ReadReply() }},
		"REFUSE":        {NewRefuse(CodeUnknownService, 0).WithRef("ref"), func(c *Conn) (any, error) { return c.ReadReply() }},
		"REDIRECT":      {&Redirect{Address: "(ADDRESS=(HOST=h)(PORT=1))", ConnectData: "(DESCRIPTION=)"}, func(c *Conn) (any, error) { return c.ReadReply() }},
		"what is ahead": {Data{Payload: []byte("ahead")}, func(c *Conn) (any, error) { _, err := c.peekHeader(false); return c.Unread(), err }},
	} {
		wire := one.sent.AppendTo(nil, false)
		want, err := one.read(reading(wire))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		c := reading(wire)
		got, err := one.read(c)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for i := range c.in {
			c.in[i] = 0xdb
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s still points into its buffer:\n%s", name, diff)
		}
	}
}

// TestABufferHasOneUser reads on several connections by turns, each of which has given its buffer back before.
func TestABufferHasOneUser(t *testing.T) {
	var all []*Conn
	var kept [][]byte
	texts := []string{"one", "two", "three", "four"}
	for _, text := range texts {
		c := reading(Data{}.AppendTo(nil, false), Data{Payload: []byte(text)}.AppendTo(nil, false))
		if _, err := c.ReadPacket(); err != nil {
			t.Fatal(err)
		}
		if text == "two" {
			kept = append(kept, c.Buffered())
		}
		c.holdNothing()
		all = append(all, c)
	}
	seen := map[*byte]bool{}
	for i, c := range all {
		if texts[i] == "two" {
			continue
		}
		if p, err := c.ReadPacket(); err != nil || string(p.Body[2:]) != texts[i] {
			t.Errorf("%q was read as %q, %v", texts[i], p.Body, err)
		}
		if at := &c.in[0]; seen[at] || at == &kept[0][:1][0] {
			t.Errorf("the buffer of %q has another user", texts[i])
		} else {
			seen[at] = true
		}
		if err := c.Watch(); err == nil || errors.Is(err, ErrUnexpected) {
			t.Errorf("%q is followed by something: %v", texts[i], err)
		}
		c.holdNothing()
	}
	if want := (Data{Payload: []byte("two")}).AppendTo(nil, false); string(kept[0]) != string(want) {
		t.Errorf("what was handed over is %q now, want %q", kept[0], want)
	}
}

func TestAPacketOutlivesTheQuestionWhatFollowsIt(t *testing.T) {
	c := reading(Data{Payload: []byte("one")}.AppendTo(nil, false))
	p, err := c.ReadPacket()
	if err != nil || c.Buffered() != nil {
		t.Fatalf("nothing follows: %v", err)
	}
	other := reading(Data{Payload: []byte("two")}.AppendTo(nil, false))
	if _, err := other.ReadPacket(); err != nil {
		t.Fatal(err)
	}
	if got := string(p.Body[2:]); got != "one" {
		t.Errorf("the packet holds %q now", got)
	}
}

// Whoever says that it has read all, and writes little, holds no buffer.
func TestReleaseAndSendHoldNothing(t *testing.T) {
	w := &wire{in: bytes.NewReader(NewConnect([]byte("(DESCRIPTION=)")).AppendTo(nil, false))}
	c := NewConn(w)
	if _, err := c.ReadPacket(); err != nil {
		t.Fatal(err)
	}
	if c.Release(); c.lent != nil || c.in != nil {
		t.Error("a read buffer is held in which nothing is")
	}
	w.in = bytes.NewReader([]byte{0, 8, 0})
	if _, err := c.ReadPacket(); err == nil {
		t.Fatal("half a header is a packet")
	}
	if c.Release(); len(c.Buffered()) != 3 {
		t.Error("what was read is lost")
	}
	if err := c.Send(Marker{1, MarkerBreak}); err != nil || c.out != nil {
		t.Errorf("%d bytes are held after a small message, %v", cap(c.out), err)
	}
	if n := testing.AllocsPerRun(100, func() { w.out.Reset(); _ = c.Send(Packet{Type: TypeNull}) }); n > 1 {
		t.Errorf("%v allocations to send", n)
	}
}
