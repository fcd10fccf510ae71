package relay

import (
	"context"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"servicebroker/descriptor"
	"servicebroker/journal"
	"servicebroker/tns"
)

// routed is a world in which this broker is at broker:1521, and names mean what they mean in tests.
func routed(t *testing.T, rules ...string) *world {
	w := newWorld(t)
	w.Resolve = hostsOfTest
	w.Own = func(host string, port int) bool { return port == 1521 && (host == "broker" || host == "10.9.9.9") }
	w.Local = func(a netip.Addr) bool { return a == addr("10.9.9.9") }
	if len(rules) > 0 {
		set := compiled(t, rulesOf(t, rules...))
		w.Rules = func() *RuleSet { return set }
	}
	return w
}

// hop answers at an address as a next hop would, and remembers the descriptors it was sent.
func (w *world) hop(at string, serve func(*tns.Conn, *tns.Connect)) *[]string {
	var sent []string
	w.listeners[at] = func(conn *tns.Conn, connect *tns.Connect) {
		w.mu.Lock()
		sent = append(sent, string(connect.Data))
		w.mu.Unlock()
		serve(conn, connect)
	}
	return &sent
}

func (w *world) wantAccepted(text string) {
	w.t.Helper()
	client := w.client(text)
	if m := w.reply(client); !isAccept(m) {
		w.t.Errorf("%s\n answered %v, want an ACCEPT", text, m)
	}
	client.NetConn().Close()
}

func stop(host string) string { return "(ADDRESS=(PROTOCOL=tcp)(HOST=" + host + ")(PORT=1521))" }

const forSales = "(CONNECT_DATA=(SERVICE_NAME=sales)(CID=(PROGRAM=app)(HOST=c1)(USER=u)))"

// Every form in which drivers send a route (tns.md 11.1), and what the next hop is sent.
func TestSourceRouteInEveryForm(t *testing.T) {
	last := "(DESCRIPTION=(ADDRESS=(PROTOCOL=tcp)(HOST=db1)(PORT=1521))" + forSales + ")"
	chain := "(SOURCE_ROUTE=yes)" + stop("db1") + stop("db2")
	for name, c := range map[string]struct{ text, want string }{
		"in a list, as node-oracledb": {"(DESCRIPTION=(ADDRESS_LIST=" + stop("broker") + stop("db1") + "(SOURCE_ROUTE=yes)(HOP_COUNT=0))" + forSales + ")", last},
		"in a list, as go-ora":        {"(DESCRIPTION=(ADDRESS_LIST=(SOURCE_ROUTE=yes)" + stop("broker") + stop("db1") + ")" + forSales + ")", last},
		"in the description":          {"(DESCRIPTION=" + stop("broker") + stop("db1") + "(SOURCE_ROUTE=yes)" + forSales + ")", last},
		"above one list":              {"(DESCRIPTION=(SOURCE_ROUTE=ON)(ADDRESS_LIST=" + stop("broker") + stop("db1") + ")" + forSales + ")", last},
		"two lists":                   {"(DESCRIPTION=(SOURCE_ROUTE=on)(ADDRESS_LIST=" + stop("broker") + ")(ADDRESS_LIST=" + stop("db1") + stop("db2") + ")" + forSales + ")", last},
		"lower case":                  {"(description=(source_route=Yes)" + stop("BROKER") + stop("db1") + forSales + ")", last},
		"through an unknown name":     {"(DESCRIPTION=(SOURCE_ROUTE=on)" + stop("load-balancer") + stop("db1") + forSales + ")", last},
		"a list of descriptions": {"(DESCRIPTION_LIST=(DESCRIPTION=(SOURCE_ROUTE=on)" + stop("other") + stop("db2") + "(CONNECT_DATA=(SERVICE_NAME=x)))(DESCRIPTION=(SOURCE_ROUTE=on)" +
			stop("broker") + stop("db1") + forSales + "))", last},
		"middle hop, in a list": {"(DESCRIPTION=(ADDRESS_LIST=(SOURCE_ROUTE=yes)(HOP_COUNT=0)" + stop("broker") + stop("db1") + stop("db2") + ")" + forSales + ")",
			"(DESCRIPTION=(ADDRESS_LIST=(SOURCE_ROUTE=yes)(HOP_COUNT=0)" + stop("db1") + stop("db2") + ")" + forSales + ")"},
		"middle hop, in the description": {"(DESCRIPTION=(SOURCE_ROUTE=yes)" + stop("broker") + stop("db1") + stop("db2") + forSales + ")", "(DESCRIPTION=" + chain + forSales + ")"},
		"middle hop, dialled directly":   {"(DESCRIPTION=(SOURCE_ROUTE=yes)" + stop("first") + stop("broker") + stop("db1") + stop("db2") + forSales + ")", "(DESCRIPTION=" + chain + forSales + ")"},
		"middle hop, before alternatives": {"(DESCRIPTION=(SOURCE_ROUTE=yes)" + stop("broker") + stop("db1") + "(ADDRESS_LIST=(LOAD_BALANCE=on)" + stop("db2") + stop("db6") + ")" + forSales + ")",
			"(DESCRIPTION=(SOURCE_ROUTE=yes)" + stop("db1") + "(ADDRESS_LIST=(LOAD_BALANCE=on)" + stop("db2") + stop("db6") + ")" + forSales + ")"},
		"what else it says stays": {"(DESCRIPTION=(CONNECT_TIMEOUT=9)(SOURCE_ROUTE=yes)(FAILOVER=on)(LOAD_BALANCE=off)(SDU=8192)" + stop("broker") + stop("db1") + "(SECURITY=(X=y))" + forSales + ")",
			"(DESCRIPTION=(ADDRESS=(PROTOCOL=tcp)(HOST=db1)(PORT=1521))(CONNECT_TIMEOUT=9)(SDU=8192)(SECURITY=(X=y))" + forSales + ")"},
		"by SID": {"(DESCRIPTION=(SOURCE_ROUTE=yes)" + stop("broker") + stop("db1") + "(CONNECT_DATA=(SID=orcl)))",
			"(DESCRIPTION=(ADDRESS=(PROTOCOL=tcp)(HOST=db1)(PORT=1521))(CONNECT_DATA=(SID=orcl)))"},
	} {
		t.Run(name, func(t *testing.T) {
			w := routed(t, "* db1 * accept")
			sent := w.hop("10.9.0.1:1521", accepts)
			w.wantAccepted(c.text)
			if len(*sent) != 1 || (*sent)[0] != c.want {
				t.Errorf("sent on\n%s\nwant\n%s", strings.Join(*sent, "\n"), c.want)
			}
		})
	}
}

