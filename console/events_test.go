package console

import (
	"fmt"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
	"servicebroker/journal"
)

// happen adds an event a minute, of alternating kinds.
func (o *operated) happen(n int) {
	for i := range n {
		kind := []journal.Kind{journal.Registered, journal.Moved}[i%2]
		o.journal.Add(journal.Event{Kind: kind, Service: fmt.Sprintf("s%d", i), Instance: "sales1", Host: "db1", Time: noon().Add(time.Duration(i-n) * time.Minute)})
	}
}

func ids(events []journal.Event) string {
	var all []string
	for _, e := range events {
		all = append(all, fmt.Sprint(e.ID))
	}
	return strings.Join(all, " ")
}

func TestEvents(t *testing.T) {
	o := newOperated(t)
	if got := strings.TrimSpace(wantAnswer(t, o.request("GET", "/api/v1/events", ""), 200)); got != `{"events":[]}` {
		t.Errorf("none: %s", got)
	}
	o.happen(6)
	for query, want := range map[string]string{
		"": "1 2 3 4 5 6", "?since=4": "5 6", "?since=0": "1 2 3 4 5 6", "?since=6": "", "?since=999": "1 2 3 4 5 6",
		"?since=2030-05-06T11:57:00Z": "4 5 6", "?since=2030-05-06T13:57:00%2B02:00": "4 5 6",
		"?kind=moved": "2 4 6", "?kind=moved,registered": "1 2 3 4 5 6", "?kind=moved&kind=died&since=2": "4 6",
		"?service=s2": "3", "?instance=sales1@db1&limit=2": "5 6", "?instance=other": "", "?limit=2": "5 6", "?since=0&limit=2": "1 2", "?since=2&limit=2": "3 4",
	} {
		if got := answer[EventList](t, o.request("GET", "/api/v1/events"+query, ""), 200); ids(got.Events) != want || got.Events == nil {
			t.Errorf("%q: %s, want %s", query, ids(got.Events), want)
		}
	}
	o.happen(defaultListed)
	if got := answer[EventList](t, o.request("GET", "/api/v1/events", ""), 200); len(got.Events) != defaultListed || got.Events[0].ID != 7 {
		t.Errorf("%d events, from %d", len(got.Events), got.Events[0].ID)
	}
	wantRefused(t, o.Handler(), []wrong{
		{"GET", "/api/v1/events?since=yesterday", "", 400, "yesterday", ""}, {"GET", "/api/v1/events?since=-1", "", 400, "-1", ""},
		{"GET", "/api/v1/events?kind=move", "", 400, `did you mean "moved"`, ""}, {"GET", "/api/v1/events?kind=moved,", "", 400, `""`, ""},
		{"GET", "/api/v1/events?limit=1000000", "", 400, "from 1 to 100000", ""}, {"GET", "/api/v1/events?sinse=1", "", 400, `"sinse"`, `did you mean "since"`},
	})
}

func TestEventFilterTravelsWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := EventFilter{Service: rapid.String().Draw(t, "service"), Instance: rapid.String().Draw(t, "instance"), Limit: rapid.IntRange(0, maxListed).Draw(t, "limit")}
		f.Kinds = rapid.SliceOfDistinct(rapid.SampledFrom(journal.Kinds()), rapid.ID).Draw(t, "kinds")
		switch rapid.IntRange(0, 2).Draw(t, "since") {
		case 1:
			id := rapid.Uint64().Draw(t, "id")
			f.Since = &id
		case 2:
			f.SinceTime = noon().Add(time.Duration(rapid.Int64Range(-1e15, 1e15).Draw(t, "time")))
		}
		q, err := url.ParseQuery(f.query().Encode())
		if err != nil {
			t.Fatal(err)
		}
		got, err := parseEventFilter(q)
		if len(f.Kinds) == 0 {
			f.Kinds = nil
		}
		if diff := cmp.Diff(f, got); err != nil || diff != "" {
			t.Fatalf("%v (-want +got):\n%s", err, diff)
		}
	})
}

func TestWhoWantsAStream(t *testing.T) {
	for accept, want := range map[string]bool{
		"": false, "*/*": false, "application/json": false, "text/event-stream": true, "TEXT/Event-Stream; q=1": true,
		"application/json, text/event-stream": true, "text/event-streams": false, ";;,text/event-stream": true,
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Accept", accept)
		if wantsStream(r) != want {
			t.Errorf("%q: %v", accept, !want)
		}
	}
}
