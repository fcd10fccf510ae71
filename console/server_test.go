package console

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"servicebroker/servicetable"
)

// indented makes JSON fit for a golden file.
func indented(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.Indent(&b, []byte(text), "", "  "); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return b.String()
}

func TestAnswers(t *testing.T) {
	s := testServer(tableOf(registrations()))
	for _, c := range []struct {
		path, golden string
		status       int
	}{
		{"/api/v1/services", "services.json", 200},
		{"/api/v1/services/SALES", "service.json", 200},
		{"/api/v1/sessions", "sessions.json", 200},
		{"/api/v1/version", "version.json", 200},
		{"/api/v1/status", "status.json", 200},
		{"/api/v1/status?summary=false", "status.json", 200},
		{"/api/v1/status?summary=true", "status-summary.json", 200},
	} {
		golden(t, c.golden, indented(t, wantAnswer(t, ask(s, "GET", c.path), c.status)))
	}
}

// The fields of an instance and a handler that others rely on, by name.
func TestServicesHaveTheAgreedShape(t *testing.T) {
	s := testServer(tableOf(registrations()))
	var answer struct {
		Version  float64
		Services []struct {
			Name      string
			Instances []map[string]any
		}
	}
	if err := json.Unmarshal(ask(s, "GET", "/api/v1/services").Body.Bytes(), &answer); err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(answer.Services, func(s struct {
		Name      string
		Instances []map[string]any
	}) bool {
		return s.Name == "sales.example.com"
	})
	in := answer.Services[at].Instances[0]
	want := map[string]any{
		"name": "sales1", "host": "db1", "status": "READY", "node_load": 10.0, "node_max": 100.0, "load": 1.0, "max": 247.0, "goodness": 1.0, "delta": 1.0,
		"key": "sales1@db1", "host_raw": "(HOST=db1  )", "database": "", "registered_at": "2030-05-06T10:30:00Z", "load_age_ms": 2500.0, "load_source": "registration",
	}
	handler := map[string]any{
		"name": "DEDICATED", "kind": "dedicated", "state": "ready", "load": 5.0, "max": 149.0, "address": "(ADDRESS=(PROTOCOL=TCP)(HOST=db1)(PORT=1521))",
		"info": "REMOTE SERVER", "established": 12.0, "refused": 3.0,
	}
	for field, value := range want {
		if in[field] != value {
			t.Errorf("instance: %s is %v, want %v", field, in[field], value)
		}
	}
	if marks, ok := in["marks"].([]any); !ok || len(marks) != 0 {
		t.Errorf("marks %v, want an empty list", in["marks"])
	}
	first := in["handlers"].([]any)[0].(map[string]any)
	for field, value := range handler {
		if first[field] != value {
			t.Errorf("handler: %s is %v, want %v", field, first[field], value)
		}
	}
}

func TestEmptyBroker(t *testing.T) {
	s := Server{Hosts: consoleNames()}
	for path, want := range map[string]string{
		"/api/v1/services": `{"version":0,"services":[]}`,
		"/api/v1/sessions": `{"sessions":[]}`,
		"/livez":           `{"status":"alive"}`,
		"/readyz":          `{"ready":true,"reasons":[]}`,
	} {
		if got := strings.TrimSpace(wantAnswer(t, ask(&s, "GET", path), 200)); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	if w := ask(&s, "GET", "/"); w.Code != 200 || !strings.Contains(w.Body.String(), "No database has registered yet") {
		t.Errorf("page: %d %s", w.Code, w.Body)
	}
}

func TestErrors(t *testing.T) {
	s := testServer(tableOf(registrations()))
	for _, c := range []struct {
		method, path string
		status       int
		text         string
	}{
		{"GET", "/api/v1/services/none", 404, `"none"`},
		{"GET", "/api/v1/nothing", 404, "/api/v1/nothing"},
		{"GET", "/api", 404, "/api"},
		{"GET", "/elsewhere", 404, "/elsewhere"},
		{"GET", "/api/v1/services/a/b", 404, "nothing at"},
		{"POST", "/api/v1/services", 405, "POST"},
		{"PATCH", "/api/v1/sessions", 405, "PATCH"},
		{"OPTIONS", "/", 405, "OPTIONS"},
		{"PUT", "/livez", 405, "PUT"},
		{"GET", "/api/v1/sessions?servise=x", 400, "servise"},
		{"GET", "/api/v1/status?summary=yes", 400, "summary"},
	} {
		w := ask(s, c.method, c.path)
		var body map[string]string
		if err := json.Unmarshal([]byte(wantAnswer(t, w, c.status)), &body); err != nil {
			t.Errorf("%s %s: %v", c.method, c.path, err)
		}
		if !strings.Contains(body["error"], c.text) || body["hint"] == "" || len(body) != 2 {
			t.Errorf("%s %s: %v", c.method, c.path, body)
		}
		if allow := w.Header().Get("Allow"); (c.status == 405) != (allow == "GET, HEAD") {
			t.Errorf("%s %s: Allow %q", c.method, c.path, allow)
		}
	}
}

func TestHeadIsAnsweredLikeGet(t *testing.T) {
	address := serve(t, testServer(tableOf(registrations())).Handler())
	response, err := http.Head(address + "/api/v1/services")
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer response.Body.Close()
	if response.StatusCode != 200 || response.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%s, %v", response.Status, response.Header)
	}
}

