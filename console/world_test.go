package console

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"servicebroker/intent"
	"servicebroker/journal"
)

// operated is a console with everything an operator can do, and what was done.
type operated struct {
	*Server
	journal journal.Journal
	store   *intent.Store
	closed  []uint64
	loads   []LoadReport
	asked   ExplainRequest
}

func newOperated(t *testing.T) *operated {
	t.Helper()
	store, err := intent.Open("")
	if err != nil {
		t.Fatal(err)
	}
	o := &operated{Server: testServer(tableOf(registrations())), store: store}
	o.Journal = &o.journal
	o.journal.Now = noon
	o.Explain = func(_ context.Context, r ExplainRequest) (*journal.Explanation, error) {
		if o.asked = r; r.Descriptor == "((" {
			return nil, fmt.Errorf("%q is no descriptor", r.Descriptor)
		}
		return &journal.Explanation{Query: journal.Query{Service: r.Descriptor}, Outcome: journal.Refuse, Code: 12514}, nil
	}
	o.Intents = func() []IntentView {
		var views []IntentView
		for _, in := range store.All() {
			views = append(views, IntentView{Intent: in, Progress: Progress{SessionsAtStart: 4, SessionsLeft: 3}})
		}
		return views
	}
	o.SetIntent = func(_ context.Context, in intent.Intent) (IntentView, error) {
		kept, err := store.Add(in)
		return IntentView{Intent: kept, Progress: Progress{SessionsAtStart: 4, SessionsLeft: 4}}, err
	}
	o.EndIntent = func(_ context.Context, id string) (IntentView, error) {
		removed, err := store.Remove(id)
		return IntentView{Intent: removed}, err
	}
	o.Held = waiting
	o.Quarantine = func() []QuarantineEntry {
		return []QuarantineEntry{
			{ID: "q1", Service: "sales", Instance: "evil@h1", Peer: "192.0.2.66", Database: "prod", Cause: "REGISTRANT prod claims it", Since: noon().Add(-time.Minute)},
			{ID: "q2", Service: "sales", Instance: "evil@h1", Peer: "2001:db8::66", Database: "prod", Cause: "REGISTRANT prod claims it", Since: noon(), Rejected: true},
			{ID: "q3", Service: "hr", Instance: "hr1@h2", Peer: "192.0.2.67", Cause: "its handler is elsewhere", Since: noon()},
		}
	}
	o.Limits = func() []LimitView {
		return []LimitView{
			{Of: "all services", Unit: "sessions", Parameter: "MAX_SESSIONS", Most: 100, Now: 3, Refused: 1}, {Of: "service sales", Unit: "connects/s", Parameter: "RATE of SERVICE", Most: 2.5, Waiting: 7, Refused: 99},
			{Of: "service sales", Unit: "sessions", Parameter: "MAX_SESSIONS of SERVICE", Most: 10},
		}
	}
	o.Mirrors = func() []MirrorView {
		before, long := noon().Add(-5*time.Second), noon().Add(-2*time.Hour)
		return []MirrorView{
			{Name: "dns", Destination: "zone db.example at 0.0.0.0:53", State: MirrorCurrent, Version: 12, Applied: 12, Syncs: 9, LastSuccess: &before,
				Notes: []string{`service "a_b" is published as a-b-0011aabb, not a-b: "a-b" has that name`}},
			{Name: "dns-update", Destination: "zone example at 192.0.2.53:53", State: MirrorFailing, Version: 12, Applied: 3, Lag: 9, Syncs: 40, Failures: 31,
				Error: "the DNS primary cannot be reached", LastError: &before, LastSuccess: &long, Notes: []string{}},
			{Name: "consul", Destination: "127.0.0.1:8500", State: MirrorStarting, Version: 12, Lag: 12, Notes: []string{}},
			{Name: "elsewhere", Destination: "127.0.0.1:8501", State: MirrorStandby, Writer: "b1@host1:1521", Version: 24, Syncs: 700, Notes: []string{}},
			{Name: "nobody", Destination: "127.0.0.1:8502", State: MirrorStandby, Version: 24, Notes: []string{}},
		}
	}
	o.Generations = twoGenerations
	o.Upgrade = func(context.Context) (Upgraded, error) { return anUpgrade(), nil }
	o.Peers = func() PeerList { return somePeers() }
	o.Table = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"format": 1, "id": "` + r.URL.Query().Get("service") + `"}`))
	})
	o.Certificates = func() []Certificate {
		return []Certificate{
			{From: "/etc/cman.pem", Subject: "CN=cman", Expires: noon().Add(72 * time.Hour)}, {From: "/etc/old.pem", Subject: "CN=old", Expires: noon()},
			{From: "/etc/ca.pem", Subject: "CN=root", Authority: true, Expires: noon().Add(8760 * time.Hour)},
		}
	}
	o.SetLoad = func(l LoadReport) error { o.loads = append(o.loads, l); return nil }
	o.CloseSession = func(id uint64) error {
		if id == 18 && slices.Contains(o.closed, 17) || id > 18 {
			return fmt.Errorf("%w: session %d has ended", ErrNotFound, id)
		}
		o.closed = append(o.closed, id)
		return nil
	}
	o.Reload = func(context.Context) (ReloadResult, error) { return ReloadResult{Config: "/etc/cman.ora"}, nil }
	o.Parameters = func() []Parameter { return []Parameter{{Name: "HOLD_TIMEOUT", Value: "30"}} }
	o.Rules = func() []RuleView {
		return []RuleView{{Name: "1", About: AboutClients, Action: "accept", Services: []string{}, DNs: []string{}, Text: "(RULE=(SRC=*))"}}
	}
	return o
}

// waiting are connects that are held.
func waiting() []Held {
	at := func(service, client string, ago time.Duration) Held {
		return Held{Service: service, Client: client, Ref: "K7M2QX4P", Cause: "it is away", Since: noon().Add(-ago), Until: noon().Add(30*time.Second - ago)}
	}
	return []Held{at("sales", "192.0.2.1:1", 5*time.Second), at("hr", "192.0.2.2:2", 20*time.Second), at("SALES", "192.0.2.3:3", 12*time.Second)}
}

// request sends a body to the admin socket's handler.
func (o *operated) request(method, path, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	o.AdminHandler().ServeHTTP(w, httptest.NewRequest(method, "http://broker"+path, strings.NewReader(body)))
	return w
}

// answer decodes what a request brings, which is to have a status.
func answer[T any](t *testing.T, w *httptest.ResponseRecorder, status int) T {
	t.Helper()
	var got T
	if err := json.Unmarshal([]byte(wantAnswer(t, w, status)), &got); err != nil {
		t.Fatalf("%v in %s", err, w.Body)
	}
	return got
}

// wrong is a request that is refused, with what is said.
type wrong struct {
	method, path, body string
	status             int
	error, hint        string
}

func wantRefused(t *testing.T, h http.Handler, cases []wrong) {
	t.Helper()
	for _, c := range cases {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(c.method, "http://127.0.0.1:8521"+c.path, strings.NewReader(c.body)))
		var got errorBody
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
			t.Errorf("%s %s %s: %v in %s", c.method, c.path, c.body, err, w.Body)
		}
		if w.Code != c.status || !strings.Contains(got.Error, c.error) || !strings.Contains(got.Hint, c.hint) {
			t.Errorf("%s %s %s: %d %+v; want %d, %q, %q", c.method, c.path, c.body, w.Code, got, c.status, c.error, c.hint)
		}
	}
}
