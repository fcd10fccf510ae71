package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"servicebroker/broker"
	"servicebroker/descriptor"
	"servicebroker/servicetable"
	"servicebroker/tns"
)

// TestMain lets this program be the real one for those who start that.
func TestMain(m *testing.M) {
	if os.Getenv("BROKER_TEST_PROGRAM") != "" {
		os.Exit(run(context.Background(), called(os.Args), &terminal{in: os.Stdin, out: os.Stdout, err: os.Stderr}))
	}
	goleak.VerifyTestMain(m)
}

// command runs one command line as a user would.
func command(t *testing.T, arguments ...string) (out, errors string, code int) {
	t.Helper()
	var o, e strings.Builder
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	code = run(ctx, arguments, &terminal{out: &o, err: &e})
	return o.String(), e.String(), code
}

// runBroker starts a broker on loopback and returns it with its API.
func runBroker(t *testing.T) (b *broker.Broker, api string) {
	t.Helper()
	config := broker.DefaultConfig()
	config.Name = "CMAN1"
	config.Addresses = []descriptor.Address{{Protocol: "tcp", Host: "127.0.0.1"}}
	config.ConsoleAddress, config.StateDirectory = "127.0.0.1:0", t.TempDir()
	b, err := broker.New(config, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx, ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return b, "http://" + b.ConsoleAddress()
}

func TestLooking(t *testing.T) {
	b, api := runBroker(t)
	out, _, code := command(t, "--api", api, "services")
	if code != exitDone || !strings.Contains(out, "The listener supports no services") {
		t.Errorf("services: %d %q", code, out)
	}
	if out, errs, code := command(t, "--api", api, "services", "nosuch"); code != exitNo || !strings.Contains(errs, "nosuch") {
		t.Errorf("services nosuch: %d %q %q", code, out, errs)
	}
	out, _, code = command(t, "--api", api, "--output", "json", "services")
	var table struct {
		Version  *int
		Services []any
	}
	if err := json.Unmarshal([]byte(out), &table); code != exitDone || err != nil || table.Version == nil || table.Services == nil {
		t.Errorf("services as JSON: %d %q %v", code, out, err)
	}
	if out, _, code := command(t, "--api", api, "status"); code != exitDone || !strings.Contains(out, "CMAN1") || !strings.Contains(out, "yes") {
		t.Errorf("status: %d %q", code, out)
	}
	if out, _, code := command(t, "--api", api, "sessions"); code != exitDone || !strings.Contains(out, "No sessions") {
		t.Errorf("sessions: %d %q", code, out)
	}
	if out, _, code := command(t, "--api", api, "version"); code != exitDone || !strings.Contains(out, "broker "+broker.Version) || !strings.Contains(out, "running: broker") {
		t.Errorf("version: %d %q", code, out)
	}
	if out, _, code := command(t, "--api", "unix:"+b.SocketPath(), "status"); code != exitDone || !strings.Contains(out, "CMAN1") {
		t.Errorf("over the admin socket: %d %q", code, out)
	}
	folder := t.TempDir()
	t.Setenv("TNS_ADMIN", folder)
	t.Setenv("BROKER_API", "")
	text := "CMAN1=(CONFIGURATION=(ADDRESS=(PROTOCOL=tcp)(HOST=127.0.0.1)(PORT=1))(RULE_LIST=(RULE=(SRC=*)(DST=*)(SRV=*)(ACT=accept)))(PARAMETER_LIST=(ADMIN_SOCKET=" + b.SocketPath() + ")))"
	if err := os.WriteFile(filepath.Join(folder, "cman.ora"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, errs, code := command(t, "status"); code != exitDone || !strings.Contains(out, "CMAN1") {
		t.Errorf("the instance of $TNS_ADMIN/cman.ora: %d %q %q", code, out, errs)
	}
}

func TestExitCodes(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	for name, c := range map[string]struct {
		arguments []string
		code      int
		says      string
	}{
		"no broker":            {[]string{"--api", "http://127.0.0.1:1", "services"}, exitUnreachable, "cannot reach the broker"},
		"no socket":            {[]string{"--api", "unix:/nonexistent/admin.sock", "status"}, exitUnreachable, "cannot reach the broker"},
		"no such command":      {[]string{"frobnicate"}, exitUsage, "frobnicate"},
		"no such output":       {[]string{"--output", "xml", "services"}, exitUsage, "--output"},
		"nothing asked":        {nil, exitUsage, "see broker --help"},
		"no such file":         {[]string{"serve", "-c", "/nonexistent/cman.ora"}, exitNo, "cannot be read"},
		"instance, no file":    {[]string{"serve", "CMAN9"}, exitNo, "name the file with -c"},
		"bad ping target":      {[]string{"ping", "//"}, exitUsage, "//"},
		"nobody listens":       {[]string{"ping", "127.0.0.1:1"}, exitNo, "1 of 1 attempts at 127.0.0.1:1 failed"},
		"bad address":          {[]string{"register", "--broker", "b:1", "--instance", "i", "--service", "s", "--address", "db"}, exitUsage, "is not HOST:PORT"},
		"bad broker":           {[]string{"register", "--broker", "b", "--instance", "i", "--service", "s", "--address", "db:1"}, exitUsage, "is not HOST:PORT"},
		"register, not enough": {[]string{"register"}, exitUsage, "--instance"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("TNS_ADMIN", "")
			out, errs, code := command(t, c.arguments...)
			if code != c.code || !strings.Contains(errs, c.says) {
				t.Errorf("exit %d, %q, %q; want %d and %q", code, out, errs, c.code, c.says)
			}
		})
	}
	if out, _, code := command(t, "--help"); code != exitDone || !strings.Contains(out, "serve") {
		t.Errorf("--help: %d %q", code, out)
	}
	if out, _, code := command(t, "version"); code != exitDone || !strings.Contains(out, "broker "+broker.Version) {
		t.Errorf("version without a broker: %d %q", code, out)
	}
}

func TestPing(t *testing.T) {
	b, _ := runBroker(t)
	at := b.Addresses()[0]
	if out, _, code := command(t, "ping", at, "--count", "3"); code != exitDone || strings.Count(out, "OK (") != 3 || !strings.Contains(out, "(ALIAS=CMAN1)") {
		t.Errorf("ping: %d %q", code, out)
	}
	if out, _, code := command(t, "ping", at+"/sales"); code != exitNo || !strings.Contains(out, "ORA-12514") || !strings.Contains(out, "(ERR=12514)") {
		t.Errorf("ping of an unknown service: %d %q", code, out)
	}
	if out, _, code := command(t, "--output", "json", "ping", at); code != exitDone || !strings.Contains(out, `"ok": true`) {
		t.Errorf("ping as JSON: %d %q", code, out)
	}
}

// listener answers pings until it is closed.
func listener(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conn := tns.NewConn(c)
			if _, err := conn.ReadConnect(); err == nil {
				_ = conn.Send(tns.PingReply("LISTENER"))
			}
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-ended })
	return l
}

