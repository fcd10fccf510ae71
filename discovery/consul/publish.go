package consul

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"servicebroker/discovery"
	"servicebroker/servicetable"
)

// Layout says how a table is published.
type Layout struct {
	// Brokers are where clients reach the brokers. With ToBrokers they stand in place of the instances.
	Brokers   []netip.AddrPort
	ToBrokers bool
}

// Node is one host, an external node of Consul's: no agent runs there, and no agent's node is touched.
type Node struct {
	Name    string
	Address string
	Host    string // as registered
}

// Service is one service at one instance. Fields that are set when it is written only, or may be late, are in Detail.
type Service struct {
	Node    string
	ID      string // unique: "sales:sales1@db1"
	Name    string
	Address string
	Port    int

	Of       string // the service's name as registered
	Instance string
	Host     string
	Database string
	Zone     string
	Kind     string // of its handler
	Tier     int
	Weight   int

	Status string // passing, warning or critical
	Output string // why

	Detail
}

// Detail is what changes all the time: it is written with everything else, and by itself only now and then.
type Detail struct {
	Load, Max, Goodness uint32
}

// Publication is what the catalogue should hold of ours. It is a value: equal tables make equal publications.
type Publication struct {
	Version  uint64    // of the table; not compared
	Nodes    []Node    // by name
	Services []Service // by node, then ID
	Problems []string  // what could not be published by its name, for people
}

// Equal reports whether a and b publish the same.
func Equal(a, b Publication) bool {
	return slices.Equal(a.Nodes, b.Nodes) && slices.Equal(a.Services, b.Services)
}

// NodeName is the name of the external node for a host that an instance registered: oracle-, and the host's name with all but letters,
// digits and - made -. No agent is likely to have it, and entries at an agent's own node would be taken away by that agent.
func NodeName(host string) string {
	name := discovery.Label(host)
	if name == "" {
		name = discovery.Hashed("x", host)
	}
	return "oracle-" + name
}

// serviceRule names services: one label, since Consul's DNS looks no others up.
var serviceRule = discovery.Rule{What: "service", Name: func(text string) string {
	return cmp.Or(discovery.Label(text), discovery.Hashed("x", text))
}}

// Publish returns what l makes of the table. An instance that takes connects is passing; one that did not say so itself lately (static,
// stale) is warning; any other is critical, and so absent from Consul's DNS.
func (l *Layout) Publish(s *servicetable.Snapshot) Publication {
	offers := discovery.Offers(s)
	texts := make([]string, len(offers))
	for i := range offers {
		texts[i] = offers[i].Service
	}
	names, problems := serviceRule.Allot(texts)
	p := Publication{Version: s.Version(), Problems: problems}
	nodes := map[string]Node{}
	for i := range offers {
		o := &offers[i]
		if l.ToBrokers {
			p.Services = append(p.Services, l.atBrokers(o, names.Of(o.Service), nodes)...)
		} else if o.Address != "" {
			p.Services = append(p.Services, atInstance(o, names.Of(o.Service), nodes))
		}
	}
	for _, n := range nodes {
		p.Nodes = append(p.Nodes, n)
	}
	slices.SortFunc(p.Nodes, func(a, b Node) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(p.Services, compareServices)
	p.Services = compact(p.Services)
	return p
}

func compareServices(a, b Service) int {
	return cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(a.ID, b.ID))
}

// compact leaves one service of each ID: with brokers in place of instances, the best.
func compact(all []Service) []Service {
	rank := map[string]int{passing: 0, warning: 1, critical: 2}
	slices.SortStableFunc(all, func(a, b Service) int {
		return cmp.Or(compareServices(a, b), cmp.Compare(rank[a.Status], rank[b.Status]))
	})
	return slices.CompactFunc(all, func(a, b Service) bool { return compareServices(a, b) == 0 })
}

const (
	passing  = "passing"
	warning  = "warning"
	critical = "critical"
)

