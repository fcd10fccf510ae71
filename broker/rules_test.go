package broker

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"servicebroker/console"
	"servicebroker/relay"
	"servicebroker/tns"
)

// cmonRule keeps the reader from saying that there is none.
const cmonRule = "(RULE=(SRC=127.0.0.1)(DST=127.0.0.1)(SRV=cmon)(ACT=accept))"

// readRuleText reads a file with one element beside ADDRESS, in its second line. It leaves
// out what is said of DST=*, and that nothing acts on limits yet.
func readRuleText(t *testing.T, text string) (*Config, string) {
	t.Helper()
	c, messages := ReadConfig(write(t, "A=(CONFIGURATION="+address+"\n"+text+")"), "")
	var lines []string
	for _, m := range messages {
		if withoutPending(m.Text) != "" && !strings.HasPrefix(m.Text, "DST=* lets clients") {
			lines = append(lines, fmt.Sprintf("%d:%d: %s: %s", m.Line, m.Column, m.Severity, m.Text))
		}
	}
	return c, strings.Join(lines, "\n")
}

// ruleList is a RULE_LIST of rules in the third line and on.
func ruleList(text string) string { return "(RULE_LIST=" + cmonRule + "\n" + text + ")" }

func TestReadsRules(t *testing.T) {
	c, said := readRuleText(t, ruleList(`(RULE=(SRC=10.1.2.3/16)(DST=[2001:db8::1])(SRV=sales,hr*)(ACT=Log)(USER=scott)(PROGRAM="sql*plus"))
(rule=(src=AppHost)(dst=::ffff:10.0.0.0/104)(srv=*)(act=drop)(dn="CN=app 1,O=example")(DN_LIST=(DN=CN=b,*)(CN=c)))
(RULE=(SRC=*)(DST=*)(SRV=*)(ACT=acc)(ACTION_LIST=(AUT=off)(CONN_STATS=yes)(MCT=120)(MIT=30)(MOCT=0)(ROUTE=redirect)(POLICY=random)
  (HOLD_TIMEOUT=0)(ATTEMPT_TIMEOUT=500ms)(RATE=2.5)(MAX_SESSIONS=10)(BANDWIDTH=1.5M)))
(RULE=(SRC=*)(DST=*)(SRV=CMON)(ACT=rej))`))
	if c == nil || said != "4:2: warning: the rule is about the names in clients' certificates, which come over TCPS alone, and no ADDRESS is TCPS: "+
		"add an ADDRESS with PROTOCOL=tcps and (TLS_CLIENT_CA=file), or take the DN out" {
		t.Fatal(said)
	}
	if len(c.Rules) != 3 || len(c.AdminRules) != 2 {
		t.Fatalf("%d rules, %d for cmon; %s", len(c.Rules), len(c.AdminRules), said)
	}
	first, second, third := c.Rules[0], c.Rules[1], c.Rules[2]
	if first.Source.Network.String() != "10.1.0.0/16" || first.Destination.Network.String() != "2001:db8::1/128" || !reflect.DeepEqual(first.Services, []string{"sales", "hr*"}) ||
		first.Action != relay.Log || first.User != "scott" || first.Program != "sql*plus" || !strings.HasSuffix(first.Where, "cman.ora:3") {
		t.Errorf("first %+v", first)
	}
	if second.Source.Name != "AppHost" || second.Destination.Network.String() != "10.0.0.0/8" || second.Action != relay.Drop ||
		!reflect.DeepEqual(second.DNs, []string{"CN=app 1,O=example", "CN=b,*", "CN=c"}) {
		t.Errorf("second %+v", second)
	}
	want := relay.Treatment{
		Mode: relay.ModeRedirect, Policy: "random", HoldSet: true, AttemptTimeout: 500 * time.Millisecond, IdleTimeout: relay.TimeoutOf(30 * time.Second),
		SessionTimeout: relay.TimeoutOf(2 * time.Minute), DialTimeout: relay.TimeoutOf(0), Rate: 2.5, MaxSessions: 10, Bandwidth: 3 << 19,
	}
	if !third.Source.Any || !third.Destination.Any || third.Action != relay.Accept || third.Treatment != want {
		t.Errorf("third %+v", third)
	}
	if admin := c.AdminRules[1]; admin.Action != relay.Reject || !strings.HasSuffix(admin.Where, "cman.ora:7") {
		t.Errorf("for cmon %+v", admin)
	}
}

