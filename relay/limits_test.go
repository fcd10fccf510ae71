package relay

import (
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"servicebroker/journal"
	"servicebroker/limits"
	"servicebroker/tns"
)

// limited gives all kinds of Share limits: one for each.
func (w *world) limit(of map[limits.Kind]limits.Limit) *limits.Shares {
	shares := &limits.Shares{LimitOf: func(kind limits.Kind, _ string) limits.Limit { return of[kind] }}
	w.Shares = func(service string, rule *Rule) []*limits.Share {
		all := []*limits.Share{shares.Of(limits.OfService, service), shares.Of(limits.OfTenant, "t"), shares.Of(limits.OfAll, "")}
		if rule != nil {
			all = append([]*limits.Share{shares.Of(limits.OfRule, rule.Text)}, all...)
		}
		return all
	}
	w.Repeats = &limits.Repeats{}
	w.t.Cleanup(w.Repeats.Flush)
	return shares
}

func TestAConnectOverARateWaitsForItsTurn(t *testing.T) {
	for _, kind := range []limits.Kind{limits.OfRule, limits.OfService, limits.OfTenant} {
		t.Run(string(kind), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.Rules = func() *RuleSet {
					return CompileRules(Rules{{Source: HostPattern{Any: true}, Destination: HostPattern{Any: true}, Text: "all"}}, nil)
				}
				shares := w.limit(map[limits.Kind]limits.Limit{kind: {Rate: 2, Wait: time.Second, By: limits.Names{Rate: "RATE"}}})
				w.instance("s1", accepts, "sales")
				began := time.Now()
				var clients []*tns.Conn
				for range 4 {
					clients = append(clients, w.client(sales))
					synctest.Wait()
				}
				over := w.client(sales)
				synctest.Wait()
				refuse, ok := w.reply(over).(*tns.Refuse)
				if !ok || refuse.Code() != tns.CodeRateLimit || time.Since(began) != 0 {
					t.Errorf("one whose turn would not come in time: %v after %v", refuse, time.Since(began))
				}
				for i, client := range clients {
					if _, ok := w.reply(client).(*tns.Accept); !ok {
						t.Fatalf("client %d was refused", i)
					}
					want := max(0, time.Duration(i-1)*500*time.Millisecond)
					if took := time.Since(began); took < want || took > want+5*time.Millisecond {
						t.Errorf("client %d had its answer after %v, want %v", i, took, want)
					}
					echo(t, client, "hello")
					client.NetConn().Close()
				}
				w.running.Wait()
				if e := w.Journal.Recent(1)[0]; e.Outcome != journal.Relay || e.Held < 990*time.Millisecond || e.Query.Service != "sales" || e.Program != "app" {
					t.Errorf("explained as %+v", e)
				}
				for _, share := range shares.All() {
					if n := share.Sessions.Counts(); n.Now != 0 || n.Peak == 0 {
						t.Errorf("%v: %+v", share, n)
					}
				}
			})
		})
	}
}

// Whoever waits is watched: its place is free for another at once.
func TestAClientThatLeavesGivesItsTurnUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		shares := w.limit(map[limits.Kind]limits.Limit{limits.OfService: {Rate: 1, Wait: time.Second}})
		w.instance("s1", accepts, "sales")
		first, second := w.client(sales), w.client(sales)
		synctest.Wait()
		rate := &shares.Of(limits.OfService, "sales").Rate
		if n := rate.Counts().Waiting; n != 1 {
			t.Fatalf("%d wait", n)
		}
		if w.Hold != nil {
			t.Fatal("nobody holds")
		}
		for _, c := range []*tns.Conn{first, second} {
			c.NetConn().Close()
		}
		w.running.Wait()
		if c := rate.Counts(); c.Waiting != 0 || c.Left != 1 {
			t.Errorf("%+v", c)
		}
		if e := w.Journal.Find(journal.FindQuery{Outcome: journal.Gone}); len(e) == 0 {
			t.Error("nothing tells of it")
		}
	})
}

func TestSessionsAreLimited(t *testing.T) {
	for _, kind := range []limits.Kind{limits.OfService, limits.OfTenant, limits.OfAll} {
		t.Run(string(kind), func(t *testing.T) {
			w := newWorld(t)
			shares := w.limit(map[limits.Kind]limits.Limit{kind: {Sessions: 1, By: limits.Names{Sessions: "MAX_SESSIONS"}}})
			w.instance("s1", accepts, "sales")
			client := w.client(sales)
			if _, ok := w.reply(client).(*tns.Accept); !ok {
				t.Fatal("the first was refused")
			}
			w.wantCode(sales, tns.CodeNoHandler)
			e := w.Journal.Find(journal.FindQuery{Outcome: journal.Refuse})
			if len(e) != 1 || !strings.Contains(e[0].Text, "MAX_SESSIONS is 1, and so many are open: end some") {
				t.Errorf("explained as %+v", e)
			}
			if e := w.Explain(t.Context(), Inquiry{Descriptor: sales}); e.Outcome != journal.Refuse || tns.Code(e.Code) != tns.CodeNoHandler || !strings.Contains(e.Text, "MAX_SESSIONS is 1") {
				t.Errorf("foreseen as %+v", e)
			}
			client.NetConn().Close()
			w.running.Wait()
			again := w.client(sales)
			if _, ok := w.reply(again).(*tns.Accept); !ok {
				t.Error("the place of a session that is over is not free")
			}
			again.NetConn().Close()
			w.running.Wait()
			for _, share := range shares.All() {
				if n := share.Sessions.Counts().Now; n != 0 {
					t.Errorf("%v counts %d sessions", share, n)
				}
			}
		})
	}
}

