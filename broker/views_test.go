package broker

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"servicebroker/console"
	"servicebroker/descriptor"
	"servicebroker/intent"
	"servicebroker/journal"
	"servicebroker/registration"
	"servicebroker/relay"
	"servicebroker/servicetable"
	"servicebroker/tns"
)

// namesMean makes names mean what a test says.
func namesMean(names map[string]string) func(context.Context, string) ([]netip.Addr, error) {
	return func(_ context.Context, name string) ([]netip.Addr, error) {
		if a, known := names[name]; known {
			return []netip.Addr{netip.MustParseAddr(a)}, nil
		}
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
}

func TestViewsByNameAndNumber(t *testing.T) {
	b := &Broker{hosts: hosts{lookup: namesMean(map[string]string{"db1": "10.1.0.5"})}}
	t.Cleanup(b.hosts.close)
	b.current.Store(&settings{config: &Config{Views: []View{
		{Clients: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, Maps: []AddressMap{
			{From: "10.1.0.5", To: "198.51.100.5", FromPort: 1521, ToPort: 1601}, {From: "DB1", To: "db1.example.com"}, {From: "10.1.0.6", To: "198.51.100.6"},
		}},
		{Clients: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")}, Maps: []AddressMap{{From: "db2", To: "2001:db8::2"}}},
	}}})
	for _, c := range []struct {
		client, host string
		port         int
		want         string
	}{
		{"192.0.2.7", "10.1.0.5", 1521, "198.51.100.5:1601"},
		{"192.0.2.7", "db1", 1521, "198.51.100.5:1601"}, // it means 10.1.0.5
		{"192.0.2.7", "db1", 1522, "db1.example.com:1522"},
		{"192.0.2.7", "::ffff:10.1.0.6", 1522, "198.51.100.6:1522"},
		{"192.0.2.7", "Db2", 1522, "[2001:db8::2]:1522"},
		{"192.0.2.7", "db3", 1521, "db3:1521"},
		{"192.0.3.7", "10.1.0.5", 1521, "10.1.0.5:1521"},
		{"2001:db8::9", "db2", 1521, "[2001:db8::2]:1521"},
		{"2001:db8::9", "db1", 1521, "db1:1521"},
	} {
		host, port := b.view(netip.MustParseAddr(c.client), c.host, c.port)
		if got := (descriptor.Address{Host: host, Port: port}).HostPort(); got != c.want {
			t.Errorf("%s:%d for %s is %s, want %s", c.host, c.port, c.client, got, c.want)
		}
	}
}

// twoNetworks is a broker with an address for each of two networks, and one of none.
func twoNetworks(t *testing.T, change func(*Config)) *running {
	return start(t, func(c *Config) {
		c.Addresses = append(c.Addresses, c.Addresses[0], c.Addresses[0])
		c.Listening = []ListenSettings{{}, {Network: "blue"}, {Network: "red"}}
		if change != nil {
			change(c)
		}
	})
}

// registerAt has a database of its own register with one of the broker's addresses.
func (r *running) registerAt(at int, instance, service string) {
	r.t.Helper()
	host, port := database(r.t)
	address := descriptor.Address{Protocol: "TCP", Host: host, Port: port}
	agent := &registration.Agent{Brokers: r.Addresses()[at : at+1], Describe: func() servicetable.Registration {
		return servicetable.Registration{
			Instance: instance, Host: instance, HostRaw: "(HOST=" + instance + ")", Max: 100,
			Services: []servicetable.Service{{Name: service, Flags: servicetable.FlagUnblocked, Delta: 1}},
			Handlers: []servicetable.Handler{{Name: "DEDICATED", Protocol: "TCP", Host: host, Port: port, Address: address.String(), Info: "REMOTE SERVER", Max: 100, Flags: 2, Services: []int{0}}},
		}
	}}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = agent.Run(ctx) }()
	r.t.Cleanup(func() { cancel(); <-ended })
	r.await(func(s *servicetable.Snapshot) bool {
		for _, one := range s.Registrations() {
			if one.Instance == instance {
				return true
			}
		}
		return false
	})
}

// at connects to one of the broker's addresses and tells how it is answered: the code of a refusal, 0 for an ACCEPT.
func (r *running) at(at int, text string) tns.Code {
	r.t.Helper()
	c, err := net.Dial("tcp", r.Addresses()[at])
	if err != nil {
		r.t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	conn := tns.NewConn(c)
	if err := conn.Send(tns.NewConnect([]byte(text))); err != nil {
		r.t.Fatal(err)
	}
	reply, err := conn.ReadReply()
	if err != nil {
		r.t.Fatal(err)
	}
	if refuse, refused := reply.(*tns.Refuse); refused {
		return refuse.Code()
	}
	return 0
}

func TestNetworksOfListeningAddresses(t *testing.T) {
	r := twoNetworks(t, nil)
	r.registerAt(1, "b1", "sales")
	r.registerAt(2, "r1", "hr")
	r.registerAt(0, "o1", "open")
	for service, want := range map[string][3]tns.Code{
		"sales": {tns.CodeUnknownService, 0, tns.CodeUnknownService},
		"hr":    {tns.CodeUnknownService, tns.CodeUnknownService, 0},
		"open":  {0, 0, 0},
	} {
		for at, code := range want {
			text := strings.Replace(sales, "=sales", "="+service, 1)
			if got := r.at(at, text); got != code {
				t.Errorf("%s at address %d: %v, want %v", service, at, got, code)
			}
			host, port, _ := net.SplitHostPort(r.Addresses()[at])
			e, err := r.Explain(t.Context(), console.ExplainRequest{Descriptor: "(DESCRIPTION=(ADDRESS=(PROTOCOL=tcp)(HOST=" + host + ")(PORT=" + port + "))(CONNECT_DATA=(SERVICE_NAME=" + service + ")))"})
			if err != nil || e.Code != int(code) {
				t.Errorf("%s at address %d is explained as %+v, %v", service, at, e, err)
			}
		}
	}
}

func TestStandIns(t *testing.T) {
	b := &Broker{hosts: hosts{lookup: namesMean(map[string]string{"db1": "10.1.0.5"})}}
	t.Cleanup(b.hosts.close)
	var said strings.Builder
	b.log = slog.New(slog.NewTextHandler(&said, nil))
	peer := netip.MustParseAddr("10.9.0.1")
	of := func(change func(*servicetable.Registration)) servicetable.Candidate {
		r := &servicetable.Registration{
			Instance: "i", Host: "pod-0", Peer: peer, LoadSource: "registration",
			Handlers: []servicetable.Handler{{Name: "DEDICATED", Host: "pod-0", Port: 1521}},
		}
		change(r)
		return servicetable.Candidate{Registration: r, Handler: &r.Handlers[0]}
	}
	for name, c := range map[string]struct {
		change func(*servicetable.Registration)
		want   netip.Addr
	}{
		"its own host":            {func(*servicetable.Registration) {}, peer},
		"with a domain":           {func(r *servicetable.Registration) { r.Handlers[0].Host = "pod-0.cluster.local" }, peer},
		"another host":            {func(r *servicetable.Registration) { r.Handlers[0].Host = "pod-1" }, netip.Addr{}},
		"a name that is known":    {func(r *servicetable.Registration) { r.Host, r.Handlers[0].Host = "db1", "db1" }, netip.Addr{}},
		"a number":                {func(r *servicetable.Registration) { r.Host, r.Handlers[0].Host = "10.1.1.1", "10.1.1.1" }, netip.Addr{}},
		"static":                  {func(r *servicetable.Registration) { r.Static = true }, netip.Addr{}},
		"by the agent":            {func(r *servicetable.Registration) { r.LoadSource = "agent" }, netip.Addr{}},
		"from nobody knows where": {func(r *servicetable.Registration) { r.Peer = netip.Addr{} }, netip.Addr{}},
	} {
		if got := b.standIn(t.Context(), of(c.change)); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	for range 3 {
		b.standIn(t.Context(), of(func(*servicetable.Registration) {}))
	}
	if n := strings.Count(said.String(), "no name service here knows"); n != 1 {
		t.Errorf("told %d times: %s", n, said.String())
	}
}

// Over IPv6 a client gets to an instance with an IPv4 address, and the other way round.
func TestFamiliesAreBridged(t *testing.T) {
	if l, err := net.Listen("tcp6", "[::1]:0"); err != nil {
		t.Skipf("no IPv6 here: %v", err)
	} else {
		l.Close()
	}
	r := start(t, func(c *Config) {
		c.Addresses = append(c.Addresses, descriptor.Address{Protocol: "tcp", Host: "::1"})
	})
	host, port := database(t)
	r.put("four", "s4", host, port)
	if got := r.at(1, sales); got != 0 {
		t.Errorf("from IPv6 to IPv4: %v", got)
	}
	six, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	serveAccepts(t, six)
	r.withdrawn("four")
	r.put("six", "s6", "::1", six.Addr().(*net.TCPAddr).Port)
	if got := r.at(0, sales); got != 0 {
		t.Errorf("from IPv4 to IPv6: %v", got)
	}
	e := r.relay.Explain(t.Context(), relay.Inquiry{Descriptor: sales, From: netip.MustParseAddr("127.0.0.1")})
	if e.Outcome != journal.Relay {
		t.Errorf("explained as %+v", e)
	}
}

// A reload may take views away while a client's is being looked for.
func TestViewsChangeWhileTheyAreUsed(t *testing.T) {
	var b Broker
	t.Cleanup(b.hosts.close)
	b.hosts.lookup = func(context.Context, string) ([]netip.Addr, error) {
		b.current.Store(&settings{config: &Config{}})
		return nil, nil
	}
	b.current.Store(&settings{config: &Config{Views: []View{
		{Clients: loopback, Maps: []AddressMap{{From: "db1", To: "198.51.100.4"}}},
		{Clients: loopback, Maps: []AddressMap{{From: "10.1.0.5", To: "198.51.100.5"}}},
	}}})
	for _, want := range []string{"198.51.100.5", "10.1.0.5"} {
		if host, _ := b.view(netip.MustParseAddr("127.0.0.1"), "10.1.0.5", 1521); host != want {
			t.Errorf("seen at %s, want %s", host, want)
		}
	}
}

// Clients that wait for the instance of one network are in no way of those of another, which has its own.
func TestHeldClientsOfAnotherNetwork(t *testing.T) {
	r := twoNetworks(t, func(c *Config) { c.HoldTimeout = time.Minute })
	r.registerAt(1, "b1", "sales")
	r.registerAt(2, "r1", "sales")
	r.set(intent.Intent{Kind: intent.Hold, Target: intent.Target{Instance: "b1"}})
	c, err := net.Dial("tcp", r.Addresses()[1])
	if err != nil {
		t.Fatal(err)
	}
	if err := tns.NewConn(c).Send(tns.NewConnect([]byte(sales))); err != nil {
		t.Fatal(err)
	}
	r.event(journal.HoldBegan)
	if code := r.at(2, sales); code != 0 {
		t.Errorf("a client of the other network: %v", code)
	}
	if n := len(r.Held()); n != 1 {
		t.Errorf("%d are held", n)
	}
	_ = c.Close()
}
