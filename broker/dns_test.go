package broker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"servicebroker/console"
	"servicebroker/intent"
	"servicebroker/servicetable"
)

// atZone is where a broker serves its zone.
func (r *running) atZone() string { return r.dns.sockets.TCP.Addr().String() }

// lookup asks for a name in the zone, and returns the answer.
func lookup(ctx context.Context, protocol, from, server, name string, kind uint16) (*wire.Msg, error) {
	m := new(wire.Msg)
	m.SetQuestion(wire.Fqdn(name), kind)
	dialer := &net.Dialer{Timeout: 8 * time.Second, LocalAddr: &net.UDPAddr{IP: net.ParseIP(from)}}
	if protocol == "tcp" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	got, _, err := (&wire.Client{Net: protocol, Dialer: dialer, Timeout: 8 * time.Second}).ExchangeContext(ctx, m, server)
	return got, err
}

// inWords is an answer as tests have it: its code unless that is NOERROR, and the records' values, sorted.
func inWords(m *wire.Msg) string {
	var all []string
	for _, rr := range m.Answer {
		all = append(all, strings.TrimPrefix(rr.String(), rr.Header().String()))
	}
	slices.Sort(all)
	if m.Rcode != wire.RcodeSuccess {
		all = append(all, wire.RcodeToString[m.Rcode])
	}
	return strings.Join(all, ", ")
}

// awaitAnswer asks a server until it answers as wanted.
func awaitAnswer(t *testing.T, server, name string, kind uint16, want string) time.Duration {
	t.Helper()
	values := strings.Split(want, ", ")
	slices.Sort(values)
	want = strings.Join(values, ", ")
	return within(t, 10*time.Second, name+" to be "+want, func() error {
		got, err := lookup(t.Context(), "udp", "127.0.0.1", server, name, kind)
		if err == nil && inWords(got) != want {
			err = fmt.Errorf("it is %q", inWords(got))
		}
		return err
	})
}

// zoned starts a broker that serves db.example.
func zoned(t *testing.T, change func(*Config)) *running {
	t.Helper()
	return start(t, func(c *Config) {
		c.DNS.Address, c.DNS.Zone = "127.0.0.1:0", "db.example"
		if change != nil {
			change(c)
		}
	})
}

// port is that of a broker's first address, or of an instance's first handler.
func (r *running) port(instance string) string {
	if instance == "" {
		_, port, _ := net.SplitHostPort(r.Addresses()[0])
		return port
	}
	for _, one := range r.Snapshot().Registrations() {
		if one.Instance == instance {
			return fmt.Sprint(one.Handlers[0].Port)
		}
	}
	r.t.Fatalf("%s is not registered", instance)
	return ""
}

func TestWhatIsRegisteredIsInTheZone(t *testing.T) {
	r := zoned(t, nil)
	awaitAnswer(t, r.atZone(), "sales.db.example", wire.TypeA, "NXDOMAIN")
	withdraw := r.register("sales1", "sales")
	took := awaitAnswer(t, r.atZone(), "sales.db.example", wire.TypeA, "127.0.0.1")
	t.Logf("a registered service is in the zone after %v", took)
	target := "0 100 " + r.port("sales1") + " 127-0-0-1.node.db.example."
	for _, protocol := range []string{"udp", "tcp"} {
		for _, one := range []struct {
			name string
			kind uint16
			want string
		}{
			{"sales.db.example", wire.TypeA, "127.0.0.1"},
			{"SALES.DB.Example", wire.TypeA, "127.0.0.1"},
			{"sales.db.example", wire.TypeAAAA, ""},
			{"sales.db.example", wire.TypeMX, ""},
			{"_oracle._tcp.sales.db.example", wire.TypeSRV, target},
			{"_oracle._tcp.sales1.instance.db.example", wire.TypeSRV, target},
			{"sales1.instance.db.example", wire.TypeA, "127.0.0.1"},
			{"127-0-0-1.node.db.example", wire.TypeA, "127.0.0.1"},
			{"_oracle._tcp.db.example", wire.TypeSRV, "0 0 " + r.port("") + " 127-0-0-1.broker.node.db.example."},
			{"db.example", wire.TypeNS, "ns.db.example."},
			{"ns.db.example", wire.TypeA, "127.0.0.1"},
			{"_tcp.sales.db.example", wire.TypeA, ""}, // it has names below it
			{"hr.db.example", wire.TypeA, "NXDOMAIN"},
			{"www.example.org", wire.TypeA, "REFUSED"},
			{"db.example", wire.TypeAXFR, "REFUSED"},
		} {
			got, err := lookup(t.Context(), protocol, "127.0.0.1", r.atZone(), one.name, one.kind)
			if err != nil || inWords(got) != one.want {
				t.Errorf("%s %s %s is %v %v, want %q", protocol, one.name, wire.TypeToString[one.kind], got, err, one.want)
			}
		}
		got, err := lookup(t.Context(), protocol, "127.0.0.1", r.atZone(), "sales.db.example", wire.TypeTXT)
		if err != nil || !strings.Contains(inWords(got), `"instance=sales1"`) || !strings.Contains(inWords(got), `"state=ready"`) {
			t.Errorf("TXT is %v %v", got, err)
		}
	}
	if all := r.series(); all[`dns_answers_total{rcode="refused"}`] != 4 || all[`dns_answers_total{rcode="noerror"}`] < 20 {
		t.Errorf("answers are counted as %v refused, %v good", all[`dns_answers_total{rcode="refused"}`], all[`dns_answers_total{rcode="noerror"}`])
	}
	withdraw()
	awaitAnswer(t, r.atZone(), "sales.db.example", wire.TypeA, "")
}

