package dns

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"servicebroker/servicetable"
)

var testKey = Key{Name: "transfer.example", Secret: "c2VydmljZWJyb2tlci10ZXN0LWtleS0wMDAx"}

// daemon runs a program until the test ends.
func daemon(t testing.TB, name string, arguments ...string) {
	t.Helper()
	path := tool(t, name)
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, path, arguments...)
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s said:\n%s", name, log.String())
		}
	})
}

// until asks a server over the network until ok says yes to the answer, or fails.
func until(t testing.TB, server string, m *wire.Msg, ok func(*wire.Msg) bool) (*wire.Msg, time.Duration) {
	t.Helper()
	start := time.Now()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	client := &wire.Client{Timeout: time.Second}
	var got *wire.Msg
	for time.Since(start) < 20*time.Second {
		if reply, _, err := client.ExchangeContext(t.Context(), m, server); err == nil {
			if got = reply; ok(reply) {
				return reply, time.Since(start)
			}
		}
		<-ticker.C
	}
	t.Fatalf("%s never answered as it should; at last\n%v", server, got)
	return nil, 0
}

func answers(n int) func(*wire.Msg) bool { return func(m *wire.Msg) bool { return len(m.Answer) == n } }

func TestDigIsAnsweredOverBothProtocols(t *testing.T) {
	var all []servicetable.Registration
	for i := range 100 {
		all = append(all, instance(fmt.Sprintf("big%d", i), fmt.Sprintf("10.2.0.%d", i+1), "big"))
	}
	w := newWorld(t, &Server{}, append(all, instance("s1", "10.1.0.1", "sales"), instance("s2", "fd00::1", "sales"))...)
	w.listen(t, "127.0.0.1:0")
	server, port, _ := strings.Cut(w.addr, ":")
	dig := func(arguments ...string) string {
		return output(t, "dig", append([]string{"@" + server, "-p", port, "+time=2", "+tries=1"}, arguments...)...)
	}
	for _, protocol := range []string{"+notcp", "+tcp", "+bufsize=512", "+noedns", "+cookie=0123456789abcdef"} {
		for question, want := range map[string]string{
			"sales.db.example A":                      "10.1.0.1\n",
			"sales.db.example AAAA":                   "fd00::1\n",
			"_oracle._tcp.s1.instance.db.example SRV": "0 100 1521 10-1-0-1.node.db.example.\n",
			"db.example NS":                           "ns.db.example.\n",
			"s1.instance.db.example A":                "10.1.0.1\n",
			"nobody.db.example A":                     "",
		} {
			if got := dig(append(strings.Fields(question), protocol, "+short")...); got != want {
				t.Errorf("dig %s %s: %q, want %q", question, protocol, got, want)
			}
		}
	}
	for question, want := range map[string]string{
		"nobody.db.example A":                            "status: NXDOMAIN",
		"sales.db.example MX":                            "status: NOERROR",
		"www.example.org A":                              "status: REFUSED",
		"version.bind CH TXT":                            "status: REFUSED",
		"db.example ANY +notcp":                          "RFC8482",
		"db.example AXFR":                                "Transfer failed",
		"sales.db.example A +ednsopt=65001":              "status: NOERROR",
		"sales.db.example A +edns=5 +noednsnegotiation":  "status: BADVERS",
		"sales.db.example A +opcode=update":              "status: NOTIMP",
		"_oracle._tcp.big.db.example SRV +ignore +notcp": "flags: qr aa tc",
		"_oracle._tcp.big.db.example SRV +tcp":           "ANSWER: 100,",
		"_oracle._tcp.big.db.example SRV":                "ANSWER: 100,", // which comes again over TCP by itself
	} {
		if got := dig(strings.Fields(question)...); !strings.Contains(got, want) {
			t.Errorf("dig %s does not say %q:\n%s", question, want, got)
		}
	}
}

