package registration

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"servicebroker/descriptor"
	"servicebroker/dn"
	"servicebroker/servicetable"
)

// judgement is one registration before the rules.
type judgement struct {
	reg   *servicetable.Registration
	known facts

	own    *registrantRule // nil: it fits none
	causes []string        // by service: why it is quarantined, "" if it is not
}

// judge fills in what the rules make of the registration.
func (g *Registrants) judge(j *judgement) {
	r := j.reg
	j.own = g.ownRule(j)
	if r.Static {
		return
	}
	whole := g.claimedByOthers(j, "instance", r.Instance)
	for i := range r.Services {
		if j.causes[i] = whole; whole == "" {
			j.causes[i] = g.claimedByOthers(j, "service", r.Services[i].Name)
		}
	}
	if j.own != nil && len(j.own.Handlers) > 0 {
		g.checkHandlers(j)
	}
	for i := range r.Services {
		if j.causes[i] == "" {
			continue
		}
		id := QuarantineID(r, &r.Services[i])
		switch approved, rejected := g.decided(id); {
		case rejected:
			j.causes[i] = "rejected by an operator: " + j.causes[i]
		case approved:
			j.causes[i] = ""
		default:
			j.causes[i] += ", or approve " + id
		}
	}
}

// apply writes the judgement into the registration.
func (j *judgement) apply() (changed bool) {
	r := j.reg
	database, tier, zone := "", 0, ""
	if j.own != nil {
		database, tier, zone = j.own.Name, j.own.Tier, j.own.Zone
	}
	changed = r.Database != database || r.Tier != tier || r.Zone != zone
	r.Database, r.Tier, r.Zone = database, tier, zone
	for i := range r.Services {
		if requarantine(&r.Services[i].Marks, j.causes[i], r) {
			changed = true
		}
	}
	return requarantine(&r.Marks, "", r) || changed
}

// requarantine makes list have one mark of kind Quarantined with the cause, or none
// if that is empty. What was published with the old list is not written to.
func requarantine(list *[]servicetable.Mark, cause string, r *servicetable.Registration) (changed bool) {
	var next []servicetable.Mark
	if cause == "" && !slices.ContainsFunc(*list, isQuarantined) {
		return false
	}
	for _, m := range *list {
		if !isQuarantined(m) {
			next = append(next, m)
		}
	}
	if cause != "" {
		next = append(next, servicetable.Mark{Kind: servicetable.Quarantined, Cause: cause, Since: r.RegisteredAt})
	}
	changed = !slices.Equal(*list, next)
	*list = next
	return changed
}

// ownRule returns the first rule that the registration fits, nil if there is none.
func (g *Registrants) ownRule(j *judgement) *registrantRule {
	for i := range g.rules {
		if g.rules[i].fits(j) {
			return &g.rules[i]
		}
	}
	return nil
}

// fits tells whether the registration is one of the rule's database's.
func (r *registrantRule) fits(j *judgement) bool {
	reg := j.reg
	if reg.Static {
		return len(reg.Handlers) > 0 && r.sources.matchHost(reg.Handlers[0].Host, j.known.resolved)
	}
	if r.dn.Given() && !r.dn.Matches(dn.Parse(reg.PeerDN)) {
		return false
	}
	_, found := r.sources.match(registrantAt(reg), j.known.resolved)
	return found || len(r.Sources) == 0
}

// registrantAt returns where a registration came from.
func registrantAt(r *servicetable.Registration) netip.Addr {
	if !r.Peer.IsValid() {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1}) // a Unix socket
	}
	return r.Peer.Unmap().WithZone("")
}

// claims tells whether nobody else may offer name.
func (r *registrantRule) claims(name serviceName) bool {
	return slices.ContainsFunc(r.services, func(p servicePattern) bool { return p.matches(name) })
}

// claimedByOthers returns why the registrant may not offer name, a service's or an
// instance's; "" if it may.
func (g *Registrants) claimedByOthers(j *judgement, what, text string) string {
	var claim *registrantRule
	name := newServiceName(text)
	for i := range g.rules {
		rule := &g.rules[i]
		if !rule.claims(name) {
			continue
		}
		sameDatabase := func(other registrantRule) bool {
			return strings.EqualFold(other.Name, rule.Name) && other.fits(j)
		}
		if slices.ContainsFunc(g.rules, sameDatabase) {
			return ""
		}
		if claim == nil {
			claim = rule
		}
	}
	if claim == nil {
		return ""
	}
	cause := fmt.Sprintf("the %s %.60q is claimed by %s, and a registrant at %s", what, text, claim.title(), registrantAt(j.reg))
	if claim.DN != "" && j.reg.PeerDN != "" {
		cause += fmt.Sprintf(" with the certificate %.80q", j.reg.PeerDN)
	}
	cause += " is not one of its own"
	if len(j.known.unresolved) > 0 {
		cause += " (could not look up " + strings.Join(j.known.unresolved, "; ") + ")"
	}
	if claim.DN != "" {
		return cause + ": let it register with the certificate that DN there names"
	}
	return cause + ": add its address to SRC there"
}

// maxHandlerNames bounds how many names one registration can make us look up.
const maxHandlerNames = 16

// handlerNames are the host names to look up for the handlers of a registrant of the
// rule, together with those of its HANDLERS.
func handlerNames(own *registrantRule, r *servicetable.Registration) []string {
	if len(own.Handlers) == 0 {
		return nil
	}
	var hosts []string
	for i := range r.Handlers {
		host := strings.ToLower(strings.TrimSuffix(r.Handlers[i].Host, "."))
		if isHostName(host) && !isAddress(host) && !slices.Contains(hosts, host) && len(hosts) < maxHandlerNames {
			hosts = append(hosts, host)
		}
	}
	return append(hosts, own.handlers.names...)
}

func isAddress(host string) bool {
	_, err := netip.ParseAddr(descriptor.BareHost(host))
	return err == nil
}

// checkHandlers quarantines the services of handlers that are not where they may be.
func (g *Registrants) checkHandlers(j *judgement) {
	r, own := j.reg, j.own
	known := g.remembered(handlerNames(own, r))
	for i := range r.Handlers {
		h := &r.Handlers[i]
		if h.Port == 0 || own.handlers.matchHost(h.Host, known.resolved) {
			continue
		}
		cause := fmt.Sprintf("the handler %.40q at %.80q is outside HANDLERS of %s", h.Name, h.Host, own.title())
		if len(known.resolved[strings.ToLower(strings.TrimSuffix(h.Host, "."))]) == 0 && !isAddress(h.Host) {
			cause += ", since that name could not be looked up"
		}
		cause += ": add its address there"
		for _, at := range h.Services {
			if at >= 0 && at < len(j.causes) && j.causes[at] == "" {
				j.causes[at] = cause
			}
		}
	}
}

// QuarantineID names one service as one instance registers it from one address, for
// operators to approve or reject. It stays the same when the instance registers again.
func QuarantineID(r *servicetable.Registration, s *servicetable.Service) string {
	text := strings.ToLower(s.Name + "\x00" + r.Key() + "\x00" + registrantAt(r).String())
	sum := sha256.Sum256([]byte(text))
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:10])) // 80 bits, so that nobody finds a name that has an approved one's
}
