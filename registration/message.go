package registration

import (
	"cmp"
	"fmt"

	"servicebroker/descriptor"
	"servicebroker/registration/nsgr"
	"servicebroker/servicetable"
)

// ToMessage makes the message by which a database registers all of r, for a
// sender of the given representation (the zero value: 64-bit little-endian).
// r.GUID and the handlers' IDs should stay the same for the life of the
// registration. Values are sent as they are: flags, loads, maxima. Where the host
// or a handler's address has no raw text, it is made from the parts.
func ToMessage(r servicetable.Registration, rep nsgr.Representation) (*nsgr.Message, error) {
	if r.Instance == "" {
		return nil, fmt.Errorf("%w: give it a name", ErrNoInstance)
	}
	host := r.HostRaw
	if host == "" {
		host = "(HOST=" + r.Host + ")"
	}
	nodes := []nsgr.Node{nsgr.NewInstance(r.GUID, nsgr.Instance{
		Name: nsgr.NewText(r.Instance), Host: nsgr.NewText(host),
		NodeLoad: r.NodeLoad, NodeMax: r.NodeMax, Load: r.Load, Max: r.Max, Flags: r.Flags,
	})}
	for _, s := range r.Services {
		nodes = append(nodes, nsgr.NewService(nsgr.Service{
			Name: nsgr.NewText(s.Name), Flags: s.Flags, Goodness: s.Goodness, Delta: s.Delta, Update: updateScore,
		}))
	}
	for _, e := range r.Endpoints {
		nodes = append(nodes, nsgr.NewEndpoint(nsgr.Endpoint{Name: nsgr.NewText(e)}))
	}
	for _, h := range r.Handlers {
		names, err := served(&r, &h)
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, nsgr.NewHandler(h.ID, nsgr.Handler{
			Name: nsgr.NewText(h.Name), Address: nsgr.NewText(addressOf(&h)), Info: nsgr.NewText(h.Info),
			Load: h.Load, Max: h.Max, Flags: h.Flags,
		}, names...))
	}
	return nsgr.New(rep, nodes)
}

func addressOf(h *servicetable.Handler) string {
	if h.Address != "" || h.Host == "" {
		return h.Address
	}
	return descriptor.Address{Protocol: cmp.Or(h.Protocol, "TCP"), Host: h.Host, Port: h.Port}.String()
}

// updateScore is the change mask every service is sent with: goodness and delta
// (nsgr.md 5.4).
const updateScore = 6

func served(r *servicetable.Registration, h *servicetable.Handler) ([]string, error) {
	var names []string
	for _, i := range h.Services {
		if i < 0 || i >= len(r.Services) {
			return nil, fmt.Errorf("handler %s serves service number %d of %d", h.Name, i+1, len(r.Services))
		}
		names = append(names, r.Services[i].Name)
	}
	return names, nil
}

// FromMessage is what a message registers by itself, without anything said
// before: Fold into nothing.
func FromMessage(m *nsgr.Message) (servicetable.Registration, error) {
	r, _, err := Fold(servicetable.Registration{}, m)
	return r, err
}
