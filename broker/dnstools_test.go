package broker

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"servicebroker/console"
	"servicebroker/discovery/dns"
	"servicebroker/testenv/stage"
)

// startBIND runs BIND with a zone statement, in which %KEY% is the name of a key that the broker has too, until the test ends, and
// returns its address.
func startBIND(t *testing.T, zone string) string {
	t.Helper()
	named, err := exec.LookPath("named")
	if err != nil {
		t.Skip("named is not installed: run scripts/testdeps")
	}
	folder := t.TempDir()
	_, port, _ := net.SplitHostPort(unusedAddress(t))
	config := fmt.Sprintf(`options { directory %q; listen-on port %s { 127.0.0.1; }; listen-on-v6 { none; }; pid-file "pid"; session-keyfile "session";
		recursion no; dnssec-validation no; notify no; allow-new-zones no; };
		controls { }; key %q { algorithm hmac-sha256; secret %q; };
		zone %s;`, folder, port, tsigName, tsigSecret, strings.ReplaceAll(zone, "%KEY%", fmt.Sprintf("%q", tsigName)))
	if err := os.WriteFile(filepath.Join(folder, "named.conf"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "example.zone"), []byte("$TTL 60\n@ SOA ns hostmaster 1 60 15 604800 5\n@ NS ns\nns A 127.0.0.1\nhr.db A 192.0.2.99\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(named, "-g", "-c", filepath.Join(folder, "named.conf"))
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("named said:\n%s", said.String())
		}
	})
	return net.JoinHostPort("127.0.0.1", port)
}

