package console

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"servicebroker/intent"
	"servicebroker/journal"
)

// shared is a broker with two tenants: hr, and sales, of which whoever has to do with hr is to learn nothing.
func shared(t *testing.T) *operated {
	t.Helper()
	o := fullyOperated(t)
	o.Rules = func() []RuleView {
		return []RuleView{
			{Name: "1", About: AboutClients, Action: "accept", Services: []string{"hr"}, DNs: []string{}, Text: "(RULE=(SRC=*)(DST=*)(SRV=hr)(ACT=accept))"},
			{Name: "2", About: AboutClients, Action: "accept", Services: []string{"sales"}, DNs: []string{}, Text: "(RULE=(SRC=*)(DST=*)(SRV=sales)(ACT=accept))"},
		}
	}
	e := explained()
	e.User, e.Machine = "hruser", "hrhost"
	e.Ref, e.Query, e.Rule, e.Logged = "", journal.Query{Service: "hr"}, "(RULE=(SRC=*)(DST=*)(SRV=sales)(ACT=accept))", []string{"(RULE=(SRC=*)(DST=*)(SRV=sales)(ACT=accept))", "(RULE=(SRC=*)(DST=*)(SRV=hr)(ACT=accept))", "(RULE=(SRV=sal"}
	e.Candidates, e.Attempts, e.Chosen = []journal.Candidate{{Key: "legacy@db9/DEDICATED", PassedOver: "refused by rule (RULE=(SRC=*)(DST=*)(SRV=sales)(ACT=accept))"}}, nil, ""
	o.journal.Keep(e)
	o.journal.Add(journal.Event{Kind: journal.ServiceUp, Service: "hr", Instance: "legacy", Host: "db9"})
	o.store.Add(intent.Intent{Kind: intent.Hold, Target: intent.Target{Service: "hr"}, Reason: "for hr"})
	o.Unready = func() []string { return []string{"sales is away"} }
	return o
}

