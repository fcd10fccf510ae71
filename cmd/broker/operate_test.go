package main

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"servicebroker/console"
	"servicebroker/intent"
)

// says runs a command line that is to succeed and checks what it prints.
func says(t *testing.T, arguments []string, want ...string) {
	t.Helper()
	out, errs, code := command(t, arguments...)
	if code != exitDone || errs != "" {
		t.Errorf("%q: exit %d, %q, %q", arguments, code, out, errs)
	}
	for _, w := range want {
		if !strings.Contains(out, w) {
			t.Errorf("%q says %q, want %q in it", arguments, out, w)
		}
	}
}

// fails runs a command line that is to fail and checks what it says.
func fails(t *testing.T, arguments []string, want int, word string) {
	t.Helper()
	out, errs, code := command(t, arguments...)
	if code != want || !strings.Contains(errs, word) {
		t.Errorf("%q: exit %d, %q, %q; want %d and %q", arguments, code, out, errs, want, word)
	}
}

func TestIntentsAreSetAndUndone(t *testing.T) {
	o, api, _ := runOperated(t)
	on := func(arguments ...string) []string { return append([]string{"--api", api}, arguments...) }
	says(t, on("intents"), "No intents.")
	says(t, on("drain", "--service", "sales", "--instance", "sales1@db1", "--timeout", "15min", "--end-sessions", "--reason", "new memory"), "drain of service sales, instance sales1@db1")
	drain := o.store.All()[0]
	if left := time.Until(drain.Deadline); drain.Kind != intent.Drain || !drain.EndSessions || drain.Reason != "new memory" ||
		left < 14*time.Minute || left > 15*time.Minute || !strings.HasSuffix(drain.Source, " by broker drain") {
		t.Errorf("%+v", drain)
	}
	says(t, on("weight", "--node", "db1", "50"), "weight 50 % of node db1")
	says(t, on("weight", "--node", "db2", "0", "--timeout", "1h"), "weight 0 % of node db2", "deadline in")
	says(t, on("hold", "--database", "prod"), "hold of database prod")
	says(t, on("maintenance", "--instance", "sales2"), "maintenance of instance sales2")
	says(t, on("drain", "--network", "192.0.2.0/24"), "network 192.0.2.0/24")
	says(t, on("intents"), "ID", "new memory", "sales1@db1", "weight 50 %", "hold", "maintenance", "192.0.2.0/24")

	fails(t, on("resume", "--service", "sales"), exitNo, "--id "+drain.ID)
	fails(t, on("release", "--service", "sales"), exitNo, "hold of exactly service=sales")
	says(t, on("resume", "--instance", "SALES1@db1", "--service", "Sales"), "taken back: "+drain.ID+" drain of service sales, instance sales1@db1, set 0 s ago (new memory); ")
	says(t, on("release", "--database", "prod"), "taken back: ", "hold of database prod, set 0 s ago\n")
	fails(t, on("release", "--database", "prod"), exitNo, "broker intents lists what is")
	says(t, on("resume", "--instance", "sales2"), "maintenance")
	says(t, on("resume", "--id", o.store.All()[0].ID), "taken back: ", "weight 50 % of node db1, set ")
	fails(t, on("resume", "--id", "none"), exitNo, "none")
	if left := o.store.All(); len(left) != 2 || left[0].Kind != intent.Weight || left[1].Target.Network == "" {
		t.Errorf("left in force: %v", left)
	}
}

func TestIntentsAsJSON(t *testing.T) {
	_, api, _ := runOperated(t)
	out, _, code := command(t, "--api", api, "--output", "json", "hold", "--service", "sales")
	var view console.IntentView
	if err := json.Unmarshal([]byte(out), &view); err != nil || code != exitDone || view.ID == "" || view.Target.Service != "sales" || !strings.Contains(out, `"sessions_left"`) {
		t.Errorf("%d %q %v", code, out, err)
	}
}

func TestWrongTargets(t *testing.T) {
	_, api, plain := runOperated(t)
	for _, c := range []struct {
		arguments []string
		code      int
		word      string
	}{
		{[]string{"drain"}, exitUsage, "--service"},
		{[]string{"drain", "--network", "192.0.2.1/24"}, exitUsage, "192.0.2.0/24"},
		{[]string{"drain", "--service", "s", "--end-sessions"}, exitUsage, "--timeout"},
		{[]string{"drain", "--service", "s", "--timeout", "soon"}, exitUsage, "soon"},
		{[]string{"drain", "--service", "s", "--timeout=-5s"}, exitUsage, "no length of time"},
		{[]string{"hold"}, exitUsage, "--service"},
		{[]string{"weight", "--service", "s"}, exitUsage, "percent"},
		{[]string{"weight", "--service", "s", "-1"}, exitUsage, "-1"},
		{[]string{"weight", "--service", "s", "5000"}, exitNo, "out of range"},
		{[]string{"resume"}, exitUsage, "--service"},
		{[]string{"resume", "--id", "x", "--service", "s"}, exitUsage, "either --id or a target"},
		{[]string{"quarantine", "approve", "nosuch"}, exitNo, "nosuch"},
		{[]string{"quarantine", "approve"}, exitUsage, "id"},
		{[]string{"close"}, exitUsage, "--all"},
		{[]string{"close", "--all", "1"}, exitUsage, "say which"},
		{[]string{"close", "99"}, exitNo, "99"},
		{[]string{"close", "x"}, exitNo, "ids are numbers"},
	} {
		fails(t, append([]string{"--api", api}, c.arguments...), c.code, c.word)
	}
	for _, arguments := range [][]string{
		{"drain", "--service", "s"}, {"close", "--all"}, {"close", "1"}, {"reload"}, {"quarantine", "reject", "x"}, {"resume", "--id", "x"},
	} {
		fails(t, append([]string{"--api", plain}, arguments...), exitNo, api) // the hint names the socket
		fails(t, append([]string{"--api", "http://127.0.0.1:1"}, arguments...), exitUnreachable, "cannot reach")
	}
}

