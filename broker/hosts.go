package broker

import (
	"context"
	"errors"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"servicebroker/descriptor"
)

// hosts answers what host names mean and which addresses are this host's. A name is
// looked up at most once in hostsTTL, and by one at a time however many ask. Who asks
// has the answer that is known, and waits only where there is none or it is very old,
// never longer than resolveTimeout. What is very old is forgotten when names are added.
type hosts struct {
	lookup  func(ctx context.Context, name string) ([]netip.Addr, error) // nil: the system's resolver
	changed func()                                                       // told when a look-up brought something new; may be nil, must not wait

	mu      sync.Mutex
	names   map[string]*hostName
	flights int // look-ups under way
	pruned  time.Time
	closed  bool
	running sync.WaitGroup // look-ups
	local   answer
}

type answer struct {
	addresses []netip.Addr
	until     time.Time
}

// hostName is what is known of a name.
type hostName struct {
	answer
	name   string
	known  bool    // there has been an answer
	flight *flight // the look-up under way; nil if there is none
}

// flight is one look-up.
type flight struct {
	landed chan struct{} // closed at its end
	cancel context.CancelFunc
}

const (
	hostsTTL       = 30 * time.Second
	hostsStale     = 10 * time.Minute // how long after that an answer is still given while a new one is sought
	resolveTimeout = 2 * time.Second
	lookupTimeout  = 10 * time.Second // of a look-up that nobody waits for any more
	maxNames       = 50_000
	maxNameLength  = 255            // of the DNS: what is longer is no name
	maxClaimed     = 256            // look-ups under way beyond which none is begun for a name that clients made up
	maxTogether    = maxClaimed / 2 // that one asks for at a time who has many
)

// resolve returns the addresses of a name; none if it has none, or nobody knows in time.
func (h *hosts) resolve(ctx context.Context, name string) []netip.Addr {
	return h.ask(ctx, name, hostsStale)
}

// known is resolve that never waits: it returns what is known, and has looked up what is not.
func (h *hosts) known(name string) []netip.Addr {
	now := time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	n := h.entry(name, now)
	if n == nil {
		return nil
	}
	if !now.Before(n.until) {
		h.start(n)
	}
	return n.addresses
}

// fresh is resolve that waits rather than give an answer whose time is over.
func (h *hosts) fresh(ctx context.Context, name string) []netip.Addr { return h.ask(ctx, name, 0) }

// claimed is means for what a client sent. Clients can make up any number of names, whose look-ups
// take descriptors for as long as a name service is silent, and whose answers take room: they get
// neither all of the one nor of the other, and where there is none nobody knows the name.
func (h *hosts) claimed(ctx context.Context, host string) []netip.Addr {
	host = descriptor.BareHost(host)
	if !isAddress(host) && !h.mayClaim(strings.ToLower(host)) {
		return nil
	}
	return h.means(ctx, host)
}

func (h *hosts) mayClaim(name string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	n, now := h.names[name], time.Now()
	if n != nil && (n.flight != nil || now.Before(n.until)) {
		return true
	}
	if n == nil && len(h.names) >= maxNames/2 && now.Sub(h.pruned) > time.Second {
		h.pruned = now
		h.prune(now)
	}
	return h.flights < maxClaimed && (n != nil || len(h.names) < maxNames/2)
}

// prune forgets answers whose time was over at some time; callers hold mu.
func (h *hosts) prune(at time.Time) {
	maps.DeleteFunc(h.names, func(_ string, n *hostName) bool { return n.flight == nil && !at.Before(n.until) })
}