func TestLastHopOfARouteGoesByRegistration(t *testing.T) {
	for _, text := range []string{
		"(DESCRIPTION=(SOURCE_ROUTE=yes)" + stop("first") + stop("broker") + forSales + ")",
		"(DESCRIPTION=(SOURCE_ROUTE=yes)" + stop("broker") + forSales + ")",
		"(DESCRIPTION=(ADDRESS_LIST=(SOURCE_ROUTE=yes)" + stop("broker") + ")" + forSales + ")",
		"(DESCRIPTION=(SOURCE_ROUTE=no)" + stop("broker") + stop("db1") + forSales + ")",
		"(DESCRIPTION=" + stop("broker") + stop("db1") + forSales + ")",
		"(DESCRIPTION_LIST=(DESCRIPTION=" + stop("broker") + forSales + ")(DESCRIPTION=(SOURCE_ROUTE=yes)" + stop("other") + stop("db1") + forSales + "))",
	} {
		w := routed(t)
		w.instance("s1", accepts, "sales")
		w.wantAccepted(text)
		if !slices.Equal(w.asked, []string{"s1:1521"}) {
			t.Errorf("%s\n dialled %v", text, w.asked)
		}
	}
}

func TestAHopIsShownLikeAnyCandidate(t *testing.T) {
	w := routed(t, "* db1 sales accept")
	w.hop("10.9.0.1:1521", accepts)
	text := "(DESCRIPTION=(SOURCE_ROUTE=yes)" + stop("broker") + stop("DB1") + stop("db2") + forSales + ")"
	client := w.client(text)
	w.reply(client)
	echo(t, client, "x")
	open := w.Sessions()
	if len(open) != 1 || open[0].Instance != "db1:1521" || open[0].Service != "sales" || open[0].Program != "app" || open[0].Rule != "* db1 sales accept" {
		t.Errorf("sessions %+v", open)
	}
	client.NetConn().Close()
	e := w.Journal.Recent(1)[0]
	if e.Outcome != journal.Relay || e.Chosen != "db1:1521/10.9.0.1" || e.Route != "SOURCE_ROUTE: DB1:1521, then db2:1521" {
		t.Errorf("explained as %+v", e)
	}
	if tally := w.Tally("db1:1521/10.9.0.1"); tally.Established != 1 {
		t.Errorf("counted %+v", tally)
	}
	before := w.inquire(text)
	if before.Outcome != journal.Relay || before.Chosen != e.Chosen || !strings.Contains(before.Text, "db2:1521") {
		t.Errorf("foreseen as %+v", before)
	}
}