func TestTheZoneIsValidToItsCheckers(t *testing.T) {
	s2 := instance("s2\"é", "fd00::1", "sales_rw", "sales-rw", "sales.eu")
	s2.Tier = 3
	w := newWorld(t, &Server{Keys: []Key{testKey}, Secondaries: []Secondary{{Addr: netip.MustParseAddrPort("127.0.0.1:9"), Key: testKey.Name}}},
		instance("s1", "10.1.0.1", "sales"), s2, instance("s3", "db3", "sales"))
	w.listen(t, "127.0.0.1:0")
	server, port, _ := strings.Cut(w.addr, ":")
	zone := output(t, "dig", "@"+server, "-p", port, "-y", "hmac-sha256:"+testKey.Name+":"+testKey.Secret, "db.example", "AXFR")
	file := filepath.Join(t.TempDir(), "zone")
	lines := strings.Split(zone, "\n")
	lines = slices.DeleteFunc(lines, func(line string) bool { return strings.Contains(line, "TSIG") })
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := output(t, "named-checkzone", "-k", "fail", "-n", "fail", "-i", "full", "db.example", file); !strings.HasSuffix(got, "OK\n") || strings.Contains(got, "warning") {
		t.Errorf("named-checkzone says\n%s\nof\n%s", got, zone)
	}
}

func TestTransfersNeedTheKeyAndTheAddress(t *testing.T) {
	w := newWorld(t, &Server{Keys: []Key{testKey, {Name: "other", Secret: testKey.Secret}}, Secondaries: []Secondary{{Addr: netip.MustParseAddrPort("127.0.0.1:9"), Key: testKey.Name}}}, instance("s1", "10.1.0.1", "sales"))
	w.listen(t, "127.0.0.1:0")
	transfer := func(name, secret string) int {
		m := new(wire.Msg)
		m.SetAxfr("db.example.")
		tr := &wire.Transfer{TsigSecret: map[string]string{wire.CanonicalName(name): secret}}
		if name != "" {
			m.SetTsig(wire.CanonicalName(name), wire.HmacSHA256, fudge, time.Now().Unix())
		}
		ch, err := tr.In(m, w.addr)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for e := range ch {
			n += len(e.RR)
		}
		return n
	}
	if n := transfer(testKey.Name, testKey.Secret); n < 10 {
		t.Errorf("%d records with the key", n)
	}
	for name, secret := range map[string]string{"": "", testKey.Name: "d3JvbmctZm9yLWFsbC13ZS1rbm93LTAwMDE=", "other": testKey.Secret, "unknown": testKey.Secret} {
		if n := transfer(name, secret); n != 0 {
			t.Errorf("%d records with key %q", n, name)
		}
	}
}

