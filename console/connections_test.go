package console

import (
	"io"
	"strings"
	"testing"
	"time"
)

func TestConnectionFilters(t *testing.T) {
	list := SessionList{Sessions: openSessions()} // 17 began 90 s ago and is idle for 1.5 s, 18 began 26 h ago and is idle for an hour
	list.Sessions = append(list.Sessions, Session{ID: "19", Client: "192.0.2.77:1", CID: CID{Host: "app2"}, Service: "hr", Instance: "h1@db7", Started: noon(), Server: Upstream{Remote: "192.0.2.9:1521"}})
	for words, want := range map[string]string{
		"": "17 18 19", "in established": "17 18 19", "in idle": "17 18", "in connecting": "", "IN terminated": "",
		"gt 1:00": "17 18", "gt[1:31]": "18", "gt 26:00:01": "", "gt 93599": "18", "in idle gt 2": "18", "in idle gt 1:00:00": "",
		"from 192.0.2.50": "17", "from 192.0.2.50:40123": "17", "from 192.0.2.0/24": "17 19", "from APP1": "17", "from 2001:db8::/32": "18", "from *": "17 18 19", "from 10.0.0.0/8": "",
		"to db1": "17", "to sales1": "17", "to SALES1@DB1": "17", "to 192.0.2.9": "19", "to 192.0.2.9:1521": "19", "to *": "17 18 19", "to nowhere": "",
		"for hr": "18 19", "for *": "17 18 19", "for HR from app2": "19", "using 0": "17 18 19", "using 1": "",
	} {
		f, err := ParseConnectionFilter(strings.Fields(words))
		if err != nil {
			t.Errorf("%q: %v", words, err)
		}
		var ids []string
		for _, s := range f.Choose(list, noon()) {
			ids = append(ids, s.ID)
		}
		if got := strings.Join(ids, " "); got != want {
			t.Errorf("%q: %q, want %q", words, got, want)
		}
	}
}

func TestWrongConnectionFilters(t *testing.T) {
	for words, want := range map[string]string{
		"in": "a value has to follow", "in limbo": `"limbo" is no state`, "gt soon": "hh:mm:ss", "gt 1:2:3:4": "hh:mm:ss", "gt -1": "hh:mm:ss", "gt 9999999": "hh:mm:ss", "gt[x]": "hh:mm:ss",
		"with care": `"with" is no filter`,
	} {
		if _, err := ParseConnectionFilter(strings.Fields(words)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", words, err, want)
		}
	}
}

func TestConnectionsAsText(t *testing.T) {
	var b strings.Builder
	for _, how := range []string{"count", "info", "detail"} {
		b.WriteString(text(t, func(w io.Writer) error { return WriteCMANConnections(w, openSessions(), how, noon()) }))
	}
	golden(t, "connections.txt", b.String())
}

func TestClock(t *testing.T) {
	for d, want := range map[time.Duration]string{-1: "00:00:00", 61 * time.Second: "00:01:01", 100*time.Hour + time.Second: "100:00:01"} {
		if got := clock(d); got != want {
			t.Errorf("%v: %s", d, got)
		}
	}
}
