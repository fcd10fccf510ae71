package registration

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"servicebroker/servicetable"
)

// prodAndTest are two databases, the first in two places.
func prodAndTest() []RegistrantRule {
	return []RegistrantRule{
		{Name: "prod", Sources: []string{"10.1.0.0/16", "db1"}, Services: []string{"sales*", "hr.example.com"}, Handlers: []string{"10.1.*", "db1"}, Tier: 0, Zone: "a", Line: 12},
		{Name: "Prod", Sources: []string{"10.2.0.0/16"}, Tier: 1, Zone: "b", Line: 13},
		{Name: "test", Sources: []string{"10.3.0.0/16"}, Services: []string{"test"}, Line: 14},
	}
}

func mustRegistrants(tb testing.TB, rules ...RegistrantRule) *Registrants {
	tb.Helper()
	g, err := NewRegistrants(rules)
	if err != nil {
		tb.Fatal(err)
	}
	g.Resolve = func(ctx context.Context, host string) ([]netip.Addr, error) {
		switch host {
		case "inside":
			return []netip.Addr{netip.MustParseAddr("10.1.2.9")}, nil
		case "astride":
			return []netip.Addr{netip.MustParseAddr("10.1.2.9"), netip.MustParseAddr("192.0.2.66")}, nil
		}
		return someNames(ctx, host)
	}
	return g
}

// from is a registration of an instance from a peer, with services served by one handler at host.
func from(peer, host string, services ...string) *servicetable.Registration {
	r := &servicetable.Registration{ID: "c", Instance: "orcl1", Host: "db1", RegisteredAt: time.Unix(1000, 0)}
	if peer != "" {
		r.Peer = netip.MustParseAddr(peer)
	}
	h := servicetable.Handler{Name: "DEDICATED", Host: host, Port: 1521}
	for i, name := range services {
		r.Services = append(r.Services, servicetable.Service{Name: name, Flags: servicetable.FlagUnblocked})
		h.Services = append(h.Services, i)
	}
	r.Handlers = []servicetable.Handler{h}
	return r
}

// verdictOn renders what was made of r: whose it is, and which services are quarantined.
func verdictOn(r *servicetable.Registration) string {
	text := fmt.Sprintf("%s/%d/%s", r.Database, r.Tier, r.Zone)
	for _, s := range r.Services {
		for _, m := range s.Marks {
			text += fmt.Sprintf(" -%s(%s)", s.Name, m.Kind)
		}
	}
	return strings.ReplaceAll(text, "(quarantined)", "")
}

func TestJudge(t *testing.T) {
	for _, c := range []struct {
		name string
		r    *servicetable.Registration
		want string
	}{
		{"one of prod's", from("10.1.2.3", "10.1.2.3", "sales", "salesXDB", "hr.example.com", "other"), "prod/0/a"},
		{"one of prod's by name", from("192.0.2.11", "10.1.2.3", "sales"), "prod/0/a"},
		{"prod in the other place", from("10.2.2.3", "10.9.9.9", "sales", "HR.example.com"), "Prod/1/b"},
		{"mapped address", from("::ffff:10.2.2.3", "10.9.9.9", "sales"), "Prod/1/b"},
		{"prod offers what nobody claims, test what is prod's", from("10.3.2.3", "10.3.2.3", "SALES", "other", "hr", "test"), "test/0/ -SALES -hr"},
		{"prod offers what is test's", from("10.1.2.3", "10.1.2.3", "test", "sales"), "prod/0/a -test"},
		{"a stranger", from("192.0.2.66", "192.0.2.66", "sales.evil.org", "Salesforce", "mysales", "hr.evil.org", "hr", "test.x"), "/0/ -sales.evil.org -Salesforce -hr -test.x"},
		{"over a Unix socket", from("", "127.0.0.1", "sales", "other"), "/0/ -sales"},
		{"handler elsewhere", from("10.1.2.3", "10.3.2.3", "sales", "other"), "prod/0/a -sales -other"},
		{"handler by a listed name", from("10.1.2.3", "DB1.", "sales"), "prod/0/a"},
		{"handler by another name of one listed", from("10.1.2.3", "db1.example.com", "sales"), "prod/0/a"},
		{"handler by a name inside", from("10.1.2.3", "inside", "sales"), "prod/0/a"},
		{"handler by a name inside and outside", from("10.1.2.3", "Astride", "sales"), "prod/0/a -sales"},
		{"handler by an unknown name", from("10.1.2.3", "nowhere", "sales"), "prod/0/a -sales"},
		{"handler without an address", withPort(from("10.1.2.3", "10.3.2.3", "sales"), 0), "prod/0/a"},
		{"static", static(from("", "10.2.2.3", "sales", "test")), "Prod/1/b"},
		{"static by name", static(from("", "Db1", "sales")), "prod/0/a"},
		{"static, nobody's", static(from("", "192.0.2.66", "sales")), "/0/"},
		{"static without a handler", withoutHandlers(static(from("", "", "sales"))), "/0/"},
		{"an instance's name", named(from("192.0.2.66", "192.0.2.66", "mine", "own"), "sales1"), "/0/ -mine -own"},
		{"an instance's name, its own", named(from("10.2.2.3", "10.2.2.3", "mine"), "sales1"), "Prod/1/b"},
	} {
		g := mustRegistrants(t, prodAndTest()...)
		if judge(g, c.r); verdictOn(c.r) != c.want {
			t.Errorf("%s: %s, want %s", c.name, verdictOn(c.r), c.want)
		}
		if g.Judge(c.r) {
			t.Errorf("%s: judged again, and something changed: %s", c.name, verdictOn(c.r))
		}
	}
}

