package dns

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

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3/acme"
	wire "github.com/miekg/dns"

	"servicebroker/discovery"
	"servicebroker/servicetable"
)

var _ discovery.Destination[Publication] = (*Updater)(nil)
var _ discovery.Destination[Publication] = (*Server)(nil)

const primaryZone = `type primary; file "primary.zone"; allow-update { key "transfer.example"; };`

// held are the records of a name at a server, without TTLs.
func held(t *testing.T, server, name string, kind uint16) []string {
	t.Helper()
	got, _ := until(t, server, question(name, kind), func(m *wire.Msg) bool { return m.Rcode != wire.RcodeServerFailure })
	return texts(got.Answer)
}

func wantHeld(t *testing.T, server, name string, kind uint16, want ...string) {
	t.Helper()
	if got := held(t, server, name, kind); !slices.Equal(got, want) {
		t.Errorf("%s %s: %q, want %q", name, wire.TypeToString[kind], got, want)
	}
}

// updating is a layout, a table, and an updater for them.
type updating struct {
	*Updater
	table *servicetable.Table
}

func newUpdating(primary string, all ...servicetable.Registration) *updating {
	return &updating{&Updater{Primary: primary, Zone: "db.example", Key: testKey, Timeout: 2 * time.Second}, tableOf(all...)}
}

func (u *updating) sync(t *testing.T) error {
	return u.Sync(t.Context(), layout().Publish(u.table.Snapshot()))
}

func (u *updating) mustSync(t *testing.T) {
	t.Helper()
	if err := u.sync(t); err != nil {
		t.Fatal(err)
	}
}

func TestBINDIsUpdatedAndWhatOthersMadeIsLeftAlone(t *testing.T) {
	for transfers, zone := range map[string]string{"allowed": primaryZone, "refused": primaryZone + ` allow-transfer { none; };`} {
		t.Run("transfers "+transfers, func(t *testing.T) { testUpdates(t, bind(t, zone)) })
	}
}

// many are more instances of one service than BIND takes records of one name.
func many() (all []servicetable.Registration) {
	for i := range 150 {
		all = append(all, instance(fmt.Sprintf("m%d", i), fmt.Sprintf("10.3.0.%d", i+1), "many"))
	}
	return all
}

func TestBINDTakesAServiceOfManyInstances(t *testing.T) {
	primary := bind(t, primaryZone)
	until(t, primary, question("keep.db.example", wire.TypeA), answers(1))
	newUpdating(primary, many()...).mustSync(t)
	port := freePort(t)
	secondary := bind(t, fmt.Sprintf(`type secondary; primaries port %d { 127.0.0.1 key %q; };`, port, testKey.Name))
	w := newWorld(t, &Server{Keys: []Key{testKey}, Secondaries: []Secondary{{Addr: netip.MustParseAddrPort(secondary), Key: testKey.Name}}}, many()...)
	w.listen(t, at(port))
	m := question("many.db.example", wire.TypeA)
	m.IsEdns0().SetUDPSize(4096)
	for _, server := range []string{primary, secondary} {
		client := &wire.Client{Net: "tcp"}
		until(t, server, question("m149.instance.db.example", wire.TypeA), answers(1))
		if got, _, err := client.ExchangeContext(t.Context(), m, server); err != nil || len(got.Answer) != maxRecords {
			t.Errorf("%v, %v", got, err)
		}
	}
}

func TestNotesOfManyNamesAreSpread(t *testing.T) {
	c := &primary{layout: "db.example."}
	count := map[string]int{}
	for i := range 20_000 {
		for _, name := range []string{"i%d.instance.db.example.", "_oracle._tcp.i%d.instance.db.example.", "host%d.node.db.example."} {
			count[c.shard(fmt.Sprintf(name, i))]++
		}
	}
	for shard, n := range count {
		if n > maxRecords {
			t.Errorf("%s would have %d records", shard, n)
		}
	}
}

