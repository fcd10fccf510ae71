package broker

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"servicebroker/servicetable"
)

// view is the address by which a client reaches a handler's: that of the first VIEW for its
// network that has one for it.
func (b *Broker) view(client netip.Addr, host string, port int) (string, int) {
	views := b.settings().config.Views // once: a reload may make them fewer meanwhile
	for i := range views {
		v := &views[i]
		if !v.isFor(client) {
			continue
		}
		for _, m := range v.Maps {
			if (m.FromPort == 0 || m.FromPort == port) && b.sameHost(m.From, host, b.hosts.meaning) {
				if m.ToPort != 0 {
					port = m.ToPort
				}
				return m.To, port
			}
		}
	}
	return host, port
}

func (v *View) isFor(client netip.Addr) bool {
	for _, network := range v.Clients {
		if network.Contains(client) {
			return true
		}
	}
	return false
}

// sameHost tells whether two texts are one host: the same name, or a number and a name that
// means it.
func (b *Broker) sameHost(one, other string, means func(host string) []netip.Addr) bool {
	if strings.EqualFold(one, other) {
		return true
	}
	if isAddress(one) == isAddress(other) {
		return isAddress(one) && netip.MustParseAddr(one).Unmap() == netip.MustParseAddr(other).Unmap()
	}
	if isAddress(other) {
		one, other = other, one
	}
	return slices.Contains(means(other), netip.MustParseAddr(one).Unmap())
}

// standIn is where a handler is found whose host no name service knows, as that of a
// container may be: at the address its registration came from, if the handler says that it
// is at the registered host. The zero Addr for all others.
func (b *Broker) standIn(ctx context.Context, c servicetable.Candidate) netip.Addr {
	r, h := c.Registration, c.Handler
	switch {
	case r.Static || !r.Peer.IsValid() || r.LoadSource == "agent", h.Host == "" || isAddress(h.Host), !r.AtHome(h) || c.Forwards:
		return netip.Addr{}
	case len(b.hosts.resolve(ctx, h.Host)) > 0:
		return netip.Addr{}
	}
	if b.detours.first(r.HandlerKey(h)) {
		b.log.Warn("no name service here knows a handler's host: it is reached by the address it registered from; "+
			"let this host resolve the name, or correct LOCAL_LISTENER on the database",
			"instance", r.Key(), "handler", h.Name, "host", h.Host, "address", r.Peer.String())
	}
	return r.Peer
}

// detours are the handlers that were told of already.
type detours struct {
	mu   sync.Mutex
	told map[string]bool
}

// maxDetours bounds how many are remembered.
const maxDetours = 1000

// first reports whether nobody was told of a handler yet.
func (d *detours) first(key string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.told[key] {
		return false
	}
	if d.told == nil || len(d.told) >= maxDetours {
		d.told = map[string]bool{}
	}
	d.told[key] = true
	return true
}