func TestDrainedInstancesHaveNoAddressInTheZone(t *testing.T) {
	r := zoned(t, nil)
	r.join("a", "sales")
	awaitAnswer(t, r.atZone(), "sales.db.example", wire.TypeA, "127.0.0.1")
	v := r.set(intent.Intent{Kind: intent.Drain, Target: intent.Target{Instance: "a"}, Reason: "patch"})
	awaitAnswer(t, r.atZone(), "sales.db.example", wire.TypeA, "")
	awaitAnswer(t, r.atZone(), "_oracle._tcp.sales.db.example", wire.TypeSRV, "NXDOMAIN")
	if got, err := lookup(t.Context(), "udp", "127.0.0.1", r.atZone(), "sales.db.example", wire.TypeTXT); err != nil || !strings.Contains(inWords(got), "instance=a") || strings.Contains(inWords(got), "state=ready") {
		t.Errorf("TXT is %v %v", got, err)
	}
	if _, err := r.EndIntent(t.Context(), v.ID); err != nil {
		t.Fatal(err)
	}
	awaitAnswer(t, r.atZone(), "sales.db.example", wire.TypeA, "127.0.0.1")
}

func TestReloadsChangeWhatTheZoneSays(t *testing.T) {
	const zone = "(DNS_ADDRESS=127.0.0.1:0)(DNS_ZONE=db.example)"
	r, file := fromFile(t, zone)
	r.register("sales1", "sales")
	awaitAnswer(t, r.atZone(), "sales.db.example", wire.TypeA, "127.0.0.1")
	result := r.reload(file, zone+"(DNS_TTL=60)")
	if fmt.Sprint(result.Changed) != "[DNS_TTL]" || len(result.NeedsRestart) > 0 {
		t.Errorf("%+v", result)
	}
	within(t, 10*time.Second, "the new TTL", func() error {
		got, err := lookup(t.Context(), "udp", "127.0.0.1", r.atZone(), "sales.db.example", wire.TypeA)
		if err == nil && (len(got.Answer) != 1 || got.Answer[0].Header().Ttl != 60) {
			err = fmt.Errorf("%v", got)
		}
		return err
	})
	r.reload(file, zone+"(DNS_TARGET=brokers)(DNS_BROKERS=192.0.2.10,192.0.2.11:1600)(DNS_NAME_SERVERS=ns1.example.,ns2.example)")
	awaitAnswer(t, r.atZone(), "sales.db.example", wire.TypeA, "192.0.2.10, 192.0.2.11")
	awaitAnswer(t, r.atZone(), "_oracle._tcp.sales.db.example", wire.TypeSRV, "0 100 "+r.port("")+" 192-0-2-10.broker.node.db.example., 0 100 1600 192-0-2-11.broker.node.db.example.")
	awaitAnswer(t, r.atZone(), "db.example", wire.TypeNS, "ns1.example., ns2.example.")
	awaitAnswer(t, r.atZone(), "sales1.instance.db.example", wire.TypeA, "127.0.0.1")
	r.reload(file, zone+"(DNS_REVERSE=127.0.0.0/8)")
	awaitAnswer(t, r.atZone(), "1.0.0.127.in-addr.arpa", wire.TypePTR, "127-0-0-1.broker.node.db.example., 127-0-0-1.node.db.example.")
	r.reload(file, zone+"(VIEW=(CLIENTS=127.0.0.0/8)(MAP=(FROM=127.0.0.1)(TO=198.51.100.5:1601)))")
	awaitAnswer(t, r.atZone(), "_oracle._tcp.sales.db.example", wire.TypeSRV, "0 100 1601 198-51-100-5.node.db.example.")
	r.reload(file, zone)
	awaitAnswer(t, r.atZone(), "sales.db.example", wire.TypeA, "127.0.0.1")
	if result := r.reload(file, "(DNS_ADDRESS=127.0.0.1:0)(DNS_ZONE=other.example)"); fmt.Sprint(result.NeedsRestart) != "[DNS_ZONE]" {
		t.Errorf("%+v", result)
	}
	awaitAnswer(t, r.atZone(), "sales.db.example", wire.TypeA, "127.0.0.1")
}