func TestTheNextOfSeveralHopsIsTried(t *testing.T) {
	w := routed(t, "* * * accept")
	w.hop("10.9.0.2:1521", accepts)
	w.wantAccepted("(DESCRIPTION=(SOURCE_ROUTE=yes)" + stop("broker") + "(ADDRESS_LIST=" + stop("db1") + stop("db2") + ")" + forSales + ")")
	if !slices.Equal(w.asked, []string{"10.9.0.1:1521", "10.9.0.2:1521"}) {
		t.Errorf("dialled %v", w.asked)
	}
	w.asked = nil
	w.wantCode("(DESCRIPTION=(SOURCE_ROUTE=yes)"+stop("broker")+"(ADDRESS_LIST=(FAILOVER=off)"+stop("db1")+stop("db2")+")"+forSales+")", tns.CodeNoListener)
	if !slices.Equal(w.asked, []string{"10.9.0.1:1521"}) {
		t.Errorf("without failover dialled %v", w.asked)
	}
}

// Rules judge each host of a hop by itself, and no host that they refuse is dialled or named.
func TestRulesJudgeEachHop(t *testing.T) {
	for name, c := range map[string]struct {
		rules, dialled []string
		route          string
		code           tns.Code
	}{
		"by name":              {[]string{"* db2 * accept"}, []string{"10.9.0.2:1521"}, stop("db1") + stop("db2"), 0},
		"by network":           {[]string{"* 10.9.0.2/31 * accept"}, []string{"10.9.0.2:1521"}, stop("scan"), 0},
		"by the name's number": {[]string{"* db2 * accept"}, []string{"10.9.0.2:1521"}, stop("10.9.0.2"), 0},
		"none":                 {[]string{"* db6 * accept"}, nil, stop("db1") + stop("db2"), tns.CodeRuleRejects},
		"by service":           {[]string{"* * hr accept"}, nil, stop("db1"), tns.CodeRuleRejects},
	} {
		t.Run(name, func(t *testing.T) {
			w := routed(t, c.rules...)
			w.hop("10.9.0.1:1521", accepts)
			sent := w.hop("10.9.0.2:1521", accepts)
			text := "(DESCRIPTION=(SOURCE_ROUTE=yes)" + stop("broker") + "(ADDRESS_LIST=" + c.route + ")" + forSales + ")"
			if c.code != 0 {
				w.wantCode(text, c.code)
			} else {
				w.wantAccepted(text)
				if strings.Contains((*sent)[0], "db1") {
					t.Errorf("sent %s", (*sent)[0])
				}
			}
			if !slices.Equal(w.asked, c.dialled) {
				t.Errorf("dialled %v, want %v", w.asked, c.dialled)
			}
		})
	}
}

func TestRoutesNeverRedirect(t *testing.T) {
	w := routed(t, "* * * accept")
	w.mode(ModeRedirect)
	w.hop("10.9.0.1:1521", accepts)
	w.instance("s1", accepts, "sales")
	w.wantAccepted("(DESCRIPTION=(SOURCE_ROUTE=yes)" + stop("broker") + stop("db1") + forSales + ")")
	w.wantAccepted("(DESCRIPTION=(SOURCE_ROUTE=yes)" + stop("first") + stop("broker") + forSales + ")")
	d := &dialogue{connect: tns.NewConnect([]byte(sales)), way: &way{named: true}}
	client := w.clientWith(d.forward([]byte(sales), false)) // comes from another broker
	if m := w.reply(client); !isAccept(m) {
		t.Errorf("answered %v", m)
	}
	client.NetConn().Close()
}

