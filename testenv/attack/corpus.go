package attack

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
)

// Door is where an input goes in.
type Door int

// The doors of a broker.
const (
	ClientDoor     Door = iota // the port for clients and databases
	RegistrantDoor             // the same, for what databases say
	StrangerDoor               // the port behind a proxy, for those who are not of this host
	ProxyDoor                  // the same, and what the proxy says of them
	TLSDoor                    // the port with TLS, as it is on the wire
	SealedDoor                 // the same, inside TLS
	SocketDoor                 // the admin socket
	ConsoleDoor                // the page and the read-only API
	RESTDoor                   // the API over TLS, inside it
	DNSDoor                    // UDP
	DNSStreamDoor              // TCP
	InstanceDoor               // the answers of an instance to which a client is sent
	Doors                      // how many there are
)

func (d Door) String() string {
	return [...]string{"client", "registrant", "stranger", "proxy", "tls", "sealed", "socket", "console", "rest", "dns", "dns over tcp", "instance"}[d]
}

// Ending is how an input ends.
type Ending int

// The ways to end.
const (
	HalfClose Ending = iota // nothing more will be said; the answer is read
	Close                   // at once, with whatever is unread
	Reset                   // with a reset
	endings
)

// Input is what somebody says, in steps between which he waits a moment for an answer.
type Input struct {
	Number uint64
	Door   Door
	Steps  [][]byte
	End    Ending
}

func (i Input) String() string {
	text := fmt.Sprintf("input %d, %v door, ending %d:", i.Number, i.Door, i.End)
	for _, step := range i.Steps {
		text += fmt.Sprintf(" %.200q (%d bytes)", step, len(step))
	}
	return text
}

// maxStep bounds the bytes of one step.
const maxStep = 200_000

// Corpus makes inputs up, any number of them: the same ones for the same seed and the same conversations.
type Corpus struct {
	Seed          uint64
	Conversations map[Door][][][]byte // steps of good ones, by door: what is broken to make an input
}

// At returns the input of that number.
func (c *Corpus) At(number uint64) Input {
	m := &mutator{rand.New(rand.NewPCG(c.Seed, number))}
	in := Input{Number: number, Door: Door(number % uint64(Doors)), End: Ending(m.IntN(int(endings)))}
	known := c.Conversations[in.Door]
	if len(known) == 0 {
		in.Steps = [][]byte{m.noise()}
		return in
	}
	in.Steps = clone(known[m.IntN(len(known))])
	switch m.IntN(10) {
	case 0: // of two conversations the beginning and the end
		other := known[m.IntN(len(known))]
		in.Steps = append(in.Steps[:m.IntN(len(in.Steps)+1)], clone(other[m.IntN(len(other)):])...)
	case 1: // a step is left out, or comes twice, or too early
		m.disorder(&in)
	case 2: // garbage behind what is good
		in.Steps = append(in.Steps, m.noise())
		return in
	}
	if len(in.Steps) == 0 {
		in.Steps = [][]byte{nil}
	}
	for range 1 + m.IntN(3) {
		at := len(in.Steps) - 1 // what comes last finds the most elaborate state
		if m.IntN(3) == 0 {
			at = m.IntN(len(in.Steps))
		}
		in.Steps[at] = m.mutate(in.Steps[at], in.Door)
	}
	return in
}

func clone(steps [][]byte) [][]byte {
	all := make([][]byte, len(steps))
	for i, s := range steps {
		all[i] = bytes.Clone(s)
	}
	return all
}

// mutator is the chance by which one input is made.
type mutator struct{ *rand.Rand }

func (m *mutator) disorder(in *Input) {
	at := m.IntN(len(in.Steps))
	switch m.IntN(3) {
	case 0:
		in.Steps = slices.Delete(in.Steps, at, at+1)
	case 1:
		in.Steps = slices.Insert(in.Steps, at, bytes.Clone(in.Steps[at]))
	case 2:
		to := m.IntN(len(in.Steps))
		in.Steps[at], in.Steps[to] = in.Steps[to], in.Steps[at]
	}
}

