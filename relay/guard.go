package relay

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"servicebroker/descriptor"
	"servicebroker/servicetable"
	"servicebroker/tns"
)

// errUnguarded is a client's own route to where only a rule that says so lets it.
var errUnguarded = errors.New("this broker does not carry the client there")

// guard leaves out of the candidates that a client's own route names those that no rule meant.
func (s *Server) guard(ctx context.Context, d *dialogue, candidates []servicetable.Candidate, by granted) ([]servicetable.Candidate, error) {
	var kept []servicetable.Candidate
	var refusal error = errRejected
	for _, c := range candidates {
		why := s.unsafe(ctx, d, c, by.by(c))
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
func (s *Server) unsafe(ctx context.Context, d *dialogue, c servicetable.Candidate, rule *Rule) string {
	at, where := c.Path.At, descriptor.Escape(c.Registration.Hop)
	switch {
	case rule == nil && !s.registered(d.query, c):
		return where + " is not where the service is registered, and without a RULE_LIST clients reach registered services alone: " +
			"let the database register, or write a RULE_LIST with a rule for that host, such as (RULE=(SRC=10.0.0.0/8)(DST=db1)(SRV=*)(ACT=accept))"
	case !at.IsValid() || rule != nil && rule.Destination.names():
		return ""
	case s.fenced(ctx, d, c):
		return fmt.Sprintf("%s is a database that registered for clients of another network (NETWORK), and this one came in on %s: "+
			"write a rule whose DST names it, if clients are to go there", where, networkName(d.network))
	case rule == nil:
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

// mayFollow finds the address to dial where a hop that a client's own route names sends the connect
// on. It has to be a destination that the client could have named itself, and what is asked there
// what it could have asked for.
func (s *Server) mayFollow(ctx context.Context, d *dialogue, address descriptor.Address, connect *tns.Connect) (netip.Addr, error) {
	rules := s.rules()
	if rules == nil { // it is registered, and trusted as such
		return netip.Addr{}, nil
	}
	asks, err := onwardQuestion(connect.Data)
	if err != nil {
		return netip.Addr{}, err
	}
	who := d.subject()
	who.asked, who.bySID = fold(asksFor(asks)), asks.Service == ""
	w, next := &way{named: true}, &leg{Step: descriptor.Step{Address: address}}
	err = errors.New("no such host")
	for _, at := range s.meaning(ctx, address.Host) {
		target := w.candidate(next, at, "")
		j := rules.judge(ctx, who, []servicetable.Candidate{target}, s.addressesOf)
		if len(j.admitted) == 0 {
			err = j.refusal
		} else if why := s.unsafe(ctx, d, target, j.granted.by(target)); why != "" {
			err = errors.New(why)
		} else {
			return at, nil
		}
	}
	return netip.Addr{}, err
}

// onwardQuestion is what a hop wants asked elsewhere. It must be one thing, and no command, which
// the broker would be taken to give.
func onwardQuestion(text []byte) (servicetable.Query, error) {
	asked, err := descriptor.Parse(string(text))
	if err != nil {
		return servicetable.Query{}, fmt.Errorf("what is to be asked there cannot be read: %w", err)
	}
	data := descriptor.ConnectData(asked)
	if commanding(asked) || len(data.All("SERVICE_NAME"))+len(data.All("SID")) > 1 {
		return servicetable.Query{}, errors.New("what is to be asked there is not one service or SID, or it is a COMMAND")
	}
	q, err := question(asked)
	if err != nil && !errors.Is(err, errNoServiceName) {
		return q, err
	}
	return q, nil
}

func commanding(n *descriptor.Node) bool {
	return strings.EqualFold(strings.TrimSpace(n.Name), "COMMAND") || slices.ContainsFunc(n.Children, commanding)
}

// fenced tells whether databases registered what is at the address of c for clients of other
// networks alone.
func (s *Server) fenced(ctx context.Context, d *dialogue, c servicetable.Candidate) bool {
	isThere := func(open bool) bool {
		return slices.ContainsFunc(s.Snapshot().Registrations(), func(r *servicetable.Registration) bool {
			return r.IsFor(d.network) == open && slices.ContainsFunc(r.Handlers, func(h servicetable.Handler) bool {
				return s.isAt(ctx, servicetable.Candidate{Registration: r, Handler: &h}, c)
			})
		})
	}
	return isThere(false) && !isThere(true)
}

// isAt tells whether a registered handler is what a route names.
func (s *Server) isAt(ctx context.Context, registered, named servicetable.Candidate) bool {
	if registered.Handler.Port != named.Handler.Port {
		return false
	}
	return foldHost(registered.Handler.Host) == foldHost(named.Handler.Host) ||
		slices.ContainsFunc(s.addressesOf(ctx, &registered), func(a netip.Addr) bool { return a.Unmap().WithZone("") == named.Path.At.WithZone("") })
}
