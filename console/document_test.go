package console

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"

	"servicebroker/intent"
	"servicebroker/journal"
)

// pages are for people: they are no part of the API.
func pages() []string { return []string{"/{$}", "/style.css", "/refs", "/refs/{ref}", formPath} }

func apiDocument(t *testing.T) (*openapi3.T, routers.Router) {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(document)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context(), openapi3.EnableSchemaFormatValidation()); err != nil {
		t.Fatal(err)
	}
	router, err := legacy.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	return doc, router
}

// Every route is in the document, and nothing else is.
func TestDocumentListsEveryRoute(t *testing.T) {
	doc, _ := apiDocument(t)
	var served, documented []string
	for path, methods := range new(Server).routes() {
		for method := range methods {
			if !slices.Contains(pages(), path) {
				served = append(served, method+" "+path)
			}
		}
	}
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			documented = append(documented, method+" "+path)
		}
	}
	for _, one := range served {
		if !slices.Contains(documented, one) {
			t.Errorf("%s is served, but not in openapi.json: describe it there", one)
		}
	}
	for _, one := range documented {
		if !slices.Contains(served, one) {
			t.Errorf("%s is in openapi.json, but not served", one)
		}
	}
}

// What the document says of roles is what is asked of them.
func TestDocumentTellsRoles(t *testing.T) {
	doc, _ := apiDocument(t)
	s := new(Server)
	some := []string{"x"}
	for path, item := range doc.Paths.Map() {
		for method, operation := range item.Operations() {
			may := func(a *Access) bool { return s.refusal(a, path, method) == nil }
			role := "none"
			switch {
			case !may(&Access{Who: "v", Role: Viewer}):
				role = "operator"
			case !slices.Contains(openPaths(), path):
				role = "viewer"
			}
			parts := may(&Access{Who: "o", Role: Operator, Services: some})
			if operation.Extensions["x-role"] != role || operation.Extensions["x-some-services"] != parts {
				t.Errorf("%s %s: x-role and x-some-services are %v and %v; want %s and %v", method, path, operation.Extensions["x-role"], operation.Extensions["x-some-services"], role, parts)
			}
			if operation.Security != nil != (role == "none") {
				t.Errorf("%s %s: security %v", method, path, operation.Security)
			}
		}
	}
}

// documented asks over the admin socket and holds request and answer against the document.
type documented struct {
	t       *testing.T
	handler http.Handler
	router  routers.Router
	seen    map[string]bool // operations that were answered with 200
}

// call makes one request: "METHOD /path", with headers, and a body unless that is "". A request that the document
// forbids may be answered with an error alone.
func (d *documented) call(what, body string, headers ...string) int {
	d.t.Helper()
	method, path, _ := strings.Cut(what, " ")
	request := httptest.NewRequest(method, "http://127.0.0.1"+path, strings.NewReader(body))
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		request.Header.Set(name, value)
	}
	route, values, err := d.router.FindRoute(request)
	if err != nil {
		d.t.Errorf("%s: %v", what, err)
		return 0
	}
	input := &openapi3filter.RequestValidationInput{Request: request, PathParams: values, Route: route,
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc}}
	wrong := openapi3filter.ValidateRequest(d.t.Context(), input)
	request.Body = io.NopCloser(strings.NewReader(body))
	w := httptest.NewRecorder()
	d.handler.ServeHTTP(w, request)
	answer := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: w.Code, Header: w.Header(), Body: io.NopCloser(bytes.NewReader(w.Body.Bytes())),
	}
	if err := openapi3filter.ValidateResponse(d.t.Context(), answer); err != nil {
		d.t.Errorf("%s: the answer %d is not as documented: %v\n%s", what, w.Code, err, w.Body)
	}
	if wrong != nil && w.Code == http.StatusOK {
		d.t.Errorf("%s %s is not allowed, but is answered: %v", what, body, wrong)
	}
	if w.Code == http.StatusOK {
		d.seen[route.Operation.OperationID] = true
	}
	return w.Code
}

