package relay

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"servicebroker/journal"
	"servicebroker/servicetable"
	"servicebroker/tns"
)

func (w *world) inquire(text string) *journal.Explanation {
	return w.Explain(w.t.Context(), Inquiry{Descriptor: text, From: addr("10.0.0.7")})
}

// What is explained beforehand is what then happens.
func TestExplainAgreesWithWhatHappens(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(*world)
		text    string
		outcome journal.Outcome
		code    tns.Code
		chosen  string
	}{
		"relayed":         {nil, sales, journal.Relay, 0, "s1@s1.host/DEDICATED"},
		"redirected":      {func(w *world) { w.mode(ModeRedirect) }, sales, journal.Redirect, 0, "s1@s1.host/DEDICATED"},
		"unknown service": {nil, strings.Replace(sales, "=sales", "=nosuch", 1), journal.Refuse, tns.CodeUnknownService, ""},
		"by rule": {func(w *world) {
			w.Rules = inForce(everyone(Reject, "(RULE=1)"))
		}, sales, journal.Refuse, tns.CodeRuleRejects, ""},
		"dropped": {func(w *world) {
			w.Rules = inForce(everyone(Drop, "(RULE=1)"))
		}, sales, journal.Drop, 0, ""},
		"one instance drained": {func(w *world) {
			w.table.Mark("s1@s1.host", servicetable.Mark{Kind: servicetable.Draining, Cause: "d1"})
		}, sales, journal.Relay, 0, "s2@s2.host/DEDICATED"},
		"all drained": {func(w *world) {
			w.table.Mark("s1@s1.host", servicetable.Mark{Kind: servicetable.Draining})
			w.table.Mark("s2@s2.host", servicetable.Mark{Kind: servicetable.Draining})
		}, sales, journal.Refuse, tns.CodeBlocked, ""},
		"kept from this client": {func(w *world) {
			w.Withhold = func(netip.Addr) func(servicetable.Candidate) *Withheld {
				return func(c servicetable.Candidate) *Withheld {
					if c.Registration.Instance == "s1" {
						return &Withheld{Why: "drained for your network"}
					}
					return nil
				}
			}
		}, sales, journal.Relay, 0, "s2@s2.host/DEDICATED"},
		"garbage": {nil, "(DESCRIPTION=", journal.Refuse, tns.CodeBadDescriptor, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.instance("s1", accepts, "sales")
			w.instance("s2", accepts, "sales")
			if c.prepare != nil {
				c.prepare(w)
			}
			before := w.inquire(c.text)
			if before.Outcome != c.outcome || before.Code != int(c.code) || before.Chosen != c.chosen || before.Text == "" {
				t.Errorf("foreseen: %s %d %q %q, want %s %v %q", before.Outcome, before.Code, before.Chosen, before.Text, c.outcome, c.code, c.chosen)
			}
			if len(w.Journal.Recent(1)) != 0 || len(w.asked) != 0 {
				t.Error("asking what would be left a trace")
			}
			client := w.client(c.text)
			if c.outcome != journal.Drop {
				w.reply(client)
			}
			client.NetConn().Close()
			w.running.Wait()
			after := w.Journal.Recent(1)[0]
			if after.Outcome != before.Outcome || after.Code != before.Code || after.Chosen != before.Chosen {
				t.Errorf("came: %s %d %q", after.Outcome, after.Code, after.Chosen)
			}
			if keys(before.Candidates) != keys(after.Candidates) {
				t.Errorf("weighed %s, then %s", keys(before.Candidates), keys(after.Candidates))
			}
		})
	}
}

func keys(all []journal.Candidate) string {
	var text []string
	for _, c := range all {
		text = append(text, c.Key+":"+c.PassedOver)
	}
	return strings.Join(text, " ")
}

func TestExplainTellsOfHolding(t *testing.T) {
	w := newWorld(t)
	l := &line{}
	w.Hold = l
	if e := w.inquire(sales); e.Outcome != journal.Hold || e.Code != int(tns.CodeUnknownService) {
		t.Errorf("%s %d", e.Outcome, e.Code)
	}
	l.refuse = errors.New("not seen for long")
	if e := w.inquire(sales); e.Outcome != journal.Refuse {
		t.Errorf("%s", e.Outcome)
	}
	if l.count() != 0 {
		t.Error("asking took a place")
	}
}

