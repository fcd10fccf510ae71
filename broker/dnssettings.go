package broker

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"servicebroker/descriptor"
	"servicebroker/discovery/dns"
)

// DNSSettings is how the table is published in DNS.
type DNSSettings struct {
	Address     string           // DNS_ADDRESS, host:port; empty: the zone is not served here
	Zone        string           // DNS_ZONE, without the dot at its end
	TTL         time.Duration    // DNS_TTL
	ToBrokers   bool             // DNS_TARGET=brokers
	Brokers     []netip.AddrPort // DNS_BROKERS; empty: where this broker listens. Port 0: its first
	NameServers []string         // DNS_NAME_SERVERS; empty: ns.<zone>, at the brokers
	Reverse     []netip.Prefix   // DNS_REVERSE
	Secondaries []DNSSecondary   // DNS_TRANSFER
	Update      DNSUpdate        // DNS_UPDATE
	Sign        bool             // DNS_DNSSEC
	Rate        int              // DNS_RATE, answers a second; 0: no bound
}

// DNSSecondary is a name server that copies the zone.
type DNSSecondary struct {
	Address netip.AddrPort // SECONDARY
	Key     string         // KEY, a file; empty: its address suffices
}

// DNSUpdate is a primary that the zone is written to.
type DNSUpdate struct {
	Primary string // PRIMARY, host:port; empty: none
	Zone    string // ZONE, that of the primary; empty: DNS_ZONE
	Key     string // KEY, a file
	Leave   bool   // STOP=leave: what was written stays when the broker stops
}

// updateZone is the primary's zone.
func (d *DNSSettings) updateZone() string {
	if d.Update.Zone != "" {
		return d.Update.Zone
	}
	return d.Zone
}

// published tells whether anything is published in DNS.
func (d *DNSSettings) published() bool { return d.Address != "" || d.Update.Primary != "" }

// dnsParameters are about the table in DNS.
func dnsParameters() []Parameter {
	return []Parameter{
		{Name: "DNS_ADDRESS", Kind: KindOurs, Range: "host:port, off", Meaning: "where DNS_ZONE is served, over UDP and TCP", Cost: "who reaches it can ask for every service by name", set: hostPort("0.0.0.0:53", func(c *Config) *string { return &c.DNS.Address })},
		{Name: "DNS_BROKERS", Kind: KindOurs, Live: true, Default: "where this broker listens", Range: "addresses, address:port", Meaning: "where clients reach this broker and its like, as the zone has it", Cost: "one that is missing gets no clients by DNS_TARGET=brokers", set: setDNSBrokers},
		{Name: "DNS_DNSSEC", Kind: KindOurs, Default: "off", Range: "on, off", Meaning: "sign answers, with a key that is made on first use", Cost: "on: not with DNS_TRANSFER; first answers for a name cost a signature", set: onOff(func(c *Config) *bool { return &c.DNS.Sign })},
		{Name: "DNS_NAME_SERVERS", Kind: KindOurs, Live: true, Default: "ns within DNS_ZONE", Range: "host names", Meaning: "name servers of the zone, as its NS records and the delegation have them", Cost: "each has to serve the zone", set: setDNSNameServers},
		{Name: "DNS_RATE", Kind: KindOurs, Default: "1000", Unit: "answers/s", Range: "0 no bound", Meaning: "answers over UDP to one network (/24, of IPv6 /56), whose address may be forged; every other one beyond it says to come by TCP", Cost: "lower slows a resolver that many clients share, none lets the broker be used to flood others", set: number(0, 10_000_000, func(c *Config) *int { return &c.DNS.Rate })},
		{Name: "DNS_REVERSE", Kind: KindOurs, Live: true, Range: "networks, of 8, 16 or 24 bits, of IPv6 in steps of 4", Meaning: "networks whose addresses get names of their nodes (PTR)", Cost: "a network has to be delegated here as a whole", set: setDNSReverse},
		{Name: "DNS_TARGET", Kind: KindOurs, Live: true, Default: "instances", Range: "instances, brokers", Meaning: "where the names of services lead: to the instances themselves, or to the brokers", Cost: "instances: clients go by what was true a DNS_TTL ago, and nothing is held, relayed or explained", set: words(func(c *Config) *bool { return &c.DNS.ToBrokers }, map[string]bool{"instances": false, "brokers": true}, "instances", "brokers")},
		{Name: "DNS_TRANSFER", Kind: KindOurs, Repeatable: true, Range: "see above", Meaning: "a name server that copies the zone: `(DNS_TRANSFER=(SECONDARY=192.0.2.53:53)(KEY=/etc/broker/transfer.key))`", Cost: "without KEY whoever has its address gets the zone; not with DNS_DNSSEC", set: addDNSTransfer},
		{Name: "DNS_TTL", Kind: KindOurs, Live: true, Default: "5", Unit: "s", Range: "1 and more", Meaning: "how long answers may be kept, also those that say no", Cost: "longer sends clients to what is gone, shorter asks more", set: setDNSTTL},
		{Name: "DNS_UPDATE", Kind: KindOurs, Range: "see above", Meaning: "a primary that the zone is written to: `(DNS_UPDATE=(PRIMARY=192.0.2.53:53)(ZONE=example.com)(KEY=/etc/broker/update.key)(STOP=withdraw))`", Cost: "names below DNS_ZONE there are the broker's; STOP=leave keeps what was true at the end", set: setDNSUpdate},
		{Name: "DNS_ZONE", Kind: KindOurs, Range: "domain name", Meaning: "the zone whose names services, instances and hosts get", Cost: "has to be delegated to the broker, or to be forwarded to it", set: setDNSZone},
	}
}

