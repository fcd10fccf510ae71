package relay

import (
	"context"
	"fmt"
	"net/netip"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"servicebroker/servicetable"
)

// plainly is what rules mean: one after the other, each condition by itself, by other
// means than those under test.
func plainly(rules Rules, c connectOf, host string) (decides int, logged []int) {
	for i, r := range rules {
		addresses := hostsOfTest(context.Background(), strings.ToLower(host))
		if a, err := netip.ParseAddr(host); err == nil {
			addresses = []netip.Addr{a}
		}
		matches := plainlyTakes(r.Source, "", []netip.Addr{netip.MustParseAddr(c.from)}) && plainlyTakes(r.Destination, host, addresses) &&
			plainText(r.User, c.user) && plainText(r.Program, c.program)
		service := len(r.Services) == 0
		for _, pattern := range r.Services {
			service = service || plainText(pattern, c.service) || !c.sid && (plainText(pattern, c.table) || plainDomainless(pattern, c.service) || plainDomainless(pattern, c.table))
		}
		switch {
		case !matches || !service:
		case r.Action == Log:
			logged = append(logged, i)
		default:
			return i, logged
		}
	}
	return -1, logged
}

func plainlyTakes(p HostPattern, text string, addresses []netip.Addr) bool {
	if p.Any || p.Name != "" && strings.EqualFold(p.Name, text) {
		return true
	}
	for _, a := range addresses {
		if p.Network.IsValid() && p.Network.Contains(a.Unmap()) {
			return true
		}
		for _, meant := range hostsOfTest(context.Background(), strings.ToLower(p.Name)) {
			if meant.Unmap() == a.Unmap() {
				return true
			}
		}
	}
	return false
}

// plainDomainless tells whether a pattern without a domain means the service in that of text.
func plainDomainless(pattern, text string) bool {
	short, _, qualified := strings.Cut(text, ".")
	return qualified && short != "" && !strings.Contains(pattern, ".") && plainText(pattern, short)
}

func plainText(pattern, text string) bool {
	if pattern == "" {
		return true
	}
	expression := "(?is)^" + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, ".*") + "$"
	return regexp.MustCompile(expression).MatchString(text)
}

// drawing draws rules and connects from few words, so that they meet.
type drawing struct{ *rapid.T }

func (d drawing) of(label string, words ...string) string {
	return rapid.SampledFrom(words).Draw(d.T, label)
}

func (d drawing) pattern(label string) string {
	return rapid.OneOf(rapid.SampledFrom([]string{"*", "*", "a", "ab", "sales", "SALES", "sal*", "*les", "s*s", "sales.x", "*.x", "sales.*", "a*.x"}), rapid.StringMatching(`[ab*]{1,4}`)).Draw(d.T, label)
}

func (d drawing) text(label string) string {
	return rapid.OneOf(rapid.SampledFrom([]string{"a", "ab", "sales", "Sales", "saves", "sales.x", "Sales.y", "ab.x"}), rapid.StringMatching(`[ab]{0,4}`)).Draw(d.T, label)
}

func (d drawing) host(label string) string {
	return d.of(label, "*", "*", "nosuch", "nosuch", "unheard-of", "10.1.2.3", "10.1.2.0/24", "10.1.0.0/16", "10.9.0.0/16", "10.9.0.1", "0.0.0.0/0", "::/0", "2001:db8::/32", "2001:db8::3",
		"apphost", "apphost6", "both", "db1", "db1-alias", "DB2", "scan", "nosuch")
}

func (d drawing) rules(most int) Rules {
	rules := Rules{}
	for range rapid.IntRange(0, most).Draw(d.T, "rules") {
		var b strings.Builder
		fmt.Fprintf(&b, "%s %s %s %s", d.host("src"), d.host("dst"), d.pattern("srv"), d.of("act", "accept", "reject", "drop", "log", "log"))
		for _, condition := range []string{"USER", "PROGRAM"} {
			if rapid.IntRange(0, 3).Draw(d.T, condition+"?") == 0 {
				fmt.Fprintf(&b, " %s=%s", condition, d.pattern(condition))
			}
		}
		rules = append(rules, ruleOf(d.T, b.String()))
	}
	return rules
}

func (d drawing) connect() connectOf {
	return connectOf{
		from:    d.of("from", "10.1.2.3", "10.1.2.9", "10.1.9.9", "10.2.0.1", "2001:db8::3", "2001:db9::1"),
		service: d.text("asked"), table: d.text("table"), sid: rapid.Bool().Draw(d.T, "sid"), user: d.text("user"), program: d.text("program"),
	}
}

func (d drawing) destination() string {
	return d.of("host", "db1", "db2", "DB1", "db6", "scan", "10.9.0.1", "10.1.2.3", "2001:db8::3", "nosuch", "unheard-of")
}

func (c connectOf) subject() subject {
	return subject{client: netip.MustParseAddr(c.from), asked: c.service, bySID: c.sid, user: c.user, program: c.program}.folded()
}

func candidateAt(host, service string) servicetable.Candidate {
	return servicetable.Candidate{Service: &servicetable.Service{Name: service}, Handler: &servicetable.Handler{Host: host}}
}

func candidatesAt(hosts ...string) []servicetable.Candidate {
	var all []servicetable.Candidate
	for _, host := range hosts {
		all = append(all, candidateAt(host, "sales"))
	}
	return all
}

// compiledAnyhow is compiled for where there is no testing.TB.
func compiledAnyhow(rules Rules) *RuleSet {
	set := CompileRules(rules, nil)
	set.Refresh(context.Background(), hostsOfTest)
	return set
}

