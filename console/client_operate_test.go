package console

import (
	"errors"
	"net"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"servicebroker/intent"
	"servicebroker/journal"
)

// overSocket serves what operators can do on an admin socket.
func overSocket(t *testing.T, o *operated) *Client {
	t.Helper()
	path := filepath.Join(t.TempDir(), "admin.sock")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(o.AdminHandler())
	server.Listener.Close()
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)
	return &Client{API: "unix:" + path}
}

// same checks what a method of the client returned.
func same[T any](t *testing.T, what string, got T, err error, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%s: %v (-want +got):\n%s", what, err, diff)
	}
}

func TestClientLooks(t *testing.T) {
	o := newOperated(t)
	c, ctx := overSocket(t, o), t.Context()
	refused := o.keepConnects()
	o.happen(3)
	request := ExplainRequest{Descriptor: "(A=b) ?&", From: netip.MustParseAddr("2001:db8::1"), User: "sc ott", Program: "p&q"}
	explained, err := c.Explain(ctx, request)
	same(t, "explain", explained.Query.Service, err, "(A=b) ?&")
	same(t, "asked", o.asked.Program+o.asked.User+o.asked.From.String(), nil, "p&qsc ott2001:db8::1")
	kept, err := c.Explanation(ctx, refused.Ref)
	same(t, "explanation", kept, err, o.all().explanation(refused))
	for want, q := range map[string]journal.FindQuery{
		"192.0.2.9:40001": {ConnectionID: "c0ffee==", Client: "192.0.2.9:40001", Service: "sales", Outcome: journal.Refuse}, "[2001:db8::1]:40003": {Limit: 1},
	} {
		list, err := c.Explanations(ctx, q)
		if err != nil || len(list.Explanations) != 1 || list.Explanations[0].Client != want {
			t.Errorf("%+v: %+v, %v", q, list, err)
		}
	}
	since := uint64(1)
	events, err := c.Events(ctx, EventFilter{Since: &since})
	same(t, "events", ids(events.Events), err, "2 3")
	held, err := c.Held(ctx)
	same(t, "held", held, err, heldList(waiting(), "", 10))
	limits, err := c.Limits(ctx)
	same(t, "limits", limits.Limits, err, o.Limits())
	mirrors, err := c.Mirrors(ctx)
	same(t, "mirrors", mirrors.Mirrors, err, o.Mirrors())
	generations, err := c.Generations(ctx)
	same(t, "generations", generations.Generations, err, o.Generations())
	others, err := c.Peers(ctx)
	same(t, "peers", others, err, o.Peers())
	certificates, err := c.Certificates(ctx)
	same(t, "certificates", certificates.Certificates, err, o.Certificates())
	quarantine, err := c.Quarantine(ctx)
	same(t, "quarantine", quarantine.Quarantine, err, o.Quarantine())
	parameters, err := c.Parameters(ctx)
	same(t, "parameters", parameters.Parameters, err, o.Parameters())
	rules, err := c.Rules(ctx)
	same(t, "rules", rules.Rules, err, o.Rules())
}

func TestClientChanges(t *testing.T) {
	o := newOperated(t)
	c, ctx := overSocket(t, o), t.Context()
	half := uint32(50)
	set, err := c.SetIntent(ctx, IntentRequest{Kind: intent.Weight, Target: intent.Target{Service: "sales"}, Value: &half, Reason: "r"})
	same(t, "set", set.Intent, err, o.store.All()[0])
	one, err := c.Intent(ctx, set.ID)
	same(t, "intent", one, err, IntentView{Intent: set.Intent, Progress: Progress{SessionsAtStart: 4, SessionsLeft: 3}})
	all, err := c.Intents(ctx)
	same(t, "intents", all, err, IntentList{Intents: []IntentView{one}})
	decided, err := c.Decide(ctx, intent.Approve, "q1", Decision{Reason: "moved", Source: "scott"})
	same(t, "decided", decided.Target.Quarantine+decided.Reason+decided.Source, err, "q1movedscott")
	ended, err := c.EndIntent(ctx, set.ID)
	same(t, "ended", ended.Intent, err, set.Intent)
	taken, err := c.SetLoad(ctx, LoadReport{Instance: "SALES1", Load: &half})
	same(t, "load", taken, err, LoadReport{Instance: "sales1@db1", Load: &half})
	closed, err := c.CloseSession(ctx, "18")
	same(t, "closed", closed, err, Closed{Closed: []string{"18"}})
	closed, err = c.CloseSessions(ctx, SessionFilter{Service: "none"})
	same(t, "closed by filter", closed, err, Closed{Closed: []string{}})
	closed, err = c.CloseSessions(ctx, SessionFilter{})
	same(t, "all closed", closed, err, Closed{Closed: []string{"17"}})
	reloaded, err := c.Reload(ctx)
	same(t, "reload", reloaded.Config, err, "/etc/cman.ora")
}

// Whatever a user takes for an id, it names that thing or none, never another path.
func TestClientEscapesIDs(t *testing.T) {
	o := newOperated(t)
	c, ctx := overSocket(t, o), t.Context()
	for _, id := range []string{"", ".", "..", "a/b", "../../sessions", "x?all=true", "#", "%2e"} {
		_, one := c.Explanation(ctx, id)
		_, two := c.EndIntent(ctx, id)
		_, three := c.CloseSession(ctx, id)
		_, four := c.Decide(ctx, intent.Approve, id, Decision{})
		_, five := c.Intent(ctx, id)
		for i, err := range []error{one, two, three, four, five} {
			var answer *APIError
			if !errors.As(err, &answer) || answer.Status != 404 && answer.Status != 400 {
				t.Errorf("%q, request %d: %v", id, i, err)
			}
		}
	}
	if len(o.closed) > 0 {
		t.Errorf("closed %v", o.closed)
	}
}
