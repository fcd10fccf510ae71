package broker

import (
	"testing"

	"servicebroker/journal"
	"servicebroker/relay"
	"servicebroker/tns"
)

// TestWhoeverWantsIsToldOfEachConnectOnce: from the relay and from before it, and of each session's end.
func TestWhoeverWantsIsToldOfEachConnectOnce(t *testing.T) {
	config := testConfig(t, nil)
	b, err := New(config, nil)
	if err != nil {
		t.Fatal(err)
	}
	type told struct {
		*journal.Explanation
		client, arrived string
	}
	reports, second, ends := make(chan told, 8), make(chan string, 8), make(chan relay.SessionInfo, 8)
	b.reporters.connects = append(b.reporters.connects, func(r *relay.ConnectReport) {
		reports <- told{r.Explanation, r.Client.String(), r.Arrived}
	}, func(r *relay.ConnectReport) { second <- r.Explanation.Ref })
	b.reporters.sessions = append(b.reporters.sessions, func(s *relay.SessionInfo, _ error) { ends <- *s })
	r := run(t, b)

	r.register("s1", "sales")
	client, _ := r.ask("(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=sales)))")
	local := client.NetConn().LocalAddr().String()
	if got := <-reports; got.Outcome != journal.Relay || got.client != local || got.arrived != r.Addresses()[0] || got.Ref != <-second {
		t.Errorf("accepted: %+v", got)
	}
	_ = client.NetConn().Close()
	if s := <-ends; s.Client != local {
		t.Errorf("ended: %+v", s)
	}

	refused, _ := r.ask("(DESCRIPTION=(CONNECT_DATA=(COMMAND=dance)))")
	if got := <-reports; got.Outcome != journal.Refuse || got.Code != int(tns.CodeUnknownCommand) || got.client != refused.NetConn().LocalAddr().String() || got.arrived != r.Addresses()[0] || got.Ref != <-second {
		t.Errorf("refused before the relay: %+v", got)
	}
}
