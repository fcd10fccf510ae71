package consul

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
)

// heard is what a watch said last.
type heard struct {
	mu   sync.Mutex
	all  []Maintenance
	told int
}

func (h *heard) changed(all []Maintenance) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = all
	h.told++
}

func (h *heard) is(want ...string) func() string {
	return func() string {
		h.mu.Lock()
		defer h.mu.Unlock()
		var got []string
		for _, m := range h.all {
			got = append(got, strings.Join(strings.Fields(m.Node+" "+m.ServiceID+" "+m.Reason), " "))
		}
		if h.told == 0 || strings.Join(got, ",") != strings.Join(want, ",") {
			return fmt.Sprintf("heard %d times, last %q", h.told, got)
		}
		return ""
	}
}

func running(t testing.TB, run func(context.Context)) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
}

func TestMaintenanceModeIsHeardOfAndConsulsLossOfMemoryIsNotBelieved(t *testing.T) {
	a := startAgent(t)
	h := &heard{}
	w := &Watch{Client: a.client(t), Changed: h.changed}
	running(t, w.Run)
	eventually(t, 10*time.Second, "nothing", h.is())
	if err := a.Agent().ServiceRegister(&api.AgentServiceRegistration{ID: "sales:s1@db1", Name: "sales"}); err != nil {
		t.Fatal(err)
	}
	if err := a.Agent().EnableNodeMaintenance("new disks"); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, "a node's maintenance", h.is("agent new disks")) // a query that waits goes on for longer than that
	if err := a.Agent().EnableServiceMaintenance("sales:s1@db1", "patching"); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, "a service's maintenance", h.is("agent new disks", "agent sales:s1@db1 patching"))
	if err := a.Agent().DisableNodeMaintenance(); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, "its end", h.is("agent sales:s1@db1 patching"))
	a.kill()
	eventually(t, 10*time.Second, "the fault", func() string {
		if w.Failure() == "" {
			return "no failure"
		}
		return ""
	})
	a.start(t) // which knows nothing
	eventually(t, 40*time.Second, "Consul to be followed again", func() string { return w.Failure() })
	if amiss := h.is("agent sales:s1@db1 patching")(); amiss != "" {
		t.Error(amiss)
	}
}

func TestWhatMaintenanceIsAbout(t *testing.T) {
	for _, c := range []struct {
		m                  Maintenance
		service, key, host string
		want               bool
	}{
		{Maintenance{Node: "db1"}, "sales", "s1@db1", "db1", true},
		{Maintenance{Node: "DB1"}, "sales", "s1@db1.example", "db1.example", true},
		{Maintenance{Node: "oracle-db1-example"}, "sales", "s1@db1.example", "db1.example", true},
		{Maintenance{Node: "db2"}, "sales", "s1@db1", "db1", false},
		{Maintenance{Node: "db1", Service: "sales", ServiceID: "whatever"}, "SALES", "s1@db1", "db1", true},
		{Maintenance{Node: "db1", Service: "sales-rw", ServiceID: "whatever"}, "sales_rw", "s1@db1", "db1", true},
		{Maintenance{Node: "db1", Service: "hr", ServiceID: "whatever"}, "sales", "s1@db1", "db1", false},
		{Maintenance{Node: "oracle-db1", Service: "a-b", ServiceID: "a_b:s1@db1"}, "A_B", "s1@db1", "db1", true},
		{Maintenance{Node: "oracle-db1", Service: "a-b", ServiceID: "a_b:s1@db1"}, "a b", "s1@db1", "db1", false},
	} {
		if got := c.m.About(c.service, c.key, c.host); got != c.want {
			t.Errorf("%+v about %s at %s: %v", c.m, c.service, c.key, got)
		}
	}
}

// liar is a Consul that answers as told, with an index.
type liar struct {
	mu      sync.Mutex
	answers []string // "index body"; the last one for good
	asked   []string // indexes that were asked with
	node    string   // what it says of a node whose name it is given
}

const (
	nodeIsThere = `{"Node":{"Node":%q},"Services":{}}`
	nodeIsNot   = `null%.0s`
)

func (l *liar) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if node, is := strings.CutPrefix(r.URL.Path, "/v1/catalog/node/"); is {
		w.Header().Set("X-Consul-Index", "1")
		fmt.Fprintf(w, l.node, node)
		return
	}
	l.mu.Lock()
	l.asked = append(l.asked, r.URL.Query().Get("index"))
	answer := l.answers[0]
	last := len(l.answers) == 1
	if !last {
		l.answers = l.answers[1:]
	}
	l.mu.Unlock()
	index, body, _ := strings.Cut(answer, " ")
	if last {
		select { // as a blocking query does
		case <-r.Context().Done():
		case <-time.After(5 * time.Second):
		}
	}
	if index == "500" {
		http.Error(w, body, http.StatusInternalServerError)
		return
	}
	w.Header().Set("X-Consul-Index", index)
	fmt.Fprint(w, body)
}

func TestAnIndexThatGoesBackBeginsAnewAndFaultsChangeNothing(t *testing.T) {
	down := `[{"Node":"db1","CheckID":"_node_maintenance","Status":"critical","Notes":"x"}]`
	l := &liar{answers: []string{"10 " + down, "12 " + down, "500 no leader", "12 [{\"Node\":", "3 []", "4 []", "4 []"}, node: nodeIsThere}
	server := httptest.NewServer(l)
	h := &heard{}
	w := &Watch{Client: &Client{Address: server.URL}, Changed: h.changed, Distrust: time.Hour}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.Run(ctx)
	}()
	eventually(t, 10*time.Second, "all answers to be taken", func() string {
		l.mu.Lock()
		defer l.mu.Unlock()
		if len(l.asked) < 7 {
			return strconv.Itoa(len(l.asked))
		}
		return ""
	})
	cancel()
	<-done
	w.Client.Close()
	server.Close()
	if got := strings.Join(l.asked[:7], " "); got != " 10 12    4" {
		t.Errorf("indexes asked with: %q", got)
	}
	if amiss := h.is("db1 x")(); amiss != "" || h.told != 1 {
		t.Errorf("%s; told %d times", amiss, h.told)
	}
}

