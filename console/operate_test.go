package console

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"servicebroker/intent"
	"servicebroker/servicetable"
)

func TestIntents(t *testing.T) {
	o := newOperated(t)
	if got := strings.TrimSpace(wantAnswer(t, o.request("GET", "/api/v1/intents", ""), 200)); got != `{"intents":[]}` {
		t.Errorf("none: %s", got)
	}
	body := `{"kind": "drain", "target": {"service": "sales", "instance": "sales1@db1"}, "deadline": "2030-05-06T12:30:00Z", "end_sessions": true, "reason": "new memory", "source": "scott"}`
	set := answer[IntentView](t, o.request("POST", "/api/v1/intents", body), 200)
	want := IntentView{
		Intent: intent.Intent{
			ID: set.ID, Kind: intent.Drain, Target: intent.Target{Service: "sales", Instance: "sales1@db1"}, Created: set.Created,
			Deadline: noon().Add(30 * time.Minute), EndSessions: true, Reason: "new memory", Source: "scott",
		},
		Progress: Progress{SessionsAtStart: 4, SessionsLeft: 4},
	}
	if diff := cmp.Diff(want, set); diff != "" || set.ID == "" {
		t.Errorf("set (-want +got):\n%s", diff)
	}
	raw := answer[map[string]any](t, o.request("GET", "/api/v1/intents/"+set.ID, ""), 200)
	progress := map[string]any{"sessions_at_start": 4.0, "sessions_left": 3.0, "ended": 0.0, "done": false, "deadline_passed": false}
	if diff := cmp.Diff(progress, raw["progress"]); diff != "" || raw["id"] != set.ID || raw["kind"] != "drain" {
		t.Errorf("as JSON: %v\n%s", raw, diff)
	}
	weight := answer[IntentView](t, o.request("POST", "/api/v1/intents", `{"kind": "Weight", "target": {"node": "db1"}, "value": 0}`), 200)
	if weight.Kind != intent.Weight || weight.Source != "admin socket" {
		t.Errorf("%+v", weight)
	}
	if list := answer[IntentList](t, o.request("GET", "/api/v1/intents", ""), 200); len(list.Intents) != 2 {
		t.Errorf("%+v", list)
	}
	if ended := answer[IntentView](t, o.request("DELETE", "/api/v1/intents/"+set.ID, ""), 200); ended.ID != set.ID {
		t.Errorf("%+v", ended)
	}
	if all := o.store.All(); len(all) != 1 || all[0].ID != weight.ID {
		t.Errorf("in force: %v", all)
	}
	wantRefused(t, o.AdminHandler(), []wrong{
		{"GET", "/api/v1/intents/" + set.ID, "", 404, set.ID, "lists those in force"},
		{"DELETE", "/api/v1/intents/" + set.ID, "", 404, set.ID, "lists those in force"},
	})
}

