package broker

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"servicebroker/descriptor"
	"servicebroker/journal"
	"servicebroker/relay"
	"servicebroker/servicetable"
)

// ruleWorld is a broker with these instances, by which rules are tried:
//
//	s1  10.9.0.1         sales, hr.example.com
//	s2  10.9.0.2         sales
//	s3  2001:db8:9::1    sales6, sales.eu.example.com
//	s4  db4              erp
//	s5  DB5.example.com  erp
func ruleWorld(t *testing.T) *Broker {
	t.Helper()
	b, err := New(testConfig(t, func(c *Config) { c.HoldTimeout = 0 }), nil)
	must(t, err)
	t.Cleanup(b.closeListeners)
	b.hosts.lookup = func(_ context.Context, name string) ([]netip.Addr, error) {
		var all []netip.Addr
		for _, a := range map[string][]string{
			"apphost": {"10.1.2.3"}, "app6": {"2001:db8::3"}, "both": {"10.1.2.3", "2001:db8::3"}, "other": {"10.1.2.9"}, "localhost": {"127.0.0.1", "::1"},
			"scan": {"10.9.0.1", "10.9.0.2"}, "db1name": {"10.9.0.1"}, "db4": {"10.9.4.4", "2001:db8:9::4"}, "db5.example.com": {"10.9.5.5"},
		}[strings.TrimSuffix(strings.ToLower(name), ".")] {
			all = append(all, netip.MustParseAddr(a))
		}
		return all, nil
	}
	t.Cleanup(b.hosts.close)
	for i, in := range []struct {
		host     string
		services []string
	}{{"10.9.0.1", []string{"sales", "hr.example.com"}}, {"10.9.0.2", []string{"sales"}}, {"2001:db8:9::1", []string{"sales6", "sales.eu.example.com"}}, {"db4", []string{"erp"}}, {"DB5.example.com", []string{"erp"}}} {
		name := fmt.Sprintf("s%d", i+1)
		address := descriptor.Address{Protocol: "TCP", Host: in.host, Port: 1521}
		r := servicetable.Registration{ID: servicetable.ID(name), Instance: name, Host: name, Max: 100, RegisteredAt: time.Now(), LoadAt: time.Now(),
			Handlers: []servicetable.Handler{{Name: "DEDICATED", Protocol: "TCP", Host: in.host, Port: 1521, Address: address.String(), Max: 100, Flags: 2}}}
		for j, s := range in.services {
			r.Services = append(r.Services, servicetable.Service{Name: s, Flags: servicetable.FlagUnblocked, Delta: 1})
			r.Handlers[0].Services = append(r.Handlers[0].Services, j)
		}
		b.registered(r)
	}
	return b
}

// ruleCase is who asks for what, by which rules, and what becomes of it: the instances
// admitted, reject or drop, then the numbers of the rules that log.
type ruleCase struct{ from, asks, rules, want string }

// text is the rules as a cman.ora has them: "SRC DST SRV ACT MORE=…" each, _ for a blank in
// them; or, where they begin with (, as they are.
func (c ruleCase) text() string {
	if strings.HasPrefix(c.rules, "(") {
		return c.rules
	}
	var b strings.Builder
	b.WriteString("(RULE_LIST=")
	for rule := range strings.SplitSeq(c.rules, ";") {
		fields := strings.Fields(rule)
		if len(fields) == 0 {
			continue
		}
		fmt.Fprintf(&b, "(RULE=(SRC=%s)(DST=%s)(SRV=%s)(ACT=%s)", fields[0], fields[1], fields[2], fields[3])
		for _, more := range fields[4:] {
			name, value, _ := strings.Cut(more, "=")
			fmt.Fprintf(&b, `(%s="%s")`, name, strings.ReplaceAll(value, "_", " "))
		}
		b.WriteString(")")
	}
	return b.String() + ")"
}

