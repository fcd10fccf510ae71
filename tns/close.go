package tns

import (
	"crypto/tls"
	"net"
	"time"
)

// maxDiscard bounds what is read and thrown away after a reply. A client whose
// descriptor was far too long may still be sending it.
const maxDiscard = 4 << 20

// maxWrappers is how many connections within one another are looked through.
const maxWrappers = 8

// CloseAfterReply closes the connection so that the peer gets the reply just sent
// (tns.md 3.2): bytes left unread would turn the close into a reset, which can overtake
// the reply. It ends the write side, except under TLS, where that cuts some drivers
// short; reads and discards until the peer closes, limit is over or 4 MiB have come; and
// closes. A limit of 0 closes at once.
func (c *Conn) CloseAfterReply(limit time.Duration) {
	defer c.conn.Close()
	if limit <= 0 || c.conn.SetDeadline(time.Now().Add(limit)) != nil {
		return
	}
	if half, ok := c.conn.(interface{ CloseWrite() error }); ok && !overTLS(c.conn) {
		if half.CloseWrite() != nil {
			return
		}
	}
	scratch := make([]byte, 512) // hardly any peer has sent more
	for discarded := 0; discarded < maxDiscard; {
		n, err := c.conn.Read(scratch)
		if err != nil {
			return
		}
		discarded += n
	}
}

// overTLS tells whether c is a TLS connection, or wraps one and says so.
func overTLS(c net.Conn) bool {
	for range maxWrappers { // TLS itself ends the search
		if _, ok := c.(interface{ ConnectionState() tls.ConnectionState }); ok {
			return true
		}
		wrapper, ok := c.(interface{ NetConn() net.Conn })
		if !ok || wrapper.NetConn() == nil {
			return false
		}
		c = wrapper.NetConn()
	}
	return false
}