func testUpdates(t *testing.T, primary string) {
	until(t, primary, question("keep.db.example", wire.TypeA), answers(1))
	u := newUpdating(primary, instance("s1", "10.1.0.1", "sales", "foreign"), instance("s2", "10.1.0.2", "sales"))
	u.mustSync(t)
	wantHeld(t, primary, "sales.db.example", wire.TypeA, "sales.db.example. A 10.1.0.1", "sales.db.example. A 10.1.0.2")
	wantHeld(t, primary, "_oracle._tcp.sales.db.example", wire.TypeSRV,
		"_oracle._tcp.sales.db.example. SRV 0 100 1521 10-1-0-1.node.db.example.", "_oracle._tcp.sales.db.example. SRV 0 100 1521 10-1-0-2.node.db.example.")
	wantHeld(t, primary, "foreign.db.example", wire.TypeA, "foreign.db.example. A 192.0.2.2")
	wantHeld(t, primary, "foreign.db.example", wire.TypeTXT)
	if got := u.Foreign(); !slices.Equal(got, []string{"foreign.db.example."}) {
		t.Errorf("foreign names: %v", got)
	}

	u.table.Drop("s2@10.1.0.2")
	u.mustSync(t)
	wantHeld(t, primary, "sales.db.example", wire.TypeA, "sales.db.example. A 10.1.0.1")
	wantHeld(t, primary, "s2.instance.db.example", wire.TypeA)

	// Somebody's hand in our records, found when all is compared.
	damage := new(wire.Msg)
	damage.SetUpdate("db.example.")
	damage.Insert([]wire.RR{&wire.A{Hdr: wire.RR_Header{Name: "sales.db.example.", Rrtype: wire.TypeA, Class: wire.ClassINET, Ttl: 5}, A: []byte{192, 0, 2, 99}}})
	c, err := u.dial(t.Context(), "db.example.")
	if err != nil {
		t.Fatal(err)
	}
	if reply, err := c.exchange(damage); err != nil || reply.Rcode != wire.RcodeSuccess {
		t.Fatal(reply, err)
	}
	c.conn.Close()
	u.fullAt = time.Now()
	u.mustSync(t)
	wantHeld(t, primary, "sales.db.example", wire.TypeA, "sales.db.example. A 10.1.0.1")

	// Another broker takes over, which has another table.
	heir := newUpdating(primary, instance("s3", "10.1.0.3", "crm"))
	heir.mustSync(t)
	for _, gone := range []string{"sales.db.example", "_oracle._tcp.sales.db.example", "s1.instance.db.example", "10-1-0-1.node.db.example"} {
		wantHeld(t, primary, gone, wire.TypeANY)
	}
	wantHeld(t, primary, "crm.db.example", wire.TypeA, "crm.db.example. A 10.1.0.3")
	wantHeld(t, primary, "keep.db.example", wire.TypeA, "keep.db.example. A 192.0.2.1")
	wantHeld(t, primary, "foreign.db.example", wire.TypeA, "foreign.db.example. A 192.0.2.2")
	heir.table.Drop("s3@10.1.0.3")
	heir.mustSync(t)
	wantHeld(t, primary, "crm.db.example", wire.TypeTXT)
}

func TestWhatOthersWroteMeanwhileIsPutRightOnceDoubted(t *testing.T) {
	primary := bind(t, primaryZone)
	until(t, primary, question("keep.db.example", wire.TypeA), answers(1))
	u := newUpdating(primary, instance("s1", "10.1.0.1", "sales"))
	u.mustSync(t)
	newUpdating(primary, instance("s2", "10.1.0.2", "hr")).mustSync(t)
	u.Doubt()
	u.mustSync(t)
	wantHeld(t, primary, "sales.db.example", wire.TypeA, "sales.db.example. A 10.1.0.1")
	wantHeld(t, primary, "hr.db.example", wire.TypeA)
}

