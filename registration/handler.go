package registration

import (
	"strings"

	"servicebroker/descriptor"
	"servicebroker/registration/nsgr"
	"servicebroker/servicetable"
)

// Bits of a handler's flags (nsgr.md 5.3).
const (
	FlagDedicated  uint32 = 0x0002 // starts one server process a connection
	FlagDispatcher uint32 = 0x0004
	// FlagsD000 is what every dispatcher seen has.
	FlagsD000 uint32 = 0x1004
)

// newHandler reads a handler node. The address is kept as it was sent whether or
// not it can be understood; if it cannot, the handler has no port, so that nobody
// is sent there, and the error says why.
func newHandler(n *nsgr.Node) (servicetable.Handler, error) {
	sent := n.Handler
	h := servicetable.Handler{
		ID: n.GUID(), Name: sent.Name.String(), Address: sent.Address.String(), Info: sent.Info.String(),
		Load: sent.Load, Max: sent.Max, Flags: sent.Flags,
	}
	h.Kind = kindOf(&h)
	a, err := descriptor.ParseAddress(h.Address)
	if err != nil {
		return h, err
	}
	h.Protocol, h.Host, h.Port = a.Protocol, a.Host, a.Port
	return h, nil
}

// kindOf tells the kind of a handler. A connection pool's broker is known by
// what listeners show of it, the name N000 and the text CMON, since its flags
// have never been seen (nsgr.md 6, rule 8; features.md 1.2); the others by their
// flags, and without those by name (nsgr.md 5.3).
func kindOf(h *servicetable.Handler) servicetable.Kind {
	pool := numbered(h.Name, 'N')
	switch {
	case pool && h.Flags&FlagDedicated == 0, strings.HasPrefix(h.Info, "CMON"):
		return servicetable.Pooled
	case h.Flags&FlagDedicated != 0, h.Name == "DEDICATED":
		return servicetable.Dedicated
	case h.Flags&FlagDispatcher != 0, numbered(h.Name, 'D'):
		return servicetable.Dispatcher
	}
	return servicetable.Dedicated
}

// numbered tells whether name is letter and three digits or more, as in D000.
func numbered(name string, letter byte) bool {
	if len(name) < 4 || name[0] != letter {
		return false
	}
	return strings.Trim(name[1:], "0123456789") == ""
}

// hostOf returns the inner value of (HOST=db1), or the text itself if it is
// something else, without what may be around a host.
func hostOf(raw string) string {
	if n, err := descriptor.Parse(raw); err == nil {
		if strings.EqualFold(n.Name, "HOST") {
			return descriptor.BareHost(n.Value)
		}
		if a, err := n.Address(); err == nil {
			return a.Host
		}
	}
	return descriptor.BareHost(raw)
}
