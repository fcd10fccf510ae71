package tns

import (
	"context"
	"fmt"
	"net"
)

// tlsRestarter is a TLS connection whose owner can run a new handshake on the socket
// underneath, after which the same value is the new TLS connection.
type tlsRestarter interface {
	RestartTLS(ctx context.Context) error
}

// RestartTLS does what a RESEND with TLS asks of whoever gets it (tns.md 5): a new full
// handshake on the same socket, without a word of goodbye to the old one. The CONNECT has
// to be sent again afterwards. It is for a Conn on a TLS connection that has a method
// RestartTLS(context.Context) error, or wraps one and says so by NetConn(); for any other
// the error is ErrNoRestart. A context that ends closes the connection.
//
// On a connection without TLS such a RESEND is an ordinary one, as drivers take it: see
// OverTLS.
func (c *Conn) RestartTLS(ctx context.Context) error {
	restarter := restarterOf(c.conn)
	if restarter == nil {
		return fmt.Errorf("%w: %T to %v", ErrNoRestart, c.conn, c.conn.RemoteAddr())
	}
	if early := c.w - c.r; early > 0 {
		return fmt.Errorf("%w: %d bytes of the old TLS session before the new handshake; the peer is broken", ErrUnexpected, early)
	}
	if err := restarter.RestartTLS(ctx); err != nil {
		return fmt.Errorf("second TLS handshake, which RESEND asks for: %w", err)
	}
	return nil
}

// AskTLSRestart sends a RESEND with TLS to a client and runs the new handshake as the
// server; ReadConnect comes next. Real listeners do it to hand the socket to a server
// process, which cannot inherit the state of a TLS session. Whoever relays, redirects or
// refuses a client has no reason to.
func (c *Conn) AskTLSRestart(ctx context.Context) error {
	if restarterOf(c.conn) == nil {
		return fmt.Errorf("%w: %T to %v", ErrNoRestart, c.conn, c.conn.RemoteAddr())
	}
	if err := c.Send(Resend{TLS: true}); err != nil {
		return fmt.Errorf("send RESEND: %w", err)
	}
	return c.RestartTLS(ctx)
}

// OverTLS tells whether the connection is a TLS connection, or wraps one and says so.
func (c *Conn) OverTLS() bool { return overTLS(c.conn) }

// restarterOf finds what can restart TLS under the wrappers of c; nil if nothing can.
func restarterOf(c net.Conn) tlsRestarter {
	for range maxWrappers {
		if r, ok := c.(tlsRestarter); ok {
			return r
		}
		wrapper, ok := c.(interface{ NetConn() net.Conn })
		if !ok || wrapper.NetConn() == nil {
			return nil
		}
		c = wrapper.NetConn()
	}
	return nil
}
