package attack

import (
	"bytes"
	"net"
	"testing"
	"time"

	"servicebroker/tns"
)

// connect is a CONNECT that asks for something, whole.
func connect(text string) []byte { return tns.NewConnect([]byte(text)).AppendTo(nil, false) }

// edited is a CONNECT for sales with some bytes put in place of others.
func edited(at int, with ...byte) []byte {
	b := connect("(CONNECT_DATA=(SERVICE_NAME=sales))")
	copy(b[at:], with)
	return b
}

// announcing is a CONNECT whose data of that length is to follow.
func announcing(length uint16) []byte {
	b := connect("")
	b[24], b[25] = byte(length>>8), byte(length)
	return b
}

// data is a payload in DATA packets of the small form.
func data(payload []byte) []byte { return tns.AppendData(nil, 0, payload, 2048, false) }

// large is a packet with the length of 4 bytes that sessions of version 315 and later have.
func large(kind tns.Type, body []byte) []byte {
	n := 8 + len(body)
	return append([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n), byte(kind), 0, 0, 0}, body...)
}

// framing is the first row of the catalogue.
func framing() []probe {
	const bad = tns.CodeBadPacket
	return []probe{
		{name: "length 0", send: edited(0, 0, 0), want: bad, class: "framing"},
		{name: "length 1", send: edited(0, 0, 1), want: bad, class: "framing"},
		{name: "length 7", send: edited(0, 0, 7), want: bad, class: "framing"},
		{name: "length 8", send: edited(0, 0, 8), want: bad, class: "framing"},
		{name: "length 65535, 8 bytes, end", send: edited(0, 0xff, 0xff)[:8], want: wantClose, class: "incomplete"},
		{name: "length 65535, 8 bytes, silence", send: edited(0, 0xff, 0xff)[:8], then: stay, want: tns.CodeInboundTimeout, class: "silence"},
		{name: "length beyond the SDU", send: append(edited(0, 0xff, 0xff), make([]byte, 0xffff)...), want: bad, class: "framing"},
		{name: "length of 4 bytes", send: large(tns.TypeConnect, edited(0)[8:]), want: bad, class: "framing"},
		{name: "length of 4 bytes, 4 GB", send: append([]byte{0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0}, make([]byte, 70_000)...), want: bad, class: "framing"},
		{name: "packet checksum", send: edited(2, 0xab, 0xcd), want: wantAccept},
		{name: "header checksum", send: edited(6, 0xab, 0xcd), want: wantAccept},
		{name: "type 0", send: edited(4, 0), want: wantClose, class: "foreign"},
		{name: "type 200", send: edited(4, 200), want: wantClose, class: "foreign"},
		{name: "ACCEPT from a client", send: edited(4, byte(tns.TypeAccept)), want: wantClose, class: "foreign"},
		{name: "REFUSE from a client", send: edited(4, byte(tns.TypeRefuse)), want: wantClose, class: "foreign"},
		{name: "REDIRECT from a client", send: edited(4, byte(tns.TypeRedirect)), want: wantClose, class: "foreign"},
		{name: "RESEND from a client", send: edited(4, byte(tns.TypeResend)), want: wantClose, class: "foreign"},
		{name: "DATA before ACCEPT", send: data([]byte("hello")), want: wantClose, class: "foreign"},
		{name: "MARKER before ACCEPT", send: []byte{0, 11, 0, 0, 12, 0, 0, 0, 1, 0, 2}, want: wantClose, class: "foreign"},
		{name: "one byte at a time", then: oneByOne(edited(0)), want: wantAccept},
		{name: "wrong, one byte at a time", then: oneByOne(edited(26, 0, 0)), want: bad, class: "framing"},
		{name: "reset within the header", send: edited(0)[:5], then: resetAfterHeader, want: wantClose, class: "incomplete"},
		{name: "end within the header", send: edited(0)[:5], want: wantClose, class: "incomplete"},
		{name: "end within the data", send: edited(0)[:90], want: wantClose, class: "incomplete"},
		{name: "nothing at all", want: wantClose},
		{name: "silence", then: stay, want: tns.CodeInboundTimeout, class: "silence"},
		{name: "HTTP", send: []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), want: wantClose, class: "foreign"},
		{name: "SSH", send: []byte("SSH-2.0-OpenSSH_9.2\r\n"), want: wantClose, class: "foreign"},
		{name: "PROXY where there is none", send: []byte(proxyHeader), want: wantClose, class: "foreign"},
		{name: "zeros", send: make([]byte, 4096), want: wantClose, class: "foreign"},
		{name: "ones", send: bytes.Repeat([]byte{0xff}, 4096), want: wantClose, class: "foreign"},
		{name: "newlines", send: bytes.Repeat([]byte("\r\n"), 4096), want: wantClose, class: "foreign"},
	}
}