func TestBadRoutesAreRefused(t *testing.T) {
	w := routed(t, "* * * accept")
	for text, code := range map[string]tns.Code{
		"(DESCRIPTION=(SOURCE_ROUTE=yes)" + stop("broker") + "(ADDRESS=(PROTOCOL=tcp)(PORT=1521))" + forSales + ")":        tns.CodeBadAddress,
		"(DESCRIPTION=(SOURCE_ROUTE=yes)" + stop("broker") + "(ADDRESS=(PROTOCOL=ipc)(KEY=x))" + forSales + ")":            tns.CodeBadAddress,
		"(DESCRIPTION=(SOURCE_ROUTE=yes)" + strings.Repeat(stop("db1"), 65) + forSales + ")":                               tns.CodeBadAddress,
		"(DESCRIPTION=(SOURCE_ROUTE=yes)" + stop("broker") + stop("nosuchhost") + forSales + ")":                           tns.CodeHostUnknown,
		"(DESCRIPTION=(SOURCE_ROUTE=yes)" + stop("broker") + stop("db1") + ")":                                             tns.CodeNoConnectData,
		"(DESCRIPTION=(SOURCE_ROUTE=yes)" + stop("first") + stop("broker") + "(CONNECT_DATA=(CID=(PROGRAM=x))))":           tns.CodeNoServiceName,
		"(DESCRIPTION=(SOURCE_ROUTE=yes)" + stop("broker") + "(ADDRESS=(PROTOCOL=sdp)(HOST=db1)(PORT=1))" + forSales + ")": tns.CodeHandoff,
	} {
		w.wantCode(text, code)
	}
	if len(w.asked) != 0 {
		t.Errorf("dialled %v", w.asked)
	}
	e := w.inquire("(DESCRIPTION=(SOURCE_ROUTE=yes)" + stop("broker") + stop("nosuchhost") + forSales + ")")
	if e.Outcome != journal.Refuse || e.Code != int(tns.CodeHostUnknown) || !strings.Contains(e.Text, "nosuchhost") || !strings.Contains(e.Text, "correct the name") {
		t.Errorf("explained as %+v", e)
	}
}

// A client's own route ends by itself; hops that tables and configurations decide on are counted.
func TestOwnRoutesAreNotCountedAsHops(t *testing.T) {
	w := routed(t, "* * * accept")
	arrived := 0
	w.hop("10.9.0.1:1521", func(conn *tns.Conn, connect *tns.Connect) {
		arrived = hopsOf(connect)
		if !relayed(connect) {
			t.Error("a hop cannot tell that it has a broker before it")
		}
		accepts(conn, connect)
	})
	text := "(DESCRIPTION=(SOURCE_ROUTE=yes)" + stop("broker") + stop("db1") + forSales + ")"
	connect := tns.NewConnect([]byte(text))
	for range 3 * maxHops {
		connect = (&dialogue{connect: connect, way: &way{named: true}}).forward([]byte(text), false)
	}
	client := w.clientWith(connect)
	if m := w.reply(client); !isAccept(m) || arrived != 0 {
		t.Errorf("answered %v, %d hops arrived", m, arrived)
	}
	client.NetConn().Close()
}

func nodeOf(t *testing.T, text string) *descriptor.Node {
	n := parse(t, text)
	return n
}

func TestNextHop(t *testing.T) {
	w := routed(t, "* db1 * accept")
	sent := w.hop("10.9.0.1:1521", accepts)
	w.instance("s1", accepts, "sales")
	w.Routes = func() *Routes {
		return CompileRoutes(Routes{NextHop: nodeOf(t, "(DESCRIPTION="+stop("db1")+stop("db2")+")")})
	}
	w.wantAccepted(sales)
	w.wantAccepted("(CONNECT_DATA=(CID=(PROGRAM=x)))")
	want := []string{
		"(DESCRIPTION=(ADDRESS=(PROTOCOL=tcp)(HOST=db1)(PORT=1521))" + forSales + ")",
		"(DESCRIPTION=(ADDRESS=(PROTOCOL=tcp)(HOST=db1)(PORT=1521))(CONNECT_DATA=(CID=(PROGRAM=x))))",
	}
	if !slices.Equal(*sent, want) {
		t.Errorf("sent on\n%s\nwant\n%s", strings.Join(*sent, "\n"), strings.Join(want, "\n"))
	}
	if e := w.inquire(sales); e.Route != "NEXT_HOP: db1:1521, or db2:1521" || e.Chosen != "db1:1521/10.9.0.1" {
		t.Errorf("explained as %+v", e)
	}
	w.Routes = func() *Routes {
		return CompileRoutes(Routes{NextHop: nodeOf(t, "(DESCRIPTION=(SOURCE_ROUTE=on)"+stop("db1")+stop("db2")+")")})
	}
	w.wantAccepted(sales)
	if got := (*sent)[2]; got != "(DESCRIPTION=(SOURCE_ROUTE=yes)"+stop("db1")+stop("db2")+forSales+")" {
		t.Errorf("sent on %s", got)
	}
	d := &dialogue{connect: tns.NewConnect([]byte(sales))}
	for range maxHops {
		d.connect = d.forward([]byte(sales), false)
	}
	if refuse, ok := w.reply(w.clientWith(d.connect)).(*tns.Refuse); !ok || refuse.Code() != tns.CodeRedirectDenied {
		t.Errorf("a circle of NEXT_HOPs is answered %v", refuse)
	}
}

