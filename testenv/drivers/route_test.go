package drivers

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"servicebroker/tns"
)

// loopbackMeant is a rule that lets clients' own routes lead to where the tests are.
var loopbackMeant = []string{"RULE=(SRC=*)(DST=127.0.0.0/8)(SRV=*)(ACT=accept)"}

// routeForms are the ways in which a route is written; drivers send them in ways of their own. What a driver leaves out of
// what it sends, no broker can follow: python-oracledb 1 a SOURCE_ROUTE within a list, node-oracledb all addresses of a
// list but one; of several lists node-oracledb connects to none.
var routeForms = []struct {
	name  string
	write func(stops []string) string
	not   []string // drivers that do not send it
}{
	{"in the list", func(stops []string) string {
		return "(ADDRESS_LIST=(SOURCE_ROUTE=yes)" + strings.Join(stops, "") + ")"
	}, []string{"python-oracledb"}},
	{"in the description", func(stops []string) string { return "(SOURCE_ROUTE=on)" + strings.Join(stops, "") }, nil},
	{"above one list", func(stops []string) string { return "(SOURCE_ROUTE=yes)(ADDRESS_LIST=" + strings.Join(stops, "") + ")" }, []string{"node-oracledb"}},
	{"a list for each hop", func(stops []string) string {
		return "(SOURCE_ROUTE=on)(ADDRESS_LIST=" + strings.Join(stops, ")(ADDRESS_LIST=") + ")"
	}, []string{"node-oracledb"}},
}

func routeText(form func([]string) string, connectData string, addresses ...string) string {
	stops := make([]string, len(addresses))
	for i, a := range addresses {
		stops[i] = addressText(a)
	}
	return "(DESCRIPTION=" + form(stops) + "(CONNECT_DATA=" + connectData + "))"
}

// Every driver gets through chains of brokers in every form that it sends: to an address that no
// broker has heard of, and to a service that is registered with the last of them.
func TestSourceRoutes(t *testing.T) {
	var chain []string
	var last *broker
	for range 3 {
		last = startBroker(t, brokerOptions{rules: loopbackMeant})
		chain = append(chain, last.address)
	}
	unknown := startDatabase(t, databaseOptions{instance: "apart", services: []string{"sales"}})
	startDatabase(t, databaseOptions{instance: "known", services: []string{"sales"}, brokers: chain[2:]})
	last.awaitService(t, "sales", "READY", 1)
	eachDriver(t, func(t *testing.T, d Driver) {
		for _, form := range routeForms {
			if slices.Contains(form.not, d.Name()) {
				continue
			}
			for name, addresses := range map[string][]string{
				"one broker":                        {chain[0], unknown.address},
				"two brokers":                       {chain[0], chain[1], unknown.address},
				"three brokers":                     {chain[0], chain[1], chain[2], unknown.address},
				"three brokers, by registration":    chain,
				"three brokers, the first unlisted": {chain[1], chain[2], unknown.address},
			} {
				t.Run(form.name+", "+name, func(t *testing.T) {
					want := "apart"
					if strings.Contains(name, "registration") {
						want = "known"
					}
					got, err := visited(work(t, d, visit(routeText(form.write, "(SERVICE_NAME=sales)", addresses...)), nil))
					if err != nil || got != want {
						t.Errorf("came to %q, %v; want %s", got, err, want)
					}
				})
			}
		}
	})
}

