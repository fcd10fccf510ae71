package broker

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"servicebroker/console"
	"servicebroker/descriptor"
	"servicebroker/intent"
	"servicebroker/registration"
	"servicebroker/servicetable"
)

// addRegistrant reads one (REGISTRANT=(NAME=…)(SRC=…)…).
func addRegistrant(c *Config, n *descriptor.Node) (err error) {
	rule := registration.RegistrantRule{Line: n.Line}
	for _, child := range n.Children {
		switch strings.ToUpper(child.Name) {
		case "NAME":
			rule.Name = child.Value
		case "SRC":
			rule.Sources = append(rule.Sources, listOf(child)...)
		case "SERVICES":
			rule.Services = append(rule.Services, listOf(child)...)
		case "HANDLERS":
			rule.Handlers = append(rule.Handlers, listOf(child)...)
		case "DN":
			rule.DN = child.Value
		case "TIER":
			if rule.Tier, err = strconv.Atoi(child.Value); err != nil || rule.Tier < 0 || rule.Tier > 1000 {
				return fmt.Errorf("TIER=%s is not a number from 0 to 1000; lower ones are used first", child.Value)
			}
		case "ZONE":
			rule.Zone = child.Value
		default:
			return fmt.Errorf("%s: no such setting: %s", child.Name,
				oneMeant(child.Name, []string{"NAME", "SRC", "SERVICES", "HANDLERS", "DN", "TIER", "ZONE"}))
		}
	}
	c.Registrants = append(c.Registrants, rule)
	_, err = registration.NewRegistrants(c.Registrants)
	return err
}

// judgeRegistrant says whom a registration belongs to, and whether it is trusted.
func (b *Broker) judgeRegistrant(r *servicetable.Registration) {
	s := b.settings()
	s.registrants.Judge(r)
	s.keepStatic(r)
}

// decided tells what operators said of a quarantined registration.
func (b *Broker) decided(id string) (approved, rejected bool) {
	return intent.Decided(b.operations.store.All(), id)
}

// Quarantine lists what is not used before an operator decides.
func (b *Broker) Quarantine() []console.QuarantineEntry {
	entries := b.settings().registrants.Quarantine(b.table.Snapshot().Registrations())
	all := make([]console.QuarantineEntry, len(entries))
	for i, e := range entries {
		all[i] = console.QuarantineEntry{
			ID: e.ID, Service: e.Service, Instance: e.Instance, Peer: e.Peer.String(), Database: e.Database, Cause: e.Cause, Since: e.Since, Rejected: e.Rejected,
		}
	}
	return all
}

// decision finds what an approval or rejection that names service, instance and peer is about.
func (b *Broker) decision(i intent.Intent) intent.Intent {
	if i.Target.Quarantine != "" {
		return i
	}
	for _, e := range b.Quarantine() {
		if strings.EqualFold(e.Service, i.Target.Service) && strings.EqualFold(e.Instance, i.Target.Instance) && samePeer(e.Peer, i.Target.Network) {
			i.Target = intent.Target{Quarantine: e.ID}
			return i
		}
	}
	return i
}

func samePeer(peer, network string) bool {
	a, err := netip.ParseAddr(peer)
	n, err2 := netip.ParsePrefix(network)
	return err == nil && err2 == nil && n.IsSingleIP() && n.Addr() == a || network == "" || network == peer
}

// SetLoad takes in figures that somebody else measured.
func (b *Broker) SetLoad(l console.LoadReport) error {
	b.changing.Lock()
	defer b.changing.Unlock()
	found := false
	for _, known := range b.known.of(l.Instance) {
		if known.Static {
			continue
		}
		found = true
		b.table.Amend(known.ID, func(r *servicetable.Registration) {
			takeLoad(r, l)
			r.LoadAt, r.LoadSource = time.Now(), "feed"
			b.known.put(clone(r))
		})
	}
	if !found {
		return fmt.Errorf("%w: no instance %s", console.ErrNotFound, l.Instance)
	}
	return nil
}

// takeLoad enters the figures that a report has.
func takeLoad(r *servicetable.Registration, l console.LoadReport) {
	for _, f := range []struct {
		to   *uint32
		from *uint32
	}{{&r.Load, l.Load}, {&r.Max, l.Max}, {&r.NodeLoad, l.NodeLoad}, {&r.NodeMax, l.NodeMax}} {
		if f.from != nil {
			*f.to = *f.from
		}
	}
	for i := range r.Services {
		for name, figures := range l.Services {
			if !strings.EqualFold(name, r.Services[i].Name) {
				continue
			}
			if figures.Goodness != nil {
				r.Services[i].Goodness = *figures.Goodness
			}
			if figures.Delta != nil {
				r.Services[i].Delta = *figures.Delta
			}
		}
	}
}

// clone copies what the table may use again.
func clone(r *servicetable.Registration) *servicetable.Registration {
	c := *r
	c.Services = append([]servicetable.Service(nil), r.Services...)
	c.Marks = append([]servicetable.Mark(nil), r.Marks...)
	return &c
}
