package broker

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"servicebroker/discovery/consul"
	"servicebroker/moment"
	"servicebroker/servicetable"
	"servicebroker/wholefile"
)

// maintained is a node or service that operators have put into maintenance mode in Consul.
type maintained struct {
	consul.Maintenance
	Since time.Time // heard of
}

// maintenanceFile is what was in maintenance, for a start while Consul is away.
type maintenanceFile struct {
	Format      int          `json:"format"`
	Maintenance []maintained `json:"maintenance"`
}

const maintenanceFormat = 1

// consulMaintenance is all that Consul has in maintenance mode.
type consulMaintenance struct {
	list atomic.Pointer[[]maintained]
	path string // "": it is not kept
}

func (m *consulMaintenance) all() []maintained {
	if list := m.list.Load(); list != nil {
		return *list
	}
	return nil
}

// read takes over what was kept.
func (m *consulMaintenance) read() error {
	if m.path == "" {
		return nil
	}
	content, err := os.ReadFile(m.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var kept maintenanceFile
	if err == nil {
		err = json.Unmarshal(content, &kept)
	}
	if err == nil && kept.Format > maintenanceFormat {
		err = fmt.Errorf("format %d is of a newer version", kept.Format)
	}
	if err != nil {
		return fmt.Errorf("%s: %w: until Consul answers, nothing is in maintenance by its word", m.path, err)
	}
	for n := range kept.Maintenance {
		if one := &kept.Maintenance[n]; moment.InUTC("Since", &one.Since) != nil {
			one.Since = time.Now()
		}
	}
	m.list.Store(&kept.Maintenance)
	return nil
}

// set has all be in maintenance from now on.
func (m *consulMaintenance) set(all []consul.Maintenance, now time.Time) error {
	before := m.all()
	list := make([]maintained, len(all))
	for n, one := range all {
		list[n] = maintained{one, now}
		same := func(o maintained) bool { return o.Node == one.Node && o.ServiceID == one.ServiceID }
		if at := slices.IndexFunc(before, same); at >= 0 {
			list[n].Since = before[at].Since
		}
	}
	m.list.Store(&list)
	if m.path == "" {
		return nil
	}
	content, err := json.Marshal(maintenanceFile{maintenanceFormat, list})
	if err != nil {
		return err
	}
	return wholefile.Replace(m.path, content)
}

// openMaintenance prepares to follow maintenance mode.
func (b *Broker) openMaintenance() {
	l := b.consul
	l.maintenance.path = b.stateFile("consul-maintenance.json")
	if err := l.maintenance.read(); err != nil {
		b.log.Warn("maintenance mode in Consul", "cause", err.Error())
	}
	var known []consul.Maintenance
	for _, one := range l.maintenance.all() {
		known = append(known, one.Maintenance)
	}
	l.watch = &consul.Watch{Client: l.client, Known: known, Log: b.log.With("component", "consul"), Changed: b.maintenanceChanged}
}

// maintenanceChanged drains what is in maintenance, and nothing else for that reason.
func (b *Broker) maintenanceChanged(all []consul.Maintenance) {
	l := b.consul
	before := l.maintenance.all()
	if err := l.maintenance.set(all, time.Now()); err != nil {
		b.log.Warn("what is in maintenance in Consul cannot be kept for the next start", "cause", err.Error())
	}
	if len(before)+len(all) == 0 {
		return
	}
	b.rejudge()
	var names []string
	for _, one := range all {
		names = append(names, one.Node+" "+one.ServiceID)
	}
	b.log.Info("maintenance mode in Consul", "in_maintenance", names)
}

// maintain marks what Consul has in maintenance mode. A mark that an operator of this broker's set stays as it is.
func (b *Broker) maintain(r *servicetable.Registration) {
	if b.consul == nil {
		return
	}
	for _, one := range b.consul.maintenance.all() {
		mark := servicetable.Mark{Kind: servicetable.Maintenance, Cause: "consul", Since: one.Since}
		if one.Reason != "" {
			mark.Cause += ": " + one.Reason
		}
		if one.ServiceID == "" {
			if one.About("", r.Key(), r.Host) && !inMaintenance(r.Marks) {
				r.Marks = append(r.Marks, mark)
			}
			continue
		}
		for i := range r.Services {
			if s := &r.Services[i]; one.About(s.Name, r.Key(), r.Host) && !inMaintenance(s.Marks) && !inMaintenance(r.Marks) {
				s.Marks = append(s.Marks, mark)
			}
		}
	}
}

func inMaintenance(marks []servicetable.Mark) bool {
	return slices.ContainsFunc(marks, func(m servicetable.Mark) bool { return m.Kind == servicetable.Maintenance })
}