// inquiry is the connect: a service, then INSTANCE_NAME=, SID=, USER=, PROGRAM=, DN=.
func (c ruleCase) inquiry() relay.Inquiry {
	q := relay.Inquiry{From: netip.MustParseAddr(c.from)}
	var data, cid string
	for _, field := range strings.Fields(c.asks) {
		name, value, _ := strings.Cut(field, "=")
		value = strings.ReplaceAll(value, "_", " ")
		switch name {
		case "DN":
			q.DN, q.Secure = value, true
		case "USER", "PROGRAM":
			cid += "(" + name + "=" + value + ")"
		case "SID", "INSTANCE_NAME":
			data += "(" + name + "=" + value + ")"
		default:
			data += "(SERVICE_NAME=" + name + ")"
		}
	}
	q.Descriptor = "(DESCRIPTION=(CONNECT_DATA=" + data + "(CID=(HOST=h)" + cid + ")))"
	return q
}

// judged is what becomes of the case.
func (c ruleCase) judged(t *testing.T, b *Broker) string {
	t.Helper()
	config, messages := readConfig("cman.ora", "", func(string) (string, error) {
		return "t=(CONFIGURATION=(ADDRESS=(PROTOCOL=tcp)(HOST=127.0.0.1)(PORT=0))" + c.text() + "(PARAMETER_LIST=(HOLD_TIMEOUT=0)))", nil
	})
	must(t, messages.Err())
	b.apply(config)
	b.settings().rules.Refresh(t.Context(), b.hosts.fresh)
	e := b.relay.Explain(t.Context(), c.inquiry())
	var admitted []string
	switch {
	case e.Outcome == journal.Drop:
		admitted = append(admitted, "drop")
	case e.Outcome == journal.Refuse && e.Code == 12529:
		admitted = append(admitted, "reject")
	case e.Outcome == journal.Refuse:
		admitted = append(admitted, fmt.Sprint(e.Code))
	default:
		for _, candidate := range e.Candidates {
			if candidate.PassedOver == "" {
				admitted = append(admitted, strings.SplitN(candidate.Key, "@", 2)[0])
			}
		}
	}
	slices.Sort(admitted)
	for _, rule := range e.Logged {
		for i := range config.Rules {
			if config.Rules[i].Text == rule {
				admitted = append(admitted, fmt.Sprintf("log%d", i+1))
			}
		}
	}
	return strings.Join(admitted, " ")
}

// What rules mean, from the text of the file to the decision. The table is made from what the documents say, not from
// the code.
func TestWhatRulesMean(t *testing.T) {
	b := ruleWorld(t)
	cases := slices.Concat(sourceCases(), destinationCases(), perCandidateCases(), serviceCases(), whoCases(), orderCases(), groupCases())
	t.Logf("%d cases", len(cases))
	if len(cases) < 200 {
		t.Errorf("%d cases", len(cases))
	}
	for _, c := range cases {
		if got := c.judged(t, b); got != c.want {
			t.Errorf("%s asks for %s by %s: %s, want %s", c.from, c.asks, c.rules, got, c.want)
		}
	}
}

const aClient = "10.1.2.3"

