package relay

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"servicebroker/servicetable"
)

// RuleSet is a list of rules ready to decide: thousands of them in microseconds. It is
// made by [CompileRules] and may be used by many at once. A nil RuleSet lets everyone
// have everything.
type RuleSet struct {
	rules        []prepared
	hits         []*ruleHits
	services     *textIndex
	users        *textIndex
	programs     *textIndex
	sources      *hostIndex
	destinations *hostIndex
	scratch      sync.Pool // of *matching

	doubtful             ruleSetBits // rules about which the indexes do not say all
	logs, accepts, drops ruleSetBits // by Action
	anywhere             ruleSetBits // rules for every destination

	names     []string // that rules name as hosts, folded
	index     atomic.Pointer[nameIndex]
	made      time.Time
	known     chan struct{} // closed once all names have been looked up
	knownOnce sync.Once
}

// CompileRules prepares rules. What the set before counted and knew goes on for those
// rules whose text is the same; before may be nil. Names of hosts match nothing until
// [RuleSet.Refresh] has looked them up.
func CompileRules(rules Rules, before *RuleSet) *RuleSet {
	s := &RuleSet{rules: make([]prepared, len(rules)), made: time.Now(), known: make(chan struct{})}
	for i := range rules {
		s.rules[i] = prepare(&rules[i])
	}
	text := func(field func(*prepared) string) func(int) []string {
		return func(rule int) []string {
			if pattern := field(&s.rules[rule]); pattern != "" {
				return []string{pattern}
			}
			return []string{"*"}
		}
	}
	s.services = newTextIndex(len(rules), func(rule int) []string {
		if s.rules[rule].anyService {
			return []string{"*"}
		}
		return s.rules[rule].services
	})
	s.users = newTextIndex(len(rules), text(func(p *prepared) string { return p.user }))
	s.programs = newTextIndex(len(rules), text(func(p *prepared) string { return p.program }))
	s.sources = newHostIndex(len(rules), func(rule int) *HostPattern { return &s.rules[rule].source })
	s.destinations = newHostIndex(len(rules), func(rule int) *HostPattern { return &s.rules[rule].destination })
	s.scratch.New = func() any {
		return &matching{set: s, client: newBits(len(rules)), one: newBits(len(rules)), left: newBits(len(rules))}
	}
	s.sort()
	s.inheritHits(before)
	s.inheritNames(before)
	return s
}

// sort makes the sets of rules of a kind.
func (s *RuleSet) sort() {
	for _, set := range []*ruleSetBits{&s.doubtful, &s.logs, &s.accepts, &s.drops, &s.anywhere} {
		*set = newBits(len(s.rules))
	}
	for i := range s.rules {
		p := &s.rules[i]
		if !p.indexed() {
			s.doubtful.set(i)
		}
		if p.destination.Any {
			s.anywhere.set(i)
		}
		switch p.rule.Action {
		case Log:
			s.logs.set(i)
		case Accept:
			s.accepts.set(i)
		case Drop:
			s.drops.set(i)
		}
	}
}

// Len is how many rules there are.
func (s *RuleSet) Len() int {
	if s == nil {
		return 0
	}
	return len(s.rules)
}

// resolveBudget is how long host names may keep one connect waiting, all together.
const resolveBudget = 2 * time.Second

// matching is the work on one connect: sets to work with, and what its candidates
// have in common.
type matching struct {
	set        *RuleSet
	who        subject
	names      *nameIndex
	registered string // for which client was worked out
	client     ruleSetBits
	one        ruleSetBits // a single condition
	left       ruleSetBits // of client, for one candidate
	known      bool        // client has been worked out
	budget     time.Duration
	logged     []int // rules for the record only that matched, each once
}

// begin takes a matching out of the pool; end gives it back.
func (s *RuleSet) begin(who subject) *matching {
	m := s.scratch.Get().(*matching)
	m.who, m.names, m.known, m.budget, m.logged = who, s.index.Load(), false, resolveBudget, m.logged[:0]
	return m
}

func (m *matching) end() {
	m.who, m.names, m.registered = subject{}, nil, ""
	m.set.scratch.Put(m)
}

// resolver returns the addresses of a candidate's host; none if it has none, or nobody knows. It takes
// no longer than resolveBudget, and hardly any time for a host that was asked for lately.
type resolver func(context.Context, *servicetable.Candidate) []netip.Addr

// decide returns the number of the first rule that matches and decides about a
// candidate, -1 if none does.
func (m *matching) decide(ctx context.Context, c servicetable.Candidate, resolve resolver) int {
	if !m.known || m.registered != c.Service.Name {
		m.clientRules(c.Service.Name)
	}
	registered, host := fold(c.Service.Name), foldHost(c.Handler.Host)
	copy(m.left, m.client)
	narrowed := false
	for i := m.left.next(0); i >= 0; i = m.left.next(i + 1) {
		rule := &m.set.rules[i]
		if m.set.doubtful.has(i) && !rule.concerns(&m.who, registered) {
			continue
		}
		if d := &rule.destination; !d.Any && (d.Name == "" || d.Name != host) {
			if !narrowed {
				m.narrow(ctx, &c, resolve)
				narrowed = true
			}
			if !m.left.has(i) {
				continue
			}
		}
		if rule.rule.Action != Log {
			return i
		}
		m.log(i)
	}
	return -1
}

