package broker

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"servicebroker/console"
	"servicebroker/intent"
	"servicebroker/journal"
	"servicebroker/peers"
	"servicebroker/servicetable"
	"servicebroker/tns"
)

// beside runs a broker whose peers are at the given addresses of APIs, and which forgets at once what it loses.
func beside(t *testing.T, name string, change func(*Config), apis ...string) *running {
	t.Helper()
	r := start(t, func(c *Config) {
		c.Name, c.Peers, c.HoldTimeout, c.StaleTimeout, c.ProbeInterval = name, apis, 0, time.Nanosecond, 0
		c.PeerAskTimeout = 20 * time.Second // the machine may be busy
		if change != nil {
			change(c)
		}
	})
	r.awaitPeers(func(l console.PeerList) bool { return len(l.Peers) == len(apis) })
	return r
}

func (r *running) api() string { return "http://" + r.ConsoleAddress() }

// accepted connects, and returns the REF's explanation.
func (r *running) accepted(text string) *journal.Explanation {
	r.t.Helper()
	_, before := r.journal.Sizes()
	conn, reply := r.ask(text)
	defer conn.NetConn().Close()
	if _, ok := reply.(*tns.Accept); !ok {
		r.t.Fatalf("%s answered %T %v", text, reply, reply)
	}
	return r.explainedSince(before)
}

// explainedSince returns the explanation of a connect, once there are more than there were before.
func (r *running) explainedSince(before int) *journal.Explanation {
	r.t.Helper()
	for limit := time.After(10 * time.Second); ; runtime.Gosched() {
		if _, now := r.journal.Sizes(); now > before { // it is kept once the client has its answer
			return r.journal.Recent(1)[0]
		}
		select {
		case <-limit:
			r.t.Fatal("no explanation")
		default:
		}
	}
}

// awaitPeers looks at the list of peers until it is as wanted.
func (r *running) awaitPeers(done func(console.PeerList) bool) {
	r.t.Helper()
	limit, look := time.After(20*time.Second), time.NewTicker(20*time.Millisecond)
	defer look.Stop()
	for {
		list := r.peerList()
		if done(list) {
			return
		}
		select {
		case <-look.C:
		case <-limit:
			text, _ := json.Marshal(list)
			r.t.Fatalf("peers did not come to be so: %s", text)
		}
	}
}

func TestWhatIsLostHereIsServedByAPeersTable(t *testing.T) {
	third := beside(t, "b3", nil)
	second := beside(t, "b2", nil, third.api())
	first := beside(t, "b1", nil, second.api(), third.api())
	cut := first.register("sales1", "sales")
	second.register("sales1", "sales")
	if e := first.accepted(sales); e.Route != "" {
		t.Errorf("what is here came %q", e.Route)
	}
	cut() // of this broker's link alone
	first.await(func(s *servicetable.Snapshot) bool { return len(s.Services()) == 0 })
	e := first.accepted(sales)
	if !strings.Contains(e.Route, "from peer b2") || e.Outcome != journal.Relay || !strings.HasPrefix(e.Chosen, "sales1@") {
		t.Errorf("explained as %+v", e)
	}
	foreseen, err := first.Explain(t.Context(), console.ExplainRequest{Descriptor: "sales"})
	if err != nil || foreseen.Outcome != journal.Relay || !strings.Contains(foreseen.Text, "from peer b2") {
		t.Errorf("foreseen: %v, %+v", err, foreseen)
	}
	if e := second.accepted(sales); e.Route != "" {
		t.Errorf("at the peer itself it came %q", e.Route)
	}
	third.wantCode(sales, tns.CodeUnknownService) // it was told of nobody
	_, before := first.journal.Sizes()
	first.wantCode("(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=nobody)))", tns.CodeUnknownService)
	if e := first.explainedSince(before); !strings.Contains(e.Route, "none has") {
		t.Errorf("a refusal says %+v", e)
	}
	if e := first.accepted("(DESCRIPTION=(CONNECT_DATA=(SID=sales1)))"); !strings.Contains(e.Route, "from peer b2") {
		t.Errorf("by SID: %+v", e)
	}
	first.wantCode("(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=sales)(INSTANCE_NAME=other)))", tns.CodeUnknownService)
}