// fullyOperated is a console with everything, something in all lists included.
func fullyOperated(t *testing.T) *operated {
	t.Helper()
	o := newOperated(t)
	o.Shutdown = func(ShutdownRequest) {}
	o.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		_, _ = io.WriteString(w, "# HELP servicebroker_ready Whether.\n")
	})
	o.Reload = func(context.Context) (ReloadResult, error) {
		return ReloadResult{Config: "/etc/cman.ora", Changed: []string{"ROUTE"}, NeedsRestart: []string{"ADDRESS"}, Messages: []ConfigMessage{{"cman.ora", 3, 4, "warning", "text"}}}, nil
	}
	o.tracing()
	o.store.Add(intent.Intent{Kind: intent.Drain, Target: intent.Target{Service: "sales", Network: "192.0.2.0/24"}, Deadline: noon(), EndSessions: true, Reason: "r", Source: "s"})
	for _, kind := range journal.Kinds() {
		o.journal.Add(journal.Event{Kind: kind, Service: "sales", Instance: "sales1", Host: "db1", Database: "prod", Cause: "c", Detail: "d",
			EventType: "SERVICEMEMBER", Status: "up", Reason: "USER", Card: 2, DBDomain: "example.com"})
	}
	for _, outcome := range []journal.Outcome{journal.Relay, journal.Redirect, journal.Hold, journal.Refuse, journal.Drop, journal.Gone} {
		e := explained()
		e.Ref, e.Outcome = "", outcome
		o.journal.Keep(e)
	}
	o.journal.Keep(&journal.Explanation{Client: "192.0.2.1:1", Outcome: journal.Refuse, Code: 12514})
	return o
}

// Every operation is answered as documented, whether it succeeds or not.
func TestEveryAnswerIsAsDocumented(t *testing.T) {
	o := fullyOperated(t)
	doc, router := apiDocument(t)
	d := documented{t: t, handler: o.AdminHandler(), router: router, seen: map[string]bool{}}
	ref := o.journal.Recent(2)[1].Ref
	for _, what := range []string{
		"GET /api/v1/services", "GET /api/v1/services/SALES", "GET /api/v1/services/none", "GET /api/v1/sessions", "GET /api/v1/sessions?service=hr&client=192.0.2.1", "GET /api/v1/sessions?servise=hr",
		"GET /api/v1/explain?descriptor=sales&from=192.0.2.1&user=u&program=p", "GET /api/v1/explain?descriptor=((", "GET /api/v1/explain", "GET /api/v1/explain?client=192.0.2.9",
		"GET /api/v1/explain/" + ref, "GET /api/v1/explain/none", "GET /api/v1/explanations", "GET /api/v1/explanations?outcome=gone&limit=1", "GET /api/v1/explanations?outcome=odd", "GET /api/v1/explanations?limit=0",
		"GET /api/v1/intents", "GET /api/v1/intents/d1", "GET /api/v1/intents/none", "GET /api/v1/events", "GET /api/v1/events?since=1&kind=moved,died&limit=2", "GET /api/v1/events?since=2030-05-06T12:00:00Z", "GET /api/v1/events?kind=odd",
		"GET /api/v1/held", "GET /api/v1/held?limit=1", "GET /api/v1/held?limit=x", "GET /api/v1/certificates", "GET /api/v1/limits", "GET /api/v1/mirrors", "GET /api/v1/peers", "GET /api/v1/table", "GET /api/v1/table/offers?service=sales", "GET /api/v1/generations", "POST /api/v1/upgrade", "GET /api/v1/traces", "DELETE /api/v1/traces/1", "DELETE /api/v1/traces/2", "DELETE /api/v1/traces/x", "GET /api/v1/quarantine", "GET /api/v1/parameters", "GET /api/v1/rules", "GET /api/v1/version", "GET /api/v1/stats",
		"GET /api/v1/status", "GET /api/v1/status?summary=true", "GET /api/v1/status?summary=yes", "GET /api/v1/openapi.json", "GET /metrics", "GET /livez", "GET /readyz", "GET /readyz/sales", "GET /readyz/none",
		"GET /api/v1/whoami", "GET /show", "GET /show/connections/detail?in=idle", "GET /show/connections/detail?in=limbo",
		"POST /api/v1/quarantine/q1/approve", "POST /api/v1/quarantine/q1/reject", "POST /api/v1/quarantine/none/approve", "POST /api/v1/reload",
		"DELETE /api/v1/sessions/17", "DELETE /api/v1/sessions/99", "DELETE /api/v1/sessions/x", "DELETE /api/v1/sessions", "DELETE /api/v1/sessions?all=true", "DELETE /api/v1/intents/d1", "DELETE /api/v1/intents/d1",
	} {
		d.call(what, "")
	}
	for what := range o.all().showable() {
		d.call("GET /show/"+what, "")
	}
	for _, c := range [][2]string{
		{"POST /api/v1/intents", `{"kind": "weight", "value": 50, "target": {"node": "db1"}, "reason": "r", "source": "s"}`},
		{"POST /api/v1/intents", `{"kind": "drain", "target": {"service": "sales"}, "deadline": "2030-05-06T12:00:00Z", "end_sessions": true}`},
		{"POST /api/v1/intents", `{"kind": "weight", "target": {}}`}, {"POST /api/v1/intents", `{"kind": "brew"}`}, {"POST /api/v1/intents", `{"color": 1}`},
		{"POST /api/v1/quarantine/q2/approve", `{"reason": "r"}`},
		{"PUT /api/v1/load", `{"instance": "sales1@db1", "load": 3, "services": {"sales": {"goodness": 1, "delta": 2}}}`}, {"PUT /api/v1/load", `{"instance": "none", "load": 3}`}, {"PUT /api/v1/load", `{}`},
		{"POST /api/v1/traces", `{"client": "192.0.2.7", "seconds": 60, "data": true}`}, {"POST /api/v1/traces", `{"session": "17"}`}, {"POST /api/v1/traces", `{}`}, {"POST /api/v1/traces", `{"client": "x", "seconds": -1}`},
		{"PUT /api/v1/log-level", `{"level": "support"}`}, {"PUT /api/v1/log-level", `{"level": "loud"}`}, {"PUT /api/v1/log-level", `{}`},
		{"POST /api/v1/shutdown", `{"timeout": 2.5}`}, {"POST /api/v1/shutdown", `{"timeout": -1}`}, {"POST /api/v1/shutdown", `{"abort": "yes"}`},
	} {
		d.call(c[0], c[1])
	}
	for path, item := range doc.Paths.Map() {
		for method, operation := range item.Operations() {
			if !d.seen[operation.OperationID] {
				t.Errorf("%s %s was never answered with 200", method, path)
			}
		}
	}
}