func TestQuarantineIsDecided(t *testing.T) {
	o, api, _ := runOperated(t)
	says(t, []string{"--api", api, "peers"}, "b2", "https://b2:8522", "alive", "same", "share the load: 2")
	says(t, []string{"--api", api, "mirrors"}, "zone db.example at :53", "current", "7 of 7")
	says(t, []string{"--api", api, "limits"}, "service sales", "2.5 connects/s")
	says(t, []string{"--api", api, "certificates"}, "CN=cman", "/etc/cman.pem", "3 d")
	says(t, []string{"--api", api, "quarantine"}, "Nothing is quarantined")
	o.quarantine = []console.QuarantineEntry{{ID: "q1", Service: "sales", Instance: "evil@h", Peer: "192.0.2.66", Database: "prod", Cause: "rule prod claims it", Since: time.Now()}}
	says(t, []string{"--api", api, "quarantine", "list"}, "q1", "evil@h", "192.0.2.66", "rule prod claims it")
	says(t, []string{"--api", api, "quarantine", "approve", "q1", "--reason", "moved"}, "approve of service sales, instance evil@h")
	says(t, []string{"--api", api, "quarantine", "reject", "Q1"}, "reject of")
	if all := o.store.All(); len(all) != 1 || all[0].Kind != intent.Reject || all[0].Target.Quarantine != "q1" {
		t.Errorf("%v", all)
	}
}

func TestSessionsAreEnded(t *testing.T) {
	o, api, _ := runOperated(t)
	says(t, []string{"--api", api, "close", "--upstream", "192.0.2.1:51002"}, "1 session(s) ended: 2")
	says(t, []string{"--api", api, "close", "--service", "nothing"}, "No session was ended.")
	fails(t, []string{"--api", api, "close", "1", "2"}, exitNo, "no session 2 is open")
	says(t, []string{"--api", api, "close", "--all"}, "1 session(s) ended: 3")
	if len(o.closed) != 3 {
		t.Errorf("ended %v", o.closed)
	}
}

func TestWhoIsTheClient(t *testing.T) {
	_, api, _ := runOperated(t)
	says(t, []string{"--api", api, "sessions", "--upstream", "192.0.2.1:51003"},
		"Client        192.0.2.50:40003", "Program       python3", "Machine       app1", "User          scott", "Instance sees 192.0.2.1:51003")
	says(t, []string{"--api", api, "sessions"}, "MACHINE", "192.0.2.50:40001", "192.0.2.50:40002")
	fails(t, []string{"--api", api, "sessions", "--upstream", "192.0.2.1:9"}, exitNo, "192.0.2.1:9")
}

func TestReload(t *testing.T) {
	o, api, _ := runOperated(t)
	says(t, []string{"--api", api, "reload"}, "Reloaded: /etc/cman.ora", "Changed: HOLD_TIMEOUT")
	o.broken = errors.New("cman.ora:3:4: error: no such word")
	fails(t, []string{"--api", api, "reload"}, exitNo, "nothing was changed: cman.ora:3:4")
	says(t, []string{"--api", api, "parameters"}, "HOLD_TIMEOUT", "how long a connect waits")
	says(t, []string{"--api", api, "rules"}, "(RULE=(SRC=*))", "7")
	says(t, []string{"--api", api, "held"}, "No connect waits.")
	says(t, []string{"--api", api, "stats"}, "Open sessions ", "Sessions since the start", "Bytes to clients")
	says(t, []string{"--api", api, "--compat=cmctl", "stats"}, "Total connections refused")
	now := time.Now()
	o.held = []console.Held{{Service: "sales", Client: "192.0.2.9:1", Ref: "K7M2QX4P", Cause: "it is away", Since: now, Until: now.Add(20 * time.Second)}}
	says(t, []string{"--api", api, "held"}, "sales", "192.0.2.9:1", "K7M2QX4P", "it is away", "1 of 1 connects")
}