func TestAgentRegistersAndWithdraws(t *testing.T) {
	b, _ := runBroker(t)
	l := listener(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"register", "--broker", b.Addresses()[0], "--instance", "sales1", "--service", "sales,hr", "--address", l.Addr().String(), "--interval", "50ms", "--max", "77"},
			&terminal{out: io.Discard, err: io.Discard})
	}()
	await := func(want int) *servicetable.Snapshot {
		t.Helper()
		limit := time.After(10 * time.Second)
		for {
			s := b.Snapshot()
			if len(s.Services()) == want {
				return s
			}
			select {
			case <-s.Superseded():
			case <-limit:
				t.Fatalf("%d services, want %d", len(s.Services()), want)
			}
		}
	}
	r := await(2).Registrations()[0]
	if r.Instance != "sales1" || r.Max != 77 || r.NodeMax == 0 || r.LoadSource != "agent" || len(r.Handlers) != 1 || r.Handlers[0].Address == "" {
		t.Errorf("registered %+v", r)
	}
	l.Close() // the database's listener is gone
	await(0)
	cancel()
	if code := <-ended; code != exitDone {
		t.Errorf("exit %d", code)
	}
}

func TestHostLoad(t *testing.T) {
	if load, most := nodeLoad(); most == 0 || load > 1000*most {
		t.Errorf("node load %d of %d", load, most)
	}
	file := filepath.Join(t.TempDir(), "tcp")
	text := `  sl  local_address rem_address   st tx_queue rx_queue
   0: 0100007F:05F1 00000000:0000 0A 00000000:00000000
   1: 0100007F:05F1 0100007F:A001 01 00000000:00000000
   2: 0100007F:05F1 0100007F:A002 01 00000000:00000000
   3: 0100007F:A001 0100007F:05F1 01 00000000:00000000
   4: 0100007F:05F1 0100007F:A003 06 00000000:00000000
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if n := countEstablished(file, 1521); n != 2 {
		t.Errorf("%d established, want 2", n)
	}
	if n := countEstablished("/nonexistent", 1521); n != 0 {
		t.Errorf("%d from a file that is not there", n)
	}
}
