package dns

import (
	"fmt"
	"net/netip"
	"strings"

	wire "github.com/miekg/dns"
)

// reverseZone returns the name of the zone that holds the names of a network's addresses.
func reverseZone(network netip.Prefix) (string, error) {
	network = network.Masked()
	step, digits := 8, 4
	if network.Addr().Is6() {
		step, digits = 4, 32
	}
	if network.Bits() < step || network.Bits()%step != 0 {
		return "", fmt.Errorf("network %s is no zone of names of addresses: its length must be a multiple of %d", network, step)
	}
	full, err := wire.ReverseAddr(network.Addr().String())
	if err != nil {
		return "", err
	}
	labels := wire.SplitDomainName(full)
	return wire.Fqdn(strings.Join(labels[digits-network.Bits()/step:], ".")), nil
}

// reverse builds the zone of names of the addresses within prefix that stand at nodes.
func (p *publisher) reverse(prefix netip.Prefix, records []Record) Zone {
	name, err := reverseZone(prefix)
	if err != nil {
		p.problems = append(p.problems, err.Error())
		return Zone{}
	}
	z := Zone{Name: name}
	nodes := ".node." + p.zone
	for _, r := range records {
		switch {
		case r.Type == wire.TypeNS && r.Name == p.zone:
			z.Records = append(z.Records, Record{Name: name, Type: wire.TypeNS, Target: r.Target})
		case r.Addr.IsValid() && strings.HasSuffix(r.Name, nodes) && prefix.Contains(r.Addr):
			full, err := wire.ReverseAddr(r.Addr.String())
			if err == nil {
				z.Records = append(z.Records, Record{Name: full, Type: wire.TypePTR, Target: r.Name})
			}
		}
	}
	z.Records = p.bounded(sorted(z.Records))
	return z
}