func TestWrongIntents(t *testing.T) {
	o := newOperated(t)
	post := func(body string, status int, error, hint string) wrong {
		return wrong{"POST", "/api/v1/intents", body, status, error, hint}
	}
	target := `"target": {"service": "s"}`
	wantRefused(t, o.AdminHandler(), []wrong{
		post(``, 400, "no body", "fields are kind, target, database"),
		post(`x`, 400, "invalid character", "JSON"),
		post(`[]`, 400, "array", "JSON"),
		post(`{"kind": "drain", `+target+`} {}`, 400, "behind the JSON", ""),
		post(`{"kind": "drain", "taget": {}}`, 400, `"taget"`, `did you mean "target"`),
		post(`{"kind": "drain", "target": {"servise": "s"}}`, 400, `"servise"`, `did you mean "service"`),
		post(`{"kind": "drain", "id": "d9", `+target+`}`, 400, `"id"`, ""),
		post(`{"kind": "drain", "target": "s"}`, 400, `"target"`, ""),
		post(`{"kind": "weight", "value": -1, `+target+`}`, 400, `"value"`, "uint32"),
		post(`{"kind": "drain", "deadline": "soon", `+target+`}`, 400, "soon", ""),
		post(`{"kind": "drian", `+target+`}`, 400, "did you mean drain", ""),
		post(`{`+target+`}`, 400, "no kind of intent", ""),
		post(`{"kind": "drain"}`, 400, "target is empty", ""),
		post(`{"kind": "drain", "target": {"network": "10.0.0.1/8"}}`, 400, "10.0.0.0/8", ""),
		post(`{"kind": "weight", `+target+`}`, 400, "no value", ""),
		post(`{"kind": "hold", "value": 5, `+target+`}`, 400, "has no value", ""),
		post(`{"kind": "weight", "value": 5000, `+target+`}`, 400, "out of range", ""),
		post(`{"kind": "hold", "end_sessions": true, `+target+`}`, 400, "ends no sessions", ""),
		post(`{"kind": "drain", "end_sessions": true, `+target+`}`, 400, "deadline", ""),
		post(`{"kind": "drain", "reason": "`+strings.Repeat("x", 5000)+`", `+target+`}`, 400, "reason", ""),
		post(`{"reason": "`+strings.Repeat("x", maxBody)+`"}`, 413, "too long", "65536"),
	})
	if all := o.store.All(); len(all) > 0 {
		t.Errorf("in force: %v", all)
	}
}

func TestQuarantine(t *testing.T) {
	o := newOperated(t)
	if list := answer[QuarantineList](t, o.request("GET", "/api/v1/quarantine", ""), 200); len(list.Quarantine) != 3 || list.Quarantine[0].ID != "q1" {
		t.Errorf("%+v", list)
	}
	q1 := intent.Target{Service: "sales", Instance: "evil@h1", Quarantine: "q1"}
	hr := intent.Target{Service: "hr", Instance: "hr1@h2", Quarantine: "q3"}
	for _, c := range []struct {
		path, body string
		kind       intent.Kind
		target     intent.Target
	}{ // by id, or by whatever names one alone: the same
		{"quarantine/q1/approve", "", intent.Approve, q1},
		{"quarantine/Q1/reject", `{"reason": "no", "source": "scott"}`, intent.Reject, q1},
		{"intents", `{"kind": "approve", "target": {"quarantine": "q1"}}`, intent.Approve, q1},
		{"intents", `{"kind": "reject", "target": {"instance": "evil", "network": "192.0.2.0/24"}}`, intent.Reject, q1},
		{"intents", `{"kind": "approve", "target": {"service": "HR"}}`, intent.Approve, hr},
		{"intents", `{"kind": "reject", "target": {"node": "h2"}}`, intent.Reject, hr},
	} {
		set := answer[IntentView](t, o.request("POST", "/api/v1/"+c.path, c.body), 200)
		if set.Kind != c.kind || set.Target != c.target {
			t.Errorf("%s %s: %+v", c.path, c.body, set)
		}
	}
	wantRefused(t, o.AdminHandler(), []wrong{
		{"POST", "/api/v1/quarantine/q9/approve", "", 404, "q9", "lists what waits"},
		{"POST", "/api/v1/quarantine/q1/approve", `{"reasn": "x"}`, 400, "reasn", `did you mean "reason"`},
		{"POST", "/api/v1/quarantine/q1/aprove", "", 404, "nothing at", ""},
		{"POST", "/api/v1/intents", `{"kind": "approve", "target": {"service": "sales"}}`, 409, "2 quarantined", "q1, q2"},
		{"POST", "/api/v1/intents", `{"kind": "approve", "target": {"database": "none"}}`, 404, "database none", "lists what waits"},
	})
	o.Quarantine = nil
	wantRefused(t, o.AdminHandler(), []wrong{{"POST", "/api/v1/intents", `{"kind": "approve", "target": {"service": "sales"}}`, 404, "quarantines nothing", "REGISTRANT"}})
}

