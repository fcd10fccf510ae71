package broker

import (
	"context"
	"net"
	"strings"

	"servicebroker/certs"
	"servicebroker/descriptor"
	"servicebroker/relay"
)

// connect opens a connection to an instance for a client.
func (b *Broker) connect(ctx context.Context, to relay.Destination) (net.Conn, error) {
	return b.dialInstance(ctx, to.Address)
}

// dialInstance opens a connection to an instance: a TCP connection, with the TLS handshake
// behind it where the address has PROTOCOL=tcps.
func (b *Broker) dialInstance(ctx context.Context, address descriptor.Address) (net.Conn, error) {
	dial := new(net.Dialer).DialContext
	if !strings.EqualFold(address.Protocol, "tcps") {
		return dial(ctx, "tcp", address.HostPort())
	}
	c, err := certs.DialTLS(ctx, dial, address.HostPort(), b.security.current.Load().outbound)
	if err != nil {
		return nil, err // and no *certs.Conn, which is nil
	}
	return c, nil
}
