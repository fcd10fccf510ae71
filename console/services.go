package console

import (
	"time"

	"servicebroker/servicetable"
)

// serviceList renders entries of a snapshot.
func (v seen) serviceList(snapshot *servicetable.Snapshot, entries []servicetable.ServiceEntry) ServiceList {
	list := ServiceList{Version: snapshot.Version(), Services: make([]Service, len(entries))}
	now := v.now()
	for i, e := range entries {
		list.Services[i] = Service{Name: e.Name, Instances: make([]Instance, len(e.Instances))}
		for j := range e.Instances {
			list.Services[i].Instances[j] = v.instance(&e.Instances[j], now)
		}
	}
	return list
}

func (v seen) instance(e *servicetable.InstanceEntry, now time.Time) Instance {
	r := e.Registration
	in := Instance{
		Name: r.Instance, Key: r.Key(), Host: r.Host, HostRaw: r.HostRaw, Status: e.Status.String(),
		NodeLoad: r.NodeLoad, NodeMax: r.NodeMax, Load: r.Load, Max: r.Max,
		Goodness: e.Service.Goodness, Delta: e.Service.Delta, ServiceFlags: e.Service.Flags,
		LoadSource: r.LoadSource, Marks: v.marksOf(e.Marks), Handlers: make([]Handler, len(e.Handlers)),
	}
	if v.Database != nil {
		in.Database = v.Database(r)
	}
	in.Network = r.Network
	if r.Peer.IsValid() {
		in.Peer = r.Peer.String()
	}
	if !r.RegisteredAt.IsZero() {
		at := r.RegisteredAt
		in.RegisteredAt = &at
	}
	if v.Stored != nil {
		if at, is := v.Stored(r); is {
			in.StoredAt = &at
		}
	}
	if !r.LoadAt.IsZero() {
		age := max(now.Sub(r.LoadAt).Milliseconds(), 0)
		in.LoadAge = &age
	}
	for i, h := range e.Handlers {
		in.Handlers[i] = v.handler(e, h)
	}
	return in
}

// handler renders one handler of an instance. It is blocked where it is full, and where its instance takes nobody.
func (v seen) handler(in *servicetable.InstanceEntry, e servicetable.HandlerEntry) Handler {
	h := Handler{
		Name: e.Name, Kind: e.Kind.String(), State: "ready", Load: e.Load, Max: e.Max, Flags: e.Flags,
		Address: e.Address, Info: e.Info, Marks: v.marksOf(e.Marks),
	}
	if e.Blocked() || in.Status == servicetable.Blocked {
		h.State = "blocked"
	}
	if v.Counters != nil {
		h.Established, h.Refused = v.Counters(in.Registration.HandlerKey(e.Handler))
	}
	return h
}

func marks(list []servicetable.Mark) []Mark {
	all := make([]Mark, len(list))
	for i, m := range list {
		all[i] = Mark{Mark: m.Kind.String(), Cause: m.Cause, Since: m.Since}
		if until := m.Until; !until.IsZero() {
			all[i].Until = &until
		}
	}
	return all
}