// A whole chain may be as long as it likes, and a circle ends.
func TestLongRoutesAndCircles(t *testing.T) {
	a := startBroker(t, brokerOptions{rules: loopbackMeant})
	b := startBroker(t, brokerOptions{rules: loopbackMeant})
	database := startDatabase(t, databaseOptions{instance: "apart", services: []string{"sales"}})
	var there []string
	for range 10 {
		there = append(there, a.address, b.address)
	}
	got, err := visited(work(t, GoOra{}, visit(routeText(routeForms[0].write, "(SERVICE_NAME=sales)", append(there, database.address)...)), nil))
	if err != nil || got != "apart" {
		t.Errorf("through 20 hops came to %q, %v", got, err)
	}
	forth := startBroker(t, brokerOptions{rules: loopbackMeant})
	back := startBroker(t, brokerOptions{rules: loopbackMeant, parameters: []string{"NEXT_HOP=(DESCRIPTION=" + addressText(forth.address) + ")"}})
	forth.rewrite(t, brokerOptions{listen: forth.address, console: forth.console, rules: loopbackMeant, parameters: []string{"NEXT_HOP=(DESCRIPTION=" + addressText(back.address) + ")"}})
	results := work(t, GoOra{}, []Step{open("c", forth.descriptor("(SERVICE_NAME=sales)"))}, nil)
	if !strings.Contains(results[0].Error, "12574") {
		t.Errorf("a circle says %q", results[0].Error)
	}
}

// rewrite has the broker run by other options.
func (b *broker) rewrite(t *testing.T, o brokerOptions) {
	t.Helper()
	must(t, os.WriteFile(b.ConfigFile(), o.stage().CMANOra(filepath.Dir(b.ConfigFile())), 0o600))
	b.reload(t)
}

func (b *broker) reload(t *testing.T) {
	t.Helper()
	must(t, b.Change("POST", "/api/v1/reload", nil, nil))
}

// What the next hop's own broker is called is the operator's affair: clients name a service.
func TestNextHopAndAliases(t *testing.T) {
	inner := startBroker(t, brokerOptions{})
	startDatabase(t, databaseOptions{instance: "db1", services: []string{"sales", "hr"}, brokers: []string{inner.address}})
	direct := startDatabase(t, databaseOptions{instance: "db2", services: []string{"erp"}})
	inner.awaitService(t, "sales", "READY", 1)
	next := startBroker(t, brokerOptions{rules: loopbackMeant, parameters: []string{"NEXT_HOP=(DESCRIPTION=(FAILOVER=on)" + addressText("127.0.0.1:9") + addressText(inner.address) + ")"}})
	outer := startBroker(t, brokerOptions{parameters: []string{"NEXT_HOP=(ADDRESS_LIST=(SOURCE_ROUTE=yes)" + addressText(next.address) + addressText(inner.address) + ")"}})
	names := startBroker(t, brokerOptions{parameters: []string{"USE_SERVICE_AS_TNSNAMES_ALIAS=on", "USE_SID_AS_SERVICE=on", "DEFAULT_SERVICE=money"}})
	aliases := fmt.Sprintf("MONEY =\n (DESCRIPTION=%s(CONNECT_DATA=(SERVICE_NAME=erp)))\nPEOPLE.EXAMPLE.COM = (DESCRIPTION=(SOURCE_ROUTE=on)%s%s(CONNECT_DATA=(SERVICE_NAME=hr)))\n",
		addressText(direct.address), addressText(next.address), addressText(inner.address))
	must(t, os.WriteFile(filepath.Join(filepath.Dir(names.ConfigFile()), "tnsnames.ora"), []byte(aliases), 0o600))
	names.reload(t)
	eachDriver(t, func(t *testing.T, d Driver) {
		for _, c := range []struct {
			by         *broker
			data, want string
		}{
			{next, "(SERVICE_NAME=sales)", "db1"},
			{outer, "(SERVICE_NAME=hr)", "db1"},
			{names, "(SERVICE_NAME=money)", "db2"},
			{names, "(SERVICE_NAME=money.example.com)", "db2"},
			{names, "(SERVICE_NAME=people)", "db1"},
			{names, "(SID=money)", "db2"},
		} {
			got, err := visited(work(t, d, visit(c.by.descriptor(c.data)), nil))
			if err != nil || got != c.want {
				t.Errorf("%s: came to %q, %v; want %s", c.data, got, err, c.want)
			}
		}
	})
	var e struct{ Outcome, Route string }
	must(t, next.getJSON("/api/v1/explain?descriptor=sales", &e))
	if e.Outcome != "relay" || !strings.HasPrefix(e.Route, "NEXT_HOP: 127.0.0.1:9, or ") {
		t.Errorf("explained as %+v", e)
	}
}