// unusedAddress is one of loopback that nobody has.
func unusedAddress(t *testing.T) string {
	t.Helper()
	at, err := stage.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestASecondaryFollowsTheBroker(t *testing.T) {
	at, key := unusedAddress(t), tsigFile(t, 0o600)
	_, port, _ := net.SplitHostPort(at)
	secondary := startBIND(t, `"db.example" { type secondary; primaries { 127.0.0.1 port `+port+` key %KEY%; }; file "copy"; min-refresh-time 3600; min-retry-time 3600; }`) // it hears of changes, or not for long
	r := zoned(t, func(c *Config) {
		c.DNS.Address, c.DNS.Secondaries = at, []DNSSecondary{{netip.MustParseAddrPort(secondary), key}}
	})
	r.register("sales1", "sales")
	awaitAnswer(t, secondary, "sales.db.example", wire.TypeA, "127.0.0.1")
	var slowest time.Duration
	for i := range 4 {
		service := fmt.Sprint("s", i)
		withdraw := r.register(fmt.Sprint("i", i), service)
		slowest = max(slowest, awaitAnswer(t, secondary, service+".db.example", wire.TypeA, "127.0.0.1"))
		withdraw()
		slowest = max(slowest, awaitAnswer(t, secondary, service+".db.example", wire.TypeA, ""))
	}
	t.Logf("the slowest change was at the secondary after %v", slowest)
}

// What is there already stays as it is, what the broker wrote is gone with it, or stays if that is wanted.
func TestAPrimaryIsWrittenUntilTheBrokerEnds(t *testing.T) {
	for _, leave := range []bool{false, true} {
		key := tsigFile(t, 0o600)
		primary := startBIND(t, `"example" { type primary; file "example.zone"; update-policy { grant %KEY% subdomain db.example; }; allow-transfer { key %KEY%; }; }`)
		r := start(t, func(c *Config) {
			c.DNS.Zone, c.DNS.Update = "db.example", DNSUpdate{Primary: primary, Zone: "example", Key: key, Leave: leave}
		})
		r.register("sales1", "sales")
		r.register("hr1", "hr")
		took := awaitAnswer(t, primary, "sales.db.example", wire.TypeA, "127.0.0.1")
		t.Logf("a registered service was at the primary after %v", took)
		awaitAnswer(t, primary, "hr.db.example", wire.TypeA, "192.0.2.99")
		within(t, 10*time.Second, "the mirror to tell", func() error {
			if got := fmt.Sprint(r.onlyMirror().Notes); !strings.Contains(got, "hr.db.example. is not written") {
				return fmt.Errorf("%s", got)
			}
			return nil
		})
		r.stop()
		if err := <-r.ended; err != nil {
			t.Error(err)
		}
		r.ended <- nil
		want := "NXDOMAIN"
		if leave {
			want = "127.0.0.1"
		}
		if got, err := lookup(t.Context(), "udp", "127.0.0.1", primary, "sales.db.example", wire.TypeA); err != nil || inWords(got) != want {
			t.Errorf("STOP=leave %v: %v %v, want %s", leave, got, err, want)
		}
		awaitAnswer(t, primary, "hr.db.example", wire.TypeA, "192.0.2.99")
	}
}

// While nobody could know which broker writes a zone elsewhere, each did, and a successor may have: it is put right at once after.
func TestAPrimaryIsPutRightAfterOthersWroteThere(t *testing.T) {
	key := tsigFile(t, 0o600)
	primary := startBIND(t, `"example" { type primary; file "example.zone"; update-policy { grant %KEY% subdomain db.example; }; allow-transfer { key %KEY%; }; }`)
	r := start(t, func(c *Config) {
		c.Consul.Address = "127.0.0.1:1" // which is away
		c.DNS.Zone, c.DNS.Update = "db.example", DNSUpdate{Primary: primary, Zone: "example", Key: key}
	})
	r.register("sales1", "sales")
	secret, err := dns.ReadKey(key)
	if err != nil {
		t.Fatal(err)
	}
	current := func() error {
		for _, v := range r.mirrorViews() {
			if v.Name == "dns-update" && v.State != console.MirrorCurrent {
				return fmt.Errorf("%+v", v)
			}
		}
		return nil
	}
	for when, tell := range map[string]func(){"once Consul is back": r.consul.client.Back, "once a successor is gone": r.resumeZone} {
		awaitAnswer(t, primary, "sales.db.example", wire.TypeA, "127.0.0.1")
		within(t, 10*time.Second, "all to be written", current)
		other := &dns.Updater{Primary: primary, Zone: "example", Key: secret}
		written := dns.Record{Name: "sales.db.example.", Type: wire.TypeA, Addr: netip.MustParseAddr("192.0.2.7")}
		if err := other.Sync(t.Context(), dns.Publication{TTL: 5, Zones: []dns.Zone{{Name: "db.example.", Records: []dns.Record{written}}}}); err != nil {
			t.Fatal(err)
		}
		awaitAnswer(t, primary, "sales.db.example", wire.TypeA, "192.0.2.7")
		t.Log(when)
		tell()
	}
	awaitAnswer(t, primary, "sales.db.example", wire.TypeA, "127.0.0.1")
}

// Of two brokers that write one zone elsewhere one stands by, and nothing is taken out of it while either lives.
func TestTwoBrokersKeepOneZoneAtAPrimary(t *testing.T) {
	c := startConsul(t)
	key := tsigFile(t, 0o600)
	primary := startBIND(t, `"example" { type primary; file "example.zone"; update-policy { grant %KEY% subdomain db.example; }; allow-transfer { key %KEY%; }; }`)
	named := func(name string) *running {
		return start(t, func(config *Config) {
			config.Name, config.Consul.Address = name, c.Address
			config.DNS.Zone, config.DNS.Update = "db.example", DNSUpdate{Primary: primary, Zone: "example", Key: key}
		})
	}
	first := named("one")
	within(t, 10*time.Second, "the first to write", func() error {
		if !first.writesZone() || first.consul.member.Writer() != "" {
			return errors.New("it does not")
		}
		if _, held := first.consul.member.Lease(); !held {
			return errors.New("it has no lock")
		}
		return nil
	})
	second := named("two")
	first.register("sales1", "sales")
	second.register("sales1", "sales")
	awaitAnswer(t, primary, "sales.db.example", wire.TypeA, "127.0.0.1")
	stands := func(r *running) error {
		for _, v := range r.mirrorViews() {
			if v.Name == "dns-update" && (v.State == console.MirrorStandby) != (r == second) {
				return fmt.Errorf("%s: %+v", r.Name(), v)
			}
		}
		return nil
	}
	within(t, 10*time.Second, "the second to stand by", func() error { return errors.Join(stands(first), stands(second)) })
	first.stop()
	<-first.ended
	first.ended <- nil
	if got, err := lookup(t.Context(), "udp", "127.0.0.1", primary, "sales.db.example", wire.TypeA); err != nil || inWords(got) != "127.0.0.1" {
		t.Errorf("after the end of the first: %v %v", got, err)
	}
	second.register("hr2", "pay")
	awaitAnswer(t, primary, "pay.db.example", wire.TypeA, "127.0.0.1")
	second.stop()
	<-second.ended
	second.ended <- nil
	awaitAnswer(t, primary, "sales.db.example", wire.TypeA, "NXDOMAIN")
}
