package broker

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"servicebroker/descriptor"
)

// plain takes position and line break out of a syntax error, whose place is told otherwise.
func plain(err error) error {
	var syntax *descriptor.SyntaxError
	if errors.As(err, &syntax) {
		return errors.New(syntax.Problem + ": " + syntax.Remedy)
	}
	return err
}

// setNextHop reads (NEXT_HOP=(DESCRIPTION=…)), (NEXT_HOP=(ADDRESS=…)) and the like.
func setNextHop(c *Config, n *descriptor.Node) error {
	hop := &NextHop{Description: n, SourceRoute: descriptor.SourceRoute(n)}
	if inner := n.Child("DESCRIPTION"); inner != nil {
		hop.Description = inner
	}
	addresses := descriptor.Addresses(n)
	if len(addresses) == 0 {
		return errors.New("there is no ADDRESS in it: write (NEXT_HOP=(DESCRIPTION=(ADDRESS=(PROTOCOL=tcp)(HOST=db1)(PORT=1521))))")
	}
	for _, node := range addresses {
		a, err := node.Address()
		if err == nil {
			err = checkAddress(a)
		}
		if err != nil {
			return at(node, plain(err))
		}
		hop.Addresses = append(hop.Addresses, a)
	}
	c.NextHop = hop
	return nil
}

// addView reads one (VIEW=(CLIENTS=…)(MAP=(FROM=…)(TO=…))…).
func addView(c *Config, n *descriptor.Node) error {
	var v View
	err := readFields(n, []field{
		{"CLIENTS", func(n *descriptor.Node) error {
			networks, err := networksOf(n)
			v.Clients = append(v.Clients, networks...)
			return err
		}},
		{"MAP", func(n *descriptor.Node) error {
			var m AddressMap
			err := readFields(n, []field{endField("FROM", &m.From, &m.FromPort), endField("TO", &m.To, &m.ToPort)})
			if err == nil && (m.From == "" || m.To == "") {
				err = errors.New("it needs both ends: write (MAP=(FROM=10.1.0.5)(TO=198.51.100.5))")
			}
			v.Maps = append(v.Maps, m)
			return err
		}},
		{"SERVICES", func(n *descriptor.Node) error {
			if v.Services = append(v.Services, listOf(n)...); len(v.Services) == 0 {
				return errNoValue
			}
			return nil
		}},
	})
	switch {
	case err != nil:
		return err
	case len(v.Clients) == 0:
		return errors.New("it has no CLIENTS: write for example (CLIENTS=192.0.2.0/24)")
	case len(v.Maps)+len(v.Services) == 0:
		return errors.New("it has no MAP: write for example (MAP=(FROM=10.1.0.5)(TO=198.51.100.5))")
	}
	c.Views = append(c.Views, v)
	return nil
}

// endField is a field that is a host, or host:port.
func endField(name string, host *string, port *int) field {
	return field{name, func(n *descriptor.Node) error {
		if n.Value == "" {
			return errNoValue
		}
		if *host = descriptor.BareHost(n.Value); isAddress(*host) {
			return nil
		}
		h, p, err := net.SplitHostPort(n.Value)
		if err != nil {
			return nil // a name
		}
		number, err := strconv.ParseUint(p, 10, 16)
		if err != nil {
			return fmt.Errorf("%q is neither a host nor host:port: write for example 10.1.0.5 or db1:1521", n.Value)
		}
		*host, *port = h, int(number)
		return nil
	}}
}

func isAddress(text string) bool {
	_, err := netip.ParseAddr(text)
	return err == nil
}

// setProxyProtocol reads (PROXY_PROTOCOL=off), (PROXY_PROTOCOL=in=10.0.0.0/8) and
// (PROXY_PROTOCOL=(IN=…)(OUT=…)).
func setProxyProtocol(c *Config, n *descriptor.Node) error { return c.ProxyProtocol.read(n) }

func (p *ProxyProtocol) read(n *descriptor.Node) error {
	if on, known := descriptor.Truth(n.Value); known && !on && len(n.Children) == 0 {
		*p = ProxyProtocol{}
		return nil
	}
	if name, value, ok := strings.Cut(n.Value, "="); ok { // without parentheses of its own
		n = &descriptor.Node{Children: []*descriptor.Node{{Name: strings.TrimSpace(name), Value: value, Line: n.Line, Column: n.Column}}}
	}
	if len(n.Children) == 0 {
		return fmt.Errorf("%q says nothing: write (PROXY_PROTOCOL=(IN=10.0.0.0/8)), or off", n.Value)
	}
	return readFields(n, []field{
		{"IN", func(n *descriptor.Node) error {
			networks, err := networksOf(n)
			p.In = append(p.In, networks...)
			return err
		}},
		{"OUT", func(n *descriptor.Node) error {
			rule, err := proxyRule(n)
			p.Out = append(p.Out, rule)
			return err
		}},
	})
}

// proxyRule reads (OUT=v2) and (OUT=(DST=db1)(VERSION=v2)).
func proxyRule(n *descriptor.Node) (rule ProxyProtocolRule, err error) {
	version := field{"VERSION", func(n *descriptor.Node) error {
		switch strings.ToLower(n.Value) {
		case "v1", "1":
			rule.Version = 1
		case "v2", "2":
			rule.Version = 2
		case "off", "none":
			rule.Version = 0
		default:
			return unknownWord(n.Value, "v1", "v2", "off")
		}
		return nil
	}}
	if len(n.Children) == 0 {
		return rule, version.take(n)
	}
	rule.Version = 2
	err = readFields(n, []field{textField("DST", &rule.Destination), version})
	return rule, err
}