func TestReadsRuleGroups(t *testing.T) {
	const any = "(RULE=(SRC=*)(DST=*)(ACT=accept))"
	for name, c := range map[string]struct {
		text string
		want string // group: services, each rule
	}{
		"groups":               {"(RULE_GROUP=(GROUP=(SRV=sales)(RULE_LIST=" + any + "))(GROUP=(SRV=hr,crm*)(RULE_LIST=" + any + any + ")))", "sales: [sales]; hr,crm*: [hr crm*]; hr,crm*: [hr crm*]"},
		"with a name":          {"(RULE_GROUP=(GROUP=(NAME=g1)(SERVICES=(sales,hr))(RULE_LIST=" + any + ")))", "g1: [sales hr]"},
		"called by a service":  {"(RULE_GROUP=(GROUP=(NAME=sales)(RULE_LIST=" + any + ")))", "sales: [sales]"},
		"element is a service": {"(RULE_GROUP=(sales=(RULE_LIST=" + any + ")))", "sales: [sales]"},
		"in a DESCRIPTION":     {"(RULE_GROUP=(GROUP=(DESCRIPTION=(SERVICE_NAME=sales)(RULE_LIST=" + any + "))))", "sales: [sales]"},
		"several":              {"(RULE_GROUP=(SRV=sales)(RULE_LIST=" + any + "))\n(RULE_GROUP=(SRV=hr)(RULE_LIST=" + any + "))", "sales: [sales]; hr: [hr]"},
		"several lists":        {"(RULE_GROUP=(GROUP=(SRV=sales)(RULE_LIST=" + any + ")(RULE_LIST=" + any + ")))", "sales: [sales]; sales: [sales]"},
		"a list of services":   {"(RULE_GROUP=(GROUP=(SERVICE_LIST=(SERVICE=sales)(SERVICE=hr))(RULE_LIST=" + any + ")))", "sales,hr: [sales hr]"},
		"narrower rules":       {"(RULE_GROUP=(GROUP=(SRV=sales*)(RULE_LIST=(RULE=(SRC=*)(DST=*)(SRV=SALES_ro)(ACT=accept))(RULE=(SRC=*)(DST=*)(SRV=*)(ACT=reject)))))", "sales*: [SALES_ro]; sales*: [sales*]"},
	} {
		t.Run(name, func(t *testing.T) {
			config, said := readRuleText(t, c.text)
			if config == nil {
				t.Fatal(said)
			}
			var got []string
			for _, r := range config.Rules {
				got = append(got, fmt.Sprintf("%s: %v", r.Group, r.Services))
			}
			if all := strings.Join(got, "; "); all != c.want {
				t.Errorf("%s, want %s", all, c.want)
			}
		})
	}
	c, said := readRuleText(t, "(RULE_GROUP=(GROUP=(SRV=sales)(DN_LIST=(DN=CN=a))(RULE_LIST=(DN_LIST=(DN=CN=b))(RULE=(SRC=*)(DST=*)(ACT=accept)(DN=CN=c)))))")
	if c == nil || !reflect.DeepEqual(c.Rules[0].DNs, []string{"CN=a", "CN=b", "CN=c"}) {
		t.Errorf("%+v %s", c, said)
	}
}

