package consul

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"
)

// Maintenance is one node or service that operators have put into maintenance mode in Consul.
type Maintenance struct {
	Node      string // name of the node
	Service   string // name of the service there; "" for the whole node
	ServiceID string // its ID; "" for the whole node
	Reason    string
}

// About reports whether m is about a service at an instance of a host: its node is the host's, by its own name, its first label, or as the
// external node that brokers make; and its service is that one, by ID or by name. service is as registered, key "instance@host".
func (m *Maintenance) About(service, key, host string) bool {
	short, _, _ := strings.Cut(host, ".")
	nodeIs := func(name string) bool { return strings.EqualFold(m.Node, name) }
	if !nodeIs(host) && !nodeIs(short) && !nodeIs(NodeName(host)) {
		return false
	}
	return m.ServiceID == "" || strings.EqualFold(m.ServiceID, service+":"+key) ||
		strings.EqualFold(m.Service, service) || m.Service == serviceRule.Name(strings.ToLower(service)) && !strings.Contains(m.ServiceID, ":")
}

// Watch follows the maintenance mode of nodes and services. While Consul is away, all stays as it was.
type Watch struct {
	Client  *Client
	Changed func([]Maintenance) // told of all that is in maintenance whenever that changes, sorted; never at the same time twice
	// Distrust is for how long what was in maintenance stays so after Consul lost its memory and no longer says so; 0: 5 minutes.
	Distrust time.Duration
	// Forget is for how long what was in maintenance stays so where Consul does not have the node or service itself any more, so that
	// nothing says whether it is over; 0: 1 hour.
	Forget time.Duration
	// Known is what was in maintenance when somebody ran here before. Whether Consul has lost its memory since is not known, and it is
	// doubted as if it had.
	Known []Maintenance
	Log   *slog.Logger

	mu      sync.Mutex // guards what follows
	failure string
}

const (
	nodeMaintenance    = "_node_maintenance"
	serviceMaintenance = "_service_maintenance:"
)

// Failure says why Consul cannot be followed; "" if it is.
func (w *Watch) Failure() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.failure
}

func (w *Watch) fail(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	w.mu.Lock()
	before := w.failure
	w.failure = text
	w.mu.Unlock()
	if w.Log != nil && before == "" && text != "" {
		w.Log.Warn("maintenance mode in Consul cannot be followed: what was in maintenance stays so", "cause", text)
	}
}

// Run follows until ctx ends.
func (w *Watch) Run(ctx context.Context) {
	l := &listening{Watch: w, told: slices.SortedFunc(slices.Values(w.Known), compareMaintenance), missing: map[string]time.Time{}}
	if len(w.Known) > 0 {
		l.doubted = time.Now().Add(orDefault(w.Distrust, 5*time.Minute))
	}
	f := following{Client: w.Client, fail: w.fail, wait: 30 * time.Second}
	f.ask, f.seen = l.ask, l.seen
	f.run(ctx)
}

// listening is what Run remembers.
type listening struct {
	*Watch
	found    []Maintenance // in Consul now
	over     map[string]bool
	told     []Maintenance
	everTold bool
	missing  map[string]time.Time // since when neither maintenance nor what it was about is there
	doubted  time.Time            // until then nothing leaves maintenance
}

func (l *listening) ask(q *api.QueryOptions) (*api.QueryMeta, error) {
	client, err := l.Client.open()
	if err != nil {
		return nil, err
	}
	q.Filter = `CheckID == "` + nodeMaintenance + `" or CheckID matches "^` + serviceMaintenance + `"`
	checks, meta, err := client.Health().State(api.HealthCritical, q)
	if err == nil {
		err = whole(checks, anything)
	}
	if err != nil {
		return nil, err
	}
	l.found = inMaintenance(checks)
	if err := l.confirm(q.Context(), client); err != nil {
		return nil, err
	}
	l.fail(nil)
	return meta, nil
}

// confirm finds out of what is not in maintenance any more whether Consul still has it: only then somebody has lifted that.
func (l *listening) confirm(ctx context.Context, client *api.Client) error {
	l.over = map[string]bool{}
	for _, m := range l.told {
		if slices.ContainsFunc(l.found, m.sameThing) {
			continue
		}
		q, cancel := l.Client.query(ctx)
		node, _, err := client.Catalog().Node(m.Node, q)
		cancel()
		if err != nil {
			return err
		}
		if node != nil && node.Node != nil && (m.ServiceID == "" || node.Services[m.ServiceID] != nil) {
			l.over[m.thing()] = true
		}
	}
	return nil
}

func (l *listening) seen(lost bool) {
	now := time.Now()
	if lost {
		l.doubted = now.Add(orDefault(l.Distrust, 5*time.Minute))
	}
	all := slices.Clone(l.found)
	for _, m := range l.told {
		if slices.ContainsFunc(l.found, m.sameThing) {
			delete(l.missing, m.thing())
			continue
		}
		if !l.over[m.thing()] && l.missing[m.thing()].IsZero() {
			l.missing[m.thing()] = now
		}
		forgotten := !l.over[m.thing()] && now.Sub(l.missing[m.thing()]) >= orDefault(l.Forget, time.Hour)
		if now.Before(l.doubted) || !l.over[m.thing()] && !forgotten {
			all = append(all, m)
			continue
		}
		delete(l.missing, m.thing())
	}
	slices.SortFunc(all, compareMaintenance)
	if !l.everTold || !slices.Equal(all, l.told) {
		l.everTold, l.told = true, all
		l.Changed(slices.Clone(all))
	}
}

// thing names what is in maintenance.
func (m *Maintenance) thing() string { return m.Node + "\x00" + m.ServiceID }

func (m *Maintenance) sameThing(o Maintenance) bool { return m.thing() == o.thing() }

func compareMaintenance(a, b Maintenance) int {
	return strings.Compare(a.thing(), b.thing())
}

func inMaintenance(checks api.HealthChecks) []Maintenance {
	var all []Maintenance
	for _, c := range checks {
		reason := c.Notes
		if reason == "" {
			reason = c.Output
		}
		if c.CheckID == nodeMaintenance {
			all = append(all, Maintenance{Node: c.Node, Reason: reason})
		} else if id, is := strings.CutPrefix(c.CheckID, serviceMaintenance); is {
			all = append(all, Maintenance{Node: c.Node, Service: c.ServiceName, ServiceID: id, Reason: reason})
		}
	}
	slices.SortFunc(all, compareMaintenance)
	return all
}