// judge looks up what judging r takes, and judges it.
func judge(g *Registrants, r *servicetable.Registration) (changed bool) {
	g.Refresh(context.Background(), []*servicetable.Registration{r})
	return g.Judge(r)
}

func withPort(r *servicetable.Registration, port int) *servicetable.Registration {
	r.Handlers[0].Port = port
	return r
}

func static(r *servicetable.Registration) *servicetable.Registration {
	r.Static, r.Peer = true, netip.Addr{}
	return r
}

func withoutHandlers(r *servicetable.Registration) *servicetable.Registration {
	r.Handlers = nil
	return r
}

func named(r *servicetable.Registration, instance string) *servicetable.Registration {
	r.Instance = instance
	return r
}

func TestOnlyServicesOfTheHandlerElsewhereAreQuarantined(t *testing.T) {
	r := from("10.1.2.3", "10.1.2.3", "sales", "hr", "both")
	r.Handlers[0].Services = []int{0, 2}
	r.Handlers = append(r.Handlers, servicetable.Handler{Name: "D000", Host: "10.3.2.3", Port: 4000, Services: []int{1, 2, 7, -1}})
	mustRegistrants(t, prodAndTest()...).Judge(r)
	if want := "prod/0/a -hr -both"; verdictOn(r) != want {
		t.Errorf("%s, want %s", verdictOn(r), want)
	}
	if cause := r.Services[1].Marks[0].Cause; !strings.Contains(cause, `"D000"`) || !strings.Contains(cause, "10.3.2.3") || !strings.Contains(cause, "HANDLERS of REGISTRANT prod (line 12)") {
		t.Error(cause)
	}
}

func TestRegistrantsByCertificate(t *testing.T) {
	rules := []RegistrantRule{
		{Name: "both", Sources: []string{"10.1.*"}, DN: "CN=db1,O=Acme", Services: []string{"s"}},
		{Name: "dn", DN: "O=Other, CN=db2", Services: []string{"s"}},
	}
	for _, c := range []struct{ peer, dn, want string }{
		{"10.1.2.3", "o=acme, cn=DB1", "both/0/"},
		{"10.1.2.3", "CN=db1", "/0/ -s"},
		{"10.1.2.3", "", "/0/ -s"},
		{"10.2.2.3", "CN=db1,O=Acme", "/0/ -s"},
		{"10.2.2.3", "CN=db2,O=Other", "dn/0/"},
		{"10.2.2.3", `CN=db2\,O=Other`, "/0/ -s"},
	} {
		r := from(c.peer, "10.1.2.3", "s")
		r.PeerDN = c.dn
		if mustRegistrants(t, rules...).Judge(r); verdictOn(r) != c.want {
			t.Errorf("%+v: %s", c, verdictOn(r))
		}
	}
	r := from("10.2.2.3", "10.1.2.3", "s")
	r.PeerDN = "CN=stranger"
	mustRegistrants(t, rules...).Judge(r)
	if cause := r.Services[0].Marks[0].Cause; !strings.Contains(cause, `certificate "CN=stranger"`) || !strings.Contains(cause, "DN") {
		t.Error(cause)
	}
}

