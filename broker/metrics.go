package broker

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/uber-go/tally/v4"
	tallyprometheus "github.com/uber-go/tally/v4/prometheus"

	"servicebroker/journal"
	"servicebroker/registration"
	"servicebroker/relay"
	"servicebroker/servicetable"
	"servicebroker/tns"
)

// metrics is what the broker counts and measures as it happens, through one tally scope of
// its own, beside what is looked up when somebody asks for it (see sampler).
type metrics struct {
	registry *prometheus.Registry
	scope    tally.Scope
	closer   io.Closer
	connects *prometheus.CounterVec // behind the counters of services
	services *serviceLabels

	took                map[string]func() tally.Timer // by route; those that nobody takes are not shown
	decided             tally.Timer
	dialled, dialFailed tally.Timer
	accepted, failed    tally.Counter          // attempts
	held                map[string]tally.Timer // by outcome
	registrations       map[registration.EventKind]tally.Counter
	probes              map[probeOutcome]tally.Counter
	probed              tally.Timer
	registered          func(asked string) (name string, found bool) // by which name it is in the table, or ought to be
}

type probeOutcome struct{ deep, answered bool }

// tallyEvery is how often counts get from tally to where they are shown.
const tallyEvery = time.Second

// newMetrics makes the metrics of one broker. They share nothing with those of another one
// in the same process. Close ends what it starts.
func newMetrics(log *slog.Logger, every time.Duration, registered func(string) (string, bool)) (*metrics, error) {
	m := &metrics{registry: prometheus.NewRegistry(), registered: registered}
	reporter := tallyprometheus.NewReporter(tallyprometheus.Options{
		Registerer: m.registry, DefaultTimerType: tallyprometheus.HistogramTimerType, DefaultHistogramBuckets: durationBuckets(),
		OnRegisterError: func(err error) { log.Error("a metric is not counted", "cause", err.Error()) },
	})
	if err := m.describe(reporter); err != nil {
		return nil, err
	}
	m.scope, m.closer = tally.NewRootScope(tally.ScopeOptions{
		Prefix: metricPrefix, Separator: tallyprometheus.DefaultSeparator, CachedReporter: reporter, OmitCardinalityMetrics: true,
	}, every)
	m.resolve()
	return m, errors.Join(
		m.registry.Register(collectors.NewGoCollector()),
		m.registry.Register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})),
	)
}

// describe gives what tally counts its help text and its labels, before it is counted.
func (m *metrics) describe(reporter tallyprometheus.Reporter) error {
	var errs []error
	for _, one := range metricTable() {
		switch {
		case !one.tally:
		case one.kind == histogram:
			_, err := reporter.RegisterTimer(one.fullName(), one.labels, one.help, nil)
			errs = append(errs, err)
		default:
			vec, err := reporter.RegisterCounter(one.fullName(), one.labels, one.help)
			if errs = append(errs, err); one.name == "connects_total" {
				m.connects = vec
			}
		}
	}
	return errors.Join(errs...)
}

// durationBuckets are seconds from 100 µs to a minute.
func durationBuckets() []float64 {
	return []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}
}

// resolve looks all counters and timers up once, since that costs more than to count.
func (m *metrics) resolve() {
	by := func(label, value string) tally.Scope { return m.scope.Tagged(map[string]string{label: value}) }
	m.services = newServiceLabels(m.scope)
	m.took, m.held = map[string]func() tally.Timer{}, map[string]tally.Timer{}
	for _, route := range routeLabels() {
		m.took[route] = sync.OnceValue(func() tally.Timer { return by("route", route).Timer("connect_duration_seconds") })
	}
	for _, outcome := range []string{"served", "refused", "gone"} {
		m.held[outcome] = by("outcome", outcome).Timer("hold_duration_seconds")
	}
	m.decided = m.scope.Timer("decision_duration_seconds")
	m.dialled, m.dialFailed = by("outcome", "accepted").Timer("dial_duration_seconds"), by("outcome", "failed").Timer("dial_duration_seconds")
	m.accepted, m.failed = by("outcome", "accepted").Counter("dial_attempts_total"), by("outcome", "failed").Counter("dial_attempts_total")
	m.registrations = map[registration.EventKind]tally.Counter{}
	for kind, word := range map[registration.EventKind]string{
		registration.Registered: "registered", registration.Updated: "updated", registration.Died: "died",
		registration.Refused: "refused", registration.Undecodable: "undecodable", registration.LeftOut: "left_out",
	} {
		m.registrations[kind] = by("event", word).Counter("registration_events_total")
	}
	m.probes = map[probeOutcome]tally.Counter{}
	for _, deep := range []bool{false, true} {
		for _, answered := range []bool{false, true} {
			m.probes[probeOutcome{deep, answered}] = m.scope.Tagged(map[string]string{
				"depth": choose(deep, "deep", "light"), "outcome": choose(answered, "answered", "failed"),
			}).Counter("probes_total")
		}
	}
	m.probed = m.scope.Timer("probe_duration_seconds")
}

func choose(condition bool, yes, no string) string {
	if condition {
		return yes
	}
	return no
}

// Close ends counting. What is shown stays as it is.
func (m *metrics) Close() error { return m.closer.Close() }

// handler answers /metrics.
func (m *metrics) handler(log *slog.Logger) http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelError), ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: 8,
	})
}

