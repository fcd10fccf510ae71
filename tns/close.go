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

// Parting is a connection that has had its last reply and is to be closed as by CloseAfterReply, by somebody who has many of
// them: it is looked at now and then, and never waited for.
type Parting struct {
	conn      readable
	ended     bool // its write side
	discarded int
}

// readable is a connection that need not be waited for.
type readable interface {
	net.Conn
	patient
	CloseWrite() error
}

// Part leaves a connection, which must not be used through c any more. nil: it can only be waited for, and nothing was done.
func (c *Conn) Part() *Parting {
	conn, ok := c.conn.(readable)
	if !ok || overTLS(c.conn) || conn.SetDeadline(time.Time{}) != nil {
		return nil
	}
	c.in, c.r, c.w, c.out = nil, 0, 0, nil // whatever was read and is left
	c.giveBack()
	return &Parting{conn: conn}
}

// Over discards what has come, by way of scratch, and tells whether the connection can be closed: the peer has done so, or has
// sent too much. A peer that is there when it is looked at first is told that there is nothing more to come. Most are gone by then.
func (p *Parting) Over(scratch []byte) bool {
	for p.discarded < maxDiscard {
		n, there, err := p.conn.ReadNow(scratch)
		switch {
		case err != nil:
			return true
		case !there && p.ended:
			return false
		case !there:
			p.ended = true
			return p.conn.CloseWrite() != nil
		}
		p.discarded += n
	}
	return true
}

// Close closes the connection.
func (p *Parting) Close() { _ = p.conn.Close() }

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
