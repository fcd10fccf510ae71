package relay

import (
	"context"
	"strings"
	"testing"

	"servicebroker/journal"
	"servicebroker/servicetable"
	"servicebroker/tns"
)

// ofPeer is what a peer has: an instance of sales at an address.
func ofPeer(instance, host string, port int) servicetable.Candidate {
	r := &servicetable.Registration{
		ID: servicetable.ID("peer:" + instance), Instance: instance, Host: host, Broker: "b2",
		Services: []servicetable.Service{{Name: "sales", Flags: servicetable.FlagUnblocked}},
		Handlers: []servicetable.Handler{{Name: "DEDICATED", Protocol: "tcp", Host: host, Port: port, Services: []int{0}}},
	}
	return servicetable.Candidate{Registration: r, Service: &r.Services[0], Handler: &r.Handlers[0]}
}

// asks has the relay ask peers who have these, and counts how often.
func (w *world) asks(has ...servicetable.Candidate) *int {
	n := new(int)
	w.Elsewhere = func(context.Context, servicetable.Query) ([]servicetable.Candidate, bool) {
		*n++
		return has, true
	}
	return n
}

func explained(t *testing.T, w *world) *journal.Explanation {
	t.Helper()
	return w.Explain(t.Context(), Inquiry{Descriptor: "(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=sales)))"})
}

func TestPeersAreAskedForWhatNobodyHereOffers(t *testing.T) {
	w := newWorld(t)
	asked := w.asks(ofPeer("sales2", "db2", 1521))
	e := explained(t, w)
	if e.Outcome != journal.Relay || !strings.HasPrefix(e.Chosen, "sales2@db2") || !strings.Contains(e.Route, "from peer b2, since here: unknown service") || *asked != 1 {
		t.Errorf("asked %d times: %+v", *asked, e)
	}
	own := *ofPeer("sales1", "db1", 1521).Registration
	own.Broker = ""
	w.table.Apply(own)
	if e := explained(t, w); e.Route != "" || !strings.HasPrefix(e.Chosen, "sales1@db1") || *asked != 1 {
		t.Errorf("what is here is asked for elsewhere, %d times: %+v", *asked, e)
	}
	own.Services = []servicetable.Service{{Name: "sales"}} // blocked
	w.table.Apply(own)
	if e := explained(t, w); e.Outcome != journal.Relay || !strings.HasPrefix(e.Chosen, "sales2@db2") || *asked != 2 {
		t.Errorf("where all here are blocked: asked %d times: %+v", *asked, e)
	}
}

func TestRulesAndOperatorsDecideAboutWhatPeersHaveToo(t *testing.T) {
	w := newWorld(t)
	asked := w.asks(ofPeer("sales2", "db2", 1521))
	rules := CompileRules(Rules{{Action: Reject, Source: HostPattern{Any: true}, Destination: HostPattern{Any: true}, Services: []string{"*"}}}, nil)
	w.Rules = func() *RuleSet { return rules }
	if e := explained(t, w); e.Outcome != journal.Refuse || e.Code != int(tns.CodeRuleRejects) || *asked != 0 {
		t.Errorf("who may have nothing is asked for, %d times: %+v", *asked, e)
	}
	w.Rules = nil
	none := w.asks()
	if e := explained(t, w); e.Outcome != journal.Refuse || e.Code != int(tns.CodeUnknownService) || !strings.Contains(e.Route, "none has") || *none != 1 {
		t.Errorf("%+v", e)
	}
}

func TestErrorsForWhichPeersAreAsked(t *testing.T) {
	s := &Server{Elsewhere: func(context.Context, servicetable.Query) ([]servicetable.Candidate, bool) { return nil, false }}
	for _, one := range []struct {
		err    error
		way    *way
		wanted bool
	}{
		{servicetable.ErrUnknownService, nil, true}, {servicetable.ErrUnknownSID, nil, true}, {servicetable.ErrNoHandler, nil, true}, {servicetable.ErrBlocked, nil, true}, {errAway, nil, true},
		{servicetable.ErrHeld, nil, false}, {errRejected, nil, false}, {errDropped, nil, false}, {errWithheld, nil, false}, {errTurn, nil, false}, {&clientGone{errCircle}, nil, false},
		{servicetable.ErrUnknownService, &way{}, false},
	} {
		if got := s.mayAsk(&dialogue{way: one.way}, one.err); got != one.wanted {
			t.Errorf("%v, way %v: %v", one.err, one.way, got)
		}
	}
	if new(Server).mayAsk(&dialogue{}, servicetable.ErrUnknownService) {
		t.Error("nobody is there to be asked")
	}
	if d := (&dialogue{peers: true}); s.retryFor(d, servicetable.ErrUnknownService) != retryPause || s.retryFor(&dialogue{}, servicetable.ErrUnknownService) != 0 {
		t.Error("a connect that waits does not ask again, or asks nobody")
	}
}
