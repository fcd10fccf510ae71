package console

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestClientReadsWhatTheServerAnswers(t *testing.T) {
	s := testServer(tableOf(registrations()))
	socket := filepath.Join(t.TempDir(), "admin.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	local := httptest.NewUnstartedServer(s.Handler())
	local.Listener = listener
	local.Start()
	t.Cleanup(local.Close)
	for _, api := range []string{serve(t, s.Handler()), serve(t, s.Handler()) + "/", "unix:" + socket, "unix://" + socket} {
		c := Client{API: api}
		snapshot := s.snapshot()
		want := s.all().serviceList(snapshot, snapshot.Services())
		got, err := c.Services(t.Context())
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v, services (-want +got):\n%s", api, err, diff)
		}
		one, err := c.Service(t.Context(), "sales")
		if err != nil || len(one.Services) != 1 || one.Services[0].Name != "sales.example.com" {
			t.Errorf("%s: service %+v, %v", api, one, err)
		}
		all, err := c.Sessions(t.Context(), SessionFilter{})
		if diff := cmp.Diff(openSessions(), all.Sessions); err != nil || diff != "" {
			t.Errorf("%s: %v, sessions (-want +got):\n%s", api, err, diff)
		}
		some, err := c.Sessions(t.Context(), SessionFilter{Service: "hr", Instance: "legacy", Client: "2001:db8::1", Upstream: "51001"})
		if err != nil || len(some.Sessions) != 1 || some.Sessions[0].ID != "18" {
			t.Errorf("%s: chosen sessions %+v, %v", api, some, err)
		}
		version, err := c.Version(t.Context())
		is := s.identity()
		is.Version.Started = is.Started
		if err != nil || version != is.Version {
			t.Errorf("%s: version %+v, %v", api, version, err)
		}
		status, err := c.Status(t.Context())
		whole := s.all().status(snapshot)
		whole.Summary = summary(snapshot.Services())
		if diff := cmp.Diff(whole, status); err != nil || diff != "" {
			t.Errorf("%s: %v, status (-want +got):\n%s", api, err, diff)
		}
	}
}

func TestClientAsksForReadiness(t *testing.T) {
	c := Client{API: serve(t, testServer(tableOf(registrations())).Handler())}
	for service, ready := range map[string]bool{"": true, "sales": true, "none": false, "a/b": false} {
		got, err := c.Ready(t.Context(), service)
		if err != nil || got.Ready != ready || ready != (len(got.Reasons) == 0) {
			t.Errorf("%q: %+v, %v", service, got, err)
		}
	}
}

func TestClientPassesErrorsOn(t *testing.T) {
	c := Client{API: serve(t, testServer(tableOf(nil)).Handler())}
	_, err := c.Service(t.Context(), "a/b c?d")
	var answer *APIError
	if !errors.As(err, &answer) || answer.Status != 404 || !strings.Contains(err.Error(), `"a/b c?d"`) || !strings.Contains(err.Error(), "; GET /api/v1/services") {
		t.Errorf("%v", err)
	}
	if got := (&APIError{Message: "text"}).Error(); got != "text" {
		t.Errorf("without a hint: %s", got)
	}
}

func TestClientSaysWhatToDo(t *testing.T) {
	folder := t.TempDir()
	closed := httptest.NewServer(nil)
	closed.Close()
	stranger := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<html>")) }))
	refuser := serve(t, http.NotFoundHandler())
	short := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		w.Write([]byte("{"))
	}))
	for _, c := range []struct {
		api         string
		unreachable bool
		want        string
	}{
		{closed.URL, true, "broker serve"},
		{closed.URL, true, "BROKER_API"},
		{closed.URL, true, "TNS_ADMIN="},
		{closed.URL, true, "--api"},
		{closed.URL, true, "unix:STATE_DIRECTORY/admin.sock"},
		{"unix:" + filepath.Join(folder, "none.sock"), true, "broker serve"},
		{stranger, true, "something else answers"},
		{refuser, true, "something else answers"},
		{short, true, "unexpected EOF"},
		{"", false, "unix:PATH"},
		{"localhost:8521", false, "http://HOST:PORT"},
		{"ftp://h", false, "http://HOST:PORT"},
		{"http://a b", false, "http://HOST:PORT"},
		{"http://[::1", false, "http://HOST:PORT"},
		{"http://h:x", false, "http://HOST:PORT"},
	} {
		client := Client{API: c.api}
		_, err := client.Services(t.Context())
		if err == nil || errors.Is(err, ErrUnreachable) != c.unreachable || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.api) {
			t.Errorf("%q: %v", c.api, err)
		}
	}
}

func TestClientGivesUp(t *testing.T) {
	release := make(chan struct{})
	address := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-release }))
	defer close(release)
	c := Client{API: address, Timeout: time.Millisecond}
	_, err := c.Version(t.Context())
	if !errors.Is(err, ErrUnreachable) || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "too long") {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c.Timeout = 0
	if _, err := c.Version(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestClientWithoutPermission(t *testing.T) {
	c := Client{API: "unix:/x"}
	if err := c.unreachable(&net.OpError{Op: "dial", Err: &permission{}}); !strings.Contains(err.Error(), "as the user that runs the broker") {
		t.Errorf("%v", err)
	}
}

// permission is what a socket of another user answers.
type permission struct{}

func (*permission) Error() string        { return "permission denied" }
func (*permission) Is(target error) bool { return target.Error() == "permission denied" }
