package main

import (
	"encoding/json"
	"net/netip"
	"testing"
	"time"

	"servicebroker/console"
	"servicebroker/journal"
)

func TestExplainBefore(t *testing.T) {
	o, api, _ := runOperated(t)
	says(t, []string{"--api", api, "explain", "--from", "192.0.2.7", "--user", "scott", "--program", "sqlplus", "broker:1521/sales"},
		"Asked for     service sales", "Outcome       would be relayed to sales1@db1/DEDICATED", "it has the most room", "adaptive", "(RULE=(SRC=*)",
		"READY; 12 sessions reported 2.5 s ago; +1 by this broker since; capacity 100", "BLOCKED; no load reported; weight 50 %",
		"passed over: all instances of it are blocking", "0.125")
	want := console.ExplainRequest{Descriptor: "broker:1521/sales", From: netip.MustParseAddr("192.0.2.7"), User: "scott", Program: "sqlplus"}
	if o.explained != want {
		t.Errorf("asked for %+v", o.explained)
	}
	fails(t, []string{"--api", api, "explain", "(("}, exitNo, "is no descriptor")
	for _, arguments := range [][]string{{"explain"}, {"explain", "x", "--ref", "y"}, {"explain", "--ref", "y", "--client", "z"}, {"explain", "x", "--from", "y"}} {
		if _, errs, code := command(t, append([]string{"--api", api}, arguments...)...); code != exitUsage {
			t.Errorf("%q: exit %d, %q", arguments, code, errs)
		}
	}
}

func TestExplainAfter(t *testing.T) {
	o, api, _ := runOperated(t)
	refused := &journal.Explanation{Client: "192.0.2.9:40001", ConnectionID: "c0ffee==", Query: journal.Query{Service: "sales"}, Outcome: journal.Refuse, Code: 12514, Text: "nobody offers it"}
	o.journal.Keep(refused)
	for _, port := range []string{"40002", "40003"} {
		o.journal.Keep(&journal.Explanation{Client: "192.0.2.9:" + port, Query: journal.Query{Service: "hr"}, Outcome: journal.Relay, Chosen: "hr1@db3/DEDICATED"})
	}
	whole := []string{"REF           " + refused.Ref, "refused with ORA-12514", "nobody offers it", "192.0.2.9:40001", "c0ffee==", "No candidates."}
	for _, by := range [][]string{{"--ref", refused.Ref}, {"--connection-id", "c0ffee=="}, {"--client", "192.0.2.9:40001"}, {"--outcome", "refuse"}} {
		says(t, append([]string{"--api", api, "explain"}, by...), whole...)
	}
	says(t, []string{"--api", api, "explain", "--client", "192.0.2.9"}, "REF", refused.Ref, "relayed to hr1@db3/DEDICATED", "192.0.2.9:40002", "192.0.2.9:40003")
	says(t, []string{"--api", api, "explain", "--recent", "2"}, "192.0.2.9:40002")
	fails(t, []string{"--api", api, "explain", "--ref", "NOSUCH99"}, exitNo, "NOSUCH99")
	fails(t, []string{"--api", api, "explain", "--client", "192.0.2.10"}, exitNo, "only the newest are")
	fails(t, []string{"--api", api, "explain", "--outcome", "refused"}, exitNo, `did you mean "refuse"`)

	out, _, code := command(t, "--api", api, "--output", "json", "explain", "--ref", refused.Ref)
	var got struct {
		Ref, Outcome string
		Code         int
		Candidates   []any
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != exitDone || got.Ref != refused.Ref || got.Code != 12514 || got.Candidates == nil {
		t.Errorf("exit %d, %q, %v", code, out, err)
	}
	out, _, _ = command(t, "--api", api, "--output", "json", "explain", "--client", "192.0.2.9:40001")
	var list console.ExplanationList
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list.Explanations) != 1 {
		t.Errorf("a list of one: %q, %v", out, err)
	}
}

func TestLength(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"90": 90 * time.Second, "0": 0, "1.5": 1500 * time.Millisecond, "250ms": 250 * time.Millisecond, "90s": 90 * time.Second, "15min": 15 * time.Minute,
		"15 min": 15 * time.Minute, "2h": 2 * time.Hour, "1h30min": 90 * time.Minute, "2d": 48 * time.Hour, "5m": 5 * time.Minute,
	} {
		var got length
		if err := got.UnmarshalText([]byte(text)); err != nil || time.Duration(got) != want {
			t.Errorf("%q: %v, %v, want %v", text, time.Duration(got), err, want)
		}
	}
	for _, text := range []string{"", "-1", "-5s", "soon", "d", "1.5d", "NaN", "1e300", "99999999d"} {
		var got length
		if err := got.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is taken for %v", text, time.Duration(got))
		}
	}
}
