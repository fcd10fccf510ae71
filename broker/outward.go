package broker

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"servicebroker/certs"
	"servicebroker/relay"
	"servicebroker/tcp"
)

// connect opens a connection to an instance for a client.
func (b *Broker) connect(ctx context.Context, to relay.Destination) (net.Conn, error) {
	if to.Sealed {
		to.Address.Protocol = "tcp"
	}
	return b.dialInstance(ctx, to)
}

// dialTCP opens a TCP connection to host:port, for an instance that registered from an address.
func (b *Broker) dialTCP(ctx context.Context, network, where string, from netip.Addr) (net.Conn, error) {
	allowed := b.onlyFor(from)
	to, err := netip.ParseAddrPort(where)
	if err != nil { // of a name's addresses that which answers first
		return (&net.Dialer{KeepAliveConfig: b.keepAlive(), Control: allowed}).DialContext(ctx, network, where)
	}
	if allowed != nil {
		if err := allowed(network, where, nil); err != nil {
			return nil, &net.OpError{Op: "dial", Net: network, Addr: net.TCPAddrFromAddrPort(to), Err: err}
		}
	}
	return tcp.Dial(ctx, to, b.keepAlive())
}

// dialInstance opens a connection to an instance: a TCP connection, on which a PROXY header
// tells for whom it is where the instance wants that, and the TLS handshake behind it where
// the address has PROTOCOL=tcps.
func (b *Broker) dialInstance(ctx context.Context, to relay.Destination) (net.Conn, error) {
	address, where := to.Address, to.Dial()
	arrived, _ := netip.ParseAddrPort(to.Arrived)
	proxy := &b.settings().config.ProxyProtocol
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		c, err := b.dialTCP(ctx, network, where, to.From)
		if b.lacking("dial", err) {
			return nil, fmt.Errorf("%w: %s", err, shortageRemedy(err))
		}
		if err != nil {
			return nil, err
		}
		version := proxy.headerFor(address, c.RemoteAddr())
		if version == 0 {
			return c, nil
		}
		if err := sendProxyHeader(c, version, to.Client, arrived); err != nil {
			_ = c.Close()
			return nil, err
		}
		return c, nil
	}
	if !strings.EqualFold(address.Protocol, "tcps") {
		return dial(ctx, "tcp", where)
	}
	c, err := certs.DialTLS(ctx, dial, address.HostPort(), b.security.current.Load().outbound)
	if err != nil {
		return nil, err // and no *certs.Conn, which is nil
	}
	return c, nil
}