// The prepared set decides as the plain list does, for one connect after the other.
func TestRuleSetDecidesAsTheListDoes(t *testing.T) { rapid.Check(t, decidesAsTheListDoes) }

func decidesAsTheListDoes(t *rapid.T) {
	d := drawing{t}
	rules := d.rules(rapid.SampledFrom([]int{5, 20, 200}).Draw(t, "most"))
	set := compiledAnyhow(rules)
	for range 4 {
		c := d.connect()
		m := set.begin(c.subject())
		var wantLogged []int
		for range 3 {
			host := d.destination()
			c.table = rapid.OneOf(rapid.Just(c.table), rapid.Just(d.text("other table"))).Draw(t, "table")
			want, logged := plainly(rules, c, host)
			for _, i := range logged {
				if !slices.Contains(wantLogged, i) {
					wantLogged = append(wantLogged, i)
				}
			}
			if got := m.decide(context.Background(), candidateAt(host, c.table), byHost(hostsOfTest)); got != want {
				t.Fatalf("%+v to %s: rule %d, want %d, of\n%s", c, host, got, want, listed(rules))
			}
		}
		if !slices.Equal(m.logged, wantLogged) {
			t.Fatalf("%+v: logged %v, want %v, of\n%s", c, m.logged, wantLogged, listed(rules))
		}
		m.end()
	}
}

func listed(rules Rules) string {
	var b strings.Builder
	for i, r := range rules {
		fmt.Fprintf(&b, "%d: %s\n", i, r.Text)
	}
	return b.String()
}

// manyRules are ten thousand rules of a kind, of which the last matches.
func manyRules(t testing.TB, kind string) (Rules, connectOf, string) {
	const n = 10_000
	c, host := connectOf{from: "10.1.2.3", service: "SALES", table: "sales.example.com", user: "scott", program: "sqlplus"}, "10.9.0.1"
	line := func(i int) string { return "* * hr accept" }
	switch kind {
	case "services":
		line = func(i int) string { return fmt.Sprintf("* * app%d accept", i) }
	case "patterns":
		line = func(i int) string { return fmt.Sprintf("* * app%d*x accept", i) }
	case "patterns within":
		line = func(i int) string { return fmt.Sprintf("* * *app%d* accept", i) }
	case "sources":
		line = func(i int) string { return fmt.Sprintf("10.%d.%d.0/%d * * reject", 2+i/256, i%256, 24+i%8) }
	case "nested sources":
		line = func(i int) string { return fmt.Sprintf("10.0.0.0/%d db%d * reject", 8+i%8, i+3) }
	case "destinations":
		line = func(i int) string { return fmt.Sprintf("* 10.%d.%d.0/24 * reject", 10+i/256, i%256) }
	case "destination names":
		host = "db1"
		line = func(i int) string { return fmt.Sprintf("* host%d * reject", i) }
	case "source names":
		line = func(i int) string { return fmt.Sprintf("host%d * * reject", i) }
	case "users":
		line = func(i int) string { return fmt.Sprintf("* * * reject USER=u%d", i) }
	case "mixed":
		line = func(i int) string {
			return fmt.Sprintf("10.%d.0.0/16 10.%d.%d.0/24 app%d* accept", 2+i%250, 10+i/256, i%256, i)
		}
	}
	var rules Rules
	for i := range n - 1 {
		rules = append(rules, ruleOf(t, line(i)))
	}
	return append(rules, ruleOf(t, "* * * accept")), c, host
}

var kindsOfMany = []string{"services", "patterns", "patterns within", "sources", "nested sources", "destinations", "destination names", "source names", "users", "mixed"}

func BenchmarkTenThousandRules(b *testing.B) {
	for _, kind := range kindsOfMany {
		rules, c, host := manyRules(b, kind)
		set := compiled(b, rules)
		candidate, addresses := candidateAt(host, c.table), hostsOfTest(context.Background(), host)
		b.Run(kind, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				m := set.begin(c.subject())
				if m.decide(b.Context(), candidate, byHost(func(context.Context, string) []netip.Addr { return addresses })) != len(rules)-1 {
					b.Fatal("another rule decides")
				}
				m.end()
			}
		})
	}
}

func BenchmarkCompileTenThousandRules(b *testing.B) {
	rules, _, _ := manyRules(b, "mixed")
	for b.Loop() {
		CompileRules(rules, nil)
	}
}

// What ten thousand rules may take: no more than two allocations a connect, and memory in
// proportion. BenchmarkTenThousandRules tells of the time.
func TestTenThousandRulesAreCheap(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles a hundred thousand rules")
	}
	for _, kind := range kindsOfMany {
		rules, c, host := manyRules(t, kind)
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		set := compiled(t, rules)
		runtime.GC()
		runtime.ReadMemStats(&after)
		if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 30<<20 {
			t.Errorf("%s: %d MB", kind, grown>>20)
		}
		candidate, who := candidateAt(host, c.table), c.subject()
		decide := func() {
			m := set.begin(who)
			if got := m.decide(t.Context(), candidate, byHost(func(context.Context, string) []netip.Addr { return nil })); got != len(rules)-1 {
				t.Fatalf("%s: rule %d decides", kind, got)
			}
			m.end()
		}
		n := testing.AllocsPerRun(100, decide)
		for try := 0; n > 2 && try < 10; try++ { // a pool may have been emptied meanwhile
			n = testing.AllocsPerRun(100, decide)
		}
		if n > 2 {
			t.Errorf("%s: %v allocations", kind, n)
		}
		runtime.KeepAlive(set)
	}
}