// What the operator configured needs no rule that names it.
func TestConfiguredRoutesMayLeadToLoopback(t *testing.T) {
	w := routed(t, "* * * accept")
	w.hop("127.0.0.1:1521", accepts)
	w.Routes = func() *Routes { return CompileRoutes(Routes{NextHop: nodeOf(t, stop("127.0.0.1"))}) }
	w.wantAccepted(sales)
}

func aliases(t *testing.T, texts map[string]string) *Routes {
	r := Routes{Aliases: map[string]*descriptor.Node{}}
	for name, text := range texts {
		r.Aliases[name] = &descriptor.Node{Name: name, Children: []*descriptor.Node{parse(t, text)}}
	}
	return CompileRoutes(r)
}

func TestServiceAsAlias(t *testing.T) {
	data := func(text string) string { return "(CONNECT_DATA=" + text + ")" }
	for name, c := range map[string]struct{ alias, asked, want string }{
		"its own service": {"(DESCRIPTION=" + stop("db1") + data("(SERVICE_NAME=erp.example.com)") + ")", data("(SERVICE_NAME=SALES)(CID=(PROGRAM=x))"),
			data("(SERVICE_NAME=erp.example.com)(CID=(PROGRAM=x))")},
		"the client's": {"(DESCRIPTION=" + stop("db1") + ")", data("(SERVICE_NAME=sales)(INSTANCE_NAME=i)"), data("(SERVICE_NAME=sales)(INSTANCE_NAME=i)")},
		"a SID": {"(DESCRIPTION=" + stop("db1") + data("(SID=orcl)(SERVER=dedicated)") + ")", data("(SERVICE_NAME=sales)(INSTANCE_NAME=i)(CID=(USER=u))"),
			data("(CID=(USER=u))(SID=orcl)(SERVER=dedicated)")},
		"with a domain": {"(ADDRESS_LIST=" + stop("db1") + ")", data("(SERVICE_NAME=sales.example.com)"), data("(SERVICE_NAME=sales.example.com)")},
		"as clients do": {"(DESCRIPTION=(SOURCE_ROUTE=yes)" + stop("broker") + stop("db1") + ")", data("(SERVICE_NAME=sales)"), data("(SERVICE_NAME=sales)")},
		"second of two": {"(DESCRIPTION_LIST=(LOAD_BALANCE=off)(DESCRIPTION=" + stop("db2") + data("(SERVICE_NAME=a)") + ")(DESCRIPTION=" + stop("db1") + data("(SERVICE_NAME=b)") + "))", data("(SERVICE_NAME=sales)"), data("(SERVICE_NAME=b)")},
	} {
		t.Run(name, func(t *testing.T) {
			w := routed(t, "* * sales|sales.example.com accept")
			sent := w.hop("10.9.0.1:1521", accepts)
			r := aliases(t, map[string]string{"SALES": c.alias})
			w.Routes = func() *Routes { return r }
			w.wantAccepted("(DESCRIPTION=" + c.asked + ")")
			want, got := parse(t, c.want), descriptor.ConnectData(parse(t, (*sent)[0]))
			for _, field := range []string{"SERVICE_NAME", "SID", "INSTANCE_NAME", "SERVER"} {
				if got.Text(field) != want.Text(field) {
					t.Errorf("sent on %s, want %s", got, want)
				}
			}
			if got.Find("CID").String() != want.Find("CID").String() {
				t.Errorf("sent on %s, want %s", got, want)
			}
		})
	}
}

