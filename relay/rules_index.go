package relay

import (
	"math/bits"
	"net/netip"
	"slices"
	"strings"
)

// Which rules may match is worked out with sets of rules, one bit a rule, one set for
// each condition, which are then intersected. Sets are found by what a connect brings:
// by the text of a name, by the networks its address is in. A set may hold rules too
// many, which are then looked at one by one, and never one too few.

// ruleSetBits is a set of rules.
type ruleSetBits []uint64

func newBits(rules int) ruleSetBits { return make(ruleSetBits, (rules+63)/64) }

func (b ruleSetBits) set(rule int)      { b[rule>>6] |= 1 << (rule & 63) }
func (b ruleSetBits) has(rule int) bool { return b[rule>>6]&(1<<(rule&63)) != 0 }

func (b ruleSetBits) and(other ruleSetBits) {
	for i := range b {
		b[i] &= other[i]
	}
}

func (b ruleSetBits) without(other ruleSetBits) {
	for i := range b {
		b[i] &^= other[i]
	}
}

// cut leaves only rules before a given one.
func (b ruleSetBits) cut(from int) {
	if i := from >> 6; i < len(b) {
		b[i] &= 1<<(from&63) - 1
		clear(b[i+1:])
	}
}

// firstOfBoth returns the first rule that is in both sets, -1 if there is none.
func firstOfBoth(a, b ruleSetBits) int {
	for i := range a {
		if word := a[i] & b[i]; word != 0 {
			return i<<6 + bits.TrailingZeros64(word)
		}
	}
	return -1
}

// next returns the first rule of the set from a given one on, -1 if there is none.
func (b ruleSetBits) next(from int) int {
	i := from >> 6
	if i >= len(b) {
		return -1
	}
	for word := b[i] &^ (1<<(from&63) - 1); ; word = b[i] {
		if word != 0 {
			return i<<6 + bits.TrailingZeros64(word)
		}
		if i++; i == len(b) {
			return -1
		}
	}
}

// posting is a set of rules as it is kept: as a list while that is shorter.
type posting struct {
	few  []int32
	many ruleSetBits
}

// add puts a rule in. Rules come in order; one may come several times.
func (p *posting) add(rule, rules int) {
	switch {
	case p.many != nil:
		p.many.set(rule)
	case len(p.few) > 0 && p.few[len(p.few)-1] == int32(rule):
	case len(p.few) < (rules+63)/64:
		p.few = append(p.few, int32(rule))
	default:
		p.many = newBits(rules)
		p.orInto(p.many)
		p.many.set(rule)
		p.few = nil
	}
}

func (p *posting) orInto(b ruleSetBits) {
	if p == nil {
		return
	}
	for _, rule := range p.few {
		b.set(int(rule))
	}
	for i, word := range p.many {
		b[i] |= word
	}
}

// addTo adds a rule to the posting of a key.
func addTo[K comparable](all map[K]*posting, key K, rule, rules int) {
	p := all[key]
	if p == nil {
		p = &posting{}
		all[key] = p
	}
	p.add(rule, rules)
}

// textIndex finds rules by a text that patterns of theirs have to fit.
type textIndex struct {
	rules      int
	unused     bool    // no rule has a pattern but *
	rest       posting // those with patterns that have nothing but stars
	exact      map[string]*posting
	begins     map[string]*posting
	ends       map[string]*posting
	within     map[string]*posting // by the longest text between stars, where a pattern has nothing else
	beginnings []int               // the lengths that keys of begins have, ascending
	endings    []int
	middles    []int
}

// newTextIndex makes the index of what patterns returns for each rule; none is *.
func newTextIndex(rules int, patterns func(rule int) []string) *textIndex {
	x := &textIndex{
		rules: rules, unused: true,
		exact: map[string]*posting{}, begins: map[string]*posting{}, ends: map[string]*posting{}, within: map[string]*posting{},
	}
	for rule := range rules {
		all := patterns(rule)
		if len(all) == 0 {
			x.rest.add(rule, rules)
		}
		for _, pattern := range all {
			x.unused = x.unused && pattern == "*"
			x.add(rule, pattern)
		}
	}
	x.beginnings, x.endings, x.middles = lengths(x.begins), lengths(x.ends), lengths(x.within)
	return x
}

