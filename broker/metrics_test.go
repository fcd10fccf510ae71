package broker

import (
	"bufio"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"

	"servicebroker/intent"
	"servicebroker/journal"
	"servicebroker/registration"
	"servicebroker/relay"
	"servicebroker/servicetable"
	"servicebroker/tns"
)

// series is what /metrics shows, by name and labels as written there.
type series map[string]float64

func (r *running) series() series {
	r.t.Helper()
	status, body := health(r.t, r.ConsoleAddress(), "/metrics")
	if status != 200 {
		r.t.Fatalf("/metrics answers %d %s", status, body)
	}
	all := series{}
	for lines := bufio.NewScanner(strings.NewReader(body)); lines.Scan(); {
		line := lines.Text()
		if at := strings.LastIndexByte(line, ' '); at > 0 && line[0] != '#' {
			value, err := strconv.ParseFloat(line[at+1:], 64)
			if err != nil {
				r.t.Fatalf("%s: %v", line, err)
			}
			all[strings.TrimPrefix(line[:at], "servicebroker_")] = value
		}
	}
	return all
}

// awaitSeries asks until all of want are shown: counts come to be shown a moment later.
func (r *running) awaitSeries(want series) {
	r.t.Helper()
	limit := time.Now().Add(10 * time.Second)
	for {
		all := r.series()
		var wrong []string
		for name, value := range want {
			if got, there := all[name]; !there || got != value {
				wrong = append(wrong, fmt.Sprintf("%s is %v (there: %v), want %v", name, got, there, value))
			}
		}
		if len(wrong) == 0 {
			return
		}
		if time.Now().After(limit) {
			r.t.Fatal(strings.Join(wrong, "\n"))
		}
	}
}

