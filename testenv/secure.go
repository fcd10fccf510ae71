package testenv

import (
	"context"
	"net"

	"servicebroker/certs"
	"servicebroker/tns"
)

// unwrap is the client's connection with TLS ended, where the listener speaks it.
func (d *Database) unwrap(ctx context.Context, raw net.Conn) (net.Conn, error) {
	if d.TLS == nil {
		return raw, nil
	}
	secure, err := d.TLS.Server(raw)
	if err != nil {
		return nil, err
	}
	return secure, secure.HandshakeContext(ctx)
}

// restart asks for new handshakes, and returns the CONNECT that came after the last.
func (d *Database) restart(ctx context.Context, conn *tns.Conn, connect *tns.Connect) (*tns.Connect, error) {
	for range d.Restarts {
		if err := conn.AskTLSRestart(ctx); err != nil {
			return nil, err
		}
		again, err := conn.ReadConnect()
		if err != nil {
			return nil, err
		}
		connect = again
	}
	return connect, nil
}

// dialBroker connects to a broker, over TLS if that is wanted.
func (d *Database) dialBroker(ctx context.Context, address string) (net.Conn, error) {
	if d.BrokerTLS == nil {
		return d.sockets.dialBroker(ctx, address)
	}
	c, err := certs.DialTLS(ctx, func(ctx context.Context, _, address string) (net.Conn, error) {
		return d.sockets.dialBroker(ctx, address)
	}, address, d.BrokerTLS)
	if err != nil {
		return nil, err
	}
	return c, nil
}
