package consul

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/miekg/dns"

	"servicebroker/discovery"
	"servicebroker/servicetable"
)

var _ discovery.Destination[Publication] = (*Catalogue)(nil)

func TestTheCatalogueFollowsTheTable(t *testing.T) {
	a := startAgent(t)
	w := a.writing(t, instance("s1", "10.1.0.1", "sales", "hr_rw"), instance("s2", "10.1.0.2", "sales"))
	w.mustSync(t)
	a.want(t,
		"oracle-10-1-0-1 10.1.0.1 hr_rw:s1@10.1.0.1 hr-rw 10.1.0.1:1521 passing",
		"oracle-10-1-0-1 10.1.0.1 sales:s1@10.1.0.1 sales 10.1.0.1:1521 passing",
		"oracle-10-1-0-2 10.1.0.2 sales:s2@10.1.0.2 sales 10.1.0.2:1521 passing")
	found, _, err := a.Health().Service("sales", "tier-0", true, nil)
	if err != nil || len(found) != 2 {
		t.Fatalf("found %v: %v", found, err)
	}
	meta := found[0].Service.Meta
	for key, want := range map[string]string{"servicebroker": "broker", "service": "sales", "load": "3", "max": "100", "goodness": "1", "version": "2", "kind": "dedicated", "fence": "0"} {
		if meta[key] != want {
			t.Errorf("meta %s is %q, want %q", key, meta[key], want)
		}
	}
	if found[0].Node.Meta["external-node"] != "true" || found[0].Node.Meta["external-probe"] != "" {
		t.Errorf("node meta is %v", found[0].Node.Meta)
	}

	w.table.Mark("s1@10.1.0.1", servicetable.Mark{Kind: servicetable.Draining, Cause: "patching"})
	w.mustSync(t)
	w.table.Drop("s2@10.1.0.2")
	w.mustSync(t)
	a.want(t,
		"oracle-10-1-0-1 10.1.0.1 hr_rw:s1@10.1.0.1 hr-rw 10.1.0.1:1521 critical",
		"oracle-10-1-0-1 10.1.0.1 sales:s1@10.1.0.1 sales 10.1.0.1:1521 critical")
	checks, _, err := a.Health().Checks("sales", nil)
	if err != nil || len(checks) != 1 || checks[0].Output != "draining: patching" {
		t.Errorf("checks are %v: %v", checks, err)
	}
	w.table.Drop("s1@10.1.0.1")
	w.mustSync(t)
	a.want(t)
}

func TestConsulsOwnDNSAnswersWithWhatTakesConnects(t *testing.T) {
	a := startAgent(t)
	blocked := instance("s3", "10.1.0.3", "sales")
	blocked.Services[0].Flags = 0
	w := a.writing(t, instance("s1", "10.1.0.1", "sales"), instance("s2", "10.1.0.2", "sales"), blocked)
	w.table.Mark("s2@10.1.0.2", servicetable.Mark{Kind: servicetable.Draining})
	w.mustSync(t)
	m := new(dns.Msg)
	m.SetQuestion("sales.service.consul.", dns.TypeSRV)
	got, err := dns.ExchangeContext(t.Context(), m, a.DNS)
	if err != nil || len(got.Answer) != 1 || got.Answer[0].(*dns.SRV).Port != 1521 || len(got.Extra) == 0 || !strings.Contains(got.Extra[0].String(), "10.1.0.1") {
		t.Errorf("answer is %v: %v", got, err)
	}
}