// A connect that fails gives back what it took.
func TestAFailedConnectTakesNoSession(t *testing.T) {
	w := newWorld(t)
	shares := w.limit(map[limits.Kind]limits.Limit{limits.OfAll: {Sessions: 1}})
	w.instance("s1", refuses(tns.CodeInvalidLogin), "sales")
	for range 3 {
		w.wantCode(sales, tns.CodeInvalidLogin)
	}
	w.running.Wait()
	if n := shares.Of(limits.OfAll, "").Sessions.Counts(); n.Now != 0 || n.Refused != 0 {
		t.Errorf("%+v", n)
	}
}

// A flood of refusals is explained once, and the reference of that is given to all.
func TestAFloodIsExplainedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.limit(map[limits.Kind]limits.Limit{limits.OfService: {Rate: 1, By: limits.Names{Rate: "SERVICE_RATE"}}})
		var reports, repeated atomic.Int32
		w.Report = func(r *ConnectReport) {
			reports.Add(1)
			if r.Repeated {
				repeated.Add(1)
			}
		}
		w.instance("s1", accepts, "sales")
		client := w.client(sales)
		if _, ok := w.reply(client).(*tns.Accept); !ok {
			t.Fatal("the first was refused")
		}
		refs := map[string]bool{}
		for range 50 {
			refuse, ok := w.reply(w.client(sales)).(*tns.Refuse)
			if !ok || refuse.Code() != tns.CodeRateLimit {
				t.Fatalf("answer %v", refuse)
			}
			_, ref, _ := strings.Cut(refuse.Text, "REF=")
			refs[ref[:8]] = true
		}
		synctest.Wait()
		if len(refs) != 1 || reports.Load() != 51 || repeated.Load() != 49 {
			t.Errorf("%d references, %d reports, %d of them repeated", len(refs), reports.Load(), repeated.Load())
		}
		for ref := range refs {
			if e := w.Journal.ByRef(ref); e == nil || !strings.Contains(e.Text, "SERVICE_RATE is 1 connects a second") {
				t.Errorf("%s: %+v", ref, e)
			}
		}
		if n := len(w.Journal.Recent(100)); n != 2 {
			t.Errorf("%d explanations", n)
		}
		client.NetConn().Close()
		w.running.Wait()
	})
}

// What one limit refuses is not told as what another one does.
func TestRefusalsOfTwoKindsAreExplainedEach(t *testing.T) {
	w := newWorld(t)
	w.limit(map[limits.Kind]limits.Limit{limits.OfService: {Rate: 2, Sessions: 1}})
	w.instance("s1", accepts, "sales")
	client := w.client(sales)
	if _, ok := w.reply(client).(*tns.Accept); !ok {
		t.Fatal("the first was refused")
	}
	w.wantCode(sales, tns.CodeNoHandler)
	w.wantCode(sales, tns.CodeRateLimit)
	if n := len(w.Journal.Find(journal.FindQuery{Outcome: journal.Refuse})); n != 2 {
		t.Errorf("%d explanations", n)
	}
	client.NetConn().Close()
	w.running.Wait()
}

// Who may not have the service is told that, however many ask for it.
func TestRulesComeBeforeRates(t *testing.T) {
	w := newWorld(t)
	w.limit(map[limits.Kind]limits.Limit{limits.OfService: {Rate: 0.001}})
	w.Rules = func() *RuleSet {
		return CompileRules(Rules{{Source: HostPattern{Any: true}, Destination: HostPattern{Any: true}, Action: Reject, Text: "none"}}, nil)
	}
	w.instance("s1", accepts, "sales")
	for range 3 {
		w.wantCode(sales, tns.CodeRuleRejects)
	}
}

