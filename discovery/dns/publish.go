package dns

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	wire "github.com/miekg/dns"

	"servicebroker/discovery"
	"servicebroker/servicetable"
)

// Layout says how a table is published.
type Layout struct {
	Zone string // "db.example.com"
	// NameServers are those of the zone, absolute; none: ns.<zone>, at the brokers' addresses.
	NameServers []string
	// Brokers are where clients reach this broker and its like. They stand at the zone itself, so that databases and clients have a
	// name for them. With ToBrokers they also stand in place of the instances.
	Brokers   []netip.AddrPort
	ToBrokers bool
	// Serving are those of Brokers that take connects; nil: all. The others keep their place at the zone itself, for databases that
	// register there.
	Serving []netip.AddrPort
	// Views are what clients of some networks get to see; where several fit, that of the smallest network. Without one that does,
	// addresses are as registered.
	Views []View
	TTL   time.Duration // how long answers may be kept, also those that say no; 0: 5 s
	// Reverse are the networks whose addresses are given names (PTR); whole octets, of IPv6 whole nibbles.
	Reverse []netip.Prefix
	// Resolve returns the addresses of a host that an instance registered by name; nil, or none returned: the address that the
	// registration came from, if it is its own host. It must return at once.
	Resolve func(host string) []netip.Addr
}

// View is how clients from some networks reach what is registered.
type View struct {
	Clients  []netip.Prefix
	Map      func(host string, port int) (string, int) // from an address as registered to one as these clients reach it; nil: the same
	Services func(service string) bool                 // which services they see; nil: all
}

// Publication is what a zone should hold. It is a value: equal tables make equal publications.
type Publication struct {
	Version  uint64   // of the table; not compared
	Zones    []Zone   // as most see them: the layout's zone, then the reverse ones
	Views    []Seen   // the same as each view's clients see them
	TTL      uint32   // of all records, in seconds
	Problems []string // what could not be published, or not by its name, for people
}

// Zone is one zone's records besides its SOA.
type Zone struct {
	Name    string // absolute
	Records []Record
}

// Seen is what the clients of a view see.
type Seen struct {
	Clients []netip.Prefix
	Zones   []Zone
}

// Equal reports whether a and b publish the same.
func Equal(a, b Publication) bool {
	same := func(a, b Zone) bool { return a.Name == b.Name && slices.Equal(a.Records, b.Records) }
	return a.TTL == b.TTL && slices.EqualFunc(a.Zones, b.Zones, same) && slices.EqualFunc(a.Views, b.Views, func(a, b Seen) bool {
		return slices.Equal(a.Clients, b.Clients) && slices.EqualFunc(a.Zones, b.Zones, same)
	})
}

// Publish returns what l makes of the table. At each service's name stand the addresses of its live instances (A, AAAA), those of
// the best priority alone, since an address has none; at _oracle._tcp.<service> all live ones as SRV; and as TXT the state of all,
// live or not. <instance>.instance and <host>.node are names for instances and hosts.
func (l *Layout) Publish(s *servicetable.Snapshot) Publication {
	offers := discovery.Offers(s)
	p := &publisher{Layout: l, zone: wire.CanonicalName(l.Zone), all: offers}
	p.allot()
	out := Publication{Version: s.Version(), TTL: l.ttl(), Zones: p.zones(View{})}
	for _, v := range l.Views {
		out.Views = append(out.Views, Seen{v.Clients, p.zones(v)})
	}
	slices.Sort(p.problems)
	out.Problems = slices.Compact(p.problems)
	return out
}

func (l *Layout) ttl() uint32 {
	if l.TTL > 0 {
		return uint32(max(l.TTL.Seconds(), 1))
	}
	return 5
}

// publisher is one Publish at work.
type publisher struct {
	*Layout
	zone                string
	all                 []discovery.Offer
	services, instances discovery.Names
	problems            []string

	view    View
	offers  []discovery.Offer // that the view shows
	records []Record
	hosts   map[string]host // by host text as this view has it
}

// host is one node as it is published.
type host struct {
	name  string // of the node, absolute; of one without an address: its own name
	addrs []netip.Addr
}

func (p *publisher) allot() {
	services, instances := make([]string, len(p.all)), make([]string, len(p.all))
	for i := range p.all {
		services[i], instances[i] = p.all[i].Service, p.all[i].Instance
	}
	var more []string
	p.services, p.problems = rule("service", p.zone, func(name string) bool {
		last := name[strings.LastIndexByte(name, '.')+1:]
		return name == "ns" || last == "node" || last == "instance"
	}).Allot(services)
	p.instances, more = rule("instance", p.zone, nil).Allot(instances)
	p.problems = append(p.problems, more...)
}

