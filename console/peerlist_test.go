package console

import (
	"strings"
	"testing"
	"time"
)

// somePeers are one of each state.
func somePeers() PeerList {
	since := noon().Add(-90 * time.Second)
	return PeerList{Brokers: 2, Peers: []PeerView{
		{
			Name: "b2", API: "https://b2:8522", State: PeerAlive, Since: since, Version: "0.1.0", Generation: 2, Started: &since, ClockOffset: -4000, Services: 3, Instances: 2,
			DiffersSince: &since, Settings: []string{"POLICY"}, MoreDifferences: 7, Differences: []PeerDifference{
				{Instance: "sales1@db1", Services: []string{}, Here: "READY", Cause: "the database is not registered there"},
				{Instance: "hr1@db2", Services: []string{"a", "b"}, Count: 5, Here: "READY", There: "BLOCKED", Cause: "its last word did not come"},
			},
		},
		{Name: "", API: "http://10.0.0.3:8521", State: PeerAway, Since: since, Cause: "connection refused\x1b[2J", Differences: []PeerDifference{}, Settings: []string{}},
		{Name: "b1", API: "https://b1:8522", State: PeerSelf, Since: since, Same: true, Differences: []PeerDifference{}, Settings: []string{}},
	}}
}

func TestPeersAsText(t *testing.T) {
	var text strings.Builder
	if err := WritePeers(&text, somePeers(), noon()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"0.1.0    2           3         2", "differs for", "sales1@db1: READY here, absent there: the database is not registered there", "hr1@db2 a, b and 3 more: READY here, BLOCKED there",
		"away   1 min 30 s  -        -           -         -          -                       -\n", "-4000 ms", "and 7 differences more", "the configuration differs in POLICY", "its clock differs", "away", "connection refused", "self", "share the load: 2 (those that are alive)",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("there is no %q in\n%s", want, text.String())
		}
	}
	if strings.Contains(text.String(), "\x1b") {
		t.Error("a peer writes to the terminal")
	}
	text.Reset()
	if err := WritePeers(&text, PeerList{Brokers: 3, Given: true}, noon()); err != nil || !strings.Contains(text.String(), "No peers") || !strings.Contains(text.String(), "3 (by BROKERS)") {
		t.Errorf("%v: %s", err, text.String())
	}
}
