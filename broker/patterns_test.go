package broker

import (
	"testing"

	"servicebroker/intent"
	"servicebroker/journal"
	"servicebroker/relay"
	"servicebroker/servicetable"
)

// A pattern of services means the same to all who take one; those that import nothing have it in their own words.
func TestPatternsMeanTheSameEverywhere(t *testing.T) {
	patterns := []string{"sales", "SALES*", "*sales", "s*s", "*", "sales.x", "*.x", "sales.*", "s?les", "[s]ales", ".sales", "a*b*c", "ÄRGER"}
	services := []string{"sales", "Sales.x", "sales1", "mysales.y", "sales.y", ".sales", "s?les", "[s]ales", "axbxc", "ärger", "hr", "sales.x.y"}
	for _, pattern := range patterns {
		for _, service := range services {
			want := servicetable.ServiceFits(pattern, service)
			if got := (intent.Target{Service: pattern}).Matches(intent.Subject{Service: service}); got != want {
				t.Errorf("intents: %s fits %s: %v", pattern, service, got)
			}
			var j journal.Journal
			j.Add(journal.Event{Kind: journal.ServiceUp, Service: service})
			if got := len(j.Events(journal.Filter{Service: pattern})) == 1; got != want {
				t.Errorf("events: %s fits %s: %v", pattern, service, got)
			}
			s := newSettings(&Config{Services: []ServiceSetting{{Pattern: pattern}}}, nil, nil)
			if got := s.forService(service) != nil; got != want {
				t.Errorf("SERVICE: %s fits %s: %v", pattern, service, got)
			}
		}
	}
}

func TestSettingsKnowWhetherThereAreRates(t *testing.T) {
	rated := relay.Treatment{Rate: 1}
	for name, of := range map[string]struct {
		config Config
		want   bool
	}{
		"none":         {Config{Rules: relay.Rules{{}}, Services: []ServiceSetting{{}}, Tenants: []Tenant{{}}}, false},
		"SERVICE_RATE": {Config{Limits: Limits{ServiceRate: 1}}, true},
		"of a rule":    {Config{Rules: relay.Rules{{}, {Treatment: rated}}}, true},
		"of a service": {Config{Services: []ServiceSetting{{}, {Treatment: rated}}}, true},
		"of a tenant":  {Config{Tenants: []Tenant{{}, {Rate: 1}}}, true},
	} {
		if got := newSettings(&of.config, nil, nil).rated; got != of.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestTheFirstTenantThatFitsHasAService(t *testing.T) {
	s := newSettings(&Config{Tenants: []Tenant{{Name: "one", Services: []string{"Pay*", "hr.a"}}, {Name: "two", Services: []string{"payroll", "hr"}}}}, nil, nil)
	for service, want := range map[string]string{"PAYROLL.x": "one", "payroll": "one", "HR.A": "one", "hr": "two", "hr.b": "two", "sales": ""} {
		name := ""
		if of := s.tenantOf(service); of != nil {
			name = of.Name
		}
		if name != want {
			t.Errorf("%s belongs to %q, want %q", service, name, want)
		}
	}
}
