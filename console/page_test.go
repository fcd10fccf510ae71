package console

import (
	"fmt"
	"html"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"servicebroker/servicetable"
)

func pageText(t *testing.T, s *Server, path string) string {
	t.Helper()
	w := ask(s, "GET", path)
	if w.Code != 200 || w.Header().Get("Content-Type") != "text/html; charset=utf-8" {
		t.Fatalf("%s: %d %v", path, w.Code, w.Header())
	}
	return w.Body.String()
}

func TestPage(t *testing.T) {
	golden(t, "page.html", pageText(t, testServer(tableOf(registrations())), "/"))
}

func TestPageOfAnEmptyBroker(t *testing.T) {
	golden(t, "page-empty.html", pageText(t, testServer(&servicetable.Table{}), "/"))
}

// Whatever a database or client calls itself, the page has no markup but its own.
func TestPageEscapesHostileNames(t *testing.T) {
	const hostile = `<script>alert(1)</script>"'><img src=x onerror=alert(2)>`
	r := registrations()[0]
	r.Instance, r.Host, r.LoadSource = hostile, hostile, hostile
	r.Services[1].Name = hostile
	r.Handlers[1].Name, r.Handlers[1].Address, r.Handlers[1].Info = hostile, hostile, hostile
	var table servicetable.Table
	table.Mark(r.Key(), servicetable.Mark{Kind: servicetable.Draining, Cause: hostile})
	table.Mark(r.HandlerKey(&r.Handlers[1]), servicetable.Mark{Kind: servicetable.Draining, Cause: hostile})
	table.Apply(r)
	s := testServer(&table)
	s.Database = func(*servicetable.Registration) string { return hostile }
	s.Unready = func() []string { return []string{hostile} }
	s.Identity = func() Identity {
		return Identity{Version: Version{Instance: hostile, Version: hostile}, Route: hostile, Console: hostile, Listening: []Endpoint{{Protocol: "tcp", Host: hostile, Port: 1}}}
	}
	for _, path := range []string{"/", "/?find=1&q=%3Cscript%3E%22'%3E", "/?q=%3Cscript%3E", "/?q=%22%3E%3Cscript%3Enothing"} {
		text := pageText(t, s, path)
		for _, tag := range []string{"<script", "<img", `"'>`} {
			if strings.Contains(text, tag) {
				t.Errorf("%s has %s in it", path, tag)
			}
		}
	}
	if text := pageText(t, s, "/"); strings.Count(text, html.EscapeString(hostile[:8])) < 8 {
		t.Error("the names are not on the page")
	}
}

func TestPageFilter(t *testing.T) {
	var table servicetable.Table
	var r servicetable.Registration
	for i := range 2*pageLimit + 5 {
		r.Services = append(r.Services, servicetable.Service{Name: fmt.Sprintf("Service%03d", i)})
	}
	table.Apply(r)
	s := testServer(&table)
	for path, want := range map[string]struct {
		sections int
		note     string
	}{
		"/":              {pageLimit, fmt.Sprintf("These are the first %d of %d", pageLimit, 2*pageLimit+5)},
		"/?q=service01":  {10, "10 of 205 services have “service01” in their name"},
		"/?q=+SERVICE0+": {pageLimit, "100 of 205 services have “SERVICE0” in their name"},
		"/?q=nothing":    {1, "No service name contains “nothing”"},
	} {
		text := pageText(t, s, path)
		if n := strings.Count(text, "<section"); n != want.sections || !strings.Contains(text, want.note) {
			t.Errorf("%s: %d services, want %d and the note %q", path, n, want.sections, want.note)
		}
		if (path == "/") != strings.Contains(text, "the first") {
			t.Errorf("%s: is wrong about being all", path)
		}
	}
}

// While a filter is typed, the page does not load itself anew.
func TestFindPageStandsStill(t *testing.T) {
	s := testServer(tableOf(registrations()))
	text := pageText(t, s, "/?find=1&q=sales+%26")
	if !strings.Contains(text, `value="sales &amp;"`) || !strings.Contains(text, "<form") || strings.Contains(text, "http-equiv") {
		t.Errorf("find page:\n%s", text)
	}
	text = pageText(t, s, "/?q=sales+%26")
	if !strings.Contains(text, `href="/?find=1&amp;q=sales%20%26"`) || strings.Contains(text, "<form") || !strings.Contains(text, `http-equiv="refresh" content="5"`) {
		t.Errorf("page:\n%s", text)
	}
}

