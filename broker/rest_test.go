package broker

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"servicebroker/console"
	"servicebroker/intent"
	"servicebroker/journal"
	"servicebroker/testenv/authority"
)

// startREST runs a broker with a REST address, a password for each of alice (operator) and tina (operator of a_*), which are their
// names twice, and a token for ci (viewer).
func startREST(t *testing.T, a *authority.Authority, change func(*Config)) (r *running, token string) {
	t.Helper()
	token = console.NewToken()
	lines := []console.Credential{
		{Name: "alice", Role: console.Operator, Password: console.HashPassword("alicealice")},
		{Name: "tina", Role: console.Operator, Password: console.HashPassword("tinatina"), Services: []string{"a_*"}},
		{Name: "ci", Role: console.Viewer, Token: console.HashToken(token)},
	}
	text := ""
	for _, c := range lines {
		text += c.String() + "\n"
	}
	credentials := a.Write("credentials", []byte(text))
	return start(t, func(c *Config) {
		c.RESTAddress, c.RESTCredentials, c.TLS.Certificate = "127.0.0.1:0", credentials, a.File("host.pem", a.Host())
		if change != nil {
			change(c)
		}
	}), token
}

// as is the client of somebody, who has his name twice for a password; or a token.
func (r *running) as(a *authority.Authority, login string) *console.Client {
	header := "Bearer " + login
	if len(login) < 10 {
		header = "Basic " + base64.StdEncoding.EncodeToString([]byte(login+":"+login+login))
	}
	return &console.Client{API: "https://" + r.RESTAddress(), CA: a.CA(), Authorize: func() (string, error) { return header, nil }}
}

func wantStatus(t *testing.T, what string, err error, status int) {
	t.Helper()
	problem, is := errors.AsType[*console.APIError](err)
	if !is || problem.Status != status || problem.Hint == "" {
		t.Errorf("%s: %v; want status %d with a hint", what, err, status)
	}
}

// The whole way, through TLS: look and change, as far as credentials go.
func TestAdministrationOverTheNetwork(t *testing.T) {
	a := authority.New(t)
	r, token := startREST(t, a, nil)
	r.join("one", "a_1", "b_1")
	ctx := t.Context()
	if status, err := r.as(a, token).Status(ctx); err != nil || status.REST != r.RESTAddress() {
		t.Errorf("%+v, %v", status, err)
	}
	list, err := r.as(a, token).Services(ctx)
	if err != nil || len(list.Services) != 2 {
		t.Fatalf("%+v, %v", list, err)
	}
	if list, err = r.as(a, "tina").Services(ctx); err != nil || len(list.Services) != 1 || list.Services[0].Name != "a_1" {
		t.Errorf("%+v, %v", list, err)
	}
	drain := func(service string) console.IntentRequest {
		return console.IntentRequest{Kind: intent.Drain, Target: intent.Target{Service: service}}
	}
	_, err = r.as(a, token).SetIntent(ctx, drain("a_1"))
	wantStatus(t, "a viewer", err, 403)
	_, err = r.as(a, "tina").SetIntent(ctx, drain("b_1"))
	wantStatus(t, "somebody else's service", err, 403)
	_, err = r.as(a, "nobody").Services(ctx)
	wantStatus(t, "nobody", err, 401)
	_, err = (&console.Client{API: "https://" + r.RESTAddress(), CA: a.CA()}).Services(ctx)
	wantStatus(t, "without credentials", err, 401)
	view, err := r.as(a, "alice").SetIntent(ctx, drain("b_1"))
	if err != nil || view.Source != "alice from 127.0.0.1" {
		t.Fatalf("%+v, %v", view, err)
	}
	_, err = r.as(a, "tina").EndIntent(ctx, view.ID)
	wantStatus(t, "somebody else's intent", err, 404)
	if view, err = r.as(a, "tina").SetIntent(ctx, drain("a_*")); err != nil {
		t.Fatal(err)
	}
	if _, err = r.as(a, "tina").EndIntent(ctx, view.ID); err != nil {
		t.Error(err)
	}
	_, err = r.as(a, "tina").Reload(ctx)
	wantStatus(t, "what is everybody's", err, 403)
	if e := r.event(journal.Administered); e.Cause != "ci from 127.0.0.1" {
		t.Errorf("%+v", e)
	}
	seen, err := r.as(a, "tina").Events(ctx, console.EventFilter{Limit: 1000})
	for _, e := range seen.Events {
		if !strings.HasPrefix(e.Service, "a_") || strings.Contains(e.Detail+e.Cause, "b_1") {
			t.Errorf("tina is told of %+v, %v", e, err)
		}
	}
}

