package drivers

import (
	"encoding/json"
	"fmt"
	"testing"
)

// quarantineList is what the API tells of registrations that are not trusted.
type quarantineList struct {
	Quarantine []struct {
		ID       string `json:"id"`
		Service  string `json:"service"`
		Instance string `json:"instance"`
		Peer     string `json:"peer"`
		Database string `json:"database"`
		Cause    string `json:"cause"`
		Rejected bool   `json:"rejected"`
	} `json:"quarantine"`
}

func (b *broker) quarantine(t *testing.T) quarantineList {
	t.Helper()
	var list quarantineList
	must(t, json.Unmarshal([]byte(b.command(t, 0, "--output", "json", "quarantine")), &list))
	return list
}

// Whoever registers a service that is another's is seen and gets no client, until an operator lets it; what is its own
// is served all the while.
func TestQuarantine(t *testing.T) {
	const owner, rogue = "127.0.0.1", "127.0.0.9"
	b := startBroker(t, brokerOptions{parameters: []string{
		"REGISTRANT=(NAME=prod)(SRC=" + owner + ")(SERVICES=sales*)", "POLICY=roundrobin",
		"HEDGE=0", "PROBE_INTERVAL=0", "ATTEMPT_TIMEOUT=20"}}) // nobody goes elsewhere because an instance was slow
	real, other := startStandin(t, "sales1"), startStandin(t, "hr1")
	real.from, other.from = owner, rogue
	real.register(t, b, "sales")
	other.register(t, b, "sales", "hr")
	b.awaitService(t, "hr", "READY", 1)
	eventually(t, patience, func() error {
		if list := b.quarantine(t); len(list.Quarantine) != 1 {
			return fmt.Errorf("in quarantine: %+v", list)
		}
		return nil
	})
	entry := b.quarantine(t).Quarantine[0]
	if entry.Service != "sales" || entry.Instance != "hr1@db-hr1" || entry.Peer != rogue || entry.Database != "prod" || entry.Cause == "" {
		t.Errorf("in quarantine: %+v", entry)
	}
	const connects = 20
	try := func(service string, want func(first, second int) bool) {
		t.Helper()
		firstBefore, secondBefore := len(real.seen()), len(other.seen())
		for i := range connects {
			c := askFor(t, b, service, fmt.Sprint(i), "")
			if reply, err := readRaw(c, patience); err != nil || reply.kind != typeAccept {
				t.Fatalf("%s: type %d %q, %v", service, reply.kind, reply.text(), err)
			}
			c.Close()
		}
		if first, second := len(real.seen())-firstBefore, len(other.seen())-secondBefore; !want(first, second) {
			t.Errorf("%s: %d connects reached the owner, %d the other", service, first, second)
		}
	}
	owners := func(first, second int) bool { return first == connects && second == 0 }
	both := func(first, second int) bool { return first > 0 && second > 0 && first+second == connects }
	try("sales", owners)
	try("hr", func(first, second int) bool { return first == 0 && second == connects })
	b.command(t, 0, "quarantine", "reject", entry.ID)
	try("sales", owners)
	if list := b.quarantine(t); len(list.Quarantine) != 1 || !list.Quarantine[0].Rejected {
		t.Errorf("after the rejection: %+v", list)
	}
	b.command(t, 0, "quarantine", "approve", entry.ID)
	try("sales", both)
}
