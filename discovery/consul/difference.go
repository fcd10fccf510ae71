package consul

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// differences is what to do.
type differences struct {
	units    []unit
	problems []string
}

// differ is differences in the making.
type differ struct {
	*Catalogue
	p                    Publication
	details              bool
	fence                uint64
	namespace, partition string
	out                  differences
}

// differences compares what Consul has with p: first what is to be there, then what is to go, so that what moves is never away.
func (c *Catalogue) differences(ctx context.Context, p Publication, details bool, fence uint64) differences {
	d := &differ{Catalogue: c, p: p, details: details, fence: fence}
	d.namespace, d.partition = c.Client.scope(ctx)
	wanted, blocked := map[entry]bool{}, map[string]bool{}
	for _, n := range p.Nodes {
		blocked[n.Name] = !d.node(n)
	}
	for i := range p.Services {
		s := &p.Services[i]
		at := entry{s.Node, s.ID}
		wanted[at] = true
		switch {
		case blocked[s.Node]:
		case c.has.foreign[at]:
			d.out.problems = append(d.out.problems, fmt.Sprintf("service %s at node %s is somebody else's: it is left as it is", s.ID, s.Node))
		default:
			d.service(s)
		}
	}
	d.orphans(wanted)
	return d.out
}

// node has a node made, and reports whether services may stand there.
func (d *differ) node(n Node) bool {
	owner := d.Client.owner()
	has, there := d.has.nodes[n.Name]
	switch {
	case there && has.owner == "":
		d.out.problems = append(d.out.problems, fmt.Sprintf("node %s is somebody else's: services of host %s are not published", n.Name, n.Host))
		return false
	case there && (has.owner != owner || has.address == n.Address):
		return true
	}
	address := n.Address
	if len(address) > maxMeta {
		address = address[:maxMeta]
	}
	d.out.units = append(d.out.units, unit{
		what: "node " + n.Name,
		ops: []op{{Node: &opNode{Verb: "set", Node: node{Node: n.Name, Address: address, Partition: d.partition,
			Meta: map[string]string{"external-node": "true", ownerKey: owner, "host": n.Host[:min(len(n.Host), maxMeta)]}}}}},
		done: func() { d.has.nodes[n.Name] = nodeState{address: n.Address, owner: owner} },
	})
	return true
}

// service has a service made, or brought up to date.
func (d *differ) service(s *Service) {
	at := entry{s.Node, s.ID}
	meta := s.meta(d.Client.owner())
	want := written{name: s.Name, address: s.Address, port: s.Port, tags: strings.Join(s.tags(), " "), meta: metaText(meta),
		weight: s.Weight, status: s.Status, output: s.Output, Detail: s.Detail}
	has, there := d.has.services[at]
	same := has
	same.Detail = want.Detail
	if there && same == want && (!d.details || has.Detail == want.Detail) {
		return
	}
	meta["version"], meta["fence"] = fmt.Sprint(d.p.Version), fmt.Sprint(d.fence)
	d.out.units = append(d.out.units, unit{
		what: "service " + s.ID + " at node " + s.Node,
		ops: []op{
			{Service: &opService{Verb: "set", Node: s.Node, Service: service{ID: s.ID, Service: s.Name, Tags: s.tags(), Address: s.Address, Port: s.Port,
				Meta: meta, Weights: &weights{s.Weight, 1}, Namespace: d.namespace, Partition: d.partition}}},
			{Check: &opCheck{Verb: "set", Check: check{Node: s.Node, CheckID: checkID(s.ID), Name: "takes connects", Status: s.Status, Output: s.Output,
				ServiceID: s.ID, ServiceName: s.Name, Namespace: d.namespace, Partition: d.partition}}},
		},
		done: func() { d.has.services[at] = want },
	})
}

// orphans has removed what is ours and not wanted, such as what another broker left when it died, and nodes that are empty then.
func (d *differ) orphans(wanted map[entry]bool) {
	used := map[string]bool{}
	for _, n := range d.p.Nodes {
		used[n.Name] = true
	}
	var gone []entry
	for at := range d.has.services {
		if !wanted[at] {
			gone = append(gone, at)
		}
	}
	for at := range d.has.foreign {
		used[at.node] = true
	}
	slices.SortFunc(gone, func(a, b entry) int { return strings.Compare(a.node+"\x00"+a.id, b.node+"\x00"+b.id) })
	for _, at := range gone {
		d.out.units = append(d.out.units, unit{
			what: "service " + at.id + " at node " + at.node,
			ops:  []op{{Service: &opService{Verb: "delete", Node: at.node, Service: service{ID: at.id, Service: d.has.services[at].name, Namespace: d.namespace, Partition: d.partition}}}},
			done: func() { delete(d.has.services, at) },
		})
	}
	for name, n := range d.has.nodes {
		if n.owner == d.Client.owner() && !used[name] {
			d.out.units = append(d.out.units, unit{
				what: "node " + name,
				ops:  []op{{Node: &opNode{Verb: "delete", Node: node{Node: name, Partition: d.partition}}}},
				done: func() { delete(d.has.nodes, name) },
			})
		}
	}
}
