package consul

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// everything asks a Consul all that a broker ever asks, once, and returns what each came to.
func everything(ctx context.Context, c *Client, folder string) map[string]error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	m := &Member{Client: c, Name: "cman1", SessionFile: filepath.Join(folder, "session")}
	all := map[string]error{}
	all["beat"] = (&beat{Member: m}).once(ctx)
	_, all["brokers"] = m.Brokers(ctx)
	all["catalogue"] = (&Catalogue{Client: c}).Sync(ctx, Publication{Nodes: []Node{{"oracle-n", "a", "h"}}, Services: []Service{{Node: "oracle-n", ID: "i", Name: "s"}}})
	for name, run := range map[string]func(context.Context, chan<- error){
		"watch": func(ctx context.Context, told chan<- error) {
			w := &Watch{Client: c, Known: []Maintenance{{Node: "db1", ServiceID: "x"}}, Changed: func([]Maintenance) { told <- nil }}
			l := &listening{Watch: w, told: w.Known, missing: map[string]time.Time{}}
			f := following{Client: c, ask: l.ask, seen: l.seen, fail: func(err error) { told <- err }}
			f.run(ctx)
		},
		"intents": func(ctx context.Context, told chan<- error) {
			s := &Intents{Client: c, Origin: "one"}
			told <- errors.Join(s.Open(), s.Put("drain/a", []byte("1"), time.Time{}), s.overtakenBy(ctx))
		},
		"ready": func(ctx context.Context, told chan<- error) {
			r := &Ready{Member: m}
			told <- r.once(ctx)
		},
	} {
		told := make(chan error, 100)
		ctx, cancel := context.WithCancel(ctx)
		done := make(chan struct{})
		go func() {
			defer close(done)
			run(ctx, told)
		}()
		all[name] = <-told
		cancel()
		<-done
	}
	return all
}

func (s *Intents) overtakenBy(ctx context.Context) error {
	client, err := s.Client.open()
	if err != nil {
		return err
	}
	return s.overtaken(ctx, client)
}

func (r *Ready) once(ctx context.Context) error {
	client, err := r.Member.Client.open()
	if err != nil {
		return err
	}
	q, cancel := r.Member.Client.query(ctx)
	defer cancel()
	_, _, err = r.ask(client, q)
	return err
}

// at serves one body wherever a path matches, and what an empty Consul has anywhere else.
func at(path, body string) http.Handler {
	where := regexp.MustCompile(path)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Consul-Index", "5")
		switch {
		case where.MatchString(r.URL.Path):
			fmt.Fprint(w, body)
		case strings.HasSuffix(r.URL.Path, "/catalog/services"):
			fmt.Fprint(w, `{"a":[]}`)
		case strings.HasSuffix(r.URL.Path, "/session/create"):
			fmt.Fprint(w, `{"ID":"6c0dd1d2-0000-4000-8000-000000000001"}`)
		case r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/kv/"):
			fmt.Fprint(w, "true")
		case strings.Contains(r.URL.Path, "/catalog/node/"):
			fmt.Fprint(w, "null")
		default:
			fmt.Fprint(w, "[]")
		}
	})
}

func TestAnswersWithHolesAreErrorsAndNobodyFalls(t *testing.T) {
	for _, c := range []struct{ path, body, fails string }{
		{"/catalog/nodes", `[null]`, "catalogue"},
		{"/catalog/services", `null`, ""},
		{"/catalog/services", `{"a":null,"b":[""]}`, ""},
		{"/catalog/services", `[]`, "catalogue"},
		{"/health/service", `[null]`, "catalogue ready"},
		{"/health/service", `[{}]`, "catalogue ready"},
		{"/health/service", `[{"Node":{}}]`, "catalogue ready"},
		{"/health/service", `[{"Node":{},"Service":{},"Checks":[null]}]`, "catalogue ready"},
		{"/health/service", `[{"Node":{},"Service":{}}]`, ""},
		{"/health/state", `[null]`, "watch"},
		{"/health/state", `[{}]`, ""},
		{"/catalog/node/", `{}`, ""},
		{"/catalog/node/", `{"Node":{},"Services":{"x":null}}`, ""},
		{"/catalog/node/", `[]`, "watch"},
		{"/kv/", `[null]`, "brokers intents"},
		{"/kv/", `[{}]`, "brokers intents"},
		{"/kv/", `[{"Key":"x"}]`, "brokers intents"},
		{"/kv/", `[{"Key":"broker/brokers/&zz","Session":"x"},{"Key":"broker/brokers/"}]`, "intents"},
		{"/session/create", `{}`, "beat"},
		{"/session/create", `{"ID":"` + strings.Repeat("x", 100) + `"}`, "beat"},
		{"/session/create", `null`, "beat"},
		{"/txn", `{}`, ""},
	} {
		server := httptest.NewServer(at(c.path, c.body))
		client := &Client{Address: server.URL, Timeout: 5 * time.Second}
		for name, err := range everything(t.Context(), client, t.TempDir()) {
			if want := strings.Contains(c.fails, name); (err != nil) != want {
				t.Errorf("%s is %s: %s says %v", c.path, c.body, name, err)
			}
		}
		client.Close()
		server.Close()
	}
}

// endless is a body without an end.
func endless(head, again string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Consul-Index", "5")
		block := []byte(strings.Repeat(again, 10_000))
		_, err := w.Write([]byte(head))
		for err == nil {
			_, err = w.Write(block)
		}
	}
}

