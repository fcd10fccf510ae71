package drivers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"servicebroker/testenv/stage"
)

// startConsul starts a real Consul whose DNS gives out what is passing, and that alone.
func startConsul(t *testing.T, options ...string) *stage.Consul {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := stage.StartConsul(ctx, moduleRoot, append(options, "-hcl", "dns_config { only_passing = true }")...)
	if errors.Is(err, stage.ErrNoConsul) {
		t.Skip(err)
	}
	must(t, err)
	t.Cleanup(func() {
		_ = c.Signal(syscall.SIGCONT)
		c.Stop()
	})
	return c
}

// found is where Consul's DNS says that a service is, host:port, sorted.
func found(ctx context.Context, c *stage.Consul, service string) ([]string, error) {
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", c.DNS)
	}}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	_, records, err := resolver.LookupSRV(ctx, "", "", service+".service.consul.")
	if missing, is := errors.AsType[*net.DNSError](err); is && missing.IsNotFound {
		return nil, nil
	}
	var all []string
	for _, r := range records {
		hosts, err := resolver.LookupHost(ctx, r.Target)
		if err != nil || len(hosts) == 0 {
			return nil, fmt.Errorf("%s: %v, %w", r.Target, hosts, err)
		}
		all = append(all, net.JoinHostPort(hosts[0], strconv.Itoa(int(r.Port))))
	}
	slices.Sort(all)
	return all, err
}

// foundNow is where it is at this moment. It asks again where there was no answer, which a busy machine can do to a question.
func foundNow(t *testing.T, c *stage.Consul, service string) (all []string) {
	t.Helper()
	eventually(t, patience, func() (err error) {
		all, err = found(t.Context(), c, service)
		return err
	})
	return all
}

// findNow wants it to be there now, and nowhere else.
func findNow(t *testing.T, c *stage.Consul, service string, want ...string) {
	t.Helper()
	slices.Sort(want)
	if got := foundNow(t, c, service); !slices.Equal(got, want) {
		t.Fatalf("%s is at %q, want %q", service, got, want)
	}
}

func finding(t *testing.T, c *stage.Consul, service string, want ...string) func() error {
	slices.Sort(want)
	return func() error {
		got, err := found(t.Context(), c, service)
		if err == nil && !slices.Equal(got, want) {
			err = fmt.Errorf("%s is at %q, want %q", service, got, want)
		}
		return err
	}
}

// beforeItLooks is less than the time after which a broker looks by itself, which is 45 s for its entries and 30 s for
// intents: what is there by then is there because the change was told. The interface promises half a second where there
// is time for it; the log has what it took.
const beforeItLooks = 10 * time.Second

// soonIn measures until Consul's DNS has what is wanted.
func soonIn(t *testing.T, what string, most time.Duration, check func() error) {
	t.Helper()
	took := eventually(t, patience, check)
	t.Logf("%s after %v", what, took.Round(time.Millisecond))
	if took > most {
		t.Errorf("%s after %v, which is more than %v", what, took, most)
	}
}

// routing is one driver that connects again and again, and what became of it.
type routing struct {
	mu     sync.Mutex
	during string // what is going on
	took   map[string][]time.Duration
	failed []string
}

// keepConnecting connects until the test ends; told returns once some connects are measured under that name.
func keepConnecting(t *testing.T, target string) (told func(during string)) {
	t.Helper()
	r := &routing{during: "before", took: map[string][]time.Duration{}}
	var ending atomic.Bool
	ended := make(chan struct{})
	ctx := context.WithoutCancel(t.Context()) // a connect is not cut short at the end: go-ora races with itself then
	go func() {
		defer close(ended)
		for !ending.Load() {
			r.connect(ctx, target)
		}
	}()
	t.Cleanup(func() {
		ending.Store(true)
		<-ended
		for _, name := range slices.Sorted(maps.Keys(r.took)) {
			all := r.took[name]
			slices.Sort(all)
			t.Logf("%s: %d connects, half of them within %v, the slowest %v", name, len(all), all[len(all)/2].Round(time.Millisecond), all[len(all)-1].Round(time.Millisecond))
		}
		if len(r.failed) > 0 {
			t.Errorf("%d connects failed, the first %s", len(r.failed), r.failed[0])
		}
	})
	return func(during string) {
		r.mu.Lock()
		r.during = during
		r.mu.Unlock()
		eventually(t, patience, func() error {
			r.mu.Lock()
			defer r.mu.Unlock()
			if n := len(r.took[during]); n < 20 {
				return fmt.Errorf("%d connects %s, of which failed %q", n, during, r.failed)
			}
			return nil
		})
	}
}

