package console

import (
	"net/http/httptest"
	"strings"
	"testing"

	"servicebroker/intent"
)

func TestShow(t *testing.T) {
	o := newOperated(t)
	for path, want := range map[string]string{
		"/show/status":                   "Status of the Instance\n",
		"/show/services":                 "Services Summary...\nProxy service \"cmgw\" has 1 instance(s).\n",
		"/show/SERVICES":                 `Service "sales.example.com" has 2 instance(s).`,
		"/show/gateways":                 "Gateway state                      READY\n",
		"/show/connections":              "Number of connections: 2\nThe command completed successfully.\n",
		"/show/connections/count?for=hr": "Number of connections: 1\n",
		"/show/connections/info?from=192.0.2.0/24&in=idle": "17 from 192.0.2.50:40123 to sales1@db1",
		"/show/connections/detail":                         "Source program                     python3\n",
		"/show/rules":                                      "currently in effect: 1\n",
		"/show/parameters":                                 "hold_timeout              | 30\n",
		"/show/defaults":                                   "hold_timeout              | \n",
		"/show/all":                                        "(rule_list=\n",
		"/show/events":                                     "Event Groups:\n",
		"/show/stats":                                      "Total connections refused          3\n",
		"/show/version":                                    "CMAN for Linux: Version 19.0.0.0.0 - Production\n",
		"/show":                                            "/show/all\n/show/connections\n",
	} {
		w := ask(o.Server, "GET", path)
		if w.Code != 200 || !strings.Contains(w.Body.String(), want) || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain") {
			t.Errorf("%s: %d %q, want %q", path, w.Code, w.Body, want)
		}
	}
	o.store.Add(intent.Intent{Kind: intent.Drain, Target: SuspendTarget()})
	if got := ask(o.Server, "GET", "/show/gateways").Body.String(); !strings.Contains(got, "SUSPENDED") {
		t.Errorf("suspended: %s", got)
	}
	wantRefused(t, o.Handler(), []wrong{
		{"GET", "/show/servises", "", 404, "/show/servises", `did you mean "services"`},
		{"GET", "/show/services/detail", "", 404, "/show/services/detail", "GET /show"},
		{"GET", "/show/connections/all", "", 404, "/show/connections/all", "GET /show"},
		{"GET", "/show/connections?in=limbo", "", 400, "limbo", "cmctl"},
		{"GET", "/show/connections?color=red", "", 400, "color", "cmctl"},
		{"POST", "/show/status", "", 405, "POST", "GET"},
	})
}

// A broker that can tell little is shown as that.
func TestShowOfLittle(t *testing.T) {
	s := &Server{Hosts: consoleNames()}
	for _, what := range []string{"status", "services", "gateways", "connections", "rules", "parameters", "all", "stats", "version"} {
		if w := ask(s, "GET", "/show/"+what); w.Code != 200 || !strings.HasSuffix(w.Body.String(), cmanDone) {
			t.Errorf("%s: %d %q", what, w.Code, w.Body)
		}
	}
}

func TestStats(t *testing.T) {
	o := newOperated(t)
	st := answer[Stats](t, ask(o.Server, "GET", "/api/v1/stats"), 200)
	if want := (Stats{Sessions: 2, Peak: 2, Total: 12, Refused: 3, Held: 3, FromClient: 1234, ToClient: 123_456_789}); st != want {
		t.Errorf("from what else is known: %+v, want %+v", st, want)
	}
	o.Stats = func() Stats { return Stats{Sessions: 1, Max: 2} }
	if st := answer[Stats](t, ask(o.Server, "GET", "/api/v1/stats"), 200); st != (Stats{Sessions: 1, Max: 2}) {
		t.Errorf("%+v", st)
	}
}

// Requests over the admin socket are counted, this one included.
func TestAdminRequests(t *testing.T) {
	o := newOperated(t)
	admin := o.AdminHandler()
	askHandler(admin, "/livez")
	w := httptest.NewRecorder()
	admin.ServeHTTP(w, httptest.NewRequest("GET", "/api/v1/status", nil))
	if st := answer[Status](t, w, 200); st.AdminRequests != 2 || st.AdminOpen != 1 {
		t.Errorf("%d, %d open", st.AdminRequests, st.AdminOpen)
	}
	if st := answer[Status](t, ask(o.Server, "GET", "/api/v1/status"), 200); st.AdminRequests != 2 || st.AdminOpen != 0 {
		t.Errorf("over the plain address: %d, %d open", st.AdminRequests, st.AdminOpen)
	}
}
