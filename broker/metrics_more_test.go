package broker

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"

	"servicebroker/console"
	"servicebroker/descriptor"
	"servicebroker/relay"
	"servicebroker/testenv/authority"
	"servicebroker/tns"
)

// The documentation's table is what /metrics shows: names, types, labels, no more and no less.
// With -update it is written anew.
func TestMetricsAreDocumented(t *testing.T) {
	const file = "../docs/operations.md"
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, opened := strings.Cut(string(content), "<!-- metrics -->\n")
	got, after, closed := strings.Cut(rest, "<!-- /metrics -->")
	if !opened || !closed {
		t.Fatalf("%s has no table of metrics", file)
	}
	want := metricRows()
	if *update {
		if err := os.WriteFile(file, []byte(before+"<!-- metrics -->\n"+want+"<!-- /metrics -->"+after), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if got != want {
		t.Errorf("%s: the table of metrics is not that of the code; go test ./broker -run TestMetricsAreDocumented -update writes it", file)
	}
}

func metricRows() string {
	var w strings.Builder
	w.WriteString("| metric | type | labels | meaning |\n|---|---|---|---|\n")
	for _, m := range metricTable() {
		labels := "–"
		if len(m.labels) > 0 {
			labels = "`" + strings.Join(m.labels, "`, `") + "`"
		}
		fmt.Fprintf(&w, "| `%s` | %s | %s | %s |\n", m.fullName(), m.kind, labels, m.help)
	}
	return w.String()
}

// everything is a broker that shows every metric there is.
func everything(t *testing.T) *running {
	a, other := authority.New(t), beside(t, "b2", nil)
	r := startCounted(t, func(c *Config) {
		c.Addresses = append(c.Addresses, descriptor.Address{Protocol: "tcps", Host: "127.0.0.1"})
		c.TLS.Certificate, c.UpstreamTLS.CA = a.File("host.pem", a.Host()), a.CA()
		c.LogDirectory = t.TempDir()
		c.DNS.Address, c.DNS.Zone = "127.0.0.1:0", "db.example"
		c.Limits.MaxSessions = 100
		c.Peers = []string{other.api()}
		c.Rules = relay.Rules{{Action: relay.Accept, Source: relay.HostPattern{Any: true}, Destination: relay.HostPattern{Any: true}, Text: "(RULE=)"}}
		c.StaticServices = []StaticService{{Name: "old", Instance: "old1", Address: descriptor.Address{Protocol: "tcp", Host: "127.0.0.1", Port: 9}}}
	})
	r.awaitPeers(func(l console.PeerList) bool { return len(l.Peers) == 1 && l.Peers[0].State == console.PeerAlive })
	r.register("s1", "sales")
	r.ask(sales)
	r.awaitSeries(series{`connects_total{code="0",outcome="served",route="relay",service="sales"}`: 1})
	return r
}

// Every metric of the table is shown, with its labels, and nothing else of ours is.
func TestEveryMetricIsShown(t *testing.T) {
	r := everything(t)
	families, err := r.metrics.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]*dto.MetricFamily{}
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), metricPrefix) {
			shown[f.GetName()] = f
		} else if name := f.GetName(); !strings.HasPrefix(name, "go_") && !strings.HasPrefix(name, "process_") {
			t.Errorf("%s is neither ours nor the runtime's", name)
		}
	}
	for _, m := range metricTable() {
		f := shown[m.fullName()]
		delete(shown, m.fullName())
		if f == nil {
			t.Errorf("%s is not shown", m.fullName())
			continue
		}
		if got := strings.ToLower(f.GetType().String()); got != string(m.kind) || f.GetHelp() != m.help {
			t.Errorf("%s is a %s with help %q", m.fullName(), got, f.GetHelp())
		}
		want := slices.Sorted(slices.Values(m.labels))
		for _, one := range f.GetMetric() {
			var labels []string
			for _, l := range one.GetLabel() {
				labels = append(labels, l.GetName())
			}
			if !slices.Equal(labels, want) {
				t.Errorf("%s has labels %v, want %v", m.fullName(), labels, want)
			}
		}
	}
	for name := range shown {
		t.Errorf("%s is shown, but not in the table", name)
	}
}

// Names are as Prometheus likes them.
func TestMetricNames(t *testing.T) {
	for _, m := range metricTable() {
		total, timed := strings.HasSuffix(m.name, "_total"), strings.HasSuffix(m.name, "_duration_seconds")
		if total != (m.kind == counter) || timed != (m.kind == histogram) {
			t.Errorf("%s is a %s", m.name, m.kind)
		}
		if !strings.HasSuffix(m.help, ".") || slices.Contains(m.labels, "instance") || slices.Contains(m.labels, "job") {
			t.Errorf("%s: labels %v, help %q", m.name, m.labels, m.help)
		}
	}
}