// An address of a hop that is gone is passed over, and a hop that restarts is waited for.
func TestHopsFailOverAndAreWaitedFor(t *testing.T) {
	first := startBroker(t, brokerOptions{rules: loopbackMeant, parameters: []string{"HOLD_TIMEOUT=20"}})
	one := startBroker(t, brokerOptions{rules: loopbackMeant})
	two := startBroker(t, brokerOptions{listen: freeAddress(t), rules: loopbackMeant})
	database := startDatabase(t, databaseOptions{instance: "apart", services: []string{"sales"}})
	text := "(DESCRIPTION=(SOURCE_ROUTE=on)(ADDRESS_LIST=" + addressText(first.address) + ")(ADDRESS_LIST=" + addressText(one.address) + addressText(two.address) + ")" +
		"(ADDRESS_LIST=" + addressText(database.address) + ")(CONNECT_DATA=(SERVICE_NAME=sales)))"
	steps := append(visit(text), Step{Do: Connect, On: "d", User: appUser, Password: appPassword, Target: text}, Step{Do: Query, On: "d", SQL: whereAmI})
	results := work(t, GoOra{}, steps, func(i int, _ Result) {
		if i == 2 {
			one.signal(t, syscall.SIGKILL)
			_, _ = one.waitExit(t, patience)
		}
	})
	for i, r := range results {
		if r.Error != "" {
			t.Errorf("step %d: %s", i, r.Error)
		}
	}
	two.signal(t, syscall.SIGKILL)
	_, _ = two.waitExit(t, patience)
	came := make(chan string, 1)
	go func() {
		results, err := GoOra{}.Run(t.Context(), visit(text), nil)
		if err != nil {
			came <- err.Error()
			return
		}
		instance, err := visited(results)
		came <- fmt.Sprint(instance, err)
	}()
	first.awaitHeld(t, 1)
	if held := first.held(t); !strings.HasPrefix(held.Held[0].Service, "sales via ") {
		t.Errorf("held as %q", held.Held[0].Service)
	}
	startBroker(t, brokerOptions{rules: loopbackMeant, listen: two.address})
	if got := <-came; got != "apart<nil>" {
		t.Errorf("after the hop was back: %s", got)
	}
}

// from asks for a service as a client at an address of its own would, and returns the refusal's code, 0 for none.
func (b *broker) from(t *testing.T, client, descriptor string) tns.Code {
	t.Helper()
	conn, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(client)}}).DialContext(t.Context(), "tcp", b.address)
	must(t, err)
	defer conn.Close()
	reply, err := tns.TryService(t.Context(), conn, []byte(descriptor))
	must(t, err)
	if refuse, refused := reply.(*tns.Refuse); refused {
		return refuse.Code()
	}
	return 0
}

// Several databases behind one broker: the clients of each network get to the host of their own
// database and to no other, by service, by instance and by a route of their own.
func TestNetworksAreKeptApart(t *testing.T) {
	b := startBroker(t, brokerOptions{rules: []string{
		"RULE=(SRC=127.0.1.0/24)(DST=127.0.0.2)(SRV=*)(ACT=accept)",
		"RULE=(SRC=127.0.2.0/24)(DST=127.0.0.3)(SRV=*)(ACT=accept)",
	}})
	databases := map[string]*database{}
	for i, host := range []string{"127.0.0.2", "127.0.0.3"} {
		databases[host] = startDatabase(t, databaseOptions{
			instance: fmt.Sprint("db", i+2), services: []string{"shared"}, brokers: []string{b.address}, arguments: []string{"--listen", host + ":0"},
		})
	}
	b.awaitService(t, "shared", "READY", 2)
	for _, c := range []struct{ client, own, other string }{{"127.0.1.9", "127.0.0.2", "127.0.0.3"}, {"127.0.2.9", "127.0.0.3", "127.0.0.2"}} {
		own, other := databases[c.own], databases[c.other]
		for data, want := range map[string]tns.Code{
			"(SERVICE_NAME=shared)": 0,
			"(SERVICE_NAME=shared)(INSTANCE_NAME=" + own.instance + ")":   0,
			"(SERVICE_NAME=shared)(INSTANCE_NAME=" + other.instance + ")": tns.CodeRuleRejects,
			"(SID=" + other.instance + ")":                                tns.CodeRuleRejects,
		} {
			for range 4 {
				if got := b.from(t, c.client, b.descriptor(data)); got != want {
					t.Errorf("%s from %s: %v, want %v", data, c.client, got, want)
				}
			}
		}
		form := routeForms[1].write
		if got := b.from(t, c.client, routeText(form, "(SERVICE_NAME=shared)", b.address, own.address)); got != 0 {
			t.Errorf("by a route to its own database from %s: %v", c.client, got)
		}
		if got := b.from(t, c.client, routeText(form, "(SERVICE_NAME=shared)", b.address, other.address)); got != tns.CodeRuleRejects {
			t.Errorf("by a route to another database from %s: %v", c.client, got)
		}
	}
	if got := b.from(t, "127.0.3.9", b.descriptor("(SERVICE_NAME=shared)")); got != tns.CodeRuleRejects {
		t.Errorf("from elsewhere: %v", got)
	}
}