// connected counts a connect that has its answer.
func (m *metrics) connected(r *relay.ConnectReport) {
	e := r.Explanation
	key := connectKey{outcome: outcomeLabel(e.Outcome), code: "0"}
	key.route = routeLabel(r)
	if e.Code != 0 {
		key.code = codeLabel(e.Code)
	}
	m.services.count(m.countsFor(r), key)
	m.took[key.route]().Record(e.Took)
	if r.Decided > 0 {
		m.decided.Record(r.Decided)
	}
	if len(e.Attempts) > 0 && r.Dialled > 0 {
		timer := m.dialFailed
		if e.Outcome == journal.Relay {
			timer = m.dialled
		}
		timer.Record(r.Dialled)
	}
	for i := range e.Attempts {
		if e.Attempts[i].Error == "" {
			m.accepted.Inc(1)
		} else {
			m.failed.Inc(1)
		}
	}
	if e.Held > 0 {
		outcome := key.outcome
		if outcome == "dropped" {
			outcome = "refused"
		}
		m.held[outcome].Record(e.Held)
	}
}

// countsFor finds under which service a connect is counted.
func (m *metrics) countsFor(r *relay.ConnectReport) *serviceCounts {
	if r.Service != "" || r.Way != "" {
		return m.services.of(m.nameOf(r.Service, r.Way))
	}
	q := &r.Explanation.Query
	name := q.Service
	if name == "" && q.SID != "" {
		name = "(SID=" + q.SID + ")"
	}
	if name == "" {
		return m.services.shared[labelNone]
	}
	if s := m.services.find(name); s != nil {
		return s
	}
	if name, found := m.registered(name); found {
		return m.services.of(name)
	}
	if s := m.services.labelled(name); s != nil { // it is away
		return s
	}
	return m.services.shared[labelUnknown]
}

// nameOf is under what name a connect for a service is counted: as it is registered, or by
// the alias, which the configuration has; where another route leads on by whatever name the
// client gives, only if it is registered here too.
func (m *metrics) nameOf(service, way string) string {
	if way == "" {
		return service
	}
	if name, alias := strings.CutPrefix(way, "alias "); alias {
		return labelAlias + name + ")"
	}
	if name, found := m.registered(service); found {
		return name
	}
	return labelRouted
}

// labelOf is the label of the service that a session is for.
func (m *metrics) labelOf(service, way string) string {
	name := m.nameOf(service, way)
	if counts := m.services.find(name); counts != nil {
		return counts.label
	}
	return labelOther
}

// outcomeLabel is what became of a connect, for the client.
func outcomeLabel(o journal.Outcome) string {
	switch o {
	case journal.Relay, journal.Redirect:
		return "served"
	case journal.Drop:
		return "dropped"
	case journal.Gone:
		return "gone"
	}
	return "refused"
}

// routeLabel is how far a connect came, and which way.
func routeLabel(r *relay.ConnectReport) string {
	e := r.Explanation
	switch {
	case e.Outcome == journal.Redirect:
		return "redirect"
	case e.Outcome == journal.Relay, len(e.Attempts) > 0:
		switch {
		case r.Sealed:
			return "passthrough"
		case r.Way == "":
			return "relay"
		case r.Way == "SOURCE_ROUTE":
			return "source_route"
		case r.Way == "NEXT_HOP":
			return "next_hop"
		}
		return "alias"
	case e.Held > 0:
		return "hold"
	}
	return "none"
}

// routeLabels are all that routeLabel returns.
func routeLabels() []string {
	return []string{"relay", "redirect", "passthrough", "source_route", "next_hop", "alias", "hold", "none"}
}

// codeLabel is an ORA number. Instances may say any; those that nobody knows share one.
func codeLabel(code int) string {
	if tns.Code(code).Meaning() == "" {
		return labelOther
	}
	return strconv.Itoa(code)
}

// registrationHappened counts what came of a registration.
func (m *metrics) registrationHappened(e *registration.Event) {
	if m == nil {
		return
	}
	if c := m.registrations[e.Kind]; c != nil {
		c.Inc(1)
	}
}

// probeEnded counts a probe.
func (m *metrics) probeEnded(_ servicetable.Candidate, deep bool, took time.Duration, err error) {
	var answer interface{ MoveOn() bool }
	answered := err == nil || errors.As(err, &answer)
	m.probes[probeOutcome{deep, answered}].Inc(1)
	if answered {
		m.probed.Record(took)
	}
}

// registeredName returns the name by which what clients ask for is registered, or ought to
// be: what strangers make up is never a label.
func (b *Broker) registeredName(asked string) (name string, found bool) {
	const bySID = "(SID="
	q := servicetable.Query{Service: asked}
	if len(asked) > len(bySID) && strings.EqualFold(asked[:len(bySID)], bySID) {
		q = servicetable.Query{SID: strings.TrimSuffix(asked[len(bySID):], ")")}
	}
	snapshot := b.table.Snapshot()
	if q.SID == "" {
		if name := snapshot.Named(asked); name != "" {
			return name, true
		}
	} else if _, err := snapshot.Match(q); !errors.Is(err, servicetable.ErrUnknownSID) {
		return asked, true
	}
	for _, ready := range b.settings().config.ReadyServices {
		if strings.EqualFold(ready, asked) {
			return ready, true
		}
	}
	return "", false
}

// startMetrics begins to count. Until then there is nothing to be counted but events.
func (b *Broker) startMetrics() (stop func()) {
	m, err := newMetrics(b.log, b.tallyEvery, b.registeredName)
	if err != nil { // a name that is there twice, which a test would show
		b.log.Error("there are no metrics", "cause", err.Error())
		return func() {}
	}
	s := newSampler(b, m)
	if err := m.registry.Register(s); err != nil {
		b.log.Error("there are fewer metrics", "cause", err.Error())
	}
	b.reporters.connects = append(b.reporters.connects, m.connected)
	b.prober.Probed = m.probeEnded
	b.metrics = m
	return func() { _ = m.Close() }
}
