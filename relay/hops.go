package relay

import "servicebroker/tns"

// A relay that forwards to another relay that forwards to it would go on for as
// long as descriptors last: each CONNECT is a new one to both. So brokers count
// hops in the CONNECT's trace id, which drivers leave zero and listeners use for
// nothing but tracing (tns.md 1.2). A client that does set it keeps its own, and
// so does a CONNECT of the oldest layout, which has no such field.
//
// Only hops that a table or a configuration decided on are counted: a client's own route is
// shorter by one with each, and so ends by itself however long it is. Each broker of a chain
// may be one that the others only know as their NEXT_HOP.
const maxHops = 20

const hopMark = "sbhops\x00"

// hopsOf is how many brokers a CONNECT has come through.
func hopsOf(c *tns.Connect) int {
	if !relayed(c) {
		return 0
	}
	return int(c.TraceID[len(hopMark)])
}

// relayed tells whether a CONNECT comes from another broker.
func relayed(c *tns.Connect) bool { return string(c.TraceID[:len(hopMark)]) == hopMark }

// forward is the CONNECT as it goes on to an instance, with one hop more.
func (d *dialogue) forward(data []byte, redirected bool) *tns.Connect {
	c := d.connect.ForRelay(data, redirected)
	if most := d.mostSDU; most > 0 {
		c.SDU, c.SDU32 = uint16(min(uint32(c.SDU), most)), min(c.SDU32, most)
	}
	if relayed(c) || c.TraceID == [8]byte{} {
		hops := hopsOf(c)
		if d.way == nil || !d.way.named {
			hops++
		}
		copy(c.TraceID[:], hopMark)
		c.TraceID[len(hopMark)] = byte(hops)
	}
	return c
}
