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
	Log      *slog.Logger

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
	var found, told []Maintenance
	var doubted time.Time // until then nothing leaves maintenance
	everTold := false
	f := following{Client: w.Client, fail: w.fail, wait: 30 * time.Second}
	f.ask = func(q *api.QueryOptions) (*api.QueryMeta, error) {
		client, err := w.Client.open()
		if err != nil {
			return nil, err
		}
		q.Filter = `CheckID == "` + nodeMaintenance + `" or CheckID matches "^` + serviceMaintenance + `"`
		checks, meta, err := client.Health().State(api.HealthCritical, q)
		if err == nil {
			found = inMaintenance(checks)
			w.fail(nil)
		}
		return meta, err
	}
	f.seen = func(lost bool) {
		if lost {
			distrust := w.Distrust
			if distrust == 0 {
				distrust = 5 * time.Minute
			}
			doubted = time.Now().Add(distrust)
		}
		now := found
		if time.Now().Before(doubted) {
			now = slices.Concat(found, told)
			slices.SortFunc(now, compareMaintenance)
			now = slices.CompactFunc(now, func(a, b Maintenance) bool { return a.Node == b.Node && a.ServiceID == b.ServiceID })
		}
		if !everTold || !slices.Equal(now, told) {
			everTold, told = true, now
			w.Changed(slices.Clone(now))
		}
	}
	f.run(ctx)
}

func compareMaintenance(a, b Maintenance) int {
	return strings.Compare(a.Node+"\x00"+a.ServiceID, b.Node+"\x00"+b.ServiceID)
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