// resetAfterHeader lets the bytes arrive before the connection is reset, which would take them along.
func resetAfterHeader(c net.Conn) {
	_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	_, _ = c.Read(make([]byte, 1))
	reset(c)
}

// connectHeader is the second row.
func connectHeader() []probe {
	const bad = tns.CodeBadPacket
	longest := bytes.Repeat([]byte("x"), 300)
	return []probe{
		{name: "offset 0", send: edited(26, 0, 0), want: bad, class: "framing"},
		{name: "offset inside the header", send: edited(26, 0, 7), want: bad, class: "framing"},
		{name: "offset inside the fields", send: edited(26, 0, 33), want: bad, class: "framing"},
		{name: "offset overlapping the fields", send: edited(26, 0, 70), want: bad, class: "framing"},
		{name: "offset past the end", send: edited(26, 0, 200), want: bad, class: "framing"},
		{name: "offset 65535", send: edited(26, 0xff, 0xff), want: bad, class: "framing"},
		{name: "one byte more than there is", send: edited(25, 36), want: bad, class: "framing"},
		{name: "65535 bytes more than there are", send: edited(24, 0xff, 0xff), want: bad, class: "framing"},
		{name: "fewer bytes than there are", send: edited(25, 34), want: bad, class: "framing"},
		{name: "SDU 0", send: edited(14, 0, 0), want: wantAccept},
		{name: "SDU 1", send: edited(14, 0, 1), want: wantAccept},
		{name: "SDU 511", send: edited(14, 1, 0xff), want: wantAccept},
		{name: "SDU beyond 65535", send: edited(58, 0xff, 0xff, 0xff, 0xff), want: wantAccept},
		{name: "TDU below SDU", send: edited(16, 0, 1), want: wantAccept},
		{name: "version 0", send: edited(8, 0, 0), want: wantAny},
		{name: "version 65535", send: edited(8, 0xff, 0xff), want: wantAccept},
		{name: "lowest above version", send: edited(10, 0xff, 0xff), want: wantAny},
		{name: "long data, never sent", send: announcing(300), want: wantClose, class: "incomplete"},
		{name: "long data, never sent, silence", send: announcing(0xffff), then: stay, want: tns.CodeInboundTimeout, class: "silence"},
		{name: "long data, cut", send: append(announcing(300), data(longest[:100])...), want: wantClose, class: "incomplete"},
		{name: "long data, more than announced", send: append(announcing(300), data(bytes.Repeat([]byte("x"), 301))...), want: bad, class: "framing"},
		{name: "long data, sent twice", send: append(append(announcing(300), data(longest)...), data(longest)...), want: tns.CodeBadDescriptor, class: "descriptor"},
		{name: "long data, another CONNECT", send: append(announcing(300), edited(0)...), want: bad, class: "framing"},
		{name: "long data, a MARKER", send: append(announcing(300), 0, 11, 0, 0, 12, 0, 0, 0, 1, 0, 2), want: bad, class: "framing"},
		{name: "long data, empty DATA for ever", send: append(announcing(300), bytes.Repeat(data(nil), 2000)...), want: wantAny, class: "framing"},
		{name: "1 MB wrapped into 16 bits", send: append(announcing(1000000&0xffff), data(make([]byte, 1000000))...), want: bad, class: "framing"},
	}
}

// Packets that contradict themselves, or are none, end the connection: with a reason where the other side speaks Oracle Net.
func TestFraming(t *testing.T) {
	besiege(t, framing())
}

func TestConnectHeaders(t *testing.T) {
	besiege(t, connectHeader())
}