// bind starts BIND with a zone statement, and returns its address.
func bind(t testing.TB, zone string) string {
	t.Helper()
	tool(t, "named")
	folder, port := t.TempDir(), freePort(t)
	config := fmt.Sprintf(`options { directory %q; listen-on port %d { 127.0.0.1; }; listen-on-v6 { none; }; pid-file "pid"; session-keyfile "session";
		recursion no; dnssec-validation no; notify no; allow-new-zones no; querylog no; };
		controls { };
		logging { channel all { stderr; severity info; }; category default { all; }; };
		key %q { algorithm hmac-sha256; secret %q; };
		zone "db.example" { %s };`, folder, port, testKey.Name, testKey.Secret, zone)
	file := filepath.Join(folder, "named.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "primary.zone"), []byte("$TTL 60\n@ SOA ns hostmaster 1 60 15 604800 5\n@ NS ns\nns A 127.0.0.1\nkeep A 192.0.2.1\nforeign A 192.0.2.2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	daemon(t, "named", "-g", "-c", file)
	return at(port)
}

func TestBINDAsSecondaryFollowsWithinASecond(t *testing.T) {
	port := freePort(t)
	secondary := bind(t, fmt.Sprintf(`type secondary; primaries port %d { 127.0.0.1 key %q; }; file "copy"; masterfile-format text;`, port, testKey.Name))
	w := newWorld(t, &Server{Keys: []Key{testKey}, Secondaries: []Secondary{{Addr: netip.MustParseAddrPort(secondary), Key: testKey.Name}}}, instance("s1", "10.1.0.1", "sales"))
	w.listen(t, at(port))
	ask := question("sales.db.example", wire.TypeA)
	until(t, secondary, ask, answers(1))
	var all []time.Duration
	for i := range 5 {
		r := instance(fmt.Sprintf("more%d", i), fmt.Sprintf("10.1.0.%d", i+2), "sales")
		w.table.Apply(r)
		w.sync(t)
		_, took := until(t, secondary, ask, answers(2))
		all = append(all, took)
		w.table.Drop(r.ID)
		w.sync(t)
		_, took = until(t, secondary, ask, answers(1))
		all = append(all, took)
	}
	slices.Sort(all)
	t.Logf("changes reached the secondary after %v", all)
	if usual, slowest := all[len(all)/2], all[len(all)-1]; usual > time.Second || slowest > unasked {
		t.Errorf("changes reached the secondary after %v", all)
	}
}

// unasked is well below the time after which a secondary asks by itself, as the SOA says: one that has the zone by then was told of
// it, however busy the machine is.
const unasked = 8 * time.Second

// The serial goes on from what is on disk, whatever became of the one before.
func TestBINDAsSecondaryFollowsAfterARestart(t *testing.T) {
	port, folder := freePort(t), t.TempDir()
	secondary := bind(t, fmt.Sprintf(`type secondary; primaries port %d { 127.0.0.1 key %q; }; file "copy"; masterfile-format text;`, port, testKey.Name))
	for life := range 3 {
		name := fmt.Sprintf("life%d", life)
		w := newWorld(t, &Server{State: folder, Keys: []Key{testKey}, Secondaries: []Secondary{{Addr: netip.MustParseAddrPort(secondary), Key: testKey.Name}}}, instance("s1", "10.1.0.1", name))
		ctx, cancel := context.WithCancel(t.Context())
		sockets, err := Listen(ctx, at(port))
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- w.server.Run(ctx, sockets) }()
		_, took := until(t, secondary, question(name+".db.example", wire.TypeA), answers(1))
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if life > 0 && took > unasked { // at first BIND has just begun itself
			t.Errorf("%s was at the secondary after %v", name, took)
		}
	}
}

func TestValidatorsAcceptWhatIsSignedAlsoThatThereIsNothing(t *testing.T) {
	folder := t.TempDir()
	w := newWorld(t, &Server{Sign: true, State: folder}, instance("s1", "10.1.0.1", "sales"), instance("s2", "10.1.0.2", "sales"))
	w.listen(t, "127.0.0.1:0")
	ds := regexp.MustCompile(`DS\s+(\d+) 13 2 (\S+)`).FindStringSubmatch(w.server.DS()[0])
	if ds == nil {
		t.Fatalf("DS is %q", w.server.DS())
	}
	anchors := filepath.Join(folder, "anchors")
	if err := os.WriteFile(anchors, []byte(fmt.Sprintf("trust-anchors { \"db.example.\" static-ds %s 13 2 %q; };\n", ds[1], ds[2])), 0o600); err != nil {
		t.Fatal(err)
	}
	server, port, _ := strings.Cut(w.addr, ":")
	for question, want := range map[string]string{
		"sales.db.example A": "10.1.0.", "_oracle._tcp.sales.db.example SRV": "10-1-0-2.node.db.example.", "sales.db.example TXT": "state=ready",
		"sales.db.example MX": "negative response, fully validated", "nobody.db.example A": "negative response, fully validated", "node.db.example A": "negative response, fully validated",
		"db.example SOA": "hostmaster", "db.example DNSKEY": "257 3 13",
	} {
		got := output(t, "delv", append(strings.Fields(question), "@"+server, "-p", port, "-a", anchors, "+root=db.example")...)
		if !strings.Contains(got, want) || !strings.Contains(got, "fully validated") {
			t.Errorf("delv %s:\n%s", question, got)
		}
	}
	t.Run("unbound", func(t *testing.T) { validateWithUnbound(t, w) })
}