func TestOperatorsDecide(t *testing.T) {
	g := mustRegistrants(t, prodAndTest()...)
	decisions := map[string]string{}
	g.Decided = func(id string) (approved, rejected bool) { return decisions[id] == "yes", decisions[id] == "no" }
	r := from("192.0.2.66", "192.0.2.66", "sales", "hr")
	if !g.Judge(r) || verdictOn(r) != "/0/ -sales -hr" {
		t.Fatal(verdictOn(r))
	}
	id := QuarantineID(r, &r.Services[0])
	m := r.Services[0].Marks[0]
	for _, part := range []string{`service "sales"`, "REGISTRANT prod (line 12)", "192.0.2.66", "SRC", "approve " + id} {
		if !strings.Contains(m.Cause, part) {
			t.Errorf("%q does not say %s", m.Cause, part)
		}
	}
	if !m.Since.Equal(r.RegisteredAt) {
		t.Errorf("since %v", m.Since)
	}
	decisions[id] = "yes"
	if !g.Judge(r) || verdictOn(r) != "/0/ -hr" {
		t.Errorf("approved: %s", verdictOn(r))
	}
	decisions[id] = "no"
	if !g.Judge(r) || verdictOn(r) != "/0/ -sales -hr" || !strings.HasPrefix(r.Services[0].Marks[0].Cause, "rejected by an operator: ") {
		t.Errorf("rejected: %s, %+v", verdictOn(r), r.Services[0].Marks)
	}
	list := g.Quarantine([]*servicetable.Registration{from("10.1.2.3", "10.1.2.3", "sales"), r})
	want := []QuarantineEntry{
		{ID: QuarantineID(r, &r.Services[1]), Service: "hr", Instance: "orcl1@db1", Peer: r.Peer, Database: "prod", Cause: r.Services[1].Marks[0].Cause, Since: r.RegisteredAt},
		{ID: id, Service: "sales", Instance: "orcl1@db1", Peer: r.Peer, Database: "prod", Cause: r.Services[0].Marks[0].Cause, Since: r.RegisteredAt, Rejected: true},
	}
	if diff := cmp.Diff(want, list, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("quarantine (-want +got):\n%s", diff)
	}
	elsewhere := from("10.1.2.3", "10.3.2.3", "own")
	g.Judge(elsewhere)
	if list := g.Quarantine([]*servicetable.Registration{elsewhere}); len(list) != 1 || list[0].Database != "prod" || list[0].Service != "own" {
		t.Errorf("handlers elsewhere: %+v", list)
	}
}

func TestQuarantineIDs(t *testing.T) {
	id := func(peer, instance, service string) string {
		r := named(from(peer, "h", service), instance)
		return QuarantineID(r, &r.Services[0])
	}
	base := id("192.0.2.66", "i1", "sales")
	if len(base) != 16 || strings.Trim(base, "abcdefghijklmnopqrstuvwxyz234567") != "" || base != id("::ffff:192.0.2.66", "I1", "SALES") {
		t.Errorf("%q, and for another spelling %q", base, id("::ffff:192.0.2.66", "I1", "SALES"))
	}
	for _, other := range []string{id("192.0.2.67", "i1", "sales"), id("192.0.2.66", "i2", "sales"), id("192.0.2.66", "i1", "hr"), id("", "i1", "sales")} {
		if other == base {
			t.Error("two services have one ID")
		}
	}
}

func TestRulesThatAreGone(t *testing.T) {
	for name, g := range map[string]*Registrants{"nil": nil, "zero": {}, "none": mustRegistrants(t)} {
		r := from("192.0.2.66", "192.0.2.66", "sales")
		mustRegistrants(t, prodAndTest()...).Judge(r)
		r.Database, r.Tier, r.Zone, r.Marks = "old", 3, "z", []servicetable.Mark{{Kind: servicetable.Quarantined}, {Kind: servicetable.Draining}}
		if !g.Judge(r) || verdictOn(r) != "/0/" || len(r.Marks) != 1 {
			t.Errorf("%s: %s, %v", name, verdictOn(r), r.Marks)
		}
		if g.Judge(r) || g.Quarantine([]*servicetable.Registration{r}) != nil {
			t.Errorf("%s: not at rest", name)
		}
		g.Refresh(t.Context(), []*servicetable.Registration{r})
	}
}

