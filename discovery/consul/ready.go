package consul

import (
	"context"
	"net/netip"
	"slices"
	"sync"

	"github.com/hashicorp/consul/api"
)

// maxBrokers bounds what is believed of how many brokers there are.
const maxBrokers = 1000

// Ready follows where clients reach those brokers that are ready for them.
type Ready struct {
	Member *Member

	mu  sync.Mutex // guards what follows
	all []netip.AddrPort
}

// All returns where they are, sorted; while Consul is away, those it told of last.
func (r *Ready) All() []netip.AddrPort {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all
}

// Run follows until ctx ends.
func (r *Ready) Run(ctx context.Context) {
	var found []*api.ServiceEntry
	f := following{Client: r.Member.Client}
	f.ask = func(q *api.QueryOptions) (meta *api.QueryMeta, err error) {
		client, err := r.Member.Client.open()
		if err != nil {
			return nil, err
		}
		found, meta, err = r.ask(client, q)
		return meta, err
	}
	f.seen = func(bool) {
		all := addresses(found, r.Member.Client.owner())
		r.mu.Lock()
		defer r.mu.Unlock()
		if len(all) > 0 { // else Consul knows none, not even this one
			r.all = all
		}
	}
	f.run(ctx)
}

func (r *Ready) ask(client *api.Client, q *api.QueryOptions) ([]*api.ServiceEntry, *api.QueryMeta, error) {
	found, meta, err := client.Health().Service(r.Member.Service(), "", true, q)
	if err == nil {
		err = whole(found, entireEntry)
	}
	return found, meta, err
}

func addresses(found []*api.ServiceEntry, owner string) []netip.AddrPort {
	var all []netip.AddrPort
	for _, e := range found {
		host := e.Service.Address
		if host == "" {
			host = e.Node.Address
		}
		addr, err := netip.ParseAddr(host)
		if err != nil || e.Service.Meta[ownerKey] != owner || e.Service.Port < 1 || e.Service.Port > 65535 || len(all) == maxBrokers {
			continue
		}
		all = append(all, netip.AddrPortFrom(addr.Unmap(), uint16(e.Service.Port)))
	}
	slices.SortFunc(all, netip.AddrPort.Compare)
	return slices.Compact(all)
}
