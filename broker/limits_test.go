package broker

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"servicebroker/console"
	"servicebroker/limits"
	"servicebroker/relay"
	"servicebroker/servicetable"
	"servicebroker/tns"
)

// fromFile runs a broker by a file with these parameters, which can be rewritten.
func fromFile(t *testing.T, parameters string) (r *running, file string) {
	t.Helper()
	file = write(t, strings.Replace(reloaded, "%", parameters, 1))
	read, messages := ReadConfig(file, "")
	if err := messages.Err(); err != nil {
		t.Fatal(err)
	}
	for _, m := range messages {
		if strings.Contains(m.Text, "no effect") {
			t.Errorf("%v", m)
		}
	}
	return start(t, func(c *Config) {
		state := c.StateDirectory
		*c = *read
		c.StateDirectory, c.ConsoleAddress = state, "127.0.0.1:0"
	}), file
}

func (r *running) reload(file, parameters string) console.ReloadResult {
	r.t.Helper()
	r.rewrite(file, parameters)
	result, err := r.Reload(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return result
}

func asking(service string) string {
	return fmt.Sprintf("(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=%s)))", service)
}

// Sessions that are open count under limits that a reload brings.
func TestLimitsOfSessionsFollowReloads(t *testing.T) {
	r, file := fromFile(t, "(HOLD_TIMEOUT=0)(ACCEPT_QUEUE_WAIT=0)")
	r.register("a", "pay")
	r.register("b", "sales")
	r.session("pay")
	r.session("pay")
	result := r.reload(file, "(HOLD_TIMEOUT=0)(ACCEPT_QUEUE_WAIT=0)(SERVICE=(NAME=p*)(MAX_SESSIONS=2))")
	if fmt.Sprint(result.Changed) != "[SERVICE]" || len(result.NeedsRestart) > 0 {
		t.Errorf("%+v", result)
	}
	r.wantCode(asking("pay"), tns.CodeNoHandler)
	r.session("sales")
	r.reload(file, "(HOLD_TIMEOUT=0)(ACCEPT_QUEUE_WAIT=0)(MAX_SESSIONS=3)")
	r.wantCode(asking("sales"), tns.CodeNoHandler)
	r.reload(file, "(HOLD_TIMEOUT=0)(ACCEPT_QUEUE_WAIT=0)(TENANT=(NAME=one)(SERVICES=pay,sales)(MAX_SESSIONS=4))")
	conn, _ := r.session("sales")
	r.wantCode(asking("pay"), tns.CodeNoHandler)
	_ = conn.(*net.TCPConn).CloseWrite()
	if _, err := io.ReadAll(conn); err != nil { // until the other half has ended
		t.Fatal(err)
	}
	r.awaitSessions(3)
	r.session("pay")
}

func (r *running) awaitSessions(n int) {
	r.t.Helper()
	all := r.limiting.shares.Of(limits.OfAll, "")
	until(r.t, fmt.Sprintf("%d sessions are counted", n), func() bool { return all.Sessions.Counts().Now == n })
}

func TestRatesFollowReloads(t *testing.T) {
	r, file := fromFile(t, "(HOLD_TIMEOUT=0)(ACCEPT_QUEUE_WAIT=0)(SERVICE_RATE=2/min)")
	r.register("a", "pay")
	r.register("b", "sales")
	r.session("pay")
	r.wantCode(asking("pay"), tns.CodeRateLimit)
	r.session("sales") // each service by itself
	r.reload(file, "(HOLD_TIMEOUT=0)(ACCEPT_QUEUE_WAIT=0)(SERVICE=(NAME=pay)(RATE=1000))(SERVICE_RATE=2/min)")
	r.session("pay")
	r.wantCode(asking("sales"), tns.CodeRateLimit)
	r.reload(file, "(HOLD_TIMEOUT=0)")
	r.session("sales")
}

func TestTenants(t *testing.T) {
	c := configured(t, goodAddress, "(TENANT=(NAME=a)(SERVICES=pay*,hr)(MAX_SESSIONS=5)(RATE=60/min)(BANDWIDTH=1k)(MAX_HELD=7))(TENANT=(NAME=b)(SERVICES=*)(RATE=3))")
	if len(c.Tenants) != 2 || c.Tenants[0].Bandwidth != 1024 || c.Tenants[0].Rate != 1 || c.Tenants[0].MaxHeld != 7 || c.Tenants[1].MaxSessions != 0 {
		t.Fatalf("%+v", c.Tenants)
	}
	r := start(t, func(d *Config) { d.Tenants = c.Tenants })
	for service, want := range map[string]string{"payroll": "a", "PAY.example.com": "a", "hr": "a", "hr2": "b"} {
		if got := r.tenantOf(service); got != want {
			t.Errorf("%s is of %q, want %q", service, got, want)
		}
	}
	if name, most := r.heldFor("hr"); name != "a" || most != 7 {
		t.Errorf("held for %s, %d", name, most)
	}
	if name, most := r.heldFor("other"); name != "" || most != 0 {
		t.Errorf("held for %s, %d", name, most)
	}
}

// What is said of a tenant that cannot be.
func TestTenantsThatCannotBe(t *testing.T) {
	for text, want := range map[string]string{
		"(TENANT=(SERVICES=a))":                                      "it has no NAME",
		"(TENANT=(NAME=a))":                                          "it has no SERVICES",
		"(TENANT=(NAME=a)(SERVICE=b))":                               "did you mean SERVICES?",
		"(TENANT=(NAME=a)(SERVICES=b)(RATE=0))":                      "RATE: that limits nothing",
		"(TENANT=(NAME=a)(SERVICES=b)(BANDWIDTH=off))":               "BANDWIDTH: that limits nothing",
		"(TENANT=(NAME=a)(SERVICES=b))(TENANT=(NAME=A)(SERVICES=c))": "A is there already",
	} {
		file := write(t, strings.Replace(reloaded, "%", text, 1))
		if _, messages := ReadConfig(file, ""); messages.Err() == nil || !strings.Contains(messages.Err().Error(), want) {
			t.Errorf("%s: %v, want %q", text, messages, want)
		}
	}
}

// One tenant's connects that wait leave room for those of others.
func TestTenantsWaitEachInTheirOwnShare(t *testing.T) {
	r := start(t, func(c *Config) {
		c.HoldTimeout = 20 * time.Second
		c.Tenants = []Tenant{{Name: "a", Services: []string{"pay*"}, MaxHeld: 1}}
	})
	for _, service := range []string{"pay1", "pay2", "sales"} {
		withdraw := r.register(service, service)
		r.session(service)
		withdraw()
		r.await(func(s *servicetable.Snapshot) bool { return s.Named(service) == "" })
	}
	first := r.from("127.0.0.1", asking("pay1"))
	r.heldIs(1)
	r.wantCode(asking("pay2"), tns.CodeUnknownService)
	second := r.from("127.0.0.1", asking("sales"))
	r.heldIs(2)
	r.register("pay1", "pay1")
	r.register("sales", "sales")
	for _, answer := range []chan answered{first, second} {
		if a := <-answer; a.err != nil {
			t.Errorf("%v", a)
		} else if _, ok := a.reply.(*tns.Accept); !ok {
			t.Errorf("%v", a)
		}
	}
}

// Where an address has its share of the places, it leaves the others to others, whatever it asks for.
func TestClientsWaitEachInTheirOwnShare(t *testing.T) {
	r := start(t, func(c *Config) {
		c.HoldTimeout, c.MaxHeld, c.HoldShare, c.HoldClientShare = 20*time.Second, 4, 1, 0.5
	})
	for _, service := range []string{"hr", "sales"} {
		withdraw := r.register(service, service)
		r.session(service)
		withdraw()
		r.await(func(s *servicetable.Snapshot) bool { return s.Named(service) == "" })
	}
	var waiting []chan answered
	for i, service := range []string{"hr", "sales"} {
		waiting = append(waiting, r.from("127.0.0.2", asking(service)))
		r.heldIs(i + 1)
	}
	r.wantRefused(<-r.from("127.0.0.2", asking("sales")), tns.CodeUnknownService)
	waiting = append(waiting, r.from("127.0.0.3", asking("sales")))
	r.heldIs(3)
	r.register("hr", "hr")
	r.register("sales", "sales")
	for _, answer := range waiting {
		if a := <-answer; a.err != nil || !isAccept(a.reply) {
			t.Errorf("%v", a)
		}
	}
}

// A rule's limits are for all that it lets in, and keep counting while its text stays.
func TestLimitsOfARule(t *testing.T) {
	rule := relay.Rule{
		Source: relay.HostPattern{Any: true}, Destination: relay.HostPattern{Any: true}, Action: relay.Accept,
		Treatment: relay.Treatment{MaxSessions: 1}, Text: "(RULE=one)", Group: "g",
	}
	r := start(t, func(c *Config) { c.Rules = relay.Rules{rule} })
	r.register("a", "pay")
	r.register("b", "sales")
	r.session("pay")
	r.wantCode(asking("sales"), tns.CodeNoHandler)
	c := *r.settings().config
	rule.MaxSessions = 2 // with the same text, as in another file
	c.Rules = relay.Rules{rule}
	r.apply(&c)
	r.session("sales")
	r.wantCode(asking("pay"), tns.CodeNoHandler)
}
