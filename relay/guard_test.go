package relay

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"servicebroker/descriptor"
	"servicebroker/journal"
	"servicebroker/tns"
)

func via(host string) string {
	return "(DESCRIPTION=(SOURCE_ROUTE=yes)" + stop("broker") + stop(host) + forSales + ")"
}

func TestRoutesDoNotLeadWhereNoRuleMeantThemTo(t *testing.T) {
	for _, c := range []struct {
		rule, host string
		dialled    string
	}{
		{"* * * accept", "10.9.0.1", "10.9.0.1:1521"},
		{"* * * accept", "127.0.0.1", ""},
		{"* * * accept", "::1", ""},
		{"* * * accept", "::ffff:127.0.0.1", ""},
		{"* * * accept", "0.0.0.0", ""},
		{"* * * accept", "169.254.169.254", ""},
		{"* * * accept", "fe80::1", ""},
		{"* * * accept", "224.0.0.1", ""},
		{"* * * accept", "255.255.255.255", ""},
		{"* * * accept", "ff02::1", ""},
		{"* * * accept", "10.9.9.9", ""}, // the broker's own host
		{"* * * accept", "evil", ""},     // means 127.0.0.1
		{"* * * accept", "half", "10.9.0.1:1521"},
		{"* 0.0.0.0/0 * accept", "127.0.0.1", ""},
		{"* 0.0.0.0/1 * accept", "127.0.0.1", ""},
		{"* 127.0.0.0/8 * accept", "127.0.0.1", "127.0.0.1:1521"},
		{"* 127.0.0.1 * accept", "evil", "127.0.0.1:1521"},
		{"* evil * accept", "evil", "127.0.0.1:1521"},
		{"* 10.0.0.0/8 * accept", "half", "10.9.0.1:1521"},
	} {
		w := routed(t, c.rule)
		w.Resolve = func(ctx context.Context, host string) []netip.Addr {
			switch host {
			case "evil":
				return []netip.Addr{addr("127.0.0.1")}
			case "half":
				return []netip.Addr{addr("127.0.0.1"), addr("10.9.0.1")}
			}
			return hostsOfTest(ctx, host)
		}
		w.Rules().Refresh(t.Context(), w.Resolve)
		if c.dialled != "" {
			w.hop(c.dialled, accepts)
			w.wantAccepted(via(c.host))
			if !slices.Equal(w.asked, []string{c.dialled}) {
				t.Errorf("%s to %s: dialled %v", c.rule, c.host, w.asked)
			}
			continue
		}
		w.wantCode(via(c.host), tns.CodeRuleRejects)
		e := w.Journal.Recent(1)[0]
		if len(w.asked) > 0 || !strings.Contains(e.Text, c.host) || !strings.Contains(e.Text, "DST names it") {
			t.Errorf("%s to %s: dialled %v, explained as %s", c.rule, c.host, w.asked, e.Text)
		}
	}
}

// A name service that says something else a moment later changes nothing.
func TestWhatIsDialledIsWhatWasJudged(t *testing.T) {
	w := routed(t, "* 10.0.0.0/8 * accept")
	times := 0
	w.Resolve = func(context.Context, string) []netip.Addr {
		if times++; times == 1 {
			return []netip.Addr{addr("10.9.0.1")}
		}
		return []netip.Addr{addr("127.0.0.1")}
	}
	w.hop("10.9.0.1:1521", accepts)
	w.wantAccepted(via("rebinding"))
	if times != 1 || !slices.Equal(w.asked, []string{"10.9.0.1:1521"}) {
		t.Errorf("asked %d times, dialled %v", times, w.asked)
	}
}

// Without rules a route leads to where the service is registered, and nowhere else.
func TestRoutesWithoutRules(t *testing.T) {
	w := routed(t)
	w.Resolve = func(_ context.Context, host string) []netip.Addr { return []netip.Addr{addr("10.9.0.1")} }
	w.instance("db1", accepts, "sales")
	w.hop("10.9.0.1:1521", accepts)
	w.wantAccepted(via("db1"))
	w.wantCode(via("db2"), tns.CodeRuleRejects)
	recent := w.Journal.Recent(2) // the one that was accepted may be kept later: after it has its answer
	if !slices.ContainsFunc(recent, func(e *journal.Explanation) bool {
		return strings.Contains(e.Text, "RULE_LIST") && strings.Contains(e.Text, "db2:1521")
	}) {
		t.Errorf("explained as %+v", recent)
	}
	w.wantCode(strings.Replace(via("db1"), "=sales", "=other", 1), tns.CodeRuleRejects)
	if len(w.asked) != 1 {
		t.Errorf("dialled %v", w.asked)
	}
}

// redirects answers by sending the client elsewhere.
func redirects(to string) func(*tns.Conn, *tns.Connect) {
	return func(conn *tns.Conn, _ *tns.Connect) {
		_ = conn.Send(&tns.Redirect{Address: stop(to), ConnectData: "(DESCRIPTION=" + forSales + ")"})
	}
}