func (h *hosts) ask(ctx context.Context, name string, stale time.Duration) []netip.Addr {
	now := time.Now()
	h.mu.Lock()
	n := h.entry(name, now)
	if n == nil {
		h.mu.Unlock()
		return nil
	}
	if now.Before(n.until) {
		defer h.mu.Unlock()
		return n.addresses
	}
	under := h.start(n)
	addresses, enough := n.addresses, n.known && now.Before(n.until.Add(stale))
	h.mu.Unlock()
	if enough || under == nil {
		return addresses
	}
	timer := time.NewTimer(resolveTimeout)
	defer timer.Stop()
	select {
	case <-under.landed:
	case <-timer.C:
	case <-ctx.Done():
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return n.addresses
}

// entry finds what is known of a name, or room for it; callers hold mu. nil: no name is so long.
func (h *hosts) entry(name string, now time.Time) *hostName {
	if len(name) > maxNameLength {
		return nil
	}
	name = strings.ToLower(name)
	if n := h.names[name]; n != nil {
		return n
	}
	if now.Sub(h.pruned) >= hostsTTL {
		h.pruned = now
		h.prune(now.Add(-hostsStale))
	}
	if len(h.names) >= maxNames {
		h.prune(now)
		if len(h.names) >= maxNames {
			maps.DeleteFunc(h.names, func(_ string, n *hostName) bool { return n.flight == nil })
		}
	}
	if h.names == nil {
		h.names = map[string]*hostName{}
	}
	n := &hostName{name: strings.Clone(name)} // which may be part of all that a client sent
	h.names[n.name] = n
	return n
}

// start begins a look-up unless one is under way; callers hold mu. nil: it is too late.
func (h *hosts) start(n *hostName) *flight {
	if n.flight != nil || h.closed {
		return n.flight
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookupTimeout)
	n.flight = &flight{landed: make(chan struct{}), cancel: cancel}
	h.flights++
	h.running.Go(func() {
		defer cancel()
		addresses, err := h.query(ctx, n.name)
		h.land(n, addresses, err)
	})
	return n.flight
}

func (h *hosts) query(ctx context.Context, name string) ([]netip.Addr, error) {
	lookup := h.lookup
	if lookup == nil {
		lookup = func(ctx context.Context, name string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", name)
		}
	}
	addresses, err := lookup(ctx, name)
	all := make([]netip.Addr, len(addresses))
	for i, a := range addresses {
		all[i] = a.Unmap()
	}
	return all, err
}

// land is the end of a look-up. A name service that is away changes nothing; one that
// says there is no such name does.
func (h *hosts) land(n *hostName, addresses []netip.Addr, err error) {
	var unknown *net.DNSError
	h.mu.Lock()
	before := n.addresses
	switch {
	case err == nil:
		n.addresses = addresses
	case errors.As(err, &unknown) && unknown.IsNotFound:
		n.addresses = nil
	}
	n.known, n.until = true, time.Now().Add(hostsTTL)
	close(n.flight.landed)
	n.flight = nil
	h.flights--
	tell := h.changed != nil && !slices.Equal(before, n.addresses)
	h.mu.Unlock()
	if tell {
		h.changed()
	}
}

// close ends the look-ups that are under way, and answers from now on what is known.
func (h *hosts) close() {
	h.mu.Lock()
	h.closed = true
	for _, n := range h.names {
		if n.flight != nil {
			n.flight.cancel()
		}
	}
	h.mu.Unlock()
	h.running.Wait()
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
	host = descriptor.BareHost(host)
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a.Unmap().WithZone("")}
	}
	return h.resolve(ctx, host)
}

// meanAll is means for many at once, some at a time. Those are left out of which nothing is known when ctx ends.
func (h *hosts) meanAll(ctx context.Context, all []string) map[string][]netip.Addr {
	slices.Sort(all)
	all = slices.Compact(all)
	found := make(map[string][]netip.Addr, len(all))
	var mu sync.Mutex
	var asking sync.WaitGroup
	defer asking.Wait()
	places := make(chan struct{}, maxTogether)
	for _, host := range all {
		select {
		case places <- struct{}{}:
		case <-ctx.Done():
			return found
		}
		asking.Go(func() {
			defer func() { <-places }()
			addresses := h.means(ctx, host)
			mu.Lock()
			defer mu.Unlock()
			found[host] = addresses
		})
	}
	return found
}

// meaning is means for who has no context.
func (h *hosts) meaning(host string) []netip.Addr { return h.means(context.Background(), host) }

// knownMeaning is means that never waits.
func (h *hosts) knownMeaning(host string) []netip.Addr {
	host = descriptor.BareHost(host)
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a.Unmap().WithZone("")}
	}
	return h.known(host)
}
