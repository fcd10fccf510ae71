package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"servicebroker/console"
	"servicebroker/intent"
)

// drainOf runs a drain that waits, with what the broker tells at each question how far it is.
func drainOf(t *testing.T, progress []console.Progress, arguments ...string) (out, errs string, code int) {
	t.Helper()
	o, api, _ := runOperated(t)
	o.progress["d1"] = progress
	return command(t, append([]string{"--api", api, "drain", "--service", "sales", "--wait"}, arguments...)...)
}

func TestDrainWaits(t *testing.T) {
	out, errs, code := drainOf(t, []console.Progress{{SessionsAtStart: 3, SessionsLeft: 3}, {SessionsAtStart: 3, SessionsLeft: 1}, {SessionsAtStart: 3, Ended: 1, Done: true}},
		"--timeout", "1h", "--end-sessions")
	want := "d1: 3 of 3 sessions left\nd1: 1 of 3 sessions left\nd1: 0 of 3 sessions left, 1 ended, drained\n"
	if code != exitDone || out != want || errs != "" {
		t.Errorf("exit %d, %q, %q", code, out, errs)
	}
	out, _, code = drainOf(t, []console.Progress{{Done: true}}, "--output", "json")
	var view console.IntentView
	if err := json.Unmarshal([]byte(out), &view); err != nil || code != exitDone || !view.Progress.Done {
		t.Errorf("as JSON: exit %d, %q, %v", code, out, err)
	}
}

func TestDrainInVain(t *testing.T) {
	out, errs, code := drainOf(t, []console.Progress{{SessionsAtStart: 2, SessionsLeft: 2, DeadlinePassed: true}}, "--timeout", "0")
	if code != exitNo || !strings.Contains(errs, "2 sessions are left") || !strings.Contains(errs, "broker close") {
		t.Errorf("after the deadline: exit %d, %q, %q", code, out, errs)
	}
}

// asked calls back at each line that a command prints.
type asked func()

func (a asked) Write(p []byte) (int, error) { a(); return len(p), nil }

// Interrupting the command leaves the drain in force.
func TestDrainGoesOnWithoutTheWaiting(t *testing.T) {
	o, api, _ := runOperated(t)
	o.progress["d1"] = []console.Progress{{SessionsAtStart: 5, SessionsLeft: 5}}
	ctx, cancel := context.WithCancel(t.Context())
	var errs strings.Builder
	code := run(ctx, []string{"--api", api, "drain", "--service", "sales", "--wait"}, &terminal{out: asked(cancel), err: &errs})
	if code != exitNo || !strings.Contains(errs.String(), "the drain goes on: broker resume --id d1") {
		t.Errorf("exit %d, %q", code, errs.String())
	}
	if all := o.store.All(); len(all) != 1 || all[0].Kind != intent.Drain {
		t.Errorf("in force: %v", all)
	}
}

// Somebody else undoes it while the command waits.
func TestDrainUndoneMeanwhile(t *testing.T) {
	o, api, _ := runOperated(t)
	o.progress["d1"] = []console.Progress{{SessionsLeft: 5}}
	var errs strings.Builder
	undo := asked(func() { o.store.Remove("d1") })
	code := run(t.Context(), []string{"--api", api, "drain", "--service", "sales", "--wait"}, &terminal{out: undo, err: &errs})
	if code != exitNo || !strings.Contains(errs.String(), "no longer in force") {
		t.Errorf("exit %d, %q", code, errs.String())
	}
}

// A broker that does not answer for a moment, as when it is restarted, does not end the waiting.
func TestDrainOutlivesSilence(t *testing.T) {
	failures := 2
	api := startServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if failures--; failures >= 0 {
			c, _, _ := w.(http.Hijacker).Hijack()
			c.Close()
			return
		}
		io.WriteString(w, `{"id": "d1", "kind": "drain", "progress": {"done": true}}`)
	}), nil)
	var out strings.Builder
	w := drainWait{t: &terminal{out: &out}, client: &console.Client{API: api}, text: true}
	view, err := w.run(t.Context(), console.IntentView{Intent: intent.Intent{ID: "d1"}, Progress: console.Progress{SessionsLeft: 1}})
	if err != nil || !view.Progress.Done || failures >= 0 {
		t.Errorf("%+v, %v after %d", view, err, failures)
	}
}

func TestDrainLine(t *testing.T) {
	now := time.Date(2030, 5, 6, 12, 0, 0, 0, time.UTC)
	v := console.IntentView{Intent: intent.Intent{ID: "d1", Deadline: now.Add(90 * time.Second)}}
	empty, full := strings.Repeat("-", 15), strings.Repeat("#", 15)
	for want, p := range map[string]console.Progress{
		"[" + empty + empty + "] d1: 4 of 4 sessions left, 1m30s until the deadline": {SessionsAtStart: 4, SessionsLeft: 4},
		"[" + full + empty + "] d1: 2 of 4 sessions left, 1m30s until the deadline":  {SessionsAtStart: 4, SessionsLeft: 2},
		"[" + full + full + "] d1: 0 of 4 sessions left, 2 ended, drained":           {SessionsAtStart: 4, Ended: 2, Done: true},
		"[" + full + full + "] d1: 0 of 0 sessions left, drained":                    {Done: true},
		"[" + empty + empty + "] d1: 9 of 9 sessions left, 1m30s until the deadline": {SessionsAtStart: 4, SessionsLeft: 9},
	} {
		v.Progress = p
		if got := drainLine(v, true, now); got != want {
			t.Errorf("%+v: %q, want %q", p, got, want)
		}
	}
}

// On a terminal one line is redrawn.
func TestDrainBarIsRedrawn(t *testing.T) {
	var out strings.Builder
	w := drainWait{t: &terminal{out: &out}, text: true, bar: true}
	w.show(console.IntentView{Progress: console.Progress{SessionsAtStart: 2, SessionsLeft: 2}})
	w.show(console.IntentView{Progress: console.Progress{SessionsAtStart: 2, SessionsLeft: 1}})
	w.show(console.IntentView{Progress: console.Progress{SessionsAtStart: 2, SessionsLeft: 1}})
	w.end()
	if got := out.String(); strings.Count(got, "\r[") != 2 || strings.Count(got, "\n") != 1 || !strings.HasSuffix(got, "\n") {
		t.Errorf("%q", got)
	}
	folder := t.TempDir()
	f, err := os.Create(folder + "/file")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	here, there := net.Pipe()
	defer here.Close()
	defer there.Close()
	if isTerminal(f) || isTerminal(here) {
		t.Error("a file or a connection is taken for a terminal")
	}
}
