package servicetable

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func matched(s *Snapshot, q Query) []Candidate {
	found, _ := s.Match(q)
	return found
}

// passedOver renders PassedOver, a line a handler.
func passedOver(s *Snapshot, q Query) string {
	var b strings.Builder
	for _, p := range s.PassedOver(q, matched(s, q)) {
		fmt.Fprintf(&b, "%s/%s %s %s: %s\n", p.Registration.Instance, p.Handler.Name, p.Service.Name, p.Status, p.Why)
	}
	return b.String()
}

func TestPassedOver(t *testing.T) {
	shut, restricted := database("shut", "h1", "s").flagged(0), database("restr", "h2", "s").flagged(FlagUnblocked|FlagRestricted)
	drained, own, one := database("drained", "h3", "s"), database("own", "h4", "s"), database("one", "h5", "s", "t")
	own.Marks = []Mark{{Kind: Maintenance, Cause: "new disk"}, {Kind: Holding}}
	one.Services[0].Marks = []Mark{{Kind: Quarantined, Cause: "stranger"}}
	held, mixed := database("held", "h6", "s"), database("mixed", "h7", "s").with(Handler{Name: "D000", Kind: Dispatcher}).with(Handler{Name: "D001", Kind: Dispatcher}).with(Handler{Name: "ODD", Kind: 9})
	mixed.Handlers[2].Port = 0
	none := database("none", "h8", "s").withoutHandlers()
	table := tableOf(shut, restricted, drained, own, one, held, mixed, none, database("good", "h9", "s"), database("sick", "h10", "s"))
	table.Mark("drained@h3", Mark{Kind: Draining, Cause: "patching"})
	table.Mark("held@h6/DEDICATED", Mark{Kind: Holding, Cause: "switchover"})
	s := table.Mark("sick@h10", Mark{Kind: Ejected, Cause: "no answer"})
	wantMatch(t, s, Query{Service: "s"}, "mixed/D000=s good/DEDICATED=s")
	want := `shut/DEDICATED s BLOCKED: the instance is BLOCKED
restr/DEDICATED s RESTRICTED: the instance is RESTRICTED
drained/DEDICATED s READY: drained@h3 is draining (patching)
own/DEDICATED s READY: own@h4 is in maintenance (new disk)
one/DEDICATED s READY: s on one@h5 is quarantined (stranger)
held/DEDICATED s READY: connects to held@h6/DEDICATED are held (switchover)
mixed/DEDICATED s READY: it is dedicated, and there is one of a kind that goes first
mixed/D001 s READY: its address "(ADDRESS=(PROTOCOL=tcp)(HOST=h7)(PORT=1523))" names no port to go to
mixed/ODD s READY: it is of an unknown kind
none/ s READY: no handler of the instance serves it
sick/DEDICATED s READY: sick@h10 is ejected (no answer), and others are not
`
	if diff := cmp.Diff(want, passedOver(s, Query{Service: "S"})); diff != "" {
		t.Errorf("passed over (-want +got):\n%s", diff)
	}
	for _, c := range []struct {
		q        Query
		instance string
		want     string
	}{
		{Query{Service: "s", Server: "shared"}, "good", `it is dedicated, SERVER="shared" was asked for`},
		{Query{Service: "s", Instance: "GOOD"}, "mixed", `INSTANCE_NAME="GOOD" was asked for`},
		{Query{Service: "s", IgnoreStatus: true}, "drained", "drained@h3 is draining (patching)"},
		{Query{SID: "drained"}, "drained", "drained@h3 is draining (patching)"},
	} {
		if got := passedOver(s, c.q); !strings.Contains(got, c.instance+"/DEDICATED s READY: "+c.want+"\n") {
			t.Errorf("%+v: %s\nwant %s: %s", c.q, got, c.instance, c.want)
		}
	}
	if got := passedOver(s, Query{Service: "s", IgnoreStatus: true}); strings.Contains(got, "shut/") {
		t.Errorf("UR=A passes over a blocked instance:\n%s", got)
	}
	if got := s.PassedOver(Query{Service: "nothing"}, nil); got != nil {
		t.Errorf("unknown service: %v", got)
	}
	web := tableOf(database("web", "h", "webXDB").flagged(FlagUnblocked | FlagDispatchersOnly)).Snapshot()
	if got := web.PassedOver(Query{SID: "web"}, matched(web, Query{SID: "web"})); got != nil {
		t.Errorf("an instance without ordinary services, by SID: %+v", got)
	}
}