func TestWhatOthersEnteredIsNeverTouched(t *testing.T) {
	a := startAgent(t)
	foreign := []*api.CatalogRegistration{
		{Node: "web", Address: "192.0.2.1", Service: &api.AgentService{ID: "web", Service: "web", Address: "192.0.2.1", Port: 80}},
		{Node: "esm", Address: "192.0.2.2", NodeMeta: map[string]string{"external-node": "true"}, Service: &api.AgentService{ID: "x", Service: "sales", Address: "192.0.2.2", Port: 1521}},
		{Node: "oracle-10-1-0-9", Address: "192.0.2.3"},
		{Node: "other-brokers", Address: "192.0.2.4", NodeMeta: map[string]string{"external-node": "true", ownerKey: "others"},
			Service: &api.AgentService{ID: "y", Service: "sales", Address: "192.0.2.4", Port: 1521, Meta: map[string]string{ownerKey: "others"}}},
	}
	for _, f := range foreign {
		if _, err := a.Catalog().Register(f, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Agent().ServiceRegister(&api.AgentServiceRegistration{ID: "own", Name: "own", Port: 9}); err != nil {
		t.Fatal(err)
	}
	w := a.writing(t, instance("s1", "10.1.0.1", "sales"), instance("s9", "10.1.0.9", "sales"))
	w.mustSync(t)
	// A stranger's service and check at a node of ours keep it.
	if _, err := a.Catalog().Register(&api.CatalogRegistration{Node: "oracle-10-1-0-1", Address: "10.1.0.1", SkipNodeUpdate: true,
		Service: &api.AgentService{ID: "exporter", Service: "exporter", Port: 9100}}, nil); err != nil {
		t.Fatal(err)
	}
	w.table.Drop("s1@10.1.0.1")
	w.fullAt = time.Time{}
	w.mustSync(t)
	a.want(t,
		"esm 192.0.2.2 x sales 192.0.2.2:1521",
		"oracle-10-1-0-1 10.1.0.1 exporter exporter :9100",
		"oracle-10-1-0-9 192.0.2.3",
		"other-brokers 192.0.2.4 y sales 192.0.2.4:1521",
		"web 192.0.2.1 web web 192.0.2.1:80")
	if got := w.Problems(); len(got) != 1 || !strings.Contains(got[0], "oracle-10-1-0-9 is somebody else's") {
		t.Errorf("problems: %q", got)
	}
	if services, err := a.Agent().Services(); err != nil || services["own"] == nil {
		t.Errorf("the agent's services are %v: %v", services, err)
	}
}

func TestOrphansAndDamageAreRepaired(t *testing.T) {
	a := startAgent(t)
	dead := a.writing(t, instance("old1", "10.1.0.8", "sales"), instance("s1", "10.1.0.1", "crm"))
	dead.mustSync(t)
	heir := a.writing(t, instance("s1", "10.1.0.1", "sales"))
	heir.mustSync(t)
	want := "oracle-10-1-0-1 10.1.0.1 sales:s1@10.1.0.1 sales 10.1.0.1:1521 passing"
	a.want(t, want)
	if _, err := a.Catalog().Deregister(&api.CatalogDeregistration{Node: "oracle-10-1-0-1"}, nil); err != nil {
		t.Fatal(err)
	}
	heir.fullAt = time.Time{}
	heir.mustSync(t)
	a.want(t, want)
	if n := heir.Looked().Entries; n != 2 {
		t.Errorf("drift was %d, want the node and its service", n)
	}
	heir.fullAt = time.Time{}
	heir.mustSync(t)
	if n := heir.Looked().Entries; n != 0 {
		t.Errorf("drift is %d", n)
	}
}

func TestLoadAloneIsWrittenNowAndThen(t *testing.T) {
	a := startAgent(t)
	w := a.writing(t, instance("s1", "10.1.0.1", "sales"))
	w.mustSync(t)
	load := func() string {
		found, _, err := a.Health().Service("sales", "", false, nil)
		if err != nil || len(found) != 1 {
			t.Fatal(found, err)
		}
		return found[0].Service.Meta["load"]
	}
	busy := instance("s1", "10.1.0.1", "sales")
	busy.Load = 77
	w.table.Apply(busy)
	w.mustSync(t)
	if got := load(); got != "3" {
		t.Errorf("load is %s at once", got)
	}
	w.detailsAt = time.Time{}
	w.mustSync(t)
	if got := load(); got != "77" {
		t.Errorf("load is %s later", got)
	}
}

func TestBrokersStandInForInstances(t *testing.T) {
	a := startAgent(t)
	w := a.writing(t, instance("s1", "10.1.0.1", "sales"), instance("s2", "10.1.0.2", "sales", "hr"))
	w.layout = Layout{ToBrokers: true, Brokers: []netip.AddrPort{netip.MustParseAddrPort("10.0.0.1:1521"), netip.MustParseAddrPort("10.0.0.2:1522")}}
	w.table.Mark("s2@10.1.0.2", servicetable.Mark{Kind: servicetable.Maintenance})
	w.mustSync(t)
	a.want(t,
		"oracle-broker-10-0-0-1 10.0.0.1 hr:10.0.0.1:1521 hr 10.0.0.1:1521 critical",
		"oracle-broker-10-0-0-1 10.0.0.1 sales:10.0.0.1:1521 sales 10.0.0.1:1521 passing",
		"oracle-broker-10-0-0-2 10.0.0.2 hr:10.0.0.2:1522 hr 10.0.0.2:1522 critical",
		"oracle-broker-10-0-0-2 10.0.0.2 sales:10.0.0.2:1522 sales 10.0.0.2:1522 passing")
}

func TestOneEntryThatConsulRefusesHoldsUpNoOther(t *testing.T) {
	a := startAgent(t)
	w := a.writing(t)
	for i := range 60 {
		w.table.Apply(instance(fmt.Sprintf("s%d", i), fmt.Sprintf("10.1.0.%d", i+1), "sales"))
	}
	p := w.layout.Publish(w.table.Snapshot())
	name := p.Nodes[7].Name
	p.Nodes = slices.Delete(p.Nodes, 7, 8) // without which a service cannot be
	err := w.Sync(t.Context(), p)
	if err == nil || !strings.Contains(err.Error(), name) {
		t.Errorf("error: %v", err)
	}
	if got := a.entries(t); len(got) != 59 {
		t.Errorf("%d entries", len(got))
	}
}

func TestAMirrorRecoversFromWhateverBecomesOfConsul(t *testing.T) {
	a := startAgent(t)
	w := a.writing(t, instance("s1", "10.1.0.1", "sales"))
	w.Full = time.Millisecond
	w.Client.Timeout = time.Second
	follow := func(resync time.Duration) (m *discovery.Mirror[Publication], stop func()) {
		m = &discovery.Mirror[Publication]{
			Name: "consul", Snapshot: w.table.Snapshot, Desire: w.layout.Publish, Equal: Equal, Destination: w, Resync: resync, Longest: time.Second, Timeout: 5 * time.Second,
		}
		return m, background(t, m.Run)
	}
	is := func(want ...string) func() string {
		return func() string {
			if got := a.entries(t); strings.Join(got, "\n") != strings.Join(want, "\n") {
				return strings.Join(got, "\n")
			}
			return ""
		}
	}
	one := "oracle-10-1-0-1 10.1.0.1 sales:s1@10.1.0.1 sales 10.1.0.1:1521 passing"
	two := "oracle-10-1-0-2 10.1.0.2 sales:s2@10.1.0.2 sales 10.1.0.2:1521 passing"
	_, stop := follow(time.Hour) // what changes is written because it does
	eventually(t, 10*time.Second, "the first entry", is(one))
	w.table.Apply(instance("s2", "10.1.0.2", "sales"))
	eventually(t, 10*time.Second, "the second entry", is(one, two))
	w.table.Drop("s2@10.1.0.2")
	eventually(t, 10*time.Second, "the second entry to go", is(one))
	stop()

	m, _ := follow(500 * time.Millisecond)
	a.kill() // and with it all that it knew
	eventually(t, 10*time.Second, "the fault to be told", func() string {
		if s := m.Status(); s.Error == "" {
			return "no error"
		}
		return ""
	})
	w.table.Apply(instance("s2", "10.1.0.2", "sales"))
	a.start(t)
	eventually(t, 20*time.Second, "an emptied Consul to be filled", is(one, two))

	_ = a.Consul.Signal(syscall.SIGSTOP)
	w.table.Drop("s2@10.1.0.2")
	eventually(t, 15*time.Second, "a frozen Consul to be told", func() string {
		if s := m.Status(); s.Error == "" {
			return "no error"
		}
		return ""
	})
	_ = a.Consul.Signal(syscall.SIGCONT)
	eventually(t, 20*time.Second, "the mirror after a frost", is(one))
}

// counted are the writes that go through a proxy before a real agent, by the second.
type counted struct {
	mu       sync.Mutex
	bySecond map[int64]int
	all      int
}

func (c *counted) proxy(t testing.TB, a *agent) string {
	c.bySecond = map[int64]int{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			c.mu.Lock()
			c.bySecond[time.Now().Unix()]++
			c.all++
			c.mu.Unlock()
		}
		passOn(w, r, "http://"+a.address())
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// most is the number of writes in the busiest second.
func (c *counted) most() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Max(slices.Collect(maps.Values(c.bySecond)))
}

func TestTenThousandInstancesAreReconciledInTime(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long: not with -short")
	}
	a, c := startAgent(t), &counted{}
	w := a.writing(t)
	w.Client = &Client{Address: c.proxy(t, a)}
	t.Cleanup(w.Client.Close)
	p := Publication{Version: 1}
	for i := range 10_000 {
		host := fmt.Sprintf("10.%d.%d.%d", i/40000, i/200%200, i%200+1)
		n := Node{NodeName(host), host, host}
		p.Nodes = append(p.Nodes, n)
		p.Services = append(p.Services, Service{Node: n.Name, ID: fmt.Sprintf("s%d:i%d@%s", i%500, i, host), Name: fmt.Sprintf("s%d", i%500), Address: host, Port: 1521,
			Of: "s", Instance: "i", Host: host, Weight: 100, Status: passing, Output: "the instance is ready"})
	}
	start := time.Now()
	if err := w.Sync(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	first := time.Since(start)
	w.Doubt()
	start = time.Now()
	if err := w.Sync(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	t.Logf("10,000 instances written in %v by %d writes, at most %d in a second; compared in %v", first, c.all, c.most(), time.Since(start))
	if first > 30*time.Second || w.Looked().Entries != 0 || c.most() > 201 {
		t.Errorf("10,000 instances took %v; afterwards %d differ", first, w.Looked().Entries)
	}
}

func TestWithoutTheLockNothingIsWritten(t *testing.T) {
	a := startAgent(t)
	w := a.writing(t, instance("s1", "10.1.0.1", "sales"))
	w.Member = &Member{Client: w.Client, Name: "me"}
	if err := w.sync(t); !errors.Is(err, discovery.ErrStandby) {
		t.Errorf("error: %v", err)
	}
	if n := w.Looked().Entries; n != 2 {
		t.Errorf("drift is %d", n)
	}
	// It thinks that it has the lock, and has not.
	w.Member.lease, w.Member.until = Lease{Key: "broker/writer", Session: "00000000-0000-0000-0000-000000000000"}, time.Now().Add(time.Minute)
	if err := w.sync(t); !errors.Is(err, discovery.ErrStandby) {
		t.Errorf("error: %v", err)
	}
	a.want(t)
}

func TestWhatConsulHidesIsTold(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Consul-LastContact", "0")
		w.Header().Set("X-Consul-Results-Filtered-By-ACLs", "true") // as servers from 1.12 on say
		at("^$", "").ServeHTTP(w, r)
	}))
	defer server.Close()
	c := &Catalogue{Client: &Client{Address: server.URL}}
	defer c.Client.Close()
	if err := c.Sync(t.Context(), Publication{}); err != nil {
		t.Fatal(err)
	}
	if got := c.Problems(); len(got) != 1 || !strings.Contains(got[0], "Consul hides") || !strings.Contains(got[0], "node_prefix") {
		t.Errorf("problems: %q", got)
	}
}