func TestRegistrantRulesThatMakeNoSense(t *testing.T) {
	for _, c := range []struct {
		rule RegistrantRule
		says string
	}{
		{RegistrantRule{Sources: []string{"*"}, Line: 7}, "REGISTRANT (line 7): it has no name"},
		{RegistrantRule{Name: "p", Services: []string{"s"}}, "REGISTRANT p: it does not say whom"},
		{RegistrantRule{Name: "p", Sources: []string{"10.1"}}, `SRC: node "10.1" is no IP address`},
		{RegistrantRule{Name: "p", Sources: []string{"*"}, Handlers: []string{"db1:1521"}}, `HANDLERS: node "db1:1521"`},
		{RegistrantRule{Name: "p", Sources: []string{"*"}, Services: []string{"a", " "}}, "SERVICES has an empty name"},
		{RegistrantRule{Name: "p", Sources: []string{"*"}, Tier: -1}, "TIER=-1"},
	} {
		if g, err := NewRegistrants([]RegistrantRule{{Name: "ok", DN: "CN=x"}, c.rule}); err == nil || g != nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: %v, want %s", c.rule, err, c.says)
		}
	}
}

// After Refresh nothing is looked up while registrations are judged.
func TestRefreshLooksUpAhead(t *testing.T) {
	g := mustRegistrants(t, prodAndTest()...)
	var asked []string
	g.Resolve = func(ctx context.Context, host string) ([]netip.Addr, error) {
		asked = append(asked, host)
		return someNames(ctx, host)
	}
	r := from("10.1.2.3", "db1.example.com", "sales")
	for i := range 2 * maxHandlerNames {
		r.Handlers = append(r.Handlers, servicetable.Handler{Host: fmt.Sprintf("h%d", i), Port: 1})
	}
	stranger := from("192.0.2.66", "elsewhere.example.org", "sales")
	g.Refresh(t.Context(), nil)
	if diff := cmp.Diff([]string{"db1"}, asked); diff != "" {
		t.Errorf("looked up for the rules alone (-want +got):\n%s", diff)
	}
	lock := make(chan struct{}, 1) // Refresh looks several names up at a time
	g.names.resolve = func(ctx context.Context, host string) ([]netip.Addr, error) {
		lock <- struct{}{}
		defer func() { <-lock }()
		return g.Resolve(ctx, host)
	}
	g.Refresh(t.Context(), []*servicetable.Registration{r, stranger})
	if len(asked) != 1+maxHandlerNames || slices.Contains(asked, "elsewhere.example.org") || !slices.Contains(asked, "db1.example.com") {
		t.Errorf("looked up %d names: %q", len(asked), asked)
	}
	before := len(asked)
	g.Judge(r)
	g.Judge(stranger)
	if len(asked) != before {
		t.Errorf("judging looked up %q", asked[before:])
	}
}

// However many names there are that nobody answers for, judging takes no time, also when what is known is old.
func TestJudgingNeverLooksUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := mustRegistrants(t, RegistrantRule{Name: "prod", Sources: []string{"10.1.0.0/16", "db1"}, Handlers: []string{"10.1.*"}})
		silent := resolver{takes: time.Hour}
		g.Resolve = silent.resolve
		var all []*servicetable.Registration
		for i := range 100 {
			all = append(all, from("10.1.2.3", fmt.Sprintf("h%d", i), "sales"))
		}
		judgeAll := func(when string) {
			t.Helper()
			asked, began := silent.asked.Load(), time.Now()
			for i, r := range all {
				if g.Judge(r); !slices.ContainsFunc(r.Services[0].Marks, isQuarantined) {
					t.Errorf("%s: a handler at h%d, of which nothing is known, is where it may be", when, i)
				}
			}
			if took := time.Since(began); took != 0 || silent.asked.Load() != asked {
				t.Errorf("%s: judging took %v and %d lookups", when, took, silent.asked.Load()-asked)
			}
		}
		judgeAll("before anything is looked up")
		began := time.Now()
		g.Refresh(t.Context(), all)
		if took := time.Since(began); took > 4*lookupTime {
			t.Errorf("looking up took %v", took)
		}
		judgeAll("after looking up")
		pass(2 * lookupFresh)
		judgeAll("long after")
	})
}

