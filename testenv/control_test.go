package testenv

import (
	"bytes"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"servicebroker/tns"
)

func TestControlChangesState(t *testing.T) {
	d := start(t, &Database{Load: 7, Max: 20})
	want := State{
		Instance: "sales1", Host: "db1", Address: d.Addr(), Services: []string{"sales"}, Status: "ready", Load: 7, Max: 20,
		Goodness: map[string]uint32{}, Listener: "accept", Connected: true, Brokers: []string{}, Reached: []string{}, Dialled: map[string]int{}, Sessions: []SessionState{},
	}
	for _, c := range []struct {
		path, body string
		change     func()
	}{
		{"/status", `{"status": "restricted"}`, func() { want.Status = "restricted" }},
		{"/load", `{"node_load": 77, "load": 5, "goodness": {"SALES": 3}}`, func() {
			want.NodeLoad, want.Load, want.Goodness = 77, 5, map[string]uint32{"sales": 3}
		}},
		{"/load", `{"load": 0}`, func() { want.Load = 0 }},
		{"/services", `{"add": ["x", "y"], "drop": ["Sales"]}`, func() { want.Services, want.Goodness = []string{"x", "y"}, map[string]uint32{} }},
		{"/listener", `{"mode": "refuse", "code": 12516}`, func() { want.Listener, want.Code = "refuse", 12516 }},
		{"/listener", `{"mode": "redirect", "to": "db2:1521"}`, func() { want.Listener, want.Code, want.To = "redirect", 0, "db2:1521" }},
		{"/listener", "\n {\"mode\": \"accept\"} \n", func() { want.Listener, want.To = "accept", "" }},
		{"/registration", `{"connected": false}`, func() { want.Connected = false }},
		{"/sessions/kill", `{"all": true}`, func() {}},
	} {
		c.change()
		if diff := cmp.Diff(want, d.tell(t, c.path, c.body)); diff != "" {
			t.Errorf("POST %s %s (-want +got):\n%s", c.path, c.body, diff)
		}
		status, said := d.control(t, http.MethodGet, "/state", "")
		var state State
		if err := json.Unmarshal(said, &state); err != nil || status != http.StatusOK {
			t.Fatalf("GET /state: %d %s: %v", status, said, err)
		}
		if diff := cmp.Diff(want, state); diff != "" {
			t.Errorf("state after %s (-want +got):\n%s", c.path, diff)
		}
	}
}

func TestControlRefuses(t *testing.T) {
	d := start(t, &Database{})
	before := d.State()
	for _, c := range []struct{ path, body, names string }{
		{"/status", `{"status": "open"}`, `"open"`},
		{"/status", ``, `""`},
		{"/status", `{"status": "ready", "why": 1}`, "why"},
		{"/status", `{"status": "ready"} {}`, "JSON"},
		{"/status", `{"status": "ready"} x`, "JSON"},
		{"/status", `["ready"]`, "array"},
		{"/status", `null`, "JSON"},
		{"/status", `{"status": `, "EOF"},
		{"/load", `{}`, "nothing"},
		{"/load", `{"load": -1}`, "-1"},
		{"/load", `{"load": 4294967296}`, "4294967296"},
		{"/load", `{"node_load": 1.5}`, "1.5"},
		{"/load", `{"load": 9, "goodness": {"hr": 1}}`, `"hr"`},
		{"/services", `{}`, "no service"},
		{"/services", `{"add": ["x"], "drop": ["hr"]}`, `"hr"`},
		{"/services", `{"add": ["SALES"]}`, `"SALES"`},
		{"/services", `{"add": ["x", "x"]}`, `"x"`},
		{"/services", `{"add": [""]}`, "empty"},
		{"/services", `{"add": ["a)(b"]}`, `"a)(b"`},
		{"/listener", `{"mode": "close"}`, `"close"`},
		{"/listener", `{"mode": "accept", "code": 12514}`, "accept"},
		{"/listener", `{"mode": "hang", "to": "db2:1521"}`, "hang"},
		{"/listener", `{"mode": "refuse", "code": -1}`, "-1"},
		{"/listener", `{"mode": "refuse", "code": 65536}`, "65536"},
		{"/listener", `{"mode": "redirect"}`, `""`},
		{"/listener", `{"mode": "redirect", "to": "db2"}`, `"db2"`},
		{"/listener", `{"mode": "redirect", "to": "db2:0"}`, `"db2:0"`},
		{"/listener", `{"mode": "redirect", "to": "d)(b:1521"}`, "HOST:PORT"},
		{"/registration", `{}`, "connected"},
		{"/registration", `{"connected": true}`, "no broker"},
		{"/sessions/kill", `{}`, "which"},
		{"/sessions/kill", `{"all": false}`, "which"},
		{"/sessions/kill", `{"all": true, "id": 1}`, "which"},
		{"/sessions/kill", `{"id": 4711}`, "4711"},
		{"/stop", `{"abort": "yes"}`, "Abort"},
		{"/stop", `{"now": true}`, "now"},
		{"/status", strings.Repeat(" ", maxCommand+1), "too large"},
	} {
		status, said := d.control(t, http.MethodPost, c.path, c.body)
		expectError(t, c.path+" "+c.body[:min(len(c.body), 60)], http.StatusBadRequest, c.names, status, said)
	}
	for _, c := range []struct{ method, path string }{{"GET", "/"}, {"GET", "/status"}, {"POST", "/state"}, {"PUT", "/load"}} {
		status, said := d.control(t, c.method, c.path, "{}")
		expectError(t, c.method+" "+c.path, http.StatusNotFound, c.path, status, said)
	}
	if diff := cmp.Diff(before, d.State()); diff != "" {
		t.Errorf("what was refused has changed something (-before +after):\n%s", diff)
	}
}