func TestWhatAPeerHasIsRedirectedTo(t *testing.T) {
	second := beside(t, "b2", nil)
	first := beside(t, "b1", func(c *Config) { c.Mode = 2; c.RedirectVerify = false }, second.api())
	second.register("sales1", "sales")
	first.awaitPeers(differing)
	_, before := first.journal.Sizes()
	_, reply := first.ask(sales)
	if _, ok := reply.(*tns.Redirect); !ok {
		t.Fatalf("answer %T %v", reply, reply)
	}
	if e := first.explainedSince(before); e.Outcome != journal.Redirect || !strings.Contains(e.Route, "from peer b2") {
		t.Errorf("explained as %+v", e)
	}
}

func TestWhatOperatorsWithholdStaysWithheldWhateverAPeerHas(t *testing.T) {
	second := beside(t, "b2", nil)
	first := beside(t, "b1", nil, second.api())
	second.register("sales1", "sales")
	first.awaitPeers(differing)
	first.accepted(sales)
	if _, err := first.SetIntent(t.Context(), intent.Intent{Kind: intent.Drain, Target: intent.Target{Service: "sales"}}); err != nil {
		t.Fatal(err)
	}
	first.wantCode(sales, tns.CodeUnknownService)
}

func TestWhoIsNotInvitedHereIsNotUsedFromAPeer(t *testing.T) {
	second := beside(t, "b2", nil)
	first := beside(t, "b1", func(c *Config) { c.Admission.Excluded = []string{"127.0.0.1"} }, second.api())
	second.register("sales1", "sales")
	first.awaitPeers(differing)
	first.wantCode(sales, tns.CodeUnknownService)
}

// differing tells that it is known that the first peer has another table.
func differing(l console.PeerList) bool { return l.Peers[0].DiffersSince != nil }

func TestPeersAreWatched(t *testing.T) {
	second := beside(t, "b2", func(c *Config) { c.Given = map[string]Given{"POLICY": {Value: "random"}} })
	first := beside(t, "b1", nil, second.api())
	first.awaitPeers(func(l console.PeerList) bool {
		return l.Brokers == 2 && l.Peers[0].State == console.PeerAlive && l.Peers[0].Name == "b2"
	})
	first.awaitPeers(func(l console.PeerList) bool {
		return strings.Join(l.Peers[0].Settings, " ") == "POLICY" && l.Peers[0].Same
	})
	second.register("sales1", "sales")
	first.awaitPeers(func(l console.PeerList) bool {
		p := l.Peers[0]
		return !p.Same && p.DiffersSince != nil && len(p.Differences) == 1 && p.Differences[0].Instance == "sales1@dbhost" && strings.Contains(p.Differences[0].Cause, "not registered here")
	})
	first.register("sales1", "sales")
	first.awaitPeers(func(l console.PeerList) bool {
		return l.Peers[0].Same && l.Peers[0].DiffersSince == nil && len(l.Peers[0].Differences) == 0
	})
	second.stop()
	first.awaitPeers(func(l console.PeerList) bool { return l.Peers[0].State == console.PeerAway && l.Brokers == 1 })
	var kinds []string
	for _, e := range first.journal.Events(journal.Filter{Kinds: []journal.Kind{journal.PeerUp, journal.PeerDown}}) {
		kinds = append(kinds, string(e.Kind))
	}
	if strings.Join(kinds, " ") != "peer_up peer_down" {
		t.Errorf("events %v", kinds)
	}
	first.accepted(sales)
}

// Status and the line of the start name what this broker goes by.
func TestStatusNamesOthers(t *testing.T) {
	second := beside(t, "b2", nil)
	first := beside(t, "b1", func(c *Config) { c.DNS.Address, c.DNS.Zone = "127.0.0.1:0", "db.example" }, second.api())
	first.awaitPeers(func(l console.PeerList) bool { return l.Peers[0].State == console.PeerAlive })
	status := first.get("/api/v1/status")
	for _, want := range []string{`"generation":1`, `"dns":{"zone":"db.example","address":"` + first.atZone() + `"}`, `"peers":{"alive":1,"known":1}`} {
		if !strings.Contains(status, want) {
			t.Errorf("status has no %s: %s", want, status)
		}
	}
	if strings.Contains(status, `"consul"`) || strings.Contains(second.get("/api/v1/status"), `"dns"`) {
		t.Error("status names what is not configured")
	}
	if got := fmt.Sprint(first.aboutOthers()); got != "[dns_zone db.example dns "+first.atZone()+" peers "+second.api()+"]" || len(second.aboutOthers()) > 0 {
		t.Errorf("the log says %s", got)
	}
}

