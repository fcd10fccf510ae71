package servicetable

import (
	"cmp"
	"net/netip"
	"slices"
)

// Snapshot is the table at one version. It never changes.
type Snapshot struct {
	version    uint64
	superseded chan struct{}

	index *index
	slots []*slot // nil where a registration is gone
	marks marks
}

// Version counts the changes of the table up to this snapshot; the empty table has version 0.
func (s *Snapshot) Version() uint64 { return s.version }

// Superseded returns a channel that is closed once the table has a newer snapshot.
func (s *Snapshot) Superseded() <-chan struct{} { return s.superseded }

// ServiceEntry is one service with the instances that offer it.
type ServiceEntry struct {
	Name      string // as its first registrant wrote it
	Instances []InstanceEntry
}

// InstanceEntry is one instance of a service: one registration.
type InstanceEntry struct {
	Registration *Registration
	Service      *Service
	Status       Status
	Handlers     []HandlerEntry // those that serve this service, in the order registered
	Marks        []Mark         // on the instance and on the service at it, by kind
}

// HandlerEntry is one handler of an instance.
type HandlerEntry struct {
	*Handler
	Marks []Mark // on the handler
}

// Services returns what `lsnrctl services` shows, sorted by name; the instances of a service are in order of registration.
func (s *Snapshot) Services() []ServiceEntry {
	type sortable struct {
		name    string
		members []member
	}
	var all []sortable
	for _, shard := range s.index.services.shards {
		for name, n := range shard {
			if len(n.members) > 0 {
				all = append(all, sortable{name, n.members})
			}
		}
	}
	slices.SortFunc(all, func(a, b sortable) int { return cmp.Compare(a.name, b.name) })
	entries := make([]ServiceEntry, len(all))
	for i, a := range all {
		entries[i] = s.entry(a.members)
	}
	return entries
}

// Service returns the entry of the service that a client means by name, with or without domain, as Match finds it.
func (s *Snapshot) Service(name string) (ServiceEntry, error) {
	members, err := s.members(name)
	if err != nil {
		return ServiceEntry{}, err
	}
	return s.entry(members), nil
}

func (s *Snapshot) entry(members []member) ServiceEntry {
	first := &s.slots[members[0].slot].registration
	e := ServiceEntry{Name: first.Services[members[0].service].Name, Instances: make([]InstanceEntry, len(members))}
	for i, m := range members {
		slot := s.slots[m.slot]
		r := &slot.registration
		svc := &r.Services[m.service]
		in := InstanceEntry{Registration: r, Service: svc, Status: r.Status(svc), Marks: s.instanceMarks(slot, svc)}
		in.Handlers = make([]HandlerEntry, len(m.handlers))
		for j, h := range m.handlers {
			in.Handlers[j].Handler = &r.Handlers[h]
			if slot.marks != nil && slot.marks.handlers != nil {
				in.Handlers[j].Marks = s.Marks(r.HandlerKey(&r.Handlers[h]))
			}
		}
		e.Instances[i] = in
	}
	return e
}

// instanceMarks returns the marks on the instance, held by key and its own, and those on its service svc.
func (s *Snapshot) instanceMarks(slot *slot, svc *Service) []Mark {
	list := slices.Concat(s.marks[slot.key], slot.registration.Marks, svc.Marks)
	slices.SortStableFunc(list, func(a, b Mark) int { return cmp.Compare(a.Kind, b.Kind) })
	return list
}

// Peers calls f with the address that each registration came from, in no order; some come more than once.
func (s *Snapshot) Peers(f func(netip.Addr)) {
	for _, slot := range s.slots {
		if slot != nil && slot.registration.Peer.IsValid() {
			f(slot.registration.Peer)
		}
	}
}

// Registrations returns all registrations, sorted by key, then ID.
func (s *Snapshot) Registrations() []*Registration {
	var all []*slot
	for _, slot := range s.slots {
		if slot != nil {
			all = append(all, slot)
		}
	}
	slices.SortFunc(all, func(a, b *slot) int {
		return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.registration.ID, b.registration.ID))
	})
	registrations := make([]*Registration, len(all))
	for i, slot := range all {
		registrations[i] = &slot.registration
	}
	return registrations
}

// Marks returns the marks that Table.Mark has put on an instance or handler key, by kind.
func (s *Snapshot) Marks(key string) []Mark { return slices.Clone(s.marks[fold(key)]) }

// ServiceCount counts the services.
func (s *Snapshot) ServiceCount() int {
	n := 0
	for _, shard := range s.index.services.shards {
		for _, named := range shard {
			if len(named.members) > 0 {
				n++
			}
		}
	}
	return n
}
