package broker

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"servicebroker/descriptor"
	"servicebroker/servicetable"
)

// addStaticService reads one (STATIC_SERVICE=(NAME=…)(ADDRESS=…)…).
func addStaticService(c *Config, n *descriptor.Node) error {
	var s StaticService
	capacity := 0
	err := readFields(n, []field{
		textField("NAME", &s.Name), textField("INSTANCE", &s.Instance), addressField("ADDRESS", &s.Address),
		intField("TIER", 0, 1000, &s.Tier), textField("ZONE", &s.Zone), intField("MAX", 1, 1_000_000, &capacity),
	})
	switch {
	case err != nil:
		return err
	case s.Name == "":
		return fmt.Errorf("it has no NAME: write %s", staticExample)
	case s.Address.Host == "":
		return fmt.Errorf("it has no ADDRESS: write %s", staticExample)
	case strings.ContainsAny(s.Name, "*,"):
		return fmt.Errorf("NAME=%s: a static service has one name: write one STATIC_SERVICE for each", s.Name)
	}
	s.Max = uint32(capacity)
	c.StaticServices = append(c.StaticServices, s)
	return nil
}

const staticExample = "(STATIC_SERVICE=(NAME=sales)(INSTANCE=sales1)(ADDRESS=(PROTOCOL=tcp)(HOST=db1)(PORT=1521)))"

// key tells a static service from others.
func (s *StaticService) key() string {
	return strings.ToLower(s.Name + "|" + s.Instance + "|" + s.Address.HostPort())
}

// StaticRegistrations returns what STATIC_SERVICE makes of the table: one registration for
// each instance, or for each host where the instance is not known, with an ID that stays the
// same as long as these do.
func (c *Config) StaticRegistrations() []servicetable.Registration {
	b := staticBuilder{places: map[string]int{}}
	for i := range c.StaticServices {
		b.add(&c.StaticServices[i])
	}
	return b.all
}

// staticBuilder puts registrations together.
type staticBuilder struct {
	all    []servicetable.Registration
	places map[string]int // of registrations, services and handlers, by what they are
}

// place returns where the thing of that name is, or is to be appended.
func (b *staticBuilder) place(next int, name ...string) (at int, known bool) {
	key := strings.Join(name, "|")
	if at, known = b.places[key]; !known {
		b.places[key], at = next, next
	}
	return at, known
}

func (b *staticBuilder) add(s *StaticService) {
	id := s.id()
	at, known := b.place(len(b.all), string(id))
	if !known {
		b.all = append(b.all, servicetable.Registration{
			ID: id, Instance: s.Instance, Host: s.Address.Host, HostRaw: "(HOST=" + s.Address.Host + ")",
			Static: true, Tier: s.Tier, Zone: s.Zone,
		})
	}
	r := &b.all[at]
	r.Max = max(r.Max, s.Max)
	service, known := b.place(len(r.Services), string(id), "service", strings.ToLower(s.Name))
	if !known {
		r.Services = append(r.Services, servicetable.Service{Name: s.Name, Flags: servicetable.FlagUnblocked})
	}
	address := strings.ToLower(s.Address.HostPort())
	handler, known := b.place(len(r.Handlers), string(id), "handler", address)
	if !known {
		r.Handlers = append(r.Handlers, servicetable.Handler{
			Name: b.handlerName(strings.ToLower(r.Key()), address), Kind: servicetable.Dedicated,
			Protocol: s.Address.Protocol, Host: s.Address.Host, Port: s.Address.Port, Address: s.Address.String(), Info: "REMOTE SERVER",
		})
	}
	r.Handlers[handler].Services = append(r.Handlers[handler].Services, service)
}

// handlerName names the handler at the address: one name for each of the instance, even if
// that has several registrations, since marks go by it.
func (b *staticBuilder) handlerName(instance, address string) string {
	counter := instance + "|handlers"
	number, known := b.place(b.places[counter], instance, "number", address)
	if !known {
		b.places[counter]++
	}
	if number == 0 {
		return "DEDICATED"
	}
	return fmt.Sprintf("DEDICATED%d", number+1)
}

// id names the registration that the service belongs to.
func (s *StaticService) id() servicetable.ID {
	name := strings.ToLower(s.Instance + "@" + s.Address.Host)
	if s.Tier > 0 || s.Zone != "" {
		name += fmt.Sprintf("#%d%s", s.Tier, s.Zone)
	}
	return servicetable.ID("static:" + name)
}

// applyStatic brings what the table has of static services in line with the configuration.
// Those that stay the same are not touched.
func (b *Broker) applyStatic(before, after *Config) {
	old := map[servicetable.ID]servicetable.Registration{}
	if before != nil {
		for _, r := range before.StaticRegistrations() {
			old[r.ID] = r
		}
	}
	for _, r := range after.StaticRegistrations() {
		if was, there := old[r.ID]; !there || !sameStaticRegistration(&was, &r) {
			r.RegisteredAt = time.Now()
			b.registered(r)
		}
		delete(old, r.ID)
	}
	for id := range maps.Keys(old) {
		b.withdrawn(id)
	}
}

func sameStaticRegistration(a, b *servicetable.Registration) bool {
	return a.Max == b.Max && a.Host == b.Host && a.Instance == b.Instance &&
		slices.EqualFunc(a.Services, b.Services, func(x, y servicetable.Service) bool { return x.Name == y.Name }) &&
		slices.EqualFunc(a.Handlers, b.Handlers, func(x, y servicetable.Handler) bool {
			return x.Name == y.Name && x.Address == y.Address && slices.Equal(x.Services, y.Services)
		})
}

// staticByID finds what the configuration says of static registrations.
func (c *Config) staticByID() map[servicetable.ID]*StaticService {
	found := map[servicetable.ID]*StaticService{}
	for i := range c.StaticServices {
		found[c.StaticServices[i].id()] = &c.StaticServices[i]
	}
	return found
}

// keepStatic gives a static registration back the tier and zone of its STATIC_SERVICE, which
// go before those of a REGISTRANT rule.
func (s *settings) keepStatic(r *servicetable.Registration) {
	own := s.static[r.ID]
	if !r.Static || own == nil {
		return
	}
	if own.Tier > 0 {
		r.Tier = own.Tier
	}
	if own.Zone != "" {
		r.Zone = own.Zone
	}
}
