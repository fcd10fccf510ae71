//go:build !linux

package tcp

import (
	"context"
	"net"
	"net/netip"
)

// NewListener returns l.
func NewListener(l *net.TCPListener) (net.Listener, error) { return l, nil }

// Dial opens a connection to a numeric address, and sets keep-alive on it.
func Dial(ctx context.Context, to netip.AddrPort, keepAlive net.KeepAliveConfig) (net.Conn, error) {
	return (&net.Dialer{KeepAliveConfig: keepAlive}).DialContext(ctx, "tcp", to.String())
}