// zones builds the zones as one view has them.
func (p *publisher) zones(v View) []Zone {
	p.view, p.offers, p.records, p.hosts = v, p.all, make([]Record, 0, 6*len(p.all)+16), map[string]host{}
	if v.Services != nil {
		p.offers = slices.DeleteFunc(slices.Clone(p.all), func(o discovery.Offer) bool { return !v.Services(o.Service) })
	}
	p.nodes()
	p.apex()
	for first := 0; first < len(p.offers); {
		next := first + 1
		for next < len(p.offers) && strings.EqualFold(p.offers[next].Service, p.offers[first].Service) {
			next++
		}
		p.service(p.offers[first:next])
		first = next
	}
	for i := range p.offers {
		p.instance(&p.offers[i])
	}
	all := []Zone{{p.zone, p.bounded(sorted(p.records))}}
	for _, prefix := range p.Reverse {
		all = append(all, p.reverse(prefix, all[0].Records))
	}
	return all
}

// nodes names the hosts of all offers and gives them their addresses.
func (p *publisher) nodes() {
	known := map[string][]netip.Addr{}
	for i := range p.offers {
		if o := &p.offers[i]; o.Address != "" {
			text, _ := p.reached(o)
			known[strings.ToLower(text)] = append(known[strings.ToLower(text)], p.addresses(text, o)...)
		}
	}
	texts := sortedKeys(known)
	labels, problems := rule("node", p.zone, nil).Allot(texts)
	p.problems = append(p.problems, problems...)
	for _, text := range texts {
		if addr, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil {
			labels[text] = addressLabel(addr)
		}
	}
	for _, text := range texts {
		addrs := slices.Clone(known[text])
		slices.SortFunc(addrs, netip.Addr.Compare)
		h := host{name: labels[text] + ".node." + p.zone, addrs: slices.Compact(addrs)}
		if len(h.addrs) == 0 {
			h.name = wire.CanonicalName(safe(text))
			p.problems = append(p.problems, fmt.Sprintf("no address of host %q is known: it is named in SRV records only", text))
		}
		p.hosts[text] = h
		p.add(h.name, h.addrs)
	}
}

// reached returns where the clients of the view reach o.
func (p *publisher) reached(o *discovery.Offer) (string, int) {
	if p.view.Map != nil {
		return p.view.Map(o.Address, o.Port)
	}
	return o.Address, o.Port
}

// addresses returns those of the host by that text, at which o is reached.
func (p *publisher) addresses(text string, o *discovery.Offer) []netip.Addr {
	if addr, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil {
		return []netip.Addr{addr.Unmap().WithZone("")}
	}
	if p.Resolve != nil {
		if addrs := p.Resolve(text); len(addrs) > 0 {
			return addrs
		}
	}
	if o.Peer.IsValid() && strings.EqualFold(text, o.Host) && strings.EqualFold(text, o.Address) {
		return []netip.Addr{o.Peer.Unmap().WithZone("")}
	}
	return nil
}

// maxRecords bounds the records of one name and type: BIND, as a primary, a secondary or a resolver, takes no more unless told to,
// and with one name that has more no copy of the zone at all.
const maxRecords = 100

// bounded leaves of each name and type so many records, which are sorted, and tells of it.
func (p *publisher) bounded(records []Record) []Record {
	kept := records[:0]
	for first := 0; first < len(records); {
		end := first + 1
		for end < len(records) && records[end].Name == records[first].Name && records[end].Type == records[first].Type {
			end++
		}
		if n := end - first; n > maxRecords {
			p.problems = append(p.problems, fmt.Sprintf("%s has %d %s records: %d are published", records[first].Name, n, wire.TypeToString[records[first].Type], maxRecords))
		}
		kept = append(kept, records[first:min(end, first+maxRecords)]...)
		first = end
	}
	return kept
}

func (p *publisher) add(name string, addrs []netip.Addr) {
	for _, a := range addrs {
		kind := wire.TypeAAAA
		if a = a.Unmap().WithZone(""); a.Is4() {
			kind = wire.TypeA
		}
		p.records = append(p.records, Record{Name: name, Type: kind, Addr: a})
	}
}

// apex is the zone's own name: its servers, and the brokers.
func (p *publisher) apex() {
	var addrs []netip.Addr
	for _, b := range p.Brokers {
		addrs = append(addrs, b.Addr())
		p.records = append(p.records, Record{Name: service(p.zone), Type: wire.TypeSRV, Port: b.Port(), Target: p.broker(b)})
	}
	p.add(p.zone, addrs)
	servers := p.NameServers
	if len(servers) == 0 {
		servers = []string{"ns." + p.zone}
		p.add("ns."+p.zone, addrs)
	}
	for _, s := range servers {
		p.records = append(p.records, Record{Name: p.zone, Type: wire.TypeNS, Target: wire.CanonicalName(s)})
	}
}

