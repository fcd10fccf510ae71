package broker

import (
	"cmp"
	"net/netip"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"servicebroker/limits"
	"servicebroker/relay"
	"servicebroker/servicetable"
)

// limiting is what bounds how much is let in. What it counts goes on through reloads.
type limiting struct {
	connections limits.Count // of clients, and those that have not said what they want
	silent      limits.Silent
	sources     limits.Sources
	guesses     limits.Guesses
	listeners   listenerRates
	addresses   []string // that are listened on
	slots       limits.Slots
	reserve     limits.Silent // who is refused, unless it is a database that was here before
	handshakes  limits.Turns
	closed      atomic.Uint64 // connections that were ended without an answer

	room    limits.Count // connects that wait for a turn, all together
	shares  limits.Shares
	repeats limits.Repeats
}

// mostInTurn bounds how many connects wait for a turn under a rate, whatever the rates are.
const mostInTurn = 10_000

// wireLimits prepares what bounds connects and sessions.
func (b *Broker) wireLimits() {
	l := &b.limiting
	l.room.Configure(mostInTurn)
	l.shares = limits.Shares{LimitOf: b.limitOf, Room: &l.room}
	l.repeats.Told = func(key string, first any, more uint64) {
		b.log.Warn("refused again and again", "limit", key, "times", more, "ref", first, "within", repeatsWithin.String())
	}
	l.repeats.Every = repeatsWithin
	l.slots.Most, l.slots.Each = b.overload.descriptors.slots()
	l.sources.Room = &l.room
	l.handshakes.Most = max(1, runtime.GOMAXPROCS(0)/2)
	l.sources.Blocked = func(source netip.Prefix, until time.Time) {
		b.log.Warn("IP rate limit enforced for ip address "+source.Addr().String(), "source", source.String(), "until", until.UTC().Format(time.RFC3339))
	}
	l.listeners = newListenerRates(len(b.listeners), b.config.Listening, &l.room)
	l.addresses = b.Addresses()
	b.wireGuesses()
	b.relay.SDU = func() int { return b.settings().config.SDU }
	b.relay.Shares, b.relay.Repeats = b.sharesOf, &l.repeats
	b.relay.Rated = func() bool { return b.settings().rated }
}

// repeatsWithin is for how long refusals by one limit of one client are told as one.
const repeatsWithin = 10 * time.Second

// sharesOf are what a connect for a registered service takes part in, the narrowest first.
func (b *Broker) sharesOf(service string, rule *relay.Rule) []*limits.Share {
	s := &b.limiting.shares
	all := make([]*limits.Share, 0, 4)
	if rule != nil && limitedBy(&rule.Treatment) {
		all = append(all, s.Of(limits.OfRule, ruleName(rule)))
	}
	all = append(all, s.Of(limits.OfService, service))
	if tenant := b.tenantOf(service); tenant != "" {
		all = append(all, s.Of(limits.OfTenant, tenant))
	}
	return append(all, s.Of(limits.OfAll, ""))
}

func limitedBy(t *relay.Treatment) bool { return t.Rate > 0 || t.MaxSessions > 0 || t.Bandwidth > 0 }

// ruleName is by what a rule's Share is known again after a reload.
func ruleName(r *relay.Rule) string {
	if r.Group == "" {
		return r.Text
	}
	return r.Group + ": " + r.Text
}

// limitOf is how much a Share may be, by the settings in force.
func (b *Broker) limitOf(kind limits.Kind, name string) limits.Limit {
	s := b.settings()
	c := &s.config.Limits
	limit := limits.Limit{Wait: c.AcceptQueueWait}
	switch kind {
	case limits.OfAll:
		limit.Sessions, limit.Bandwidth = c.MaxSessions, c.Bandwidth
		limit.By = limits.Names{Sessions: "MAX_SESSIONS", Bandwidth: "BANDWIDTH"}
		if g := s.config.Gateways; g.Max > 0 || g.Connections > 0 {
			limit.By.Sessions = "MAX_SESSIONS (MAX_GATEWAY_PROCESSES times MAX_CONNECTIONS)"
		}
	case limits.OfTenant:
		if t := s.tenant(name); t != nil {
			limit.Rate, limit.Sessions, limit.Bandwidth = t.Rate, t.MaxSessions, t.Bandwidth
		}
		limit.By = limits.Names{Rate: "RATE of TENANT", Sessions: "MAX_SESSIONS of TENANT", Bandwidth: "BANDWIDTH of TENANT"}
	case limits.OfService:
		limit.Rate, limit.By = c.ServiceRate, limits.Names{Rate: "SERVICE_RATE", Sessions: "MAX_SESSIONS of SERVICE", Bandwidth: "BANDWIDTH of SERVICE"}
		if own := s.forService(name); own != nil {
			t := &own.Treatment
			limit.Sessions, limit.Bandwidth = t.MaxSessions, t.Bandwidth
			if t.Rate > 0 {
				limit.Rate, limit.By.Rate = t.Rate, "RATE of SERVICE"
			}
		}
	case limits.OfRule:
		t := s.ruleLimits[name]
		limit.Rate, limit.Sessions, limit.Bandwidth = t.Rate, t.MaxSessions, t.Bandwidth
		limit.By = limits.Names{Rate: "RATE of the rule", Sessions: "MAX_SESSIONS of the rule", Bandwidth: "BANDWIDTH of the rule"}
	}
	return limit
}

