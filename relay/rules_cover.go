package relay

import (
	"net/netip"
	"slices"
	"strings"

	"servicebroker/dn"
	"servicebroker/servicetable"
)

// Unreachable is a rule that never matches, since rules before it match whatever it does.
type Unreachable struct {
	Rule int   // its place in the list, from 0
	By   []int // those before it that leave it nothing
}

// Unreachable finds rules that can never match. It is right about those it names. It
// finds every rule all of whose conditions are covered by those of one before it, by
// what they say: networks, patterns, equal names. It also finds one whose Source is
// covered by several before it together. Not found are those that only what host names
// mean would show, or several rules that cover anything but networks together.
func (r Rules) Unreachable() []Unreachable {
	s := CompileRules(r, nil)
	x := &coverage{set: s, left: newBits(len(r)), one: newBits(len(r))}
	for i := range s.rules {
		if p := s.rules[i].source; p.Network.IsValid() {
			x.networks = append(x.networks, ruleNetwork{p.Network, i})
		}
	}
	slices.SortFunc(x.networks, func(a, b ruleNetwork) int { return comparePrefixes(a.network, b.network) })
	var all []Unreachable
	for i := range s.rules {
		if by := x.coveredBy(i); by != nil {
			all = append(all, Unreachable{Rule: i, By: by})
		}
	}
	return all
}

// coverage is the search for what covers a rule.
type coverage struct {
	set       *RuleSet
	left, one ruleSetBits
	networks  []ruleNetwork // of the sources, by address and then length
}

type ruleNetwork struct {
	network netip.Prefix
	rule    int
}

// comparePrefixes orders networks so that those within one come right after it.
func comparePrefixes(a, b netip.Prefix) int {
	if c := a.Addr().Compare(b.Addr()); c != 0 {
		return c
	}
	return a.Bits() - b.Bits()
}

func (x *coverage) coveredBy(rule int) []int {
	r := &x.set.rules[rule]
	x.candidates(r)
	clear(x.one)
	x.set.sources.any.orInto(x.one)
	switch {
	case r.source.Name != "":
		x.set.sources.named[r.source.Name].orInto(x.one)
	case r.source.Network.IsValid():
		x.set.sources.orNetworks(x.one, r.source.Network)
	}
	for i := x.left.next(0); i >= 0 && i < rule; i = x.left.next(i + 1) {
		if x.one.has(i) && x.set.rules[i].coversAllBut(r) {
			return []int{i}
		}
	}
	return x.together(rule, r)
}

// candidates leaves those rules in left that may cover all of r but its source. Patterns
// are looked up as if they were texts: see glob.
func (x *coverage) candidates(r *prepared) {
	s := x.set
	clear(x.left)
	services := r.services
	if r.anyService {
		services = []string{"*"}
	}
	s.services.orInto(x.left, services[0]) // who covers all covers the first
	for _, by := range []struct {
		index *textIndex
		text  string
	}{{s.users, r.user}, {s.programs, r.program}} {
		clear(x.one)
		by.index.orInto(x.one, by.text)
		x.left.and(x.one)
	}
	clear(x.one)
	s.destinations.any.orInto(x.one)
	switch d := r.destination; {
	case d.Name != "":
		s.destinations.named[d.Name].orInto(x.one)
	case d.Network.IsValid():
		s.destinations.orNetworks(x.one, d.Network)
	}
	x.left.and(x.one)
}

// coversAllBut tells whether p matches whatever r does, if their sources agree.
func (p *prepared) coversAllBut(r *prepared) bool {
	return p.rule.Action != Log && p.coversServices(r) && coversText(p.user, r.user) && coversText(p.program, r.program) &&
		coversHost(p.destination, r.destination) && p.coversDNs(r)
}

func (p *prepared) coversServices(r *prepared) bool {
	if p.anyService {
		return true
	}
	return !r.anyService && coverAll(p.services, r.services, coversService)
}

// coversService tells whether wide fits whatever narrow does, both as a service, which may have a domain besides, and as a SID, which has none.
func coversService(wide, narrow string) bool {
	return glob(wide, narrow) && servicetable.ServicesCovered(wide, narrow)
}

func (p *prepared) coversDNs(r *prepared) bool {
	if len(p.dns) == 0 {
		return true
	}
	return len(r.dns) > 0 && coverAll(p.dns, r.dns, dn.Pattern.Covers)
}

// coverAll tells whether each of the narrow is covered by one of the wide.
func coverAll[T any](wide, narrow []T, covers func(a, b T) bool) bool {
	for _, n := range narrow {
		if !slices.ContainsFunc(wide, func(w T) bool { return covers(w, n) }) {
			return false
		}
	}
	return true
}

func coversText(a, b string) bool {
	return strings.Trim(a, "*") == "" || b != "" && glob(a, b)
}

func coversHost(a, b HostPattern) bool {
	switch {
	case a.Any:
		return true
	case b.Any:
		return false
	case a.Name != "" || b.Name != "":
		return a.Name == b.Name
	}
	return a.Network.Bits() <= b.Network.Bits() && a.Network.Contains(b.Network.Addr())
}

// mostTogether bounds how many networks are put together to see what they cover.
const mostTogether = 256

// together finds rules whose sources cover that of a rule only together.
func (x *coverage) together(rule int, r *prepared) []int {
	if r.source.Name != "" {
		return nil
	}
	var within []ruleNetwork
	for _, n := range x.inside(r.source) {
		if n.rule >= rule || !x.left.has(n.rule) || !x.set.rules[n.rule].coversAllBut(r) {
			continue
		}
		if within = append(within, n); len(within) > mostTogether {
			return nil
		}
	}
	for _, whole := range roots(r.source) {
		if !covered(whole, within) {
			return nil
		}
	}
	var by []int
	for _, n := range within {
		by = append(by, n.rule)
	}
	slices.Sort(by)
	return by
}

// roots are the networks that a source consists of: any is both of them.
func roots(source HostPattern) []netip.Prefix {
	if source.Any {
		return []netip.Prefix{netip.PrefixFrom(netip.IPv4Unspecified(), 0), netip.PrefixFrom(netip.IPv6Unspecified(), 0)}
	}
	return []netip.Prefix{source.Network}
}

// inside returns the networks of sources that are within one.
func (x *coverage) inside(source HostPattern) []ruleNetwork {
	if source.Any {
		return x.networks
	}
	from, _ := slices.BinarySearchFunc(x.networks, source.Network, func(n ruleNetwork, p netip.Prefix) int { return comparePrefixes(n.network, p) })
	to := from
	for to < len(x.networks) && source.Network.Contains(x.networks[to].network.Addr()) {
		to++
	}
	return x.networks[from:to]
}

// covered tells whether all of a network is in networks together.
func covered(whole netip.Prefix, networks []ruleNetwork) bool {
	var within []ruleNetwork
	for _, n := range networks {
		switch {
		case n.network.Bits() <= whole.Bits() && n.network.Contains(whole.Addr()):
			return true
		case whole.Contains(n.network.Addr()):
			within = append(within, n)
		}
	}
	if len(within) < 2 {
		return false
	}
	low := netip.PrefixFrom(whole.Addr(), whole.Bits()+1)
	return covered(low, within) && covered(netip.PrefixFrom(upperHalf(low), low.Bits()), within)
}

// upperHalf is where the sibling of a network of the lower half begins.
func upperHalf(low netip.Prefix) netip.Addr {
	bytes := low.Addr().AsSlice()
	bit := low.Bits() - 1
	bytes[bit/8] |= 1 << (7 - bit%8)
	a, _ := netip.AddrFromSlice(bytes)
	return a
}
