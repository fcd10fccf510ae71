package drivers

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
)

// awaitMetrics waits until /metrics has all of these lines.
func (b *broker) awaitMetrics(t *testing.T, lines ...string) {
	t.Helper()
	eventually(t, patience, func() error {
		status, body, err := b.get("/metrics")
		if err != nil || status != 200 {
			return errors.Join(err, fmt.Errorf("/metrics: %d %s", status, body))
		}
		var missing []error
		for _, line := range lines {
			if !bytes.Contains(body, []byte("\nservicebroker_"+line+"\n")) {
				missing = append(missing, fmt.Errorf("there is no %s", line))
			}
		}
		return errors.Join(missing...)
	})
}

// What drivers do is counted: what was served, redirected and refused, and what is open.
func TestDriversAreCounted(t *testing.T) {
	b, _ := pair(t, "HOLD_TIMEOUT=0", "SERVICE=(NAME=hr*)(ROUTE=redirect)")
	startDatabase(t, databaseOptions{instance: "hr1", services: []string{"hr"}, brokers: []string{b.address}})
	b.awaitService(t, "hr", "READY", 1)
	for service, want := range map[string]bool{"sales": true, "hr": true, "nobody": false} {
		results, err := GoOra{}.Run(t.Context(), visit(b.descriptor("(SERVICE_NAME="+service+")")), nil)
		must(t, err)
		if _, err := visited(results); want != (err == nil) {
			t.Fatalf("%s: %v", service, err)
		}
	}
	session, err := GoOra{}.connect(t.Context(), open("c", b.descriptor("(SERVICE_NAME=sales)")))
	must(t, err)
	defer session.close()
	b.awaitMetrics(t,
		`connects_total{code="0",outcome="served",route="relay",service="sales"} 2`,
		`connects_total{code="0",outcome="served",route="redirect",service="hr"} 1`,
		`connects_total{code="12514",outcome="refused",route="none",service="unknown"} 1`,
		`sessions_open{service="sales"} 1`, `sessions_total 2`,
		`service_instances{service="sales"} 2`, `service_instances{service="hr"} 1`,
		`handlers{state="ready"} 3`, `registration_events_total{event="registered"} 3`,
	)
	var stats struct {
		Total, Redirected, Refused int
		FromClient                 int `json:"from_client"`
		ToClient                   int `json:"to_client"`
	}
	must(t, b.getJSON("/api/v1/stats", &stats))
	if stats.Total != 2 || stats.Redirected != 1 || stats.Refused != 1 || stats.FromClient < 1000 || stats.ToClient < 1000 {
		t.Errorf("stats: %+v", stats)
	}
}

// A broker told to stop says that it is not ready before it turns anyone away.
func TestBrokerSaysThatItIsAboutToStop(t *testing.T) {
	b, _ := pair(t, "READY_SERVICES=sales", "SHUTDOWN_GRACE=1h")
	target := b.descriptor("(SERVICE_NAME=sales)")
	if status, body, err := b.get("/readyz"); err != nil || status != 200 {
		t.Fatalf("/readyz: %d %s, %v", status, body, err)
	}
	b.signal(t, syscall.SIGTERM)
	eventually(t, patience, func() error {
		status, body, err := b.get("/readyz")
		if err == nil && (status != 503 || !strings.Contains(string(body), "about to stop")) {
			err = fmt.Errorf("/readyz: %d %s", status, body)
		}
		return err
	})
	results, err := GoOra{}.Run(t.Context(), visit(target), nil)
	must(t, err)
	if _, err := visited(results); err != nil {
		t.Errorf("a client that still came was turned away: %v", err)
	}
	b.signal(t, syscall.SIGTERM)
	if code, took := b.waitExit(t, patience); code != 0 || took > stopsWithin {
		t.Errorf("after a second signal: exit code %d after %v", code, took)
	}
}