func TestEachSeesTheZoneThroughAllVIEWsThatAreForThem(t *testing.T) {
	view := func(clients, from, to string, services ...string) View {
		return View{Clients: []netip.Prefix{netip.MustParsePrefix(clients)}, Maps: []AddressMap{{From: from, To: to}}, Services: services}
	}
	r := zoned(t, func(c *Config) {
		c.Views = []View{
			view("127.0.0.3/32", "127.0.0.9", "192.0.2.9"),
			view("127.0.0.2/31", "127.0.0.1", "192.0.2.1", "sal*"),
			view("127.0.0.2/32", "127.0.0.1", "192.0.2.2"),
		}
	})
	r.register("sales1", "sales")
	r.register("hr1", "hr")
	awaitAnswer(t, r.atZone(), "hr.db.example", wire.TypeA, "127.0.0.1")
	for from, want := range map[string][2]string{
		"127.0.0.1": {"127.0.0.1", "127.0.0.1"}, // none is for it
		"127.0.0.2": {"192.0.2.1", "NXDOMAIN"},  // the first that maps the address counts, as in the relay
		"127.0.0.3": {"192.0.2.1", "NXDOMAIN"},  // through two of them
	} {
		for i, name := range []string{"sales.db.example", "hr.db.example"} {
			got, err := lookup(t.Context(), "udp", from, r.atZone(), name, wire.TypeA)
			if err != nil || inWords(got) != want[i] {
				t.Errorf("%s from %s is %v %v, want %s", name, from, got, err, want[i])
			}
		}
	}
}

