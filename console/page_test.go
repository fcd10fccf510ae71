package console

import (
	"fmt"
	"html"
	"strings"
	"testing"

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
		return Identity{Version: Version{Instance: hostile, Version: hostile}, Listening: []Endpoint{{Protocol: "tcp", Host: hostile, Port: 1}}}
	}
	for _, path := range []string{"/", "/?q=%3Cscript%3E", "/?q=%22%3E%3Cscript%3Enothing"} {
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
		"/":              {pageLimit, fmt.Sprintf("The first %d of %d services", pageLimit, 2*pageLimit+5)},
		"/?q=service01":  {10, ""},
		"/?q=+SERVICE0+": {pageLimit, ""},
		"/?q=nothing":    {1, "No service name contains “nothing”"},
	} {
		text := pageText(t, s, path)
		if n := strings.Count(text, "<section"); n != want.sections || !strings.Contains(text, want.note) {
			t.Errorf("%s: %d services, want %d and the note %q", path, n, want.sections, want.note)
		}
		if want.note == "" && strings.Contains(text, "The first") {
			t.Errorf("%s: says that it is not all", path)
		}
	}
	if text := pageText(t, s, "/?q=service01"); !strings.Contains(text, `value="service01"`) {
		t.Error("the filter is not in its field")
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
