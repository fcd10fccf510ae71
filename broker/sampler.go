package broker

import (
	"runtime"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"servicebroker/descriptor"
	"servicebroker/intent"
	"servicebroker/relay"
	"servicebroker/servicetable"
)

// Bounds on what is shown one by one.
const (
	maxRuleLabels     = 200 // of each list
	maxInstanceLabels = 200
)

// sampler looks up what need not be counted as it happens, whenever somebody asks for
// metrics. It is a prometheus.Collector.
type sampler struct {
	*Broker
	counts *metrics
	known  map[string]*described
}

type described struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

func newSampler(b *Broker, m *metrics) *sampler {
	s := &sampler{Broker: b, counts: m, known: map[string]*described{}}
	for _, one := range metricTable() {
		if one.tally {
			continue
		}
		d := &described{prometheus.NewDesc(one.fullName(), one.help, one.labels, nil), prometheus.GaugeValue}
		if one.kind == counter {
			d.kind = prometheus.CounterValue
		}
		s.known[one.name] = d
	}
	return s
}

// Describe lists what there can be.
func (s *sampler) Describe(all chan<- *prometheus.Desc) {
	for _, d := range s.known {
		all <- d.desc
	}
}

// Collect looks everything up.
func (s *sampler) Collect(all chan<- prometheus.Metric) {
	out := sink{s.known, all, map[string]bool{}}
	for _, look := range []func(sink){
		s.sampleConnects, s.sampleSessions, s.sampleTable, s.sampleBroker, s.sampleArrivals, s.sampleRejected, s.sampleGuesses, s.sampleLimits, s.sampleRoom, s.sampleCertificates, s.sampleLogins, s.sampleLogs, s.sampleConfig, s.sampleMirrors, s.sampleDNS, s.sampleGenerations, s.samplePeers,
	} {
		look(out)
	}
}

// sink takes samples by the names of the table of metrics.
type sink struct {
	known map[string]*described
	all   chan<- prometheus.Metric
	once  map[string]bool // what was put: a second one of the same labels would spoil all
}

func (o sink) put(name string, value float64, labels ...string) {
	d := o.known[name]
	for i := range labels {
		labels[i] = descriptor.Escape(strings.ToValidUTF8(labels[i], "?"))
	}
	key := name + "\x00" + strings.Join(labels, "\x00")
	if o.once[key] {
		return
	}
	o.once[key] = true
	m, err := prometheus.NewConstMetric(d.desc, d.kind, value, labels...)
	if err != nil {
		m = prometheus.NewInvalidMetric(d.desc, err)
	}
	o.all <- m
}

func (s *sampler) sampleConnects(out sink) {
	c := s.holder.Counters()
	out.put("held_connects", float64(c.HeldNow))
	out.put("holds_total", float64(c.Held))
	for outcome, n := range map[string]uint64{"connected": c.Connected, "failed": c.Failed, "expired": c.Expired, "left": c.Left, "stopped": c.Stopped} {
		out.put("hold_ends_total", float64(n), outcome)
	}
	out.put("holds_refused_total", float64(c.Full), "full")
	out.put("holds_refused_total", float64(c.WouldHold), "dry_run")
	settings := s.settings()
	for list, rules := range map[string]*relay.RuleSet{"clients": settings.rules, "administration": settings.admin} {
		for i, one := range rules.Status() {
			if i == maxRuleLabels {
				break
			}
			out.put("rule_hits_total", float64(one.Matched), list, one.Name, strings.ToLower(one.Rule.Action.String()))
		}
	}
}

func (s *sampler) sampleSessions(out sink) {
	byLabel, byInstance, open := map[string]int{}, map[string]int{}, 0
	for _, service := range s.counts.services.own() {
		byLabel[service.label] = 0
	}
	toServer, toClient := s.carried.bytes(func() (uint64, uint64) {
		return s.relay.Load(func(i *relay.SessionInfo) {
			open++
			byInstance[i.Instance]++
			byLabel[s.counts.labelOf(i.Service, i.Way)]++
		})
	})
	for label, n := range byLabel {
		out.put("sessions_open", float64(n), label)
	}
	out.put("sessions_peak", float64(max(s.carried.peak.Load(), int64(open))))
	out.put("sessions_total", float64(s.carried.begun.Load()))
	out.put("session_bytes_total", float64(toServer), "to_server")
	out.put("session_bytes_total", float64(toClient), "to_client")
	for phase, n := range s.open.count() {
		out.put("connections_open", float64(n), phase)
	}
	s.sampleInstances(out, byInstance)
}

// sampleInstances tells how connects and sessions are spread.
func (s *sampler) sampleInstances(out sink, sessions map[string]int) {
	shown := map[string]bool{}
	for _, r := range s.table.Snapshot().Registrations() {
		key := r.Key()
		if shown[key] || len(shown) == maxInstanceLabels {
			continue
		}
		shown[key] = true
		var all relay.Tally
		for i := range r.Handlers {
			t := s.relay.Tally(r.HandlerKey(&r.Handlers[i]))
			all.Established, all.Refused = all.Established+t.Established, all.Refused+t.Refused
		}
		out.put("instance_sessions", float64(sessions[key]), key)
		out.put("instance_connects_total", float64(all.Established), key, "established")
		out.put("instance_connects_total", float64(all.Refused), key, "refused")
	}
}