// While a primary is waited for, nobody who asks is kept waiting, and the end of the broker ends it.
func TestASilentPrimaryHoldsUpNobody(t *testing.T) {
	listening, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	came, accepting := make(chan struct{}, 2), make(chan struct{})
	go func() {
		defer close(accepting)
		for {
			c, err := listening.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			came <- struct{}{}
		}
	}()
	t.Cleanup(func() {
		_ = listening.Close()
		<-accepting
	})
	u := newUpdating(listening.Addr().String(), instance("s1", "10.1.0.1", "sales"))
	u.Timeout = time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- u.Sync(ctx, layout().Publish(u.table.Snapshot())) }()
	<-came
	<-came // to copy the zone
	if got := u.Foreign(); len(got) > 0 {
		t.Errorf("%q", got)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestASecondSyncOfTheSameWritesNothing(t *testing.T) {
	primary := bind(t, primaryZone)
	serial := func() uint32 {
		got, _ := until(t, primary, question("db.example", wire.TypeSOA), answers(1))
		return got.Answer[0].(*wire.SOA).Serial
	}
	serial()
	u := newUpdating(primary, instance("s1", "10.1.0.1", "sales"))
	u.mustSync(t)
	before := serial()
	u.mustSync(t)
	again := newUpdating(primary, instance("s1", "10.1.0.1", "sales"))
	again.mustSync(t)
	if after := serial(); after != before {
		t.Errorf("the serial went from %d to %d", before, after)
	}
}

func TestAThousandInstancesAreWritten(t *testing.T) {
	primary := bind(t, primaryZone)
	until(t, primary, question("keep.db.example", wire.TypeA), answers(1))
	u := newUpdating(primary)
	for i := range 1000 {
		u.table.Apply(instance(fmt.Sprintf("i%d", i), fmt.Sprintf("10.3.%d.%d", i/200, i%200+1), fmt.Sprintf("s%d", i%300)))
	}
	start := time.Now()
	u.mustSync(t)
	t.Logf("1000 instances in %v", time.Since(start))
	wantHeld(t, primary, "i999.instance.db.example", wire.TypeA, "i999.instance.db.example. A 10.3.4.200")
	wantHeld(t, primary, "i0.instance.db.example", wire.TypeA, "i0.instance.db.example. A 10.3.0.1")
}

func TestWhatAPrimaryRefusesIsExplained(t *testing.T) {
	primary := bind(t, primaryZone)
	until(t, primary, question("keep.db.example", wire.TypeA), answers(1))
	for name, change := range map[string]func(*updating){
		`knows no key "unknown"`: func(u *updating) { u.Key.Name = "unknown" },
		"it has another secret":  func(u *updating) { u.Key.Secret = "d3JvbmctZm9yLWFsbC13ZS1rbm93LTAwMDE=" },
		"is no primary or s":     func(u *updating) { u.Zone = "example" },
		"cannot be reached":      func(u *updating) { u.Primary = at(freePort(t)) },
		"needs a name and a s":   func(u *updating) { u.Key.Secret = "" },
	} {
		u := newUpdating(primary, instance("s1", "10.1.0.1", "sales"))
		change(u)
		if err := u.sync(t); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	u := newUpdating(primary, instance("s1", "10.1.0.1", "sales"))
	u.Writing = func() bool { return false }
	if err := u.sync(t); !errors.Is(err, discovery.ErrStandby) {
		t.Errorf("not writing: %v", err)
	}
	wantHeld(t, primary, "sales.db.example", wire.TypeA)
}

func TestChallengesOfAnACMEAuthority(t *testing.T) {
	primary := bind(t, primaryZone)
	until(t, primary, question("keep.db.example", wire.TypeA), answers(1))
	solver := &certmagic.DNS01Solver{DNSManager: certmagic.DNSManager{
		DNSProvider: &Solver{Primary: primary, Key: testKey}, Resolvers: []string{primary}, PropagationTimeout: 5 * time.Second,
	}}
	challenge := acme.Challenge{Type: "dns-01", Token: "token", KeyAuthorization: "token.thumbprint", Identifier: acme.Identifier{Type: "dns", Value: "cman.db.example"}}
	if err := solver.Present(t.Context(), challenge); err != nil {
		t.Fatal(err)
	}
	wantHeld(t, primary, "_acme-challenge.cman.db.example", wire.TypeTXT, `_acme-challenge.cman.db.example. TXT "`+challenge.DNS01KeyAuthorization()+`"`)
	if err := solver.Wait(t.Context(), challenge); err != nil {
		t.Error(err)
	}
	if err := solver.CleanUp(t.Context(), challenge); err != nil {
		t.Fatal(err)
	}
	wantHeld(t, primary, "_acme-challenge.cman.db.example", wire.TypeTXT)
}

func TestAZoneMayBeBelowThatOfThePrimary(t *testing.T) {
	primary := bind(t, primaryZone)
	until(t, primary, question("keep.db.example", wire.TypeA), answers(1))
	u := newUpdating(primary, instance("s1", "10.1.0.1", "sales"))
	l := &Layout{Zone: "oracle.db.example", Brokers: []netip.AddrPort{netip.MustParseAddrPort("10.0.0.1:1521")}}
	if err := u.Sync(t.Context(), l.Publish(u.table.Snapshot())); err != nil {
		t.Fatal(err)
	}
	wantHeld(t, primary, "sales.oracle.db.example", wire.TypeA, "sales.oracle.db.example. A 10.1.0.1")
	wantHeld(t, primary, "oracle.db.example", wire.TypeA, "oracle.db.example. A 10.0.0.1")
	wantHeld(t, primary, "oracle.db.example", wire.TypeNS)
}
