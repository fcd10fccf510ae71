package relay

import (
	"testing"

	"servicebroker/servicetable"
	"servicebroker/tns"
)

// An instance or kind of server that was not asked for is no reason to wait where rules
// refuse the one that was.
func TestWhatWasNotAskedForIsNotAway(t *testing.T) {
	w := newWorld(t)
	l := &line{}
	w.Hold = l
	w.instance("s1", accepts, "sales")
	w.instance("s2", accepts, "sales")
	w.table.Apply(servicetable.Registration{
		ID: "s3", Instance: "s3", Host: "s3.host", Services: []servicetable.Service{{Name: "sales", Flags: servicetable.FlagUnblocked}},
		Handlers: []servicetable.Handler{{Name: "D000", Kind: servicetable.Dispatcher, Protocol: "TCP", Host: "s3", Port: 1521, Services: []int{0}}},
	})
	rules := Rules{{Source: HostPattern{Any: true}, Destination: HostPattern{Name: "s1"}, Action: Accept}}
	set := CompileRules(rules, nil)
	w.Rules = func() *RuleSet { return set }
	for _, asks := range []string{"(INSTANCE_NAME=s2)", "(SERVER=shared)"} {
		w.wantCode("(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=sales)"+asks+"))", tns.CodeRuleRejects)
	}
	w.table.Mark("s1@s1.host/DEDICATED", servicetable.Mark{Kind: servicetable.Ejected})
	client := w.client("(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=sales)))")
	if !isAccept(w.reply(client)) {
		t.Error("its only instance is ejected, and it is refused")
	}
	client.NetConn().Close()
	w.running.Wait()
	if l.count() != 0 {
		t.Error("somebody waits")
	}
}