// sourceCases are of SRC alone: each client, with the SRC that are about it and those that are not.
func sourceCases() (all []ruleCase) {
	for _, c := range []struct{ from, yes, no string }{
		{aClient, "* 10.1.2.3 10.1.2.3/32 10.1.2.2/31 10.1.2.3/31 10.1.2.0/30 10.1.2.0/24 10.1.0.0/16 10.0.0.0/8 0.0.0.0/0 10.1.2.77/24 ::ffff:10.1.2.3 ::ffff:10.1.2.0/120 ::ffff:0:0/96 apphost APPHOST apphost. both 10.1.2.* 10.1.*.*",
			"10.1.2.4 10.1.2.4/32 10.1.2.4/31 10.1.2.4/30 10.1.3.0/24 11.0.0.0/8 ::ffff:10.1.2.4 ::ffff:10.1.3.0/120 ::/0 2001:db8::/32 other nowhere app6 10.1.3.*"},
		{"2001:db8::3", "* 2001:db8::3 2001:DB8:0:0::3 [2001:db8::3] 2001:db8::/32 2001:db8::2/127 ::/0 app6 both", "2001:db8::4 2001:db9::/32 0.0.0.0/0 10.1.2.3 apphost ::ffff:0:0/96"},
		{"::ffff:10.1.2.3", "* 10.1.2.3 10.1.2.0/24 ::ffff:10.1.2.3 apphost", "10.1.2.4 2001:db8::/32 ::/0"},
		{"127.0.0.1", "* 127.0.0.1 127.0.0.0/8 localhost", "::1 10.0.0.0/8"},
		{"::1", "* ::1 localhost", "127.0.0.1"},
	} {
		for src := range strings.FieldsSeq(c.yes) {
			all = append(all, ruleCase{c.from, "sales", src + " * * accept", "s1 s2"})
		}
		for src := range strings.FieldsSeq(c.no) {
			all = append(all, ruleCase{c.from, "sales", src + " * * accept", "reject"})
		}
	}
	return all
}

// destinationCases are of DST alone: for what service, which DST lets whom be reached.
func destinationCases() (all []ruleCase) {
	for _, c := range []struct{ asks, want, dst string }{
		{"sales", "s1 s2", "* 10.9.0.0/24 10.0.0.0/8 0.0.0.0/0 ::ffff:10.9.0.0/120 scan 10.9.0.*"},
		{"sales", "s1", "10.9.0.1 10.9.0.1/32 10.9.0.0/31 ::ffff:10.9.0.1 db1name DB1NAME"},
		{"sales", "s2", "10.9.0.2 10.9.0.2/31"},
		{"sales", "reject", "10.9.0.3 10.8.0.0/16 ::/0 2001:db8:9::/48 nowhere db4"},
		{"erp", "s4", "db4 DB4 db4. 10.9.4.4 10.9.4.0/24 2001:db8:9::4 2001:db8:9::/64"},
		{"erp", "s5", "db5.example.com DB5.EXAMPLE.COM 10.9.5.5 10.9.5.0/24"},
		{"erp", "s4 s5", "* 10.9.0.0/16"},
		{"erp", "reject", "db5 10.9.0.0/24 scan"},
		{"sales6", "s3", "* 2001:db8:9::1 2001:DB8:9:0::1 [2001:db8:9::1] 2001:db8:9::/64 ::/0"},
		{"sales6", "reject", "2001:db8:9::2 10.0.0.0/8 0.0.0.0/0 scan"},
	} {
		for dst := range strings.FieldsSeq(c.dst) {
			all = append(all, ruleCase{aClient, c.asks, "* " + dst + " * accept", c.want})
		}
	}
	return all
}

