package broker

import (
	"cmp"
	"net"
	"net/netip"
	"net/url"
	"slices"

	"servicebroker/peers"
)

// reachedAt is where clients reach this broker and its like.
func (b *Broker) reachedAt(c *Config) []netip.AddrPort {
	var all []netip.AddrPort
	for _, l := range b.listeners {
		at := l.Addr().(*net.TCPAddr).AddrPort()
		at = netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
		if !at.Addr().IsUnspecified() {
			all = append(all, at)
			continue
		}
		any4 := l.Addr().(*net.TCPAddr).IP.To4() != nil
		for _, a := range b.hosts.localAddresses() {
			if a.IsGlobalUnicast() && (a.Is4() || !any4) {
				all = append(all, netip.AddrPortFrom(a, at.Port()))
			}
		}
	}
	if len(c.DNS.Brokers) > 0 {
		port := uint16(1521)
		if len(b.listeners) > 0 {
			port = b.listeners[0].Addr().(*net.TCPAddr).AddrPort().Port()
		}
		all = nil
		for _, given := range c.DNS.Brokers {
			all = append(all, netip.AddrPortFrom(given.Addr(), cmp.Or(given.Port(), port)))
		}
	}
	slices.SortFunc(all, netip.AddrPort.Compare)
	return slices.Compact(all)
}

// servingAt are those of all that take connects, as far as this broker knows: it leaves itself out once it ends, and hosts whose
// peer does so or answers no more. Where that leaves none, all are as good as any.
func (b *Broker) servingAt(all []netip.AddrPort) []netip.AddrPort {
	away := b.peersAway()
	serving := slices.DeleteFunc(slices.Clone(all), func(at netip.AddrPort) bool {
		if b.listensAt(at) {
			return b.leaving.Load()
		}
		return slices.Contains(away, at.Addr())
	})
	if len(serving) == 0 {
		return all
	}
	return serving
}

// listensAt tells whether an address is one of this broker's own.
func (b *Broker) listensAt(at netip.AddrPort) bool {
	return slices.ContainsFunc(b.listeners, func(l net.Listener) bool {
		own := l.Addr().(*net.TCPAddr).AddrPort()
		return own.Port() == at.Port() && (own.Addr().Unmap() == at.Addr() || own.Addr().IsUnspecified() && b.hosts.isLocal(at.Addr()))
	})
}

// peersAway are the addresses of peers that end or answer no more, without those at which one does.
func (b *Broker) peersAway() []netip.Addr {
	var away, there []netip.Addr
	for _, p := range b.peering.watcher.Peers() {
		switch {
		case p.Alive && !p.Leaving:
			there = append(there, b.addressesOf(&p)...)
		case p.Known:
			away = append(away, b.addressesOf(&p)...)
		}
	}
	return slices.DeleteFunc(away, func(a netip.Addr) bool { return slices.Contains(there, a) })
}

// addressesOf are those of a peer: from which it answered, else what its API's name means.
func (b *Broker) addressesOf(p *peers.State) []netip.Addr {
	if p.At.IsValid() {
		return []netip.Addr{p.At.Unmap().WithZone("")}
	}
	api, err := url.Parse(p.API)
	if err != nil || api.Hostname() == "" {
		return nil
	}
	return b.hosts.knownMeaning(api.Hostname())
}
