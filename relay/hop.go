package relay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"servicebroker/descriptor"
	"servicebroker/servicetable"
)

// errHostUnknown is a route to hosts of which nobody knows the address.
var errHostUnknown = errors.New("no such host")

// Bounds of what is tried for one connect: a route is no means to knock at every door.
const (
	maxLegs            = 16 // addresses of one hop
	maxAddressesOfHost = 8  // of what a name means
	maxHopCandidates   = 32 // all together
)

// hops are the candidates to which the way of a connect leads. What their hosts mean is asked
// here, once: rules judge it, and nothing else is dialled, whatever name services say a
// moment later. A host that means nothing is there without an address.
func (s *Server) hops(ctx context.Context, d *dialogue) []servicetable.Candidate {
	ctx, cancel := context.WithTimeout(ctx, resolveBudget)
	defer cancel()
	var all []servicetable.Candidate
	for i := range d.way.legs {
		leg := &d.way.legs[i]
		addresses := s.meaning(ctx, leg.Address.Host)
		if len(addresses) == 0 {
			addresses = []netip.Addr{{}}
		}
		text := onward(d, leg).String()
		for _, at := range addresses[:min(len(addresses), maxAddressesOfHost, maxHopCandidates-len(all))] {
			all = append(all, d.way.candidate(leg, at, text))
		}
	}
	return all
}

// meaning is what a host of a route means; nothing where nobody knows.
func (s *Server) meaning(ctx context.Context, host string) []netip.Addr {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a.Unmap()}
	}
	switch {
	case s.Claimed != nil:
		return s.Claimed(ctx, strings.ToLower(host))
	case s.Resolve != nil:
		return s.Resolve(ctx, strings.ToLower(host))
	}
	return nil
}

// candidate is one address of a hop as those are that databases register.
func (w *way) candidate(leg *leg, at netip.Addr, text string) servicetable.Candidate {
	a, key := leg.Address, strings.ToLower(leg.Address.HostPort())
	r := &servicetable.Registration{
		ID: servicetable.ID("route:" + key), Instance: key, Hop: key, Host: a.Host, HostRaw: "(HOST=" + a.Host + ")", Static: true, Tier: leg.Turn,
		Services: []servicetable.Service{{Name: leg.data.Text("SERVICE_NAME"), Flags: servicetable.FlagUnblocked}},
		Handlers: []servicetable.Handler{{
			Name: "HOP", Kind: servicetable.Dedicated, Protocol: a.Protocol, Host: a.Host, Port: a.Port, Address: a.String(), Services: []int{0},
		}},
	}
	if at.IsValid() && at.String() != a.Host {
		r.Handlers[0].Name = at.String()
	}
	return servicetable.Candidate{
		Registration: r, Service: &r.Services[0], Handler: &r.Handlers[0], Status: servicetable.Unknown,
		Path: &servicetable.Path{At: at, Descriptor: text, Service: w.asked, Named: w.named},
	}
}

// onward is the descriptor for whoever is at the leg's address: the client's, with the rest of
// the route as if that had begun there, so that nobody can tell this broker from a client
// (tns.md 11.1). An alias's CONNECT_DATA says what to ask for.
func onward(d *dialogue, leg *leg) *descriptor.Node {
	description, data := descriptionOf(d.asked)
	for _, name := range []string{"LOAD_BALANCE", "FAILOVER", "HOP_COUNT"} { // of the addresses that were left behind
		description.Remove(name)
	}
	description.Children = append(leg.Nodes(), description.Children...)
	askFor(data, d.query)
	if leg.data.Child("SERVICE_NAME") != nil || leg.data.Child("SID") != nil {
		for _, name := range []string{"SERVICE_NAME", "SID", "INSTANCE_NAME"} {
			data.Remove(name)
		}
	}
	for _, name := range []string{"SERVICE_NAME", "SID", "INSTANCE_NAME", "SERVER", "INSTANCE_ROLE", "COLOCATION_TAG", "UR"} {
		if text := leg.data.Text(name); text != "" {
			data.Put(name, text)
		}
	}
	return description
}

// reachable leaves out hosts that mean nothing.
func (d *dialogue) reachable(candidates []servicetable.Candidate) ([]servicetable.Candidate, error) {
	if d.way == nil {
		return candidates, nil
	}
	var kept []servicetable.Candidate
	for _, c := range candidates {
		if c.Path.At.IsValid() {
			kept = append(kept, c)
		} else {
			d.passOver(c, "no such host")
		}
	}
	if len(kept) == 0 {
		d.route = candidates // that may be worth waiting for
		return nil, fmt.Errorf("%w: %s: the name service knows no address of it: correct the name in the route, or let this host resolve it", errHostUnknown, hostsOf(candidates))
	}
	return kept, nil
}

// hostsOf names the hosts of candidates, each once.
func hostsOf(candidates []servicetable.Candidate) string {
	var names []string
	for _, c := range candidates {
		if name := descriptor.Escape(c.Handler.Host); len(names) == 0 || names[len(names)-1] != name {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// offeredAs is the name of the service that limits and lists go by: as it is registered, or as
// it is asked for where a route leads on, which is the same in whatever case that is written.
func (d *dialogue) offeredAs(c servicetable.Candidate) string {
	if c.Path == nil {
		return c.Service.Name
	}
	return strings.ToLower(cmp.Or(c.Service.Name, asksFor(d.query)))
}
