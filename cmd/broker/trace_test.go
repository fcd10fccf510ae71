package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"servicebroker/console"
)

// tracer keeps traces in the words of the API.
type tracer struct {
	mu     sync.Mutex
	folder string
	all    []console.Trace
	level  string
}

// tracing gives a console traces to begin and end. A trace's file is there at once.
func tracing(t *testing.T, of *console.Server) *tracer {
	k := &tracer{folder: t.TempDir()}
	of.Traces = func() []console.Trace {
		k.mu.Lock()
		defer k.mu.Unlock()
		return append([]console.Trace(nil), k.all...)
	}
	of.StartTrace = func(r console.TraceRequest) (console.Trace, error) {
		k.mu.Lock()
		defer k.mu.Unlock()
		id := strconv.Itoa(len(k.all) + 1)
		one := console.Trace{ID: id, Client: r.Client, Session: r.Session, Data: r.Data, File: filepath.Join(k.folder, id+".trc"), Until: time.Now().Add(time.Duration(r.Seconds * 1e9))}
		k.all = append(k.all, one)
		return one, os.WriteFile(one.File, []byte("# begun\n"), 0o600)
	}
	of.StopTrace = func(id uint64) (console.Trace, error) {
		k.mu.Lock()
		defer k.mu.Unlock()
		if id == 0 || int(id) > len(k.all) || k.all[id-1].Ended != "" {
			return console.Trace{}, fmt.Errorf("%w: trace %d", console.ErrNotFound, id)
		}
		k.all[id-1].Ended = "an operator ended it"
		return k.all[id-1], nil
	}
	of.SetLogLevel = func(level string) (console.LogLevel, error) {
		k.level = strings.ToLower(level)
		return console.LogLevel{Level: k.level}, nil
	}
	return k
}

func TestTrace(t *testing.T) {
	o, api, plain := started(t)
	k := tracing(t, o.server)
	at := func(line string) []string { return append([]string{"--api", api, "trace"}, strings.Fields(line)...) }
	printsLike(t, at(""), exitDone, "No traces.\n")
	printsLike(t, at("--client 192.0.2.0/24 --for 1min"), exitDone, `1: clients 192\.0\.2\.0/24, until \S+, into \S+/1\.trc\n`)
	printsLike(t, at("--session 7 --data"), exitDone, `2: session 7, until .*\n`)
	if !k.all[1].Data || k.all[0].Data {
		t.Errorf("%+v", k.all)
	}
	printsLike(t, at(""), exitDone, `ID +WHOSE +PACKETS +LOST +STATE +FILE\n1 .*\n2 .*\n`)
	printsLike(t, at("--stop 2"), exitDone, `2: session 7: an operator ended it; 0 packets in .*\n`)
	printsLike(t, at("--stop all"), exitDone, `ID +WHOSE.*\n1 .*\n`)
	for _, line := range []string{"--data", "--client x --session 1", "-f", "--client x --for soon"} {
		if _, errs, code := command(t, at(line)...); code != exitUsage || errs == "" {
			t.Errorf("%s: exit %d, %s", line, code, errs)
		}
	}
	if _, errs, code := command(t, "--api", plain, "trace", "--client", "x"); code == exitDone || !strings.Contains(errs, "admin socket") {
		t.Errorf("over the plain address: exit %d, %s", code, errs)
	}
}

// TestTraceFollows prints a file to its end.
func TestTraceFollows(t *testing.T) {
	o, api, _ := started(t)
	tracing(t, o.server)
	start := o.server.StartTrace
	o.server.StartTrace = func(r console.TraceRequest) (console.Trace, error) {
		one, err := start(r)
		_, ended := o.server.StopTrace(1) // it is over before the first look
		if err == nil {
			err = ended
		}
		return one, err
	}
	printsLike(t, []string{"--api", api, "trace", "--client", "*", "-f"}, exitDone, "# begun\n")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := openSoon(ctx, filepath.Join(t.TempDir(), "none")); !os.IsNotExist(err) {
		t.Error(err)
	}
}

func TestCmctlSetsLevels(t *testing.T) {
	o, api, _ := started(t)
	k := tracing(t, o.server)
	for line, want := range map[string]string{
		"set log_level Support": `CMAN parameter log_level set to SUPPORT\.\n`,
		"set trace_level user":  `packets of all clients go to .*\n`,
	} {
		printsLike(t, append([]string{"--api", api, "cmctl"}, strings.Fields(line)...), exitDone, cmctlBanner+cmctlIntro+want+cmctlDone)
	}
	if k.level != "support" || len(k.all) != 1 || k.all[0].Client != "*" || k.all[0].Data {
		t.Errorf("%+v", k)
	}
	printsLike(t, []string{"--api", api, "cmctl", "set", "log_level"}, exitNo, cmctlBanner+cmctlIntro+`TNS-12508: .*\n log_level: say .*\n`)
}