// What nobody has told is not a number.
func TestTheClockOfAPeerThatNeverAnsweredIsNotKnown(t *testing.T) {
	never := "http://" + unusedAddress(t)
	second := beside(t, "b2", nil)
	first := beside(t, "b1", nil, never, second.api())
	first.awaitPeers(func(l console.PeerList) bool {
		states := []string{l.Peers[0].State, l.Peers[1].State}
		return slices.Contains(states, console.PeerAlive) && slices.Contains(states, console.PeerAway)
	})
	text := first.get("/metrics")
	for metric, want := range map[string]bool{
		`servicebroker_peer_up{peer="` + never + `"} 0`: true, `servicebroker_peer_clock_offset_seconds{peer="` + never: false,
		`servicebroker_peer_clock_offset_seconds{peer="` + second.api(): true,
	} {
		if strings.Contains(text, metric) != want {
			t.Errorf("%s: want %v", metric, want)
		}
	}
}

// A list that is the same at all brokers names each of them to itself.
func TestABrokerIsNoPeerOfItself(t *testing.T) {
	at := unusedAddress(t)
	r := beside(t, "b1", func(c *Config) { c.ConsoleAddress = at }, "http://"+at)
	r.awaitPeers(func(list console.PeerList) bool { return list.Peers[0].State == console.PeerSelf && list.Brokers == 1 })
	r.wantCode(sales, tns.CodeUnknownService)
	if n := len(r.journal.Events(journal.Filter{Kinds: []journal.Kind{journal.PeerUp}})); n != 0 {
		t.Errorf("%d events about itself", n)
	}
}

