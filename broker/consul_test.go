package broker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"servicebroker/console"
	"servicebroker/discovery/consul"
	"servicebroker/testenv/stage"
)

// startConsul starts a real Consul that lasts as long as the test.
func startConsul(t *testing.T, options ...string) *stage.Consul {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c, err := stage.StartConsul(ctx, "..", options...)
	if errors.Is(err, stage.ErrNoConsul) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	return c
}

// within waits until f has nothing to complain of, and returns how long that took.
func within(t *testing.T, atMost time.Duration, what string, f func() error) time.Duration {
	t.Helper()
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), atMost)
	defer cancel()
	if err := stage.Eventually(ctx, f); err != nil {
		t.Fatalf("waited %v for %s: %v", atMost, what, err)
	}
	return time.Since(began).Round(time.Millisecond)
}

// published are the instances that Consul gives out for a service, "id status", sorted.
func published(c *stage.Consul, service string) ([]string, error) {
	found, _, err := c.API.Health().Service(service, "", false, nil)
	var all []string
	for _, e := range found {
		all = append(all, e.Service.ID+" "+e.Checks.AggregatedStatus())
	}
	slices.Sort(all)
	return all, err
}

func offering(c *stage.Consul, service string, want ...string) func() error {
	return func() error {
		got, err := published(c, service)
		if err == nil && !slices.Equal(got, want) {
			err = fmt.Errorf("%s is %q, want %q", service, got, want)
		}
		return err
	}
}

func TestConsulParametersAreRead(t *testing.T) {
	for parameters, want := range map[string]ConsulSettings{
		"(CONSUL_ADDRESS=127.0.0.1)":                                   {Address: "127.0.0.1:8500"},
		"(CONSUL_ADDRESS=https://c:8501/)":                             {Address: "https://c:8501"},
		"(CONSUL_ADDRESS=unix:/run/consul.sock)":                       {Address: "unix:/run/consul.sock"},
		"(CONSUL_ADDRESS=off)":                                         {},
		"(CONSUL_ADDRESS=c:1)(CONSUL_PREFIX=/a/b/)":                    {Address: "c:1", Prefix: "a/b/"},
		"(CONSUL_ADDRESS=c:1)(CONSUL_TLS=(CA=/x)(SERVER_NAME=y))":      {Address: "https://c:1", CA: "/x", ServerName: "y"},
		"(CONSUL_ADDRESS=c:1)(CONSUL_TARGET=brokers)":                  {Address: "c:1", ToBrokers: true},
		"(CONSUL_ADDRESS=c:1)(CONSUL_DATACENTER=dc2)":                  {Address: "c:1", Datacenter: "dc2"},
		"(CONSUL_ADDRESS=c:1)(CONSUL_NAMESPACE=n)(CONSUL_PARTITION=p)": {Address: "c:1", Namespace: "n", Partition: "p"},
		"(CONSUL_ADDRESS=c:1)(CONSUL_TOKEN_FILE=/t)":                   {Address: "c:1", TokenFile: "/t"},
	} {
		want.Prefix = cmp.Or(want.Prefix, "broker/")
		same(t, parameters, want, configured(t, goodAddress, parameters).Consul)
	}
}

func TestMistakesInConsulParametersAreTold(t *testing.T) {
	for parameters, want := range map[string]string{
		"(CONSUL_ADDRESS=ftp://x)":                                            "write for example 127.0.0.1:8500",
		"(CONSUL_ADDRESS=http://user:pw@x:1)":                                 "write for example 127.0.0.1:8500",
		"(CONSUL_ADDRESS=x:1)(CONSUL_PREFIX=a//b)":                            "cannot be a prefix of keys",
		"(CONSUL_ADDRESS=x:1)(CONSUL_PREFIX=a b)":                             "cannot be a prefix of keys",
		"(CONSUL_ADDRESS=x:1)(CONSUL_PREFIX=a/../b)":                          "cannot be a prefix of keys",
		"(CONSUL_ADDRESS=x:1)(CONSUL_PREFIX=a/./b)":                           "cannot be a prefix of keys",
		"(CONSUL_ADDRESS=x:1)(CONSUL_PREFIX=/)":                               "has no value",
		"(CONSUL_ADDRESS=x:1)(CONSUL_TARGET=broker)":                          "did you mean brokers?",
		"(CONSUL_ADDRESS=x:1)(CONSUL_TLS=(KEY=/k))":                           "KEY has no CERTIFICATE: add it",
		"(CONSUL_ADDRESS=x:1)(CONSUL_TLS=(CERTIFICATE=/k))":                   "CERTIFICATE has no KEY: add it",
		"(CONSUL_ADDRESS=http://x:1)(CONSUL_TLS=(CA=/k))":                     "write https:// there, or take out CONSUL_TLS",
		"(CONSUL_TOKEN_FILE=/t)":                                              "add for example (CONSUL_ADDRESS=127.0.0.1:8500)",
		"(CONSUL_ADDRESS=x:1)(CONSUL_PREFIX=" + strings.Repeat("a", 65) + ")": "keep it within 64",
	} {
		_, messages := ReadConfig(write(t, "CMAN1=(CONFIGURATION="+goodAddress+goodRules+"(PARAMETER_LIST="+parameters+"))"), "")
		if text := join(messages); !strings.Contains(text, want) {
			t.Errorf("%s says %q, want %q", parameters, text, want)
		}
	}
}

