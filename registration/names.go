package registration

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// maxLookups is how many names are looked up at a time for one registrant.
const maxLookups = 16

// maxKnown is how many names are remembered before those that would be looked up
// again anyway are forgotten: some come from registrants, who may think up new ones.
const maxKnown = 1024

// names remembers the addresses of host names. However many registrants come,
// each name is looked up at most once in lookupFresh.
type names struct {
	resolve func(ctx context.Context, host string) ([]netip.Addr, error)

	mu     sync.Mutex
	known  map[string]*name
	learnt bool // a name has an address that had none, since that was last asked
}

// name is what is known of one host name.
type name struct {
	addresses []netip.Addr
	err       error
	at        time.Time     // of the last lookup
	busy      chan struct{} // closed when the lookup under way is over; nil if none is
}

// lookup returns the addresses of hosts by name, and those that could not be
// looked up, with the reason. The addresses of a name whose lookup fails are
// those of its last one that did not, unless there is no such name any more. It
// takes at most twice lookupTime, however many hosts there are.
func (n *names) lookup(ctx context.Context, hosts []string) (map[string][]netip.Addr, []string) {
	if len(hosts) == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 2*lookupTime)
	defer cancel()
	found := make([]name, len(hosts))
	slots := make(chan struct{}, maxLookups)
	var wait sync.WaitGroup
	for i, host := range hosts {
		wait.Go(func() {
			select {
			case slots <- struct{}{}:
				defer func() { <-slots }()
				found[i] = n.one(ctx, host)
			case <-ctx.Done():
				found[i] = n.remembered(host)
			}
		})
	}
	wait.Wait()
	return byName(hosts, found)
}

// peek is lookup of what is remembered, however old that is. It waits for nobody.
func (n *names) peek(hosts []string) (map[string][]netip.Addr, []string) {
	if len(hosts) == 0 {
		return nil, nil
	}
	found := make([]name, len(hosts))
	for i, host := range hosts {
		found[i] = n.remembered(host)
	}
	return byName(hosts, found)
}

// errNotYet is why a name is not known of which no lookup is over.
var errNotYet = errors.New("it has not been looked up in time")

// remembered returns what is known of host.
func (n *names) remembered(host string) name {
	n.mu.Lock()
	defer n.mu.Unlock()
	if known := n.known[host]; known != nil && !known.at.IsZero() {
		return *known
	}
	return name{err: errNotYet}
}

// unanswered tells whether nothing is known of one of hosts, not even that there is no such name.
func (n *names) unanswered(hosts []string) bool {
	return slices.ContainsFunc(hosts, func(host string) bool {
		known := n.remembered(host)
		said, is := errors.AsType[*net.DNSError](known.err)
		return known.err != nil && len(known.addresses) == 0 && !(is && said.IsNotFound)
	})
}

// learn looks up again those of hosts, and of all that it remembers, of which it knows no address. It reports whether there is one
// now, whoever has asked for it, that there was not when it was called last.
func (n *names) learn(ctx context.Context, hosts []string) bool {
	n.mu.Lock()
	lacking := slices.DeleteFunc(slices.Clone(hosts), func(host string) bool { return n.known[host] != nil })
	for host, known := range n.known {
		if len(known.addresses) == 0 {
			lacking = append(lacking, host)
		}
	}
	n.mu.Unlock()
	n.lookup(ctx, eachOnce(lacking))
	n.mu.Lock()
	defer n.mu.Unlock()
	learnt := n.learnt
	n.learnt = false
	return learnt
}

// byName sorts what was found of hosts as lookup returns it.
func byName(hosts []string, found []name) (resolved map[string][]netip.Addr, failed []string) {
	resolved = make(map[string][]netip.Addr, len(hosts))
	for i, host := range hosts {
		resolved[host] = found[i].addresses
		if err := found[i].err; err != nil && len(found[i].addresses) == 0 {
			failed = append(failed, fmt.Sprintf("%s: %v", host, err))
		}
	}
	return resolved, failed
}

// one returns what is known of host, after looking it up or waiting for whoever does.
func (n *names) one(ctx context.Context, host string) name {
	for {
		known, busy, mine := n.claim(host)
		if busy == nil {
			return known
		}
		if mine {
			n.refresh(ctx, host)
			continue
		}
		select {
		case <-busy:
		case <-ctx.Done():
			known.err = ctx.Err()
			return known
		}
	}
}

// claim returns what is known of host if that is fresh. Otherwise busy tells
// when it will be; mine, that the caller has to see to it.
func (n *names) claim(host string) (known name, busy chan struct{}, mine bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.known == nil {
		n.known = map[string]*name{}
	}
	entry := n.known[host]
	if entry == nil {
		if len(n.known) >= maxKnown {
			maps.DeleteFunc(n.known, func(_ string, k *name) bool { return k.busy == nil && time.Since(k.at) >= lookupFresh })
		}
		entry = &name{}
		n.known[host] = entry
	}
	if entry.busy != nil {
		return *entry, entry.busy, false
	}
	if !entry.at.IsZero() && time.Since(entry.at) < lookupFresh {
		return *entry, nil, false
	}
	entry.busy = make(chan struct{})
	return *entry, entry.busy, true
}

// refresh looks host up. Others may wait for the result, so the caller's own
// end does not cut it short.
func (n *names) refresh(ctx context.Context, host string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookupTime)
	defer cancel()
	found, err := n.resolve(ctx, host)
	addresses := make([]netip.Addr, 0, len(found))
	for _, a := range found {
		addresses = append(addresses, a.Unmap().WithZone(""))
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	entry := n.known[host]
	var dns *net.DNSError
	if err == nil || errors.As(err, &dns) && dns.IsNotFound {
		n.learnt = n.learnt || len(entry.addresses) == 0 && len(addresses) > 0
		entry.addresses = addresses
	}
	entry.err, entry.at = err, time.Now()
	close(entry.busy)
	entry.busy = nil
}