func TestAliasesAreFoundLikeServices(t *testing.T) {
	r := aliases(t, map[string]string{"SALES": stop("db1"), "HR.EXAMPLE.COM": stop("db1"), "CRM.A": stop("db1"), "CRM.B": stop("db1"), "X": stop("db1"), "X.Y": stop("db1")})
	for asked, want := range map[string]string{
		"sales": "SALES", "Sales.example.com": "SALES", "hr": "HR.EXAMPLE.COM", "HR.example.com": "HR.EXAMPLE.COM", "hr.other": "",
		"crm": "", "crm.a": "CRM.A", "x": "X", "x.y": "X.Y", "x.z": "X", "nosuch": "", "": "",
	} {
		if a, known := r.alias(asked); a.name != want || known != (want != "") {
			t.Errorf("%q is %q, want %q", asked, a.name, want)
		}
	}
}

// Aliases go before registered services, and one that leads here is no way at all.
func TestAliasesGoBeforeTheTable(t *testing.T) {
	w := routed(t, "* * * accept")
	w.instance("s1", accepts, "sales", "hr")
	w.hop("10.9.0.1:1521", accepts)
	r := aliases(t, map[string]string{"SALES": "(DESCRIPTION=" + stop("db1") + ")", "HR": "(DESCRIPTION=" + stop("broker") + "(CONNECT_DATA=(SERVICE_NAME=hr)))"})
	w.Routes = func() *Routes { return r }
	w.wantAccepted(sales)
	w.wantAccepted(strings.Replace(sales, "=sales", "=hr", 1))
	if !slices.Equal(w.asked, []string{"10.9.0.1:1521", "s1:1521"}) {
		t.Errorf("dialled %v", w.asked)
	}
}

func TestDefaultServiceAndSIDs(t *testing.T) {
	w := routed(t)
	var got []string
	serve := func(conn *tns.Conn, connect *tns.Connect) {
		got = append(got, descriptor.ConnectData(asksOf(t, connect)).String())
		accepts(conn, connect)
	}
	w.instance("s1", serve, "sales")
	bare, bySID := "(DESCRIPTION=(CONNECT_DATA=(SID=)(CID=(USER=u))))", func(sid string) string { return "(DESCRIPTION=(CONNECT_DATA=(SID=" + sid + ")))" }
	w.wantCode(bare, tns.CodeNoServiceName)
	w.wantCode(bySID("sales"), tns.CodeUnknownSID)
	w.Routes = func() *Routes { return CompileRoutes(Routes{DefaultService: "sales", SIDIsService: true}) }
	w.wantAccepted(bare)
	w.wantAccepted(bySID("sales"))
	w.wantAccepted(bySID("s1"))
	want := []string{"(CONNECT_DATA=(CID=(USER=u))(SERVICE_NAME=sales)(INSTANCE_NAME=s1))", "(CONNECT_DATA=(SERVICE_NAME=sales)(INSTANCE_NAME=s1))", "(CONNECT_DATA=(SID=s1))"}
	if !slices.Equal(got, want) {
		t.Errorf("asked\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	w.wantCode(bySID("nosuch"), tns.CodeUnknownService)
}

// One connect does not make the broker knock at every door.
func TestHowManyHopsAreTried(t *testing.T) {
	w := routed(t, "* * * accept")
	w.Resolve = func(context.Context, string) []netip.Addr {
		var all []netip.Addr
		for i := range 20 {
			all = append(all, netip.AddrFrom4([4]byte{10, 9, 7, byte(i)}))
		}
		return all
	}
	many := func(from, n int) string {
		text := ""
		for i := range n {
			text += stop("10.9.8." + strconv.Itoa(from+i))
		}
		return "(DESCRIPTION=(SOURCE_ROUTE=on)(ADDRESS_LIST=" + stop("broker") + ")(ADDRESS_LIST=" + text + ")" + forSales + ")"
	}
	w.wantCode(many(0, 40), tns.CodeNoListener)
	if len(w.asked) != maxLegs {
		t.Errorf("%d numbers were dialled", len(w.asked))
	}
	w.asked = nil
	w.wantCode(strings.Replace(many(0, 16), "10.9.8.", "name", -1), tns.CodeNoListener)
	if len(w.asked) != maxHopCandidates {
		t.Errorf("%d addresses of names were dialled", len(w.asked))
	}
}
