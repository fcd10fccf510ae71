package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"servicebroker/dn"
	"servicebroker/journal"
	"servicebroker/servicetable"
	"servicebroker/tns"
)

// inForce puts rules in force.
func inForce(rules ...Rule) func() *RuleSet {
	set := CompileRules(rules, nil)
	return func() *RuleSet { return set }
}

// everyone is a rule about all clients and services.
func everyone(action Action, text string) Rule {
	return Rule{Source: HostPattern{Any: true}, Destination: HostPattern{Any: true}, Action: action, Text: text}
}

// failing is what of a test is needed to end it.
type failing interface {
	Helper()
	Fatalf(format string, arguments ...any)
}

// ruleOf reads "SRC DST SRV ACT", and further conditions such as USER=scott.
func ruleOf(t failing, text string) Rule {
	t.Helper()
	fields := strings.Fields(text)
	host := func(text string) HostPattern {
		if text == "*" {
			return HostPattern{Any: true}
		}
		if network, err := netip.ParsePrefix(text); err == nil {
			return HostPattern{Network: network}
		}
		if a, err := netip.ParseAddr(text); err == nil {
			return HostPattern{Network: netip.PrefixFrom(a, a.BitLen())}
		}
		return HostPattern{Name: text}
	}
	r := Rule{Source: host(fields[0]), Destination: host(fields[1]), Services: strings.Split(fields[2], "|"), Text: text}
	switch fields[3] {
	case "accept":
	case "reject":
		r.Action = Reject
	case "drop":
		r.Action = Drop
	case "log":
		r.Action = Log
	default:
		t.Fatalf("no such action: %s", text)
	}
	for _, condition := range fields[4:] {
		switch name, value, _ := strings.Cut(condition, "="); name {
		case "USER":
			r.User = value
		case "PROGRAM":
			r.Program = value
		case "DN":
			r.DNs = append(r.DNs, strings.ReplaceAll(value, "_", " "))
		default:
			t.Fatalf("no such condition: %s", text)
		}
	}
	return r
}

func rulesOf(t failing, texts ...string) Rules {
	t.Helper()
	rules := Rules{}
	for _, text := range texts {
		rules = append(rules, ruleOf(t, text))
	}
	return rules
}

// hostsOfTest is what names mean in tests.
func hostsOfTest(_ context.Context, host string) []netip.Addr {
	var all []netip.Addr
	for _, a := range map[string][]string{
		"apphost":   {"10.1.2.3"},
		"apphost6":  {"2001:db8::3"},
		"both":      {"10.1.2.3", "2001:db8::3"},
		"otherhost": {"10.1.2.9"},
		"db1":       {"10.9.0.1"},
		"db1-alias": {"::ffff:10.9.0.1"},
		"db2":       {"10.9.0.2"},
		"db6":       {"2001:db8:9::1"},
		"scan":      {"10.9.0.1", "10.9.0.2"},
	}[host] {
		all = append(all, netip.MustParseAddr(a))
	}
	return all
}

// byHost is what a candidate's host means where that is all there is to know of it.
func byHost(resolve func(context.Context, string) []netip.Addr) resolver {
	return func(ctx context.Context, c *servicetable.Candidate) []netip.Addr {
		return resolve(ctx, foldHost(c.Handler.Host))
	}
}

func compiled(t testing.TB, rules Rules) *RuleSet {
	set := CompileRules(rules, nil)
	set.Refresh(t.Context(), hostsOfTest)
	return set
}

// connectOf is a subject in words: who asks for what.
type connectOf struct {
	from    string // "": 10.1.2.3
	service string // "": sales
	sid     bool   // service is a SID
	table   string // the name in the table; "": the same
	dn      string
	user    string
	program string
	hosts   string // of the candidates; "": db1
}