// A hop that the client names cannot send the broker to where the client could not go itself.
func TestRedirectsOfAHopAreJudged(t *testing.T) {
	for _, c := range []struct {
		rules   []string
		to      string
		dialled string
	}{
		{[]string{"* * * accept"}, "db2", "10.9.0.2:1521"},
		{[]string{"* * * accept"}, "127.0.0.1", ""},
		{[]string{"* * * accept"}, "nosuchhost", ""},
		{[]string{"* db1 * accept"}, "db2", ""},
		{[]string{"* db1 * accept", "* db2 * accept"}, "db2", "10.9.0.2:1521"},
		{[]string{"* db1 * accept", "* 127.0.0.1 * accept"}, "127.0.0.1", "127.0.0.1:1521"},
	} {
		w := routed(t, c.rules...)
		w.hop("10.9.0.1:1521", redirects(c.to))
		w.hop("10.9.0.2:1521", accepts)
		w.hop("127.0.0.1:1521", accepts)
		client := w.client(via("db1"))
		if m := w.reply(client); isAccept(m) != (c.dialled != "") {
			t.Errorf("%v, to %s: answered %v", c.rules, c.to, m)
		}
		client.NetConn().Close()
		if last := w.asked[len(w.asked)-1]; c.dialled != "" && last != c.dialled || c.dialled == "" && len(w.asked) != 1 {
			t.Errorf("%v, to %s: dialled %v", c.rules, c.to, w.asked)
		}
	}
	w := routed(t, "* db1 * accept")
	w.hop("10.9.0.1:1521", redirects("127.0.0.1"))
	w.hop("127.0.0.1:1521", accepts)
	w.Routes = func() *Routes { return CompileRoutes(Routes{NextHop: parse(t, stop("db1"))}) }
	w.wantAccepted(sales) // whom the operator configured is trusted as a database is
}

// drawPart draws a part of a client's descriptor; hosts are numbered, and every number is a host once.
func drawPart(t *rapid.T, depth int, hosts *int) string {
	next := func() string {
		*hosts++
		return fmt.Sprintf("(ADDRESS=(PROTOCOL=tcp)(HOST=10.9.1.%d)(PORT=1521))", *hosts)
	}
	if depth == 0 || *hosts > 40 {
		return next()
	}
	name := rapid.SampledFrom([]string{"ADDRESS_LIST", "ADDRESS_LIST", "DESCRIPTION", "FOO", "ADDRESS", "SECURITY"}).Draw(t, "name")
	if name == "ADDRESS" {
		return strings.TrimSuffix(next(), ")") + rapid.SampledFrom([]string{"", "(SDU=1)", "(ADDRESS=(HOST=10.9.2.1)(PORT=1))", "(HOST=10.9.2.2)"}).Draw(t, "extra") + ")"
	}
	text := "(" + name + "=" + rapid.SampledFrom([]string{"", "(SOURCE_ROUTE=yes)", "(LOAD_BALANCE=on)", "(FAILOVER=off)", "(HOP_COUNT=0)"}).Draw(t, "flag")
	for range rapid.IntRange(1, 3).Draw(t, "parts") {
		text += drawPart(t, depth-1, hosts)
	}
	return text + ")"
}

// Whatever a client sends, the first address of what is sent on is the one that is dialled and
// was judged, and no other way to begin is named beside it.
func TestNoOtherWayIsSentOn(t *testing.T) {
	chained := 0
	rapid.Check(t, func(r *rapid.T) {
		w := routed(t, "* 10.9.1.0/29 * accept", "* 10.9.1.16/28 * accept")
		hosts := 0
		text := "(DESCRIPTION=(SOURCE_ROUTE=yes)" + stop("broker")
		for range rapid.IntRange(1, 3).Draw(r, "parts") {
			text += drawPart(r, 3, &hosts)
		}
		text += forSales + ")"
		d := &dialogue{connect: tns.NewConnect([]byte(text)), client: netip.MustParseAddrPort("10.0.0.7:1")}
		d.newRecord("")
		if w.understand(d) != nil || d.way == nil {
			return
		}
		candidates, _ := w.weigh(t.Context(), d)
		ways, _ := descriptor.ReadRoute(parse(t, text))
		behind, _ := ways.After(func(a descriptor.Address) bool { return a.Host == "broker" })
		var begin []string
		for _, step := range behind.Steps(nil) {
			begin = append(begin, step.Address.Host)
		}
		for _, c := range candidates {
			chained++
			sent := parse(t, c.Path.Descriptor)
			all := descriptor.Addresses(sent)
			if all[0].Text("HOST") != c.Handler.Host || c.Path.At.String() != c.Handler.Host {
				r.Fatalf("%s\n sends %s to %s at %s", text, sent, c.Handler.Host, c.Path.At)
			}
			if granted := d.granted.by(c); granted == nil || granted.Action != Accept || !granted.Destination.Network.Contains(c.Path.At) {
				r.Fatalf("%s goes to %s without a rule", text, c.Handler.Host)
			}
			for _, other := range all[1:] {
				if host := other.Text("HOST"); host == "broker" || strings.HasPrefix(host, "10.9.2.") || slices.Contains(begin, host) {
					r.Fatalf("%s\n sends %s, with %s in it", text, sent, host)
				}
			}
		}
	})
	if chained < 20 {
		t.Errorf("only %d candidates came of it", chained)
	}
}

// Its own addresses are not dialled, whatever names they have and whatever rules say.
func TestRoutesDoNotLeadBackHere(t *testing.T) {
	w := routed(t, "* 10.9.9.9 * accept")
	w.Resolve = func(context.Context, string) []netip.Addr { return []netip.Addr{addr("10.9.9.9")} }
	w.wantCode(via("another-name"), tns.CodeRedirectDenied)
	if len(w.asked) > 0 {
		t.Errorf("dialled %v", w.asked)
	}
}