// perCandidateCases are of rules that tell one instance of a service from another.
func perCandidateCases() []ruleCase {
	return []ruleCase{
		{aClient, "sales", "* 10.9.0.1 * reject; * * * accept", "s2"},
		{aClient, "sales", "* 10.9.0.1 * drop; * * * accept", "s2"},
		{aClient, "sales", "* 10.9.0.1 * accept; * * * reject", "s1"},
		{aClient, "sales", "* 10.9.0.1 * accept; * * * drop", "s1"},
		{aClient, "sales", "* 10.9.0.1 * drop; * 10.9.0.2 * reject", "drop"},
		{aClient, "sales", "* 10.9.0.1 * reject; * 10.9.0.2 * drop", "drop"},
		{aClient, "sales", "* 10.9.0.1 * drop", "drop"}, // nothing is about the other, which is refused
		{aClient, "sales", "* 10.9.0.1 * reject; * 10.9.0.2 * reject", "reject"},
		{aClient, "sales", "* 10.9.0.1 * log; * * * accept", "s1 s2 log1"},
		{aClient, "sales", "* 10.9.0.2 * accept; * 10.9.0.1 hr accept", "s2"},
		{aClient, "erp", "10.1.0.0/16 db4 * accept; 10.2.0.0/16 db5.example.com * accept", "s4"},
		{"10.2.0.9", "erp", "10.1.0.0/16 db4 * accept; 10.2.0.0/16 db5.example.com * accept", "s5"},
		{"10.3.0.9", "erp", "10.1.0.0/16 db4 * accept; 10.2.0.0/16 db5.example.com * accept", "reject"},
		{aClient, "sales INSTANCE_NAME=s2", "* 10.9.0.1 * accept", "reject"},
		{aClient, "sales INSTANCE_NAME=s2", "* 10.9.0.2 * accept", "s2"},
		{aClient, "SID=s1", "* 10.9.0.1 * accept", "s1"},
		{aClient, "SID=s1", "* 10.9.0.2 * accept", "reject"},
	}
}

// serviceCases are of SRV alone: what is asked for, the SRV that are about it, and those that are not.
func serviceCases() (all []ruleCase) {
	for _, c := range []struct{ asks, want, yes, no string }{
		{"sales", "s1 s2", "* ** sales SALES Sales sal* *les s*s *ale* sales* sales,hr hr,sales hr,*", "sale salesx x* *x hr hr,crm sales.example.com *.com s*x"},
		{"SALES", "s1 s2", "sales Sal*", "hr"},
		{"hr", "s1", "hr HR hr* hr.example.com HR.EXAMPLE.COM *.example.com hr.* *", "hr.other.com *.other.com h sales"},
		{"hr.example.com", "s1", "hr hr.example.com Hr.Example.Com hr* *.com *example* *", "hr.example example.com hr.example.org hrx sales"},
		{"sales.eu.example.com", "s3", "sales sales.eu.example.com sales.eu.* *.eu.* sales* *", "sales.us.example.com eu sales.eu hr"},
		{"SID=s1", "s1", "* s1 S1 s*", "sales hr s2 hr.example.com"},
	} {
		for srv := range strings.FieldsSeq(c.yes) {
			all = append(all, ruleCase{aClient, c.asks, "* * " + srv + " accept", c.want})
		}
		for srv := range strings.FieldsSeq(c.no) {
			all = append(all, ruleCase{aClient, c.asks, "* * " + srv + " accept", "reject"})
		}
	}
	return all
}

