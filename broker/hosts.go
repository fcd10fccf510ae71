package broker

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// hosts answers what host names mean and which addresses are this host's, from
// answers at most hostsTTL old. A slow name service delays the first who asks,
// at most by resolveTimeout.
type hosts struct {
	lookup func(ctx context.Context, name string) ([]netip.Addr, error) // nil: the system's resolver

	mu    sync.Mutex
	names map[string]answer
	local answer
}

type answer struct {
	addresses []netip.Addr
	until     time.Time
}

const (
	hostsTTL       = 30 * time.Second
	resolveTimeout = 2 * time.Second
	maxNames       = 10_000
)

// resolve returns the addresses of a name; none if it has none now.
func (h *hosts) resolve(ctx context.Context, name string) []netip.Addr {
	name = strings.ToLower(name)
	now := time.Now()
	h.mu.Lock()
	known, ok := h.names[name]
	h.mu.Unlock()
	if ok && now.Before(known.until) {
		return known.addresses
	}
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	lookup := h.lookup
	if lookup == nil {
		lookup = func(ctx context.Context, name string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", name)
		}
	}
	addresses, err := lookup(ctx, name)
	for i := range addresses {
		addresses[i] = addresses[i].Unmap()
	}
	if err != nil {
		addresses = known.addresses // a name service that is away changes nothing
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.names == nil || len(h.names) >= maxNames {
		h.names = map[string]answer{}
	}
	h.names[name] = answer{addresses, now.Add(hostsTTL)}
	return addresses
}

// isLocal reports whether an address is this host's own.
func (h *hosts) isLocal(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	if a.IsLoopback() || a.IsUnspecified() {
		return true
	}
	for _, own := range h.localAddresses() {
		if own == a {
			return true
		}
	}
	return false
}

func (h *hosts) localAddresses() []netip.Addr {
	h.mu.Lock()
	defer h.mu.Unlock()
	if now := time.Now(); now.After(h.local.until) {
		h.local = answer{interfaceAddresses(), now.Add(hostsTTL)}
	}
	return h.local.addresses
}

func interfaceAddresses() []netip.Addr {
	var addresses []netip.Addr
	all, _ := net.InterfaceAddrs()
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok {
			if address, ok := netip.AddrFromSlice(n.IP); ok {
				addresses = append(addresses, address.Unmap())
			}
		}
	}
	return addresses
}

// means returns the addresses that a host text stands for.
func (h *hosts) means(ctx context.Context, host string) []netip.Addr {
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a.Unmap().WithZone("")}
	}
	return h.resolve(ctx, host)
}
