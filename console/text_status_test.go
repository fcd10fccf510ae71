package console

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"servicebroker/servicetable"
)

func statusText(t *testing.T, st Status) string {
	t.Helper()
	var b bytes.Buffer
	if err := WriteStatus(&b, st); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestStatusAsText(t *testing.T) {
	s := testServer(tableOf(registrations()))
	snapshot := s.snapshot()
	st := s.all().status(snapshot)
	st.Summary = summary(snapshot.Services())
	golden(t, "status.txt", statusText(t, st))
}

func TestStatusOfAnEmptyBroker(t *testing.T) {
	s := testServer(&servicetable.Table{})
	s.Unready = func() []string { return []string{"one", "two"} }
	s.Identity = func() Identity { return Identity{Version: Version{Version: "1", Instance: "I"}, Started: noon()} }
	s.Sessions = nil
	golden(t, "status-empty.txt", statusText(t, s.all().status(s.snapshot())))
}

func TestStatusTellsOfOthers(t *testing.T) {
	s := testServer(&servicetable.Table{})
	others := Others{DNS: &DNSPlace{Zone: "db.example", Address: "127.0.0.1:8053", Primary: "ns1:53"}, Consul: &ConsulPlace{Address: "c1:8500", Problem: "it is away\x1b"}, Peers: &PeerCount{1, 2}}
	s.Identity = func() Identity { return Identity{Started: noon(), Generation: 3, Others: others} }
	st := s.all().status(s.snapshot())
	for _, want := range []string{
		"Generation                3 since 06-MAY-2030 12:00:00 UTC\n", "DNS                       zone db.example at 127.0.0.1:8053, written to ns1:53\n",
		"Consul                    c1:8500: it is away", "Peers                     1 of 2 alive\n",
	} {
		if text := statusText(t, st); !strings.Contains(text, want) || strings.Contains(text, "\x1b") {
			t.Errorf("there is no %q in\n%s", want, text)
		}
	}
	st.Consul = &ConsulPlace{Address: "c1:8500"}
	if text := statusText(t, st); !strings.Contains(text, "c1:8500: this broker is known there\n") {
		t.Error(text)
	}
	if text := statusText(t, Status{}); strings.Contains(text, "Consul") || strings.Contains(text, "DNS") || strings.Contains(text, "Peers") || strings.Contains(text, "Generation") {
		t.Error(text)
	}
}

func TestStatusTellsTheLastReload(t *testing.T) {
	for want, r := range map[string]ReloadReport{
		"06-MAY-2030 12:00:00 UTC, by file: in force\n":                                                                    {OK: true, By: "file"},
		"06-MAY-2030 12:00:00 UTC, by signal: in force, save for what needs broker upgrade (or a restart): ADDRESS, SDU\n": {OK: true, By: "signal", NeedsRestart: []string{"ADDRESS", "SDU"}},
		"06-MAY-2030 12:00:00 UTC, by operator: nothing was changed: f:1:2: error: a f:2:2: error: b\n":                    {By: "operator", Error: "f:1:2: error: a\nf:2:2: error: b"},
	} {
		r.At = noon()
		if text := statusText(t, Status{LastReload: &r}); !strings.Contains(text, "Last Reload               "+want) {
			t.Errorf("%s\nwant %s", text, want)
		}
	}
}

// The handlers that status counts are those that services lists.
func TestSummaryAgreesWithServices(t *testing.T) {
	s := testServer(tableOf(registrations()))
	list, short := view(), summary(s.snapshot().Services())
	if len(short) != len(list.Services) {
		t.Fatalf("%d services, want %d", len(short), len(list.Services))
	}
	for i, service := range list.Services {
		for j, in := range service.Instances {
			got := short[i].Instances[j]
			if short[i].Name != service.Name || got != (InstanceSummary{in.Name, in.Status, len(in.Handlers)}) {
				t.Errorf("%s: %+v, want that of %+v", short[i].Name, got, in)
			}
		}
	}
}

func TestUptime(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Hour:             "0 days 0 hr. 0 min. 0 sec",
		5*time.Second + 999999: "0 days 0 hr. 0 min. 5 sec",
		26*time.Hour + 3*time.Minute + 4*time.Second: "1 days 2 hr. 3 min. 4 sec",
	} {
		if got := uptime(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}

func TestVersionAsText(t *testing.T) {
	v := Version{Version: "1.2.3", Commit: "abcdef0", Go: "go1.26", Release: "19.0.0.0.0"}
	for commit, want := range map[string]string{
		"abcdef0": "broker 1.2.3 (abcdef0), go1.26, tells clients release 19.0.0.0.0\n",
		"":        "broker 1.2.3, go1.26, tells clients release 19.0.0.0.0\n",
	} {
		v.Commit = commit
		var b strings.Builder
		if err := WriteVersion(&b, v); err != nil || b.String() != want {
			t.Errorf("%q, %v; want %q", b.String(), err, want)
		}
	}
}
