package console

import (
	"context"
	"net/http"
	"testing"
	"time"
)

func TestShutdown(t *testing.T) {
	o := newOperated(t)
	wantRefused(t, o.AdminHandler(), []wrong{{"POST", "/api/v1/shutdown", "{}", 404, "does not offer", "status"}})
	var asked []ShutdownRequest
	o.Shutdown = func(r ShutdownRequest) { asked = append(asked, r) }
	wantRefused(t, o.AdminHandler(), []wrong{
		{"POST", "/api/v1/shutdown", "", 400, "there is no body", "timeout"},
		{"POST", "/api/v1/shutdown", `{"timout": 1}`, 400, "timout", `did you mean "timeout"`},
		{"POST", "/api/v1/shutdown", `{"timeout": -1}`, 400, "-1", "DRAIN_TIMEOUT"},
		{"POST", "/api/v1/shutdown", `{"timeout": 1e99}`, 400, "seconds", "DRAIN_TIMEOUT"},
		{"POST", "/api/v1/shutdown", `{"timeout": 1, "abort": true}`, 400, "exclude", "DRAIN_TIMEOUT"},
		{"GET", "/api/v1/shutdown", "", 405, "GET", "POST"},
	})
	wantRefused(t, o.Handler(), []wrong{{"POST", "/api/v1/shutdown", "{}", 403, "only shows", "admin socket"}})
	if len(asked) > 0 {
		t.Fatalf("asked by wrong requests: %+v", asked)
	}
	for body, want := range map[string]struct {
		limit time.Duration
		set   bool
	}{`{}`: {0, false}, `{"timeout": 1.5}`: {1500 * time.Millisecond, true}, `{"timeout": 0}`: {0, true}, `{"abort": true}`: {0, true}} {
		asked = nil
		if got := answer[Stopping](t, o.request("POST", "/api/v1/shutdown", body), 200); got != (Stopping{Sessions: 2, Before: 2}) {
			t.Errorf("%s: %+v", body, got)
		}
		if limit, set := asked[0].Limit(); len(asked) != 1 || limit != want.limit || set != want.set {
			t.Errorf("%s: %v, %v", body, limit, set)
		}
	}
}

// What an upgrade has left can be ended alone.
func TestShutdownOfAnOlderGeneration(t *testing.T) {
	o := newOperated(t)
	var asked []ShutdownRequest
	o.Shutdown = func(r ShutdownRequest) { asked = append(asked, r) }
	wantRefused(t, o.AdminHandler(), []wrong{
		{"POST", "/api/v1/shutdown", `{"generation": 4}`, 409, "generation 4 is no older one, but serving", "leave generation out"},
		{"POST", "/api/v1/shutdown", `{"generation": 2}`, 404, "generation 2", "broker generations"},
		{"POST", "/api/v1/shutdown", `{"generation": -1}`, 400, "-1", "DRAIN_TIMEOUT"},
	})
	if len(asked) > 0 {
		t.Fatalf("asked by wrong requests: %+v", asked)
	}
	if got := answer[Stopping](t, o.request("POST", "/api/v1/shutdown", `{"generation": 3, "abort": true}`), 200); got != (Stopping{Before: 2}) || len(asked) != 1 || asked[0].Generation != 3 || !asked[0].Abort {
		t.Errorf("%+v, %+v", got, asked)
	}
}

// The answer arrives although the broker is gone at once.
func TestShutdownIsAnsweredFirst(t *testing.T) {
	o := newOperated(t)
	cut := make(chan struct{})
	o.Shutdown = func(ShutdownRequest) { close(cut); panic(http.ErrAbortHandler) }
	c := Client{API: serve(t, o.AdminHandler())}
	zero := 0.0
	got, err := c.Shutdown(context.Background(), ShutdownRequest{Timeout: &zero})
	<-cut
	if err != nil || got.Sessions != 2 {
		t.Errorf("%+v, %v", got, err)
	}
	if st, err := c.Stats(context.Background()); err != nil || st.Sessions != 2 {
		t.Errorf("%+v, %v", st, err)
	}
}
