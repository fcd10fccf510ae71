package discovery

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"servicebroker/servicetable"
)

// Offer is one service at one instance, as others are told of it.
type Offer struct {
	Service  string // as registered
	Instance string
	Host     string // as registered
	Key      string // "instance@host"
	Database string // name of its REGISTRANT group; "" where none names it
	Zone     string // where it stands; "" if not known
	Tier     int    // lower ones are used before any higher one
	Weight   uint32 // the part of its capacity to use, in per cent

	Status servicetable.Status
	Live   bool   // new connects may go there
	State  string // in one word: that of the mark that keeps connects away, else "full", "unreachable" or the status in lower case
	Closed string // why no connects go there, for people; "" if Live

	Kind    servicetable.Kind // of the handler at Address
	Address string            // host of the handler to go to, as registered; "" where no handler has an address
	Port    int
	Peer    netip.Addr // address the registration came from; the zero Addr if there is none

	Load, Max         uint32 // of the instance, as reported
	NodeLoad, NodeMax uint32 // of its machine, as reported
	Goodness, Delta   uint32 // of the service there, as reported
}

// Sure reports whether the instance itself said lately that it takes connects: neither static nor stale.
func (o *Offer) Sure() bool { return o.Status == servicetable.Ready }

// Offers returns all that s has, sorted by service, then instance, without regard to case. Two registrations of one instance on one
// host are one offer of each service: the live one's, if either is.
func Offers(s *servicetable.Snapshot) []Offer {
	type sortable struct {
		service, key string
		id           servicetable.ID
		Offer
	}
	var all []sortable
	for _, service := range s.Services() {
		for i := range service.Instances {
			in := &service.Instances[i]
			all = append(all, sortable{strings.ToLower(in.Service.Name), strings.ToLower(in.Registration.Key()), in.Registration.ID, offer(in)})
		}
	}
	slices.SortFunc(all, func(a, b sortable) int {
		return cmp.Or(cmp.Compare(a.service, b.service), cmp.Compare(a.key, b.key), liveFirst(a.Live, b.Live), cmp.Compare(a.id, b.id))
	})
	all = slices.CompactFunc(all, func(a, b sortable) bool { return a.service == b.service && a.key == b.key })
	offers := make([]Offer, len(all))
	for i := range all {
		offers[i] = all[i].Offer
	}
	return offers
}

func liveFirst(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

func offer(in *servicetable.InstanceEntry) Offer {
	r, s := in.Registration, in.Service
	o := Offer{
		Service: s.Name, Instance: r.Instance, Host: r.Host, Key: r.Key(), Database: r.Database, Zone: r.Zone, Tier: r.Tier,
		Weight: s.Weight.Percent(), Status: in.Status, Peer: r.Peer,
		Load: r.Load, Max: r.Max, NodeLoad: r.NodeLoad, NodeMax: r.NodeMax, Goodness: s.Goodness, Delta: s.Delta,
	}
	h := handler(in)
	if h != nil {
		o.Kind, o.Address, o.Port = h.Kind, h.Host, h.Port
	}
	o.State, o.Closed = state(in, h)
	o.Live = o.Closed == ""
	return o
}

// handler chooses the one that others are sent to; nil if none has an address.
func handler(in *servicetable.InstanceEntry) *servicetable.HandlerEntry {
	var best *servicetable.HandlerEntry
	for i := range in.Handlers {
		h := &in.Handlers[i]
		if h.Port != 0 && h.Host != "" && (best == nil || handlerRank(in, h) < handlerRank(in, best)) {
			best = h
		}
	}
	return best
}

// handlerRank orders handlers: those that take connects first; an instance's own before one that leads elsewhere; then by kind. A
// dedicated handler is a listener, which reaches the others as well; a dispatcher's port changes with each start.
func handlerRank(in *servicetable.InstanceEntry, h *servicetable.HandlerEntry) int {
	rank := 0
	if len(h.Marks) > 0 || h.Blocked() {
		rank += 8
	}
	if in.Registration.Forwards(h.Handler) {
		rank += 4
	}
	switch h.Kind {
	case servicetable.Pooled:
		rank++
	case servicetable.Dispatcher:
		rank += 2
	}
	return rank
}

// state says in a word how an instance is for a service, and why no new connect goes there; "" if one may.
func state(in *servicetable.InstanceEntry, h *servicetable.HandlerEntry) (word, closed string) {
	marks := in.Marks
	if h != nil {
		marks = slices.Concat(marks, h.Marks)
	}
	word = strings.ToLower(in.Status.String())
	switch {
	case len(marks) > 0:
		worst := slices.MaxFunc(marks, func(a, b servicetable.Mark) int { return cmp.Compare(severity(a.Kind), severity(b.Kind)) })
		return worst.Kind.String(), strings.TrimSuffix(worst.Kind.String()+": "+worst.Cause, ": ")
	case in.Status == servicetable.Blocked || in.Status == servicetable.Restricted:
		return word, "the instance says that it is " + word
	case h == nil:
		return "unreachable", "no handler has an address"
	case h.Blocked():
		return "full", "handler " + h.Name + " is at its maximum load"
	}
	return word, ""
}

// severity orders marks by which is told where there are several.
func severity(k servicetable.MarkKind) int {
	order := []servicetable.MarkKind{servicetable.Ejected, servicetable.Holding, servicetable.Draining, servicetable.Maintenance, servicetable.Quarantined}
	return slices.Index(order, k)
}