// Each refusal carries the reference by which it is explained.
func TestRefusalIsFoundByItsReference(t *testing.T) {
	w := newWorld(t)
	refuse := w.reply(w.client(strings.Replace(sales, "(CID", "(CONNECTION_ID=abc==)(CID", 1))).(*tns.Refuse)
	_, rest, found := strings.Cut(refuse.Text, "(REF=")
	if !found || len(refuse.Text) > 230 {
		t.Fatalf("no reference in %q", refuse.Text)
	}
	e := w.Journal.ByRef(rest[:8])
	if e == nil || e.Code != int(tns.CodeUnknownService) || e.ConnectionID != "abc==" || e.Query.Service != "sales" || e.Program != "app" {
		t.Errorf("explained as %+v", e)
	}
}

// Redirects go only to those that answer; the others are told of in the explanation.
func TestRedirectVerifies(t *testing.T) {
	w := newWorld(t)
	w.mode(ModeRedirect)
	w.instance("s1", accepts, "sales")
	w.instance("s2", accepts, "sales")
	down := map[string]bool{"s1": true}
	w.Verify = func(_ context.Context, c servicetable.Candidate) error {
		if down[c.Registration.Instance] {
			return errors.New("no answer to a ping")
		}
		return nil
	}
	if r, ok := w.reply(w.client(sales)).(*tns.Redirect); !ok || !strings.Contains(r.Address, "HOST=s2") {
		t.Errorf("redirected to %+v", r)
	}
	w.running.Wait()
	if e := w.Journal.Recent(1)[0]; len(e.Attempts) != 1 || e.Attempts[0].Key != "s1@s1.host/DEDICATED" || e.Attempts[0].Error == "" {
		t.Errorf("explained with attempts %+v", e.Attempts)
	}
	down["s2"] = true
	if refuse, ok := w.reply(w.client(sales)).(*tns.Refuse); !ok || refuse.Code() == 0 {
		t.Errorf("answered %v", refuse)
	}
}

// Where none of those answers to whom a client could be redirected, it is relayed to one to whom it cannot be.
func TestRelayedWhereNobodyToRedirectToAnswers(t *testing.T) {
	w := newWorld(t)
	w.instance("s1", accepts, "sales")
	w.instance("s~2", accepts, "sales") // not a name to put into a REDIRECT
	w.mode(ModeRedirect)
	w.Verify = func(context.Context, servicetable.Candidate) error { return errors.New("no answer to a ping") }
	client := w.client(sales)
	if m := w.reply(client); !isAccept(m) {
		t.Fatalf("answered %v", m)
	}
	client.NetConn().Close()
	w.running.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Equal(w.asked, []string{"s~2:1521"}) || !slices.Equal(w.settled, []string{"s~2"}) {
		t.Errorf("asked %v, settled for %v", w.asked, w.settled)
	}
}

// A client that comes back from where it was sent is evidence against that handler.
func TestReturningClientIsEvidence(t *testing.T) {
	w := newWorld(t)
	w.mode(ModeRedirect)
	w.instance("s1", accepts, "sales")
	var suspected []string
	w.Suspect = func(key, _ string) { suspected = append(suspected, key) }
	text := strings.Replace(sales, "(CID", "(CONNECTION_ID=abc==)(CID", 1)
	w.reply(w.client(text))
	w.running.Wait()
	client := w.client(text)
	w.reply(client)
	client.NetConn().Close()
	w.running.Wait()
	if len(suspected) != 1 || suspected[0] != "s1@s1.host/DEDICATED" {
		t.Errorf("suspected %v", suspected)
	}
	w.reply(w.client(strings.Replace(text, "abc", "def", 1)))
	w.running.Wait()
	if len(suspected) != 1 {
		t.Error("address and service alone are no evidence")
	}
}

func TestEndAndCountSessions(t *testing.T) {
	w := newWorld(t)
	w.instance("s1", accepts, "sales")
	w.instance("s2", accepts, "hr")
	one := w.client(sales)
	other := w.client(strings.Replace(sales, "=sales", "=hr", 1))
	w.reply(one)
	w.reply(other)
	echo(t, one, "x")
	echo(t, other, "x")
	of := func(service string) func(*SessionInfo) bool {
		return func(i *SessionInfo) bool { return i.Service == service }
	}
	if w.CountSessions(of("sales")) != 1 || w.EndSessions(of("sales"), "test") != 1 {
		t.Error("sessions are not counted right")
	}
	if _, err := one.NetConn().Read(make([]byte, 1)); err == nil {
		t.Error("the session goes on")
	}
	echo(t, other, "still here")
	other.NetConn().Close()
	w.running.Wait()
}