func TestAnswersAreSecured(t *testing.T) {
	s := testServer(tableOf(registrations()))
	for _, path := range []string{"/", "/style.css", "/api/v1/services", "/nowhere"} {
		h := ask(s, "GET", path).Header()
		if csp := h.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") || strings.Contains(csp, "script-src") {
			t.Errorf("%s: policy %q", path, csp)
		}
		if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: headers %v", path, h)
		}
	}
}

func TestReadiness(t *testing.T) {
	s := testServer(tableOf(registrations()))
	for _, path := range []string{"/readyz", "/readyz/sales", "/readyz/hr"} {
		wantAnswer(t, ask(s, "GET", path), 200)
	}
	if body := wantAnswer(t, ask(s, "GET", "/readyz/none"), 503); !strings.Contains(body, "none") || !strings.Contains(body, `"ready":false`) {
		t.Errorf("a service that is not there: %s", body)
	}
	if body := wantAnswer(t, ask(s, "GET", "/readyz/sales2XDB"), 503); !strings.Contains(body, "blocking") {
		t.Errorf("a blocked service: %s", body)
	}
	s.Unready = func() []string { return []string{"it does not listen yet"} }
	if body := wantAnswer(t, ask(s, "GET", "/readyz"), 503); strings.TrimSpace(body) != `{"ready":false,"reasons":["it does not listen yet"]}` {
		t.Errorf("%s", body)
	}
	wantAnswer(t, ask(s, "GET", "/readyz/sales"), 503)
	wantAnswer(t, ask(s, "GET", "/livez"), 200)
}

func TestSessionFilters(t *testing.T) {
	s := testServer(tableOf(nil))
	for query, want := range map[string]string{
		"":                                "17 18",
		"?service=SALES.example.com":      "17",
		"?service=sales":                  "",
		"?instance=legacy":                "18",
		"?instance=Sales1@DB1":            "17",
		"?client=192.0.2.50":              "17",
		"?client=192.0.2.50:40123":        "17",
		"?client=40123":                   "",
		"?client=2001:db8::1":             "18",
		"?upstream=192.0.2.1:51001":       "18",
		"?upstream=51000":                 "17",
		"?upstream=:51000":                "17",
		"?upstream=192.0.2.1":             "17 18",
		"?upstream=192.0.2.1&instance=hr": "",
	} {
		var list SessionList
		if err := json.Unmarshal([]byte(wantAnswer(t, ask(s, "GET", "/api/v1/sessions"+query), 200)), &list); err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, one := range list.Sessions {
			ids = append(ids, one.ID)
		}
		if got := strings.Join(ids, " "); got != want {
			t.Errorf("%q: sessions %q, want %q", query, got, want)
		}
	}
	if (SessionFilter{Client: "x"}).matches(&Session{Client: "no port"}) {
		t.Error("an address without port matches another")
	}
}

// brokenWriter is a client that went away.
type brokenWriter struct{ httptest.ResponseRecorder }

func (*brokenWriter) Write([]byte) (int, error) { return 0, errors.New("the client went away") }

func TestAnswerNotSentIsLogged(t *testing.T) {
	var log bytes.Buffer
	s := Server{Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	s.getVersion(&brokenWriter{}, httptest.NewRequest("GET", "/", nil))
	if !strings.Contains(log.String(), "the client went away") {
		t.Errorf("log %q", log.String())
	}
}

// Ages are never negative, whatever the clocks of two hosts say.
func TestReportFromTheFuture(t *testing.T) {
	all := registrations()
	all[0].LoadAt = noon().Add(5)
	body := ask(testServer(tableOf(all)), "GET", "/api/v1/services").Body.String()
	if strings.Contains(body, `"load_age_ms":-`) || !strings.Contains(body, `"load_age_ms":0`) {
		t.Error(body)
	}
	var table servicetable.Table
	all[0].LoadAt = all[0].LoadAt.AddDate(-100, 0, 0)
	table.Apply(all[0])
	if s := (&Server{Snapshot: table.Snapshot, Hosts: consoleNames()}); !strings.Contains(ask(s, "GET", "/api/v1/services").Body.String(), `"load_age_ms":3`) {
		t.Error("without a clock of its own, the server uses none")
	}
}
