package registration

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"servicebroker/dn"
	"servicebroker/servicetable"
)

// RegistrantRule names a database: who registers it, what it offers, and where its
// handlers are. Rules of one name describe one database.
type RegistrantRule struct {
	Name string // of the database
	// Sources lists where it registers from, in the syntax of Admission.Invited; a
	// registrant over this host's Unix sockets counts as 127.0.0.1. DN is the subject
	// of the certificate it registers with, a pattern of package dn. Whoever fits those
	// of the two that are given is a registrant of the rule; at least one has to be.
	Sources []string
	DN      string
	// Services are the names that nobody else may offer, with * for any text. A name
	// without a domain stands for itself in any domain, and one with a domain for itself
	// without it too, since clients may ask by either. An instance's name counts like
	// a service's, since clients may ask for it by SID.
	Services []string
	Handlers []string // where the handlers of its registrants may be; empty: anywhere

	Tier int    // what it is given in the table
	Zone string // likewise
	Line int    // where it was written, for messages; 0 if nowhere
}

// Registrants are the REGISTRANT rules, ready to judge by. Nil and the zero value
// are no rules: everyone is trusted who may register. Set the functions before the
// first use; the methods may then be called at any time from any goroutine.
type Registrants struct {
	// Decided tells what an operator decided about a quarantined service, by its
	// QuarantineID; nil: nothing ever.
	Decided func(id string) (approved, rejected bool)
	// Resolve looks up a host name; nil: the system's resolver. A name is looked up at
	// most every 30 s, and given 2 s.
	Resolve func(ctx context.Context, host string) ([]netip.Addr, error)

	rules []registrantRule
	mu    sync.Mutex
	names *names // nil: nothing has been looked up yet
}

// registrantRule is a RegistrantRule, read.
type registrantRule struct {
	RegistrantRule
	sources, handlers nodeList
	services          []servicePattern
	dn                dn.Pattern
}

// NewRegistrants reads rules. The error names the rule and what to write instead.
func NewRegistrants(rules []RegistrantRule) (*Registrants, error) {
	g := &Registrants{}
	for _, r := range rules {
		read, err := readRule(r)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", read.title(), err)
		}
		g.rules = append(g.rules, read)
	}
	return g, nil
}

func readRule(r RegistrantRule) (read registrantRule, err error) {
	read.RegistrantRule = r
	read.dn = dn.Compile(r.DN)
	switch {
	case strings.TrimSpace(r.Name) == "":
		return read, fmt.Errorf("it has no name; write (NAME=…), the name of the database")
	case len(r.Sources) == 0 && !read.dn.Given():
		return read, fmt.Errorf("it does not say whom it is about; write (SRC=…), the nodes that the database registers from, or (DN=…), the subject of its certificate")
	case r.Tier < 0:
		return read, fmt.Errorf("TIER=%d is below 0; write 0 for what is used first and more for what is used later", r.Tier)
	}
	if r.DN != "" {
		if err := dn.Check(r.DN); err != nil {
			return read, fmt.Errorf("DN: %w", err)
		}
	}
	if read.sources, err = parseNodes(r.Sources); err != nil {
		return read, fmt.Errorf("SRC: %w", err)
	}
	if read.handlers, err = parseNodes(r.Handlers); err != nil {
		return read, fmt.Errorf("HANDLERS: %w", err)
	}
	for _, s := range r.Services {
		p, ok := newServicePattern(s)
		if !ok {
			return read, fmt.Errorf("SERVICES has an empty name; remove the comma too many, or write a service, with * for any text")
		}
		read.services = append(read.services, p)
	}
	return read, nil
}

// title names the rule in messages.
func (r *registrantRule) title() string {
	text := "REGISTRANT"
	if r.Name != "" {
		text += " " + r.Name
	}
	if r.Line > 0 {
		text += fmt.Sprintf(" (line %d)", r.Line)
	}
	return text
}

// Judge says what the rules make of r: its Database, Tier and Zone, and the marks
// of kind Quarantined on its services. All of it is worked out anew, whatever r had
// before; nothing else of r is touched. It reports whether that changed anything. r
// needs slices of its own.
//
// The first rule that a registrant fits says whose it is. A service, or an instance's
// name, that rules claim for databases the registrant is not of is quarantined, and so
// is a service with a handler outside the HANDLERS of the registrant's own rule; a
// service that an operator has approved is not. Static registrations are trusted: they
// belong to the rule in whose SRC their first handler is.
//
// No host name is looked up: what Refresh has found counts, however long ago that was. A name that it
// has not looked up, or not in time, counts as one that cannot be.
func (g *Registrants) Judge(r *servicetable.Registration) (changed bool) {
	j := judgement{reg: r, causes: make([]string, len(r.Services))}
	if g != nil && len(g.rules) > 0 {
		j.known = g.remembered(g.sourceNames())
		g.judge(&j)
	}
	return j.apply()
}

