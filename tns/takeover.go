package tns

// Unread returns a copy of the bytes that have been read from the connection and not been consumed; unlike after Buffered, Conn
// keeps them. It must not be called while somebody reads.
func (c *Conn) Unread() []byte { return append([]byte(nil), c.in[c.r:c.w]...) }

// TakeOver frames packets on a connection, the earlier part of which another Conn has framed: version is what that was told by
// SetVersion, 0 if it was not, and unread what it had in Unread.
func (c *Conn) TakeOver(version uint16, unread []byte) {
	if version != 0 {
		c.SetVersion(version)
	}
	c.in, c.r, c.w = append([]byte(nil), unread...), 0, len(unread)
}
