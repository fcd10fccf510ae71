package tns

import (
	"bytes"
	"errors"
	"io"
	"os"
)

// ReadConnect reads a CONNECT and the connect data that follows it (tns.md 1.3, 14).
// It trusts nothing: type and length are judged before a body is read. What is not
// Oracle Net gives ErrNotConnect, a lie about lengths ErrMalformed or ErrOutOfStep, too
// much ErrTooLong. It may be called again after a RESEND, and after the read deadline: what
// came until then counts, and is in Unread.
func (c *Conn) ReadConnect() (*Connect, error) {
	h, err := c.peekHeader(false)
	if err != nil {
		return nil, err
	}
	if h.packetType() != TypeConnect {
		return nil, h.fail(ErrNotConnect, "%s", whoSpeaks(h.raw[:]))
	}
	if h.length < connectFixedSize {
		return nil, h.fail(ErrMalformed, "a CONNECT has at least %d bytes; the client is broken or probes us", connectFixedSize)
	}
	p, err := c.takePacket(h)
	if err != nil {
		return nil, err
	}
	connect := new(Connect)
	following, err := connect.Decode(p)
	if err != nil {
		return nil, err
	}
	if limit := c.MaxConnectData; limit > 0 && following+len(connect.Data) > limit {
		return nil, h.fail(ErrTooLong, "%d bytes of connect data, the limit is %d; shorten the descriptor", following+len(connect.Data), limit)
	}
	if following > 0 {
		packet := append(h.raw[:], p.Body...) // what is read next may take its place
		if connect.Data, err = c.gather(following, false); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				c.putBack(packet, connect.Data)
			}
			return nil, err
		}
	}
	return connect, nil
}

// putBack has a CONNECT, and what has come of its data, read again.
func (c *Conn) putBack(packet, data []byte) {
	if len(data) > 0 {
		packet = AppendData(packet, 0, data, textPacketSize, false)
	}
	c.in = append(packet, c.in[c.r:c.w]...)
	c.r, c.w = 0, len(c.in)
}

// whoSpeaks tells from the first bytes what a peer that sends no CONNECT may be.
func whoSpeaks(first []byte) string {
	for _, known := range [...]struct{ begin, is string }{
		{"\x16\x03", "this is a TLS handshake; the client must use PROTOCOL=tcp, or go to an address with TLS"},
		{"GET ", "this is an HTTP request; only Oracle Net is spoken on this port"},
		{"HEAD", "this is an HTTP request; only Oracle Net is spoken on this port"},
		{"POST", "this is an HTTP request; only Oracle Net is spoken on this port"},
		{"PROXY", "this is a PROXY protocol header; allow it from this sender, or switch it off there"},
		{"\r\n\r\n\x00\r\nQ", "this is a PROXY protocol header; allow it from this sender, or switch it off there"},
		{"SSH-", "this is SSH; only Oracle Net is spoken on this port"},
	} {
		if bytes.HasPrefix(first, []byte(known.begin)) {
			return known.is
		}
	}
	return "a connection must begin with a CONNECT; check what the peer is"
}

// ReadReply reads what a listener answers to a CONNECT: an *Accept, *Refuse, *Redirect
// or *Resend, complete with what follows it in DATA packets. It does not call
// SetVersion.
func (c *Conn) ReadReply() (Message, error) {
	p, err := c.ReadPacket()
	if err != nil {
		return nil, err
	}
	switch p.Type {
	case TypeAccept:
		return c.readAccept(p)
	case TypeRefuse:
		return c.readRefuse(p)
	case TypeRedirect:
		return c.readRedirect(p)
	case TypeResend:
		resend := new(Resend)
		if err := resend.Decode(p); err != nil {
			return nil, err
		}
		return resend, nil
	}
	return nil, frameError(ErrUnexpected, p, "no answer to a CONNECT; check that the peer is a listener")
}

func (c *Conn) readAccept(p Packet) (Message, error) {
	accept := new(Accept)
	following, err := accept.Decode(p)
	if err != nil {
		return nil, err
	}
	if following > 0 {
		if accept.Data, err = c.gather(following, accept.Version >= VersionLargeSDU); err != nil {
			return nil, err
		}
	}
	return accept, nil
}

func (c *Conn) readRefuse(p Packet) (Message, error) {
	refuse := new(Refuse)
	following, err := refuse.Decode(p)
	if err != nil {
		return nil, err
	}
	if following == 0 && refuse.Text == "" {
		following = c.bufferedText()
	}
	if following > 0 {
		text, err := c.gather(following, false)
		if err != nil {
			return nil, err
		}
		refuse.setText(text)
	}
	return refuse, nil
}

// bufferedText is the length of the text in a DATA packet that has already arrived: a
// REFUSE that announces nothing may be followed by one, but waiting for it could last
// for ever (tns.md 3.1, empty text).
func (c *Conn) bufferedText() int {
	if c.w-c.r < dataHeaderSize {
		return 0
	}
	h, err := c.peekHeader(false)
	if err != nil || h.packetType() != TypeData || int(h.length) > c.w-c.r {
		return 0
	}
	return max(int(h.length)-dataHeaderSize, 0)
}

func (c *Conn) readRedirect(p Packet) (Message, error) {
	redirect := new(Redirect)
	following, err := redirect.Decode(p)
	if err != nil {
		return nil, err
	}
	if following > 0 {
		text, err := c.gather(following, false)
		if err != nil {
			return nil, err
		}
		if err := redirect.setText(text, Packet{Type: TypeRedirect}); err != nil {
			return nil, err
		}
	}
	return redirect, nil
}

// gather collects the payloads of DATA packets until want bytes are there, whatever
// the number of packets and their flags. What there is comes with an error of reading.
func (c *Conn) gather(want int, large bool) ([]byte, error) {
	var data []byte
	for len(data) < want {
		h, err := c.peekHeader(large)
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return data, err
		}
		if h.packetType() != TypeData {
			return nil, h.fail(ErrUnexpected, "%d of %d announced bytes are still to come as DATA; the sender is broken", want-len(data), want)
		}
		if h.length <= dataHeaderSize {
			return nil, h.fail(ErrMalformed, "empty, but %d of %d announced bytes are still to come; the sender gave up or is broken", want-len(data), want)
		}
		if missing := want - len(data); uint64(h.length)-dataHeaderSize > uint64(missing) {
			return nil, h.fail(ErrOutOfStep, "only %d of %d announced bytes are still to come; a descriptor of more than 64 KiB does this, shorten it", missing, want)
		}
		p, err := c.takePacket(h)
		if err != nil {
			return data, err
		}
		data = append(data, p.Body[dataHeaderSize-headerSize:]...)
	}
	return data, nil
}
