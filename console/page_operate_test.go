package console

import (
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"servicebroker/intent"
	"servicebroker/journal"
)

// busy is a console with something to show in every section.
func busy(t *testing.T) *operated {
	t.Helper()
	o := newOperated(t)
	o.journal.Keep(explained())
	for i := range pageRefusals + 2 {
		o.journal.Keep(&journal.Explanation{
			Ref: fmt.Sprintf("REFUSED%d", i), Time: noon().Add(time.Duration(i-60) * time.Second), Client: fmt.Sprintf("192.0.2.9:4000%d", i),
			Query: journal.Query{Service: "hr"}, Outcome: journal.Refuse, Code: 12514, Text: "no instance offers it",
		})
	}
	o.happen(pageEvents)
	o.journal.Add(journal.Event{Kind: journal.Died, Instance: "sales2", Host: "db2", Cause: "its connection ended", Detail: "reset by peer", Time: noon()})
	o.Intents = func() []IntentView {
		return []IntentView{
			{Intent: intent.Intent{ID: "d1", Kind: intent.Drain, Target: intent.Target{Service: "sales", Instance: "sales1@db1"}, Created: noon().Add(-time.Minute),
				Deadline: noon().Add(30 * time.Minute), Reason: "new memory", Source: "scott@app1"}, Progress: Progress{SessionsAtStart: 12, SessionsLeft: 5}},
			{Intent: intent.Intent{ID: "w2", Kind: intent.Weight, Value: 50, Target: intent.Target{Node: "db1"}, Created: noon().Add(-time.Hour)}},
		}
	}
	return o
}

func TestBusyPage(t *testing.T) {
	o := busy(t)
	text := pageText(t, o.Server, "/")
	golden(t, "page-busy.html", text)
	for _, part := range []string{`href="/refs/REFUSED9"`, "<progress max=\"12\" value=\"7\">", "broker quarantine approve q1", "3 waiting", "died", "reset by peer"} {
		if !strings.Contains(text, part) {
			t.Errorf("the page has no %s", part)
		}
	}
	for _, part := range []string{"REFUSED0", "broker quarantine approve q2", "id: 1<"} {
		if strings.Contains(text, part) {
			t.Errorf("the page has %s", part)
		}
	}
	if n := strings.Count(text, "data-label=\"why\""); n != pageEvents+5 {
		t.Errorf("%d events, quarantined and other brokers", n)
	}
}

func TestRefPage(t *testing.T) {
	o := busy(t)
	golden(t, "ref.html", pageText(t, o.Server, "/refs/K7M2QX4P"))
	if pageText(t, o.Server, "/refs/k7m2qx4p") != pageText(t, o.Server, "/refs/K7M2QX4P") {
		t.Error("another case is another page")
	}
	if text := pageText(t, o.Server, "/refs/REFUSED1"); !strings.Contains(text, "no candidate") || strings.Contains(text, "Attempts") {
		t.Error(text)
	}
	w := ask(o.Server, "GET", "/refs/NOSUCH99")
	if w.Code != 404 || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") || !strings.Contains(w.Body.String(), "NOSUCH99") || !strings.Contains(w.Body.String(), "only the newest are") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestFindConnects(t *testing.T) {
	o := busy(t)
	all := pageRefusals + 3
	for query, rows := range map[string]int{"": all, "?q=hr": all - 1, "?q=192.0.2.9": all, "?q=": all} {
		text := pageText(t, o.Server, "/refs"+query)
		if n := strings.Count(text, "<td data-label=\"REF\">"); n != rows {
			t.Errorf("%q: %d connects, want %d", query, n, rows)
		}
	}
	for query, ref := range map[string]string{"k7m2qx4p": "K7M2QX4P", "+REFUSED3+": "REFUSED3", "c0ffee%3D%3D": "K7M2QX4P", "192.0.2.9:40003": "REFUSED3", "sales": "K7M2QX4P"} {
		w := ask(o.Server, "GET", "/refs?q="+query)
		if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/refs/"+ref {
			t.Errorf("%s: %d, sent to %s", query, w.Code, w.Header().Get("Location"))
		}
	}
	if text := pageText(t, o.Server, "/refs?q=%3Cscript%3E"); !strings.Contains(text, "No connect like that") || strings.Contains(text, "<script") {
		t.Error(text)
	}
	o.Journal = nil
	if text := pageText(t, o.Server, "/refs"); !strings.Contains(text, "keeps no explanations") {
		t.Error(text)
	}
	wantStatus := func(path string, status int) {
		w := httptest.NewRecorder()
		o.Handler().ServeHTTP(w, httptest.NewRequest("GET", "http://localhost"+path, nil))
		if w.Code != status {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	wantStatus("/refs/K7M2QX4P", 404)
	wantStatus("/", 200)
}

// Whatever clients, databases and operators write, no page has markup but its own.
func TestOperatorsPagesEscapeHostileNames(t *testing.T) {
	const hostile = `<script>alert(1)</script>"'><img src=x onerror=alert(2)>`
	o := newOperated(t)
	e := explained()
	e.Route, e.Client, e.Program, e.ConnectionID, e.Rule, e.Policy, e.Text, e.Chosen, e.Outcome = hostile, hostile, hostile, hostile, hostile, hostile, hostile, hostile, journal.Refuse
	e.Query.Service, e.Query.Descriptor, e.Candidates[0].Key, e.Candidates[0].PassedOver, e.Candidates[0].Inputs.Zone = hostile, hostile, hostile, hostile, hostile
	e.Attempts[0].Key, e.Attempts[0].Error = hostile, hostile
	o.journal.Keep(e)
	odd := *e
	odd.Ref = `"><script>`
	o.journal.Keep(&odd)
	o.journal.Add(journal.Event{Kind: hostile, Service: hostile, Instance: hostile, Host: hostile, Cause: hostile, Detail: hostile})
	o.Held = func() []Held { return []Held{{Service: hostile, Client: hostile, Cause: hostile}} }
	o.Quarantine = func() []QuarantineEntry {
		return []QuarantineEntry{{hostile, hostile, hostile, hostile, hostile, hostile, noon(), false}}
	}
	o.Peers = func() PeerList {
		return PeerList{Peers: []PeerView{{Name: hostile, API: hostile, State: hostile, Version: hostile, Cause: hostile, Settings: []string{hostile},
			Differences: []PeerDifference{{Instance: hostile, Services: []string{hostile}, Here: hostile, There: hostile, Cause: hostile}}}}}
	}
	o.Intents = func() []IntentView {
		return []IntentView{{Intent: intent.Intent{ID: hostile, Kind: hostile, Target: intent.Target{Service: hostile}, Reason: hostile, Source: hostile}}}
	}
	for _, path := range []string{"/", "/refs", "/refs/K7M2QX4P", "/refs/%22%3E%3Cscript%3E", "/refs?q=%22%3E%3Cscript%3Enothing"} {
		text := pageText(t, o.Server, path)
		for _, tag := range []string{"<script", "<img", `"'>`, "http://", "style=", "onclick"} {
			if strings.Contains(text, tag) {
				t.Errorf("%s has %s in it", path, tag)
			}
		}
	}
	if text := pageText(t, o.Server, "/"); strings.Count(text, html.EscapeString(hostile[:8])) < 10 {
		t.Error("the names are not on the page")
	}
}