func TestPeersThatLieOrHangChangeNothingButWhatIsRefused(t *testing.T) {
	for name, say := range map[string]http.HandlerFunc{
		"garbage": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "\x00\xff{[") },
		"huge": func(w http.ResponseWriter, _ *http.Request) {
			for range 100 {
				if _, err := w.Write(make([]byte, 1<<20)); err != nil {
					return
				}
			}
		},
		"hang":   func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"refuse": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) },
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
		},
		"lead here": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"format":1,"id":"x","digest":"d","registrations":[{"format":1,"id":"1","instance":"sales1","host":"h","services":[{"name":"sales","flags":4}],
				"handlers":[{"name":"D","kind":"dedicated","protocol":"tcp","host":"0.0.0.0","port":0,"services":[0]}]},{"format":99},7]}`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			liar := httptest.NewServer(say)
			defer liar.Close()
			r := beside(t, "b1", func(c *Config) { c.PeerAskTimeout = 200 * time.Millisecond }, liar.URL)
			withdraw := r.register("hr1", "hr")
			began := time.Now()
			r.wantCode(sales, tns.CodeUnknownService)
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("refused after %v", took)
			}
			r.accepted(strings.Replace(sales, "sales", "hr", 1))
			withdraw()
			if r.liveBrokers() != 1 && name != "lead here" {
				t.Errorf("%d brokers", r.liveBrokers())
			}
		})
	}
}

func TestOffersOfPeersAreJudgedAsRegistrations(t *testing.T) {
	r := start(t, func(c *Config) { c.Admission.Invited = []string{"192.0.2.0/24"} })
	own := r.listeners[0].Addr().(*net.TCPAddr)
	offer := func(peer, from, host string, port int) peers.Offer {
		o := peers.Offer{Peer: "b2", At: netip.MustParseAddr(peer), Registration: servicetable.Registration{
			ID: "1", Instance: "sales1", Host: "db1", Peer: netip.MustParseAddr(from),
			Services: []servicetable.Service{{Name: "sales", Flags: servicetable.FlagUnblocked, Marks: []servicetable.Mark{{Kind: servicetable.Draining}}}},
			Handlers: []servicetable.Handler{{Name: "D", Protocol: "tcp", Host: host, Port: port, Services: []int{0}}},
			Marks:    []servicetable.Mark{{Kind: servicetable.Maintenance}}, Database: "theirs", Tier: 7,
		}}
		return o
	}
	for _, one := range []struct {
		name             string
		peer, from, host string
		port             int
		wanted           bool
	}{
		{"as it should be", "192.0.2.9", "192.0.2.1", "192.0.2.1", 1521, true},
		{"registered on the peer's own host", "192.0.2.9", "127.0.0.1", "192.0.2.9", 1521, true},
		{"not invited", "192.0.2.9", "198.51.100.1", "192.0.2.1", 1521, false},
		{"this host's loopback", "192.0.2.9", "192.0.2.1", "127.0.0.1", 1521, false},
		{"any host", "192.0.2.9", "192.0.2.1", "0.0.0.0", 1521, false},
		{"link-local", "192.0.2.9", "192.0.2.1", "169.254.169.254", 80, false},
		{"loopback of a peer on this host", "127.0.0.1", "127.0.0.1", "127.0.0.1", 1521, true},
		{"this broker", "127.0.0.1", "127.0.0.1", "127.0.0.1", own.Port, false},
		{"no port", "192.0.2.9", "192.0.2.1", "192.0.2.1", 0, false},
	} {
		all := r.welcome(t.Context(), []peers.Offer{offer(one.peer, one.from, one.host, one.port)})
		if (len(all) == 1) != one.wanted {
			t.Errorf("%s: %d registrations", one.name, len(all))
		}
		for _, got := range all {
			if got.Broker != "b2" || got.Database != "" || got.Tier != 0 || len(got.Marks) > 0 || len(got.Services[0].Marks) > 0 {
				t.Errorf("%s: what the peer thinks of it counts here: %+v", one.name, got)
			}
		}
	}
	r.register("sales1", "sales")
	o := offer("192.0.2.9", "192.0.2.1", "192.0.2.1", 1521)
	o.Registration.Host = "dbhost"
	if all := r.welcome(t.Context(), []peers.Offer{o}); len(all) != 0 {
		t.Error("an instance that is registered here is taken from a peer")
	}
}

func TestPeerSettings(t *testing.T) {
	folder := t.TempDir()
	secret := filepath.Join(folder, "secret")
	if err := os.WriteFile(secret, []byte("b1:pw\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for text, problem := range map[string]string{
		"(PEERS=https://b2:8522,http://10.0.0.3:8521)": "without TLS", "(PEERS=off)": "", "(PEERS=https://b2:8522)": "", "(PEERS=http://127.0.0.1:8521)": "",
		"(PEERS=b2:8521)": "no address of an API", "(PEERS=https://u:p@b2:8522)": "PEER_CREDENTIALS", "(PEERS=https://b2:8522/x)": "more than an address", "(PEERS=https://b2)": "names no port",
		"(PEER_ASK_TIMEOUT=20)": "longer than", "(PEER_ASK_TIMEOUT=0)": "", "(PEER_CREDENTIALS=" + secret + ")": "chmod 600", "(PEER_CA=" + secret + ")": "has no certificate",
	} {
		_, messages := ReadConfig(write(t, strings.Replace(reloaded, "%", text, 1)), "")
		all := fmt.Sprint(messages)
		if problem == "" && strings.Contains(all, "PEER") || !strings.Contains(all, problem) {
			t.Errorf("%s: %s, wanted %q", text, all, problem)
		}
	}
	if _, err := New(testConfig(t, func(c *Config) { c.PeerCredentials = secret }), nil); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("started with credentials that others can read: %v", err)
	}
}

// A state folder that was copied with the image of a host is not this broker's.
func TestACopyOfAStateFolderIsAnotherBrokers(t *testing.T) {
	id := func(folder string) string {
		b, err := New(testConfig(t, func(c *Config) { c.StateDirectory = folder }), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer b.closeListeners()
		if s := b.peering.publisher.Self(); s.ID != b.peering.id || s.Generation != 1 || s.Name == "" {
			t.Errorf("it tells of itself %+v", s)
		}
		return b.peering.id
	}
	folder, other := t.TempDir(), t.TempDir()
	first := id(folder)
	if again := id(folder); again != first {
		t.Error("it has another id after a restart")
	}
	text, err := os.ReadFile(filepath.Join(folder, "broker-id"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(other, "broker-id"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	if id(other) == first {
		t.Error("a copy has the same id")
	}
}

func TestBrokersGivenWinOverThoseAlive(t *testing.T) {
	b, err := New(testConfig(t, func(c *Config) { c.Brokers = 5 }), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer b.closeListeners()
	b.peering.alive.Store(1)
	if n := b.liveBrokers(); n != 5 {
		t.Errorf("%d brokers", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b.watchPeers(ctx)
}
