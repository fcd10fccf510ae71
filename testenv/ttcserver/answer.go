package ttcserver

import (
	"servicebroker/tns"
	"servicebroker/ttc"
)

const (
	// flushAt is how much of an answer is gathered before it is sent.
	flushAt = 48 << 10
	// keepAnswer is the largest buffer kept from one answer to the next.
	keepAnswer = 256 << 10
)

// answer gathers what is said to the client and sends it, cut into packets of
// the agreed size wherever that falls.
type answer struct {
	conn *tns.Conn
	sdu  int
	// ending: answers end with a byte and a flag that say so.
	ending bool
	buf    []byte
}

// packets is a payload on its way: as many DATA packets as it takes.
type packets struct {
	payload []byte
	flags   uint16
	sdu     int
}

// AppendTo appends the packets.
func (p packets) AppendTo(dst []byte, large bool) []byte {
	return tns.AppendData(dst, p.flags, p.payload, p.sdu, large)
}

// drop forgets what was not sent yet.
func (a *answer) drop() { a.buf = a.buf[:0] }

// flush sends what was gathered if it is enough to be worth it.
func (a *answer) flush() error {
	if len(a.buf) < flushAt {
		return nil
	}
	return a.send(0)
}

// finish sends the rest of an answer.
func (a *answer) finish() error {
	if !a.ending {
		return a.send(0)
	}
	a.buf = append(a.buf, byte(ttc.MessageEndOfResponse))
	return a.send(tns.DataEndOfResponse)
}

func (a *answer) send(flags uint16) error {
	if len(a.buf) == 0 {
		return nil
	}
	err := a.conn.Send(packets{payload: a.buf, flags: flags, sdu: a.sdu})
	if cap(a.buf) > keepAnswer {
		a.buf = nil
	}
	a.drop()
	return err
}

func (a *answer) markers(values ...byte) error {
	var messages []tns.Message
	for _, value := range values {
		messages = append(messages, tns.Marker{Kind: 1, Value: value})
	}
	return a.conn.Send(messages...)
}