// whoCases are of what the client says, or proves, to be.
func whoCases() (all []ruleCase) {
	for _, c := range []struct{ who, yes, no string }{
		{"USER=scott PROGRAM=JDBC_Thin_Client", "USER=scott USER=SCOTT USER=sco* USER=* PROGRAM=JDBC_Thin_Client PROGRAM=jdbc* PROGRAM=*thin* USER=scott_PROGRAM=jdbc*", "USER=tiger USER=scot PROGRAM=sqlplus PROGRAM=Thin"},
		{"", "USER=* PROGRAM=*", "USER=scott PROGRAM=sqlplus USER=s*"},
		{"DN=CN=app1,OU=sales,O=example", "DN=CN=app1,OU=sales,O=example DN=cn=APP1,ou=Sales,o=Example DN=CN=app*,* DN=*,O=example DN=CN=app1,*,O=example DN=* DN=CN=app1,* DN=O=example,OU=sales,CN=app1", "DN=CN=app2,OU=sales,O=example DN=CN=app1 DN=*,O=other DN=CN=app1,OU=sales"},
		{"", "", "DN=* DN=CN=app1,*"},
	} {
		for more := range strings.FieldsSeq(c.yes) {
			all = append(all, ruleCase{aClient, "sales " + c.who, "* * * accept " + strings.Replace(more, "_PROGRAM", " PROGRAM", 1), "s1 s2"})
		}
		for more := range strings.FieldsSeq(c.no) {
			all = append(all, ruleCase{aClient, "sales " + c.who, "* * * accept " + more, "reject"})
		}
	}
	return append(all,
		ruleCase{aClient, "sales PROGRAM=toad.exe", "* * * reject PROGRAM=toad*; * * * accept", "reject"},
		ruleCase{aClient, "sales PROGRAM=sqlplus", "* * * reject PROGRAM=toad*; * * * accept", "s1 s2"},
		ruleCase{aClient, "sales USER=scott", "* * * drop USER=scott; * * * accept", "drop"},
		ruleCase{aClient, "sales USER=scott PROGRAM=x", "* * * accept USER=scott PROGRAM=y", "reject"},
		ruleCase{aClient, "sales DN=CN=b", `(RULE_LIST=(RULE=(SRC=*)(DST=*)(SRV=*)(ACT=accept)(DN_LIST=(DN=CN=a)(DN=CN=b))))`, "s1 s2"},
		ruleCase{aClient, "sales DN=CN=c", `(RULE_LIST=(RULE=(SRC=*)(DST=*)(SRV=*)(ACT=accept)(DN_LIST=(DN=CN=a)(DN=CN=b))))`, "reject"},
		ruleCase{aClient, "sales DN=CN=b", `(RULE_LIST=(DN_LIST=(DN=CN=b))(RULE=(SRC=*)(DST=*)(SRV=*)(ACT=accept)))`, "s1 s2"},
	)
}

// orderCases are of which rule decides, and of what each action does.
func orderCases() []ruleCase {
	const cmon = "(RULE=(SRC=127.0.0.1)(DST=127.0.0.1)(SRV=cmon)(ACT=accept))"
	return []ruleCase{
		{aClient, "sales", "* * * accept; * * * reject", "s1 s2"},
		{aClient, "sales", "* * * reject; * * * accept", "reject"},
		{aClient, "sales", "* * * drop; * * * accept", "drop"},
		{aClient, "sales", "10.1.2.3 * * reject; 10.1.0.0/16 * * accept", "reject"},
		{"10.1.2.4", "sales", "10.1.2.3 * * reject; 10.1.0.0/16 * * accept", "s1 s2"},
		{"10.2.2.4", "sales", "10.1.2.3 * * reject; 10.1.0.0/16 * * accept", "reject"}, // none matches
		{aClient, "sales", "* * hr accept", "reject"},
		{aClient, "sales", "* * hr drop; * * sales accept", "s1 s2"},
		{aClient, "sales", "* * sales log; * * * accept", "s1 s2 log1"},
		{aClient, "sales", "* * sales log", "reject log1"},
		{aClient, "sales", "* * * accept; * * sales log", "s1 s2"}, // decided before it
		{aClient, "sales", "* * * log; 10.0.0.0/8 * * log; * * hr log; * * * reject", "reject log1 log2"},
		{aClient, "sales", "* * * log; * * * drop", "drop log1"},
		{aClient, "sales", "* * cmon accept", "reject"}, // is about administration
		{aClient, "sales", "* * CMON accept; * * * accept", "s1 s2"},
		{aClient, "sales", "* * cmon reject; * * * accept", "s1 s2"},
		{aClient, "sales", "(RULE_LIST=" + cmon + ")", "reject"},
		{"127.0.0.1", "sales", "(RULE_LIST=" + cmon + ")", "reject"},
		{aClient, "sales", "", "reject"},
		{aClient, "nosuch", "* * * accept", "12514"},
		{aClient, "nosuch", "* * * reject", "reject"}, // whom rules refuse is told nothing of what there is
		{aClient, "nosuch", "* * sales accept", "reject"},
	}
}