// broker returns the name of a broker's node, which it adds.
func (p *publisher) broker(b netip.AddrPort) string {
	name := addressLabel(b.Addr()) + ".broker.node." + p.zone
	p.add(name, []netip.Addr{b.Addr()})
	return name
}

// addressLabel names a node by its address, in one label.
func addressLabel(a netip.Addr) string {
	label := strings.NewReplacer(".", "-", ":", "-").Replace(a.Unmap().WithZone("").String())
	if strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-") { // ::1, fd00::
		return "0" + label + "0"
	}
	return label
}

// service is the name of the SRV records of what has that name.
func service(name string) string { return "_oracle._tcp." + name }

// service publishes one service, with all that offer it.
func (p *publisher) service(offers []discovery.Offer) {
	name := p.services.Of(offers[0].Service) + "." + p.zone
	for i := range offers {
		o := &offers[i]
		p.records = append(p.records, Record{Name: name, Type: wire.TypeTXT, Instance: o.Instance, Host: o.Host, State: o.State})
	}
	if p.ToBrokers {
		p.toBrokers(name, offers)
		return
	}
	live := p.ranked(offers)
	if len(live) > maxRecords {
		p.problems = append(p.problems, fmt.Sprintf("service %q has %d live instances: the best %d are published", offers[0].Service, len(live), maxRecords))
		live = live[:maxRecords]
	}
	for _, r := range live {
		p.records = append(p.records, Record{Name: service(name), Type: wire.TypeSRV, Priority: r.priority, Weight: r.weight, Port: r.port, Target: r.host.name})
		if r.priority == live[0].priority {
			p.add(name, r.host.addrs)
		}
	}
}

// toBrokers sends clients of a service to the brokers, as long as any instance of it might be waited for.
func (p *publisher) toBrokers(name string, offers []discovery.Offer) {
	if !slices.ContainsFunc(offers, func(o discovery.Offer) bool {
		return o.Live || o.State == servicetable.Holding.String() || o.State == servicetable.Ejected.String()
	}) {
		return
	}
	serving := p.Serving
	if serving == nil {
		serving = p.Brokers
	}
	for _, b := range serving {
		p.records = append(p.records, Record{Name: service(name), Type: wire.TypeSRV, Weight: 100, Port: b.Port(), Target: p.broker(b)})
		p.add(name, []netip.Addr{b.Addr()})
	}
}

// ranked is a live instance as SRV records have it.
type ranked struct {
	priority, weight, port uint16
	host                   host
}

// ranked returns the live ones of offers, the best first. The priority is that of the tier, ten a tier; instances that did not
// themselves say lately that they take connects come five behind. The weight is the part of their capacity that is free, in
// tenths, beside the largest of the service, times the weight that operators gave.
func (p *publisher) ranked(offers []discovery.Offer) []ranked {
	var largest uint32
	for i := range offers {
		if offers[i].Live {
			largest = max(largest, offers[i].Max)
		}
	}
	var all []ranked
	for i := range offers {
		o := &offers[i]
		if !o.Live {
			continue
		}
		text, port := p.reached(o)
		r := ranked{priority: uint16(min(max(o.Tier, 0), 6000) * 10), weight: weight(o, largest), port: uint16(port), host: p.hosts[strings.ToLower(text)]}
		if !o.Sure() {
			r.priority += 5
		}
		all = append(all, r)
	}
	slices.SortStableFunc(all, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(a.priority, b.priority), cmp.Compare(b.weight, a.weight), cmp.Compare(a.host.name, b.host.name))
	})
	return all
}

func weight(o *discovery.Offer, largest uint32) uint16 {
	if o.Weight == 0 {
		return 0
	}
	capacity, free := uint64(100), uint64(10)
	if o.Max > 0 && largest > 0 {
		capacity = uint64(o.Max) * 100 / uint64(largest)
		free = 10 - min(9, uint64(o.Load)*10/uint64(o.Max))
	}
	return uint16(min(max(capacity*free*uint64(o.Weight)/1000, 1), 65_535))
}

// instance publishes the name of an instance: where it is, live or not, so that people and monitors find it.
func (p *publisher) instance(o *discovery.Offer) {
	if o.Address == "" {
		return
	}
	name := p.instances.Of(o.Instance) + ".instance." + p.zone
	text, port := p.reached(o)
	h := p.hosts[strings.ToLower(text)]
	p.add(name, h.addrs)
	p.records = append(p.records, Record{Name: service(name), Type: wire.TypeSRV, Weight: 100, Port: uint16(port), Target: h.name})
}