func (m *matching) log(rule int) {
	if !slices.Contains(m.logged, rule) {
		m.logged = append(m.logged, rule)
	}
}

// clientRules works out which rules may be about the client and what it asks for. Those
// about its address are about it.
func (m *matching) clientRules(registered string) {
	s := m.set
	m.registered, m.known = registered, true
	clear(m.client)
	s.services.orInto(m.client, m.who.asked)
	if !m.who.bySID {
		s.services.orDomainless(m.client, m.who.asked)
		if folded := fold(registered); folded != m.who.asked {
			s.services.orInto(m.client, folded)
			s.services.orDomainless(m.client, folded)
		}
	}
	if !s.sources.unused {
		clear(m.one)
		s.sources.any.orInto(m.one)
		s.sources.orAddress(m.one, m.who.client, m.names.sources)
		m.client.and(m.one)
	}
	for _, by := range []struct {
		index *textIndex
		text  string
	}{{s.users, m.who.user}, {s.programs, m.who.program}} {
		if !by.index.unused {
			clear(m.one)
			by.index.orInto(m.one, by.text)
			m.client.and(m.one)
		}
	}
}

// verify leaves only those rules of client that are about it.
func (m *matching) verify(registered string) {
	copy(m.left, m.client)
	m.left.and(m.set.doubtful)
	for i := m.left.next(0); i >= 0; i = m.left.next(i + 1) {
		if !m.set.rules[i].concerns(&m.who, registered) {
			m.client[i>>6] &^= 1 << (i & 63)
		}
	}
}

// narrow leaves only those rules that take the candidate's host.
func (m *matching) narrow(ctx context.Context, c *servicetable.Candidate, resolve resolver) {
	x, host := m.set.destinations, foldHost(c.Handler.Host)
	clear(m.one)
	x.any.orInto(m.one)
	x.named[host].orInto(m.one)
	if a, err := netip.ParseAddr(host); err == nil {
		x.orAddress(m.one, a.Unmap().WithZone(""), m.names.destinations)
	} else {
		for _, a := range m.addresses(ctx, c, resolve) {
			x.orAddress(m.one, a.Unmap().WithZone(""), m.names.destinations)
		}
	}
	m.left.and(m.one)
}

// addresses asks what a candidate's host means, as long as the connect may wait.
func (m *matching) addresses(ctx context.Context, c *servicetable.Candidate, resolve resolver) []netip.Addr {
	if resolve == nil || c.Handler.Host == "" {
		return nil
	}
	began := time.Now()
	defer func() {
		if took := time.Since(began); took > time.Millisecond {
			m.budget -= took
		}
	}()
	if m.budget < resolveBudget {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, max(m.budget, 0))
		defer cancel()
	}
	return resolve(ctx, c)
}

// judgement is what rules make of the candidates of one connect.
type judgement struct {
	admitted []servicetable.Candidate // whose deciding rule accepts
	granted  granted
	refusal  error       // where none is admitted
	counted  []*ruleHits // of the rules that decided or were to be told of, each once
	logged   []*Rule
}

// judge applies the rules to the candidates.
func (s *RuleSet) judge(ctx context.Context, who subject, candidates []servicetable.Candidate, resolve resolver) judgement {
	s.await(ctx)
	m := s.begin(who)
	defer m.end()
	j := judgement{admitted: candidates, refusal: errRejected}
	all, first := true, -1
	for i, c := range candidates {
		n := m.decide(ctx, c, resolve)
		if i == 0 {
			first = n
		}
		if n != first && j.granted.each == nil {
			j.granted.each = s.everyone(candidates[:i], first)
		}
		accepts := false
		if n >= 0 {
			j.count(s.hits[n])
			accepts = j.note(c, s.rules[n].rule)
		}
		switch {
		case accepts && !all:
			j.admitted = append(j.admitted, c)
		case !accepts && all:
			j.admitted, all = append([]servicetable.Candidate(nil), candidates[:i]...), false
		}
	}
	if j.granted.each == nil && first >= 0 {
		j.granted.all = s.rules[first].rule
	}
	for _, n := range m.logged {
		j.count(s.hits[n])
		j.logged = append(j.logged, s.rules[n].rule)
	}
	return j
}

// note keeps which rule decided about c, and reports whether it accepts.
func (j *judgement) note(c servicetable.Candidate, rule *Rule) bool {
	if j.granted.each != nil {
		j.granted.each[c.Handler] = rule
	}
	if rule.Action == Drop {
		j.refusal = errDropped
	}
	return rule.Action == Accept
}

// everyone is what is granted where one rule decided about all, if any did.
func (s *RuleSet) everyone(candidates []servicetable.Candidate, rule int) map[*servicetable.Handler]*Rule {
	each := map[*servicetable.Handler]*Rule{}
	for _, c := range candidates {
		if rule >= 0 {
			each[c.Handler] = s.rules[rule].rule
		}
	}
	return each
}

func (j *judgement) count(h *ruleHits) {
	if !slices.Contains(j.counted, h) {
		j.counted = append(j.counted, h)
	}
}
