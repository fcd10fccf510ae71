package relay

import (
	"net/netip"
	"strings"

	"servicebroker/descriptor"
	"servicebroker/dn"
	"servicebroker/servicetable"
)

// Action is what a rule does with a connect, in the words of ACT.
type Action uint8

// The actions, features.md 2.2: Reject answers with an error, Drop closes in silence.
// Log is counted and told, and decides nothing: the next rule that matches does.
const (
	Accept Action = iota
	Reject
	Drop
	Log
)

// String returns the word ACT takes.
func (a Action) String() string {
	switch a {
	case Accept:
		return "accept"
	case Drop:
		return "drop"
	case Log:
		return "log"
	}
	return "reject"
}

// Rule is one entry of a RULE_LIST. All its conditions have to hold. Patterns are
// compared without case; * in them stands for any text.
type Rule struct {
	Source      HostPattern // the client's address
	Destination HostPattern // the host of the candidate, judged for each
	Services    []string    // patterns of the service or SID asked for, one of which has to fit; none: whatever it is
	DNs         []string    // patterns of the client's TLS name, one of which has to fit (see package dn); none: with or without
	User        string      // pattern of the user in the client's CID; "": any. Clients say there what they like
	Program     string      // pattern of the program in the client's CID; "": any
	Action      Action
	Treatment          // of its ACTION_LIST
	Group       string // of the RULE_GROUP it stands in; "" in a RULE_LIST
	Text        string // as written
	Where       string // FILE:LINE
}

// Rules decide in order: the first that matches, and where none does, refusal.
// [CompileRules] makes them fit for use.
type Rules []Rule

// HostPattern matches hosts: any, a network, or a name.
type HostPattern struct {
	Any     bool
	Network netip.Prefix // an address is a network of one
	Name    string
}

// subject is what rules are applied to: one client, and what it asks for.
type subject struct {
	client        netip.Addr
	asked         string // service, or SID
	bySID         bool
	dn            dn.Name // none without a verified certificate
	user, program string  // of the CID
}

// folded is s in the form in which it is compared.
func (s subject) folded() subject {
	s.asked, s.user, s.program = fold(s.asked), fold(s.user), fold(s.program)
	return s
}

// subjectOf tells what of a connect matters to rules.
func (d *dialogue) subject() subject {
	user, program := clientClaims(d.asked)
	return subject{
		client: d.client.Addr(), asked: asksFor(d.query), bySID: d.query.Service == "", dn: d.dn, user: user, program: program,
	}.folded()
}

// granted are the rules that decided about the candidates of one connect.
type granted struct {
	all  *Rule // where it was the same for all
	each map[*servicetable.Handler]*Rule
}

// by returns the rule that decided about a candidate, nil if none did.
func (g granted) by(c servicetable.Candidate) *Rule {
	if g.all != nil {
		return g.all
	}
	return g.each[c.Handler]
}

// prepared is a rule in the form in which it is compared.
type prepared struct {
	rule          *Rule
	source        HostPattern
	destination   HostPattern
	services      []string
	dns           []dn.Pattern
	user, program string
	anyService    bool
}

func prepare(r *Rule) prepared {
	p := prepared{
		rule: r, source: r.Source.canonical(), destination: r.Destination.canonical(),
		user: fold(r.User), program: fold(r.Program), anyService: len(r.Services) == 0,
	}
	for _, s := range r.Services {
		p.services = append(p.services, fold(s))
		p.anyService = p.anyService || s == "*"
	}
	for _, text := range r.DNs {
		p.dns = append(p.dns, dn.Compile(text))
	}
	return p
}

// canonical is p as it is compared: IPv4 networks never in their IPv6 form, names folded.
func (p HostPattern) canonical() HostPattern {
	p.Name = foldHost(p.Name)
	if a := p.Network.Addr(); a.Is4In6() && p.Network.Bits() >= 96 {
		p.Network = netip.PrefixFrom(a.Unmap(), p.Network.Bits()-96)
	}
	if p.Network.IsValid() {
		p.Network = p.Network.Masked()
	}
	return p
}

// foldHost is a host as it is compared.
func foldHost(host string) string { return strings.TrimSuffix(fold(descriptor.BareHost(host)), ".") }

// concerns tells whether the rule is about the client and what it asks for, by all but
// the addresses. registered is the name of the service in the table, which may differ
// from the one asked for by its domain. A SID stands for itself: which of the
// instance's services it leads to is the instance's affair.
func (p *prepared) concerns(s *subject, registered string) bool {
	return p.takesService(s, registered) && fits(p.user, s.user) && fits(p.program, s.program) && p.takesDN(s.dn)
}

// indexed tells whether the indexes say all about the rule's conditions.
func (p *prepared) indexed() bool {
	for _, pattern := range append([]string{p.user, p.program}, p.services...) {
		if strings.Contains(strings.TrimSuffix(strings.TrimPrefix(pattern, "*"), "*"), "*") || len(pattern) > 1 && pattern[0] == '*' && pattern[len(pattern)-1] == '*' {
			return false
		}
	}
	return len(p.dns) == 0
}

func (p *prepared) takesService(s *subject, registered string) bool {
	if p.anyService {
		return true
	}
	for _, pattern := range p.services {
		switch {
		case s.bySID && glob(pattern, s.asked):
			return true
		case !s.bySID && (servicetable.ServiceFits(pattern, s.asked) || servicetable.ServiceFits(pattern, registered)):
			return true
		}
	}
	return false
}

func (p *prepared) takesDN(name dn.Name) bool {
	if len(p.dns) == 0 {
		return true
	}
	for _, pattern := range p.dns {
		if pattern.Matches(name) {
			return true
		}
	}
	return false
}

// takes tells whether one of the addresses is in the pattern; names has those of the
// names that rules name.
func (p *HostPattern) takes(names *nameIndex, addresses ...netip.Addr) bool {
	if p.Any {
		return true
	}
	for _, a := range addresses {
		if p.Name == "" && p.Network.Contains(a) || p.Name != "" && names.means(p.Name, a) {
			return true
		}
	}
	return false
}
