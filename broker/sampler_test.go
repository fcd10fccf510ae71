package broker

import (
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"testing"
	"time"

	"servicebroker/descriptor"
	"servicebroker/servicetable"
)

// counting is a broker that does not run, as far as /metrics goes.
func counting(t testing.TB, registrations, services int) *Broker {
	t.Helper()
	b, err := New(testConfigFor(t), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.closeListeners)
	for i := range registrations {
		r := servicetable.Registration{
			ID: servicetable.ID(fmt.Sprint("r", i)), Instance: fmt.Sprint("inst", i), Host: "h", LoadAt: time.Now().Add(-time.Minute),
			Handlers: []servicetable.Handler{{Name: "DEDICATED", Protocol: "TCP", Host: "h", Port: 1521}, {Name: "D000", Kind: servicetable.Dispatcher, Protocol: "TCP", Host: "h", Port: 1522, Load: 5, Max: 5}},
		}
		for s := range services {
			r.Services = append(r.Services, servicetable.Service{Name: fmt.Sprintf("svc%d_%d", i/2, s), Flags: servicetable.FlagUnblocked})
			r.Handlers[0].Services = append(r.Handlers[0].Services, s)
		}
		b.table.Apply(r)
	}
	return b
}

func testConfigFor(t testing.TB) *Config {
	c := DefaultConfig()
	c.Addresses = []descriptor.Address{{Protocol: "tcp", Host: "127.0.0.1", Port: 0}}
	c.ConsoleAddress, c.StateDirectory = "", t.TempDir()
	return c
}

// A large table makes no large answer, and what is not shown one by one is in the sums.
func TestMetricsOfALargeTable(t *testing.T) {
	b := counting(t, 500, 20)
	b.tallyEvery = time.Hour
	defer b.startMetrics()()
	families, err := b.metrics.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all, got := 0, map[string]float64{}
	for _, f := range families {
		all += len(f.GetMetric())
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			got[name] = m.GetGauge().GetValue()
		}
		if n := len(f.GetMetric()); n > 2*maxInstanceLabels {
			t.Errorf("%s has %d series", f.GetName(), n)
		}
	}
	for name, want := range map[string]float64{
		"servicebroker_services READY": 5000, "servicebroker_instances READY": 500, "servicebroker_handlers ready": 500, "servicebroker_handlers blocked": 500,
		"servicebroker_service_instances svc0_0": 2, "servicebroker_table_version": 500,
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
	if age := got["servicebroker_oldest_load_report_age_seconds"]; age < 60 || age > 120 {
		t.Errorf("the oldest load report is %v s old", age)
	}
	if all > 1500 {
		t.Errorf("%d series", all)
	}
}

func BenchmarkScrape(b *testing.B) {
	broker := counting(b, 500, 20)
	defer broker.startMetrics()()
	handler := broker.metrics.handler(broker.log)
	b.ReportAllocs()
	for b.Loop() {
		w := httptest.NewRecorder()
		w.Body = nil
		handler.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		if _, err := io.Copy(io.Discard, w.Result().Body); err != nil || w.Code != 200 {
			b.Fatal(w.Code, err)
		}
	}
}
