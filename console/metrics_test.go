package console

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestMetricsAreOnOneAddress: on the plain one unless there is one for them, and over the socket in any case.
func TestMetricsAreOnOneAddress(t *testing.T) {
	get := func(h http.Handler, url string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", url, nil))
		return w
	}
	s := testServer(tableOf(registrations()))
	if body := wantAnswer(t, ask(s, "GET", "/metrics"), 404); !strings.Contains(body, "nothing at /metrics") {
		t.Errorf("without metrics: %s", body)
	}
	s.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "up 1\n") })
	for name, c := range map[string]struct {
		handler http.Handler
		url     string
		status  int
		has     string
	}{
		"console":                   {s.Handler(), "http://127.0.0.1:8521/metrics", 200, "up 1"},
		"console by a foreign name": {s.Handler(), "http://evil.example.net/metrics", 421, "METRICS_ADDRESS"},
		"socket":                    {s.AdminHandler(), "http://broker/metrics", 200, "up 1"},
		"own address":               {s.HealthHandler(), "http://broker.example.net:9521/metrics", 200, "up 1"},
		"own address, health":       {s.HealthHandler(), "http://broker.example.net:9521/readyz/sales", 200, "true"},
		"own address, API":          {s.HealthHandler(), "http://broker.example.net:9521/api/v1/services", 404, "/readyz/SERVICE alone"},
	} {
		if w := get(c.handler, c.url); w.Code != c.status || !strings.Contains(w.Body.String(), c.has) {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	s.MetricsAddress = "192.0.2.1:9521"
	if body := wantAnswer(t, ask(s, "GET", "/metrics"), 404); !strings.Contains(body, "http://192.0.2.1:9521/metrics") {
		t.Errorf("elsewhere: %s", body)
	}
	if w := get(s.AdminHandler(), "http://broker/metrics"); w.Code != 200 {
		t.Errorf("socket, when they are elsewhere: %d %s", w.Code, w.Body)
	}
	w := httptest.NewRecorder()
	s.HealthHandler().ServeHTTP(w, httptest.NewRequest("POST", "http://b/metrics", nil))
	if w.Code != 403 && w.Code != 405 {
		t.Errorf("POST: %d", w.Code)
	}
}