// A stream of events is cut to what is somebody's, as a list is.
func TestAStreamIsForItsReader(t *testing.T) {
	a := authority.New(t)
	r, _ := startREST(t, a, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	enough := errors.New("enough")
	began := make(chan error, 1)
	var since uint64
	var got []journal.Event
	go func() {
		began <- r.as(a, "tina").Follow(ctx, &console.EventFilter{Since: &since}, func(e journal.Event) error {
			if got = append(got, e); e.Service == "a_last" {
				return enough
			}
			return nil
		})
	}()
	for _, service := range []string{"b_1", "a_1", "", "a_last"} {
		r.journal.Add(journal.Event{Kind: journal.Moved, Service: service, Instance: "one"})
	}
	if err := <-began; !errors.Is(err, enough) || len(got) != 2 || got[0].Service != "a_1" {
		t.Errorf("%v, %v", got, err)
	}
}

func TestRESTSpeaksTLSAlone(t *testing.T) {
	a := authority.New(t)
	r, token := startREST(t, a, nil)
	if _, err := (&console.Client{API: "http://" + r.RESTAddress()}).Version(t.Context()); err == nil {
		t.Error("it is answered without TLS")
	}
	if _, err := (&console.Client{API: "https://" + r.RESTAddress()}).Version(t.Context()); err == nil || !strings.Contains(err.Error(), "--ca") {
		t.Errorf("an authority that nobody knows: %v", err)
	}
	old := &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
	if c, err := tls.Dial("tcp", r.RESTAddress(), old); err == nil {
		c.Close()
		t.Error("TLS 1.1 is spoken")
	}
	for _, protocols := range [][]string{{"h2"}, {"http/1.1"}} {
		client := &http.Client{Transport: &http.Transport{
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true, NextProtos: protocols}, ForceAttemptHTTP2: protocols[0] == "h2", DisableKeepAlives: true,
		}}
		request, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+r.RESTAddress()+"/show/services", nil)
		request.Header.Set("Authorization", "Bearer "+token)
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if want := map[string]int{"h2": 2, "http/1.1": 1}[protocols[0]]; response.StatusCode != 200 || response.ProtoMajor != want {
			t.Errorf("%v: %s over %s", protocols, response.Status, response.Proto)
		}
		client.CloseIdleConnections()
	}
}