// noise are bytes of no meaning, at times with the header of a packet.
func (m *mutator) noise() []byte {
	b := make([]byte, 1+m.IntN(1<<m.IntN(13)))
	for i := range b {
		b[i] = byte(m.Uint32())
	}
	if len(b) >= 8 && m.IntN(2) == 0 {
		copy(b, []byte{byte(len(b) >> 8), byte(len(b)), 0, 0, byte(m.IntN(16)), 0, 0, 0})
	}
	return b
}

// tokens are words that somebody acts upon.
var tokens = [...]string{
	"(DESCRIPTION=", "(CONNECT_DATA=", "(COMMAND=", "(SERVICE_NAME=sales)", "(SID=", "(SOURCE_ROUTE=yes)", "(ADDRESS_LIST=", "(ADDRESS=(PROTOCOL=tcp)(HOST=192.0.2.1)(PORT=1))",
	"(CID=(PROGRAM=", "(", ")", "\"", "'", "\\", "#", "=", "\x00", "\r\n", "\x1b[31m", "\xff\xfe", "\u202e", "(COMMAND=service_register_NSGR)", "(SECURITY=", "(SERVER=POOLED)",
	"(INSTANCE_NAME=", "(UR=A)", "stop", "status", "Content-Length: 99999999999\r\n", "Transfer-Encoding: chunked\r\n", "%00", "/../", "[[[[[[[[", "{\"a\":", "1e999999", "-1", "18446744073709551616",
}

// odd are numbers at which lengths go wrong.
var odd = [...]uint32{0, 1, 2, 7, 8, 9, 10, 57, 58, 63, 64, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xfffe, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff}

// mutate breaks something.
func (m *mutator) mutate(b []byte, door Door) []byte {
	if len(b) == 0 {
		return m.noise()
	}
	at := m.place(b, door)
	switch m.IntN(12) {
	case 0:
		b[at] ^= 1 << m.IntN(8)
	case 1:
		b[at] = byte(odd[m.IntN(len(odd))])
	case 2: // a number of two bytes
		n := odd[m.IntN(len(odd))]
		copy(b[at:], []byte{byte(n >> 8), byte(n)})
	case 3: // of four, either way round
		n := odd[m.IntN(len(odd))]
		number := []byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
		if m.IntN(2) == 0 {
			slices.Reverse(number)
		}
		copy(b[at:], number)
	case 4:
		b = b[:at]
	case 5:
		b = append(b, m.noise()...)
	case 6: // something is there many times
		to := min(len(b), at+1+m.IntN(64))
		b = slices.Concat(b[:to], bytes.Repeat(b[at:to], m.IntN(1<<m.IntN(12))), b[to:])
	case 7:
		b = slices.Delete(b, at, min(len(b), at+1+m.IntN(16)))
	case 8:
		b = slices.Insert(b, at, []byte(tokens[m.IntN(len(tokens))])...)
	case 9:
		token := tokens[m.IntN(len(tokens))]
		b = slices.Insert(b, at, bytes.Repeat([]byte(token), 1+m.IntN(2000))...)
	case 10: // a packet whose length is right again
		b = m.relength(slices.Insert(b, at, []byte(tokens[m.IntN(len(tokens))])...))
	case 11:
		b = m.relength(append(b[:at], m.noise()...))
	}
	return b[:min(len(b), maxStep)]
}

// headed is how many bytes of a packet are not text, mostly.
const headed = 74

// place is where something is broken: the more often, the nearer to the beginning. What an instance redirects to is left
// as it is, since that would be dialled.
func (m *mutator) place(b []byte, door Door) int {
	if door == InstanceDoor && len(b) > 4 && b[4] == 5 {
		return m.IntN(min(len(b), 10))
	}
	if m.IntN(2) == 0 {
		return m.IntN(min(len(b), headed))
	}
	return m.IntN(len(b))
}

func (m *mutator) relength(b []byte) []byte {
	if len(b) < 8 || len(b) > 0xffff {
		return b
	}
	b[0], b[1] = byte(len(b)>>8), byte(len(b))
	if b[4] == 1 && len(b) > 28 { // a CONNECT says how much text it has, too
		if offset := int(b[26])<<8 | int(b[27]); offset <= len(b) {
			b[24], b[25] = byte((len(b)-offset)>>8), byte(len(b)-offset)
		}
	}
	return b
}
