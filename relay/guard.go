package relay

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"servicebroker/descriptor"
	"servicebroker/servicetable"
)

// errUnguarded is a client's own route to where only a rule that says so lets it.
var errUnguarded = errors.New("this broker does not carry the client there")

// guard leaves out of the candidates that a client's own route names those that no rule meant.
func (s *Server) guard(d *dialogue, candidates []servicetable.Candidate, by granted) ([]servicetable.Candidate, error) {
	var kept []servicetable.Candidate
	var refusal error = errRejected
	for _, c := range candidates {
		why := s.unsafe(d.query, c, by.by(c))
		if why == "" {
			kept = append(kept, c)
			continue
		}
		refusal = fmt.Errorf("%w: %s", errUnguarded, why)
		d.passOver(c, why)
	}
	if len(kept) == 0 {
		return nil, refusal
	}
	return kept, nil
}

// unsafe tells why a client is not to be carried to a candidate that it names itself, though
// the rule lets it; "" if it is.
func (s *Server) unsafe(q servicetable.Query, c servicetable.Candidate, rule *Rule) string {
	at, where := c.Path.At, descriptor.Escape(c.Registration.Hop)
	switch {
	case rule == nil && !s.registered(q, c):
		return where + " is not where the service is registered, and without a RULE_LIST clients reach registered services alone: " +
			"let the database register, or write a RULE_LIST with a rule for that host, such as (RULE=(SRC=10.0.0.0/8)(DST=db1)(SRV=*)(ACT=accept))"
	case rule == nil || !at.IsValid() || rule.Destination.names():
		return ""
	}
	kind := ""
	switch {
	case at.IsLoopback():
		kind = "a loopback address"
	case at.IsLinkLocalUnicast(), at.IsLinkLocalMulticast(), at.IsInterfaceLocalMulticast():
		kind = "a link-local address"
	case at.IsUnspecified():
		kind = "no host's address"
	case at.IsMulticast(), at == broadcast:
		kind = "an address of many hosts"
	case s.Local != nil && s.Local(at):
		kind = "an address of the broker's own host"
	default:
		return ""
	}
	return fmt.Sprintf("%s is %s, %s, to which a rule with DST=* lets nobody go: write a rule whose DST names it, if clients are to go there", where, at, kind)
}

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// names tells whether a pattern means hosts of its own, and not nearly all there are.
func (p *HostPattern) names() bool {
	const narrow = 8 // bits
	return !p.Any && (p.Name != "" || p.Network.Bits() >= narrow)
}

// registered tells whether a query leads to the very address of c without a route too.
func (s *Server) registered(q servicetable.Query, c servicetable.Candidate) bool {
	offered, _ := s.Snapshot().Match(q)
	for _, o := range offered {
		if o.Handler.Port == c.Handler.Port && strings.EqualFold(o.Handler.Host, c.Handler.Host) {
			return true
		}
	}
	return false
}

// mayFollow tells where a hop that a client's own route names may send the connect on to, and
// the address to dial there. That has to be a destination that the client could have named
// itself.
func (s *Server) mayFollow(ctx context.Context, d *dialogue, c servicetable.Candidate, address descriptor.Address) (netip.Addr, error) {
	if c.Path == nil || !c.Path.Named {
		return netip.Addr{}, nil
	}
	rules := s.rules()
	if rules == nil { // it is registered, and trusted as such
		return netip.Addr{}, nil
	}
	w, next := &way{named: true}, &leg{Step: descriptor.Step{Address: address}}
	why := "no such host"
	for _, at := range s.meaning(ctx, address.Host) {
		target := w.candidate(next, at, "")
		j := rules.judge(ctx, d.subject(), []servicetable.Candidate{target}, s.addressesOf)
		if len(j.admitted) == 0 {
			why = j.refusal.Error()
		} else if why = s.unsafe(d.query, target, j.granted.by(target)); why == "" {
			return at, nil
		}
	}
	return netip.Addr{}, fmt.Errorf("%s redirected to %s, where this client may not go: %s", c.Registration.Hop, descriptor.Escape(address.HostPort()), why)
}
