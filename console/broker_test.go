package console

import (
	"flag"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"servicebroker/servicetable"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// golden compares got with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; write it with go test ./console -update", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// noon is when all tests take place.
func noon() time.Time { return time.Date(2030, 5, 6, 12, 0, 0, 0, time.UTC) }

// registrations are a RAC pair, the second one blocked, and a static service.
func registrations() []servicetable.Registration {
	sales := func(instance, host string, flags uint32) servicetable.Registration {
		return servicetable.Registration{
			ID: servicetable.ID(instance), Instance: instance, Host: host, HostRaw: "(HOST=" + host + "  )", NodeLoad: 10, NodeMax: 100, Load: 1, Max: 247,
			Services: []servicetable.Service{
				{Name: instance + "XDB", Flags: flags | servicetable.FlagDispatchersOnly, Delta: 1},
				{Name: "sales.example.com", Flags: flags, Goodness: 1, Delta: 1},
			},
			Handlers: []servicetable.Handler{
				{Name: "D000", Kind: servicetable.Dispatcher, Protocol: "tcp", Host: host, Port: 40000, Flags: 0x1004, Max: 1022, Services: []int{0},
					Address: "(ADDRESS=(PROTOCOL=tcp)(HOST=" + host + ")(PORT=40000))", Info: "DISPATCHER <machine: " + host + ", pid: 3032>"},
				{Name: "DEDICATED", Kind: servicetable.Dedicated, Protocol: "TCP", Host: host, Port: 1521, Flags: 2, Load: 5, Max: 149, Services: []int{1},
					Address: "(ADDRESS=(PROTOCOL=TCP)(HOST=" + host + ")(PORT=1521))", Info: "REMOTE SERVER"},
			},
			RegisteredAt: noon().Add(-90 * time.Minute), LoadAt: noon().Add(-2500 * time.Millisecond), LoadSource: "registration",
			Peer: netip.MustParseAddr("192.0.2.7"),
		}
	}
	full := sales("sales2", "db2", 0)
	full.Handlers[1].Load = 149
	return []servicetable.Registration{
		sales("sales1", "db1", servicetable.FlagUnblocked), full,
		{ID: "static", Static: true, Instance: "legacy", Host: "db9", Services: []servicetable.Service{{Name: "hr"}},
			Handlers: []servicetable.Handler{{Name: "DEDICATED", Protocol: "tcp", Host: "db9", Port: 1521, Address: "(ADDRESS=(PROTOCOL=tcp)(HOST=db9)(PORT=1521))", Services: []int{0}}}},
	}
}

// tableOf applies registrations and marks the RAC pair.
func tableOf(all []servicetable.Registration) *servicetable.Table {
	var table servicetable.Table
	for _, r := range all {
		table.Apply(r)
	}
	table.Mark("sales2@db2", servicetable.Mark{Kind: servicetable.Draining, Cause: "new memory", Since: noon().Add(-time.Hour), Until: noon().Add(time.Hour)})
	table.Mark("sales1@db1/D000", servicetable.Mark{Kind: servicetable.Ejected, Cause: "refused", Since: noon().Add(-time.Minute)})
	return &table
}

func openSessions() []Session {
	return []Session{
		{ID: "17", Client: "192.0.2.50:40123", CID: CID{Program: "python3", Host: "app1", User: "scott"}, Service: "sales.example.com", Instance: "sales1@db1",
			Handler: "DEDICATED", Server: Upstream{ID: "9", Local: "192.0.2.1:51000", Remote: "192.0.2.7:1521"}, Started: noon().Add(-90 * time.Second),
			Idle: 1500, FromClient: 1234, ToClient: 123_456_789, Rule: "1"},
		{ID: "18", Client: "[2001:db8::1]:40124", Service: "HR", Instance: "legacy@db9", Server: Upstream{ID: "10", Local: "192.0.2.1:51001"},
			Started: noon().Add(-26 * time.Hour), Idle: 3_600_000, Rule: "2", Ref: "A1B2C3D4"},
	}
}

// testServer is a whole broker's console, as of noon.
func testServer(table *servicetable.Table) *Server {
	return &Server{
		Snapshot: table.Snapshot,
		Sessions: openSessions,
		Identity: func() Identity {
			return Identity{
				Version: Version{Version: "1.2.3", Commit: "abcdef0", Go: "go1.26", Release: "19.0.0.0.0", Instance: "cman1"},
				Started: noon().Add(-50 * time.Hour), Config: "/etc/cman.ora", Route: "relay", Console: "127.0.0.1:8521",
				Listening: []Endpoint{{Protocol: "tcps", Host: "0.0.0.0", Port: 2484}, {Protocol: "tcp", Host: "0.0.0.0", Port: 1521}},
				Machine:   "broker1.example.com", PID: 1936,
			}
		},
		Counters: func(key string) (uint64, uint64) {
			if key == "sales1@db1/DEDICATED" {
				return 12, 3
			}
			return 0, 0
		},
		Database: func(r *servicetable.Registration) string {
			if r.Instance == "legacy" {
				return "old"
			}
			return ""
		},
		Now: noon, Hosts: consoleNames(),
	}
}

// ask answers one request in place.
func ask(s *Server, method, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, httptest.NewRequest(method, "http://console.example.com:8521"+path, nil))
	return w
}

// askHandler is ask of a handler that is there already.
func askHandler(h http.Handler, path string) []byte {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	return w.Body.Bytes()
}

// wantAnswer checks status and type of an answer and returns its body.
func wantAnswer(t *testing.T, w *httptest.ResponseRecorder, status int) string {
	t.Helper()
	if w.Code != status {
		t.Errorf("status %d, want %d: %s", w.Code, status, w.Body)
	}
	if got := w.Header().Get("Content-Type"); got != "application/json" {
		t.Errorf("content type %q", got)
	}
	return w.Body.String()
}

// serve starts s on loopback for the length of the test and returns its address.
func serve(t *testing.T, handler http.Handler) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

// consoleNames are the names under which tests ask.
func consoleNames() []string { return []string{"console.example.com"} }