// judged is what became of the candidates: the hosts admitted, or how they are refused.
func (c connectOf) judged(t testing.TB, set *RuleSet) (string, []string) {
	t.Helper()
	or := func(text, otherwise string) string {
		if text == "" {
			return otherwise
		}
		return text
	}
	who := subject{
		client: netip.MustParseAddr(or(c.from, "10.1.2.3")), asked: or(c.service, "sales"), bySID: c.sid, user: c.user, program: c.program,
	}.folded()
	if c.dn != "" {
		who.dn = dn.Parse(c.dn)
	}
	var candidates []servicetable.Candidate
	for _, host := range strings.Fields(or(c.hosts, "db1")) {
		candidates = append(candidates, servicetable.Candidate{
			Service: &servicetable.Service{Name: or(c.table, who.asked)}, Handler: &servicetable.Handler{Host: host},
		})
	}
	j := set.judge(t.Context(), who, candidates, byHost(hostsOfTest))
	var logged []string
	for _, rule := range j.logged {
		logged = append(logged, rule.Text)
	}
	if len(j.admitted) == 0 {
		switch {
		case errors.Is(j.refusal, errRejected):
			return "rejected", logged
		case errors.Is(j.refusal, errDropped):
			return "dropped", logged
		}
		return fmt.Sprint(j.refusal), logged
	}
	var hosts []string
	for _, a := range j.admitted {
		if rule := j.granted.by(a); rule == nil || rule.Action != Accept {
			t.Errorf("%s was admitted by %+v", a.Handler.Host, rule)
		}
		hosts = append(hosts, a.Handler.Host)
	}
	return strings.Join(hosts, " "), logged
}

// Each form of each condition, with each of the others: a rule matches where all do.
func TestRulesEveryFormWithEvery(t *testing.T) {
	type form struct {
		text string
		fits bool
	}
	sources := []form{ // of 10.1.2.3
		{"*", true}, {"10.1.2.3", true}, {"10.1.2.4", false}, {"10.1.0.0/16", true}, {"10.1.2.3/16", true}, {"10.2.0.0/16", false},
		{"0.0.0.0/0", true}, {"::/0", false}, {"::ffff:10.1.2.3", true}, {"apphost", true}, {"both", true}, {"apphost6", false}, {"otherhost", false}, {"nowhere", false},
	}
	destinations := []form{ // of db1, which is 10.9.0.1
		{"*", true}, {"db1", true}, {"DB1", true}, {"db1.", true}, {"db2", false}, {"db1-alias", true}, {"scan", true}, {"10.9.0.1", true}, {"10.9.0.0/24", true},
		{"10.9.1.0/24", false}, {"2001:db8::/32", false}, {"nowhere", false},
	}
	services := []form{ // of sales, registered as sales.example.com
		{"*", true}, {"sales", true}, {"SALES", true}, {"sales.example.com", true}, {"sal*", true}, {"*.com", true}, {"s*es", true}, {"*ale*", true}, {"hr", false},
		{"sale", false}, {"*.org", false}, {"s?les", false}, {"hr|sales", true}, {"hr|crm*", false},
	}
	extras := []form{{"", true}, {"USER=scott", true}, {"USER=tiger", false}, {"PROGRAM=sqlplus*", true}, {"PROGRAM=*.exe", false}, {"DN=CN=app,*", true}, {"DN=CN=other,*", false}}
	cases := 0
	for _, src := range sources {
		for _, dst := range destinations {
			for _, srv := range services {
				for _, extra := range extras {
					text := strings.Join([]string{src.text, dst.text, srv.text, "accept", extra.text}, " ")
					want := "rejected"
					if src.fits && dst.fits && srv.fits && extra.fits {
						want = "db1"
					}
					connect := connectOf{table: "sales.example.com", user: "SCOTT", program: "sqlplus@host", dn: "CN=app,O=example"}
					if got, _ := connect.judged(t, compiled(t, rulesOf(t, text))); got != want {
						t.Errorf("%s: %s, want %s", text, got, want)
					}
					cases++
				}
			}
		}
	}
	if cases < 200 {
		t.Errorf("only %d cases", cases)
	}
}

