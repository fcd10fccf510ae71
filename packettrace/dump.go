package packettrace

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"servicebroker/tns"
)

// headerSize is that of every packet (tns.md 1.1).
const headerSize = 8

// timeForm is how a trace writes times, of this machine's zone.
const timeForm = "2006-01-02 15:04:05.000000"

// packet is one packet as a trace shows it.
type packet struct {
	at       time.Time
	who      string // FROM > TO
	header   [headerSize]byte
	length   int // header included
	shown    []byte
	withheld string // why the rest is not shown
}

// text is the entry of a packet: what it is, and what of it is shown, in hex and as ASCII.
func (p *packet) text() string {
	var w strings.Builder
	fmt.Fprintf(&w, "%s %s %s, %d bytes, flags %02x", p.at.Local().Format(timeForm), p.who, tns.Type(p.header[4]), p.length, p.header[5])
	dump(&w, 0, p.header[:min(p.length, headerSize)])
	dump(&w, headerSize, p.shown)
	if rest := p.length - headerSize - len(p.shown); rest > 0 {
		fmt.Fprintf(&w, "\n  %d bytes more%s", rest, p.withheld)
	}
	return w.String()
}

// dump writes b, which is at offset at of its packet, sixteen bytes a line.
func dump(w *strings.Builder, at int, b []byte) {
	for len(b) > 0 {
		line := b[:min(16, len(b))]
		fmt.Fprintf(w, "\n  %04x  % -48x |", at, line)
		for _, c := range line {
			if c < ' ' || c > '~' {
				c = '.'
			}
			w.WriteByte(c)
		}
		w.WriteByte('|')
		at, b = at+len(line), b[len(line):]
	}
}

// lengthOf is what a header says of its packet: lengths have 16 bits, and 32 once an ACCEPT
// of a later version has passed (tns.md 1.1).
func lengthOf(header []byte, large bool) int {
	if large {
		return int(binary.BigEndian.Uint32(header))
	}
	return int(binary.BigEndian.Uint16(header))
}