func TestHeld(t *testing.T) {
	o := newOperated(t)
	got := answer[HeldList](t, o.request("GET", "/api/v1/held", ""), 200)
	want := HeldList{Total: 3, Services: []HeldService{{"hr", 1, noon().Add(-20 * time.Second)}, {"sales", 2, noon().Add(-12 * time.Second)}},
		Held: []Held{waiting()[1], waiting()[2], waiting()[0]}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := answer[HeldList](t, o.request("GET", "/api/v1/held?limit=1&service=Sales", ""), 200); got.Total != 2 || len(got.Held) != 1 || got.Services[0].Waiting != 2 {
		t.Errorf("%+v", got)
	}
	o.Held = func() []Held { return nil }
	if got := strings.TrimSpace(wantAnswer(t, o.request("GET", "/api/v1/held", ""), 200)); got != `{"total":0,"services":[],"held":[]}` {
		t.Errorf("nobody: %s", got)
	}
	wantRefused(t, o.AdminHandler(), []wrong{
		{"GET", "/api/v1/held?limit=0", "", 400, "from 1 to", ""}, {"GET", "/api/v1/held?limit=x", "", 400, `"x"`, ""},
		{"GET", "/api/v1/held?servise=x", "", 400, `"servise"`, `did you mean "service"`},
	})
}

func TestLoad(t *testing.T) {
	o := newOperated(t)
	n := func(v uint32) *uint32 { return &v }
	for body, want := range map[string]LoadReport{
		`{"instance": "sales1@db1", "load": 5}`:                                      {Instance: "sales1@db1", Load: n(5)},
		`{"instance": "SALES1", "max": 0, "node_load": 1, "node_max": 2}`:            {Instance: "sales1@db1", Max: n(0), NodeLoad: n(1), NodeMax: n(2)},
		`{"instance": "sales2@DB2", "services": {"sales": {"goodness": 7}}}`:         {Instance: "sales2@db2", Services: map[string]ServiceLoad{"sales.example.com": {Goodness: n(7)}}},
		`{"instance": "sales1", "services": {"SALES1xdb": {"delta": 0}}, "load": 9}`: {Instance: "sales1@db1", Load: n(9), Services: map[string]ServiceLoad{"sales1XDB": {Delta: n(0)}}},
	} {
		got := answer[LoadReport](t, o.request("PUT", "/api/v1/load", body), 200)
		if want.Services == nil {
			want.Services = map[string]ServiceLoad{}
		}
		if diff := cmp.Diff(want, o.loads[len(o.loads)-1]); diff != "" || got.Instance != want.Instance {
			t.Errorf("%s: %s\n%s", body, got.Instance, diff)
		}
	}
	taken := len(o.loads)
	put := func(body string, status int, error, hint string) wrong {
		return wrong{"PUT", "/api/v1/load", body, status, error, hint}
	}
	wantRefused(t, o.AdminHandler(), []wrong{
		put(`{"instance": "sale1", "load": 5}`, 404, `"sale1"`, `did you mean "sales1"`),
		put(`{"instance": "sales1@db11", "load": 5}`, 404, `"sales1@db11"`, `did you mean "sales1@db1"`),
		put(`{"instance": "none@nowhere", "load": 5}`, 404, `"none@nowhere"`, "lists instances by key"),
		put(`{"load": 5}`, 400, "names no instance", "orders1@db7"),
		put(`{"instance": "sales1"}`, 400, "no figures", "node_load"),
		put(`{"instance": "sales1", "services": {}}`, 400, "no figures", ""),
		put(`{"instance": "sales1", "services": {"sales": {}}}`, 400, "no figures for the service", ""),
		put(`{"instance": "sales1", "services": {"salse": {"goodness": 1}}}`, 404, `"salse"`, `did you mean "sales.example.com"`),
		put(`{"instance": "sales1", "services": {"sales": {"godness": 1}}}`, 400, "godness", `did you mean "goodness"`),
		put(`{"instance": "sales1", "lod": 1}`, 400, `"lod"`, `did you mean "load"`),
		put(`{"instance": "sales1", "load": 4294967296}`, 400, `"load"`, ""),
		put(`{"instance": "`+strings.Repeat("x", maxLoadBody)+`"}`, 413, "too long", ""),
	})
	if len(o.loads) != taken {
		t.Error("a wrong report was taken")
	}
	o.SetLoad = func(LoadReport) error { return fmt.Errorf("%w: the instance has just gone", ErrNotFound) }
	wantRefused(t, o.AdminHandler(), []wrong{put(`{"instance": "sales1", "load": 5}`, 404, "has just gone", "lists instances")})
	twins := []*servicetable.Registration{{Instance: "x", Host: "a"}, {Instance: "x", Host: "b"}}
	if _, err := namedInstance("x", twins); err == nil || !strings.Contains(err.Error(), "x@a or x@b") {
		t.Errorf("two of that name: %v", err)
	}
}

func TestSessionsAreEnded(t *testing.T) {
	o := newOperated(t)
	for _, c := range []struct{ path, want string }{
		{"?service=HR", "[18]"}, {"?instance=nobody", "[]"}, {"/17", "[17]"}, {"?all=true", "[17]"},
	} {
		got := answer[Closed](t, o.request("DELETE", "/api/v1/sessions"+c.path, ""), 200)
		if fmt.Sprint(got.Closed) != c.want || got.Closed == nil {
			t.Errorf("%s: %v, want %s", c.path, got.Closed, c.want)
		}
	}
	done := len(o.closed)
	wantRefused(t, o.AdminHandler(), []wrong{
		{"DELETE", "/api/v1/sessions", "", 400, "every session", "all=true"}, {"DELETE", "/api/v1/sessions?all=yes", "", 400, "every session", ""},
		{"DELETE", "/api/v1/sessions?servise=hr", "", 400, "servise", "filters are"},
		{"DELETE", "/api/v1/sessions/99", "", 404, "99", "lists those"}, {"DELETE", "/api/v1/sessions/-1", "", 400, `"-1"`, "numbers"},
	})
	if len(o.closed) != done {
		t.Errorf("ended nevertheless: %v", o.closed)
	}
	o.CloseSession = func(uint64) error { return errors.New("it resists") }
	wantRefused(t, o.AdminHandler(), []wrong{{"DELETE", "/api/v1/sessions?all=true", "", 400, "0 sessions were ended, but not session 17: it resists", ""}})
}

func TestReloadParametersAndRules(t *testing.T) {
	o := newOperated(t)
	for path, want := range map[string]string{
		"POST /api/v1/reload":    `{"config":"/etc/cman.ora","changed":[],"needs_restart":[],"messages":[]}`,
		"GET /api/v1/parameters": `{"parameters":[{"name":"HOLD_TIMEOUT","value":"30","default":"","set":false,"where":"","meaning":""}]}`,
		"GET /api/v1/rules":      `{"rules":[{"name":"1","about":"clients","action":"accept","group":"","services":[],"dns":[],"text":"(RULE=(SRC=*))","where":"","matched":0,"last":null}]}`,
	} {
		method, at, _ := strings.Cut(path, " ")
		if got := strings.TrimSpace(wantAnswer(t, o.request(method, at, ""), 200)); got != want {
			t.Errorf("%s: %s", path, got)
		}
	}
	o.Reload = func(context.Context) (ReloadResult, error) {
		return ReloadResult{}, errors.New("cman.ora:1:2: error: no")
	}
	wantRefused(t, o.AdminHandler(), []wrong{{"POST", "/api/v1/reload", "", 422, "nothing was changed: cman.ora:1:2", "reload again"}})
	o.Reload = func(context.Context) (ReloadResult, error) {
		return ReloadResult{}, &APIError{503, "the broker is about to end", "ask the next one"}
	}
	wantRefused(t, o.AdminHandler(), []wrong{{"POST", "/api/v1/reload", "", 503, "about to end", "ask the next one"}})
}