func validateWithUnbound(t *testing.T, w *world) {
	folder, port := t.TempDir(), freePort(t)
	server, from, _ := strings.Cut(w.addr, ":")
	config := fmt.Sprintf("server:\n interface: 127.0.0.1\n port: %d\n do-daemonize: no\n chroot: \"\"\n username: \"\"\n directory: %q\n pidfile: \"\"\n use-syslog: no\n logfile: \"\"\n do-not-query-localhost: no\n"+
		" module-config: \"validator iterator\"\n trust-anchor: \"%s\"\nremote-control:\n control-enable: no\nstub-zone:\n name: db.example\n stub-addr: %s@%s\n", port, folder, strings.ReplaceAll(w.server.DS()[0], "\t", " "), server, from)
	file := filepath.Join(folder, "unbound.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	daemon(t, "unbound", "-d", "-c", file)
	for name, want := range map[string]int{"sales.db.example": 2, "nobody.db.example": 0, "node.db.example": 0} {
		m := question(name, wire.TypeA)
		m.AuthenticatedData = true
		got, _ := until(t, at(port), m, func(m *wire.Msg) bool { return m.Rcode != wire.RcodeRefused })
		if !got.AuthenticatedData || len(got.Answer) != want {
			t.Errorf("%s: authenticated %v\n%v", name, got.AuthenticatedData, got)
		}
	}
}

func TestAKeyIsMadeOnceAndASignedZoneIsNotCopied(t *testing.T) {
	folder := t.TempDir()
	first := newWorld(t, &Server{Sign: true, State: folder}, instance("s1", "10.1.0.1", "sales"))
	again := newWorld(t, &Server{Sign: true, State: folder}, instance("s1", "10.1.0.1", "sales"))
	if a, b := first.server.DS()[0], again.server.DS()[0]; a != b {
		t.Errorf("DS is %s, then %s", a, b)
	}
	private, err := filepath.Glob(filepath.Join(folder, "dnssec", "*.private"))
	if err != nil || len(private) != 1 {
		t.Fatalf("keys are %v: %v", private, err)
	}
	if info, err := os.Stat(private[0]); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the private key has mode %v: %v", info.Mode(), err)
	}
	if err := os.WriteFile(private[0], []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, s := range []*Server{
		{Sign: true, State: folder}, {Sign: true},
		{Sign: true, State: t.TempDir(), Secondaries: []Secondary{{}}},
		{Keys: []Key{{Name: "x", Secret: "short"}}},
		{Secondaries: []Secondary{{Key: "nowhere"}}},
	} {
		if err := s.Sync(t.Context(), layout().Publish(first.table.Snapshot())); err == nil {
			t.Errorf("%+v is accepted", s)
		}
	}
}

func TestAFloodLeavesTheServerAnswering(t *testing.T) {
	w := newWorld(t, &Server{RateExempt: []netip.Prefix{netip.MustParsePrefix("::1/128")}, RateLimit: 100}, instance("s1", "10.1.0.1", "sales"))
	w.listen(t, "127.0.0.1:0")
	server, port, _ := strings.Cut(w.addr, ":")
	questions := filepath.Join(t.TempDir(), "questions")
	if err := os.WriteFile(questions, []byte("sales.db.example A\nnobody.db.example A\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	report := output(t, "dnsperf", "-s", server, "-p", port, "-d", questions, "-l", "2", "-c", "4", "-Q", "20000", "-t", "1")
	if !strings.Contains(report, "Queries lost") {
		t.Errorf("dnsperf says\n%s", report)
	}
	client := &wire.Client{Net: "tcp", Timeout: 2 * time.Second}
	if got, _, err := client.ExchangeContext(t.Context(), question("sales.db.example", wire.TypeA), w.addr); err != nil || len(got.Answer) != 1 {
		t.Errorf("over TCP after the flood: %v, %v", got, err)
	}
}
