package broker

import (
	"time"

	"servicebroker/failover"
	"servicebroker/loadbalance"
	"servicebroker/registration"
	"servicebroker/relay"
	"servicebroker/servicetable"
)

// settings is what a reload replaces, whole. It never changes.
type settings struct {
	config      *Config
	registrants *registration.Registrants
	static      map[servicetable.ID]*StaticService
	all         relay.Treatment                 // of connects that nothing else is said about
	redirects   bool                            // some clients are redirected, or all
	rated       bool                            // there are rates at which some may connect to a service
	ofServices  []servicetable.ServicePattern   // of config.Services
	ofTenants   [][]servicetable.ServicePattern // of config.Tenants
	ruleLimits  map[string]relay.Treatment      // of rules that have some
	rules       *relay.RuleSet                  // about clients; nil: everyone may have everything
	routes      *relay.Routes                   // where connects go that are not left to the table
	admin       *relay.RuleSet                  // about administration; nil: there are none
}

// newSettings makes settings of a configuration; before are those it replaces, or nil.
func newSettings(c *Config, registrants *registration.Registrants, before *settings) *settings {
	if before == nil {
		before = &settings{}
	}
	redirects := c.Mode == relay.ModeRedirect
	for i := range c.Rules {
		redirects = redirects || c.Rules[i].Mode == relay.ModeRedirect
	}
	for i := range c.Services {
		redirects = redirects || c.Services[i].Treatment.Mode == relay.ModeRedirect
	}
	s := &settings{config: c, registrants: registrants, ruleLimits: ruleLimits(c), static: c.staticByID(), redirects: redirects, rated: c.rated(), all: relay.Treatment{
		Mode: c.Mode, Policy: c.Policy.String(), AttemptTimeout: c.AttemptTimeout,
		HoldTimeout: c.HoldTimeout, HoldSet: true,
		IdleTimeout: relay.TimeoutOf(c.IdleTimeout), SessionTimeout: relay.TimeoutOf(c.SessionTimeout),
		DialTimeout: relay.TimeoutOf(c.DialTimeout),
	}}
	for i := range c.Services {
		s.ofServices = append(s.ofServices, servicetable.CompileServicePattern(c.Services[i].Pattern))
	}
	for i := range c.Tenants {
		s.ofTenants = append(s.ofTenants, servicetable.CompileServicePatterns(c.Tenants[i].Services))
	}
	s.routes = c.routes()
	if c.Rules != nil {
		s.rules = relay.CompileRules(c.Rules, before.rules)
	}
	if c.AdminRules != nil {
		s.admin = relay.CompileRules(c.AdminRules, before.admin)
	}
	return s
}

func (b *Broker) settings() *settings { return b.current.Load() }

// forService finds what is different for a service, nil if nothing is.
func (s *settings) forService(name string) *ServiceSetting {
	if len(s.ofServices) == 0 {
		return nil
	}
	name = servicetable.Fold(name)
	for i := range s.ofServices {
		if s.ofServices[i].Fits(name) {
			return &s.config.Services[i]
		}
	}
	return nil
}

// treatment is how connects for a service are treated where no rule says otherwise.
func (s *settings) treatment(service string) relay.Treatment {
	if own := s.forService(service); own != nil {
		return own.Treatment.Or(s.all)
	}
	return s.all
}

func (s *settings) tiersFor(q servicetable.Query) *loadbalance.Tiers {
	if own := s.forService(q.Service); own != nil {
		return own.Tiers
	}
	return nil
}

// apply puts a configuration in force, as far as it can be while the broker runs.
func (b *Broker) apply(c *Config) {
	registrants, err := registration.NewRegistrants(c.Registrants)
	if err != nil { // as it was read, it was good
		b.log.Error("REGISTRANT", "cause", err.Error())
	}
	registrants.Decided = b.decided
	before := b.current.Load()
	if before != nil {
		registrants.Follow(before.registrants)
	}
	b.current.Store(newSettings(c, registrants, before))
	b.configureLogs(c)
	nudge(b.rulesChanged)
	b.applyLimits()
	b.applyDNS(c)
	b.dialer.Configure(c.longestAttempt())
	b.applyPeers(c)
	b.balance()
	b.holder.Configure(failover.HoldSettings{
		Timeout: offIfZero(c.HoldTimeout), Memory: offIfZero(c.HoldMemory), Max: c.MaxHeld,
		ServiceShare: c.HoldShare, Rate: c.HoldRate, DryRun: c.HoldDryRun,
	})
}

// offIfZero translates: where the configuration has 0 for "off", components have less
// than 0, and their 0 is the default.
func offIfZero(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
}
