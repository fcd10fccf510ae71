package certs

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"time"
)

// Conn is a TLS connection that can run a new handshake on its socket, as Oracle Net's
// RESEND asks (tns.md 5): afterwards the same value is the new TLS connection, so that
// whoever holds it need not know. The handshake is run by the first Read or Write if
// HandshakeContext has not run it.
type Conn struct {
	raw     net.Conn
	begin   func(net.Conn) *tls.Conn
	current atomic.Pointer[tls.Conn]
	dialled bool // by DialTLS, which verifies by itself
	abrupt  atomic.Bool

	admitted atomic.Bool // the handshake is over, and was one of a client or server
}

// ErrChallenge is the end of a connection by which an ACME authority has seen that a name
// is ours. It is no failure.
var ErrChallenge = errors.New("a challenge of ACME, which has been answered")

func newConn(raw net.Conn, begin func(net.Conn) *tls.Conn) *Conn {
	c := &Conn{raw: raw, begin: begin}
	c.current.Store(begin(raw))
	return c
}

// RestartTLS runs a new full handshake on the socket, on the same side and by the same
// settings as the first, and drops the old TLS session without a word, which is what both
// sides of Oracle Net expect. Nobody may read or write meanwhile. A context that ends, and
// an error, leave the connection closed.
func (c *Conn) RestartTLS(ctx context.Context) error {
	c.admitted.Store(false)
	c.current.Store(c.begin(c.raw))
	if err := c.HandshakeContext(ctx); err != nil {
		_ = c.raw.Close()
		return err
	}
	return nil
}

// HandshakeContext runs the handshake if it has not been run. A context that ends closes
// the connection. The error is ErrChallenge if there is nothing more to be done with it,
// ErrNotTLS if the peer speaks something else.
func (c *Conn) HandshakeContext(ctx context.Context) error {
	t := c.current.Load()
	if err := t.HandshakeContext(ctx); err != nil {
		return notTLS(err)
	}
	// Whoever asks for the challenge's protocol has not been asked for a certificate, and
	// must not get any further.
	if t.ConnectionState().NegotiatedProtocol == challengeProtocol {
		return ErrChallenge
	}
	c.admitted.Store(true)
	return nil
}

// tls is the connection to read and write once the handshake is over.
func (c *Conn) tls() (*tls.Conn, error) {
	if !c.admitted.Load() {
		if err := c.HandshakeContext(context.Background()); err != nil {
			return nil, err
		}
	}
	return c.current.Load(), nil
}

// ErrNotTLS is wrapped by the error about a peer that does not speak TLS.
var ErrNotTLS = errors.New("not TLS")

// notTLS marks the error about what is no TLS record.
func notTLS(err error) error {
	if wrong, is := errors.AsType[tls.RecordHeaderError](err); is {
		return fmt.Errorf("%w: the peer's first bytes are %x", ErrNotTLS, wrong.RecordHeader)
	}
	return err
}

// ConnectionState tells about the handshake that was run last.
func (c *Conn) ConnectionState() tls.ConnectionState { return c.current.Load().ConnectionState() }

// PeerDN is the subject of the peer's certificate if it was verified, which an instance's
// always is; "" otherwise.
func (c *Conn) PeerDN() string {
	state := c.ConnectionState()
	if c.dialled && state.HandshakeComplete {
		return Subject(state.PeerCertificates[0])
	}
	return PeerDN(state)
}

// Read reads what the peer sent, after the handshake.
func (c *Conn) Read(b []byte) (int, error) {
	t, err := c.tls()
	if err != nil {
		return 0, err
	}
	n, err := t.Read(b)
	if err == nil || err == io.EOF {
		return n, err
	}
	if c.dialled {
		err = unwanted(err)
	}
	return n, broken(err)
}

// ErrBroken is wrapped by the error about a peer that breaks TLS once the handshake is over: by records that are forged, out of
// place or empty without end, or by beginning another handshake, which nobody gets unasked.
var ErrBroken = errors.New("the peer breaks TLS")

// broken marks the error about records, which is neither the network's nor what the peer says of ours.
func broken(err error) error {
	ours, is := errors.AsType[*net.OpError](err)
	if is && ours.Op == "local error" || strings.HasPrefix(err.Error(), "tls: ") {
		return fmt.Errorf("%w: %w", ErrBroken, err)
	}
	return err
}

// Write writes b as TLS records, after the handshake.
func (c *Conn) Write(b []byte) (int, error) {
	t, err := c.tls()
	if err != nil {
		return 0, err
	}
	return t.Write(b)
}

// CloseWrite tells the peer that nothing more will come. It does not end the socket's
// write side.
func (c *Conn) CloseWrite() error { return c.current.Load().CloseWrite() }

// SetLinger is that of the TCP connection underneath, if it is one. After a linger of 0
// Close says no goodbye either: it would wait for a peer that does not read.
func (c *Conn) SetLinger(seconds int) error {
	c.abrupt.Store(seconds == 0)
	if t, ok := c.raw.(interface{ SetLinger(int) error }); ok {
		return t.SetLinger(seconds)
	}
	return nil
}

// Close closes the connection, and tells the peer so before if that is possible at once.
func (c *Conn) Close() error {
	if c.abrupt.Load() {
		return c.raw.Close()
	}
	return c.current.Load().Close()
}

// NetConn is the connection under TLS. Reading or writing it breaks the TLS session.
func (c *Conn) NetConn() net.Conn { return c.raw }

// LocalAddr is that of the connection underneath.
func (c *Conn) LocalAddr() net.Addr { return c.raw.LocalAddr() }

// RemoteAddr is that of the connection underneath.
func (c *Conn) RemoteAddr() net.Addr { return c.raw.RemoteAddr() }

// SetDeadline bounds reads and writes, a handshake's too. After a write that ran into it
// the TLS session is of no use.
func (c *Conn) SetDeadline(t time.Time) error { return c.raw.SetDeadline(t) }

// SetReadDeadline bounds reads.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.raw.SetReadDeadline(t) }

// SetWriteDeadline bounds writes.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.raw.SetWriteDeadline(t) }
