package servicetable

import "slices"

// Forwards reports whether the handler h of r leads to another instance: where a pluggable database has moved away with
// its clients to be kept, its old instance registers a handler for its services whose address is the new listener's (features.md
// 5.1).
//
// Nothing in a registration says so outright. It is told from three things that no other handler has together: it is a
// dedicated handler; it serves services, and none of them is served by the instance's main dedicated handler; and it is at another
// host or port than that one. The main handler is the one at the registered host or at the address the registration came from,
// else the one with the most services, else the first. A listener of its own for one pluggable database looks the same; to
// be taken for one that forwards does it no harm beyond coming behind others that serve the same.
func (r *Registration) Forwards(h *Handler) bool {
	if h.Kind != Dedicated || h.Port == 0 || len(h.Services) == 0 || r.Static {
		return false
	}
	elsewhere := func(o Handler) bool { return o.Kind == Dedicated && o.Port != 0 && !sameAddress(&o, h) }
	if !slices.ContainsFunc(r.Handlers, elsewhere) {
		return false
	}
	main := r.mainHandler()
	return !sameAddress(main, h) && !shareService(main, h, len(r.Services))
}

// mainHandler returns the dedicated handler by which the instance itself is reached; r has one.
func (r *Registration) mainHandler() *Handler {
	var best *Handler
	for i := range r.Handlers {
		h := &r.Handlers[i]
		if h.Kind != Dedicated || h.Port == 0 {
			continue
		}
		switch {
		case best == nil:
			best = h
		case r.AtHome(h) != r.AtHome(best):
			if r.AtHome(h) {
				best = h
			}
		case len(h.Services) > len(best.Services):
			best = h
		}
	}
	return best
}

// AtHome reports whether h is at the registered host, with or without its domain, or where the registration came from.
func (r *Registration) AtHome(h *Handler) bool {
	if h.Host == "" {
		return false
	}
	if sameName(h.Host, r.Host) || r.Peer.IsValid() && h.Host == r.Peer.String() {
		return true
	}
	short, host := shortName(h.Host), shortName(r.Host)
	return (short == len(h.Host)) != (host == len(r.Host)) && sameName(h.Host[:short], r.Host[:host])
}

func sameAddress(a, b *Handler) bool { return a.Port == b.Port && sameName(a.Host, b.Host) }

// shareService reports whether two handlers of an instance with so many services serve one in common.
func shareService(a, b *Handler, services int) bool {
	if len(a.Services) > 0 && slices.Equal(a.Services, b.Services) {
		return true
	}
	served := make([]bool, services)
	for _, i := range a.Services {
		if i >= 0 && i < services {
			served[i] = true
		}
	}
	return slices.ContainsFunc(b.Services, func(i int) bool { return i >= 0 && i < services && served[i] })
}