// A broker that offers little says so as documented, and the plain address refuses changes so.
func TestRefusalsAreAsDocumented(t *testing.T) {
	doc, router := apiDocument(t)
	bare := new(Server)
	bare.Unready = func() []string { return []string{"it ends"} }
	logins := loginsOf(t, people()...)
	as := func(who string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if who != "nobody" {
				r.SetBasicAuth(who, who+" has a password")
			}
			bare.RESTHandler(logins).ServeHTTP(w, r)
		})
	}
	for name, handler := range map[string]http.Handler{
		"admin": bare.AdminHandler(), "plain": bare.Handler(), "nobody": as("nobody"), "viewer": as("viewer"), "hroperator": as("hroperator"),
	} {
		d := documented{t: t, handler: handler, router: router, seen: map[string]bool{}}
		for path, item := range doc.Paths.Map() {
			for method := range item.Operations() {
				path = strings.NewReplacer("{what}", "connections", "{how}", "count", "{service}", "s", "{", "", "}", "").Replace(path)
				code := d.call(method+" "+path, "")
				if change := method != http.MethodGet; change && (name == "plain" && code != http.StatusForbidden || name == "nobody" && code != http.StatusUnauthorized || name == "viewer" && code != http.StatusForbidden && code != http.StatusUnsupportedMediaType) || change && code == http.StatusOK {
					t.Errorf("%s: %s %s is answered with %d", name, method, path, code)
				}
			}
		}
	}
}

// The document is served as it stands, and parses as what it says it is.
func TestDocumentIsServed(t *testing.T) {
	body := wantAnswer(t, ask(testServer(tableOf(nil)), "GET", "/api/v1/openapi.json"), 200)
	var head struct{ Openapi string }
	if err := json.Unmarshal([]byte(body), &head); err != nil || head.Openapi != "3.1.0" || body != string(document) {
		t.Errorf("%+v, %v", head, err)
	}
}

// Nothing is described that no answer has.
func TestDocumentHasNoDanglingSchemas(t *testing.T) {
	var all struct {
		Components struct{ Schemas map[string]json.RawMessage }
	}
	if err := json.Unmarshal(document, &all); err != nil {
		t.Fatal(err)
	}
	for name := range all.Components.Schemas {
		if !bytes.Contains(document, fmt.Appendf(nil, `"#/components/schemas/%s"`, name)) {
			t.Errorf("nothing refers to the schema %s", name)
		}
	}
}