// as asks with somebody's credentials.
func (o *operated) as(logins *Logins, who, what, body string) *httptest.ResponseRecorder {
	method, path, _ := strings.Cut(what, " ")
	r := httptest.NewRequest(method, "https://broker1:1525"+path, strings.NewReader(body))
	if method != http.MethodGet {
		r.Header.Set("Content-Type", "application/json")
	}
	handler := o.RESTHandler(logins)
	switch who {
	case "nobody":
	case "socket":
		handler = o.AdminHandler()
	case "console":
		r.Host = "127.0.0.1"
		handler = o.Handler()
	default:
		r.SetBasicAuth(who, who+" has a password")
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w
}

// Who may ask for what. A status of 4xx beside those of access tells that the request got as far as its handler.
func TestAccess(t *testing.T) {
	const (
		look   = "look"   // all who have credentials
		whole  = "whole"  // those who have to do with all
		change = "change" // operators
		mine   = "mine"   // operators, of what is theirs: the target here is hr's
		theirs = "theirs" // operators, but for those of hr, to whom it is not there
		beyond = "beyond" // the same, but they are told so
		rule   = "rule"   // operators who have to do with all
		open   = "open"   // anyone
	)
	cases := []struct{ what, body, need string }{
		{"GET /api/v1/services", "", look}, {"GET /api/v1/services/hr", "", look}, {"GET /api/v1/sessions", "", look}, {"GET /api/v1/explain?descriptor=hr", "", look},
		{"GET /api/v1/explanations", "", look}, {"GET /api/v1/intents", "", look}, {"GET /api/v1/events", "", look}, {"GET /api/v1/held", "", look},
		{"GET /api/v1/quarantine", "", look}, {"GET /api/v1/stats", "", look}, {"GET /api/v1/openapi.json", "", look}, {"GET /api/v1/version", "", look}, {"GET /api/v1/whoami", "", look},
		{"GET /api/v1/status?summary=true", "", look}, {"GET /show", "", look}, {"GET /show/services", "", look}, {"GET /show/connections/detail", "", look}, {"GET /refs", "", look}, {"GET /", "", look},
		{"GET /api/v1/explain/REF", "", look}, {"GET /api/v1/intents/ID", "", look}, {"GET /refs/REF", "", look}, {"GET /readyz/hr", "", look},
		{"GET /api/v1/parameters", "", whole}, {"GET /api/v1/rules", "", whole}, {"GET /metrics", "", whole}, {"GET /api/v1/certificates", "", whole}, {"GET /api/v1/limits", "", whole}, {"GET /api/v1/mirrors", "", whole}, {"GET /api/v1/peers", "", whole}, {"GET /api/v1/table", "", whole}, {"GET /api/v1/table/offers", "", whole}, {"GET /api/v1/generations", "", whole}, {"GET /api/v1/traces", "", whole},
		{"GET /livez", "", open}, {"GET /readyz", "", open}, {"GET /style.css", "", open},
		{"DELETE /api/v1/sessions/18", "", mine}, {"DELETE /api/v1/sessions/17", "", theirs}, {"DELETE /api/v1/sessions?service=sales", "", mine},
		{"POST /api/v1/intents", `{"kind": "drain", "target": {"service": "hr"}}`, mine}, {"POST /api/v1/intents", `{"kind": "drain", "target": {"service": "hr*", "node": "db9"}}`, mine},
		{"POST /api/v1/intents", `{"kind": "drain", "target": {"service": "sales"}}`, beyond}, {"POST /api/v1/intents", `{"kind": "drain", "target": {"node": "db9"}}`, beyond},
		{"POST /api/v1/intents", `{"kind": "drain", "target": {"service": "*"}}`, beyond}, {"POST /api/v1/intents", `{"kind": "drain", "target": {"service": "h*"}}`, beyond},
		{"DELETE /api/v1/intents/HR", "", mine}, {"DELETE /api/v1/intents/SALES", "", theirs},
		{"POST /api/v1/quarantine/q3/approve", "", mine}, {"POST /api/v1/quarantine/q1/reject", "", theirs},
		{"PUT /api/v1/load", `{"instance": "legacy@db9", "services": {"hr": {"delta": 1}}, "load": 3}`, mine}, {"PUT /api/v1/load", `{"instance": "sales1@db1", "load": 3}`, theirs},
		{"POST /api/v1/traces", `{"client": "192.0.2.1"}`, rule}, {"DELETE /api/v1/traces/1", "", rule}, {"PUT /api/v1/log-level", `{"level": "support"}`, rule}, {"POST /api/v1/reload", "", rule}, {"POST /api/v1/shutdown", "{}", rule}, {"POST /api/v1/upgrade", "", rule},
	}
	const denied = 403
	want := func(need, who string) []int {
		operator, hr := strings.HasSuffix(who, "operator") || who == "socket", strings.HasPrefix(who, "hr")
		switch {
		case need == open:
			return nil
		case who == "nobody":
			return []int{401}
		case need == look, need == whole && !hr, operator && !hr:
			return nil
		case need == whole, !operator, need == rule, need == beyond:
			return []int{denied}
		case need == theirs:
			return []int{404}
		}
		return nil
	}
	logins := loginsOf(t, people()...)
	seen := map[string]bool{}
	for _, c := range cases {
		for _, who := range []string{"nobody", "viewer", "operator", "hrviewer", "hroperator", "socket", "console"} {
			o := shared(t)
			o.Metrics = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
			path := strings.NewReplacer("REF", o.journal.Recent(1)[0].Ref, "/ID", "/"+o.store.All()[1].ID, "/HR", "/"+o.store.All()[1].ID, "/SALES", "/"+o.store.All()[0].ID).Replace(c.what)
			w := o.as(logins, who, path, c.body)
			expected := want(c.need, who)
			good := w.Code < 400 || w.Code == 503 && strings.Contains(c.what, "/readyz")
			if expected != nil {
				good = slices.Contains(expected, w.Code)
			}
			if !good {
				t.Errorf("%s: %s %s: %d %s", who, c.what, c.body, w.Code, w.Body)
			}
			if strings.HasPrefix(who, "hr") {
				if told := strings.ToLower(w.Body.String()); strings.Contains(told, "sales") && c.need != beyond && !strings.Contains(c.body, "sales") && !strings.Contains(c.what, "openapi") {
					t.Errorf("%s learns of sales: %s: %s", who, c.what, w.Body)
				}
			}
		}
		method, path, _ := strings.Cut(c.what, " ")
		path, _, _ = strings.Cut(path, "?")
		seen[method+" "+pattern(path, o404(t))] = true
	}
	for path, methods := range new(Server).routes() {
		for method := range methods {
			if !seen[method+" "+path] && path != formPath {
				t.Errorf("%s %s is not in this table", method, path)
			}
		}
	}
}

// o404 is a mux that tells patterns.
func o404(t *testing.T) *http.ServeMux {
	t.Helper()
	m := http.NewServeMux()
	for path := range new(Server).routes() {
		m.HandleFunc(path, func(http.ResponseWriter, *http.Request) {})
	}
	return m
}

func pattern(path string, m *http.ServeMux) string {
	_, p := m.Handler(httptest.NewRequest("GET", path, nil))
	return p
}

// Everything that somebody with a part of the services can ask for, with whatever he may name, tells of that part alone.
func TestATenantLearnsNothingOfOthers(t *testing.T) {
	logins := loginsOf(t, people()...)
	o := shared(t)
	others := o.store.All()[0]
	sales := o.journal.Find(journal.FindQuery{Service: "sales"})[0].Ref
	for _, what := range []string{
		"GET /api/v1/services/sales.example.com", "GET /api/v1/services/sales", "GET /readyz/sales", "GET /readyz/sales.example.com", "GET /api/v1/explain/" + sales, "GET /refs/" + sales,
		"GET /api/v1/explain?client=192.0.2.9", "GET /api/v1/explain?connection_id=c0ffee==", "GET /api/v1/explanations?service=*", "GET /api/v1/explanations?outcome=refuse", "GET /refs?q=192.0.2.9", "GET /refs?q=", "GET /?q=al", "GET /?q=",
		"GET /api/v1/events?service=*", "GET /api/v1/events?kind=registered", "GET /api/v1/events?since=0&limit=100", "GET /api/v1/events?instance=*", "GET /api/v1/intents/" + others.ID, "GET /api/v1/sessions?client=192.0.2.50",
		"GET /api/v1/held?service=", "GET /show/connections/detail?to=*", "GET /show/rules", "GET /show/all", "GET /show/parameters", "GET /show/services", "GET /show/status", "GET /show/stats", "GET /show/gateways", "GET /show/nothing",
		"DELETE /api/v1/intents/" + others.ID, "DELETE /api/v1/sessions?all=true", "DELETE /api/v1/sessions?instance=sales1", "DELETE /api/v1/sessions/17", "POST /api/v1/quarantine/q1/approve", "GET /api/v1/explain?descriptor=other",
	} {
		for _, who := range []string{"hrviewer", "hroperator"} {
			w := o.as(logins, who, what, "")
			text := w.Body.String()
			for _, word := range []string{"sales", "scott", "db1", "db2", "192.0.2.50", "evil", "app1"} {
				asked := strings.Contains(what, word) || strings.Contains(what, sales)
				if at := strings.Index(strings.ToLower(text), word); at >= 0 && !(asked && w.Code >= 400) && !strings.Contains(what, word) {
					t.Errorf("%s, %s: %d tells of %s: …%s", who, what, w.Code, word, text[max(0, at-80):min(len(text), at+80)])
				}
			}
		}
	}
	if slices.Contains(o.closed, 17) || !slices.Contains(o.closed, 18) {
		t.Errorf("sessions that were ended: %v", o.closed)
	}
	if _, found := o.store.Get(others.ID); !found {
		t.Error("an intent of others is gone")
	}
}

// The answer about what is there for others is the one about what is not there.
func TestWhatIsHiddenIsNotThere(t *testing.T) {
	logins := loginsOf(t, people()...)
	o := shared(t)
	for _, what := range []string{"GET /api/v1/services/%", "GET /readyz/%"} {
		hidden, none := o.as(logins, "hrviewer", strings.Replace(what, "%", "sales", 1), ""), o.as(logins, "hrviewer", strings.Replace(what, "%", "nope", 1), "")
		if hidden.Code != none.Code || strings.ReplaceAll(hidden.Body.String(), "sales", "nope") != none.Body.String() {
			t.Errorf("%s: %d %s, but %d %s", what, hidden.Code, hidden.Body, none.Code, none.Body)
		}
	}
}

// What a tenant is shown of his own is what others are shown of it.
func TestATenantIsShownHisOwn(t *testing.T) {
	logins := loginsOf(t, people()...)
	o := shared(t)
	list := answer[ServiceList](t, o.as(logins, "hrviewer", "GET /api/v1/services", ""), 200)
	if len(list.Services) != 1 || list.Services[0].Name != "hr" {
		t.Errorf("%+v", list)
	}
	if s := answer[SessionList](t, o.as(logins, "hrviewer", "GET /api/v1/sessions", ""), 200); len(s.Sessions) != 1 || s.Sessions[0].ID != "18" {
		t.Errorf("%+v", s)
	}
	if i := answer[IntentList](t, o.as(logins, "hrviewer", "GET /api/v1/intents", ""), 200); len(i.Intents) != 1 || i.Intents[0].Reason != "for hr" {
		t.Errorf("%+v", i)
	}
	if h := answer[HeldList](t, o.as(logins, "hrviewer", "GET /api/v1/held", ""), 200); h.Total != 1 || h.Held[0].Service != "hr" {
		t.Errorf("%+v", h)
	}
	if q := answer[QuarantineList](t, o.as(logins, "hrviewer", "GET /api/v1/quarantine", ""), 200); len(q.Quarantine) != 1 || q.Quarantine[0].ID != "q3" {
		t.Errorf("%+v", q)
	}
	if e := answer[EventList](t, o.as(logins, "hrviewer", "GET /api/v1/events?limit=5", ""), 200); len(e.Events) != 1 || e.Events[0].Service != "hr" {
		t.Errorf("%+v", e)
	}
	e := answer[ExplanationList](t, o.as(logins, "hrviewer", "GET /api/v1/explanations", ""), 200).Explanations
	if len(e) != 1 || e[0].Rule != "rule 2" || e[0].Candidates[0].PassedOver != "refused by rule rule 2" || e[0].Logged[0] != "rule 2" || e[0].Logged[1] != "(RULE=(SRC=*)(DST=*)(SRV=hr)(ACT=accept))" || e[0].Logged[2] != "a rule" {
		t.Errorf("%+v", e[0])
	}
	if st := answer[Status](t, o.as(logins, "hrviewer", "GET /api/v1/status?summary=true", ""), 200); st.Services != 1 || st.Registrations != 1 || st.Sessions != 1 || len(st.Summary) != 1 {
		t.Errorf("%+v", st)
	}
	if r := answer[Readiness](t, o.as(logins, "nobody", "GET /readyz", ""), 503); len(r.Reasons) != 1 || strings.Contains(r.Reasons[0], "sales") {
		t.Errorf("%+v", r)
	}
	who := answer[Identified](t, o.as(logins, "hroperator", "GET /api/v1/whoami", ""), 200)
	same(t, "who am I", who, nil, Identified{Name: "hroperator", From: "192.0.2.1", Role: "operator", Services: []string{"hr*"}})
}

// Pages of other sites cannot make a browser change anything, with whatever credentials it knows.
func TestOtherSitesChangeNothing(t *testing.T) {
	logins := loginsOf(t, people()...)
	o := shared(t)
	for name, headers := range map[string]map[string]string{
		"a form":        {"Content-Type": "application/x-www-form-urlencoded"},
		"text":          {"Content-Type": "text/plain"},
		"nothing":       {"Content-Type": ""},
		"another site":  {"Content-Type": "application/json", "Sec-Fetch-Site": "cross-site"},
		"a sister site": {"Content-Type": "application/json", "Sec-Fetch-Site": "same-site"},
		"its origin":    {"Content-Type": "application/json", "Origin": "https://evil.example.net"},
	} {
		r := httptest.NewRequest("POST", "https://broker1:1525/api/v1/reload", strings.NewReader("{}"))
		r.SetBasicAuth("operator", "operator has a password")
		for key, value := range headers {
			r.Header.Set(key, value)
		}
		w := httptest.NewRecorder()
		o.RESTHandler(logins).ServeHTTP(w, r)
		if w.Code != 403 && w.Code != 415 || w.Header().Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	w := o.as(logins, "operator", "GET /", "")
	for header, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Strict-Transport-Security": "max-age", "Content-Security-Policy": "frame-ancestors 'none'", "Cache-Control": "no-store"} {
		if !strings.Contains(w.Header().Get(header), want) {
			t.Errorf("%s: %q", header, w.Header().Get(header))
		}
	}
}

// Each change, and each try, is told in the log and as an event: who, what, and what came of it. What anyone can send is not.
func TestChangesAreAudited(t *testing.T) {
	logins := loginsOf(t, people()...)
	o := shared(t)
	var log bytes.Buffer
	o.Audit = slog.New(slog.NewTextHandler(&log, nil))
	before := o.journal.Last()
	for _, c := range []struct{ who, what, body, cause, detail string }{
		{"operator", "POST /api/v1/intents", `{"kind": "drain", "target": {"service": "sales", "instance": "sales1@db1"}}`, "operator from 192.0.2.1", "drain of service sales, instance sales1@db1: POST /api/v1/intents done"},
		{"hroperator", "POST /api/v1/intents", `{"kind": "drain", "target": {"service": "sales"}}`, "hroperator from 192.0.2.1", "drain of service sales: POST /api/v1/intents refused with status 403"},
		{"hroperator", "DELETE /api/v1/sessions/18", "", "hroperator from 192.0.2.1", "session 18 of [2001:db8::1]:40124 on legacy@db9: DELETE /api/v1/sessions/18 done"},
		{"viewer", "POST /api/v1/reload", "", "viewer from 192.0.2.1", "POST /api/v1/reload refused with status 403"},
		{"socket", "POST /api/v1/reload", "", "admin socket", "POST /api/v1/reload done"},
		{"operator", "PUT /api/v1/load", `{"instance": "none", "load": 3}`, "operator from 192.0.2.1", "load of none: PUT /api/v1/load refused with status 404"},
		{"operator", "POST /api/v1/quarantine/q3/approve", "", "operator from 192.0.2.1", "approve of service hr, instance hr1@h2, registration q3: POST /api/v1/quarantine/q3/approve done"},
	} {
		log.Reset()
		o.as(logins, c.who, c.what, c.body)
		events := o.journal.Events(journal.Filter{Since: before, Kinds: []journal.Kind{journal.Administered}})
		before = o.journal.Last()
		if len(events) != 1 || events[0].Cause != c.cause || events[0].Detail != c.detail {
			t.Errorf("%s, %s: %+v", c.who, c.what, events)
		}
		if !strings.Contains(log.String(), "msg=change") {
			t.Errorf("%s, %s: %q", c.who, c.what, log.String())
		}
	}
	log.Reset()
	o.as(logins, "operator", "PUT /api/v1/load", `{"instance": "sales1@db1", "load": 3}`)
	o.as(logins, "console", "POST /api/v1/reload", "")
	o.as(logins, "nobody", "POST /api/v1/reload", "")
	if events := o.journal.Events(journal.Filter{Since: before}); len(events) != 0 || log.Len() != 0 {
		t.Errorf("%+v, %s", events, log.String())
	}
}

// An intent tells who wanted it, whatever he says besides.
func TestSourcesAreNotInvented(t *testing.T) {
	logins := loginsOf(t, people()...)
	o := shared(t)
	for who, want := range map[string]string{"operator": "operator from 192.0.2.1 (root@db1)", "socket": "root@db1"} {
		w := o.as(logins, who, "POST /api/v1/intents", `{"kind": "drain", "target": {"service": "x"}, "source": "root@db1"}`)
		var view IntentView
		if err := json.Unmarshal(w.Body.Bytes(), &view); err != nil || view.Source != want {
			t.Errorf("%s: %+v, %v", who, view, err)
		}
	}
}

// deadlines is an answer that remembers the deadline which was set last.
type deadlines struct {
	*httptest.ResponseRecorder
	write time.Time
}

func (d *deadlines) SetWriteDeadline(t time.Time) error { d.write = t; return nil }

// Between events nothing limits a stream: over HTTP/2 a deadline ends it, whether something is being written or not.
func TestAStreamHasNoDeadlineWhileNothingHappens(t *testing.T) {
	d := &deadlines{ResponseRecorder: httptest.NewRecorder(), write: time.Now()}
	one := stream{w: d, control: http.NewResponseController(d)}
	if err := one.send([]journal.Event{{ID: 1}}); err != nil || !d.write.IsZero() {
		t.Errorf("%v, %v", err, d.write)
	}
}

// No credential has all streams, and one that is taken back ends its own.
func TestStreamsOfOneCredential(t *testing.T) {
	var o openStreams
	for range maxStreamsEach {
		if n := o.enter("ci"); n != 0 {
			t.Fatal(n)
		}
	}
	if o.enter("ci") != maxStreamsEach || o.enter("alice") != 0 {
		t.Error("somebody else's count")
	}
	o.leave("ci")
	if o.enter("ci") != 0 || o.open() != maxStreamsEach+1 {
		t.Errorf("%d are open", o.open())
	}
	l := loginsOf(t, people()...)
	c := &Credential{Name: "viewer", Role: Viewer, Password: cheapHash("viewer has a password")}
	if !l.knows(c) {
		t.Error("he is not known")
	}
	writeCredentials(t, l.File, people()[1:]...)
	now := time.Now().Add(time.Hour)
	l.Now = func() time.Time { return now }
	if l.knows(c) {
		t.Error("he is known yet")
	}
}