// A name service that says nothing must not keep what else is registered from the zone.
func TestHostNamesAreInTheZoneOnceTheyAreKnown(t *testing.T) {
	known := make(chan struct{})
	b, err := New(testConfig(t, func(c *Config) { c.DNS.Address, c.DNS.Zone = "127.0.0.1:0", "db.example" }), nil)
	if err != nil {
		t.Fatal(err)
	}
	b.hosts.lookup = func(ctx context.Context, name string) ([]netip.Addr, error) {
		select {
		case <-known:
			return []netip.Addr{netip.MustParseAddr("192.0.2.77")}, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	r := run(t, b)
	r.put("s1", "slow1", "db7.test", 1521)
	r.register("sales1", "sales")
	awaitAnswer(t, r.atZone(), "sales.db.example", wire.TypeA, "127.0.0.1")
	awaitAnswer(t, r.atZone(), "slow1.instance.db.example", wire.TypeA, "")
	notes := ""
	within(t, 10*time.Second, "the mirror to tell", func() error {
		if notes = strings.Join(r.onlyMirror().Notes, "\n"); !strings.Contains(notes, `no address of host "db7.test" is known`) {
			return errors.New(notes)
		}
		return nil
	})
	close(known)
	awaitAnswer(t, r.atZone(), "slow1.instance.db.example", wire.TypeA, "192.0.2.77")
	within(t, 10*time.Second, "nothing to be told", func() error {
		if got := r.onlyMirror().Notes; len(got) > 0 {
			return fmt.Errorf("%q", got)
		}
		return nil
	})
}

func TestASignedZoneTellsWhatItsParentNeeds(t *testing.T) {
	r := zoned(t, func(c *Config) { c.DNS.Sign = true })
	r.register("sales1", "sales")
	m := new(wire.Msg)
	m.SetQuestion("db.example.", wire.TypeDNSKEY)
	m.SetEdns0(1232, true)
	var keys *wire.Msg
	within(t, 10*time.Second, "the key", func() (err error) {
		if keys, err = wire.Exchange(m, r.atZone()); err == nil && len(keys.Answer) < 2 {
			err = fmt.Errorf("%v", keys)
		}
		return err
	})
	var key *wire.DNSKEY
	for _, rr := range keys.Answer {
		if k, is := rr.(*wire.DNSKEY); is {
			key = k
		}
	}
	view := r.awaitMirror(func(v console.MirrorView) bool { return v.State == console.MirrorCurrent && len(v.Notes) > 0 })
	want := strings.Join(strings.Fields(key.ToDS(wire.SHA256).String())[4:], " ")
	if !strings.Contains(strings.ToLower(view.Notes[0]), strings.ToLower(want)) || !strings.Contains(view.Notes[0], "the parent zone needs") {
		t.Errorf("notes %q, want %s", view.Notes, want)
	}
	for _, rr := range keys.Answer {
		if s, is := rr.(*wire.RRSIG); is {
			if err := s.Verify(key, []wire.RR{key}); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestTheZoneIsServedUntilSessionsHaveEnded(t *testing.T) {
	r := zoned(t, nil)
	r.register("sales1", "sales")
	awaitAnswer(t, r.atZone(), "sales.db.example", wire.TypeA, "127.0.0.1")
	at := r.atZone()
	conn, _ := r.session("sales")
	r.stop()
	within(t, 10*time.Second, "the end to begin", func() error {
		if !r.stopping.Load() {
			return errors.New("not yet")
		}
		return nil
	})
	awaitAnswer(t, at, "sales.db.example", wire.TypeA, "127.0.0.1")
	conn.Close()
	if err := <-r.ended; err != nil {
		t.Error(err)
	}
	r.ended <- nil
	if got, err := lookup(t.Context(), "tcp", "127.0.0.1", at, "sales.db.example", wire.TypeA); err == nil {
		t.Errorf("it is still answered: %v", got)
	}
}

func TestABrokerSaysWhyItCannotServeItsZone(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for want, dns := range map[string]DNSSettings{
		"DNS_ZONE is missing":             {Address: "127.0.0.1:0"},
		"somebody serves DNS there":       {Address: taken.Addr().String(), Zone: "db.example"},
		"DNS_TRANSFER: open /nonexistent": {Address: "127.0.0.1:0", Zone: "db.example", Secondaries: []DNSSecondary{{Key: "/nonexistent"}}},
		"DNS_UPDATE: open /nonexistent":   {Zone: "db.example", Update: DNSUpdate{Primary: "127.0.0.1:53", Key: "/nonexistent"}},
		"cannot be copied by secondaries": {Address: "127.0.0.1:0", Zone: "db.example", Sign: true, Secondaries: []DNSSecondary{{Address: netip.MustParseAddrPort("127.0.0.1:9")}}},
	} {
		b, err := New(testConfig(t, func(c *Config) { c.DNS = dns }), nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", dns, err, want)
		}
		if b != nil {
			b.closeListeners()
		}
	}
}

func TestWhereThisBrokerIsReached(t *testing.T) {
	r := start(t, func(c *Config) {
		c.Addresses[0].Host = "0.0.0.0"
	})
	for _, at := range r.reachedAt(&r.config) {
		if !at.Addr().Is4() || !at.Addr().IsGlobalUnicast() || fmt.Sprint(at.Port()) != r.port("") {
			t.Errorf("clients are sent to %s", at)
		}
	}
	c := &Config{DNS: DNSSettings{Brokers: []netip.AddrPort{netip.MustParseAddrPort("[2001:db8::1]:0"), netip.MustParseAddrPort("192.0.2.1:1600")}}}
	same(t, "given addresses", "[192.0.2.1:1600 [2001:db8::1]:"+r.port("")+"]", fmt.Sprint(r.reachedAt(c)))
}

// offered is a table with one instance for each service.
func offered(b *Broker, services ...string) {
	for i, s := range services {
		b.table.Apply(servicetable.Registration{
			ID: servicetable.ID(s), Instance: fmt.Sprint("i", i), Host: "h", Max: 100,
			Services: []servicetable.Service{{Name: s, Flags: servicetable.FlagUnblocked}},
			Handlers: []servicetable.Handler{{Name: "DEDICATED", Protocol: "TCP", Host: "192.0.2.1", Port: 1521, Services: []int{0}}},
		})
	}
}

func TestProblemsOfNamesAreToldInBounds(t *testing.T) {
	r := zoned(t, nil)
	var services []string
	for i := range maxProblems + 10 {
		services = append(services, fmt.Sprintf("s%d_x", i), fmt.Sprintf("s%d-x", i))
	}
	offered(r.Broker, services...)
	view := r.awaitMirror(func(v console.MirrorView) bool { return len(v.Notes) > maxProblems })
	if len(view.Notes) != maxProblems+1 || !strings.HasPrefix(view.Notes[maxProblems], "and ") {
		t.Errorf("%d notes, at last %q", len(view.Notes), view.Notes[len(view.Notes)-1])
	}
}
