package broker

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"time"

	"servicebroker/peers"
	"servicebroker/servicetable"
)

// What peers have is used as if their databases had come here to register: who may not register here, or is quarantined or
// drained here, is not used, whatever a peer says.

// elsewhere asks the peers who serves a query that nobody here does.
func (b *Broker) elsewhere(ctx context.Context, q servicetable.Query) (candidates []servicetable.Candidate, asked bool) {
	snapshot := b.table.Snapshot()
	offers, asked := b.peering.watcher.Ask(ctx, peers.Question{Service: q.Service, SID: q.SID, Lately: b.heardOf(snapshot, q)})
	if len(offers) == 0 {
		return nil, asked
	}
	bounded, cancel := context.WithTimeout(ctx, max(b.settings().config.PeerAskTimeout, 100*time.Millisecond))
	defer cancel()
	var table servicetable.Table
	for _, r := range b.welcome(bounded, offers) {
		table.Apply(*r)
		for _, m := range snapshot.Marks(r.Key()) {
			table.Mark(r.Key(), m)
		}
		for i := range r.Handlers {
			key := r.HandlerKey(&r.Handlers[i])
			for _, m := range snapshot.Marks(key) {
				table.Mark(key, m)
			}
		}
	}
	candidates, _ = table.Snapshot().Match(q)
	return candidates, asked
}

// heardOf tells whether what is asked for is here, or was lately, and so is no name that somebody makes up.
func (b *Broker) heardOf(snapshot *servicetable.Snapshot, q servicetable.Query) bool {
	_, err := snapshot.Match(servicetable.Query{Service: q.Service, SID: q.SID})
	return !errors.Is(err, servicetable.ErrUnknownService) && !errors.Is(err, servicetable.ErrUnknownSID) || len(b.lately(servicetable.Query{Service: q.Service, SID: q.SID})) > 0
}

// welcome makes registrations of offers, as far as they would be let in here: one of each instance, that with the newest load,
// and none of an instance that is registered here.
func (b *Broker) welcome(ctx context.Context, offers []peers.Offer) map[string]*servicetable.Registration {
	all := map[string]*servicetable.Registration{}
	for i := range offers {
		r := &offers[i].Registration
		key := strings.ToLower(r.Key())
		if best := all[key]; best == nil || best.LoadAt.Before(r.LoadAt) {
			r := b.asOurs(ctx, &offers[i])
			if r != nil {
				all[key] = r
			}
		}
	}
	b.changing.Lock()
	defer b.changing.Unlock()
	for known := range b.known.all() {
		if !known.Stale {
			delete(all, strings.ToLower(known.Key()))
		}
	}
	for _, r := range all {
		b.judge(r)
	}
	return all
}

// asOurs is an offer as the registration it would be here; nil where it would be refused. What the peer says is not changed.
func (b *Broker) asOurs(ctx context.Context, o *peers.Offer) *servicetable.Registration {
	r := o.Registration
	near := o.At.IsValid() && b.hosts.isLocal(o.At) // a peer on this host has the same own addresses
	if r.Static || r.Stale {
		return nil
	}
	if a := r.Peer.Unmap().WithZone(""); !a.IsValid() || a.IsLoopback() || a.IsUnspecified() {
		r.Peer = o.At // it came from the peer's own host
	}
	if !near && b.hosts.isLocal(r.Peer) || b.registrar.Welcome(ctx, r.Peer) != nil {
		return nil
	}
	r.ID = servicetable.ID("peer:" + o.Peer + ":" + string(r.ID))
	r.Broker, r.Marks = o.Peer, nil
	r.Services = append([]servicetable.Service(nil), r.Services...)
	for i := range r.Services {
		r.Services[i].Marks, r.Services[i].Weight = nil, servicetable.Weight{}
	}
	r.Database, r.Tier, r.Zone = "", 0, ""
	var handlers []servicetable.Handler
	for _, h := range r.Handlers {
		if h.Port > 0 && !b.own(h.Host, h.Port) && (near || b.isAbroad(ctx, h.Host)) {
			handlers = append(handlers, h)
		}
	}
	if r.Handlers = handlers; len(handlers) == 0 {
		return nil
	}
	b.settings().registrants.Refresh(ctx, []*servicetable.Registration{&r})
	return &r
}

// isAbroad tells that a host is not this one, nor anything but a single host, as far as that can be told in time.
func (b *Broker) isAbroad(ctx context.Context, host string) bool {
	for _, a := range b.hosts.means(ctx, host) {
		if !isHostElsewhere(a) || b.hosts.isLocal(a) {
			return false
		}
	}
	return true
}

func isHostElsewhere(a netip.Addr) bool {
	return !a.IsLoopback() && !a.IsUnspecified() && !a.IsMulticast() && !a.IsLinkLocalUnicast() && a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}