// ruleLimits are the limits of rules that have some, by their name.
func ruleLimits(c *Config) map[string]relay.Treatment {
	all := map[string]relay.Treatment{}
	for i := range c.Rules {
		if t := c.Rules[i].Treatment; limitedBy(&t) {
			all[ruleName(&c.Rules[i])] = t
		}
	}
	return all
}

// rated tells whether a share of a rule, a service or a tenant may have a rate, see limitOf.
func (c *Config) rated() bool {
	return c.Limits.ServiceRate > 0 ||
		slices.ContainsFunc(c.Rules, func(r relay.Rule) bool { return r.Rate > 0 }) ||
		slices.ContainsFunc(c.Services, func(s ServiceSetting) bool { return s.Treatment.Rate > 0 }) ||
		slices.ContainsFunc(c.Tenants, func(t Tenant) bool { return t.Rate > 0 })
}

// tenantOf names the tenant to whom a service belongs; "" if it belongs to none.
func (b *Broker) tenantOf(service string) string {
	if t := b.settings().tenantOf(service); t != nil {
		return t.Name
	}
	return ""
}

// tenantOf finds the first tenant one of whose patterns the service fits, nil if there is none.
func (s *settings) tenantOf(service string) *Tenant {
	if len(s.ofTenants) == 0 {
		return nil
	}
	folded := servicetable.Fold(service)
	for i := range s.config.Tenants {
		t := &s.config.Tenants[i]
		if slices.ContainsFunc(s.ofTenants[i], func(p servicetable.ServicePattern) bool { return p.Fits(folded) }) {
			return t
		}
	}
	return nil
}

// tenant finds a tenant by name, nil if there is none.
func (s *settings) tenant(name string) *Tenant {
	for i := range s.config.Tenants {
		if s.config.Tenants[i].Name == name {
			return &s.config.Tenants[i]
		}
	}
	return nil
}

// applyLimits puts the limits of the settings in force.
func (b *Broker) applyLimits() {
	l, c := &b.limiting, b.settings().config
	l.connections.Configure(leastLimit(c.Limits.MaxConnections, b.overload.descriptors.clients))
	l.sources.Configure(limits.SourceSettings{
		Rate: c.Limits.ClientRate, Wait: c.Limits.AcceptQueueWait,
		Count: c.Limits.IPRateCount, Interval: c.Limits.IPRateInterval, Block: c.Limits.IPRateBlock,
	})
	l.guesses.Configure(c.Limits.Guesses, guessMemory)
	l.listeners.configure(b.config.Listening, &c.Limits)
	b.applyKeepAlive()
	b.limiting.shares.Reconfigure()
	b.relay.Reshare()
}

// leastLimit is the lower one of two limits, of which 0 is none.
func leastLimit(a, b int) int {
	if a == 0 || b > 0 && b < a {
		return b
	}
	return a
}

func newListenerRates(n int, listening []ListenSettings, room *limits.Count) listenerRates {
	r := listenerRates{own: make([]*limits.Rate, n), under: make([]bool, n), together: &limits.Rate{Room: room}}
	for i := range r.own {
		r.own[i] = &limits.Rate{Room: room}
		r.under[i] = i < len(listening) && listening[i].RateLimited && listening[i].Rate == 0
	}
	return r
}

// configure puts the rates in force. Which addresses are under which waits for a restart,
// as all that an ADDRESS says.
func (r *listenerRates) configure(listening []ListenSettings, l *Limits) {
	for i := range min(len(listening), len(r.own)) {
		r.own[i].Configure(listening[i].Rate, l.AcceptQueueWait)
	}
	r.together.Configure(l.ConnectionRate, l.AcceptQueueWait)
}

// heldFor is the tenant whose share of MAX_HELD a connect for a service takes, and how
// much that is at most; 0: it has no share of its own.
func (b *Broker) heldFor(service string) (tenant string, most int) {
	s := b.settings()
	registered := cmp.Or(b.table.Snapshot().Named(service), service)
	if t := s.tenantOf(registered); t != nil && t.MaxHeld > 0 {
		return t.Name, t.MaxHeld
	}
	return "", 0
}
