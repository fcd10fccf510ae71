package broker

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"servicebroker/console"
	"servicebroker/servicetable"
	"servicebroker/tns"
)

// health asks one address for its readiness.
func health(t *testing.T, address, path string) (status int, body string) {
	t.Helper()
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get("http://" + address + path)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

func TestReadyServices(t *testing.T) {
	file := write(t, strings.Replace(reloaded, "%", "(READY_SERVICES=sales,hr)(HOLD_TIMEOUT=0)", 1))
	r := start(t, func(c *Config) {
		read, messages := ReadConfig(file, "")
		if err := messages.Err(); err != nil {
			t.Fatal(err)
		}
		c.File, c.Name, c.ReadyServices = read.File, read.Name, read.ReadyServices
	})
	want := func(when string, status int, parts ...string) {
		t.Helper()
		got, body := health(t, r.ConsoleAddress(), "/readyz")
		for _, part := range parts {
			if !strings.Contains(body, part) {
				t.Errorf("%s: %s lacks %q", when, body, part)
			}
		}
		if got != status {
			t.Errorf("%s: /readyz answers %d %s, want %d", when, got, body, status)
		}
	}
	want("nobody registered", 503, "READY_SERVICES has sales: ", "READY_SERVICES has hr: ", "REMOTE_LISTENER")
	r.register("s1", "sales")
	want("one of two", 503, `{"ready":false,"reasons":["READY_SERVICES has hr: unknown service`)
	withdraw := r.register("h1", "HR")
	want("both", 200, `"ready":true`)
	if got, _ := health(t, r.ConsoleAddress(), "/readyz/hr"); got != 200 {
		t.Errorf("/readyz/hr answers %d", got)
	}
	withdraw()
	r.await(func(s *servicetable.Snapshot) bool { return s.ServiceCount() == 1 })
	want("one went", 503, "has hr: ")
	if got, _ := health(t, r.ConsoleAddress(), "/livez"); got != 200 {
		t.Errorf("/livez answers %d: a service that is away is no reason to start the broker anew", got)
	}

	r.rewrite(file, "(READY_SERVICES=sales)(NONSENSE=(")
	if _, err := r.Reload(t.Context()); err == nil {
		t.Fatal("a broken file was taken")
	}
	want("a broken file changes nothing", 503, "has hr: ")
	r.rewrite(file, "(READY_SERVICES=sales)(HOLD_TIMEOUT=0)")
	if _, err := r.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	want("no longer needed", 200)
	r.rewrite(file, "(READY_SERVICES=sales)(POLICY=nonsense)")
	if _, err := r.Reload(t.Context()); err == nil {
		t.Fatal("a bad value was taken")
	}
	want("ready after a bad reload", 200)
}

func TestMetricsAddressHasHealthAndNothingElse(t *testing.T) {
	r := start(t, func(c *Config) { c.MetricsAddress = "127.0.0.1:0" })
	for path, want := range map[string]int{"/livez": 200, "/readyz": 200, "/readyz/none": 503, "/": 404, "/api/v1/services": 404} {
		if got, body := health(t, r.MetricsAddress(), path); got != want {
			t.Errorf("%s answers %d %s, want %d", path, got, body, want)
		}
	}
	for path, want := range map[string]int{"/livez": 200, "/readyz": 200, "/metrics": 404} {
		if got, body := health(t, r.ConsoleAddress(), path); got != want || want == 404 && !strings.Contains(body, "http://"+r.MetricsAddress()+"/metrics") {
			t.Errorf("the console's %s answers %d %s, want %d", path, got, body, want)
		}
	}
}

func TestMetricsAddressThatIsTaken(t *testing.T) {
	r := start(t, nil)
	_, err := New(testConfig(t, func(c *Config) { c.MetricsAddress = r.ConsoleAddress() }), nil)
	if err == nil || !strings.Contains(err.Error(), "METRICS_ADDRESS") || !strings.Contains(err.Error(), "choose another") {
		t.Errorf("%v", err)
	}
}

// Before it stops to listen, a broker says that it is not ready, and serves who comes.
func TestGraceServesWhoStillComes(t *testing.T) {
	r := start(t, func(c *Config) { c.ShutdownGrace = time.Hour })
	r.register("s1", "sales")
	r.stop()
	limit := time.Now().Add(10 * time.Second)
	for {
		status, body := health(t, r.ConsoleAddress(), "/readyz")
		if status == 503 {
			if !strings.Contains(body, "about to stop") {
				t.Errorf("why: %s", body)
			}
			break
		}
		if time.Now().After(limit) {
			t.Fatal("it is still ready")
		}
	}
	conn, reply := r.ask(sales)
	if _, ok := reply.(*tns.Accept); !ok {
		t.Fatalf("a client that came within the grace got %T %v", reply, reply)
	}
	conn.NetConn().Close()
	r.abort()
	if err := <-r.ended; err != nil {
		t.Error(err)
	}
	r.ended <- nil
}

// quietBroker is one that does nothing by itself.
func quietBroker() *Broker {
	b := &Broker{log: slog.New(slog.DiscardHandler), asked: make(chan console.ShutdownRequest, 1)}
	b.current.Store(&settings{config: &Config{}})
	return b
}

func TestHowLongGraceLasts(t *testing.T) {
	minute, second := 60.0, 1.0
	for name, c := range map[string]struct {
		grace, limit time.Duration
		asked        *console.ShutdownRequest // after two seconds
		abort        bool                     // likewise
		took, left   time.Duration
	}{
		"as configured":                {grace: 5 * time.Second, limit: time.Minute, took: 5 * time.Second, left: time.Minute},
		"none":                         {limit: time.Minute, left: time.Minute},
		"sessions without limit":       {grace: 5 * time.Second, took: 5 * time.Second},
		"less time for sessions":       {grace: 5 * time.Second, limit: 3 * time.Second, took: 3 * time.Second, left: 3 * time.Second},
		"at once":                      {grace: 5 * time.Second, limit: time.Nanosecond, left: time.Nanosecond},
		"a second signal":              {grace: 5 * time.Second, limit: time.Minute, abort: true, took: 2 * time.Second, left: time.Minute},
		"meanwhile: abort":             {grace: 5 * time.Second, limit: time.Minute, asked: &console.ShutdownRequest{Abort: true}, took: 2 * time.Second, left: time.Nanosecond},
		"meanwhile: more for sessions": {grace: 5 * time.Second, limit: 4 * time.Second, asked: &console.ShutdownRequest{Timeout: &minute}, took: 5 * time.Second, left: time.Minute},
		"meanwhile: less for sessions": {grace: 5 * time.Second, limit: time.Minute, asked: &console.ShutdownRequest{Timeout: &second}, took: 3 * time.Second, left: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := quietBroker()
				b.settings().config.ShutdownGrace = c.grace
				abort, end := context.WithCancel(context.Background())
				defer end()
				time.AfterFunc(2*time.Second, func() {
					if c.asked != nil {
						b.Shutdown(*c.asked)
					}
					if c.abort {
						end()
					}
				})
				began := time.Now()
				left := b.grace(abort, c.limit)
				if took := time.Since(began); took != c.took || left != c.left || !b.leaving.Load() {
					t.Errorf("took %v and left %v, want %v and %v", took, left, c.took, c.left)
				}
			})
		})
	}
}
