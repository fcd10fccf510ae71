package dns

import (
	"maps"
	"slices"
	"strings"
	"sync/atomic"

	wire "github.com/miekg/dns"
)

// zone is one zone at one serial, as answers are taken from it. It never changes, but for signatures that are added.
type zone struct {
	name string // absolute, in lower case
	edition
	soa     *rrset
	records []Record         // besides the SOA, sorted; those that are no TXT about an instance have no version
	nodes   map[string]*node // by name; those between a name and the zone as well, without records
	past    []change         // what led here, oldest first
}

// node is a name that exists.
type node struct {
	records []Record
	sets    []*rrset // by type
}

// rrset is all records of one name and type.
type rrset struct {
	rrs       []wire.RR // not to be changed
	signature atomic.Pointer[wire.RRSIG]
}

func (n *node) set(kind uint16) *rrset {
	for _, s := range n.sets {
		if s.rrs[0].Header().Rrtype == kind {
			return s
		}
	}
	return nil
}

// hasService reports whether name is that of a service, there or gone.
func (z *zone) hasService(name string) bool {
	if z == nil || z.nodes[name] == nil {
		return false
	}
	return slices.ContainsFunc(z.nodes[name].records, func(r Record) bool { return r.State != "" })
}

// edition is what besides its records makes a zone.
type edition struct {
	serial, ttl uint32
	signer      *signer // may be nil
}

// build makes the zone that follows before, which may be nil.
func build(z Zone, e edition, before *zone) *zone {
	next := &zone{name: z.Name, edition: e, records: z.Records, nodes: make(map[string]*node, len(z.Records))}
	for first := 0; first < len(z.Records); {
		end := first + 1
		for end < len(z.Records) && z.Records[end].Name == z.Records[first].Name {
			end++
		}
		next.enter(z.Records[first:end], before)
		first = end
	}
	next.soa = &rrset{rrs: []wire.RR{soa(z, e.serial, e.ttl)}}
	apex := &node{}
	if n := next.nodes[z.Name]; n != nil {
		apex.records, apex.sets = n.records, slices.Clone(n.sets)
	}
	apex.sets = append(apex.sets, next.soa)
	if e.signer != nil {
		apex.sets = append(apex.sets, &rrset{rrs: []wire.RR{e.signer.public(e.ttl)}})
	}
	next.nodes[z.Name] = apex
	for _, name := range slices.Collect(maps.Keys(next.nodes)) {
		next.above(name)
	}
	return next
}

// enter adds one name, as it was before if it has not changed, together with its signatures.
func (z *zone) enter(records []Record, before *zone) {
	name := records[0].Name
	if before != nil && before.ttl == z.ttl && name != z.name {
		if n := before.nodes[name]; n != nil && slices.Equal(n.records, records) {
			z.nodes[name] = n
			return
		}
	}
	n := &node{records: records}
	for i := range records {
		rr := records[i].rr(z.ttl)
		if last := len(n.sets) - 1; last >= 0 && n.sets[last].rrs[0].Header().Rrtype == records[i].Type {
			n.sets[last].rrs = append(n.sets[last].rrs, rr)
		} else {
			n.sets = append(n.sets, &rrset{rrs: []wire.RR{rr}})
		}
	}
	z.nodes[name] = n
}

// above makes the names between name and the zone exist.
func (z *zone) above(name string) {
	for {
		dot := strings.IndexByte(name, '.')
		if dot < 0 || len(name) <= len(z.name) {
			return
		}
		name = name[dot+1:]
		if _, there := z.nodes[name]; there {
			return
		}
		z.nodes[name] = &node{}
	}
}

// soa returns the record that begins a zone. Secondaries that hear no NOTIFY ask every minute; how long no is remembered is the
// TTL, RFC 2308.
func soa(z Zone, serial, ttl uint32) wire.RR {
	primary := "ns." + z.Name
	for i := range z.Records {
		if r := &z.Records[i]; r.Type == wire.TypeNS && r.Name == z.Name {
			primary = r.Target
			break
		}
	}
	return &wire.SOA{
		Hdr: wire.RR_Header{Name: z.Name, Rrtype: wire.TypeSOA, Class: wire.ClassINET, Ttl: ttl},
		Ns:  primary, Mbox: "hostmaster." + z.Name, Serial: serial,
		Refresh: 60, Retry: 15, Expire: 604_800, Minttl: ttl,
	}
}

// change is what happened from one serial to the next, for incremental transfers.
type change struct {
	from, to     *rrset // the SOAs
	gone, gained []Record
}

const (
	maxPast        = 100
	maxPastRecords = 20_000 // in all changes kept
)

// follow notes in z how it came from before.
func (z *zone) follow(before *zone) {
	c := change{from: before.soa, to: z.soa}
	a, b := before.records, z.records
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && compareRecords(a[0], b[0]) < 0:
			c.gone, a = append(c.gone, a[0]), a[1:]
		case len(a) == 0 || compareRecords(a[0], b[0]) > 0:
			c.gained, b = append(c.gained, b[0]), b[1:]
		default:
			if a[0] != b[0] {
				c.gone, c.gained = append(c.gone, a[0]), append(c.gained, b[0])
			}
			a, b = a[1:], b[1:]
		}
	}
	z.past = append(slices.Clone(before.past), c)
	total := 0
	for i := len(z.past) - 1; i >= 0; i-- {
		total += len(z.past[i].gone) + len(z.past[i].gained)
		if total > maxPastRecords || len(z.past)-i > maxPast {
			z.past = z.past[i+1:]
			break
		}
	}
}

// since returns the changes from that serial to now, false if they are not known any more.
func (z *zone) since(serial uint32) ([]change, bool) {
	for i := range z.past {
		if z.past[i].from.rrs[0].(*wire.SOA).Serial == serial {
			return z.past[i:], true
		}
	}
	return nil, false
}