func (r *routing) connect(ctx context.Context, target string) {
	r.mu.Lock()
	during := r.during
	r.mu.Unlock()
	bounded, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	began := time.Now()
	conn, err := GoOra{}.connect(bounded, open("", target))
	took := time.Since(began)
	if err == nil {
		err = conn.close()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.took[during] = append(r.took[during], took)
	if err != nil {
		r.failed = append(r.failed, during+": "+err.Error())
	}
}

// awaitMirror waits until the broker keeps its entries.
func (b *broker) awaitMirror(t *testing.T) {
	t.Helper()
	eventually(t, patience, func() error {
		text, code, err := b.Command(t.Context(), "mirrors")
		if err == nil && (code != 0 || !strings.Contains(text, "current")) {
			err = fmt.Errorf("the mirror is not current: %s", text)
		}
		return err
	})
}

func connects(t *testing.T, target string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	conn, err := GoOra{}.connect(ctx, open("", target))
	if err == nil {
		err = conn.close()
	}
	return err
}

func TestDriversFindInstancesThroughConsul(t *testing.T) {
	c := startConsul(t)
	b := startBroker(t, brokerOptions{parameters: []string{"CONSUL_ADDRESS=" + c.Address, "PROBE_INTERVAL=200ms"}})
	b.awaitMirror(t)
	first := startDatabase(t, databaseOptions{instance: "sales1", services: []string{"sales"}, brokers: []string{b.address}})
	b.awaitService(t, "sales", "READY", 1)
	soonIn(t, "a registered database is found in Consul's DNS", beforeItLooks, finding(t, c, "sales", first.Address))
	second := startDatabase(t, databaseOptions{instance: "sales2", services: []string{"sales"}, brokers: []string{b.address}})
	b.awaitService(t, "sales", "READY", 2)
	soonIn(t, "another one", beforeItLooks, finding(t, c, "sales", first.Address, second.Address))
	eachDriver(t, func(t *testing.T, d Driver) {
		all := foundNow(t, c, "sales")
		for i, at := range all {
			instance, err := visited(work(t, d, visit(at+"/sales"), nil))
			must(t, err)
			if want := map[string]string{first.Address: "sales1", second.Address: "sales2"}[at]; !strings.EqualFold(instance, want) {
				t.Errorf("the record %d, %s, leads to %s, want %s", i, at, instance, want)
			}
		}
	})
	first.tell(t, "/status", statusSetting{Status: "blocked"})
	soonIn(t, "a blocked one is gone", beforeItLooks, finding(t, c, "sales", second.Address))
	first.tell(t, "/status", statusSetting{Status: "ready"})
	soonIn(t, "it is back", beforeItLooks, finding(t, c, "sales", first.Address, second.Address))
	b.command(t, 0, "drain", "--instance", "sales1")
	soonIn(t, "a drained one is gone", beforeItLooks, finding(t, c, "sales", second.Address))
	b.command(t, 0, "resume", "--instance", "sales1")
	soonIn(t, "it is back", beforeItLooks, finding(t, c, "sales", first.Address, second.Address))
	second.Database.Kill()
	soonIn(t, "a killed one is gone", beforeItLooks, finding(t, c, "sales", first.Address))
}

func TestEntriesOfAKilledBrokerAreTakenOver(t *testing.T) {
	c := startConsul(t)
	must(t, c.API.Agent().ServiceRegister(&api.AgentServiceRegistration{ID: "web-1", Name: "web", Address: "127.0.0.1", Port: 80}))
	parameters := []string{"CONSUL_ADDRESS=" + c.Address, "PROBE_INTERVAL=200ms"}
	writer := startBroker(t, brokerOptions{parameters: parameters})
	only := startDatabase(t, databaseOptions{instance: "hr1", services: []string{"hr"}, brokers: []string{writer.address}}) // which the other does not know
	eventually(t, patience, finding(t, c, "hr", only.Address))
	heir := startBroker(t, brokerOptions{parameters: parameters})
	both := startDatabase(t, databaseOptions{instance: "sales1", services: []string{"sales"}, brokers: []string{writer.address, heir.address}})
	eventually(t, patience, finding(t, c, "sales", both.Address))
	heir.awaitService(t, "sales", "READY", 1)
	writer.Broker.Kill()
	soonIn(t, "what only the killed broker knew is taken out by its peer", 20*time.Second, finding(t, c, "hr"))
	findNow(t, c, "sales", both.Address)
	both.Database.Kill()
	soonIn(t, "a killed database is gone by the peer's word", beforeItLooks, finding(t, c, "sales"))
	findNow(t, c, "web", "127.0.0.1:80")
}

func TestConsulsFaultsChangeNoRouting(t *testing.T) {
	c := startConsul(t)
	b := startBroker(t, brokerOptions{parameters: []string{"CONSUL_ADDRESS=" + c.Address, "HOLD_TIMEOUT=0"}})
	d := startDatabase(t, databaseOptions{instance: "sales1", services: []string{"sales"}, brokers: []string{b.address}})
	eventually(t, patience, finding(t, c, "sales", d.Address))
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for name, fault := range map[string]struct{ strike, heal func() error }{
		"restarted and empty": {func() error { c.Kill(); return nil }, func() error { return c.Restart(ctx) }},
		"frozen":              {func() error { return c.Signal(syscall.SIGSTOP) }, func() error { return c.Signal(syscall.SIGCONT) }},
	} {
		t.Run(name, func(t *testing.T) {
			told := keepConnecting(t, b.address+"/sales")
			told("before")
			must(t, fault.strike())
			told("during")
			must(t, fault.heal())
			soonIn(t, "the mirror was right, once Consul was there again,", 30*time.Second, finding(t, c, "sales", d.Address))
			told("afterwards")
		})
	}
}

func TestATokenThatIsRevokedChangesNoRouting(t *testing.T) {
	const master = "3d6e4c1e-0000-4000-8000-000000000001"
	t.Setenv("CONSUL_HTTP_TOKEN", master)
	c := startConsul(t, "-hcl", `acl { enabled = true default_policy = "deny" tokens { master = "`+master+`" agent = "`+master+`" } }`)
	file := filepath.Join(t.TempDir(), "token")
	policy, _, err := c.API.ACL().PolicyCreate(&api.ACLPolicy{Name: "broker", Rules: manualsRights(t)}, nil)
	must(t, err)
	give := func() (accessor string) {
		token, _, err := c.API.ACL().TokenCreate(&api.ACLToken{Policies: []*api.ACLTokenPolicyLink{{ID: policy.ID}}}, nil)
		must(t, err)
		must(t, os.WriteFile(file, []byte(token.SecretID), 0o600))
		return token.AccessorID
	}
	first := give()
	// Names are looked up without a token.
	look, _, err := c.API.ACL().PolicyCreate(&api.ACLPolicy{Name: "look", Rules: `service_prefix "" { policy = "read" } node_prefix "" { policy = "read" }`}, nil)
	must(t, err)
	_, _, err = c.API.ACL().TokenUpdate(&api.ACLToken{AccessorID: "00000000-0000-0000-0000-000000000002", Policies: []*api.ACLTokenPolicyLink{{ID: look.ID}}}, nil)
	must(t, err)
	b := startBroker(t, brokerOptions{parameters: []string{"CONSUL_ADDRESS=" + c.Address, "CONSUL_TOKEN_FILE=" + file, "HOLD_TIMEOUT=0"}})
	d := startDatabase(t, databaseOptions{instance: "sales1", services: []string{"sales"}, brokers: []string{b.address}})
	eventually(t, patience, finding(t, c, "sales", d.Address))
	told := keepConnecting(t, b.address+"/sales")
	told("before")
	_, err = c.API.ACL().TokenDelete(first, nil)
	must(t, err)
	told("during")
	second := startDatabase(t, databaseOptions{instance: "hr1", services: []string{"hr"}, brokers: []string{b.address}})
	eventually(t, patience, func() error {
		if _, text, err := b.get("/api/v1/mirrors"); err != nil || !strings.Contains(string(text), "refused by Consul") {
			return fmt.Errorf("%s, %w", text, err)
		}
		return nil
	})
	give()
	soonIn(t, "what came meanwhile is there, once there is another token,", 30*time.Second, finding(t, c, "hr", second.Address))
	told("afterwards")
}

// manualsRights are those that the manual says a broker's token needs.
func manualsRights(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(moduleRoot, "docs", "operations.md"))
	must(t, err)
	_, text2, found := strings.Cut(string(text), "**Rights** of the token")
	_, text2, found2 := strings.Cut(text2, "```\n")
	rules, _, found3 := strings.Cut(text2, "```")
	if !found || !found2 || !found3 {
		t.Fatal("the manual does not say what rights a token needs")
	}
	return rules
}