// A database that restarts behind the last broker of a chain is waited for there, and by those before it.
func TestDatabasesBehindHopsAreWaitedFor(t *testing.T) {
	last := startBroker(t, brokerOptions{parameters: []string{"HOLD_TIMEOUT=30"}})
	first := startBroker(t, brokerOptions{parameters: []string{"HOLD_TIMEOUT=30", "NEXT_HOP=(DESCRIPTION=" + addressText(last.address) + ")"}})
	database := startDatabase(t, databaseOptions{instance: "db1", services: []string{"sales"}, brokers: []string{last.address}})
	last.awaitService(t, "sales", "READY", 1)
	if got, err := visited(work(t, GoOra{}, visit(first.descriptor("(SERVICE_NAME=sales)")), nil)); err != nil || got != "db1" {
		t.Fatalf("before: %q, %v", got, err)
	}
	database.signal(t, syscall.SIGKILL)
	_, _ = database.waitExit(t, patience)
	came := make(chan string, 1)
	go func() {
		results, err := GoOra{}.Run(t.Context(), visit(first.descriptor("(SERVICE_NAME=sales)")), nil)
		if err != nil {
			came <- err.Error()
			return
		}
		instance, err := visited(results)
		came <- fmt.Sprint(instance, err)
	}()
	first.awaitHeld(t, 1) // the next hop was silent for longer than one attempt may take
	must(t, database.Database.Restart(t.Context()))
	if got := <-came; got != "db1<nil>" {
		t.Errorf("after the database was back: %s", got)
	}
}

// Redirected drivers go where their network reaches an instance, which is not where the broker does.
func TestViewsOfRedirectedDrivers(t *testing.T) {
	database := startDatabase(t, databaseOptions{instance: "db1", services: []string{"sales"}, arguments: []string{"--listen", "127.0.0.2:0"}})
	_, port, _ := net.SplitHostPort(database.address)
	b := startBroker(t, brokerOptions{parameters: []string{
		"ROUTE=redirect", "REDIRECT_VERIFY=off", "PROBE_INTERVAL=0",
		"STATIC_SERVICE=(NAME=sales)(INSTANCE=db1)(ADDRESS=(PROTOCOL=tcp)(HOST=127.0.0.9)(PORT=9))",
		"VIEW=(CLIENTS=127.0.0.0/8)(MAP=(FROM=127.0.0.9:9)(TO=127.0.0.2:" + port + "))",
	}})
	eachDriver(t, func(t *testing.T, d Driver) {
		if got, err := visited(work(t, d, visit(b.descriptor("(SERVICE_NAME=sales)")), nil)); err != nil || got != "db1" {
			t.Errorf("came to %q, %v", got, err)
		}
	})
	if e := b.foresee(t, b.descriptor("(SERVICE_NAME=sales)")); e.Outcome != "redirect" || !strings.Contains(e.Text, "(HOST=127.0.0.2)(PORT="+port+")") {
		t.Errorf("foreseen as %+v", e)
	}
}