func TestMetricsOfCertificatesAndLogs(t *testing.T) {
	r := everything(t)
	var own, authority int
	for name, value := range r.series() {
		if strings.HasPrefix(name, "certificate_expiry_timestamp_seconds{") {
			if until := time.Until(time.Unix(int64(value), 0)); until < 0 || until > 100*365*24*time.Hour {
				t.Errorf("%s: %v", name, until)
			}
			if strings.Contains(name, `kind="own"`) && strings.Contains(name, "host.pem") {
				own++
			} else if strings.Contains(name, `kind="authority"`) && strings.Contains(name, "ca.pem") {
				authority++
			}
		}
	}
	if own != 1 || authority != 1 {
		t.Errorf("%d own certificates and %d authorities are shown", own, authority)
	}
	limit := time.Now().Add(10 * time.Second)
	for r.series()[`log_lines_written_total{file="listener"}`] < 3 {
		if time.Now().After(limit) {
			t.Fatal("no lines are counted")
		}
	}
	r.awaitSeries(series{`log_lines_dropped_total{file="listener"}`: 0, `log_lines_dropped_total{file="instance"}`: 0})
}

func TestMetricsOfReloads(t *testing.T) {
	file := write(t, strings.Replace(reloaded, "%", "(HOLD_TIMEOUT=0)", 1))
	r := startCounted(t, func(c *Config) {
		read, messages := ReadConfig(file, "")
		if err := messages.Err(); err != nil {
			t.Fatal(err)
		}
		c.File, c.Name, c.read = read.File, read.Name, read.read
	})
	hash := func() string {
		t.Helper()
		for name := range r.series() {
			if strings.HasPrefix(name, "config_info{") {
				return name
			}
		}
		t.Fatal("no config_info")
		return ""
	}
	first := hash()
	if !strings.Contains(first, file) || strings.Contains(first, `hash=""`) {
		t.Error(first)
	}
	r.awaitSeries(series{`config_reloads_total{outcome="good"}`: 0, `config_last_reload_successful`: 1})
	r.rewrite(file, "(POLICY=nonsense)")
	if _, err := r.Reload(t.Context()); err == nil {
		t.Fatal("taken")
	}
	r.awaitSeries(series{`config_reloads_total{outcome="bad"}`: 1, `config_last_reload_successful`: 0})
	if got := hash(); got != first {
		t.Errorf("after a bad reload the configuration is %s instead of %s", got, first)
	}
	r.rewrite(file, "(MAX_SESSIONS=7)(HOLD_TIMEOUT=0)")
	if _, err := r.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.awaitSeries(series{`config_reloads_total{outcome="good"}`: 1, `config_reloads_total{outcome="bad"}`: 1, `config_last_reload_successful`: 1, `limit{parameter="MAX_SESSIONS"}`: 7})
	if got := hash(); got == first {
		t.Errorf("after a reload the configuration is still %s", got)
	}
}

func TestMetricsOfLimits(t *testing.T) {
	r := startCounted(t, func(c *Config) {
		c.HoldTimeout, c.Limits.MaxSessions = 0, 1
		c.Services = []ServiceSetting{{Pattern: "sal*", Treatment: relay.Treatment{MaxSessions: 5}}}
	})
	r.register("s1", "Sales")
	if _, reply := r.ask(sales); reply == nil {
		t.Fatal("no answer")
	}
	if _, reply := r.ask(sales); !isRefuse(reply) {
		t.Fatalf("%T", reply)
	}
	r.awaitSeries(series{
		`share_sessions{kind="all",name=""}`: 1, `share_sessions_limit{kind="all",name=""}`: 1, `share_refused_total{cause="sessions",kind="all",name=""}`: 1,
		`share_sessions{kind="service",name="sales"}`: 1, `share_sessions_limit{kind="service",name="sales"}`: 5, `share_refused_total{cause="rate",kind="service",name="sales"}`: 0,
	})
}

func TestMetricsOfArrivals(t *testing.T) {
	r := startCounted(t, func(c *Config) { c.Limits.MaxConnections = 1 })
	first := r.dial()
	r.awaitSeries(series{`connections_open{phase="reading"}`: 1, `arrivals_refused_total{limit="connections"}`: 0})
	r.wantCode(sales, tns.CodeRateLimit)
	r.awaitSeries(series{
		`arrivals_refused_total{limit="connections"}`: 1, `arrivals_unanswered_total`: 0, `limit{parameter="MAX_ALL_CONNECTIONS"}`: 1,
		`connects_total{code="12530",outcome="refused",route="none",service="none"}`: 1,
	})
	first.NetConn().Close()
}

func isRefuse(m tns.Message) bool {
	_, is := m.(*tns.Refuse)
	return is
}
