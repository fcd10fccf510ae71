package console

import (
	"strings"
	"testing"
)

func TestOtherBrokersOnThePage(t *testing.T) {
	o := newOperated(t)
	list := somePeers()
	for i := range pagePeerLinesMost {
		list.Peers[0].Differences = append(list.Peers[0].Differences, PeerDifference{Instance: string(rune('a' + i)), Cause: "so"})
	}
	o.Peers = func() PeerList { return list }
	text := pageText(t, o.Server, "/")
	for _, part := range []string{
		"2 share the load", "https://b2:8522", `<span class="status good">alive</span> <span class="quiet">for 1 min 30 s`, "generation 2", "differs for 1 min 30 s",
		"sales1@db1: READY here, absent there", "and 5 more: <code>broker peers</code>", `<span class="status bad">away</span>`, "connection refused", `href="/api/v1/peers"`,
	} {
		if !strings.Contains(text, part) {
			t.Errorf("the page has no %s", part)
		}
	}
	if strings.Contains(text, "https://b1:8522") {
		t.Error("this broker is among the others")
	}
	list.Peers = list.Peers[2:]
	if text := pageText(t, o.Server, "/"); strings.Contains(text, "share the load") || strings.Contains(text, "/api/v1/peers") {
		t.Error("a broker that is alone has a section about others")
	}
	peers, _ := seen{o.Server, &Access{Who: "appteam", Services: []string{"sales"}}}.pagePeers(noon())
	if len(peers) != 0 {
		t.Error("who has to do with some services alone is told of other brokers")
	}
}