func (x *textIndex) add(rule int, pattern string) {
	begins, ends, exact := literals(pattern)
	switch {
	case exact:
		addTo(x.exact, pattern, rule, x.rules)
	case strings.Trim(pattern, "*") == "":
		x.rest.add(rule, x.rules)
	case begins == "" && ends == "":
		addTo(x.within, longest(strings.Split(pattern, "*")), rule, x.rules)
	case len(begins) >= len(ends):
		addTo(x.begins, begins, rule, x.rules)
	default:
		addTo(x.ends, ends, rule, x.rules)
	}
}

func longest(all []string) string {
	return slices.MaxFunc(all, func(a, b string) int { return len(a) - len(b) })
}

func lengths(keys map[string]*posting) []int {
	var all []int
	for key := range keys {
		all = append(all, len(key))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// orInto adds the rules that may take text.
func (x *textIndex) orInto(b ruleSetBits, text string) {
	x.rest.orInto(b)
	x.exact[text].orInto(b)
	for _, n := range x.beginnings {
		if n > len(text) {
			break
		}
		x.begins[text[:n]].orInto(b)
	}
	for _, n := range x.endings {
		if n > len(text) {
			break
		}
		x.ends[text[len(text)-n:]].orInto(b)
	}
	for _, n := range x.middles {
		for from := 0; from+n <= len(text); from++ {
			x.within[text[from:from+n]].orInto(b)
		}
	}
}

// orDomainless adds the rules whose patterns have no domain, and mean the service in any.
// Patterns that have one fit no name without.
func (x *textIndex) orDomainless(b ruleSetBits, service string) {
	if dot := strings.IndexByte(service, '.'); dot > 0 {
		x.orInto(b, service[:dot])
	}
}

// hostIndex finds rules by an address, or the text of a host.
type hostIndex struct {
	unused   bool // every rule takes every host
	any      posting
	networks map[netip.Prefix]*posting
	v4, v6   []int // the lengths of networks
	named    map[string]*posting
}

// newHostIndex makes the index of the pattern that each rule has.
func newHostIndex(rules int, pattern func(rule int) *HostPattern) *hostIndex {
	x := &hostIndex{unused: true, networks: map[netip.Prefix]*posting{}, named: map[string]*posting{}}
	for rule := range rules {
		switch p := pattern(rule); {
		case p.Any:
			x.any.add(rule, rules)
			continue
		case p.Name != "":
			addTo(x.named, p.Name, rule, rules)
		case p.Network.IsValid():
			addTo(x.networks, p.Network, rule, rules)
		}
		x.unused = false
	}
	for network := range x.networks {
		if network.Addr().Is4() {
			x.v4 = append(x.v4, network.Bits())
		} else {
			x.v6 = append(x.v6, network.Bits())
		}
	}
	slices.Sort(x.v4)
	slices.Sort(x.v6)
	x.v4, x.v6 = slices.Compact(x.v4), slices.Compact(x.v6)
	return x
}

// orNetworks adds the rules for networks that contain all of p.
func (x *hostIndex) orNetworks(b ruleSetBits, p netip.Prefix) {
	all := x.v6
	if p.Addr().Is4() {
		all = x.v4
	}
	for _, n := range all {
		if n > p.Bits() {
			break
		}
		if network, err := p.Addr().Prefix(n); err == nil {
			x.networks[network].orInto(b)
		}
	}
}

// orAddress adds the rules that take the address, by networks and by the names that mean it.
func (x *hostIndex) orAddress(b ruleSetBits, a netip.Addr, names map[netip.Addr]*posting) {
	x.orNetworks(b, netip.PrefixFrom(a, a.BitLen()))
	names[a].orInto(b)
}