func TestPageInstance(t *testing.T) {
	at, age := noon().Add(-time.Hour), int64(61_000)
	until := noon().Add(30 * time.Minute)
	in := Instance{Status: "READY", Load: 3, Max: 4_000_000_000, NodeLoad: 1, RegisteredAt: &at, LoadAge: &age,
		Marks:    []Mark{{Mark: "draining", Cause: "why", Since: at, Until: &until}, {Mark: "ejected", Since: noon()}},
		Handlers: []Handler{{Name: "D000", Marks: []Mark{{Mark: "ejected", Cause: "refused", Since: at}}}}}
	got := newPageInstance(in, noon())
	want := pageInstance{
		Instance: in, LoadGauge: gauge{3, 4_000_000_000, 2_800_000_000, 3_600_000_000}, NodeGauge: gauge{Value: 1}, Age: "1 min 1 s ago", Since: "1 h ago",
		MarkTexts: []pageMark{{"draining", "why", "since 1 h, for another 30 min"}, {"ejected", "", "since 0 s"}},
		Handlers:  []pageHandler{{in.Handlers[0], []pageMark{{"ejected", "refused", "since 1 h"}}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got := newPageInstance(Instance{}, noon()); got.Age != "never" || got.Since != "static" {
		t.Errorf("static: %+v", got)
	}
}

// Sessions are counted at the instance and service they are open at, and an instance is ready or not for each service.
func TestPageService(t *testing.T) {
	service := Service{Name: "Sales", Instances: []Instance{{Key: "a@h", Status: "READY"}, {Key: "b@h", Status: "BLOCKED"}, {Key: "c@h", Status: "STALE"}}}
	got := newPageService(service, "h:1521", map[string]int{"a@h/sales": 2, "b@h/hr": 5}, noon())
	if got.Ready != 1 || got.Connect != "h:1521/Sales" || got.Instances[0].Sessions != 2 || got.Instances[1].Sessions != 0 {
		t.Errorf("%+v", got)
	}
	if got := newPageService(service, "", nil, noon()); got.Connect != "" {
		t.Errorf("a broker that does not listen is connected to at %s", got.Connect)
	}
}

func TestPageNeedsNothingFromElsewhere(t *testing.T) {
	text := pageText(t, testServer(tableOf(registrations())), "/")
	for _, word := range []string{"http://", "https://", "<script", "style=", "onclick"} {
		if strings.Contains(text, word) {
			t.Errorf("the page has %s in it", word)
		}
	}
	w := ask(testServer(tableOf(nil)), "GET", "/style.css")
	if w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/css") || strings.Contains(w.Body.String(), "url(") {
		t.Errorf("style sheet: %d %v", w.Code, w.Header())
	}
}

func TestConnectAddress(t *testing.T) {
	tcp := func(host string) []Endpoint {
		return []Endpoint{{"tcps", "x", 2484}, {"TCP", host, 1521}, {"tcp", "later", 9}}
	}
	for _, c := range []struct {
		listening         []Endpoint
		asked, want, from string
	}{
		{nil, "h", "", "broker-host:1521"},
		{tcp("db.example.com"), "h:8521", "db.example.com:1521", "db.example.com:1521"},
		{tcp("0.0.0.0"), "h:8521", "h:1521", "h:1521"},
		{tcp("::"), "h", "h:1521", "h:1521"},
		{tcp(""), "[2001:db8::1]:8521", "[2001:db8::1]:1521", "[2001:db8::1]:1521"},
		{tcp("2001:db8::2"), "h", "[2001:db8::2]:1521", "[2001:db8::2]:1521"},
		{tcp("0.0.0.0"), "localhost:8521", "localhost:1521", "broker-host:1521"},
		{tcp("127.0.0.1"), "h", "127.0.0.1:1521", "broker-host:1521"},
	} {
		if got := connectAddress(c.listening, c.asked); got != c.want || seenFromOutside(got) != c.from {
			t.Errorf("%v asked at %s: %s (from outside %s), want %s (%s)", c.listening, c.asked, got, seenFromOutside(got), c.want, c.from)
		}
	}
}
