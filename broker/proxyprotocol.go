package broker

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/pires/go-proxyproto"

	"servicebroker/certs"
	"servicebroker/descriptor"
	"servicebroker/relay"
)

// headerBuffer holds any header without lengthy extensions, and what comes with it.
const headerBuffer = 512

// readProxyHeader takes the header off a connection whose peer has to send one. The result
// has the address that it tells as its own, and Through, the one it comes from. The error
// comes with the connection as it was where there is no header at all, and with all that was read of it.
func readProxyHeader(raw net.Conn) (c net.Conn, said []byte, err error) {
	var all bytes.Buffer
	r := bufio.NewReaderSize(io.TeeReader(raw, &all), headerBuffer)
	header, err := proxyproto.Read(r)
	taken, _ := r.Peek(r.Buffered())
	rest := certs.Replay(raw, slices.Clone(taken))
	if err != nil {
		return rest, all.Bytes(), err
	}
	client := raw.RemoteAddr()
	if source, _, ok := header.TCPAddrs(); ok && header.Command.IsProxy() {
		client = source // else the proxy speaks for itself, as it does to see whether we are there
	}
	return &proxied{Conn: rest, client: client, through: raw.RemoteAddr()}, nil, nil
}

// proxied is a connection that a proxy has opened for somebody else.
type proxied struct {
	net.Conn
	client, through net.Addr
}

// RemoteAddr is the client's, as the proxy tells it.
func (c *proxied) RemoteAddr() net.Addr { return c.client }

// Through is the address of the proxy. Nobody is trusted more for what a proxy says.
func (c *proxied) Through() net.Addr { return c.through }

// NetConn is the connection to the proxy.
func (c *proxied) NetConn() net.Conn { return c.Conn }

// CloseWrite ends our half of the connection.
func (c *proxied) CloseWrite() error {
	for under := c.Conn; ; {
		if half, ok := under.(interface{ CloseWrite() error }); ok {
			return half.CloseWrite()
		}
		wrapper, ok := under.(interface{ NetConn() net.Conn })
		if !ok {
			return c.Close()
		}
		under = wrapper.NetConn()
	}
}

// SetLinger is that of the connection to the proxy, if it has one.
func (c *proxied) SetLinger(seconds int) error {
	if t, ok := c.Conn.(interface{ SetLinger(int) error }); ok {
		return t.SetLinger(seconds)
	}
	return nil
}

// File is a descriptor of the connection to the proxy: another process that goes on with it has
// to be told who the client is.
func (c *proxied) File() (*os.File, error) { return beneath(c.Conn) }

// SyscallConn is the socket of the connection to the proxy.
func (c *proxied) SyscallConn() (syscall.RawConn, error) {
	s, ok := c.Conn.(syscall.Conn)
	if !ok {
		return nil, fmt.Errorf("%T has no socket of its own", c.Conn)
	}
	return s.SyscallConn()
}

// throughOf is the proxy by whom a connection came; nil if it came by itself.
func throughOf(c net.Conn) net.Addr {
	for {
		if p, ok := c.(interface{ Through() net.Addr }); ok {
			return p.Through()
		}
		wrapper, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			return nil
		}
		c = wrapper.NetConn()
	}
}

// isAmong tells whether an address is in one of the networks.
func isAmong(networks []netip.Prefix, a net.Addr) bool {
	at := relay.AddrPort(a).Addr()
	return slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(at) })
}

// headerFor is the version of the header that an instance wants, 0 for none. remote is its
// address.
func (p *ProxyProtocol) headerFor(address descriptor.Address, remote net.Addr) int {
	for i := range p.Out {
		if p.Out[i].fits(address.Host, relay.AddrPort(remote).Addr()) {
			return p.Out[i].Version
		}
	}
	return 0
}

func (r *ProxyProtocolRule) fits(host string, at netip.Addr) bool {
	if r.Destination == "" || r.Destination == "*" || strings.EqualFold(r.Destination, host) {
		return true
	}
	if network, err := netip.ParsePrefix(r.Destination); err == nil {
		return network.Contains(at)
	}
	wanted, err := netip.ParseAddr(descriptor.BareHost(r.Destination))
	return err == nil && wanted.Unmap() == at
}

// sendProxyHeader tells an instance for whom a connection is; an invalid client is none,
// and the connection then our own.
func sendProxyHeader(c net.Conn, version int, client, arrived netip.AddrPort) error {
	var header *proxyproto.Header
	if client.IsValid() && arrived.IsValid() {
		header = proxyproto.HeaderProxyFromAddrs(byte(version), net.TCPAddrFromAddrPort(client), net.TCPAddrFromAddrPort(arrived))
	} else {
		header = &proxyproto.Header{Version: byte(version), Command: proxyproto.LOCAL, TransportProtocol: proxyproto.UNSPEC}
	}
	if _, err := header.WriteTo(c); err != nil {
		return fmt.Errorf("send a PROXY header to %v: %w", c.RemoteAddr(), err)
	}
	return nil
}

// errNoHeader says what to do about a proxy that sends no header.
var errNoHeader = errors.New("a peer in IN of PROXY_PROTOCOL sends no header of that protocol: have it send one (HAProxy: send-proxy-v2), or take it out of IN")