// What is not plain from the form of a single rule.
func TestRulesDecide(t *testing.T) {
	for _, c := range []struct {
		name    string
		rules   []string
		connect connectOf
		want    string
	}{
		{"no rule refuses", nil, connectOf{}, "rejected"},
		{"everything", []string{"* * * accept"}, connectOf{hosts: "db1 db2"}, "db1 db2"},
		{"the first decides: reject", []string{"* * sales reject", "* * * accept"}, connectOf{}, "rejected"},
		{"the first decides: accept", []string{"* * sales accept", "* * * reject"}, connectOf{}, "db1"},
		{"the first decides: drop", []string{"* * * drop", "* * * accept"}, connectOf{}, "dropped"},
		{"a rule about another service is passed over", []string{"* * hr reject", "* * * accept"}, connectOf{}, "db1"},
		{"none matches", []string{"10.2.0.0/16 * * accept", "* db2 * accept", "* * hr accept"}, connectOf{}, "rejected"},
		{"the particular before the general", []string{"10.1.2.3 * * reject", "10.1.0.0/16 * * accept"}, connectOf{}, "rejected"},
		{"the general before the particular", []string{"10.1.0.0/16 * * accept", "10.1.2.3 * * reject"}, connectOf{}, "db1"},
		{"a neighbour of the particular", []string{"10.1.2.3 * * reject", "10.1.0.0/16 * * accept"}, connectOf{from: "10.1.2.4"}, "db1"},

		{"log decides nothing", []string{"* * * log"}, connectOf{}, "rejected"},
		{"log goes on to accept", []string{"* * * log", "* * * accept"}, connectOf{}, "db1"},
		{"log goes on to reject", []string{"* * * log", "* * * reject"}, connectOf{}, "rejected"},
		{"log goes on to drop", []string{"* * * log", "* * * drop"}, connectOf{}, "dropped"},
		{"log after the decision", []string{"* * * accept", "* * * log"}, connectOf{}, "db1"},

		{"destination judged for each", []string{"* db1 * reject", "* * * accept"}, connectOf{hosts: "db1 db2"}, "db2"},
		{"the last of several is refused", []string{"* db2 * reject", "* * * accept"}, connectOf{hosts: "db1 db2"}, "db1"},
		{"every other one is refused", []string{"* db2 * reject", "* 10.8.0.0/16 * drop", "* * * accept"}, connectOf{hosts: "db1 db2 db6 10.8.0.1 10.7.0.1"}, "db1 db6 10.7.0.1"},
		{"none is about the others", []string{"* db1 * accept"}, connectOf{hosts: "db1 db2"}, "db1"},
		{"one dropped, one granted", []string{"* db1 * drop", "* * * accept"}, connectOf{hosts: "db1 db2"}, "db2"},
		{"one dropped, one rejected", []string{"* db1 * drop", "* * * reject"}, connectOf{hosts: "db1 db2"}, "dropped"},
		{"one rejected, one dropped", []string{"* db1 * reject", "* * * drop"}, connectOf{hosts: "db1 db2"}, "dropped"},
		{"one dropped, none about the other", []string{"* db1 * drop"}, connectOf{hosts: "db1 db2"}, "dropped"},
		{"by the network of a host", []string{"* 10.9.0.0/24 * accept"}, connectOf{hosts: "db1 10.9.0.9 10.10.0.1"}, "db1 10.9.0.9"},
		{"by a network beside a name", []string{"* 10.9.0.2 * reject", "* db1 * accept", "* db2 * accept"}, connectOf{hosts: "db1 db2"}, "db1"},
		{"an address by the name that means it", []string{"* db1 * accept"}, connectOf{hosts: "10.9.0.1 10.9.0.2"}, "10.9.0.1"},
		{"an address in IPv6 form", []string{"* 10.9.0.1 * accept"}, connectOf{hosts: "::ffff:10.9.0.1"}, "::ffff:10.9.0.1"},
		{"an address in brackets", []string{"* 2001:db8::/32 * accept"}, connectOf{hosts: "[2001:db8::5]"}, "[2001:db8::5]"},
		{"a name in brackets", []string{"* db1 * reject", "* * * accept"}, connectOf{hosts: "[[db1]] [db2]"}, "[db2]"},
		{"a host of several addresses", []string{"* 10.9.0.2 * accept"}, connectOf{hosts: "scan"}, "scan"},
		{"a host nobody knows, by its name", []string{"* nosuch * accept"}, connectOf{hosts: "nosuch"}, "nosuch"},
		{"a host nobody knows, by all networks", []string{"* 0.0.0.0/0 * accept", "* ::/0 * accept"}, connectOf{hosts: "nosuch"}, "rejected"},
		{"a host nobody knows, by *", []string{"* * * accept"}, connectOf{hosts: "nosuch"}, "nosuch"},
		{"a host that means IPv6", []string{"* 2001:db8:9::/48 * accept"}, connectOf{hosts: "db6"}, "db6"},
		{"two names of nothing are not one", []string{"* nowhere * accept"}, connectOf{hosts: "nosuch"}, "rejected"},

		{"a network of IPv6", []string{"2001:db8::/32 * * accept"}, connectOf{from: "2001:db8::7"}, "db1"},
		{"another network of IPv6", []string{"2001:db8::/32 * * accept"}, connectOf{from: "2001:db9::7"}, "rejected"},
		{"half a bit beyond", []string{"10.1.2.0/31 * * accept"}, connectOf{from: "10.1.2.2"}, "rejected"},
		{"the last address of a network", []string{"10.1.2.0/31 * * accept"}, connectOf{from: "10.1.2.1"}, "db1"},
		{"all of IPv4 is none of IPv6", []string{"0.0.0.0/0 * * accept"}, connectOf{from: "2001:db8::7"}, "rejected"},
		{"IPv4 network in IPv6 form", []string{"::ffff:10.1.0.0/112 * * accept"}, connectOf{}, "db1"},
		{"a client by one of several addresses", []string{"both * * accept"}, connectOf{from: "2001:db8::3"}, "db1"},
		{"a client by a name in capitals", []string{"AppHost * * accept"}, connectOf{}, "db1"},
		{"0.0.0.0 is one address", []string{"0.0.0.0 * * accept"}, connectOf{}, "rejected"},

		{"the name asked for", []string{"* * sales accept"}, connectOf{table: "sales.example.com"}, "db1"},
		{"the name registered", []string{"* * sales.example.com accept"}, connectOf{table: "Sales.Example.COM"}, "db1"},
		{"a reject by either name", []string{"* * sales.example.com reject", "* * sales accept"}, connectOf{table: "sales.example.com"}, "rejected"},
		{"a SID by its own name", []string{"* * orcl accept"}, connectOf{service: "ORCL", sid: true, table: "sales"}, "db1"},
		{"a SID not by the service it leads to", []string{"* * sales accept"}, connectOf{service: "ORCL", sid: true, table: "sales"}, "rejected"},
		{"a SID not kept out by that service either", []string{"* * sales reject", "* * * accept"}, connectOf{service: "ORCL", sid: true, table: "sales"}, "db1"},
		{"* in the middle takes nothing too", []string{"* * sa*les accept"}, connectOf{}, "db1"},
		{"several *", []string{"* * s*l*s accept"}, connectOf{}, "db1"},
		{"** is *", []string{"* * ** accept"}, connectOf{}, "db1"},
		{"* does not forget the end", []string{"* * *s.x accept"}, connectOf{service: "sales.xx"}, "rejected"},
		{"begin and end overlap", []string{"* * sale*ales accept"}, connectOf{}, "rejected"},
		{"no regular expression", []string{"* * s.les accept", "* * [s]ales accept", "* * sales? accept", "* * sales+ accept"}, connectOf{}, "rejected"},
		{"other alphabets without case", []string{"* * bücher accept"}, connectOf{service: "BÜCHER"}, "db1"},
		{"bytes that are no letters", []string{"* * \xff accept"}, connectOf{service: "\xfe"}, "rejected"},
		{"a / in a name", []string{"* * a*c accept"}, connectOf{service: "a/b/c"}, "db1"},
		{"a * asked for is text", []string{"* * sales accept"}, connectOf{service: "*"}, "rejected"},
		{"one of several", []string{"* * hr|crm|sal* accept"}, connectOf{}, "db1"},
		{"none of several", []string{"* * hr|crm accept"}, connectOf{}, "rejected"},
		{"several with *", []string{"* * hr|* accept"}, connectOf{}, "db1"},

		{"a user", []string{"* * * accept USER=scott"}, connectOf{user: "Scott"}, "db1"},
		{"another user", []string{"* * * accept USER=scott"}, connectOf{user: "scotty"}, "rejected"},
		{"no user", []string{"* * * accept USER=scott"}, connectOf{}, "rejected"},
		{"any user is also none", []string{"* * * accept USER=*"}, connectOf{}, "db1"},
		{"a program", []string{"* * * reject PROGRAM=*toad*", "* * * accept"}, connectOf{program: `C:\Tools\Toad.exe`}, "rejected"},
		{"another program", []string{"* * * reject PROGRAM=*toad*", "* * * accept"}, connectOf{program: "sqlplus"}, "db1"},
		{"user and program", []string{"* * * accept USER=scott PROGRAM=sqlplus*"}, connectOf{user: "scott", program: "java"}, "rejected"},

		{"a certificate's name", []string{"* * * accept DN=CN=app1,OU=sales,O=example"}, connectOf{dn: "CN=app1,OU=sales,O=example"}, "db1"},
		{"without case and blanks", []string{"* * * accept DN=cn=APP1,_ou=Sales_,_o=Example"}, connectOf{dn: "CN=app1,OU=sales,O=example"}, "db1"},
		{"another order is the same name", []string{"* * * accept DN=O=example,CN=app1"}, connectOf{dn: "CN=app1,O=example"}, "db1"},
		{"no certificate", []string{"* * * accept DN=CN=app1"}, connectOf{}, "rejected"},
		{"no certificate is none of any", []string{"* * * accept DN=*"}, connectOf{}, "rejected"},
		{"any certificate", []string{"* * * accept DN=*"}, connectOf{dn: "CN=app1"}, "db1"},
		{"* for parts", []string{"* * * accept DN=CN=app1,*"}, connectOf{dn: "CN=app1,OU=a,O=b"}, "db1"},
		{"* for no part", []string{"* * * accept DN=CN=app1,*"}, connectOf{dn: "CN=app1"}, "db1"},
		{"* within a part", []string{"* * * accept DN=CN=app*,O=example"}, connectOf{dn: "CN=app17,O=example"}, "db1"},
		{"* within a part takes no other parts", []string{"* * * accept DN=CN=*,O=example"}, connectOf{dn: "CN=a,OU=b,O=example"}, "rejected"},
		{"a comma in a part takes in nobody", []string{"* * * accept DN=CN=app1,O=example"}, connectOf{dn: `CN=app1\,O=example`}, "rejected"},
		{"nor with *", []string{"* * * accept DN=*,O=example"}, connectOf{dn: `CN=x\,O=example,O=other`}, "rejected"},
		{"one of several names", []string{"* * * accept DN=CN=a DN=CN=b"}, connectOf{dn: "CN=b"}, "db1"},
		{"none of several names", []string{"* * * accept DN=CN=a DN=CN=b"}, connectOf{dn: "CN=c"}, "rejected"},

		{"segregation: one's own database", []string{"10.1.0.0/16 db1 * accept", "10.2.0.0/16 db2 * accept"}, connectOf{hosts: "db1 db2"}, "db1"},
		{"segregation: the other's", []string{"10.1.0.0/16 db1 * accept", "10.2.0.0/16 db2 * accept"}, connectOf{from: "10.2.0.1", hosts: "db1 db2"}, "db2"},
		{"segregation: nobody's", []string{"10.1.0.0/16 db1 * accept", "10.2.0.0/16 db2 * accept"}, connectOf{from: "10.3.0.1", hosts: "db1 db2"}, "rejected"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, _ := c.connect.judged(t, compiled(t, rulesOf(t, c.rules...))); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

// Rules that only want to be told of are told once, and only where they come first.
func TestLoggedRules(t *testing.T) {
	set := compiled(t, rulesOf(t,
		"10.1.0.0/16 * * log", "* db2 * log", "* * hr log", "* db1 * accept", "* * * log", "* * * reject"))
	got, logged := connectOf{hosts: "db1 db2 db6"}.judged(t, set)
	if want := "10.1.0.0/16 * * log; * db2 * log; * * * log"; got != "db1" || strings.Join(logged, "; ") != want {
		t.Errorf("%s, logged %q, want %q", got, logged, want)
	}
	if _, logged := (connectOf{from: "10.2.0.1"}).judged(t, set); len(logged) != 0 {
		t.Errorf("logged %q", logged)
	}
}

func TestRulesOnTheWire(t *testing.T) {
	rules := CompileRules(Rules{}, nil)
	w := newWorld(t)
	w.Rules = func() *RuleSet { return rules }
	put := func(texts ...string) { rules = CompileRules(rulesOf(t, texts...), nil) }
	w.instance("s1", accepts, "sales")
	w.wantCode(sales, tns.CodeRuleRejects)

	bySID := "(DESCRIPTION=(CONNECT_DATA=(SID=s1)))"
	w.wantCode(bySID, tns.CodeRuleRejects)
	put("* * sales accept")
	w.wantCode(bySID, tns.CodeRuleRejects) // a rule for a service is none for a SID

	put("* * * drop")
	client := w.client(sales)
	if _, err := client.NetConn().Read(make([]byte, 1)); err == nil {
		t.Error("a dropped client got an answer")
	}

	put("* * * reject USER=u PROGRAM=ap*", "* * * accept")
	w.wantCode(sales, tns.CodeRuleRejects)

	rule := ruleOf(t, "* * sales accept")
	rule.Mode = ModeRedirect
	rules = CompileRules(Rules{rule}, nil)
	if _, ok := w.reply(w.client(sales)).(*tns.Redirect); !ok {
		t.Error("the rule's ROUTE=redirect did not apply")
	}
	rules = nil
	client = w.client(sales)
	if _, ok := w.reply(client).(*tns.Accept); !ok {
		t.Error("refused though there are no rules")
	}
	client.NetConn().Close()
}

// Who asks for an instance that rules keep from it is refused for good: that others are
// there, for which it did not ask, is nothing to wait for.
func TestRefusedInstanceIsNotAway(t *testing.T) {
	w := newWorld(t)
	w.Rules = func() *RuleSet { return compiled(t, rulesOf(t, "* s1 * reject", "* * * accept")) }
	w.instance("s1", accepts, "sales")
	w.instance("s2", accepts, "sales")
	w.wantCode(strings.Replace(sales, "(SERVICE_NAME=sales)", "(SERVICE_NAME=sales)(INSTANCE_NAME=s1)", 1), tns.CodeRuleRejects)
}

// Explanations name the rule that decided and those that only wanted to be told of.
func TestRulesAreExplained(t *testing.T) {
	set := compiled(t, rulesOf(t, "* * sales log", "* s1 * reject", "* * sales accept"))
	w := newWorld(t)
	w.Rules = func() *RuleSet { return set }
	w.instance("s1", accepts, "sales")
	w.instance("s2", accepts, "sales")
	check := func(e *journal.Explanation) {
		t.Helper()
		if e.Rule != "* * sales accept" || len(e.Logged) != 1 || e.Logged[0] != "* * sales log" || e.Chosen != "s2@s2.host/DEDICATED" {
			t.Errorf("rule %q, logged %q, chosen %q", e.Rule, e.Logged, e.Chosen)
		}
		if last := e.Candidates[len(e.Candidates)-1]; last.PassedOver != "refused by rule * s1 * reject" {
			t.Errorf("passed over: %q", last.PassedOver)
		}
	}
	check(w.inquire(sales))
	if set.Status()[0].Matched != 0 {
		t.Error("asking what would be was counted")
	}
	client := w.client(sales)
	w.reply(client)
	client.NetConn().Close()
	w.running.Wait()
	check(w.Journal.Recent(1)[0])
	for i, want := range []uint64{1, 1, 1} {
		if got := set.Status()[i].Matched; got != want {
			t.Errorf("rule %d matched %d, want %d", i, got, want)
		}
	}
}

// A name that a rule asks for is that of a certificate that was verified.
func TestOnlyVerifiedCertificatesHaveNames(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	if got := clientDN(near); !got.None() {
		t.Errorf("plain connection: %q", got)
	}
	if got := clientDN(tls.Server(near, &tls.Config{})); !got.None() {
		t.Errorf("before the handshake: %q", got)
	}
	c := certificate(t)
	for _, verified := range []bool{true, false} {
		state := tls.ConnectionState{PeerCertificates: c}
		if verified {
			state.VerifiedChains = append(state.VerifiedChains, c)
		}
		got := clientDN(secured{near, state})
		if wanted := dn.Compile(`CN="App 1, Inc",OU=Sales,O=Example,DC=example,DC=com`); wanted.Matches(got) != verified {
			t.Errorf("verified %v: %+v", verified, got)
		}
	}
}

// secured is a connection with a given TLS state.
type secured struct {
	net.Conn
	state tls.ConnectionState
}

func (s secured) ConnectionState() tls.ConnectionState { return s.state }

func TestInquiryByCertificate(t *testing.T) {
	w := newWorld(t)
	w.Rules = inForce(ruleOf(t, "* * * accept DN=CN=app1,*"))
	w.instance("s1", accepts, "sales")
	for name, want := range map[string]journal.Outcome{"CN=app1,O=example": journal.Relay, "CN=app2,O=example": journal.Refuse, "": journal.Refuse} {
		if e := w.Explain(t.Context(), Inquiry{Descriptor: sales, From: addr("10.0.0.7"), DN: name}); e.Outcome != want {
			t.Errorf("%q: %s, want %s", name, e.Outcome, want)
		}
	}
}
