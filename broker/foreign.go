package broker

import (
	"fmt"
	"net/netip"
	"strings"
	"syscall"

	"servicebroker/descriptor"
)

// Databases say where their handlers are. One of another host that names an address which only means something on each
// host by itself is mistaken, or wants this broker to talk to what is nobody's business on its own host: such an
// address is not used, whether it is written so, comes out of a name, or is where an instance redirects to.

// unfit tells why a handler at a host cannot be that of a database which registers from peer; "" if it can.
func (b *Broker) unfit(peer netip.Addr, host string) string {
	if b.isHere(peer) {
		return ""
	}
	host = strings.ToLower(strings.TrimSuffix(descriptor.BareHost(host), "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") || strings.HasPrefix(host, "localhost.") {
		return fmt.Sprintf("%s is each host's own name for itself, and the database is at %s", host, peer)
	}
	at, err := netip.ParseAddr(host)
	if err != nil {
		return ""
	}
	return meansNothing(peer, at)
}

// isHere tells whether a registration's peer is this host, or is none.
func (b *Broker) isHere(peer netip.Addr) bool { return !peer.IsValid() || b.hosts.isLocal(peer) }

// meansNothing tells why an address cannot be that of a database which registers from peer, another host; "" if it can.
func meansNothing(peer, at netip.Addr) string {
	at = at.Unmap()
	what := ""
	switch {
	case at.IsLoopback():
		what = "loopback, each host's own"
	case at.IsUnspecified():
		what = "no address of one host"
	case at.IsMulticast(), at == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		what = "an address of many"
	case at.IsLinkLocalUnicast() && !peer.Unmap().IsLinkLocalUnicast():
		what = "an address of one link alone"
	default:
		return ""
	}
	return fmt.Sprintf("%s is %s, and the database is at %s", at, what, peer)
}

// onlyFor keeps a connection to an instance that registered from peer from leading where its addresses cannot be; nil:
// anywhere.
func (b *Broker) onlyFor(peer netip.Addr) func(network, address string, _ syscall.RawConn) error {
	if b.isHere(peer) {
		return nil
	}
	return func(_, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		if why := meansNothing(peer, at.Addr()); why != "" {
			return fmt.Errorf("%s: correct LOCAL_LISTENER on the database", why)
		}
		return nil
	}
}