func groupCases() []ruleCase {
	const groups = "(RULE_GROUP=(GROUP=(SRV=sales)(RULE_LIST=(RULE=(SRC=10.1.0.0/16)(DST=*)(ACT=accept))))(GROUP=(SRV=hr*)(DN_LIST=(DN=CN=hr*))(RULE_LIST=(RULE=(SRC=10.66.0.0/16)(DST=*)(ACT=drop))(RULE=(SRC=*)(DST=*)(ACT=accept)))))"
	return []ruleCase{
		{aClient, "sales", groups, "s1 s2"},
		{"10.2.0.1", "sales", groups, "reject"},
		{aClient, "erp", groups, "reject"},
		{aClient, "hr", groups, "reject"},
		{aClient, "hr DN=CN=hr1", groups, "s1"},
		{"10.66.0.1", "hr DN=CN=hr1", groups, "drop"},
		{aClient, "hr DN=CN=app1", groups, "reject"},
		{aClient, "sales", "(RULE_GROUP=(sales=(RULE_LIST=(RULE=(SRC=*)(DST=*)(ACT=accept)))))", "s1 s2"},
		{aClient, "hr", "(RULE_GROUP=(sales=(RULE_LIST=(RULE=(SRC=*)(DST=*)(ACT=accept)))))", "reject"},
		{aClient, "sales", "(RULE_GROUP=(GROUP=(NAME=sales)(RULE_LIST=(RULE=(SRC=10.3.0.0/16)(DST=*)(ACT=accept))))(GROUP=(SRV=*)(RULE_LIST=(RULE=(SRC=*)(DST=*)(ACT=drop)))))", "drop"},
	}
}

// What an ACTION_LIST says goes before what a SERVICE says, and that before the parameters.
func TestActionListsOverride(t *testing.T) {
	b := ruleWorld(t)
	config, messages := readConfig("cman.ora", "", func(string) (string, error) {
		return `t=(CONFIGURATION=(ADDRESS=(PROTOCOL=tcp)(HOST=127.0.0.1)(PORT=0))
			(RULE_LIST=(RULE=(SRC=10.1.0.0/16)(DST=*)(SRV=*)(ACT=accept)(ACTION_LIST=(MIT=30)(MCT=0)(MOCT=7)(ROUTE=redirect)))(RULE=(SRC=*)(DST=*)(SRV=*)(ACT=accept)))
			(PARAMETER_LIST=(IDLE_TIMEOUT=600)(SESSION_TIMEOUT=900)(OUTBOUND_CONNECT_TIMEOUT=50)(SERVICE=(NAME=sal*)(IDLE_TIMEOUT=300)(POLICY=sessions))))`, nil
	})
	must(t, messages.Err())
	all := b.newTreatments(t, config)
	rule := config.Rules[0].Treatment
	for _, c := range []struct {
		of                  relay.Treatment
		idle, session, dial time.Duration
		mode                relay.Mode
		policy              string
	}{
		{rule.Or(all("sales")), 30 * time.Second, 0, 7 * time.Second, relay.ModeRedirect, "sessions"},
		{rule.Or(all("erp")), 30 * time.Second, 0, 7 * time.Second, relay.ModeRedirect, "adaptive"},
		{all("sales"), 300 * time.Second, 900 * time.Second, 50 * time.Second, relay.ModeRelay, "sessions"},
		{all("erp"), 600 * time.Second, 900 * time.Second, 50 * time.Second, relay.ModeRelay, "adaptive"},
	} {
		if c.of.IdleTimeout != relay.TimeoutOf(c.idle) || c.of.SessionTimeout != relay.TimeoutOf(c.session) || c.of.DialTimeout != relay.TimeoutOf(c.dial) || c.of.Mode != c.mode || c.of.Policy != c.policy {
			t.Errorf("%+v, want %+v", c.of, c)
		}
	}
}

// newTreatments tells how services are treated by a configuration.
func (b *Broker) newTreatments(t *testing.T, c *Config) func(string) relay.Treatment {
	t.Helper()
	b.apply(c)
	return b.settings().treatment
}
