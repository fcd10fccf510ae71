package drivers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"servicebroker/testenv/stage"
)

// startConsul starts a real Consul whose DNS gives out what is passing, and that alone.
func startConsul(t *testing.T) *stage.Consul {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := stage.StartConsul(ctx, moduleRoot, "-hcl", "dns_config { only_passing = true }")
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

// soonIn measures until Consul's DNS has what is wanted; the interface promises half a second where there is time for it.
func soonIn(t *testing.T, what string, most time.Duration, check func() error) {
	t.Helper()
	took := eventually(t, patience, check)
	t.Logf("%s after %v", what, took.Round(time.Millisecond))
	if took > most {
		t.Errorf("%s after %v, which is more than %v", what, took, most)
	}
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
	first := startDatabase(t, databaseOptions{instance: "sales1", services: []string{"sales"}, brokers: []string{b.address}})
	b.awaitService(t, "sales", "READY", 1)
	soonIn(t, "a registered database is found in Consul's DNS", 500*time.Millisecond, finding(t, c, "sales", first.Address))
	second := startDatabase(t, databaseOptions{instance: "sales2", services: []string{"sales"}, brokers: []string{b.address}})
	b.awaitService(t, "sales", "READY", 2)
	soonIn(t, "another one", 500*time.Millisecond, finding(t, c, "sales", first.Address, second.Address))
	all, err := found(t.Context(), c, "sales")
	must(t, err)
	for _, at := range all {
		must(t, connects(t, at+"/sales"))
	}
	b.command(t, 0, "drain", "--instance", "sales1")
	soonIn(t, "a drained one is gone", 500*time.Millisecond, finding(t, c, "sales", second.Address))
	b.command(t, 0, "resume", "--instance", "sales1")
	soonIn(t, "it is back", 500*time.Millisecond, finding(t, c, "sales", first.Address, second.Address))
	second.Database.Kill()
	soonIn(t, "a killed one is gone", 500*time.Millisecond, finding(t, c, "sales", first.Address))
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
	must(t, finding(t, c, "sales", both.Address)())
	both.Database.Kill()
	soonIn(t, "a killed database is gone by the peer's word", 500*time.Millisecond, finding(t, c, "sales"))
	must(t, finding(t, c, "web", "127.0.0.1:80")())
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
			must(t, fault.strike())
			for range 20 {
				must(t, connects(t, b.address+"/sales"))
			}
			must(t, fault.heal())
			took := eventually(t, 90*time.Second, finding(t, c, "sales", d.Address))
			t.Logf("the mirror was right %v after Consul was there again", took.Round(time.Millisecond))
			must(t, connects(t, b.address+"/sales"))
		})
	}
}
