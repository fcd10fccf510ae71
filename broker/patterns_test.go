package broker

import (
	"testing"

	"servicebroker/intent"
	"servicebroker/journal"
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
			s := settings{config: &Config{Services: []ServiceSetting{{Pattern: pattern}}}}
			if got := s.forService(service) != nil; got != want {
				t.Errorf("SERVICE: %s fits %s: %v", pattern, service, got)
			}
		}
	}
}