func TestSaysWhatIsWrongWithRules(t *testing.T) {
	rule := func(text string) string { return ruleList("(RULE=(SRC=*)(DST=*)(SRV=*)(ACT=accept)" + text + ")") }
	src := func(value string) string { return ruleList("(RULE=(SRC=" + value + ")(DST=*)(SRV=*)(ACT=accept))") }
	actions := func(text string) string { return rule("(ACTION_LIST=" + text + ")") }
	for _, c := range []struct{ name, text, want string }{
		{"nothing", rule(""), ""},
		{"deny", ruleList("(RULE=(SRC=*)(DST=*)(SRV=*)(ACT=deny))"), `3:29: error: ACT="deny" is not one of accept, reject, drop, log: did you mean reject?`},
		{"shadow", ruleList("(RULE=(SRC=*)(DST=*)(SRV=*)(ACT=lgo))"), `3:29: error: ACT="lgo" is not one of accept, reject, drop, log: did you mean log?`},
		{"no ACT", ruleList("(RULE=(SRC=*)(DST=*)(SRV=*))"), "3:2: error: the rule has no ACT: write (ACT=accept), reject, drop or log"},
		{"no SRV", ruleList("(RULE=(SRC=*)(DST=*)(ACT=accept))"), "3:2: error: the rule has no SRV: name a service, or write (SRV=*)"},
		{"empty SRV", ruleList("(RULE=(SRC=*)(DST=*)(SRV=)(ACT=accept))"), "3:22: error: SRV has no value"},
		{"no SRC nor DST", ruleList("(RULE=(SRV=*)(ACT=accept))"), "3:2: error: the rule has no SRC: name a host or network, or write (SRC=*)\n3:2: error: the rule has no DST"},
		{"SRC twice", ruleList("(RULE=(SRC=10.1.0.1)(SRC=10.1.0.2)(DST=*)(SRV=*)(ACT=accept))"), "3:22: error: the rule has SRC twice: write a rule for each"},
		{"a word wrong", rule("(USR=scott)"), "3:41: error: USR in a RULE: did you mean USER?"},
		{"a word too many", rule("(PORT=1521)"), "3:41: error: PORT in a RULE: write one of SRC, DST, SRV, ACT"},

		{"two hosts", src("10.1.0.1,10.1.0.2"), "3:8: error: SRC takes one host or network: write a rule for each"},
		{"two hosts in a list", src("(10.1.0.1,10.1.0.2)"), "3:8: error: SRC takes one host or network: write a rule for each"},
		{"empty", src(""), "3:8: error: SRC has no value: name a host or network, or write (SRC=*)"},
		{"a mask", src("10.1.0.0/255.255.0.0"), "3:8: error: SRC=10.1.0.0/255.255.0.0 is not a network: write its mask in /nn form, 10.1.0.0/16"},
		{"no mask", src("10.1.0.0/255.0.255.0"), "is not a network: write it as 10.1.0.0/16 or 2001:db8::/32"},
		{"too long a mask", src("10.1.0.0/33"), "SRC=10.1.0.0/33 is not a network"},
		{"stars", src("10.1.*.*"), "3:8: warning: SRC=10.1.*.* is read as 10.1.0.0/16"},
		{"one star", src("192.0.2.*"), "write it as 192.0.2.0/24"},
		{"stars of Oracle 9i", src("10.1.x.x"), "3:8: warning: SRC=10.1.x.x is read as 10.1.0.0/16"},
		{"star in the middle", src("10.*.2.3"), "3:8: error: SRC=10.*.2.3: * stands for a whole address only"},
		{"short stars", src("10.*"), "write it as 10.0.0.0/8"},
		{"a star in a name", src("*.example.com"), "* stands for a whole address only: write the network in /nn form, such as 10.1.0.0/16"},
		{"too large", src("10.1.2.300"), "3:8: error: SRC=10.1.2.300 is not an address: write four numbers up to 255 as in 10.1.2.3"},
		{"too short", src("10.1.2"), "SRC=10.1.2 is not an address"},
		{"no IPv6", src("2001:db8:::1"), "SRC=2001:db8:::1 is not an address"},
		{"no host name", src("app@host"), "3:8: error: SRC=app@host is no host name: they consist of letters, digits, hyphens and dots"},
		{"host and port", src("apphost:1521"), "3:8: error: SRC=apphost:1521 has a port in it: name the host alone"},

		{"no user", rule("(USER=)"), "3:41: error: USER has no value"},
		{"no DN", rule("(DN_LIST=)"), "3:41: error: DN_LIST is empty"},
		{"half a DN", rule("(DN=app1)"), `3:41: error: DN: "app1" is not part of a distinguished name: write TYPE=value parts with commas`},
		{"half a DN in a list", rule("(DN_LIST=(DN=CN=a,x))"), `3:50: error: DN_LIST: "x" is not part of a distinguished name`},
		{"who gives commands", ruleList("(RULE=(SRC=*)(DST=*)(SRV=cmon)(ACT=accept)(USER=scott))"), "3:44: error: USER cannot be told of administrative commands: leave it out of rules for cmon"},

		{"an action wrong", actions("(MITT=3)"), "3:54: error: MITT in an ACTION_LIST: did you mean MIT?"},
		{"no time", actions("(MCT=soon)"), `3:54: error: MCT: "soon" is not a time`},
		{"no switch", actions("(AUT=maybe)"), `3:54: error: AUT: "maybe" is not one of on, off`},
		{"AUT", actions("(AUT=on)"), "3:54: notice: AUT=on has no effect: client and database negotiate native security with each other"},
		{"CONN_STATS", actions("(CONN_STATS=no)"), "3:54: notice: CONN_STATS=no has no effect: bytes of every session are counted"},
		{"no rate", actions("(RATE=0)"), `3:54: error: RATE: that limits nothing: leave it out, or write what is the most`},
		{"no sessions", actions("(MAX_SESSIONS=-1)"), `3:54: error: MAX_SESSIONS: "-1" is not a number from 1 to 10000000`},
		{"no bandwidth", actions("(BANDWIDTH=10X)"), `3:54: error: BANDWIDTH: "10X" is not a number of bytes: write for example 65536, 64k, 10M or 1G, or off`},
		{"late actions", ruleList("(RULE=(SRC=*)(DST=*)(SRV=*)(ACT=accept))\n(ACTION_LIST=(MCT=120))"), "4:2: notice: ACTION_LIST stands outside a RULE, and is taken for that of the rule in line 3: move it in there"},
		{"early actions", "(RULE_LIST=(ACTION_LIST=(MCT=120)))", "2:13: error: ACTION_LIST stands before any RULE"},

		{"not a rule", ruleList("(ROLE=(SRC=*))"), "3:2: error: ROLE in a RULE_LIST: only RULE belongs there; did you mean RULE?"},
		{"a stray rule", ruleList("") + "\n(RULE=(SRC=*)(DST=*)(SRV=*)(ACT=accept))", "4:2: warning: RULE stands outside RULE_LIST, and is read as if it were the next in it: check the parentheses before it"},
		{"gateways", ruleList("(RULE=(SRC=*)(DST=*)(SRV=*)(ACT=accept))(RULE=(SRC=*)(DST=*)(SRV=cmgw)(ACT=accept))"), "3:42: notice: SRV=cmgw is about gateway processes"},
		{"no client rule", "(RULE_LIST=" + cmonRule + ")", "1:1: warning: no rule is about clients, so every client is refused"},
		{"no rule for cmon", "(RULE_LIST=(RULE=(SRC=*)(DST=*)(SRV=*)(ACT=accept)))", "1:1: notice: no rule is about administration (SRV=cmon)"},
		{"both forms", ruleList("(RULE=(SRC=*)(DST=*)(SRV=hr)(ACT=accept))") + "\n(RULE_GROUP=(GROUP=(SRV=sales)(RULE_LIST=(RULE=(SRC=*)(DST=*)(ACT=accept)))))", "4:2: warning: the file has RULE_LIST and RULE_GROUP"},

		{"an empty group", "(RULE_GROUP=)", "2:2: error: RULE_GROUP is empty"},
		{"a group without rules", "(RULE_GROUP=(GROUP=(SRV=sales)))", "2:14: error: GROUP in a RULE_GROUP has no RULE_LIST: write (GROUP=(SRV=sales)(RULE_LIST="},
		{"a group without services", "(RULE_GROUP=(GROUP=(RULE_LIST=(RULE=(SRC=*)(DST=*)(SRV=*)(ACT=accept)))))", "2:14: error: the group names no service: write (SRV=sales) beside its RULE_LIST"},
		{"a word wrong in a group", "(RULE_GROUP=(GROUP=(SRW=x)(SRV=sales)(RULE_LIST=(RULE=(SRC=*)(DST=*)(ACT=accept)))))", "2:21: error: SRW in a group of rules: did you mean SRV?"},
		{"a rule outside its group", "(RULE_GROUP=(GROUP=(SRV=sales*,hr)(RULE_LIST=(RULE=(SRC=*)(DST=*)(SRV=crm)(ACT=accept)))))", "2:67: error: SRV=crm is not among the services of its group, sales*, hr: name one of those"},

		{"never", ruleList("(RULE=(SRC=10.0.0.0/8)(DST=*)(SRV=s*)(ACT=accept))\n(RULE=(SRC=10.1.0.0/16)(DST=db1)(SRV=sales)(ACT=reject))"),
			"4:2: warning: the rule can never match, since what is in line 3 comes first and matches all that it does: move it before that, or remove it"},
		{"never, by two", ruleList("(RULE=(SRC=10.0.0.0/9)(DST=*)(SRV=*)(ACT=accept))\n(RULE=(SRC=10.128.0.0/9)(DST=*)(SRV=*)(ACT=accept))\n(RULE=(SRC=10.0.0.0/8)(DST=*)(SRV=*)(ACT=drop))"),
			"5:2: warning: the rule can never match, since what is in lines 3, 4 come first and together match all that it does"},
		{"never for cmon", ruleList("(RULE=(SRC=*)(DST=*)(SRV=*)(ACT=accept))\n" + cmonRule), "4:2: warning: the rule can never match, since what is in line 2 comes first"},
	} {
		t.Run(c.name, func(t *testing.T) {
			config, said := readRuleText(t, c.text)
			if !strings.Contains(said, c.want) || c.want == "" && said != "" {
				t.Errorf("messages:\n%s\nwant\n%s", said, c.want)
			}
			if wrong := strings.Contains(said, ": error: "); wrong != (config == nil) {
				t.Errorf("config %v", config)
			}
		})
	}
}