// Certificate and credentials may change while it runs; a reload that takes REST away leaves it until a restart.
func TestRESTFollowsItsFiles(t *testing.T) {
	a := authority.New(t)
	file := filepath.Join(a.Folder, "cman.ora")
	parameters := func(more string) {
		a.Write("cman.ora", []byte(fmt.Sprintf("T=(CONFIGURATION=(ADDRESS=(PROTOCOL=tcp)(HOST=127.0.0.1)(PORT=0))(PARAMETER_LIST=%s))", more)))
	}
	r, token := startREST(t, a, func(c *Config) {
		c.File, c.Name, c.Given = file, "T", map[string]Given{"REST_ADDRESS": {Value: "127.0.0.1:1"}}
	})
	rest := "(REST_ADDRESS=127.0.0.1:1)(REST_CREDENTIALS=" + r.config.RESTCredentials + ")"
	shown := func() string {
		c, err := tls.Dial("tcp", r.RESTAddress(), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	parameters(rest + "(TLS_CERTIFICATE=" + a.File("second.pem", numbered(a, 2)) + ")")
	if _, err := r.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if shown() != "cman-2" {
		t.Errorf("the old certificate is shown: %s", shown())
	}
	parameters("")
	result, err := r.Reload(t.Context())
	if err != nil || !strings.Contains(strings.Join(result.NeedsRestart, " "), "REST_ADDRESS") || shown() != "cman-2" {
		t.Errorf("%+v, %v, %s", result, err, shown())
	}
	if _, err := r.as(a, token).Version(t.Context()); err != nil {
		t.Error(err)
	}
	if err := os.Chmod(r.config.RESTCredentials, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("credentials that all can read: %v", err)
	}
	if _, err := r.as(a, token).Version(t.Context()); err != nil {
		t.Errorf("those of before: %v", err)
	}
}

func TestRESTThatCannotBeStarts(t *testing.T) {
	a := authority.New(t)
	good := a.Write("good", []byte("ci viewer bearer sha256:"+console.HashToken("x")+"\n"))
	bad := a.Write("bad", []byte("alice\n"))
	for name, c := range map[string]struct{ credentials, certificate, want string }{
		"no certificate": {good, "", "REST_ADDRESS"}, "no file": {good, filepath.Join(a.Folder, "none.pem"), "none.pem"},
		"no credentials": {filepath.Join(a.Folder, "none"), a.File("h.pem", a.Host()), "broker credentials add"}, "bad credentials": {bad, a.File("h.pem", a.Host()), "line 1"},
	} {
		b, err := New(testConfig(t, func(config *Config) {
			config.RESTAddress, config.RESTCredentials, config.TLS.Certificate = "127.0.0.1:0", c.credentials, c.certificate
		}), nil)
		if err == nil {
			b.closeListeners()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCheckReadsCredentials(t *testing.T) {
	a := authority.New(t)
	certificate := a.File("h.pem", a.Host())
	for name, c := range map[string]struct {
		text string
		mode os.FileMode
		want string
	}{
		"good":  {"ci viewer bearer sha256:" + console.HashToken("x"), 0o600, ""},
		"wrong": {"alice operator basic secret", 0o600, "error: REST_CREDENTIALS"},
		"open":  {"ci viewer bearer sha256:" + console.HashToken("x"), 0o644, "chmod 600"},
	} {
		file := a.Write("credentials-"+name, []byte(c.text+"\n"))
		if err := os.Chmod(file, c.mode); err != nil {
			t.Fatal(err)
		}
		config := "T=(CONFIGURATION=(ADDRESS=(PROTOCOL=tcp)(HOST=127.0.0.1)(PORT=0))(PARAMETER_LIST=(REST_ADDRESS=127.0.0.1:1)(REST_CREDENTIALS=" + file + ")(TLS_CERTIFICATE=" + certificate + ")))"
		_, messages := Check(write(t, config), "")
		said := ""
		for _, m := range messages {
			said += m.String() + "\n"
		}
		if c.want == "" && strings.Contains(said, "REST") || !strings.Contains(said, c.want) {
			t.Errorf("%s: %s", name, said)
		}
	}
}

// Whatever tina asks of a broker that others use too, no answer has a byte of what is theirs.
func TestATenantIsToldNothingOfOthers(t *testing.T) {
	a := authority.New(t)
	r, _ := startREST(t, a, func(c *Config) {
		read, messages := ReadConfig(write(t, `T=(CONFIGURATION=(ADDRESS=(PROTOCOL=tcp)(HOST=127.0.0.1)(PORT=0))(RULE_LIST=
			(RULE=(SRC=*)(DST=*)(SRV=b_secret,a_2)(ACT=log))(RULE=(SRC=*)(DST=*)(SRV=b_secret,a_3)(ACT=reject)(USER=bmatter))(RULE=(SRC=*)(DST=*)(SRV=*)(ACT=accept)))
			(PARAMETER_LIST=(SERVICE=(NAME=b_secret)(HOLD_TIMEOUT=1))(READY_SERVICES=b_secret,b_other)))`), "")
		if err := messages.Err(); err != nil {
			t.Fatal(err)
		}
		c.Rules, c.Services, c.ReadyServices, c.Given, c.HoldTimeout = read.Rules, read.Services, read.ReadyServices, read.Given, 0
	})
	r.join("one", "a_1", "b_secret", "a_2", "a_3")
	r.join("bmatter", "b_secret")
	for _, service := range []string{"a_1", "b_secret"} {
		c, _ := r.session(service)
		defer c.Close()
	}
	r.ask("(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=b_secret_too)(CID=(PROGRAM=bmatter)(HOST=h)(USER=u))))")
	r.ask("(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=a_none)))")
	r.ask("(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=a_2)))")
	r.set(intent.Intent{Kind: intent.Drain, Target: intent.Target{Service: "b_secret"}, Reason: "bmatter"})
	r.set(intent.Intent{Kind: intent.Weight, Target: intent.Target{Instance: "one"}, Value: 50, Reason: "bmatter"})
	r.set(intent.Intent{Kind: intent.Hold, Target: intent.Target{Node: "one-host"}, Reason: "bmatter"})
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	ask := func(path string) (int, string) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+r.RESTAddress()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.SetBasicAuth("tina", "tinatina")
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, string(text) + fmt.Sprint(response.Header)
	}
	var document struct{ Paths map[string]map[string]any }
	_, text := ask("/api/v1/openapi.json")
	if err := json.NewDecoder(strings.NewReader(text)).Decode(&document); err != nil {
		t.Fatal(err)
	}
	paths := []string{"/", "/refs", "/refs?q=one", "/?q=b", "/api/v1/explain?descriptor=a_1", "/api/v1/explain?descriptor=a_none", "/api/v1/explain?client=127.0.0.1", "/api/v1/status?summary=true", "/show/connections/detail", "/api/v1/events?limit=1000"}
	for path, methods := range document.Paths {
		if methods["get"] != nil {
			for _, value := range []string{"a_1", "services", "status", "connections", "stats", "gateways"} {
				paths = append(paths, strings.NewReplacer("{name}", value, "{id}", value, "{ref}", value, "{what}", value, "{how}", "info", "{service}", value).Replace(path))
			}
		}
	}
	for _, e := range r.journal.Recent(100) {
		paths = append(paths, "/refs/"+e.Ref, "/api/v1/explain/"+e.Ref)
	}
	good := 0
	for _, path := range paths {
		status, text := ask(path)
		if status == 200 {
			good++
		}
		for _, word := range []string{"b_secret", "bmatter", "b_other"} {
			if at := strings.Index(text, word); at >= 0 {
				t.Errorf("%s: %d …%s…", path, status, text[max(0, at-120):min(len(text), at+40)])
			}
		}
	}
	if good < 30 {
		t.Errorf("only %d answers of %d are about something", good, len(paths))
	}
}