// startCounted is start of a broker whose counts are shown soon.
func startCounted(t *testing.T, change func(*Config)) *running {
	t.Helper()
	b, err := New(testConfig(t, change), slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	b.tallyEvery = 5 * time.Millisecond
	return run(t, b)
}

func TestMetricsOfConnects(t *testing.T) {
	r := startCounted(t, func(c *Config) {
		c.HoldTimeout = 0
		c.Rules = relay.Rules{{Action: relay.Accept, Source: relay.HostPattern{Any: true}, Destination: relay.HostPattern{Any: true}, Text: "(RULE=)"}}
	})
	r.register("s1", "Sales.example.com")
	conn, reply := r.ask("(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=SALES.EXAMPLE.COM)))")
	if _, ok := reply.(*tns.Accept); !ok {
		t.Fatalf("answer %T", reply)
	}
	if _, err := conn.NetConn().Write([]byte("12345")); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.NetConn().Read(make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	r.wantCode("(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=stranger1)))", tns.CodeUnknownService)
	r.wantCode("(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=stranger2)))", tns.CodeUnknownService)
	r.wantCode("(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=sales.made.up)(SERVER=shared)))", tns.CodeUnknownService)
	r.wantCode("(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=sales)(SERVER=shared)))", tns.CodeNoHandlerOfKind)
	r.wantCode("(DESCRIPTION=(CONNECT_DATA=(COMMAND=dance)))", tns.CodeUnknownCommand)
	r.ask("(DESCRIPTION=(CONNECT_DATA=(SID=s1)))")
	r.awaitSeries(series{
		`connects_total{code="0",outcome="served",route="relay",service="sales.example.com"}`:     1,
		`connects_total{code="0",outcome="served",route="relay",service="(sid=s1)"}`:              1,
		`connects_total{code="12514",outcome="refused",route="none",service="unknown"}`:           3,
		`connects_total{code="12520",outcome="refused",route="none",service="sales.example.com"}`: 1,
		`connects_total{code="12508",outcome="refused",route="none",service="none"}`:              1,
		`connect_duration_seconds_count{route="relay"}`:                                           2,
		`connect_duration_seconds_count{route="none"}`:                                            5,
		`connect_duration_seconds_bucket{route="relay",le="60"}`:                                  2,
		`decision_duration_seconds_count`:                                                         2,
		`dial_duration_seconds_count{outcome="accepted"}`:                                         2,
		`dial_attempts_total{outcome="accepted"}`:                                                 2,
		`dial_attempts_total{outcome="failed"}`:                                                   0,
		`sessions_open{service="sales.example.com"}`:                                              1,
		`sessions_open{service="(sid=s1)"}`:                                                       1,
		`sessions_total`:                                                                          2,
		`sessions_peak`:                                                                           2,
		`session_bytes_total{direction="to_server"}`:                                              5,
		`session_bytes_total{direction="to_client"}`:                                              5,
		`connections_open{phase="client"}`:                                                        2,
		`connections_open{phase="registration"}`:                                                  1,
		`service_instances{service="sales.example.com"}`:                                          1,
		`instance_sessions{database_instance="s1@dbhost"}`:                                        2,
		`instance_connects_total{database_instance="s1@dbhost",outcome="established"}`:            2,
		`rule_hits_total{action="accept",list="clients",rule="1"}`:                                2,
		`registration_events_total{event="registered"}`:                                           1,
		`events_total{kind="registered"}`:                                                         1,
		`services{status="READY"}`:                                                                1,
		`instances{status="READY"}`:                                                               1,
		`handlers{state="ready"}`:                                                                 1,
		`journal_explanations`:                                                                    7,
		`ready`:                                                                                   1,
		`limit{parameter="MAX_HELD"}`:                                                             10000,
	})
	for name := range r.series() {
		if strings.Contains(name, "stranger") || strings.Contains(name, "made.up") {
			t.Errorf("a name that a stranger made up became a label: %s", name)
		}
	}
	conn.NetConn().Close()
	r.awaitSeries(series{`sessions_open{service="sales.example.com"}`: 0, `sessions_peak`: 2, `session_bytes_total{direction="to_client"}`: 5})
	if st := r.Stats(); st.Total != 2 || st.Refused != 5 || st.FromClient != 5 || st.ToClient != 5 || st.Peak != 2 || st.Sessions != 1 {
		t.Errorf("stats %+v", st)
	}
}

// A service that went is shown with no instances, so that somebody is told.
func TestMetricsOfAServiceThatWent(t *testing.T) {
	r := startCounted(t, func(c *Config) { c.HoldTimeout, c.ReadyServices = 0, []string{"HR"} })
	withdraw := r.register("s1", "sales")
	r.ask(sales)
	r.awaitSeries(series{`service_instances{service="sales"}`: 1, `service_instances{service="hr"}`: 0, `ready`: 0})
	withdraw()
	r.await(func(s *servicetable.Snapshot) bool { return s.ServiceCount() == 0 })
	r.wantCode(sales, tns.CodeUnknownService)
	r.awaitSeries(series{
		`service_instances{service="sales"}`: 0, `services{status="READY"}`: 0, `registration_events_total{event="died"}`: 1,
		`connects_total{code="12514",outcome="refused",route="none",service="sales"}`: 1,
	})
}

// Those that were held, redirected, drained, quarantined.
func TestMetricsOfOtherWays(t *testing.T) {
	r := startCounted(t, func(c *Config) { c.Mode, c.HoldTimeout = relay.ModeRedirect, 50*time.Millisecond })
	withdraw := r.register("s1", "sales")
	r.ask(sales)
	r.set(intent.Intent{Kind: intent.Weight, Value: 50, Target: intent.Target{Instance: "s1"}})
	withdraw()
	r.await(func(s *servicetable.Snapshot) bool { return s.ServiceCount() == 0 })
	r.wantCode(sales, tns.CodeUnknownService)
	r.awaitSeries(series{
		`connects_total{code="0",outcome="served",route="redirect",service="sales"}`:  1,
		`connects_total{code="12514",outcome="refused",route="hold",service="sales"}`: 1,
		`connect_duration_seconds_count{route="redirect"}`:                            1,
		`hold_duration_seconds_count{outcome="refused"}`:                              1,
		`holds_total`:                        1,
		`hold_ends_total{outcome="expired"}`: 1,
		`held_connects`:                      0,
		`intents{kind="weight"}`:             1,
		`sessions_total`:                     0,
	})
	if st := r.Stats(); st.Redirected != 1 || st.Refused != 1 {
		t.Errorf("stats %+v", st)
	}
}

// Two brokers in one process have nothing to do with each other.
func TestMetricsOfTwoBrokers(t *testing.T) {
	one, two := startCounted(t, nil), startCounted(t, func(c *Config) { c.Name = "second" })
	one.register("s1", "sales")
	one.ask(sales)
	const served = `connects_total{code="0",outcome="served",route="relay",service="sales"}`
	one.awaitSeries(series{served: 1})
	if all := two.series(); all[served] != 0 || all[`events_total{kind="registered"}`] != 0 || len(all) < 100 {
		t.Errorf("the other one shows %v of %d", all[served], len(all))
	}
}

func testCounts(t *testing.T, registered func(string) (string, bool)) *metrics {
	t.Helper()
	m, err := newMetrics(slog.New(slog.NewTextHandler(t.Output(), nil)), time.Millisecond, registered)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

// servedConnect is a connect for a service that was served.
func servedConnect(service string) *relay.ConnectReport {
	return &relay.ConnectReport{
		Service: service, Decided: 20 * time.Microsecond, Dialled: time.Millisecond,
		Explanation: &journal.Explanation{Outcome: journal.Relay, Took: time.Millisecond, Attempts: []journal.Attempt{{Key: "a"}}},
	}
}

// labels lists under which services connects are shown, sorted.
func (m *metrics) labels(t *testing.T) (labels []string) {
	t.Helper()
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "servicebroker_connects_total" {
			continue
		}
		for _, one := range f.GetMetric() {
			for _, l := range one.GetLabel() {
				if l.GetName() == "service" {
					labels = append(labels, l.GetValue())
				}
			}
		}
	}
	slices.Sort(labels)
	return slices.Compact(labels)
}

// Labels are few whoever asks for whatever, and they are given back.
func TestServiceLabelsAreFew(t *testing.T) {
	m := testCounts(t, func(string) (string, bool) { return "", false })
	for i := range 3 * maxServiceLabels {
		m.connected(servedConnect("Service" + strconv.Itoa(i)))
		m.connected(&relay.ConnectReport{Explanation: &journal.Explanation{Outcome: journal.Refuse, Code: 12514 + i, Query: journal.Query{Service: "made.up" + strconv.Itoa(i)}}})
	}
	m.connected(servedConnect("SERVICE7"))
	m.connected(servedConnect("bad\xff" + strings.Repeat("x", 5000)))
	labels := m.labels(t)
	if len(labels) != maxServiceLabels+2 || !slices.Contains(labels, "service0") || !slices.Contains(labels, labelOther) || !slices.Contains(labels, labelUnknown) {
		t.Errorf("%d labels: %v", len(labels), labels)
	}

	later := time.Now().Add(serviceMemory + time.Minute)
	for _, s := range m.services.own() {
		if s.label == "service7" {
			s.seen.Store(later.UnixNano())
		}
	}
	gone := m.services.forget(later)
	if len(gone) != maxServiceLabels-1 || slices.Contains(gone, "service7") || len(m.services.own()) != 1 {
		t.Errorf("%d were forgotten: %v", len(gone), gone)
	}
	for _, label := range gone {
		if m.connects.DeletePartialMatch(map[string]string{"service": label}) != 1 {
			t.Errorf("%s was not shown any more", label)
		}
	}
	if labels := m.labels(t); len(labels) != 3 {
		t.Errorf("left: %v", labels)
	}
	m.connected(servedConnect("Service0")) // at once, while what was closed is still being cleared
	m.connected(servedConnect("Service300"))
	for limit := time.Now().Add(10 * time.Second); m.value(t, "service0") != 1 || m.value(t, "service300") != 1 || m.value(t, "service7") != 2; {
		if time.Now().After(limit) {
			t.Fatalf("back: %v; 0: %v, 300: %v, 7: %v", m.labels(t), m.value(t, "service0"), m.value(t, "service300"), m.value(t, "service7"))
		}
	}
}

// value is how many connects are counted for the service.
func (m *metrics) value(t *testing.T, service string) (sum float64) {
	t.Helper()
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "servicebroker_connects_total" {
			for _, one := range f.GetMetric() {
				if slices.ContainsFunc(one.GetLabel(), func(l *dto.LabelPair) bool { return l.GetValue() == service }) {
					sum += one.GetCounter().GetValue()
				}
			}
		}
	}
	return sum
}

// Names that clients give for a route's further hops are no labels, those of aliases are.
func TestLabelsOfRoutedConnects(t *testing.T) {
	m := testCounts(t, func(asked string) (string, bool) { return "Sales.example.com", strings.EqualFold(asked, "sales") })
	routed := func(service, way string) {
		r := servedConnect(service)
		r.Way = way
		m.connected(r)
		if label := m.labelOf(service, way); strings.Contains(label, "stranger") {
			t.Errorf("a session of %s by %s is shown as %s", service, way, label)
		}
	}
	for i := range 5 {
		routed("stranger"+strconv.Itoa(i), "NEXT_HOP")
		routed("stranger"+strconv.Itoa(i), "SOURCE_ROUTE")
	}
	routed("sales", "NEXT_HOP")
	routed("whatever", "alias Payroll")
	m.connected(&relay.ConnectReport{Way: "SOURCE_ROUTE", Explanation: &journal.Explanation{Outcome: journal.Refuse, Code: 12529, Query: journal.Query{Service: "stranger"}}})
	if got, want := m.labels(t), []string{"(alias=payroll)", "(routed)", "sales.example.com"}; !slices.Equal(got, want) {
		t.Errorf("labels %v, want %v", got, want)
	}
}

// A service that is away is known by any form of its name.
func TestLabelsOfServicesThatAreAway(t *testing.T) {
	m := testCounts(t, func(string) (string, bool) { return "", false })
	for _, name := range []string{"Sales.example.com", "hr", "crm.a", "crm.b"} {
		m.connected(servedConnect(name))
	}
	for asked, want := range map[string]string{
		"SALES": "sales.example.com", "sales.Example.com": "sales.example.com", "HR": "hr", "hr.anything": "hr", "crm.B": "crm.b",
		"crm": labelUnknown, "sales.other": labelUnknown, "stranger": labelUnknown, "": labelNone,
	} {
		r := &relay.ConnectReport{Explanation: &journal.Explanation{Outcome: journal.Refuse, Code: 12514, Query: journal.Query{Service: asked}}}
		if got := m.countsFor(r).label; got != want {
			t.Errorf("%q counts as %s, want %s", asked, got, want)
		}
	}
}

func TestCodesAreFew(t *testing.T) {
	for code, want := range map[int]string{12514: "12514", 1017: "1017", 99999: labelOther, -1: labelOther} {
		if got := codeLabel(code); got != want {
			t.Errorf("%d is %s, want %s", code, got, want)
		}
	}
}

// TestRoutesAndOutcomes: every outcome there is has its labels, and none of them is new to a timer.
func TestRoutesAndOutcomes(t *testing.T) {
	m := testCounts(t, func(string) (string, bool) { return "", false })
	tried := []journal.Attempt{{Key: "a", Error: "refused"}}
	for name, c := range map[string]struct {
		r    relay.ConnectReport
		e    journal.Explanation
		want connectKey
	}{
		"relayed":                  {e: journal.Explanation{Outcome: journal.Relay, Attempts: tried, Held: time.Second}, want: connectKey{route: "relay", outcome: "served"}},
		"relayed by alias":         {r: relay.ConnectReport{Way: "alias SALES"}, e: journal.Explanation{Outcome: journal.Relay}, want: connectKey{route: "alias", outcome: "served"}},
		"no hop answered":          {r: relay.ConnectReport{Way: "NEXT_HOP"}, e: journal.Explanation{Outcome: journal.Refuse, Code: 12541, Attempts: tried}, want: connectKey{route: "next_hop", outcome: "refused"}},
		"a route is not allowed":   {r: relay.ConnectReport{Way: "SOURCE_ROUTE"}, e: journal.Explanation{Outcome: journal.Refuse, Code: 12529}, want: connectKey{route: "none", outcome: "refused"}},
		"a route":                  {r: relay.ConnectReport{Way: "SOURCE_ROUTE"}, e: journal.Explanation{Outcome: journal.Relay}, want: connectKey{route: "source_route", outcome: "served"}},
		"passed on with TLS":       {r: relay.ConnectReport{Sealed: true}, e: journal.Explanation{Outcome: journal.Relay}, want: connectKey{route: "passthrough", outcome: "served"}},
		"redirected":               {e: journal.Explanation{Outcome: journal.Redirect}, want: connectKey{route: "redirect", outcome: "served"}},
		"refused at once":          {e: journal.Explanation{Outcome: journal.Refuse, Code: 12514}, want: connectKey{route: "none", outcome: "refused"}},
		"refused by all instances": {e: journal.Explanation{Outcome: journal.Refuse, Code: 12528, Attempts: tried, Held: time.Second}, want: connectKey{route: "relay", outcome: "refused"}},
		"waited in vain":           {e: journal.Explanation{Outcome: journal.Refuse, Code: 12514, Held: time.Second}, want: connectKey{route: "hold", outcome: "refused"}},
		"left while it waited":     {e: journal.Explanation{Outcome: journal.Gone, Held: time.Second}, want: connectKey{route: "hold", outcome: "gone"}},
		"dropped after it waited":  {e: journal.Explanation{Outcome: journal.Drop, Held: time.Second}, want: connectKey{route: "hold", outcome: "dropped"}},
	} {
		c.r.Explanation, c.r.Dialled = &c.e, time.Second
		if got := (connectKey{route: routeLabel(&c.r), outcome: outcomeLabel(c.e.Outcome)}); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
		m.connected(&c.r) // must not panic
	}
	for kind := registration.Registered; kind <= registration.Undecodable; kind++ {
		if m.registrations[kind] == nil {
			t.Errorf("registration event %d is not counted", kind)
		}
	}
}

// A served connect is counted without an allocation.
func TestCountingCostsNothing(t *testing.T) {
	m := testCounts(t, func(string) (string, bool) { return "", false })
	report := servedConnect("sales")
	m.connected(report)
	if n := testing.AllocsPerRun(1000, func() { m.connected(report) }); n != 0 {
		t.Errorf("%v allocations a connect", n)
	}
}

func BenchmarkConnectCounted(b *testing.B) {
	m, err := newMetrics(slog.New(slog.DiscardHandler), time.Second, func(string) (string, bool) { return "", false })
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close()
	var c carried
	report := servedConnect("sales")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			m.connected(report)
			c.connected(report)
		}
	})
}
