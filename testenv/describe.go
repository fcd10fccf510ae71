package testenv

import (
	"cmp"
	"math"
	"net"

	"servicebroker/descriptor"
	"servicebroker/registration"
	"servicebroker/servicetable"
)

// describe is the database's whole registration as of now.
func (d *Database) describe() servicetable.Registration {
	d.mu.Lock()
	defer d.mu.Unlock()
	load := uint32(min(uint64(d.Load)+uint64(d.sessions), math.MaxUint32))
	r := servicetable.Registration{
		Instance: d.Instance, Host: d.Host, HostRaw: "(HOST=" + d.Host + ")",
		NodeLoad: d.NodeLoad, NodeMax: nodeMax, Load: load, Max: d.Max,
	}
	host, port := d.advertised()
	protocol := "TCP"
	if d.TLS != nil {
		protocol = "TCPS"
	}
	h := servicetable.Handler{
		Name: "DEDICATED", Kind: servicetable.Dedicated, Protocol: protocol, Host: host, Port: port,
		Address: descriptor.Address{Protocol: protocol, Host: host, Port: port}.String(),
		Info:    "REMOTE SERVER", Load: load, Max: d.Max, Flags: registration.FlagDedicated,
	}
	for i, name := range d.services {
		goodness, given := d.goodness[name]
		if !given {
			goodness = load
		}
		r.Services = append(r.Services, servicetable.Service{Name: name, Flags: d.flags(), Goodness: goodness, Delta: 1})
		h.Services = append(h.Services, i)
	}
	r.Handlers = []servicetable.Handler{h}
	return r
}

// flags are the service flags of the status, by this project's convention.
func (d *Database) flags() uint32 {
	switch d.status {
	case servicetable.Blocked:
		return 0
	case servicetable.Restricted:
		return servicetable.FlagUnblocked | servicetable.FlagRestricted
	}
	return servicetable.FlagUnblocked
}

// advertised is where clients are sent to.
func (d *Database) advertised() (host string, port int) {
	at, err := parseEndpoint(cmp.Or(d.Advertise, d.Addr()))
	if err != nil { // both have been checked
		return "", 0
	}
	if ip := net.ParseIP(at.Host); ip != nil && ip.IsUnspecified() {
		at.Host = d.Host
	}
	return at.Host, at.Port
}