// A session slows down to its bandwidth, also to one that is set while it is open, and can
// still be ended at once.
func TestSessionsKeepToTheirBandwidth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		bandwidth := int64(0)
		shares := &limits.Shares{LimitOf: func(limits.Kind, string) limits.Limit { return limits.Limit{Bandwidth: bandwidth} }}
		w.Shares = func(string, *Rule) []*limits.Share { return []*limits.Share{shares.Of(limits.OfAll, "")} }
		w.instance("s1", accepts, "sales")
		client := w.client(sales)
		if _, ok := w.reply(client).(*tns.Accept); !ok {
			t.Fatal("refused")
		}
		echoes := func() time.Duration {
			began := time.Now()
			for range 100 {
				if _, err := client.NetConn().Write(make([]byte, 1000)); err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadFull(client.NetConn(), make([]byte, 1000)); err != nil {
					t.Fatal(err)
				}
			}
			return time.Since(began)
		}
		if took := echoes(); took != 0 {
			t.Errorf("without a limit it took %v", took)
		}
		bandwidth = 10_000
		shares.Reconfigure()
		if took := echoes(); took < 9*time.Second || took > 21*time.Second {
			t.Errorf("100 kB each way at 10 kB/s took %v", took)
		}
		bandwidth = 1
		shares.Reconfigure()
		if _, err := client.NetConn().Write(make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		began := time.Now()
		if n := w.EndSessions(func(*SessionInfo) bool { return true }, "test"); n != 1 {
			t.Errorf("%d sessions ended", n)
		}
		w.running.Wait()
		if took := time.Since(began); took > time.Second {
			t.Errorf("its end took %v", took)
		}
	})
}

func TestExplainForeseesARate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.limit(map[limits.Kind]limits.Limit{limits.OfTenant: {Rate: 1, By: limits.Names{Rate: "RATE of TENANT"}}})
		w.instance("s1", accepts, "sales")
		if e := w.Explain(t.Context(), Inquiry{Descriptor: sales}); e.Outcome != journal.Relay {
			t.Errorf("%+v", e)
		}
		client := w.client(sales)
		if _, ok := w.reply(client).(*tns.Accept); !ok {
			t.Fatal("explaining took the turn")
		}
		e := w.Explain(t.Context(), Inquiry{Descriptor: sales})
		if e.Outcome != journal.Refuse || fmt.Sprint(tns.Code(e.Code)) != "ORA-12530" || !strings.Contains(e.Text, "tenant t: RATE of TENANT") {
			t.Errorf("%+v", e)
		}
		client.NetConn().Close()
		w.running.Wait()
	})
}

// A service that a route leads to is one, in whatever case it is asked for.
func TestSessionsOfARouteAreLimitedInEveryCase(t *testing.T) {
	w := newWorld(t)
	w.Resolve = hostsOfTest
	w.Routes = func() *Routes { return CompileRoutes(Routes{NextHop: nodeOf(t, stop("db1"))}) }
	w.hop("10.9.0.1:1521", accepts)
	shares := w.limit(map[limits.Kind]limits.Limit{limits.OfService: {Sessions: 1, By: limits.Names{Sessions: "MAX_SESSIONS of SERVICE"}}})
	first := w.client(strings.Replace(sales, "sales", "SALES", 1))
	if m := w.reply(first); !isAccept(m) {
		t.Fatalf("%v", m)
	}
	echo(t, first, "it is listed")
	for _, service := range []string{"SALES", "Sales", "sales"} {
		w.wantCode(strings.Replace(sales, "sales", service, 1), tns.CodeNoHandler)
	}
	first.NetConn().Close()
	w.running.Wait()
	if n := shares.Of(limits.OfService, "sales").Sessions.Counts(); n.Now != 0 || n.Peak != 1 {
		t.Errorf("%+v", n)
	}
}

// A session counts under the rule that lets it have the instance it got, and not the one that was tried first.
func TestASessionCountsWhereItLands(t *testing.T) {
	w := newWorld(t)
	rules := compiled(t, rulesOf(t, "* s1 * accept", "* s2 * accept"))
	w.Rules = func() *RuleSet { return rules }
	var held []*limits.Share
	byRule := map[string]*limits.Share{}
	for _, rule := range rules.rules {
		byRule[rule.rule.Text] = &limits.Share{Kind: limits.OfRule, Name: rule.rule.Text}
		held = append(held, byRule[rule.rule.Text])
	}
	w.Shares = func(_ string, rule *Rule) []*limits.Share {
		if rule == nil {
			return nil
		}
		return []*limits.Share{byRule[rule.Text]}
	}
	w.instance("s1", nil, "sales")
	w.instance("s2", accepts, "sales")
	client := w.client(sales)
	if m := w.reply(client); !isAccept(m) {
		t.Fatalf("%v", m)
	}
	echo(t, client, "it is listed")
	if first, second := held[0].Sessions.Counts().Now, held[1].Sessions.Counts().Now; first != 0 || second != 1 {
		t.Errorf("%d sessions of the rule that was tried first, %d of the other", first, second)
	}
	client.NetConn().Close()
	w.running.Wait()
	for _, share := range held {
		if n := share.Sessions.Counts().Now; n != 0 {
			t.Errorf("%v counts %d sessions", share, n)
		}
	}
}
