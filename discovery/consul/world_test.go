package consul

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	"go.uber.org/goleak"

	"servicebroker/servicetable"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// instance is one that offers services, all of them ready, at port 1521 of its host.
func instance(name, host string, services ...string) servicetable.Registration {
	r := servicetable.Registration{ID: servicetable.ID(name + "@" + host), Instance: name, Host: host, Load: 3, Max: 100}
	h := servicetable.Handler{Name: "DEDICATED", Host: host, Port: 1521, Max: 50}
	for i, s := range services {
		r.Services = append(r.Services, servicetable.Service{Name: s, Flags: servicetable.FlagUnblocked, Goodness: 1, Delta: 1})
		h.Services = append(h.Services, i)
	}
	r.Handlers = []servicetable.Handler{h}
	return r
}

func tableOf(all ...servicetable.Registration) *servicetable.Table {
	table := &servicetable.Table{}
	for _, r := range all {
		table.Apply(r)
	}
	return table
}

// binary is where scripts/testdeps puts Consul, relative to this package's folder.
const binary = "../../.testdeps/bin/consul"

// agent is a real Consul, server and agent in one.
type agent struct {
	*api.Client
	http, dns int
	folder    string
	arguments []string
	cmd       *exec.Cmd
}

// startAgent starts one that lasts as long as the test.
func startAgent(t testing.TB, arguments ...string) *agent {
	t.Helper()
	path, err := filepath.Abs(binary)
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		if path, err = exec.LookPath("consul"); err != nil {
			t.Skip("consul is not here: run scripts/testdeps")
		}
	}
	a := &agent{http: freePort(t), dns: freePort(t), folder: t.TempDir()}
	a.arguments = append([]string{path, "agent", "-dev", "-node=agent", "-bind=127.0.0.1", "-client=127.0.0.1", "-log-level=err",
		"-http-port=" + strconv.Itoa(a.http), "-dns-port=" + strconv.Itoa(a.dns), "-grpc-port=-1", "-server-port=" + strconv.Itoa(freePort(t)),
		"-serf-lan-port=" + strconv.Itoa(freePort(t)), "-serf-wan-port=" + strconv.Itoa(freePort(t))}, arguments...)
	config := api.DefaultConfig()
	config.Address = a.address()
	if a.Client, err = api.NewClient(config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		a.kill()
		config.Transport.CloseIdleConnections()
	})
	a.start(t)
	return a
}

func (a *agent) address() string { return "127.0.0.1:" + strconv.Itoa(a.http) }

func (a *agent) start(t testing.TB) {
	t.Helper()
	a.cmd = exec.Command(a.arguments[0], a.arguments[1:]...)
	a.cmd.Dir = a.folder
	if err := a.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, 30*time.Second, "the agent to know a leader and itself", func() string {
		if nodes, _, err := a.Catalog().Nodes(nil); err != nil || len(nodes) == 0 || len(nodes[0].TaggedAddresses) == 0 {
			return fmt.Sprint(nodes, err)
		}
		return ""
	})
}

func (a *agent) kill() {
	if a.cmd == nil || a.cmd.Process == nil {
		return
	}
	_ = a.cmd.Process.Signal(syscall.SIGCONT)
	_ = a.cmd.Process.Kill()
	_ = a.cmd.Wait()
}

// eventually waits until f, which says what is amiss, has nothing to say.
func eventually(t testing.TB, within time.Duration, what string, f func() string) time.Duration {
	t.Helper()
	start := time.Now()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		amiss := f()
		if amiss == "" {
			return time.Since(start)
		}
		if time.Since(start) > within {
			t.Fatalf("waited %v for %s: %s", within, what, amiss)
		}
		<-ticker.C
	}
}

// freePort is one on loopback that nobody uses, below those that systems hand out by themselves.
func freePort(t testing.TB) int {
	t.Helper()
	for range 100 {
		port := 20_000 + rand.IntN(12_000)
		address := "127.0.0.1:" + strconv.Itoa(port)
		l, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		c, err := net.ListenPacket("udp", address)
		l.Close()
		if err == nil {
			c.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return 0
}

// passOn has the Consul at to answer a request.
func passOn(w http.ResponseWriter, r *http.Request, to string) {
	u, _ := url.Parse(to)
	httputil.NewSingleHostReverseProxy(u).ServeHTTP(w, r)
}

// client is one of ours for the agent.
func (a *agent) client(t testing.TB) *Client {
	c := &Client{Address: a.address()}
	t.Cleanup(c.Close)
	return c
}

// entries are what stands in the catalogue at nodes other than the agent's: "node address service-id name address:port status".
func (a *agent) entries(t testing.TB) []string {
	t.Helper()
	nodes, _, err := a.Catalog().Nodes(nil)
	if err != nil {
		return []string{err.Error()}
	}
	all := []string{}
	for _, n := range nodes {
		if n.Node == "agent" {
			continue
		}
		found, _, err := a.Catalog().Node(n.Node, nil)
		if err != nil || found == nil {
			return append(all, fmt.Sprint(err))
		}
		checks, _, err := a.Health().Node(n.Node, nil)
		if err != nil {
			return append(all, err.Error())
		}
		if len(found.Services) == 0 {
			all = append(all, n.Node+" "+n.Address)
		}
		for _, s := range found.Services {
			status := ""
			for _, c := range checks {
				if c.ServiceID == s.ID {
					status += " " + c.Status
				}
			}
			all = append(all, fmt.Sprintf("%s %s %s %s %s:%d%s", n.Node, n.Address, s.ID, s.Service, s.Address, s.Port, status))
		}
	}
	slices.Sort(all)
	return all
}

func (a *agent) want(t testing.TB, want ...string) {
	t.Helper()
	if got := a.entries(t); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("the catalogue has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// writing is a catalogue and the table that it publishes.
type writing struct {
	*Catalogue
	table  *servicetable.Table
	layout Layout
}

func (a *agent) writing(t testing.TB, all ...servicetable.Registration) *writing {
	return &writing{Catalogue: &Catalogue{Client: a.client(t)}, table: tableOf(all...)}
}

func (w *writing) sync(t testing.TB) error {
	return w.Sync(t.Context(), w.layout.Publish(w.table.Snapshot()))
}

func (w *writing) mustSync(t testing.TB) {
	t.Helper()
	if err := w.sync(t); err != nil {
		t.Fatal(err)
	}
}

// member runs a member until the returned function is called or the test ends.
func (a *agent) member(t testing.TB, name string) (*Member, func()) {
	m := &Member{Client: a.client(t), Name: name, Address: netip.MustParseAddrPort("127.0.0.1:1521"), Value: []byte("http://" + name), TTL: 3 * time.Second}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		m.Run(ctx)
	}()
	stop := func() {
		cancel()
		<-done
	}
	t.Cleanup(stop)
	return m, stop
}