// A late ACTION_LIST is that of the rule before it, and a stray rule is in force.
func TestMisplacedPartsAreInForce(t *testing.T) {
	c, said := readRuleText(t, "(RULE_LIST=(RULE=(SRC=10.1.0.0/16)(DST=*)(SRV=*)(ACT=accept))(ACTION_LIST=(MCT=120)))"+
		"(RULE=(SRC=*)(DST=*)(SRV=hr)(ACT=reject))(RULE=(SRC=127.0.0.1)(DST=127.0.0.1)(SRV=cmon)(ACT=accept))")
	if c == nil || len(c.Rules) != 2 || c.Rules[0].SessionTimeout != relay.TimeoutOf(2*time.Minute) || c.Rules[1].Action != relay.Reject || len(c.AdminRules) != 1 {
		t.Errorf("%+v\n%s", c, said)
	}
}

const administered = `T = (CONFIGURATION=(ADDRESS=(PROTOCOL=tcp)(HOST=127.0.0.1)(PORT=0))
  (RULE_LIST=(RULE=(SRC=*)(DST=*)(SRV=*)(ACT=accept))%))`

// Counts of rules survive a reload, and rules for cmon decide who may give commands.
func TestRulesOfARunningBroker(t *testing.T) {
	file := write(t, strings.Replace(administered, "%", "", 1))
	read, messages := ReadConfig(file, "")
	if err := messages.Err(); err != nil {
		t.Fatal(err)
	}
	r := start(t, func(c *Config) {
		state := c.StateDirectory
		*c = *read
		c.StateDirectory, c.ConsoleAddress = state, "127.0.0.1:0"
	})
	r.join("a", "sales")
	r.session("sales")
	r.session("sales")
	if v := r.rulesInForce(); len(v) != 1 || v[0].Matched != 2 || v[0].Name != "1" || !strings.HasSuffix(v[0].Where, ":2") {
		t.Errorf("rules %+v", v)
	}
	const status = "(CONNECT_DATA=(COMMAND=status))"
	if _, reply := r.ask(status); !isAccept(reply) {
		t.Errorf("status without rules for cmon: %T", reply)
	}
	reload := func(rules, changed string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(strings.Replace(administered, "%", rules, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		if result, err := r.Reload(t.Context()); err != nil || strings.Join(result.Changed, ",") != changed {
			t.Errorf("reload: %+v, %v", result, err)
		}
	}
	reload("(RULE=(SRC=192.0.2.1)(DST=*)(SRV=cmon)(ACT=accept))", "RULE_LIST")
	if _, reply := r.ask(status); !isRefusal(reply, tns.CodeAdminRefused) {
		t.Errorf("status by no rule for cmon: %T", reply)
	}
	if _, reply := r.ask("(CONNECT_DATA=(COMMAND=ping))"); isRefusal(reply, tns.CodeAdminRefused) {
		t.Error("ping was refused")
	}
	reload("(RULE=(SRC=localhost)(DST=127.0.0.1)(SRV=cmon)(ACT=accept))", "RULE_LIST")
	if _, reply := r.ask(status); !isAccept(reply) {
		t.Errorf("status by a rule for cmon: %T", reply)
	}
	reload("(RULE=(SRC=localhost)(DST=127.0.0.1)(SRV=cmon)(ACT=accept))", "")
	r.session("sales")
	if v := r.rulesInForce(); len(v) != 2 || v[0].Matched != 3 {
		t.Errorf("rules %+v", v)
	}
	if s := r.settings().admin.Status(); s[0].Matched != 1 || s[0].Last.IsZero() {
		t.Errorf("rules for cmon %+v", s)
	}
}

func isRefusal(m tns.Message, code tns.Code) bool {
	refuse, ok := m.(*tns.Refuse)
	return ok && refuse.Code() == code
}

// Rules are shown whole: those of groups with what the group adds, those about administration too; and they are compared so.
func TestRulesAreShownAndComparedWhole(t *testing.T) {
	file := func(group, src string) string {
		return write(t, `CMAN1 = (CONFIGURATION=(ADDRESS=(PROTOCOL=tcp)(HOST=127.0.0.1)(PORT=0))
  (RULE_GROUP=(GROUP=(NAME=shops)(SRV=`+group+`)(DN_LIST=(DN="CN=app,O=x"))(RULE_LIST=(RULE=(SRC=*)(DST=*)(ACT=accept)))))
  (RULE_LIST=(RULE=(SRC=`+src+`)(DST=127.0.0.1)(SRV=cmon)(ACT=accept))))`)
	}
	first := file("sales,hr", "127.0.0.1")
	read, messages := ReadConfig(first, "")
	if err := messages.Err(); err != nil {
		t.Fatal(err)
	}
	r := start(t, func(c *Config) { c.Rules, c.AdminRules, c.Addresses = read.Rules, read.AdminRules, read.Addresses })
	all := r.rulesInForce()
	if len(all) != 2 || all[0].About != console.AboutClients || all[0].Group != "shops" || len(all[0].Services) != 2 || len(all[0].DNs) != 1 ||
		all[0].Last != nil || all[1].About != console.AboutAdministration || all[1].Name != "cmon 1" || all[1].Action != "accept" {
		t.Fatalf("%+v", all)
	}
	if d := r.against(first); len(d.In)+len(d.Out) != 0 {
		t.Errorf("its own rules differ: %+v", d)
	}
	for _, other := range []string{file("sales", "127.0.0.1"), file("sales,hr", "*")} {
		if d := r.against(other); len(d.In) != 1 || len(d.Out) != 1 {
			t.Errorf("%+v", d)
		}
	}
}