// Refresh looks up all host names that judging regs takes, since Judge does not: it is to be called
// before that, and before a lock is taken under which they are judged. However many names there are,
// and whether or not they are answered, it takes no more than a few seconds.
func (g *Registrants) Refresh(ctx context.Context, regs []*servicetable.Registration) {
	if g == nil {
		return
	}
	j := judgement{known: g.lookup(ctx, g.sourceNames())}
	var hosts []string
	for _, r := range regs {
		j.reg = r
		if own := g.ownRule(&j); own != nil && !r.Static {
			hosts = append(hosts, handlerNames(own, r)...)
		}
	}
	g.lookup(ctx, hosts)
}

// Learn looks up again the host names that nobody knew when they were looked up last, as while a name service was away. It reports
// whether one has become known since the last call, also by Refresh: who was judged without it is then to be judged again.
func (g *Registrants) Learn(ctx context.Context) bool {
	if g == nil || len(g.rules) == 0 {
		return false
	}
	return g.memory().learn(ctx, g.sourceNames())
}

// sourceNames are the host names in the SRC of any rule.
func (g *Registrants) sourceNames() []string {
	var hosts []string
	for i := range g.rules {
		hosts = append(hosts, g.rules[i].sources.names...)
	}
	return hosts
}

func (g *Registrants) lookup(ctx context.Context, hosts []string) facts {
	var known facts
	known.resolved, known.unresolved = g.memory().lookup(ctx, eachOnce(hosts))
	return known
}

// remembered is lookup of what is known already.
func (g *Registrants) remembered(hosts []string) facts {
	var known facts
	known.resolved, known.unresolved = g.memory().peek(eachOnce(hosts))
	return known
}

// memory is where names are remembered.
func (g *Registrants) memory() *names {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.names == nil {
		g.names = &names{resolve: g.Resolve}
		if g.Resolve == nil {
			g.names.resolve = resolve
		}
	}
	return g.names
}

// Follow makes g remember what before has looked up, and look up as that does, so that those who are
// judged by g from now on, and were there before, are so by what their names meant. It is to be called before the first use.
func (g *Registrants) Follow(before *Registrants) {
	if before != nil {
		g.names = before.memory()
	}
}

func eachOnce(hosts []string) []string {
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

// QuarantineEntry is one service at one instance that is not used before an operator
// decides about it.
type QuarantineEntry struct {
	ID       string // QuarantineID
	Service  string
	Instance string // key, "sales1@db1"
	Peer     netip.Addr
	Database string // whose it would be, if it were what it says
	Cause    string
	Since    time.Time
	Rejected bool // an operator has decided already
}

// Quarantine lists what is quarantined of regs, as they were judged last, by service
// and instance.
func (g *Registrants) Quarantine(regs []*servicetable.Registration) []QuarantineEntry {
	var all []QuarantineEntry
	for _, r := range regs {
		for i := range r.Services {
			s := &r.Services[i]
			at := slices.IndexFunc(s.Marks, isQuarantined)
			if at < 0 {
				continue
			}
			e := QuarantineEntry{ID: QuarantineID(r, s), Service: s.Name, Instance: r.Key(), Peer: r.Peer, Database: r.Database, Cause: s.Marks[at].Cause, Since: s.Marks[at].Since}
			if claim := g.claimOn(r, s); claim != nil {
				e.Database = claim.Name
			}
			_, e.Rejected = g.decided(e.ID)
			all = append(all, e)
		}
	}
	slices.SortStableFunc(all, func(a, b QuarantineEntry) int {
		return strings.Compare(strings.ToLower(a.Service+"\x00"+a.Instance), strings.ToLower(b.Service+"\x00"+b.Instance))
	})
	return all
}

func isQuarantined(m servicetable.Mark) bool { return m.Kind == servicetable.Quarantined }

func (g *Registrants) decided(id string) (approved, rejected bool) {
	if g == nil || g.Decided == nil {
		return false, false
	}
	return g.Decided(id)
}

// claimOn returns the first rule that claims s, or else r's instance; nil if none does.
func (g *Registrants) claimOn(r *servicetable.Registration, s *servicetable.Service) *registrantRule {
	if g == nil {
		return nil
	}
	for _, text := range []string{s.Name, r.Instance} {
		name := newServiceName(text)
		if i := slices.IndexFunc(g.rules, func(rule registrantRule) bool { return rule.claims(name) }); i >= 0 {
			return &g.rules[i]
		}
	}
	return nil
}
