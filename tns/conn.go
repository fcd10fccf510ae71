package tns

import (
	"errors"
	"net"
	"time"
)

// Conn frames packets on a connection. One goroutine may read while another sends;
// SetVersion must be called when neither does. It starts no goroutine, and leaves
// deadlines to its user.
type Conn struct {
	// MaxPacket is the largest packet read once SetVersion was called, in bytes,
	// header included; 0 means 2 MiB and a header. Before, it is 65,535.
	MaxPacket int
	// MaxConnectData is the longest connect data ReadConnect gathers, in bytes; 0
	// means 65,535, which is all that can be announced.
	MaxConnectData int

	conn    net.Conn
	version uint16
	large   bool

	buf  []byte // read buffer; buf[r:w] is read and not consumed
	r, w int
	out  []byte // send buffer
}

// NewConn frames packets on c, with 16-bit lengths until SetVersion. Nothing else may
// read from c until Buffered has been taken over.
func NewConn(c net.Conn) *Conn { return &Conn{conn: c} }

// NetConn is the connection underneath.
func (c *Conn) NetConn() net.Conn { return c.conn }

// Version is what SetVersion was told, 0 before.
func (c *Conn) Version() uint16 { return c.version }

// SetVersion switches to the lengths of version v, both ways; call it once an ACCEPT
// of that version has been sent or received (tns.md 1.1).
func (c *Conn) SetVersion(v uint16) { c.version, c.large = v, v >= VersionLargeSDU }

// Buffered hands over the bytes that have been read from the connection and not been
// consumed; they are the caller's, and Conn forgets them.
func (c *Conn) Buffered() []byte {
	b := c.buf[c.r:c.w:c.w]
	c.buf, c.r, c.w = nil, 0, 0
	return b
}

var errNotReady = errors.New("reading is not in this build yet")

// ReadPacket reads one packet. Its Body is valid until the next read. The error is
// io.EOF if the connection ended between packets, io.ErrUnexpectedEOF inside one.
func (c *Conn) ReadPacket() (Packet, error) { return Packet{}, errNotReady }

// Send writes the messages, all in one Write, with the lengths of the version set.
func (c *Conn) Send(m ...Message) error { return errNotReady }

// ReadConnect reads a CONNECT and the connect data that follows it (tns.md 1.3, 14).
// It trusts nothing: type and length are judged before a body is read. It may be called
// again after a RESEND.
func (c *Conn) ReadConnect() (*Connect, error) { return nil, errNotReady }

// ReadReply reads what a listener answers to a CONNECT: an *Accept, *Refuse, *Redirect
// or *Resend, complete with what follows it in DATA packets. It does not call
// SetVersion.
func (c *Conn) ReadReply() (Message, error) { return nil, errNotReady }

// CloseAfterReply closes the connection so that the peer gets the reply just sent
// (tns.md 3.2): it ends the write side, except under TLS, where that would cut some
// drivers short, reads and discards until the peer closes or limit is over, and closes.
func (c *Conn) CloseAfterReply(limit time.Duration) { c.conn.Close() }
