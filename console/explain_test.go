package console

import (
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"servicebroker/journal"
)

// keepConnects keeps a few that differ in everything, and returns the first.
func (o *operated) keepConnects() *journal.Explanation {
	refused := &journal.Explanation{
		Client: "192.0.2.9:40001", Program: "sqlplus", Machine: "app1", User: "scott", ConnectionID: "c0ffee==", Query: journal.Query{Service: "sales.example.com"},
		Version: 12, Rule: "(RULE=(SRC=*)(DST=*)(SRV=*)(ACT=accept))", Outcome: journal.Refuse, Code: 12514, Text: "no instance offers it",
	}
	o.journal.Keep(refused)
	o.journal.Keep(&journal.Explanation{Client: "192.0.2.9:40002", Query: journal.Query{Service: "hr"}, Outcome: journal.Relay, Chosen: "hr1@db3/DEDICATED"})
	o.journal.Keep(&journal.Explanation{Client: "[2001:db8::1]:40003", Query: journal.Query{Service: "hr"}, Outcome: journal.Hold, Code: 12528})
	return refused
}

func TestExplain(t *testing.T) {
	o := newOperated(t)
	q := url.Values{"descriptor": {"(DESCRIPTION=(A=b))"}, "from": {"192.0.2.7"}, "user": {"scott"}, "program": {"sql plus"}}
	got := answer[journal.Explanation](t, o.request("GET", "/api/v1/explain?"+q.Encode(), ""), 200)
	want := ExplainRequest{Descriptor: "(DESCRIPTION=(A=b))", From: netip.MustParseAddr("192.0.2.7"), User: "scott", Program: "sql plus"}
	if o.asked != want || got.Outcome != journal.Refuse || got.Candidates == nil {
		t.Errorf("asked %+v, got %+v", o.asked, got)
	}
	answer[journal.Explanation](t, o.request("GET", "/api/v1/explain?descriptor=x&from=[2001:db8::1]:99", ""), 200)
	if o.asked.From != netip.MustParseAddr("2001:db8::1") {
		t.Errorf("asked %+v", o.asked)
	}
	raw := answer[map[string]any](t, o.request("GET", "/api/v1/explain?descriptor=x", ""), 200)
	for _, field := range []string{"query", "candidates", "outcome", "code", "text"} {
		if _, has := raw[field]; !has {
			t.Errorf("the answer has no %q: %v", field, raw)
		}
	}
	wantRefused(t, o.Handler(), []wrong{
		{"GET", "/api/v1/explain", "", 400, "not said which", "descriptor"},
		{"GET", "/api/v1/explain?user=scott", "", 400, "not said which", "descriptor"},
		{"GET", "/api/v1/explain?descriptor=x&from=me", "", 400, `from: "me" is no IP address`, ""},
		{"GET", "/api/v1/explain?descripter=x", "", 400, `"descripter"`, `did you mean "descriptor"`},
		{"GET", "/api/v1/explain?descriptor=x&client=192.0.2.1", "", 400, "two things", ""},
		{"GET", "/api/v1/explain?descriptor=((", "", 400, "is no descriptor", "tnsnames.ora"},
	})
}

func TestExplanationsAreFound(t *testing.T) {
	o := newOperated(t)
	refused := o.keepConnects()
	for _, ref := range []string{refused.Ref, strings.ToLower(refused.Ref), "%28REF=" + refused.Ref + "%29"} {
		if got := answer[journal.Explanation](t, o.request("GET", "/api/v1/explain/"+ref, ""), 200); got.Text != refused.Text || got.Candidates == nil {
			t.Errorf("%s: %+v", ref, got)
		}
	}
	for query, clients := range map[string]string{
		"explain?connection_id=c0ffee==":          "192.0.2.9:40001",
		"explain?client=192.0.2.9":                "192.0.2.9:40002 192.0.2.9:40001",
		"explain?client=192.0.2.9:40002":          "192.0.2.9:40002",
		"explain?client=2001:db8::1":              "[2001:db8::1]:40003",
		"explain?client=192.0.2.10":               "",
		"explanations":                            "[2001:db8::1]:40003 192.0.2.9:40002 192.0.2.9:40001",
		"explanations?limit=1":                    "[2001:db8::1]:40003",
		"explanations?outcome=refuse":             "192.0.2.9:40001",
		"explanations?service=HR":                 "[2001:db8::1]:40003 192.0.2.9:40002",
		"explanations?service=sales":              "192.0.2.9:40001",
		"explanations?service=hr&outcome=relay":   "192.0.2.9:40002",
		"explanations?client=192.0.2.9:40001":     "192.0.2.9:40001",
		"explanations?connection_id=c0ffee%3D%3D": "192.0.2.9:40001",
	} {
		list := answer[ExplanationList](t, o.request("GET", "/api/v1/"+query, ""), 200)
		var got []string
		for _, e := range list.Explanations {
			got = append(got, e.Client)
		}
		if strings.Join(got, " ") != clients || list.Explanations == nil {
			t.Errorf("%s: %q, want %q", query, got, clients)
		}
	}
	if refused.Candidates != nil {
		t.Error("what is kept was changed")
	}
	wantRefused(t, o.Handler(), []wrong{
		{"GET", "/api/v1/explain/NOSUCH99", "", 404, "NOSUCH99", "/api/v1/explanations"},
		{"GET", "/api/v1/explanations?outcome=refused", "", 400, `did you mean "refuse"`, ""},
		{"GET", "/api/v1/explanations?limit=-1", "", 400, "from 1 to", ""},
		{"GET", "/api/v1/explanations?outcom=x", "", 400, "outcom", `did you mean "outcome"`},
	})
}