func TestFilesForConsulThatAreMissingAreTold(t *testing.T) {
	c := configured(t, goodAddress, "(CONSUL_ADDRESS=x:1)(CONSUL_TOKEN_FILE=/nonexistent/token)")
	if text := join(c.checkFiles()); !strings.Contains(text, "CONSUL_TOKEN_FILE: there is no /nonexistent/token") {
		t.Error(text)
	}
	config := testConfig(t, func(c *Config) {
		c.Consul = ConsulSettings{Address: "https://127.0.0.1:1", CA: filepath.Join(t.TempDir(), "none.pem")}
	})
	if b, err := New(config, nil); err == nil || !strings.Contains(err.Error(), "CONSUL_TLS") {
		t.Errorf("%v, %v", b, err)
	}
}

func TestServicesAreInConsulUntilTheBrokerEnds(t *testing.T) {
	c := startConsul(t)
	r := start(t, func(config *Config) { config.Consul.Address = c.Address })
	within(t, 10*time.Second, "the broker", func() error {
		found, _, err := c.API.Health().Service("broker", "", true, nil)
		if err == nil && (len(found) != 1 || found[0].Service.Meta["name"] != r.Name()) {
			err = fmt.Errorf("brokers: %v", found)
		}
		return err
	})
	within(t, 10*time.Second, "the mirror to be current", func() error {
		if text := r.get("/api/v1/mirrors"); !strings.Contains(text, `"state":"current"`) {
			return errors.New(text)
		}
		return nil
	})
	withdraw := r.register("sales1", "sales")
	took := within(t, 10*time.Second, "the service", offering(c, "sales", "sales:sales1@dbhost passing"))
	t.Logf("a registered service is in Consul after %v", took)
	withdraw()
	within(t, 10*time.Second, "its end", offering(c, "sales"))
	r.register("sales1", "sales")
	within(t, 10*time.Second, "the service", offering(c, "sales", "sales:sales1@dbhost passing"))
	r.stop()
	<-r.ended
	r.ended <- nil
	if err := offering(c, "sales")(); err != nil {
		t.Error(err)
	}
	if nodes, _, err := c.API.Catalog().Nodes(nil); err != nil || len(nodes) != 1 {
		t.Errorf("nodes are left: %v, %v", nodes, err)
	}
	if keys, _, err := c.API.KV().Keys("broker/", "", nil); err != nil || slices.ContainsFunc(keys, func(k string) bool { return strings.HasPrefix(k, "broker/brokers/") }) {
		t.Errorf("keys are left: %v, %v", keys, err)
	}
}