func (s *sampler) sampleBroker(out sink) {
	v := VersionInfo()
	out.put("build_info", 1, s.config.Name, v.Version, v.Commit, runtime.Version())
	out.put("start_time_seconds", seconds(s.started))
	ready := 0.0
	if len(s.unready()) == 0 {
		ready = 1
	}
	out.put("ready", ready)
	events, explanations := s.journal.Sizes()
	out.put("goroutines", float64(runtime.NumGoroutine()))
	out.put("journal_events", float64(events))
	out.put("journal_explanations", float64(explanations))
	for kind, n := range s.events.kinds {
		out.put("events_total", float64(n.Load()), string(kind))
	}
	intents := map[string]int{}
	for _, kind := range intent.Kinds() {
		intents[string(kind)] = 0
	}
	for _, one := range s.operations.store.All() {
		intents[string(one.Kind)]++
	}
	for kind, n := range intents {
		out.put("intents", float64(n), kind)
	}
	out.put("quarantined_services", float64(len(s.Quarantine())))
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

// sampleTable tells of services, instances and handlers.
func (s *sampler) sampleTable(out sink) {
	snapshot := s.table.Snapshot()
	registrations := snapshot.Registrations()
	out.put("table_version", float64(snapshot.Version()))
	services := s.sampleServices(out, snapshot)
	instances, handlers := map[string]int{}, map[string]int{"ready": 0, "blocked": 0, "ejected": 0}
	now, oldest := time.Now(), time.Duration(0)
	for _, r := range registrations {
		instances[bestStatus(r).String()]++
		if !r.Static && !r.LoadAt.IsZero() {
			oldest = max(oldest, now.Sub(r.LoadAt))
		}
		for i := range r.Handlers {
			handlers[handlerState(snapshot, r, &r.Handlers[i])]++
		}
	}
	for status := servicetable.Ready; status <= servicetable.Stale; status++ {
		out.put("services", float64(services[status]), status.String())
		out.put("instances", float64(instances[status.String()]), status.String())
	}
	for state, n := range handlers {
		out.put("handlers", float64(n), state)
	}
	out.put("oldest_load_report_age_seconds", oldest.Seconds())
}

// handlerState is what a handler counts as.
func handlerState(snapshot *servicetable.Snapshot, r *servicetable.Registration, h *servicetable.Handler) string {
	for _, m := range snapshot.Marks(r.HandlerKey(h)) {
		if m.Kind == servicetable.Ejected {
			return "ejected"
		}
	}
	return choose(h.Blocked(), "blocked", "ready")
}

// bestStatus is the best one of an instance's services.
func bestStatus(r *servicetable.Registration) servicetable.Status {
	var has statuses
	for i := range r.Services {
		has.add(r.Status(&r.Services[i]))
	}
	return has.best()
}

// statuses is a set of them.
type statuses uint8

func (s *statuses) add(status servicetable.Status) { *s |= 1 << status }

// best is the one that is best for a client.
func (s statuses) best() servicetable.Status {
	for _, status := range [...]servicetable.Status{servicetable.Ready, servicetable.Unknown, servicetable.Stale, servicetable.Restricted} {
		if s&(1<<status) != 0 {
			return status
		}
	}
	return servicetable.Blocked
}

// sampleServices counts services by status, and the instances of those that are shown one by
// one: READY_SERVICES, those that clients connected to, and others as far as there is room.
func (s *sampler) sampleServices(out sink, snapshot *servicetable.Snapshot) map[servicetable.Status]int {
	byStatus, usable := map[servicetable.Status]int{}, map[string]int{}
	shown := map[string]int{}
	for _, name := range s.settings().config.ReadyServices {
		shown[serviceLabel(name)] = 0
	}
	own := s.counts.services.own()
	for _, service := range own {
		if service.label[:1] != "(" { // others are no services of the table
			shown[service.label] = 0
		}
	}
	now := time.Now()
	for _, e := range snapshot.Services() {
		var has statuses
		label := serviceLabel(e.Name)
		for i := range e.Instances {
			in := &e.Instances[i]
			has.add(in.Status)
			if available(in.Registration, in.Service) {
				usable[label]++
			}
		}
		byStatus[has.best()]++
		if _, is := shown[label]; is || len(shown) < maxServiceLabels {
			shown[label] = usable[label]
		}
	}
	for label, n := range shown {
		if entry, err := snapshot.Service(label); n == 0 && err == nil { // by another form of its name
			n = usable[serviceLabel(entry.Name)]
		}
		out.put("service_instances", float64(n), label)
	}
	s.refresh(own, snapshot, now)
	return byStatus
}

// isThere tells whether what a label stands for is there, or ought to be.
func (s *sampler) isThere(label string) bool {
	if name, alias := strings.CutPrefix(label, labelAlias); alias {
		return s.settings().config.Aliases[strings.ToUpper(strings.TrimSuffix(name, ")"))] != nil
	}
	_, registered := s.registeredName(label)
	return registered
}

// refresh notes which services are still there, and lets go of those that are not for long.
func (s *sampler) refresh(own []*serviceCounts, snapshot *servicetable.Snapshot, now time.Time) {
	for _, service := range own {
		if s.isThere(service.label) {
			service.seen.Store(now.UnixNano())
		}
	}
	for _, label := range s.counts.services.forget(now) {
		s.counts.connects.DeletePartialMatch(prometheus.Labels{"service": label})
	}
}
