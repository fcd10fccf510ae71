package relay

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// nameIndex is what the host names of rules meant when they were last looked up. It
// never changes.
type nameIndex struct {
	addresses             map[string][]netip.Addr
	sources, destinations map[netip.Addr]*posting // the rules whose name means the address
}

// means reports whether one of a name's addresses is a.
func (x *nameIndex) means(name string, a netip.Addr) bool {
	return x != nil && slices.Contains(x.addresses[name], a)
}

// Names returns the host names in the rules, each once.
func (s *RuleSet) Names() []string {
	if s == nil {
		return nil
	}
	return slices.Clone(s.names)
}

// Looking up the names of rules: so many at once, and so often the answers so far are
// put to use while others are still waited for.
const (
	lookUpsAtOnce  = 32
	publishPartial = time.Second
)

// Refresh looks up all host names in the rules, so that no connect has to. lookup returns
// the addresses of a name; none if it has none.
func (s *RuleSet) Refresh(ctx context.Context, lookup func(context.Context, string) []netip.Addr) {
	if s == nil || len(s.names) == 0 {
		return
	}
	var mu sync.Mutex
	answers := s.index.Load().copy()
	published := time.Now()
	var running sync.WaitGroup
	places := make(chan struct{}, lookUpsAtOnce)
	for _, name := range s.names {
		places <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		running.Go(func() {
			defer func() { <-places }()
			addresses := slices.Clone(lookup(ctx, name))
			for i, a := range addresses {
				addresses[i] = a.Unmap().WithZone("")
			}
			mu.Lock()
			defer mu.Unlock()
			answers[name] = addresses
			if time.Since(published) >= publishPartial {
				s.publish(answers)
				published = time.Now()
			}
		})
	}
	running.Wait()
	if ctx.Err() == nil {
		s.publish(answers)
		s.allKnown()
	}
}

func (x *nameIndex) copy() map[string][]netip.Addr {
	all := map[string][]netip.Addr{}
	if x != nil {
		for name, addresses := range x.addresses {
			all[name] = addresses
		}
	}
	return all
}

// publish puts answers to use, unless they are those in use.
func (s *RuleSet) publish(answers map[string][]netip.Addr) {
	now := s.index.Load()
	changed := len(now.addresses) != len(answers)
	for name, addresses := range answers {
		known, ok := now.addresses[name]
		changed = changed || !ok || !slices.Equal(known, addresses)
	}
	if changed {
		s.index.Store(s.newNameIndex(answers))
	}
}

func (s *RuleSet) newNameIndex(answers map[string][]netip.Addr) *nameIndex {
	x := &nameIndex{addresses: map[string][]netip.Addr{}, sources: map[netip.Addr]*posting{}, destinations: map[netip.Addr]*posting{}}
	for _, name := range s.names {
		if addresses, ok := answers[name]; ok {
			x.addresses[name] = addresses
		}
	}
	for i := range s.rules {
		for _, a := range x.addresses[s.rules[i].source.Name] {
			addTo(x.sources, a, i, len(s.rules))
		}
		for _, a := range x.addresses[s.rules[i].destination.Name] {
			addTo(x.destinations, a, i, len(s.rules))
		}
	}
	return x
}

func (s *RuleSet) allKnown() { s.knownOnce.Do(func() { close(s.known) }) }

// inheritNames begins with what the set before knew.
func (s *RuleSet) inheritNames(before *RuleSet) {
	for i := range s.rules {
		for _, name := range []string{s.rules[i].source.Name, s.rules[i].destination.Name} {
			if name != "" {
				s.names = append(s.names, name)
			}
		}
	}
	slices.Sort(s.names)
	s.names = slices.Compact(s.names)
	var answers map[string][]netip.Addr
	if before != nil {
		answers = before.index.Load().addresses
	}
	s.index.Store(s.newNameIndex(answers))
	if len(s.index.Load().addresses) == len(s.names) {
		s.allKnown()
	}
}

// await waits until the names in the rules have been looked up for the first time, but
// not beyond resolveBudget after the rules came into force: what is not known by then
// matches nothing.
func (s *RuleSet) await(ctx context.Context) {
	select {
	case <-s.known:
		return
	default:
	}
	left := resolveBudget - time.Since(s.made)
	if left <= 0 {
		return
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-s.known:
	case <-timer.C:
	case <-ctx.Done():
	}
}
