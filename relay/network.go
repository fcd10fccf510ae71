package relay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"servicebroker/descriptor"
	"servicebroker/servicetable"
)

// errOtherNetwork is a service that databases registered on another network's address.
var errOtherNetwork = errors.New("databases registered the service for clients of another network alone")

// ofNetwork leaves out what databases registered for clients of other networks than that
// of the address the client came in on.
func (d *dialogue) ofNetwork(candidates []servicetable.Candidate) ([]servicetable.Candidate, error) {
	kept, all := candidates, true
	for i, c := range candidates {
		switch is := c.Registration.IsFor(d.network); {
		case is && !all:
			kept = append(kept, c)
		case !is:
			if all {
				kept, all = append([]servicetable.Candidate(nil), candidates[:i]...), false
			}
			d.passOver(c, fmt.Sprintf("it is for clients of network %s (NETWORK), and this one came in on %s", c.Registration.Network, networkName(d.network)))
		}
	}
	if len(kept) == 0 {
		return nil, fmt.Errorf("%w: send this client to an address with that NETWORK, or let the database register at this one too", errOtherNetwork)
	}
	return kept, nil
}

func networkName(name string) string {
	if name == "" {
		return "an address of none"
	}
	return "one of " + name
}

// addressesOf are the addresses of a candidate's host, for rules about networks.
func (s *Server) addressesOf(ctx context.Context, c *servicetable.Candidate) []netip.Addr {
	if c.Path != nil { // each address of such a host is judged by itself
		if c.Path.At.IsValid() {
			return []netip.Addr{c.Path.At}
		}
		return nil
	}
	if s.Resolve == nil || c.Handler.Host == "" {
		return nil
	}
	addresses := s.Resolve(ctx, foldHost(c.Handler.Host))
	if at := s.standIn(ctx, *c); len(addresses) == 0 && at.IsValid() {
		return []netip.Addr{at}
	}
	return addresses
}

// standIn is where a candidate is found whose host means nothing; the zero Addr for all others.
func (s *Server) standIn(ctx context.Context, c servicetable.Candidate) netip.Addr {
	if s.StandIn == nil || c.Path != nil {
		return netip.Addr{}
	}
	return s.StandIn(ctx, c)
}

// detour tells people of a candidate that is not found where it says; "" for all others.
func (s *Server) detour(ctx context.Context, c servicetable.Candidate) string {
	if at := s.standIn(ctx, c); at.IsValid() {
		return fmt.Sprintf("no name service knows %s: by the address it registered from, %s", descriptor.Escape(c.Handler.Host), at)
	}
	return ""
}

// sameFamily tells whether a client can be expected to reach a host: of a number, if its own
// is of the same family.
func sameFamily(client netip.Addr, host string) bool {
	a, err := netip.ParseAddr(host)
	return err != nil || !client.IsValid() || a.Unmap().Is4() == client.Unmap().Is4()
}

// nameOf is a.String(), at less cost for TCP.
func nameOf(a net.Addr) string {
	if t, ok := a.(*net.TCPAddr); ok && t != nil {
		if p := t.AddrPort(); p.Addr().IsValid() {
			return netip.AddrPortFrom(p.Addr().Unmap(), p.Port()).String()
		}
	}
	return a.String()
}