// What was looked up counts until something else is, also under rules that come later.
func TestJudgingRemembersWhatWasLookedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rule := RegistrantRule{Name: "prod", Sources: []string{"10.1.0.0/16"}, Handlers: []string{"10.1.*"}}
		g := mustRegistrants(t, rule)
		r := from("10.1.2.3", "inside", "sales")
		judge(g, r)
		pass(2 * lookupFresh)
		next := mustRegistrants(t, rule)
		next.Follow(g)
		for when, g := range map[string]*Registrants{"long after": g, "under new rules": next} {
			if g.Judge(r); verdictOn(r) != "prod/0/" {
				t.Errorf("%s: %s", when, verdictOn(r))
			}
		}
		g.names.resolve = (&resolver{takes: time.Hour}).resolve
		var all []*servicetable.Registration
		for i := range 100 { // of which many come before it, and have their time
			all = append(all, from("10.1.2.3", fmt.Sprintf("h%d", i), "sales"))
		}
		g.Refresh(t.Context(), append(all, r))
		if g.Judge(r); verdictOn(r) != "prod/0/" {
			t.Errorf("while nobody answers: %s", verdictOn(r))
		}
	})
}

func TestUnresolvedSourcesAreNamed(t *testing.T) {
	g := mustRegistrants(t, RegistrantRule{Name: "p", Sources: []string{"slow"}, Services: []string{"s"}})
	r := from("10.1.2.3", "10.1.2.3", "s")
	judge(g, r)
	if len(r.Services[0].Marks) != 1 || !strings.Contains(r.Services[0].Marks[0].Cause, "could not look up slow: ") {
		t.Errorf("%+v", r.Services[0].Marks)
	}
}

var (
	genPeer    = rapid.SampledFrom([]string{"", "10.1.2.3", "10.2.2.3", "10.3.2.3", "192.0.2.66", "192.0.2.11"})
	genService = rapid.SampledFrom([]string{"sales", "SALES.x", "hr", "hr.example.com", "hr.x", "test", "free", "test.a.b"})
)

// Whatever registers: judging settles at once, leaves other marks alone, writes into no list it was given, and trusts whoever
// has a rule of the database that claims the name.
func TestJudgementsSettle(t *testing.T) {
	g := mustRegistrants(t, prodAndTest()...)
	allowed := map[string]string{"10.1.2.3": "shr", "192.0.2.11": "shr", "10.2.2.3": "shr", "10.3.2.3": "t"} // by first letter of the service
	rapid.Check(t, func(t *rapid.T) {
		peer := genPeer.Draw(t, "peer")
		r := from(peer, rapid.SampledFrom([]string{"10.1.2.3", "10.3.2.3", "db1"}).Draw(t, "handler"), rapid.SliceOfNDistinct(genService, 0, 4, strings.ToLower).Draw(t, "services")...)
		other := servicetable.Mark{Kind: servicetable.Draining, Cause: "other"}
		given := []servicetable.Mark{{Kind: servicetable.Quarantined, Cause: "old"}, other}
		for i := range r.Services {
			if rapid.Bool().Draw(t, "marked") {
				r.Services[i].Marks = given
			}
		}
		marked := make([]bool, len(r.Services))
		for i := range r.Services {
			marked[i] = r.Services[i].Marks != nil
		}
		judge(g, r)
		first := fmt.Sprintf("%+v", *r)
		if g.Judge(r) || fmt.Sprintf("%+v", *r) != first {
			t.Fatalf("not settled:\n%s\n%+v", first, *r)
		}
		if given[0].Cause != "old" || given[1] != other {
			t.Fatalf("wrote into the list given: %+v", given)
		}
		outside := r.Database == "prod" && r.Handlers[0].Host == "10.3.2.3"
		for i, s := range r.Services {
			claimed := !strings.HasPrefix(s.Name, "free") && s.Name != "hr.x" && !strings.Contains(allowed[peer], strings.ToLower(s.Name[:1]))
			got := slices.ContainsFunc(s.Marks, isQuarantined)
			if got != (claimed || outside) || marked[i] != slices.Contains(s.Marks, other) {
				t.Fatalf("%s from %q at %s: %+v", s.Name, peer, r.Handlers[0].Host, s.Marks)
			}
		}
	})
}

func BenchmarkJudge(b *testing.B) {
	g := mustRegistrants(b, prodAndTest()...)
	var names []string
	for i := range 10_000 {
		names = append(names, fmt.Sprintf("service%05d.example.com", i))
	}
	r := from("10.1.2.3", "10.1.2.3", names...)
	for b.Loop() {
		g.Judge(r)
	}
}