// expectError checks that an answer is an error that names something and says
// what to do.
func expectError(t *testing.T, asked string, want int, names string, status int, said []byte) {
	t.Helper()
	var answer struct{ Error, Hint string }
	decoder := json.NewDecoder(bytes.NewReader(said))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(&answer)
	if err != nil || status != want || answer.Hint == "" || !strings.Contains(answer.Error, names) {
		t.Errorf("%s: %d %s (%v), want %d, an error with %s, and a hint", asked, status, said, err, want, names)
	}
}

// hold opens a connection that holds a place but does not log in.
func (r *running) hold(t *testing.T) net.Conn {
	t.Helper()
	reply, conn, err := r.ask(t, toSales)
	if _, ok := reply.(*tns.Accept); !ok {
		t.Fatalf("%+v, %v", reply, err)
	}
	return conn.NetConn()
}

// readEnd waits for the end of a connection.
func readEnd(t *testing.T, c net.Conn) {
	t.Helper()
	if n, err := c.Read(make([]byte, 1)); err == nil || isTimeout(err) {
		t.Errorf("the connection goes on: %d bytes, %v", n, err)
	}
}

func TestStopAborts(t *testing.T) {
	b := startBroker(t, "127.0.0.1:0")
	d := start(t, &Database{RemoteListeners: []string{b.addr()}})
	b.await(t, "registration", registered)
	c := d.hold(t)
	d.tell(t, "/stop", `{"abort": true}`)
	if err := d.await(t); !errors.Is(err, ErrAborted) {
		t.Errorf("Run: %v", err)
	}
	readEnd(t, c)
	b.await(t, "the end of the registration", gone)
}

// A stop without abort lets those who are in finish, and nobody else in.
func TestStopDrains(t *testing.T) {
	b := startBroker(t, "127.0.0.1:0")
	d := start(t, &Database{RemoteListeners: []string{b.addr()}})
	b.await(t, "registration", registered)
	c := d.hold(t)
	d.tell(t, "/stop", "")
	b.await(t, "the end of the registration", gone)
	for { // the listener goes right after
		late, err := net.Dial("tcp", d.Addr())
		if err != nil {
			break
		}
		late.Close()
	}
	select {
	case <-d.ended:
		t.Fatal("it has not waited for its client")
	default:
	}
	if got := d.State().Open; got != 1 {
		t.Errorf("%d places are taken", got)
	}
	c.Close()
	if err := d.await(t); err != nil {
		t.Errorf("Run: %v", err)
	}
}

func TestDrainIsCutShort(t *testing.T) {
	for _, c := range []struct {
		name    string
		wait    time.Duration
		hurry   func(*testing.T, *running)
		aborted bool
	}{
		{"by time", 20 * time.Millisecond, func(*testing.T, *running) {}, false},
		{"by the end of Run's context", 0, func(_ *testing.T, d *running) { d.end() }, false},
		{"by an abort", 0, func(t *testing.T, d *running) { d.tell(t, "/stop", `{"abort": true}`) }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := start(t, &Database{StopPatience: c.wait})
			client := d.hold(t)
			d.tell(t, "/stop", `{"abort": false}`)
			c.hurry(t, d)
			if err := d.await(t); errors.Is(err, ErrAborted) != c.aborted || !c.aborted && err != nil {
				t.Errorf("Run: %v", err)
			}
			readEnd(t, client)
		})
	}
}

// A clean end takes everything with it, whatever clients are doing.
func TestRunEnds(t *testing.T) {
	d := start(t, &Database{})
	connections := []net.Conn{d.dial(t), d.hold(t)}
	d.tell(t, "/listener", `{"mode": "hang"}`)
	hanging := tns.NewConn(d.dial(t))
	if err := hanging.Send(tns.NewConnect([]byte(toSales))); err != nil {
		t.Fatal(err)
	}
	d.end()
	if err := d.await(t); err != nil {
		t.Errorf("Run: %v", err)
	}
	for _, c := range append(connections, hanging.NetConn()) {
		readEnd(t, c)
	}
}

func TestListenRefuses(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	sales := []string{"sales"}
	for _, c := range []struct {
		names string
		d     *Database
	}{
		{"--instance", &Database{Services: sales}},
		{"--service", &Database{Instance: "i"}},
		{`"a b"`, &Database{Instance: "a b", Services: sales}},
		{`"SALES"`, &Database{Instance: "i", Services: []string{"sales", "SALES"}}},
		{`"h)"`, &Database{Instance: "i", Services: sales, Host: "h)"}},
		{`"db1"`, &Database{Instance: "i", Services: sales, Advertise: "db1"}},
		{`"broker"`, &Database{Instance: "i", Services: sales, RemoteListeners: []string{"broker"}}},
		{"--listen", &Database{Instance: "i", Services: sales, Address: taken.Addr().String()}},
		{"--control", &Database{Instance: "i", Services: sales, Control: taken.Addr().String()}},
		{"data", &Database{Instance: "i", Services: sales, Data: "/nowhere/at/all"}},
	} {
		if err := c.d.Listen(); err == nil || !strings.Contains(err.Error(), c.names) {
			t.Errorf("%s: %v", c.names, err)
		}
	}
}
