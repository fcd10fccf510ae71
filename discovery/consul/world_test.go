package consul

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	"go.uber.org/goleak"

	"servicebroker/servicetable"
	"servicebroker/testenv/stage"
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

// agent is a real Consul, server and agent in one.
type agent struct {
	*api.Client
	*stage.Consul
}

// startAgent starts one that lasts as long as the test.
func startAgent(t testing.TB, arguments ...string) *agent {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := stage.StartConsul(ctx, "../..", arguments...)
	if errors.Is(err, stage.ErrNoConsul) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	a := &agent{c.API, c}
	t.Cleanup(func() {
		a.kill()
		a.Stop()
	})
	return a
}

func (a *agent) address() string { return a.Address }

func (a *agent) start(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := a.Restart(ctx); err != nil {
		t.Fatal(err)
	}
}

func (a *agent) kill() {
	_ = a.Signal(syscall.SIGCONT)
	a.Consul.Kill()
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
	return a.memberFor(t, name, 3*time.Second)
}

// memberFor is member with the time after which one that gives no sign of life is dead.
func (a *agent) memberFor(t testing.TB, name string, ttl time.Duration) (*Member, func()) {
	m := &Member{Client: a.client(t), Name: name, Address: netip.MustParseAddrPort("127.0.0.1:1521"), Value: []byte("http://" + name), TTL: ttl}
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

// background runs something until stop is called, or the test ends.
func background(t *testing.T, run func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		run(ctx)
	}()
	stop = func() {
		cancel()
		<-done
	}
	t.Cleanup(stop)
	return stop
}
