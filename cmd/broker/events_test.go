package main

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"servicebroker/console"
	"servicebroker/journal"
)

func TestEvents(t *testing.T) {
	o, api, _ := runOperated(t)
	says(t, []string{"--api", api, "events"}, "No events.")
	o.journal.Add(journal.Event{Kind: journal.Registered, Instance: "sales1", Host: "db1", Time: time.Now().Add(-time.Hour)})
	o.journal.Add(journal.Event{Kind: journal.Moved, Service: "sales", Cause: "it left sales1@db1 and came to sales2@db2"})
	o.journal.Add(journal.Event{Kind: journal.Died, Instance: "sales1", Host: "db1", Cause: "its connection ended"})
	for _, c := range []struct {
		arguments []string
		want      string // ids
	}{
		{nil, "1 2 3"}, {[]string{"--kind", "moved"}, "2"}, {[]string{"--kind", "moved,died"}, "2 3"}, {[]string{"--kind", "moved", "--kind", "died"}, "2 3"},
		{[]string{"--since", "2"}, "3"}, {[]string{"--since", "0"}, "1 2 3"}, {[]string{"--since", "10min"}, "2 3"}, {[]string{"--since", "2h"}, "1 2 3"},
		{[]string{"--since", "2030-05-06T12:00:00Z"}, ""}, {[]string{"--service", "sales"}, "2"}, {[]string{"--instance", "sales1@db1"}, "1 3"},
		{[]string{"--limit", "1"}, "3"}, {[]string{"--limit", "1", "--since", "1"}, "2"},
	} {
		out, errs, code := command(t, append([]string{"--api", api, "--output", "json", "events"}, c.arguments...)...)
		var list console.EventList
		if err := json.Unmarshal([]byte(out), &list); err != nil || code != exitDone {
			t.Fatalf("%q: exit %d, %q, %q, %v", c.arguments, code, out, errs, err)
		}
		var ids []string
		for _, e := range list.Events {
			ids = append(ids, string(rune('0'+e.ID)))
		}
		if got := strings.Join(ids, " "); got != c.want {
			t.Errorf("%q: events %q, want %q", c.arguments, got, c.want)
		}
	}
	says(t, []string{"--api", api, "events"}, "moved service=sales: it left sales1@db1", "died instance=sales1 host=db1: its connection ended")
	fails(t, []string{"--api", api, "events", "--kind", "move"}, exitNo, `did you mean "moved"`)
	fails(t, []string{"--api", api, "events", "--since", "yesterday"}, exitUsage, "yesterday")
	fails(t, []string{"--api", "http://127.0.0.1:1", "events", "-f"}, exitUnreachable, "cannot reach")
	fails(t, []string{"--api", api, "events", "-f", "--kind", "move"}, exitNo, `did you mean "moved"`)
}

// lines hands on what a command prints, line by line.
type lines chan string

func (l lines) Write(p []byte) (int, error) { l <- string(p); return len(p), nil }

func (l lines) next(t *testing.T) string {
	t.Helper()
	select {
	case line := <-l:
		return line
	case <-time.After(10 * time.Second):
		t.Fatal("nothing was printed")
		return ""
	}
}

// A follower sees some of what was, then all that comes, and goes on where it was when the broker comes back.
func TestEventsAreFollowed(t *testing.T) {
	var j journal.Journal
	handler := (&console.Server{Journal: &j}).Handler()
	for range 3 {
		j.Add(journal.Event{Kind: journal.Status, Cause: "before"})
	}
	listener, err := net.Listen("tcp", unusedAddress(t)) // which stays free for the second one
	if err != nil {
		t.Fatal(err)
	}
	at := listener.Addr().String()
	first := &http.Server{Handler: handler}
	stopped := make(chan error, 1)
	go func() { stopped <- first.Serve(listener) }()

	ctx, cancel := context.WithCancel(t.Context())
	out, errs, ended := make(lines, 100), make(lines, 100), make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"--api", "http://" + at, "--output", "json", "events", "-f", "--limit", "2"}, &terminal{out: out, err: errs})
	}()
	wantID := func(id string) {
		t.Helper()
		if line := out.next(t); !strings.HasPrefix(line, `{"id":`+id+`,`) || strings.Count(line, "\n") != 1 {
			t.Fatalf("%q, want event %s", line, id)
		}
	}
	wantID("2")
	wantID("3")
	j.Add(journal.Event{Kind: journal.Moved})
	wantID("4")
	first.Close()
	<-stopped
	if line := errs.next(t); !strings.Contains(line, "waiting for it to come back") {
		t.Errorf("%q", line)
	}
	j.Add(journal.Event{Kind: journal.Died, Cause: "while nobody listened"})
	second := httptest.NewUnstartedServer(handler)
	second.Listener.Close()
	if second.Listener, err = net.Listen("tcp", at); err != nil {
		t.Fatal(err)
	}
	second.Start()
	wantID("5")
	cancel()
	if code := <-ended; code != exitDone {
		t.Errorf("exit %d", code)
	}
	second.Close()
}