func TestOneOfTwoBrokersLeavesAndTheEntriesStay(t *testing.T) {
	c := startConsul(t)
	first := start(t, func(config *Config) { config.Consul.Address, config.Name = c.Address, "one" })
	within(t, 10*time.Second, "the first to write", func() error {
		if _, holds := first.consul.member.Lease(); !holds {
			return errors.New("it does not")
		}
		return nil
	})
	second := start(t, func(config *Config) { config.Consul.Address, config.Name = c.Address, "two" })
	both := func() error {
		all, err := second.consulBrokers(t.Context())
		if err == nil && (len(all) != 2 || all[0].Name != first.Name() || all[0].Self || !all[1].Self || all[0].API != "http://"+first.ConsoleAddress()) {
			err = fmt.Errorf("brokers %+v", all)
		}
		return err
	}
	within(t, 10*time.Second, "both to be known", both)
	first.register("sales1", "sales")
	second.register("sales1", "sales")
	within(t, 10*time.Second, "the service", offering(c, "sales", "sales:sales1@dbhost passing"))
	within(t, 10*time.Second, "the second to stand by", func() error { return standsBy(second, first.Name()) })
	first.stop()
	<-first.ended
	first.ended <- nil
	if err := offering(c, "sales", "sales:sales1@dbhost passing")(); err != nil {
		t.Error(err)
	}
	took := within(t, 10*time.Second, "the second to write", func() error {
		if s := second.consul.mirror.Status(); s.Standby || s.Applied == 0 {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
	t.Logf("taken over %v after the end of the other", took)
}

// standsBy says how r is not as a broker is whose copy in Consul the writer keeps.
func standsBy(r *running, writer string) error {
	for _, v := range r.mirrorViews() {
		if v.Name == "consul" && (v.State != console.MirrorStandby || v.Writer != writer || v.Lag != 0 || v.Version == 0) {
			return fmt.Errorf("%+v", v)
		}
	}
	_, metrics := health(r.t, r.ConsoleAddress(), "/metrics")
	if !strings.Contains(metrics, `servicebroker_mirror_lag_versions{mirror="consul"} 0`) || strings.Contains(metrics, `mirror_last_success_timestamp_seconds{mirror="consul"}`) {
		return errors.New(metrics)
	}
	return nil
}

func TestBrokersCanBePublishedInPlaceOfInstances(t *testing.T) {
	c := startConsul(t)
	var all []*running
	for _, name := range []string{"one", "two"} {
		r := start(t, func(config *Config) {
			config.Consul.Address, config.Consul.ToBrokers, config.Name = c.Address, true, name
		})
		r.register("sales1", "sales")
		all = append(all, r)
	}
	entry := func(r *running) string { return "sales:" + r.Addresses()[0] + " passing" }
	both := []string{entry(all[0]), entry(all[1])}
	slices.Sort(both)
	within(t, 20*time.Second, "both brokers", offering(c, "sales", both...))
	all[0].stop()
	took := within(t, 20*time.Second, "the one that stays", offering(c, "sales", entry(all[1])))
	t.Logf("a broker that ended was not published any more after %v", took)
}

func TestAConsulThatIsNotThereHindersNobody(t *testing.T) {
	began := time.Now()
	r := start(t, func(config *Config) { config.Consul.Address = "127.0.0.1:1" })
	r.register("sales1", "sales")
	conn, _ := r.ask(sales)
	conn.NetConn().Close()
	within(t, 10*time.Second, "the failure to be told", func() error {
		if text := r.get("/api/v1/mirrors"); !strings.Contains(text, "this broker is not known in Consul") {
			return errors.New(text)
		}
		return nil
	})
	r.stop()
	<-r.ended
	r.ended <- nil
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("it took %v", took)
	}
	if brokers, err := start(t, nil).consulBrokers(t.Context()); err != nil || brokers != nil {
		t.Errorf("without Consul there are brokers %v, %v", brokers, err)
	}
}

func TestBrokersAreReachedWhereOthersReachThem(t *testing.T) {
	for _, c := range []struct{ url, host, here, want string }{
		{"http://127.0.0.1:8521", "a", "a", "http://127.0.0.1:8521"},
		{"http://127.0.0.1:8521", "a", "b", ""},
		{"http://0.0.0.0:8521", "a", "b", "http://a:8521"},
		{"http://[::]:8521", "a", "b", "http://a:8521"},
		{"http://0.0.0.0:8521", "a", "a", "http://127.0.0.1:8521"},
		{"https://10.1.0.1:1525", "a", "b", "https://10.1.0.1:1525"},
		{"https://broker1:1525", "a", "b", "https://broker1:1525"},
		{"", "a", "b", ""}, {"nonsense", "a", "b", ""},
	} {
		if got := reachable(c.url, c.host, c.here); got != c.want {
			t.Errorf("%s of %s from %s is %q, want %q", c.url, c.host, c.here, got, c.want)
		}
	}
}

func TestReadyBrokersAreThoseOfThisPrefix(t *testing.T) {
	c := startConsul(t)
	r := &consul.Ready{Member: &consul.Member{Client: &consul.Client{Address: c.Address}, Name: "x"}}
	defer r.Member.Client.Close()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); r.Run(ctx) }()
	defer func() { cancel(); <-ended }()
	if all := r.All(); len(all) > 0 {
		t.Error(all)
	}
	started := start(t, func(config *Config) { config.Consul.Address = c.Address })
	within(t, 10*time.Second, "the broker", func() error {
		if all := r.All(); len(all) != 1 || all[0] != netip.MustParseAddrPort(started.Addresses()[0]) {
			return fmt.Errorf("%v", all)
		}
		return nil
	})
}
