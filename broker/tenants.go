package broker

import (
	"errors"
	"fmt"
	"strings"

	"servicebroker/descriptor"
)

// Tenant is who shares the broker with others: some services, and how much they may take
// together. Of limits 0 is none.
type Tenant struct {
	Name        string
	Services    []string // patterns; * stands for any text. A service belongs to the first tenant that it fits
	MaxSessions int      // relayed sessions at a time
	Rate        float64  // connects a second
	Bandwidth   int64    // bytes a second, each way
	MaxHeld     int      // connects that wait for a service that is away
}

// addTenant reads one (TENANT=(NAME=…)(SERVICES=…)…).
func addTenant(c *Config, n *descriptor.Node) error {
	var t Tenant
	err := readFields(n, []field{
		textField("NAME", &t.Name),
		{"SERVICES", func(n *descriptor.Node) error {
			if t.Services = append(t.Services, listOf(n)...); len(t.Services) == 0 {
				return errNoValue
			}
			return nil
		}},
		intField("MAX_SESSIONS", 1, 10_000_000, &t.MaxSessions),
		intField("MAX_HELD", 1, 1_000_000, &t.MaxHeld),
		{"RATE", func(n *descriptor.Node) (err error) {
			if t.Rate, err = ParseRate(n.Value); err == nil && t.Rate == 0 {
				err = errLimitsNothing
			}
			return err
		}},
		{"BANDWIDTH", func(n *descriptor.Node) (err error) {
			if t.Bandwidth, err = ParseSize(n.Value); err == nil && t.Bandwidth == 0 {
				err = errLimitsNothing
			}
			return err
		}},
	})
	switch {
	case err != nil:
		return err
	case t.Name == "":
		return errors.New("it has no NAME: write for example (TENANT=(NAME=payroll)(SERVICES=pay*)(MAX_SESSIONS=500))")
	case len(t.Services) == 0:
		return errors.New("it has no SERVICES: name those that belong to it, for example (SERVICES=pay*,hr*)")
	}
	for i := range c.Tenants {
		if strings.EqualFold(c.Tenants[i].Name, t.Name) {
			return fmt.Errorf("%s is there already: list all its services in one TENANT, or rename one", t.Name)
		}
	}
	c.Tenants = append(c.Tenants, t)
	return nil
}