func atInstance(o *discovery.Offer, name string, nodes map[string]Node) Service {
	node := Node{Name: NodeName(o.Host), Address: o.Address, Host: o.Host}
	if addr, err := netip.ParseAddr(o.Host); err == nil {
		node.Address = addr.String()
	} else if o.Peer.IsValid() {
		node.Address = o.Peer.Unmap().WithZone("").String()
	}
	if before, there := nodes[node.Name]; !there || node.Address < before.Address { // whatever the order
		nodes[node.Name] = node
	}
	s := Service{
		Node: node.Name, ID: strings.ToLower(o.Service + ":" + o.Key), Name: name, Address: address(o), Port: o.Port,
		Of: o.Service, Instance: o.Instance, Host: o.Host, Database: o.Database, Zone: o.Zone, Kind: o.Kind.String(), Tier: o.Tier,
		Weight: int(min(max(o.Weight, 1), 100)), Detail: Detail{o.Load, o.Max, o.Goodness},
	}
	s.Status, s.Output = status(o)
	return s
}

// address is where clients go: a host that has no domain is likely to be known to the database's own network alone, and Consul hands out
// addresses rather than names.
func address(o *discovery.Offer) string {
	if o.Peer.IsValid() && strings.EqualFold(o.Address, o.Host) {
		if _, err := netip.ParseAddr(o.Address); err != nil {
			return o.Peer.Unmap().WithZone("").String()
		}
	}
	return strings.Trim(o.Address, "[]")
}

func status(o *discovery.Offer) (status, output string) {
	switch {
	case !o.Live:
		return critical, o.Closed
	case !o.Sure():
		return warning, "the instance is " + o.State + ": it did not itself say lately that it takes connects"
	}
	return passing, "the instance is " + o.State
}

// atBrokers offers a service at each broker. It is critical where no instance takes connects, nor will as soon as an operator lets it.
func (l *Layout) atBrokers(o *discovery.Offer, name string, nodes map[string]Node) []Service {
	var all []Service
	for _, b := range l.Brokers {
		host := b.Addr().String()
		node := Node{Name: "oracle-broker-" + strings.NewReplacer(".", "-", ":", "-").Replace(host), Address: host, Host: host}
		nodes[node.Name] = node
		s := Service{Node: node.Name, ID: strings.ToLower(o.Service) + ":" + b.String(), Name: name, Address: host, Port: int(b.Port()), Of: strings.ToLower(o.Service), Weight: 1}
		s.Status, s.Output = status(o)
		if o.State == servicetable.Holding.String() || o.State == servicetable.Ejected.String() {
			s.Status, s.Output = warning, "connects wait"
		} else if s.Status == critical {
			s.Output = "no instance takes connects"
		} else {
			s.Output = "instances take connects"
		}
		all = append(all, s)
	}
	return all
}

// tags are those by which clients choose: <tag>.<service>.service.consul.
func (s *Service) tags() []string {
	tags := []string{"oracle"}
	for _, t := range []struct{ what, value string }{{"zone-", s.Zone}, {"database-", s.Database}, {"", s.Kind}} {
		if label := discovery.Label(t.value); label != "" {
			tags = append(tags, t.what+label)
		}
	}
	if s.Instance != "" {
		tags = append(tags, "tier-"+strconv.Itoa(s.Tier), cmp.Or(discovery.Label(s.Instance), "instance"))
	}
	if s.Tier == 0 {
		tags = append(tags, "primary")
	} else {
		tags = append(tags, "standby")
	}
	return tags
}

// meta is what is not looked up by; at most 64 keys of values up to 512 bytes.
func (s *Service) meta(owner string) map[string]string {
	meta := map[string]string{ownerKey: owner, "service": s.Of, "load": number(s.Load), "max": number(s.Max), "goodness": number(s.Goodness)}
	for key, value := range map[string]string{"instance": s.Instance, "host": s.Host, "database": s.Database, "zone": s.Zone, "kind": s.Kind} {
		if value != "" {
			meta[key] = value
		}
	}
	meta["tier"] = strconv.Itoa(s.Tier)
	for key, value := range meta {
		if len(value) > maxMeta {
			meta[key] = value[:maxMeta]
		}
	}
	return meta
}

const maxMeta = 512

func number(n uint32) string { return fmt.Sprint(n) }

// ownerKey is the key in meta by which entries of ours are known.
const ownerKey = "servicebroker"