func setDNSZone(c *Config, n *descriptor.Node) error {
	zone := strings.ToLower(strings.TrimSuffix(n.Value, "."))
	if err := dns.CheckZone(zone); err != nil {
		return err
	}
	c.DNS.Zone = zone
	return nil
}

func setDNSTTL(c *Config, n *descriptor.Node) error {
	ttl, err := ParseDuration(n.Value)
	if err == nil && (ttl < time.Second || ttl > 24*time.Hour) {
		err = fmt.Errorf("%q is no time that an answer can be kept: write from 1 s to 24 h", n.Value)
	}
	c.DNS.TTL = ttl
	return err
}

func setDNSBrokers(c *Config, n *descriptor.Node) error {
	c.DNS.Brokers = nil
	for _, text := range listOf(n) {
		at, err := addressPort(text, 0)
		if err != nil {
			return fmt.Errorf("%w: write where clients reach the broker, for example 192.0.2.10:1521", err)
		}
		c.DNS.Brokers = append(c.DNS.Brokers, at)
	}
	if len(c.DNS.Brokers) == 0 {
		return errNoValue
	}
	return nil
}

// addressPort reads an address that may have a port.
func addressPort(text string, port uint16) (netip.AddrPort, error) {
	if a, err := netip.ParseAddr(descriptor.BareHost(text)); err == nil {
		return netip.AddrPortFrom(a.Unmap(), port), nil
	}
	at, err := netip.ParseAddrPort(text)
	if err != nil {
		return at, fmt.Errorf("%q is no address", text)
	}
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port()), nil
}

func setDNSNameServers(c *Config, n *descriptor.Node) error {
	c.DNS.NameServers = nil
	for _, name := range listOf(n) {
		name = strings.TrimSuffix(name, ".")
		if isAddress(name) || dns.CheckZone(name) != nil {
			return fmt.Errorf("%q is no host name: write for example ns1.example.com", name)
		}
		c.DNS.NameServers = append(c.DNS.NameServers, name)
	}
	if len(c.DNS.NameServers) == 0 {
		return errNoValue
	}
	return nil
}

func setDNSReverse(c *Config, n *descriptor.Node) (err error) {
	if c.DNS.Reverse, err = networksOf(n); err != nil {
		return err
	}
	for _, network := range c.DNS.Reverse {
		if err := dns.CheckReverse(network); err != nil {
			return err
		}
	}
	return nil
}

func addDNSTransfer(c *Config, n *descriptor.Node) error {
	var s DNSSecondary
	take := func(n *descriptor.Node) (err error) {
		if s.Address, err = addressPort(n.Value, 53); err != nil {
			return fmt.Errorf("%w: write where the name server listens, for example 192.0.2.53:53", err)
		}
		return nil
	}
	err := readFields(n, []field{{"SECONDARY", take}, textField("KEY", &s.Key)})
	if n.Value != "" && len(n.Children) == 0 {
		err = take(n)
	}
	switch {
	case err != nil:
		return err
	case !s.Address.IsValid():
		return errors.New("it has no SECONDARY: write (SECONDARY=192.0.2.53:53)(KEY=/etc/broker/transfer.key)")
	case slices.ContainsFunc(c.DNS.Secondaries, func(other DNSSecondary) bool { return other.Address == s.Address }):
		return fmt.Errorf("%s is there already: take one of them out", s.Address)
	}
	c.DNS.Secondaries = append(c.DNS.Secondaries, s)
	return nil
}

func setDNSUpdate(c *Config, n *descriptor.Node) error {
	var u DNSUpdate
	err := readFields(n, []field{
		{"PRIMARY", func(n *descriptor.Node) error {
			u.Primary = n.Value
			if checkHostPort(u.Primary) == nil {
				return nil
			}
			host := descriptor.BareHost(u.Primary)
			if host == "" || strings.Contains(host, ":") && !isAddress(host) {
				return fmt.Errorf("%q is not host:port: write for example 192.0.2.53:53", n.Value)
			}
			u.Primary = net.JoinHostPort(host, strconv.Itoa(53))
			return nil
		}},
		{"ZONE", func(n *descriptor.Node) error {
			u.Zone = strings.ToLower(strings.TrimSuffix(n.Value, "."))
			return dns.CheckZone(u.Zone)
		}},
		textField("KEY", &u.Key),
		{"STOP", func(n *descriptor.Node) error {
			return words(func(*Config) *bool { return &u.Leave }, map[string]bool{"withdraw": false, "leave": true}, "withdraw", "leave")(c, n)
		}},
	})
	switch {
	case err != nil:
		return err
	case u.Primary == "":
		return errors.New("it has no PRIMARY: write (PRIMARY=192.0.2.53:53)(KEY=/etc/broker/update.key)")
	case u.Key == "":
		return errors.New("it has no KEY: make one with tsig-keygen NAME > /etc/broker/update.key, allow it there, and write (KEY=/etc/broker/update.key)")
	}
	c.DNS.Update = u
	return nil
}
