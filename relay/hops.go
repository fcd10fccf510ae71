package relay

import "servicebroker/tns"

// A relay that forwards to another relay that forwards to it would go on for as
// long as descriptors last: each CONNECT is a new one to both. So brokers count
// hops in the CONNECT's trace id, which drivers leave zero and listeners use for
// nothing but tracing (tns.md 1.2). A client that does set it keeps its own, and
// so does a CONNECT of the oldest layout, which has no such field.
const maxHops = 4

const hopMark = "sbhops\x00"

// hopsOf is how many brokers a CONNECT has come through.
func hopsOf(c *tns.Connect) int {
	if string(c.TraceID[:len(hopMark)]) != hopMark {
		return 0
	}
	return int(c.TraceID[len(hopMark)])
}

// forward is the CONNECT as it goes on to an instance, with one hop more.
func (d *dialogue) forward(data []byte, redirected bool) *tns.Connect {
	c := d.connect.ForRelay(data, redirected)
	if hops := hopsOf(c); hops > 0 || c.TraceID == [8]byte{} {
		copy(c.TraceID[:], hopMark)
		c.TraceID[len(hopMark)] = byte(hops + 1)
	}
	return c
}