func TestAnswersWithoutAnEndCostLittle(t *testing.T) {
	packed := &bytes.Buffer{}
	z := gzip.NewWriter(packed)
	for range 256 {
		_, _ = z.Write(bytes.Repeat([]byte(" "), 1<<20))
	}
	_ = z.Close()
	for name, answer := range map[string]struct {
		http.HandlerFunc
		paths string
	}{
		"objects":          {endless(`[{}`, `,{}`), "/health/state /kv/"},
		"texts":            {endless(`{"a":[""`, `,""`), "/catalog/services"},
		"one text":         {endless(`[{"Node":"`, `aaaaaaaaaa`), "/catalog/nodes"},
		"nothing but room": {endless("", "          "), "/health/service"},
		"deep":             {endless("", "["), "/catalog/nodes"},
		"packed": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(packed.Bytes())
		}, "/catalog/nodes"},
	} {
		for path := range strings.FieldsSeq(answer.paths) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.Contains(r.URL.Path, path) && r.Method == http.MethodGet {
					answer.ServeHTTP(w, r)
					return
				}
				at("^$", "").ServeHTTP(w, r)
			}))
			client := &Client{Address: server.URL}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			failed := 0
			for _, err := range everything(t.Context(), client, t.TempDir()) {
				if err != nil {
					failed++
				}
			}
			runtime.ReadMemStats(&after)
			cost := (after.TotalAlloc - before.TotalAlloc) >> 20
			t.Logf("%s at %s: %d MB in all", name, path, cost)
			if failed == 0 || cost > 1000 {
				t.Errorf("%s at %s: %d failed, at a cost of %d MB in all", name, path, failed, cost)
			}
			if n := client.reading(); n != 0 {
				t.Errorf("%s at %s: %d bytes are still counted", name, path, n)
			}
			client.Close()
			server.Close()
		}
	}
}

// reading is how many bytes of answers are in use.
func (c *Client) reading() int64 { return c.authorized.reading.Load() }

func TestAnAnswerThatDripsIsGivenUp(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ticker := time.NewTicker(20 * time.Millisecond)
		defer ticker.Stop()
		for {
			_, _ = w.Write([]byte("["))
			w.(http.Flusher).Flush()
			select {
			case <-r.Context().Done():
				return
			case <-ticker.C:
			}
		}
	}))
	defer server.Close()
	client := &Client{Address: server.URL, Timeout: 200 * time.Millisecond}
	defer client.Close()
	began := time.Now()
	if err := (&Catalogue{Client: client}).Sync(t.Context(), Publication{}); err == nil {
		t.Error("it was believed")
	}
	if _, err := (&Member{Client: client, Name: "x"}).Brokers(t.Context()); err == nil {
		t.Error("it was believed")
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestTheTokenGoesNowhereElse(t *testing.T) {
	var elsewhere atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	defer other.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL+r.URL.Path, status)
		}))
		client := &Client{Address: server.URL}
		for name, err := range everything(t.Context(), client, t.TempDir()) {
			if err == nil {
				t.Errorf("%d: %s is content", status, name)
			}
		}
		client.Close()
		server.Close()
	}
	if n := elsewhere.Load(); n > 0 {
		t.Errorf("another server was asked %d times", n)
	}
}

func TestAConsulThatNeverWaitsIsNotAskedWithoutPause(t *testing.T) {
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Consul-Index", strconv.FormatInt(asked.Add(1), 10))
		fmt.Fprint(w, "[]")
	}))
	t.Cleanup(server.Close)
	w := &Watch{Client: &Client{Address: server.URL}, Changed: func([]Maintenance) {}}
	t.Cleanup(w.Client.Close)
	began := time.Now()
	running(t, w.Run)
	eventually(t, 30*time.Second, "it to be asked more often than may be in a row", func() string {
		if n := asked.Load(); n < 25 {
			return fmt.Sprintf("asked %d times", n)
		}
		return ""
	})
	n := asked.Load()
	if took := time.Since(began); n > 11+int64(took/(100*time.Millisecond)) { // eleven at once, and then ten a second
		t.Errorf("it was asked %d times in %v", n, took)
	}
}

// strict is a real Consul's API with what version 1.21.5 refuses.
func (a *agent) strict(t testing.TB) string {
	to := "http://" + a.address()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key, is := strings.CutPrefix(r.URL.Path, "/v1/kv/")
		if is && (!taken1215.MatchString(key) || strings.Contains(key, "..")) {
			http.Error(w, "invalid key name", http.StatusInternalServerError)
			return
		}
		passOn(w, r, to)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestServersThatRefuseUnusualKeysAreServed(t *testing.T) {
	a := startAgent(t)
	client := &Client{Address: a.strict(t)}
	defer client.Close()
	m := &Member{Client: client, Name: "cman1@host.example:1521"}
	b := &beat{Member: m}
	if err := b.once(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer b.leave(t.Context())
	if all, err := m.Brokers(t.Context()); err != nil || len(all) != 1 || all[0].Name != m.Name || !all[0].Self {
		t.Errorf("%v, %v", all, err)
	}
	w := a.writing(t, instance("s1", "10.1.0.1", "sales"))
	w.Client, w.Member = client, m
	w.mustSync(t)
}