func TestWhatIsDoubtedIsBelievedInTheEnd(t *testing.T) {
	l := &liar{answers: []string{"10 " + `[{"Node":"db1","CheckID":"_node_maintenance","Status":"critical","Notes":"x"}]`, "3 []", "3 []", "3 []", "3 []"}, node: nodeIsThere}
	server := httptest.NewServer(l)
	h := &heard{}
	w := &Watch{Client: &Client{Address: server.URL}, Changed: h.changed, Distrust: 500 * time.Millisecond}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.Run(ctx)
	}()
	eventually(t, 10*time.Second, "maintenance", h.is("db1 x"))
	if took := eventually(t, 10*time.Second, "its end", h.is()); took < 500*time.Millisecond {
		t.Errorf("believed after %v", took)
	}
	cancel()
	<-done
	w.Client.Close()
	server.Close()
}

func TestMaintenanceOfWhatVanishedStaysForAWhile(t *testing.T) {
	for _, c := range []struct {
		node   string
		forget time.Duration
		want   string // after a while
	}{{nodeIsThere, time.Hour, ""}, {nodeIsNot, time.Hour, "db1 x"}, {nodeIsNot, time.Nanosecond, ""}} {
		l := &liar{answers: []string{"10 []", "11 []", "12 []", "13 []"}, node: c.node}
		server := httptest.NewServer(l)
		h := &heard{}
		known := []Maintenance{{Node: "db1", Reason: "x"}}
		w := &Watch{Client: &Client{Address: server.URL}, Changed: h.changed, Forget: c.forget, Known: known, Distrust: time.Nanosecond}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { defer close(done); w.Run(ctx) }()
		eventually(t, 10*time.Second, "all answers to be taken", func() string {
			l.mu.Lock()
			defer l.mu.Unlock()
			if len(l.asked) < 4 {
				return strconv.Itoa(len(l.asked))
			}
			return ""
		})
		var want []string
		if c.want != "" {
			want = []string{c.want}
		}
		if amiss := h.is(want...)(); amiss != "" {
			t.Errorf("%+v: %s", c, amiss)
		}
		cancel()
		<-done
		w.Client.Close()
		server.Close()
	}
}

func TestAnswersThatMakeNoSenseAreErrors(t *testing.T) {
	for _, body := range []string{"", `{"a":1}`, `[{"Node":5}]`, `[`, "<html>"} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Consul-Index", "5")
			fmt.Fprint(w, body)
		}))
		c := &Catalogue{Client: &Client{Address: server.URL}}
		if err := c.Sync(t.Context(), Publication{}); err == nil {
			t.Errorf("%q is accepted", body)
		}
		c.Client.Close()
		server.Close()
	}
}

func TestNamespacesAreUsedOnlyWhereTheServerHasThem(t *testing.T) {
	for version, want := range map[string]string{"1.22.0": "", "1.8.7": "", "1.22.0+ent": "team a/west"} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_ = json.NewEncoder(w).Encode(map[string]any{"Config": map[string]string{"Version": version}})
		}))
		c := &Client{Address: server.URL, Namespace: "team a", Partition: "west"}
		namespace, partition := c.scope(t.Context())
		if got := strings.Trim(namespace+"/"+partition, "/"); got != want {
			t.Errorf("%s: %q, want %q", version, got, want)
		}
		c.Close()
		server.Close()
	}
}

func TestNamespaceAndPartitionAreSentWhereTheyAreConfiguredAndNowhereElse(t *testing.T) {
	for _, c := range []struct {
		version, namespace, partition string
		sent                          bool
	}{{"1.22.0+ent", "team", "west", true}, {"1.22.0+ent", "", "", false}, {"1.22.0", "team", "west", false}} {
		var mu sync.Mutex
		asked, wrong := map[string]bool{}, []string{}
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/v1/agent/self" { // which is asked to find out
				_ = json.NewEncoder(w).Encode(map[string]any{"Config": map[string]string{"Version": c.version}})
				return
			}
			body, _ := io.ReadAll(r.Body)
			q := r.URL.Query()
			mu.Lock()
			asked[r.URL.Path] = true
			in := strings.Contains(string(body), `"Partition":"west"`)
			inBody := r.URL.Path == "/v1/txn" || r.URL.Path == "/v1/agent/service/register"
			if in != (c.sent && inBody) || (q.Has("ns") || in) != c.sent || (q.Has("partition") || in) != c.sent {
				wrong = append(wrong, r.Method+" "+r.URL.String()+" "+string(body))
			}
			mu.Unlock()
			at("^$", "").ServeHTTP(w, r)
		}))
		client := &Client{Address: server.URL, Namespace: c.namespace, Partition: c.partition}
		for name, err := range everything(t.Context(), client, t.TempDir()) {
			if err != nil {
				t.Errorf("%+v: %s: %v", c, name, err)
			}
		}
		client.Close()
		server.Close()
		if len(asked) < 10 || len(wrong) > 0 {
			t.Errorf("%+v: of %d requests these are wrong: %q", c, len(asked), wrong)
		}
	}
}
